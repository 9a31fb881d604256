//! Which rule decides, and how.

use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use super::decide::DenyReason;
use super::*;
use crate::base::host::{AllowedHost, Scheme};
use crate::base::id::{CorpId, PersonId, TagId, UnitId, UserId};
use crate::config::GroupFormat;
use crate::directory::{EntrySource, Tag, Unit};
use crate::session::SessionMembership;
use crate::session::identity::IdentityCache;

fn origin(url: &str) -> Origin {
    Origin::from_url(&Url::parse(url).unwrap()).unwrap()
}

fn hosts() -> Hosts {
    let redirect = vec![AllowedHost::parse("app.example.com").unwrap()];
    Hosts::new(origin("https://oa.example.com"), redirect, "", false)
}

fn gate(default: DefaultRule) -> GateConfig {
    GateConfig {
        groups: GroupFormat::Paths,
        assertion: false,
        default,
        stale_after: Duration::from_secs(60),
        recheck: Duration::from_secs(600),
        code_paths: vec![],
    }
}

fn person(userid: &str, active: bool) -> SessionPerson {
    SessionPerson {
        id: PersonId::new("p"),
        userid: UserId::new(userid),
        name: "张三".into(),
        email: String::new(),
        memberships: Box::default(),
        active,
        identity: IdentityCache::default(),
    }
}

/// Parses `host path methods allow`, with elements separated by commas. `-` is empty; a path that
/// begins with `=` is `case_sensitive`.
fn text(line: &str) -> RuleText {
    let part = |n| line.split_whitespace().nth(n).filter(|p| *p != "-").unwrap_or_default();
    let list = |n| part(n).split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    let path = part(1);
    RuleText {
        host: part(0).into(),
        path: path.trim_start_matches('=').into(),
        case_sensitive: path.starts_with('='),
        methods: list(2),
        allow: list(3),
    }
}

fn compile(lines: &[&str]) -> Result<(AccessRules, Vec<String>), Vec<String>> {
    let texts: Vec<_> = lines.iter().map(|l| text(l)).collect();
    AccessRules::compile(&texts, &gate(DefaultRule::Members), &hosts())
}

fn rules(lines: &[&str]) -> AccessRules {
    compile(lines).unwrap().0
}

fn outcome_of(rules: &AccessRules, url: &str, method: Option<&str>, who: Option<&str>) -> String {
    let (authority, path) = url.split_once('/').unwrap();
    let origin = Origin::from_authority(Scheme::Https, authority).unwrap();
    let target = format!("/{path}");
    let who = who.map(|w| person(w, true));
    let resolved = ResolvedRules::new(Arc::new(rules.clone()), Arc::default(), Arc::default());
    match decide_access(&resolved, &AccessRequest { origin: &origin, target: &target, method }, who.as_ref())
    {
        Decision::Allow { rule, grant, .. } => {
            format!(
                "{} {}",
                if grant.is_none() { "public" } else { "allow" },
                rule.map_or(0, AccessRule::number)
            )
        }
        Decision::SignIn { rule } => format!("sign in {}", rule.map_or(0, AccessRule::number)),
        Decision::Deny { rule, reason } => {
            let reason = format!("{reason:?}");
            // Only the names are compared here; other tests cover the texts.
            let name = reason.split('(').next().unwrap_or_default();
            format!("deny {} {name}", rule.map_or(0, AccessRule::number))
        }
    }
}

fn outcome_of_get(rules: &AccessRules, url: &str, who: Option<&str>) -> String {
    outcome_of(rules, url, Some("GET"), who)
}

#[test]
fn the_first_rule_that_matches_decides_and_no_later_one_is_read() {
    let r = rules(&["a.com /admin/** * user:boss", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/admin/x", Some("boss")), "allow 1");
    assert_eq!(outcome_of_get(&r, "a.com/admin/x", Some("other")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.com/", Some("other")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.com/admin", None), "sign in 1");
}

#[test]
fn a_host_with_rules_denies_what_none_matches_and_others_have_the_default() {
    let r = rules(&["a.com /x/** * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/y", Some("u")), "deny 0 NoMatch");
    assert_eq!(outcome_of_get(&r, "a.com/y", None), "deny 0 NoMatch");
    assert_eq!(outcome_of_get(&r, "b.com/y", Some("u")), "allow 0");
    assert_eq!(outcome_of_get(&r, "b.com/y", None), "sign in 0");
    let deny = AccessRules::compile(&[], &gate(DefaultRule::Deny), &hosts()).unwrap().0;
    assert_eq!(outcome_of_get(&deny, "b.com/y", Some("u")), "deny 0 Default");
}

#[test]
fn a_wildcard_is_any_depth_below_and_keeps_its_place_in_the_order() {
    let r = rules(&[
        "deep.x.com /1 * members",
        "*.x.com /2 * members",
        "deep.x.com /2 * -",
        "*.deep.x.com /3 * members",
        "*.x.com /3 * -",
    ]);
    assert_eq!(outcome_of_get(&r, "deep.x.com/1", Some("u")), "allow 1");
    assert_eq!(outcome_of_get(&r, "deep.x.com/2", Some("u")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.b.x.com/2", Some("u")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.deep.x.com/2", Some("u")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.deep.x.com/3", Some("u")), "allow 4");
    assert_eq!(outcome_of_get(&r, "a.x.com/3", Some("u")), "deny 5 NotNamed");
    assert_eq!(outcome_of_get(&r, "x.com/2", Some("u")), "allow 0");
    assert_eq!(outcome_of_get(&r, "evilx.com/2", Some("u")), "allow 0");
}

#[test]
fn case_41_a_rule_of_a_host_says_nothing_about_the_hosts_below_it() {
    let r = rules(&["example.com - * anyone", "*.example.com - * user:boss", "*.pay.example.com - * -"]);
    assert_eq!(outcome_of_get(&r, "pay.example.com/salaries", None), "sign in 2");
    assert_eq!(outcome_of_get(&r, "pay.example.com/salaries", Some("u")), "deny 2 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.pay.example.com/", Some("boss")), "allow 2");
    assert_eq!(outcome_of_get(&r, "example.com/", None), "public 1");
    // Even a list that belongs to another host must not let its rules decide.
    let mut wrong = r.clone();
    let list = wrong.by_host.get("example.com").unwrap().clone();
    wrong.by_wildcard.insert("example.com".into(), list);
    assert_eq!(outcome_of_get(&wrong, "pay.example.com/salaries", None), "deny 0 NoMatch");
}

#[test]
fn case_10_hosts_compare_without_case_trailing_dot_or_script() {
    let r = rules(&["A.B.Example.COM. /x * -", "*.example.com - * members", "例子.测试 - * -"]);
    assert_eq!(outcome_of_get(&r, "a.B.eXample.com/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.b.example.com.:443/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "xn--fsqu00a.xn--0zwm56d/", Some("u")), "deny 3 NotNamed");
}

#[test]
fn a_rule_holds_on_every_port_unless_it_names_one() {
    let r = rules(&["a.com:8443 - * -", "b.com - * -"]);
    assert_eq!(outcome_of_get(&r, "a.com:8443/", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.com/", Some("u")), "allow 0");
    assert_eq!(outcome_of_get(&r, "b.com:8443/", Some("u")), "deny 2 NotNamed");
    let default_port = rules(&["a.com:443 - * -"]);
    assert_eq!(outcome_of_get(&default_port, "a.com/", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&default_port, "a.com:444/", Some("u")), "allow 0");
}

#[test]
fn methods_compare_without_case_so_that_none_slips_past_its_rule() {
    let r = rules(&["a.com /x POST,delete user:boss", "a.com /x * members"]);
    assert_eq!(outcome_of(&r, "a.com/x", Some("GET"), Some("u")), "allow 2");
    assert_eq!(outcome_of(&r, "a.com/x", Some("POST"), Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of(&r, "a.com/x", Some("post"), Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of(&r, "a.com/x", Some("DELETE"), Some("boss")), "allow 1");
}

#[test]
fn without_a_method_only_rules_for_all_methods_can_allow() {
    let r = rules(&["a.com /x POST user:boss", "a.com - * members"]);
    assert_eq!(outcome_of(&r, "a.com/x", None, Some("boss")), "deny 1 MethodUnknown");
    assert_eq!(outcome_of(&r, "a.com/x", None, Some("u")), "deny 1 MethodUnknown");
    assert_eq!(outcome_of(&r, "a.com/y", None, Some("u")), "allow 2");
}

#[test]
fn anyone_is_public_and_userids_compare_without_case() {
    let r = rules(&["a.com /p/** * anyone", "a.com - * user:ZhangSan"]);
    assert_eq!(outcome_of_get(&r, "a.com/p", None), "public 1");
    assert_eq!(outcome_of_get(&r, "a.com/p", Some("u")), "public 1");
    assert_eq!(outcome_of_get(&r, "a.com/", Some("zhangSAN")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.com/", Some("zhangsan2")), "deny 2 NotNamed");
}

#[test]
fn an_element_that_means_nobody_matches_nobody_and_its_rule_still_decides() {
    let (r, warnings) = compile(&[
        "oa.example.com - * unit:财务部/**,tag:x,leader:y,everyone,user:,unit:,tag:,leader:/**x",
        "oa.example.com / * members",
    ])
    .unwrap();
    assert_eq!(outcome_of_get(&r, "oa.example.com/", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "oa.example.com/", None), "sign in 1");
    // Four elements are not understood; the last warning is about the second rule, which is never
    // read.
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    let resolved = ResolvedRules::new(Arc::new(r), Arc::default(), Arc::default());
    assert_eq!(resolved.unmatched_elements().len(), 4, "{:#?}", resolved.unmatched_elements());
}

#[test]
fn case_24_an_inactive_person_is_never_allowed() {
    let r = rules(&["a.com /p * anyone", "a.com - * user:u,members"]);
    let gone = person("u", false);
    for url in ["https://a.com/p", "https://a.com/x", "https://b.com/"] {
        let url = Url::parse(url).unwrap();
        let request =
            AccessRequest { origin: &origin(url.as_str()), target: url.path(), method: Some("GET") };
        let resolved = ResolvedRules::new(Arc::new(r.clone()), Arc::default(), Arc::default());
        let decision = decide_access(&resolved, &request, Some(&gone));
        assert!(matches!(decision, Decision::Deny { reason: DenyReason::Inactive, .. }), "{url}");
    }
}

#[test]
fn what_is_no_request_target_is_denied_whatever_the_rules() {
    let r = rules(&["a.com - * anyone"]);
    for target in ["x#/../y", "x?y#z", "a b", "a\tb"] {
        for host in ["a.com", "b.com"] {
            assert_eq!(
                outcome_of_get(&r, &format!("{host}/{target}"), Some("u")),
                "deny 0 BadTarget",
                "{target}"
            );
        }
    }
}

#[test]
fn where_all_readings_come_to_the_same_an_odd_path_is_a_path_like_any_other() {
    let r = rules(&["a.com /admin/** * user:lisi", "a.com - * members"]);
    for target in [
        "api/v4/projects/group%2Fproject",
        "@scope%2fname",
        "api/queues/%2F/q",
        "upload/%D6%D0.pdf",
        "files/My%20Report.PDF",
        "a;jsessionid=1",
        "x%3fy%23z",
        "x%00y",
        "%c0%ae",
        "100%",
        "a\\b",
        "/x/y",
        "..",
        "a//../b",
    ] {
        for host in ["a.com", "b.com"] {
            let got = outcome_of_get(&r, &format!("{host}/{target}"), Some("u"));
            assert!(got.starts_with("allow"), "{host} {target}: {got}");
            assert!(outcome_of_get(&r, &format!("{host}/{target}"), None).starts_with("sign in"), "{target}");
        }
    }
    let many = format!("a%{}2Fb;x//c", "25".repeat(70));
    assert_eq!(
        outcome_of_get(&r, &format!("b.com/{many}"), Some("u")),
        "allow 0",
        "no rule tells paths apart there"
    );
    assert_eq!(outcome_of_get(&r, &format!("a.com/{many}"), Some("u")), "deny 0 Unreadable");
    assert_eq!(outcome_of_get(&r, "a.com/x%0d%0aGET%20/admin", Some("u")), "deny 0 Unreadable");
}

#[test]
fn cases_9_42_43_44_no_reading_opens_what_another_closes() {
    let r = rules(&["a.com /admin/** * user:lisi", "a.com /public/** * anyone", "a.com - * members"]);
    for target in [
        "public/..%2fadmin",
        "public/..%5cadmin",
        "public/..%252fadmin",
        "public/%2e%2e/admin",
        "public/..;/admin",
        "public/．．/admin",
        "public/..%20/admin",
        "/x/admin",
        "/public/admin/x",
        "ADMIN/x",
        "public/..%2fADMIN",
        "%61dmin%3f/x",
        "admin%23x",
        "admin%20x",
        "admin;x/secret",
        "x/../admin",
        "admin//../x",
    ] {
        for who in [None, Some("zhangsan")] {
            let got = outcome_of_get(&r, &format!("a.com/{target}"), who);
            assert!(
                got.starts_with("deny 0 OtherReading") || (who.is_none() && got.starts_with("sign in")),
                "{target} {got}"
            );
        }
        // A person whom both rules allow passes in any spelling.
        let got = outcome_of_get(&r, &format!("a.com/{target}"), Some("lisi"));
        assert!(got.starts_with("allow") || got.starts_with("public"), "{target}: {got}");
    }
    assert_eq!(outcome_of_get(&r, "a.com/public/admin/x", None), "public 2");
    assert_eq!(
        outcome_of_get(&r, "a.com/x?s=/admin/../public", Some("u")),
        "allow 3",
        "a query never counts"
    );
}

#[test]
fn case_43_letter_case_counts_only_for_a_rule_that_says_so() {
    let r = rules(&["a.com /admin/** * user:lisi", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/ADMIN/x", Some("u")), "deny 0 OtherReading");
    assert_eq!(outcome_of_get(&r, "a.com/Åbc", Some("u")), "allow 2");
    let r = rules(&["a.com =/admin/** * user:lisi", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/ADMIN/x", Some("u")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.com/admin/x", Some("u")), "deny 1 NotNamed");
    // A pattern with capitals also covers lower case.
    let r = rules(&["a.com /Admin/** * user:lisi", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/Admin/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.com/admin/x", Some("u")), "deny 0 OtherReading");
    assert_eq!(outcome_of_get(&r, "a.com/other", Some("u")), "allow 2");
    // Each rule follows its own setting: one folds what another does not.
    let r = rules(&["a.com =/A/** * user:lisi", "a.com /b/** * user:lisi", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/a/x", Some("u")), "allow 3");
    assert_eq!(outcome_of_get(&r, "a.com/A/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(outcome_of_get(&r, "a.com/B/x", Some("u")), "deny 0 OtherReading");
    let r = rules(&["a.com /docs/** * members"]);
    assert_eq!(
        outcome_of_get(&r, "a.com/DOCS/x", Some("u")),
        "deny 0 OtherReading",
        "not named as it is written"
    );
}

#[test]
fn a_denied_reading_is_named_with_the_rules_that_differ() {
    let r = rules(&["a.com /admin/** * user:lisi", "a.com - * members"]);
    let resolved = ResolvedRules::new(Arc::new(r), Arc::default(), Arc::default());
    let origin = origin("https://a.com");
    let request = AccessRequest { origin: &origin, target: "//x/Admin", method: Some("GET") };
    let person = person("u", true);
    let Decision::Deny { reason, .. } = decide_access(&resolved, &request, Some(&person)) else {
        panic!("allowed")
    };
    assert_eq!(
        reason.to_string(),
        "an application may read the path in another way, decided otherwise: \
         /x/Admin (without empty segments) allowed by rule 2; \
         /admin (without the first segment after //, in lower case) denied by rule 1"
    );
    let judged = report_readings(&resolved, &request, Some(&person));
    assert_eq!(judged.len(), 6, "{judged:#?}");
}

#[test]
fn a_userid_that_lets_somebody_in_by_any_reading_is_bound() {
    let r = rules(&["a.com /admin/** * user:lisi", "a.com - * members"]);
    let resolved = ResolvedRules::new(Arc::new(r), Arc::default(), Arc::default());
    let person = person("lisi", true);
    let origin = origin("https://a.com");
    let first = |target| {
        let request = AccessRequest { origin: &origin, target, method: Some("GET") };
        matches!(
            decide_access(&resolved, &request, Some(&person)),
            Decision::Allow { is_first_match: true, .. }
        )
    };
    assert!(!first("/x") && first("/admin") && first("/ADMIN"));
}

#[test]
fn case_9_path_parameters_must_not_change_the_rule() {
    let r = rules(&["a.com /admin/** * user:boss"]);
    assert_eq!(outcome_of_get(&r, "a.com/admin/x;v=1", Some("boss")), "allow 1");
    let r = rules(&["a.com /admin/** * user:boss", "a.com - * anyone"]);
    assert_eq!(outcome_of_get(&r, "a.com/admin;x/secret", None), "deny 0 OtherReading");
    assert_eq!(outcome_of_get(&r, "a.com/page;x", None), "public 2");
}

#[test]
fn case_9_dot_segments_must_not_change_the_rule() {
    let r = rules(&["a.com /public/** * anyone", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/api/../public/x", None), "deny 0 OtherReading");
    assert_eq!(outcome_of_get(&r, "a.com/public/../api/x", None), "deny 0 OtherReading");
    assert_eq!(
        outcome_of_get(&r, "a.com/public/../api/x", Some("u")),
        "allow 2",
        "either rule lets a member in"
    );
    assert_eq!(outcome_of_get(&r, "a.com/api/./../x", Some("u")), "allow 2");
    assert_eq!(outcome_of_get(&r, "a.com/public/a/../x", None), "public 1");
}

#[test]
fn case_3_the_query_never_matches_a_path() {
    let r = rules(&["a.com /public/** * anyone", "a.com - * members"]);
    assert_eq!(outcome_of_get(&r, "a.com/private?x=1/public/status", None), "sign in 2");
    assert_eq!(outcome_of_get(&r, "a.com/private?/../public/x", None), "sign in 2");
}

#[test]
fn a_rule_that_cannot_be_understood_is_an_error_that_names_it() {
    for bad in [
        "- - * members",
        "* - * members",
        "*.10.0.0.1 - * -",
        "a.*.com - * -",
        "https://a.com - * -",
        "a.com x * -",
        "a.com / - -",
        "a.com / G(T -",
        "u@a.com - * -",
        "a.com/x - * -",
    ] {
        let errors = compile(&["ok.com - * members", bad]).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains("rule 2"), "{bad}: {errors:?}");
    }
}

#[test]
fn a_rule_that_never_decides_is_a_warning() {
    let warnings = |lines: &[&str]| compile(lines).unwrap().1;
    assert_eq!(warnings(&["oa.example.com - * members", "app.example.com /x * -"]), Vec::<String>::new());
    let hidden = warnings(&["app.example.com - * members", "app.example.com /x * -"]);
    assert!(hidden.len() == 1 && hidden[0].contains("never read"), "{hidden:?}");
    let foreign = warnings(&["app.example.com:8443 - * members", "other.example - * -"]);
    assert!(foreign.len() == 2 && foreign[0].contains("redirect_hosts"), "{foreign:?}");
}

#[test]
fn case_45_a_folder_that_is_narrower_than_a_later_rule_is_a_warning_that_names_its_other_names() {
    let warnings = |lines: &[&str]| compile(lines).unwrap().1;
    let h = "oa.example.com";
    let one = |closed: &str, open: &str| warnings(&[&format!("{h} {closed}"), &format!("{h} {open}")]);
    let told = warnings(&[
        &format!("{h} /webhook/** POST anyone"),
        &format!("{h} /boss/** * user:a"),
        &format!("{h} /pay * unit:财务部"),
        &format!("{h} - * members"),
    ]);
    assert_eq!(told.len(), 1, "{told:#?}");
    for words in [
        "rule 4 (oa.example.com /** ",
        "rules 2 (/boss/**), 3 (/pay)",
        "/index.php/boss, /?s=/boss, /boss.json",
    ] {
        assert!(told[0].contains(words), "{words}: {}", told[0]);
    }
    for (closed, open) in [
        ("/app/admin/** * user:a", "/app/** * members"),
        ("/admin/** * -", "/* * user:a"),
        ("/admin/** GET user:a", "/** GET,POST user:a,user:b"),
        ("/members/** * members", "- * anyone"),
    ] {
        assert_eq!(one(closed, open).len(), 1, "{closed} {open}");
    }
    // Only what is named is open, or the later rule allows nobody else.
    for (closed, open) in [
        ("/admin/** * user:a", "/app/** * members"),
        ("/public/** * anyone", "- * members"),
        ("/docs/** * members", "- * user:boss"),
        ("/admin/** * user:a,user:b", "- * user:a"),
        ("/admin/** GET user:a", "/admin/** * members"),
        ("/admin/** * user:a", "/admin/*.js * members"),
        ("/admin/** GET user:a", "- POST members"),
    ] {
        assert_eq!(one(closed, open), Vec::<String>::new(), "{closed} {open}");
    }
    let hosts = |closed: &str, open: &str| {
        warnings(&[&format!("{closed} /admin/** * user:a"), &format!("{open} - * members")]).len()
    };
    assert_eq!(
        (hosts("app.example.com", "*.example.com"), hosts("*.example.com", "app.example.com")),
        (1, 1)
    );
    assert_eq!(hosts("app.example.com", "oa.example.com"), 0);
}

#[test]
fn a_decision_reads_only_the_rules_of_its_host() {
    let mut lines: Vec<String> = (0..50).map(|i| format!("h{i}.example.org /a/** * members")).collect();
    lines.push("*.example.org /b * members".into());
    let r = rules(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let count = |host: &str| r.rules_for_host(host).map_or(0, |rules| rules.entries.len());
    assert_eq!(count("h7.example.org"), 2);
    assert_eq!(count("other.example.org"), 1);
    assert_eq!(count("elsewhere.example"), 0);
}

/// The chart of the tests: 示例科技 / 财务部 (2, led by lisi) / 出纳 (3); 销售部 (4); two 综合组 (5, 6) whose
/// parents are not visible. The tag 管理员 (7) is on 出纳 and on wangwu.
fn chart() -> Chart {
    let corp = CorpId::new("ww1");
    let unit = |id: u32, name: &str, parent: u32, leaders: &[&str]| Unit {
        id: UnitId::from_department(&corp, id),
        wecom_id: Some(id),
        source: EntrySource::Wecom,
        parent: (parent != 0).then(|| UnitId::from_department(&corp, parent)),
        name: name.into(),
        name_en: String::new(),
        order: 0,
        leaders: leaders.iter().map(|l| UserId::new(*l)).collect(),
    };
    let units = vec![
        unit(1, "示例科技", 0, &[]),
        unit(2, "财务部", 1, &["LiSi"]),
        unit(3, "出纳", 2, &[]),
        unit(4, "销售部", 1, &[]),
        unit(5, "综合组", 98, &[]),
        unit(6, "综合组", 99, &[]),
    ];
    let tag = Tag {
        id: TagId::from_tag(&corp, 7),
        wecom_id: Some(7),
        name: "管理员".into(),
        users: vec![UserId::new("WangWu")],
        units: vec![UnitId::from_department(&corp, 3)],
    };
    Chart::new(1, None, units, vec![tag])
}

/// Returns whether a member of those departments (a minus means: leads it) is allowed by a single
/// rule with that element.
fn is_allowed(element: &str, userid: &str, departments: &[i64]) -> bool {
    let rules = rules(&[&format!("a.com - * {element}")]);
    let resolved = ResolvedRules::new(Arc::new(rules), Arc::new(chart()), Arc::default());
    let places = departments.iter().map(|id| SessionMembership {
        unit: UnitId::from_department(&CorpId::new("ww1"), u32::try_from(id.abs()).unwrap()),
        leader: *id < 0,
    });
    let person = SessionPerson { memberships: places.collect(), ..person(userid, true) };
    let request = AccessRequest { origin: &origin("https://a.com"), target: "/", method: Some("GET") };
    matches!(decide_access(&resolved, &request, Some(&person)), Decision::Allow { grant: Some(_), .. })
}

#[test]
fn a_unit_is_its_own_people_and_with_two_stars_everybody_below_it() {
    for (element, direct, below) in [
        ("unit:财务部", true, false),
        ("unit:财务部/**", true, true),
        ("unit:wecom:2/**", true, true),
        ("unit:/财务部/**", true, true),
        ("unit:/**", true, true),
        ("unit:**", true, true),
        ("unit:财务部/出纳", false, true),
        ("unit:财务部/出纳/**", false, true),
        ("unit:wecom:3", false, true),
    ] {
        assert_eq!(
            (is_allowed(element, "u", &[2]), is_allowed(element, "u", &[4, 3])),
            (direct, below),
            "{element}"
        );
        assert!(!is_allowed(element, "u", &[]), "{element}");
    }
    let id = UnitId::from_department(&CorpId::new("ww1"), 2);
    assert!(
        is_allowed(&format!("unit:{id}/**"), "u", &[3]) && !is_allowed(&format!("unit:{id}"), "u", &[3]),
        "our id"
    );
    for element in
        ["unit:财务", "unit:财务部*", "unit:出纳", "unit:财务部/*", "unit:wecom:99/**", "unit:示例科技/**"]
    {
        assert!(!is_allowed(element, "u", &[2, 3]), "{element}");
    }
}

#[test]
fn a_path_that_two_departments_have_allows_nobody() {
    assert!(!is_allowed("unit:综合组", "u", &[5]) && !is_allowed("unit:综合组/**", "u", &[6]));
    assert!(is_allowed("unit:wecom:5", "u", &[5]) && !is_allowed("unit:wecom:5", "u", &[6]));
}

#[test]
fn a_leader_leads_by_membership_or_by_the_departments_own_list() {
    assert!(is_allowed("leader:财务部", "u", &[-2]) && !is_allowed("leader:财务部", "u", &[2]));
    assert!(is_allowed("leader:财务部", "lisi", &[]), "named by the department");
    assert!(!is_allowed("leader:财务部", "u", &[-3]) && is_allowed("leader:财务部/**", "u", &[-3]));
    assert!(!is_allowed("leader:销售部", "lisi", &[-2]));
}

#[test]
fn a_tag_is_whom_it_names_and_everybody_in_its_units() {
    assert!(
        is_allowed("tag:管理员", "wangwu", &[])
            && is_allowed("tag:管理员", "u", &[3])
            && is_allowed("tag:wecom:7", "u", &[3])
    );
    assert!(!is_allowed("tag:管理员", "u", &[2]) && !is_allowed("tag:wecom:8", "wangwu", &[3]));
}

#[test]
fn a_userid_in_a_rule_means_the_person_it_matched_first() {
    for rule in ["a.com - * user:ZhangSan", "a.com - * unit:财务部,user:ZhangSan"] {
        a_userid_is_bound(rule);
    }
}

/// The userid is bound whichever element allows the person.
fn a_userid_is_bound(rule: &str) {
    let rules = Arc::new(rules(&[rule]));
    let request = AccessRequest { origin: &origin("https://a.com"), target: "/", method: Some("GET") };
    let mut person = person("zhangsan", true);
    if rule.contains("unit:") {
        let unit = UnitId::from_department(&CorpId::new("ww1"), 2);
        person.memberships = Box::new([SessionMembership { unit, leader: false }]);
    }
    let bound = |to: Option<&str>| {
        let bindings = RuleBindings::new(to.map(|id| ("zhangsan".to_owned(), PersonId::new(id))));
        let resolved = ResolvedRules::new(Arc::clone(&rules), Arc::new(chart()), Arc::new(bindings));
        match decide_access(&resolved, &request, Some(&person)) {
            Decision::Allow { grant: Some(_), is_first_match: first, .. } => Ok(first),
            Decision::Deny { reason, .. } => Err(reason),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(bound(None), Ok(true), "nobody yet");
    assert_eq!(bound(Some("p")), Ok(false), "this person");
    let earlier = bound(Some("q"));
    let by_unit = rule.contains("unit:");
    assert_eq!(earlier, if by_unit { Ok(false) } else { Err(DenyReason::EarlierHolder) }, "somebody before");
}

/// A rule for the naive matcher below.
#[derive(Debug, Clone)]
struct DrawnRule {
    host: String,
    port: Option<u16>,
    path: &'static str,
    methods: &'static str,
    allow: &'static str,
}

fn host_name() -> impl Strategy<Value = String> {
    "((a|b)\\.){0,2}(x|y)\\.com"
}

fn drawn_rule() -> impl Strategy<Value = DrawnRule> {
    let path = prop::sample::select(vec!["-", "/a/**", "/a", "/a/*", "/**/b", "/b/**"]);
    let methods = prop::sample::select(vec!["*", "GET", "POST,PUT"]);
    let allow = prop::sample::select(vec!["anyone", "members", "user:u", "user:other", "-"]);
    (any::<bool>(), host_name(), prop::option::weighted(0.2, Just(8443)), path, methods, allow).prop_map(
        |(wildcard, host, port, path, methods, allow)| DrawnRule {
            host: if wildcard { format!("*.{host}") } else { host },
            port,
            path,
            methods,
            allow,
        },
    )
}

/// Finds the first matching rule by reading all of them.
fn first_match<'s>(
    said: &'s [DrawnRule],
    host: &str,
    port: u16,
    path: &str,
    method: &str,
) -> Option<(usize, &'s DrawnRule)> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    said.iter().enumerate().find(|(_, rule)| {
        let covers = match rule.host.strip_prefix('*') {
            Some(below) => host.ends_with(below),
            None => host == rule.host,
        };
        let path = match rule.path {
            "-" => true,
            "/a/**" => segments[0] == "a",
            "/b/**" => segments[0] == "b",
            "/a" => segments == ["a"],
            "/a/*" => segments.len() == 2 && segments[0] == "a",
            _ => segments.last() == Some(&"b"),
        };
        let methods = rule.methods == "*" || rule.methods.split(',').any(|m| m == method);
        covers && rule.port.is_none_or(|p| p == port) && path && methods
    })
}

proptest! {
    #[test]
    fn case_41_the_first_rule_in_order_that_covers_the_host_decides(
        said in prop::collection::vec(drawn_rule(), 1..8),
        host in host_name(),
        port in prop::sample::select(vec![443_u16, 8443]),
        path in "(/[abc]){1,3}",
        method in prop::sample::select(vec!["GET", "POST"]),
    ) {
        let lines: Vec<String> = said.iter().map(|rule| {
            let port = rule.port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port} {} {} {}", rule.host, rule.path, rule.methods, rule.allow)
        }).collect();
        let r = rules(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let covers = |rule: &DrawnRule| {
            rule.host.strip_prefix('*').map_or(host == rule.host, |below| host.ends_with(below))
                && rule.port.is_none_or(|p| p == port)
        };
        let expected = match first_match(&said, &host, port, &path, method) {
            Some((n, rule)) => match rule.allow {
                "anyone" => format!("public {}", n + 1),
                "members" | "user:u" => format!("allow {}", n + 1),
                _ => format!("deny {} NotNamed", n + 1),
            },
            None if said.iter().any(covers) => "deny 0 NoMatch".to_owned(),
            None => "allow 0".to_owned(),
        };
        prop_assert_eq!(outcome_of(&r, &format!("{host}:{port}{path}"), Some(method), Some("u")), expected);
    }

    #[test]
    fn cases_42_43_44_no_spelling_that_an_application_takes_for_the_closed_folder_is_open(
        sent in "/(/|%2[fF]|\\\\|%5c|\\.\\.?|%2e|%252e|;[a-z/]{0,2}|%3[bBfF]|%23|%20|//|．|x|p|public|admin|Admin|%61dmin|%2561dmin){1,8}",
    ) {
        let r = rules(&["a.com /admin/** * user:lisi", "a.com - * anyone"]);
        let closed = application_paths(&sent).into_iter().find(|(_, path)| {
            let path = path.to_lowercase();
            path == "/admin" || path.starts_with("/admin/")
        });
        if let Some((application, path)) = closed {
            let got = outcome_of_get(&r, &format!("a.com{sent}"), None);
            prop_assert!(got.starts_with("deny") || got.starts_with("sign in"), "{application} serves {path}: {got}");
        }
    }
}

/// Returns the paths that some kinds of applications serve for a path as it was sent. Written
/// independently of the gate's own code.
fn application_paths(sent: &str) -> Vec<(&'static str, String)> {
    let decode =
        |text: &str| String::from_utf8_lossy(&urlencoding::decode_binary(text.as_bytes())).into_owned();
    let resolve = |path: &str| {
        let mut kept = Vec::new();
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            match segment {
                "." => {}
                ".." => drop(kept.pop()),
                name => kept.push(name),
            }
        }
        format!("/{}", kept.join("/"))
    };
    let parameters = |path: &str| {
        path.split('/').map(|s| s.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
    };
    let once = decode(sent);
    let mut all = vec![
        ("decodes, resolves", resolve(&once)),
        ("resolves, decodes", decode(&resolve(sent))),
        ("decodes twice, resolves", resolve(&decode(&once))),
        ("Tomcat", resolve(&decode(&parameters(sent)))),
        ("Spring", resolve(&parameters(&once))),
        ("IIS", resolve(&once.replace('\\', "/"))),
        ("a hop that writes anew", resolve(once.split(['?', '#', ' ']).next().unwrap_or_default())),
    ];
    let base = Url::parse("https://a.com").unwrap();
    if let Ok(url) = base.join(sent) {
        all.push(("new URL", url.path().to_owned()));
        all.push(("new URL, decodes", decode(url.path())));
    }
    if let Ok(url) = base.join(&once) {
        all.push(("decodes, new URL", url.path().to_owned()));
    }
    all
}
