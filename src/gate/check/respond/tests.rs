//! Answers: statuses, headers, lengths.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::host::{AllowedHost, Origin, Scheme};
use crate::base::id::{PersonId, UserId};
use crate::gate::proxy::{NGINX, PROXIES, ProxyProtocol};
use crate::session::identity::IdentityCache;

fn hosts() -> Hosts {
    let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
    Hosts::new(public, vec![AllowedHost::parse("app.example.com:8443").unwrap()], "", false)
}

fn person(userid: &str, name: &str, email: &str) -> SessionPerson {
    SessionPerson {
        id: PersonId::new("p"),
        userid: UserId::new(userid),
        name: name.into(),
        email: email.into(),
        active: true,
        memberships: Box::default(),
        identity: IdentityCache::default(),
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn original<'a>(target: &'a str, method: &'a str) -> OriginalRequest<'a> {
    let origin = Origin::from_authority(Scheme::Https, "app.example.com:8443").unwrap();
    OriginalRequest { origin: Arc::new(origin), target: target.into(), method: Some(method) }
}

fn allow(identity: Option<&IdentityHeaders>, assertion: Option<&str>) -> CheckResponse {
    (NGINX.allow)(&AllowedCheck::new(identity, assertion, &HeaderMap::new())).into_response()
}

fn stop(proxy: &ProxyProtocol, stopped: &StoppedCheck) -> CheckResponse {
    (proxy.stop)(stopped).into_response()
}

fn require_sign_in(original: &OriginalRequest<'_>, headers: &HeaderMap) -> CheckResponse {
    stop(&NGINX, &StoppedCheck::sign_in("gate.unauthenticated", original, headers, &hosts()))
}

fn text<'r>(response: &'r CheckResponse, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|v| v.to_str().unwrap())
}

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

fn location(target: &str, method: &str, more: &[(&'static str, &str)]) -> Option<String> {
    let all: Vec<_> = [NAVIGATION].iter().chain(more).copied().collect();
    let response = require_sign_in(&original(target, method), &headers(&all));
    assert_eq!(response.status(), 401);
    text(&response, "location").map(str::to_owned)
}

#[test]
fn case_6_every_200_has_every_identity_header() {
    let zhang = person("zhangsan", "张三", "z@example.com");
    for who in [None, Some(build_identity(&zhang, ""))] {
        let response = allow(who.as_ref(), Some("a.b.c"));
        assert_eq!(response.status(), 200);
        for name in ["remote-user", "remote-name", "remote-email", "remote-groups", "gongpai-assertion"] {
            assert_eq!(response.headers().get_all(name).iter().count(), 1, "{name}");
        }
    }
    let response = allow(Some(&build_identity(&zhang, "x")), None);
    assert_eq!(text(&response, "remote-user"), Some("zhangsan"));
    assert_eq!(text(&response, "remote-name"), Some("%E5%BC%A0%E4%B8%89"));
    assert_eq!(text(&response, "remote-email"), Some("z@example.com"));
    assert_eq!(text(&response, "remote-groups"), Some("x"));
    assert_eq!(text(&response, "gongpai-assertion"), None);
}

#[test]
fn case_23_no_name_can_break_a_header() {
    let response = allow(Some(&build_identity(&person("a\r\nRemote-User: b", "x\0\r\n", "é@x"), "")), None);
    assert_eq!(text(&response, "remote-user"), Some("a%0D%0ARemote-User%3A%20b"));
    assert_eq!(text(&response, "remote-name"), Some("x%00%0D%0A"));
    assert_eq!(text(&response, "remote-email"), Some("%C3%A9%40x"));
    let response = allow(Some(&build_identity(&person("li%2esi", "", ""), "")), None);
    assert_eq!(text(&response, "remote-user"), Some("li%252esi"), "decoding must give the userid back");
    for (userid, sent) in [
        ("a+b", "a+b"),
        ("w#1", "w#1"),
        ("_lead", "_lead"),
        ("张三", "%E5%BC%A0%E4%B8%89"),
        ("a,root", "a%2Croot"),
    ] {
        let response = allow(Some(&build_identity(&person(userid, "", ""), "")), None);
        assert_eq!(text(&response, "remote-user"), Some(sent));
    }
}

fn encode_groups<'g>(elements: impl IntoIterator<Item = &'g str>) -> String {
    let encoded: Vec<String> = elements.into_iter().map(percent_encode).collect();
    join_groups(encoded.iter().map(String::as_str))
}

#[test]
fn groups_are_encoded_joined_and_cut_at_two_kilobytes_with_a_mark() {
    assert_eq!(encode_groups([]), "");
    assert_eq!(
        encode_groups(["财务部/出纳", "a,b"]),
        "%E8%B4%A2%E5%8A%A1%E9%83%A8%2F%E5%87%BA%E7%BA%B3,a%2Cb"
    );
    assert_eq!(encode_groups(["x".repeat(2048).as_str()]).len(), 2048);
    assert_eq!(encode_groups(["x".repeat(2049).as_str()]), "...");
    let many = vec!["abcdefg"; 1000];
    let cut = encode_groups(many.iter().copied());
    assert!(cut.len() <= 2048 && cut.ends_with("abcdefg,..."), "{}", cut.len());
    assert!(encode_groups(["a", "x".repeat(2046).as_str()]).len() == 2048);
    assert_eq!(encode_groups(["a", "x".repeat(2047).as_str()]), "a,...");
}

#[test]
fn case_51_a_unit_is_not_taken_for_the_tag_of_its_name() {
    use crate::base::id::{CorpId, TagId, UnitId};
    use crate::directory::{EntrySource, Tag, Unit};
    use crate::session::SessionMembership;

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
    let tag = Tag {
        id: TagId::from_tag(&corp, 7),
        wecom_id: Some(7),
        name: "管理员".into(),
        users: vec![UserId::new("li")],
        units: vec![],
    };
    let chart = Chart::new(1, None, vec![unit(2, "管理员"), unit(3, "tag:管理员")], vec![tag]);
    let place = |id| SessionMembership { unit: UnitId::from_department(&corp, id), leader: false };
    let in_unit =
        |userid: &str, id| SessionPerson { memberships: [place(id)].into(), ..person(userid, "", "") };
    let groups = |person: &SessionPerson| encode_person_groups(person, &chart, GroupFormat::Paths);
    let name = "%E7%AE%A1%E7%90%86%E5%91%98";
    assert_eq!(groups(&in_unit("wang", 2)), name);
    assert_eq!(groups(&in_unit("wang", 3)), format!("tag%3A{name}"));
    assert_eq!(groups(&in_unit("li", 3)), format!("tag%3A{name},tag:{name}"));
}

#[test]
fn what_no_url_has_as_it_is_comes_back_encoded() {
    let root = "https://app.example.com:8443/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%3A8443%2F";
    for (target, rd) in [
        ("/search?q=%D6%D0", "search%3Fq%3D%25D6%25D0"),
        ("/财\u{3000}务", "%25E8%25B4%25A2%25E3%2580%2580%25E5%258A%25A1"),
        ("/a\\b\u{fffd}", "a%255Cb%25EF%25BF%25BD"),
    ] {
        assert_eq!(location(target, "GET", &[]).unwrap(), format!("{root}{rd}"), "{target}");
    }
}

#[test]
fn a_navigation_is_sent_to_sign_in_on_its_own_host_and_comes_back_whole() {
    assert_eq!(
        location("/a/b?x=1&y=2", "GET", &[]).unwrap(),
        "https://app.example.com:8443/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%3A8443%2Fa%2Fb%3Fx%3D1%26y%3D2"
    );
}

#[test]
fn a_location_is_at_most_two_kilobytes() {
    let root = "https://app.example.com:8443/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%3A8443%2F";
    assert_eq!(location(&format!("/a?{}", "x".repeat(3000)), "GET", &[]).unwrap(), format!("{root}a"));
    assert_eq!(location(&format!("/{}?q", "x".repeat(3000)), "GET", &[]).unwrap(), root);
    assert_eq!(location("//evil.example/", "GET", &[]).unwrap(), root);
}

#[test]
fn a_post_comes_back_to_the_page_it_was_sent_from_if_that_is_ours() {
    let root = "https://app.example.com:8443/_gongpai/login?rd=https%3A%2F%2Fapp.example.com%3A8443%2F";
    let post = |referer: &str| location("/save", "POST", &[("referer", referer)]).unwrap();
    assert_eq!(post("https://app.example.com:8443/form"), format!("{root}form"));
    for foreign in ["https://evil.example/", "https://oa.example.com/x", "/form\\", "about:blank", ""] {
        assert_eq!(post(foreign), root, "{foreign}");
    }
    assert_eq!(location("/save", "POST", &[]).unwrap(), root);
}

#[test]
fn only_a_navigation_gets_a_location() {
    for call in [&[("sec-fetch-mode", "cors")][..], &[("accept", "application/json")], &[]] {
        let response = require_sign_in(&original("/api", "GET"), &headers(call));
        assert_eq!(text(&response, "location"), None, "{call:?}");
    }
}

#[test]
fn a_denied_navigation_of_somebody_known_is_shown_the_page_that_says_why() {
    let (asked, navigation) = (original("/a?b", "GET"), headers(&[NAVIGATION]));
    let deny = |explain| stop(&NGINX, &StoppedCheck::denied(explain, &asked, &navigation, &hosts()));
    let shown = deny(true);
    assert_eq!(shown.status(), 403);
    assert_eq!(
        text(&shown, "gongpai-denied"),
        Some("https://app.example.com:8443/_gongpai/denied?rd=https%3A%2F%2Fapp.example.com%3A8443%2Fa%3Fb")
    );
    assert_eq!(text(&shown, "location"), None);
    assert_eq!(text(&deny(false), "gongpai-denied"), None);
}

#[test]
fn cases_6_and_40_every_proxys_2xx_has_every_identity_header_and_no_answer_sets_a_cookie_or_may_be_stored() {
    let (original, navigation) = (original("/", "GET"), headers(&[NAVIGATION]));
    let someone = build_identity(&person("zhangsan", "张三", "z@example.com"), "");
    for proxy in PROXIES {
        let allow = |identity| {
            (proxy.allow)(&AllowedCheck::new(identity, Some("a.b.c"), &navigation)).into_response()
        };
        let allowed = [allow(None), allow(Some(&someone))];
        for response in &allowed {
            assert!(response.status().is_success(), "{}", proxy.name);
            for name in proxy.identity_headers {
                assert_eq!(response.headers().get_all(*name).iter().count(), 1, "{}: {name}", proxy.name);
            }
        }
        let stopped = [
            StoppedCheck::sign_in("gate.unauthenticated", &original, &navigation, &hosts()),
            StoppedCheck::denied(true, &original, &navigation, &hosts()),
            StoppedCheck::Refused(CheckRefusal::Malformed),
            StoppedCheck::Refused(CheckRefusal::UntrustedProxy),
        ];
        let stopped = stopped.map(|stopped| stop(proxy, &stopped));
        for response in &stopped {
            assert!(!response.status().is_success(), "{}", proxy.name);
            for name in proxy.identity_headers {
                assert_eq!(text(response, &name.to_ascii_lowercase()), None, "{}", proxy.name);
            }
        }
        for response in allowed.iter().chain(&stopped) {
            assert_eq!(text(response, "set-cookie"), None, "{}", proxy.name);
            assert_eq!(text(response, "cache-control"), Some("no-store"), "{}", proxy.name);
        }
    }
}

proptest! {
    #[test]
    fn case_12_every_location_is_ours_ascii_and_short(target in "/\\PC{0,40}", referer in "\\PC{0,40}", post: bool) {
        let method = if post { "POST" } else { "GET" };
        let mut all = headers(&[NAVIGATION]);
        if let Ok(referer) = HeaderValue::from_str(&referer) {
            all.insert(REFERER, referer);
        }
        let response = require_sign_in(&original(&target, method), &all);
        let location = text(&response, "location").unwrap();
        let rd = location.strip_prefix("https://app.example.com:8443/_gongpai/login?rd=").unwrap();
        prop_assert!(urlencoding::decode(rd).unwrap().starts_with("https://app.example.com:8443/"));
        prop_assert!(location.len() <= MAX_LOCATION_BYTES);
    }
}
