//! One check, from headers to an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::base::host::{AllowedHost, Scheme};
use crate::base::id::{CorpId, UnitId};
use crate::config::{DefaultRule, GateConfig, GroupFormat, RuleText};
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;
use crate::directory::{EntrySource, Unit};
use crate::gate::proxy::{NGINX, PROXIES};
use crate::session::Amr;
use crate::session::identity::IdentityCache;
use crate::session::{SessionMembership, SessionPerson};

const PROXY: Option<Peer> = Some(Peer::Unix);

struct CheckerFixture {
    checker: Checker,
    chart: Arc<Chart>,
    bindings: Arc<RuleBindings>,
    first_matches: Receiver<FirstMatch>,
    denials: Receiver<Denial>,
    clock: Clock,
}

fn checker_fixture() -> CheckerFixture {
    let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
    let hosts = Hosts::new(public, vec![AllowedHost::parse("app.example.com").unwrap()], "", false);
    let gate = GateConfig {
        groups: GroupFormat::Paths,
        assertion: true,
        default: DefaultRule::Members,
        stale_after: Duration::from_secs(60),
        recheck: Duration::from_secs(600),
        code_paths: vec![],
    };
    let rule = |path: &str, allow: &str| RuleText {
        host: "app.example.com".into(),
        path: path.into(),
        case_sensitive: false,
        methods: vec!["*".into()],
        allow: vec![allow.into()],
    };
    let texts = [rule("/public/**", "anyone"), rule("/boss", "user:boss"), rule("", "members")];
    let (rules, _) = AccessRules::compile(&texts, &gate, &hosts).unwrap();
    let clock = Clock::fixed(Timestamp::from_millis(1_000_000));
    let (sender, denials) = mpsc::channel(2);
    let (first, first_matches) = mpsc::channel(2);
    let parts = GateParts {
        hosts,
        rules,
        trusted: TrustedProxies(vec!["127.0.0.0/8".parse().unwrap()]),
        assertion: true,
        clock: clock.clone(),
        metrics: GateMetrics::default(),
        denials: sender,
        groups: GroupFormat::Paths,
        code_paths: CodePaths::new(&["/oauth".to_owned()]),
        first_matches: first,
    };
    let checker = Checker::new(parts);
    CheckerFixture { checker, chart: Arc::default(), bindings: Arc::default(), first_matches, denials, clock }
}

fn signed_in(userid: &str) -> SignedInSession {
    SignedInSession {
        sid: Sid::new("s1"),
        family: Sid::new("s1"),
        person: Arc::new(SessionPerson {
            id: PersonId::new("p1"),
            userid: UserId::new(userid),
            name: "张三".into(),
            email: String::new(),
            memberships: Box::default(),
            identity: IdentityCache::default(),
            active: true,
        }),
        amr: Amr::App,
        auth_time: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(i64::MAX),
    }
}

fn headers(url: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-original-url", HeaderValue::from_str(url).unwrap());
    headers.insert("x-original-method", HeaderValue::from_static("GET"));
    headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    headers
}

/// Answers a check with these headers. Its session is already known.
fn check_of(
    f: &CheckerFixture,
    proxy: &ProxyProtocol,
    peer: Option<Peer>,
    headers: &HeaderMap,
    session: Result<&SignedInSession, SessionError>,
) -> CheckResponse {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = headers.clone();
    let (checker, check) = (&f.checker, ReceivedCheck { proxy, peer, parts: &parts });
    match checker.read_original(check) {
        Ok(original) => {
            let rules = Arc::clone(checker.rules());
            let resolved = ResolvedRules::new(rules, Arc::clone(&f.chart), Arc::clone(&f.bindings));
            checker.answer(check, &original, session, &resolved, |s, o| Some(format!("{}@{o}", s.sid)))
        }
        Err(refusal) => checker.refuse(check, refusal),
    }
}

fn check(
    f: &CheckerFixture,
    peer: Option<Peer>,
    headers: &HeaderMap,
    session: Result<&SignedInSession, SessionError>,
) -> CheckResponse {
    check_of(f, &NGINX, peer, headers, session)
}

fn status(f: &CheckerFixture, url: &str, session: Result<&SignedInSession, SessionError>) -> u16 {
    check(f, PROXY, &headers(url), session).status().as_u16()
}

fn code(f: &CheckerFixture, peer: Option<Peer>, headers: &HeaderMap) -> Option<&'static str> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = headers.clone();
    let check = ReceivedCheck { proxy: &NGINX, peer, parts: &parts };
    f.checker.read_original(check).err().map(|refusal| refusal.code())
}

#[test]
fn members_pass_others_sign_in_and_public_pages_are_open() {
    let f = checker_fixture();
    let me = signed_in("u");
    assert_eq!(status(&f, "https://app.example.com/x", Ok(&me)), 200);
    assert_eq!(status(&f, "https://app.example.com/x", Err(SessionError::Absent)), 401);
    assert_eq!(status(&f, "https://app.example.com/boss", Ok(&me)), 403);
    for why in [SessionError::Absent, SessionError::Duplicate, SessionError::Invalid, SessionError::Ended] {
        assert_eq!(status(&f, "https://app.example.com/public/x", Err(why)), 200);
        assert_eq!(status(&f, "https://app.example.com/x", Err(why)), 401);
    }
}

#[test]
fn case_11_without_a_store_nothing_passes_not_even_public_pages() {
    let f = checker_fixture();
    assert_eq!(status(&f, "https://app.example.com/x", Err(SessionError::Unavailable)), 401);
    assert_eq!(status(&f, "https://app.example.com/public/x", Err(SessionError::Unavailable)), 401);
}

#[test]
fn case_6_a_public_page_says_who_is_there_or_says_nobody() {
    let f = checker_fixture();
    let me = signed_in("u");
    let url = headers("https://app.example.com/public/x");
    let known = check(&f, PROXY, &url, Ok(&me));
    assert_eq!(known.headers()["remote-user"], "u");
    assert_eq!(known.headers()["gongpai-assertion"], "s1@https://app.example.com");
    let nobody = check(&f, PROXY, &url, Err(SessionError::Absent));
    for name in ["remote-user", "remote-name", "remote-email", "remote-groups", "gongpai-assertion"] {
        assert_eq!(nobody.headers()[name], "", "{name}");
    }
}

#[test]
fn case_1_only_a_trusted_proxy_is_answered() {
    let f = checker_fixture();
    let url = headers("https://app.example.com/public/x");
    let me = signed_in("u");
    for peer in [None, Some(Peer::Ip("10.0.0.1".parse().unwrap())), Some(Peer::Ip("::1".parse().unwrap()))] {
        assert_eq!(code(&f, peer, &url), Some("gate.untrusted_proxy"));
        assert_eq!(check(&f, peer, &url, Ok(&me)).status(), 403);
    }
    assert_eq!(code(&f, Some(Peer::Ip("127.0.0.1".parse().unwrap())), &url), None);
}

#[test]
fn a_host_of_nobody_is_refused_by_its_own_code() {
    let f = checker_fixture();
    assert_eq!(code(&f, PROXY, &headers("https://evil.example/public/x")), Some("gate.unknown_host"));
}

#[test]
fn a_denial_of_somebody_known_is_reported_without_the_query_and_never_waited_for() {
    let mut f = checker_fixture();
    let me = signed_in("u");
    let mut asked = headers("https://app.example.com/boss?token=secret");
    asked.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
    for _ in 0..3 {
        assert_eq!(check(&f, PROXY, &asked, Ok(&me)).status(), 403);
    }
    assert_eq!(
        check(&f, PROXY, &headers("https://app.example.com/public/..%2fboss"), Err(SessionError::Absent))
            .status(),
        403
    );
    let denial = f.denials.try_recv().unwrap();
    assert_eq!((denial.url.as_str(), denial.userid.as_str()), ("https://app.example.com/boss", "u"));
    assert_eq!(denial.rule.unwrap().0, 2);
    assert_eq!(denial.client, Some("203.0.113.9".parse().unwrap()));
    assert!(f.denials.try_recv().is_ok());
    assert!(f.denials.try_recv().is_err(), "the queue holds two, the third was counted instead");
    assert_eq!(f.checker.metrics.audit_dropped.get(), 1);
}

#[test]
fn a_warning_comes_once_in_ten_seconds_and_counts_what_it_held_back() {
    let f = checker_fixture();
    let pace = WarningThrottle::default();
    assert_eq!(pace.due(f.clock.now()), Some(0));
    assert_eq!(pace.due(f.clock.now()), None);
    assert_eq!(pace.due(f.clock.now()), None);
    f.clock.advance(WARNING_INTERVAL);
    assert_eq!(pace.due(f.clock.now()), Some(2));
}

proptest! {
    #[test]
    fn cases_11_and_39_whatever_is_sent_no_proxy_hears_a_2xx_that_no_rule_allowed(
        url in "(https://(app|oa)\\.example\\.com)?[/a-c.%;#?\\\\ 0-9]{0,24}",
        method in "[A-Z]{0,4}|\\PC{0,3}",
        extra in proptest::collection::vec((0..12_usize, "\\PC{0,12}"), 0..4),
        nobody: bool,
        is_away: bool,
    ) {
        let f = checker_fixture();
        let me = signed_in("u");
        for proxy in PROXIES {
            let others = ["accept", "referer", "origin", "x-forwarded-uri", "authorization", "cookie"];
            let names: Vec<&str> = proxy.request_headers.iter().copied().chain(others).collect();
            let mut all = headers("https://app.example.com/");
            for (name, value) in [("x-original-url", &url), ("x-original-method", &method)] {
                if let Ok(value) = HeaderValue::from_str(value) {
                    all.insert(name, value);
                }
            }
            for (name, value) in &extra {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    let name = names[name % names.len()].to_ascii_lowercase();
                    all.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
                }
            }
            let session = match (is_away, nobody) {
                (true, _) => Err(SessionError::Unavailable),
                (false, true) => Err(SessionError::Invalid),
                (false, false) => Ok(&me),
            };
            let response = check_of(&f, proxy, PROXY, &all, session);
            if response.status().is_success() {
                prop_assert!(!is_away, "{}: passed without a store", proxy.name);
                for name in proxy.identity_headers {
                    prop_assert_eq!(response.headers().get_all(*name).iter().count(), 1, "{}", name);
                }
                prop_assert_eq!(&response.headers()["remote-user"], if nobody { "" } else { "u" });
            } else {
                prop_assert!([302, 401, 403].contains(&response.status().as_u16()), "{}", proxy.name);
                for name in proxy.identity_headers {
                    prop_assert!(!response.headers().contains_key(*name), "{}", name);
                }
            }
            for peer in [None, Some(Peer::Ip("10.0.0.1".parse().unwrap()))] {
                prop_assert_eq!(check_of(&f, proxy, peer, &all, session).status().as_u16(), 403);
            }
        }
    }
}

#[test]
fn the_first_match_of_a_userid_is_told_and_later_ones_are_not() {
    let mut f = checker_fixture();
    let boss = signed_in("Boss");
    assert_eq!(status(&f, "https://app.example.com/boss", Ok(&boss)), 200);
    let first = FirstMatch { userid: UserId::new("Boss"), person: PersonId::new("p1") };
    assert_eq!(f.first_matches.try_recv(), Ok(first));
    f.bindings = Arc::new(RuleBindings::new([("boss".to_owned(), PersonId::new("p1"))]));
    assert_eq!(status(&f, "https://app.example.com/boss", Ok(&boss)), 200);
    f.bindings = Arc::new(RuleBindings::new([("boss".to_owned(), PersonId::new("p0"))]));
    assert_eq!(status(&f, "https://app.example.com/boss", Ok(&boss)), 403, "bound to somebody before");
    assert!(f.first_matches.try_recv().is_err());
}

#[test]
fn groups_are_those_of_the_chart_of_now() {
    let mut f = checker_fixture();
    let corp = CorpId::new("ww1");
    let unit = |id, name: &str| Unit {
        id: UnitId::from_department(&corp, id),
        wecom_id: Some(id),
        source: EntrySource::Wecom,
        parent: None,
        name: name.into(),
        name_en: String::new(),
        order: 0,
        leaders: vec![],
    };
    let mut me = signed_in("u");
    let place = |id| SessionMembership { unit: UnitId::from_department(&corp, id), leader: false };
    me.person =
        Arc::new(SessionPerson { memberships: [place(2)].into(), ..SessionPerson::clone(&me.person) });
    let groups = |f: &CheckerFixture, me: &SignedInSession| {
        let response = check(f, PROXY, &headers("https://app.example.com/a"), Ok(me));
        response.headers().get("remote-groups").unwrap().to_str().unwrap().to_owned()
    };
    f.chart = Arc::new(Chart::new(1, None, vec![unit(2, "a"), unit(3, "b")], vec![]));
    assert_eq!((groups(&f, &me), groups(&f, &me)), ("a".into(), "a".into()));
    // A rename by hand makes no new version of the chart; after that the person moves.
    f.chart = Arc::new(Chart::new(1, None, vec![unit(2, "c"), unit(3, "b")], vec![]));
    assert_eq!(groups(&f, &me), "c");
    me.person =
        Arc::new(SessionPerson { memberships: [place(3)].into(), ..SessionPerson::clone(&me.person) });
    assert_eq!(groups(&f, &me), "b");
}

#[test]
fn case_46_a_code_on_public_urls_host_is_sent_to_a_clean_sign_in_whoever_asks_and_however() {
    let f = checker_fixture();
    let me = signed_in("u");
    let code = "bjT3EWbzVGzMyNmyPGTWvyIbnXLmFVJ1LhKSZ5ZVj_o";
    let url = format!("https://oa.example.com/x?a=1&code={code}&state=S");
    for session in [Ok(&me), Err(SessionError::Absent)] {
        let answer = check(&f, PROXY, &headers(&url), session);
        assert_eq!(answer.status(), 401);
        let expected = "https://oa.example.com/_gongpai/login?rd=https%3A%2F%2Foa.example.com%2Fx%3Fa%3D1";
        assert_eq!(answer.headers()["location"], expected);
        let mut call = headers(&url);
        call.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
        let answer = check(&f, PROXY, &call, session);
        assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (401, None));
    }
    assert_eq!(status(&f, &format!("https://oa.example.com/oauth/cb?code={code}"), Ok(&me)), 200);
    assert_eq!(status(&f, &format!("https://app.example.com/x?code={code}"), Ok(&me)), 200);
}
