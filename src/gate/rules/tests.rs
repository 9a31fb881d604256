//! Which rule decides, and how.

use std::time::Duration;

use url::Url;

use super::*;
use crate::base::host::AllowedHost;
use crate::base::id::{CorpId, PersonId, TagId, UnitId, UserId};
use crate::config::Groups;
use crate::directory::{Source, Tag, Unit};
use crate::session::Place;
use crate::session::identity::Prepared;

fn origin(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap()).unwrap()
}

fn hosts() -> Hosts {
    let redirect = vec![AllowedHost::parse("app.example.com").unwrap()];
    Hosts::new(origin("https://oa.example.com"), redirect, "", false)
}

fn gate(default: DefaultRule) -> Gate {
    Gate {
        groups: Groups::Paths,
        assertion: false,
        default,
        stale_after: Duration::from_secs(60),
        recheck: Duration::from_secs(600),
    }
}

fn person(userid: &str, active: bool) -> Person {
    Person {
        id: PersonId::new("p"),
        userid: UserId::new(userid),
        name: "张三".into(),
        email: String::new(),
        places: Box::default(),
        active,
        prepared: Prepared::default(),
    }
}

/// `host path methods allow`, elements separated by commas; `-` is empty.
fn text(line: &str) -> RuleText {
    let part = |n| line.split_whitespace().nth(n).filter(|p| *p != "-").unwrap_or_default();
    let list = |n| part(n).split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    RuleText { host: part(0).into(), path: part(1).into(), methods: list(2), allow: list(3) }
}

fn compile(lines: &[&str]) -> Result<(Rules, Vec<String>), Vec<String>> {
    let texts: Vec<_> = lines.iter().map(|l| text(l)).collect();
    Rules::compile(&texts, &gate(DefaultRule::Members), &hosts())
}

fn rules(lines: &[&str]) -> Rules {
    compile(lines).unwrap().0
}

fn ask(rules: &Rules, url: &str, method: Option<&str>, who: Option<&str>) -> String {
    let (authority, path) = url.split_once('/').unwrap();
    let origin = Origin::from_authority(Scheme::Https, authority).unwrap();
    let target = format!("/{path}");
    let who = who.map(|w| person(w, true));
    let in_force = InForce::new(Arc::new(rules.clone()), Arc::default(), Arc::default());
    match decide(&in_force, &Request { origin: &origin, target: &target, method }, who.as_ref()) {
        Decision::Allow { rule, by, .. } => {
            format!("{} {}", if by.is_none() { "public" } else { "allow" }, rule.map_or(0, Rule::number))
        }
        Decision::SignIn { rule } => format!("sign in {}", rule.map_or(0, Rule::number)),
        Decision::Deny { rule, reason } => format!("deny {} {reason:?}", rule.map_or(0, Rule::number)),
    }
}

fn get(rules: &Rules, url: &str, who: Option<&str>) -> String {
    ask(rules, url, Some("GET"), who)
}

#[test]
fn the_first_rule_that_matches_decides_and_no_later_one_is_read() {
    let r = rules(&["a.com /admin/** * user:boss", "a.com - * members"]);
    assert_eq!(get(&r, "a.com/admin/x", Some("boss")), "allow 1");
    assert_eq!(get(&r, "a.com/admin/x", Some("other")), "deny 1 NotNamed");
    assert_eq!(get(&r, "a.com/", Some("other")), "allow 2");
    assert_eq!(get(&r, "a.com/admin", None), "sign in 1");
}

#[test]
fn a_host_with_rules_denies_what_none_matches_and_others_have_the_default() {
    let r = rules(&["a.com /x/** * members"]);
    assert_eq!(get(&r, "a.com/y", Some("u")), "deny 0 NoMatch");
    assert_eq!(get(&r, "a.com/y", None), "deny 0 NoMatch");
    assert_eq!(get(&r, "b.com/y", Some("u")), "allow 0");
    assert_eq!(get(&r, "b.com/y", None), "sign in 0");
    let deny = Rules::compile(&[], &gate(DefaultRule::Deny), &hosts()).unwrap().0;
    assert_eq!(get(&deny, "b.com/y", Some("u")), "deny 0 Default");
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
    assert_eq!(get(&r, "deep.x.com/1", Some("u")), "allow 1");
    assert_eq!(get(&r, "deep.x.com/2", Some("u")), "allow 2");
    assert_eq!(get(&r, "a.b.x.com/2", Some("u")), "allow 2");
    assert_eq!(get(&r, "a.deep.x.com/2", Some("u")), "allow 2");
    assert_eq!(get(&r, "a.deep.x.com/3", Some("u")), "allow 4");
    assert_eq!(get(&r, "a.x.com/3", Some("u")), "deny 5 NotNamed");
    assert_eq!(get(&r, "x.com/2", Some("u")), "allow 0");
    assert_eq!(get(&r, "evilx.com/2", Some("u")), "allow 0");
}

#[test]
fn case_10_hosts_compare_without_case_trailing_dot_or_script() {
    let r = rules(&["A.B.Example.COM. /x * -", "*.example.com - * members", "例子.测试 - * -"]);
    assert_eq!(get(&r, "a.B.eXample.com/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(get(&r, "a.b.example.com.:443/x", Some("u")), "deny 1 NotNamed");
    assert_eq!(get(&r, "xn--fsqu00a.xn--0zwm56d/", Some("u")), "deny 3 NotNamed");
}

#[test]
fn a_rule_holds_on_every_port_unless_it_names_one() {
    let r = rules(&["a.com:8443 - * -", "b.com - * -"]);
    assert_eq!(get(&r, "a.com:8443/", Some("u")), "deny 1 NotNamed");
    assert_eq!(get(&r, "a.com/", Some("u")), "allow 0");
    assert_eq!(get(&r, "b.com:8443/", Some("u")), "deny 2 NotNamed");
    let default_port = rules(&["a.com:443 - * -"]);
    assert_eq!(get(&default_port, "a.com/", Some("u")), "deny 1 NotNamed");
    assert_eq!(get(&default_port, "a.com:444/", Some("u")), "allow 0");
}

#[test]
fn methods_compare_without_case_so_that_none_slips_past_its_rule() {
    let r = rules(&["a.com /x POST,delete user:boss", "a.com /x * members"]);
    assert_eq!(ask(&r, "a.com/x", Some("GET"), Some("u")), "allow 2");
    assert_eq!(ask(&r, "a.com/x", Some("POST"), Some("u")), "deny 1 NotNamed");
    assert_eq!(ask(&r, "a.com/x", Some("post"), Some("u")), "deny 1 NotNamed");
    assert_eq!(ask(&r, "a.com/x", Some("DELETE"), Some("boss")), "allow 1");
}

#[test]
fn without_a_method_only_rules_for_all_methods_can_allow() {
    let r = rules(&["a.com /x POST user:boss", "a.com - * members"]);
    assert_eq!(ask(&r, "a.com/x", None, Some("boss")), "deny 1 MethodUnknown");
    assert_eq!(ask(&r, "a.com/x", None, Some("u")), "deny 1 MethodUnknown");
    assert_eq!(ask(&r, "a.com/y", None, Some("u")), "allow 2");
}

#[test]
fn anyone_is_public_and_userids_compare_without_case() {
    let r = rules(&["a.com /p/** * anyone", "a.com - * user:ZhangSan"]);
    assert_eq!(get(&r, "a.com/p", None), "public 1");
    assert_eq!(get(&r, "a.com/p", Some("u")), "public 1");
    assert_eq!(get(&r, "a.com/", Some("zhangSAN")), "allow 2");
    assert_eq!(get(&r, "a.com/", Some("zhangsan2")), "deny 2 NotNamed");
}

#[test]
fn an_element_that_means_nobody_matches_nobody_and_its_rule_still_decides() {
    let (r, warnings) = compile(&[
        "oa.example.com - * unit:财务部/**,tag:x,leader:y,everyone,user:,unit:,tag:,leader:/**x",
        "oa.example.com / * members",
    ])
    .unwrap();
    assert_eq!(get(&r, "oa.example.com/", Some("u")), "deny 1 NotNamed");
    assert_eq!(get(&r, "oa.example.com/", None), "sign in 1");
    // Four are not understood; the last warning is of the second rule, which is never read.
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    let in_force = InForce::new(Arc::new(r), Arc::default(), Arc::default());
    assert_eq!(in_force.unfound().len(), 4, "{:#?}", in_force.unfound());
}

#[test]
fn case_24_an_inactive_person_is_never_allowed() {
    let r = rules(&["a.com /p * anyone", "a.com - * user:u,members"]);
    let gone = person("u", false);
    for url in ["https://a.com/p", "https://a.com/x", "https://b.com/"] {
        let url = Url::parse(url).unwrap();
        let request = Request { origin: &origin(url.as_str()), target: url.path(), method: Some("GET") };
        let in_force = InForce::new(Arc::new(r.clone()), Arc::default(), Arc::default());
        let decision = decide(&in_force, &request, Some(&gone));
        assert!(matches!(decision, Decision::Deny { reason: DenyReason::Inactive, .. }), "{url}");
    }
}

#[test]
fn case_9_an_ambiguous_path_is_denied_even_where_everything_is_public() {
    let r = rules(&["a.com - * anyone"]);
    for target in ["public/..%2fapi/x", "public/%2e%2e/api/x", "public/..;/api/x", "x#/../y", "a\\b", "%00"] {
        let got = get(&r, &format!("a.com/{target}"), Some("u"));
        assert!(got.starts_with("deny 0 Ambiguous"), "{target}: {got}");
    }
    assert!(get(&r, "b.com/%2e%2e", Some("u")).starts_with("deny"));
}

#[test]
fn case_9_path_parameters_must_not_change_the_rule() {
    let r = rules(&["a.com /admin/** * user:boss"]);
    assert_eq!(get(&r, "a.com/admin/x;v=1", Some("boss")), "allow 1");
    let r = rules(&["a.com /admin/** * user:boss", "a.com - * anyone"]);
    assert_eq!(get(&r, "a.com/admin;x/secret", None), "deny 0 OtherReading");
    assert_eq!(get(&r, "a.com/page;x", None), "public 2");
}

#[test]
fn case_9_dot_segments_must_not_change_the_rule() {
    let r = rules(&["a.com /public/** * anyone", "a.com - * members"]);
    assert_eq!(get(&r, "a.com/api/../public/x", None), "deny 0 OtherReading");
    assert_eq!(get(&r, "a.com/public/../api/x", Some("u")), "deny 0 OtherReading");
    assert_eq!(get(&r, "a.com/api/./../x", Some("u")), "allow 2");
    assert_eq!(get(&r, "a.com/public/a/../x", None), "public 1");
}

#[test]
fn case_3_the_query_never_matches_a_path() {
    let r = rules(&["a.com /public/** * anyone", "a.com - * members"]);
    assert_eq!(get(&r, "a.com/private?x=1/public/status", None), "sign in 2");
    assert_eq!(get(&r, "a.com/private?/../public/x", None), "sign in 2");
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
fn a_decision_reads_only_the_rules_of_its_host() {
    let mut lines: Vec<String> = (0..50).map(|i| format!("h{i}.example.org /a/** * members")).collect();
    lines.push("*.example.org /b * members".into());
    let r = rules(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(r.of_host("h7.example.org").len(), 2);
    assert_eq!(r.of_host("other.example.org").len(), 1);
    assert_eq!(r.of_host("elsewhere.example").len(), 0);
}

/// 示例科技 / 财务部 (2, led by lisi) / 出纳 (3); 销售部 (4); two 综合组 (5, 6) whose parents are not visible. The tag
/// 管理员 (7) is on 出纳 and on wangwu.
fn chart() -> Chart {
    let corp = CorpId::new("ww1");
    let unit = |id: u32, name: &str, parent: u32, leaders: &[&str]| Unit {
        id: UnitId::of_department(&corp, id),
        wecom_id: Some(id),
        source: Source::Wecom,
        parent: (parent != 0).then(|| UnitId::of_department(&corp, parent)),
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
        id: TagId::of_tag(&corp, 7),
        wecom_id: Some(7),
        name: "管理员".into(),
        users: vec![UserId::new("WangWu")],
        units: vec![UnitId::of_department(&corp, 3)],
    };
    Chart::new(1, None, units, vec![tag])
}

/// Whether somebody in those departments (leading those with a minus) may, by one rule with that element.
fn may(element: &str, userid: &str, departments: &[i64]) -> bool {
    let rules = rules(&[&format!("a.com - * {element}")]);
    let in_force = InForce::new(Arc::new(rules), Arc::new(chart()), Arc::default());
    let places = departments.iter().map(|id| Place {
        unit: UnitId::of_department(&CorpId::new("ww1"), u32::try_from(id.abs()).unwrap()),
        leader: *id < 0,
    });
    let person = Person { places: places.collect(), ..person(userid, true) };
    let request = Request { origin: &origin("https://a.com"), target: "/", method: Some("GET") };
    matches!(decide(&in_force, &request, Some(&person)), Decision::Allow { by: Some(_), .. })
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
        assert_eq!((may(element, "u", &[2]), may(element, "u", &[4, 3])), (direct, below), "{element}");
        assert!(!may(element, "u", &[]), "{element}");
    }
    let id = UnitId::of_department(&CorpId::new("ww1"), 2);
    assert!(may(&format!("unit:{id}/**"), "u", &[3]) && !may(&format!("unit:{id}"), "u", &[3]), "our id");
    for element in
        ["unit:财务", "unit:财务部*", "unit:出纳", "unit:财务部/*", "unit:wecom:99/**", "unit:示例科技/**"]
    {
        assert!(!may(element, "u", &[2, 3]), "{element}");
    }
}

#[test]
fn a_path_that_two_departments_have_allows_nobody() {
    assert!(!may("unit:综合组", "u", &[5]) && !may("unit:综合组/**", "u", &[6]));
    assert!(may("unit:wecom:5", "u", &[5]) && !may("unit:wecom:5", "u", &[6]));
}

#[test]
fn a_leader_leads_by_membership_or_by_the_departments_own_list() {
    assert!(may("leader:财务部", "u", &[-2]) && !may("leader:财务部", "u", &[2]));
    assert!(may("leader:财务部", "lisi", &[]), "named by the department");
    assert!(!may("leader:财务部", "u", &[-3]) && may("leader:财务部/**", "u", &[-3]));
    assert!(!may("leader:销售部", "lisi", &[-2]));
}

#[test]
fn a_tag_is_whom_it_names_and_everybody_in_its_units() {
    assert!(
        may("tag:管理员", "wangwu", &[]) && may("tag:管理员", "u", &[3]) && may("tag:wecom:7", "u", &[3])
    );
    assert!(!may("tag:管理员", "u", &[2]) && !may("tag:wecom:8", "wangwu", &[3]));
}

#[test]
fn a_userid_in_a_rule_means_the_person_it_matched_first() {
    for rule in ["a.com - * user:ZhangSan", "a.com - * unit:财务部,user:ZhangSan"] {
        a_userid_is_bound(rule);
    }
}

/// Whichever element lets the person in.
fn a_userid_is_bound(rule: &str) {
    let rules = Arc::new(rules(&[rule]));
    let request = Request { origin: &origin("https://a.com"), target: "/", method: Some("GET") };
    let mut person = person("zhangsan", true);
    if rule.contains("unit:") {
        let unit = UnitId::of_department(&CorpId::new("ww1"), 2);
        person.places = Box::new([Place { unit, leader: false }]);
    }
    let bound = |to: Option<&str>| {
        let bindings = Bindings::new(to.map(|id| ("zhangsan".to_owned(), PersonId::new(id))));
        let in_force = InForce::new(Arc::clone(&rules), Arc::new(chart()), Arc::new(bindings));
        match decide(&in_force, &request, Some(&person)) {
            Decision::Allow { by: Some(_), first, .. } => Ok(first),
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
