//! Hostile checks: one table of what an attacker would send, run over every kind of proxy.
//!
//! A row of [`ROWS`] says how a proxy describes a request; everything else here holds for all of
//! them. The requests are written to the socket byte by byte, because an HTTP library would repair
//! them.

use std::collections::BTreeSet;
use std::time::Duration;

use gongpai::testing::gate::proxy::client_headers::{
    CLEARED_HEADERS, FORWARDED_HEADERS, IDENTITY_HEADERS, list_spellings,
};
use gongpai::testing::gate::proxy::{PROXIES, ProxyProtocol};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::echo::{RawResponse, send_raw};

/// One kind of proxy as this suite needs it.
struct ProxyRow {
    name: &'static str,
    /// How it asks about a request.
    describe: fn(&HostileRequest) -> DescribedCheck,
    /// What it can be answered with.
    statuses: &'static [u16],
    /// The answer to a program that is not signed in.
    sign_in_status: u16,
    /// The answer to somebody whom the rules refuse.
    denied_status: u16,
}

/// Each kind of proxy that the gate knows.
const ROWS: &[ProxyRow] = &[ProxyRow {
    name: "nginx",
    describe: describe_to_nginx,
    statuses: &[200, 401, 403],
    sign_in_status: 401,
    denied_status: 403,
}];

fn describe_to_nginx(request: &HostileRequest) -> DescribedCheck {
    let url = [&request.scheme, &b"://"[..], &request.authority, &request.target].concat();
    DescribedCheck {
        request_line: b"GET /auth/nginx HTTP/1.1\r\n".to_vec(),
        headers: vec![
            ("Host".to_owned(), b"gateway".to_vec()),
            ("X-Original-URL".to_owned(), url),
            ("X-Original-Method".to_owned(), request.method.clone()),
        ],
    }
}

#[test]
fn every_proxy_of_the_gate_has_a_row() {
    let known: BTreeSet<_> = PROXIES.iter().map(|proxy| proxy.name).collect();
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(rows, known, "a proxy of the gate is attacked by nobody");
}

/// A request to an application, in pieces, each of them any bytes.
#[derive(Clone)]
struct HostileRequest {
    scheme: Vec<u8>,
    authority: Vec<u8>,
    target: Vec<u8>,
    method: Vec<u8>,
}

impl HostileRequest {
    fn new(method: &str, target: &str) -> Self {
        Self {
            scheme: b"https".to_vec(),
            authority: b"oa.example.com".to_vec(),
            target: target.into(),
            method: method.into(),
        }
    }
}

/// A check as a proxy sends it.
#[derive(Clone)]
struct DescribedCheck {
    request_line: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

impl DescribedCheck {
    /// Returns where the header stands; panics if there is none.
    fn find(&self, name: &str) -> usize {
        let found = self.headers.iter().position(|(own, _)| own.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("the row of the proxy does not send {name}"))
    }
}

/// Whether `proxy` describes a request by the header.
fn describes_by(proxy: &ProxyProtocol, header: &str) -> bool {
    proxy.request_headers.iter().any(|own| own.eq_ignore_ascii_case(header))
}

/// A closed folder, an open one, one that is closed to writers, and the rest for members.
const RULES: &str = r#"
[gate]
assertion = true
[[rules]]
host = "oa.example.com"
path = "/admin/**"
allow = ["user:lisi"]
[[rules]]
host = "oa.example.com"
path = "/public/**"
allow = ["anyone"]
[[rules]]
host = "oa.example.com"
path = "/reports/**"
methods = ["GET", "HEAD"]
allow = ["members"]
[[rules]]
host = "oa.example.com"
path = "/reports/**"
allow = ["user:lisi"]
[[rules]]
host = "oa.example.com"
allow = ["members"]
"#;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    Nobody,
    /// Zhang San, who may not open `/admin`.
    Member,
}

const VISITORS: [Visitor; 2] = [Visitor::Nobody, Visitor::Member];

/// What the check of a plain request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlainAnswer {
    /// It passes, and the application is told this userid.
    Passes(&'static str),
    SignIn,
    Denied,
}

/// Requests whose decision nothing that a client adds may change. `/healthz` is a page of the
/// application like any other.
const PLAIN_REQUESTS: [(Visitor, &str, &str, PlainAnswer); 8] = [
    (Visitor::Nobody, "GET", "/work/x", PlainAnswer::SignIn),
    (Visitor::Member, "GET", "/work/x", PlainAnswer::Passes("zhangsan")),
    (Visitor::Nobody, "GET", "/healthz", PlainAnswer::SignIn),
    (Visitor::Member, "GET", "/healthz", PlainAnswer::Passes("zhangsan")),
    (Visitor::Member, "GET", "/admin/x", PlainAnswer::Denied),
    (Visitor::Member, "POST", "/reports/x", PlainAnswer::Denied),
    (Visitor::Nobody, "GET", "/public/x", PlainAnswer::Passes("")),
    (Visitor::Member, "GET", "/public/x", PlainAnswer::Passes("zhangsan")),
];

/// A gateway with [`RULES`], a proxy in front of it, and a person who is signed in.
struct Attack<'t> {
    t: &'t TestApp,
    row: &'static ProxyRow,
    proxy: &'static ProxyProtocol,
    cookie: String,
}

impl Attack<'_> {
    fn describe(&self, visitor: Visitor, request: &HostileRequest) -> DescribedCheck {
        let mut check = (self.row.describe)(request);
        if visitor == Visitor::Member {
            check.headers.push(("Cookie".to_owned(), self.cookie.clone().into_bytes()));
        }
        check
    }

    /// Sends a check and asserts what holds for every answer.
    async fn send(&self, check: &DescribedCheck) -> RawResponse {
        let mut bytes = check.request_line.clone();
        for (name, value) in &check.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"Connection: close\r\n\r\n");
        let answer = send_raw(self.t.address, &bytes).await;
        let shown = || format!("{}: {}", self.row.name, String::from_utf8_lossy(&bytes));
        assert!(self.row.statuses.contains(&answer.status), "{} for {}", answer.status, shown());
        assert!(answer.head.values_like("set-cookie").is_empty(), "{}", shown());
        for name in self.proxy.identity_headers {
            let count = answer.head.values_like(name).len();
            assert_eq!(count, usize::from(answer.status / 100 == 2), "{name} for {}", shown());
        }
        answer
    }

    /// Asserts that `check` is not answered with a 2xx.
    async fn assert_stopped(&self, check: &DescribedCheck, what: &str) -> RawResponse {
        let answer = self.send(check).await;
        assert_ne!(answer.status / 100, 2, "{}: {what}", self.row.name);
        answer
    }
}

/// Runs `attack` against a gateway with `toml`, once for each proxy.
async fn attack_every_proxy(toml: &str, attack: impl AsyncFn(&Attack<'_>)) {
    let t = TestApp::with(toml).await;
    let phone = t.signed_in("zhangsan").await;
    let cookie = phone.cookies.header(&PUBLIC_URL.parse().expect("a URL")).expect("a session");
    for row in ROWS {
        let proxy = PROXIES.iter().find(|proxy| proxy.name == row.name).expect("a proxy of the gate");
        attack(&Attack { t: &t, row, proxy, cookie: cookie.clone() }).await;
    }
}

/// Asserts that `extra` changes the decision of none of [`PLAIN_REQUESTS`].
async fn assert_changes_nothing(attack: &Attack<'_>, extra: &[(String, Vec<u8>)]) {
    assert_decisions_stay(attack, &format!("{extra:?}"), |check| check.headers.extend_from_slice(extra))
        .await;
}

/// Asserts that each of [`PLAIN_REQUESTS`] comes to its answer after `change`.
async fn assert_decisions_stay(attack: &Attack<'_>, what: &str, change: impl Fn(&mut DescribedCheck)) {
    for (visitor, method, target, expected) in PLAIN_REQUESTS {
        let mut check = attack.describe(visitor, &HostileRequest::new(method, target));
        change(&mut check);
        let answer = attack.send(&check).await;
        let user = answer.head.one("remote-user");
        let wanted = match expected {
            PlainAnswer::Passes(user) => (200, Some(user)),
            PlainAnswer::SignIn => (attack.row.sign_in_status, None),
            PlainAnswer::Denied => (attack.row.denied_status, None),
        };
        let shown = format!("{}: {method} {target} for {visitor:?} with {what}", attack.row.name);
        assert_eq!((answer.status, user), wanted, "{shown}");
    }
}

/// Headers by which a client pretends to be another request, another program or somebody else.
const LIES: &[(&str, &[u8])] = &[
    ("X-Forwarded-Uri", b"/public/x"),
    ("X-Forwarded-Uri", b"/healthz"),
    ("X-Forwarded-Host", b"app.example.com"),
    ("X-Forwarded-Host", b"evil.example"),
    ("X-Forwarded-Proto", b"http"),
    ("X-Forwarded-Proto", b"ftp"),
    ("X-Forwarded-Method", b"OPTIONS"),
    ("X-Forwarded-Port", b"8443"),
    ("X-Forwarded-Prefix", b"/public"),
    ("X-Forwarded-Path", b"/public/x"),
    ("X-Forwarded-Server", b"evil"),
    ("X-Forwarded-For", b"127.0.0.1"),
    ("X-Forwarded-For", b"\xff, ,,"),
    ("X-Real-IP", b"127.0.0.1"),
    ("X-Original-URL", b"https://oa.example.com/public/x"),
    ("X-Original-URI", b"/public/x"),
    ("X-Original-Method", b"GET"),
    ("X-Original-Host", b"app.example.com"),
    ("X_Original_URL", b"https://oa.example.com/public/x"),
    ("X-Original_Method", b"GET"),
    ("X-Rewrite-URL", b"/public/x"),
    ("X-Envoy-Original-Path", b"/public/x"),
    ("X-Script-Name", b"/public"),
    ("X-Auth-Request-Redirect", b"https://oa.example.com/public/x"),
    ("Forwarded", b"for=127.0.0.1;host=app.example.com;proto=http"),
    ("X-HTTP-Method-Override", b"GET"),
    ("X-HTTP-Method", b"GET"),
    ("X-Method-Override", b"GET"),
    ("X-Middleware-Subrequest", b"middleware:middleware:middleware"),
    ("Gongpai-Authorization", b"own"),
    ("Gongpai-Denied", b"https://evil.example/"),
    ("Gongpai-Cookie", b"a=b"),
    ("Authorization", b"Basic YWRtaW46YWRtaW4="),
    ("Authorization", b"Bearer x"),
    ("Authorization", b"Bearer \xff"),
    ("Proxy-Authorization", b"Basic YWRtaW46YWRtaW4="),
    ("User-Agent", b"kube-probe/1.29"),
    ("User-Agent", b"GoogleHC/1.0"),
    ("User-Agent", b"ELB-HealthChecker/2.0"),
    ("User-Agent", b"Consul Health Check"),
    ("X-Health-Check", b"1"),
    ("Upgrade", b"websocket"),
    ("Expect", b"200-ok"),
    ("Origin", b"https://evil.example"),
    ("Sec-Fetch-Site", b"cross-site"),
    ("Referer", b"https://evil.example/\xff"),
    ("Accept", b"\xff"),
    ("X-Request-Id", b"\xff"),
    ("OpenId", b"oAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("X-Openid", b"oAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("X-Wx-Openid", b"oAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("X-External-Userid", b"wmAAAAAAAAAAAAAAAAAAAAAAAAAA"),
];

#[tokio::test]
async fn cases_1_2_and_11_no_header_that_a_client_adds_changes_a_decision() {
    attack_every_proxy(RULES, async |attack| {
        for (name, value) in LIES {
            // A second header of the proxy's own family is a refusal, not a choice.
            if !describes_by(attack.proxy, name) {
                assert_changes_nothing(attack, &[((*name).to_owned(), value.to_vec())]).await;
            }
        }
        let long = vec![b'a'; 32 * 1024];
        assert_changes_nothing(attack, &[("X-Forwarded-Uri".to_owned(), long.clone())]).await;
        assert_changes_nothing(attack, &[("X-Custom".to_owned(), long)]).await;
    })
    .await;
}

#[tokio::test]
async fn cases_5_and_52_a_name_of_ours_or_of_another_product_names_nobody_in_any_spelling() {
    attack_every_proxy(RULES, async |attack| {
        let names = IDENTITY_HEADERS.iter().chain(&FORWARDED_HEADERS).chain(CLEARED_HEADERS);
        let spelt: Vec<(String, Vec<u8>)> = names
            .flat_map(|name| list_spellings(name))
            .filter(|name| !describes_by(attack.proxy, name))
            .map(|name| (name, b"lisi".to_vec()))
            .collect();
        // A request has at most a hundred headers.
        for some in spelt.chunks(80) {
            assert_changes_nothing(attack, some).await;
        }
    })
    .await;
}

#[tokio::test]
async fn case_38_the_host_of_the_check_itself_decides_nothing_unless_it_describes_the_request() {
    let hosts: &[&[&[u8]]] = &[
        &[],
        &[b""],
        &[b"evil.example"],
        &[b"app.example.com"],
        &[b"oa.example.com"],
        &[b"oa.example.com:99999"],
        &[b"oa.example.com@evil.example/public/x"],
        &[b"\xff"],
        &[&[b'a'; 8 * 1024]],
        &[b"gateway", b"gateway"],
        &[b"gateway", b"evil.example"],
        &[b"evil.example", b"gateway"],
    ];
    attack_every_proxy(RULES, async |attack| {
        for sent in hosts {
            let replace = |check: &mut DescribedCheck| {
                check.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
                let sent = sent.iter().map(|host| ("Host".to_owned(), host.to_vec()));
                check.headers.splice(0..0, sent).for_each(drop);
            };
            let shown: Vec<_> = sent.iter().map(|host| String::from_utf8_lossy(host)).collect();
            let what = format!("Host {shown:?}");
            if !describes_by(attack.proxy, "host") {
                assert_decisions_stay(attack, &what, replace).await;
            } else if sent != &[b"oa.example.com".as_slice()] {
                let mut check = attack.describe(Visitor::Member, &HostileRequest::new("GET", "/public/x"));
                replace(&mut check);
                attack.assert_stopped(&check, &what).await;
            }
        }
    })
    .await;
}

/// Breaks the header at a place.
type BreakHeader = fn(&mut DescribedCheck, usize);

#[tokio::test]
async fn cases_1_and_38_a_request_that_is_not_described_exactly_once_is_refused() {
    attack_every_proxy(RULES, async |attack| {
        let closed = HostileRequest::new("GET", "/admin/x");
        let open = HostileRequest::new("GET", "/public/x");
        for own in attack.proxy.request_headers {
            let broken: &[(&str, BreakHeader)] = &[
                ("missing", |check, at| drop(check.headers.remove(at))),
                ("empty", |check, at| check.headers[at].1.clear()),
                ("doubled", |check, at| check.headers.push(check.headers[at].clone())),
                ("doubled in another spelling", |check, at| {
                    let (name, value) = check.headers[at].clone();
                    check.headers.push((name.to_uppercase(), value));
                }),
                ("not UTF-8", |check, at| check.headers[at].1 = b"\xff".to_vec()),
                ("blank inside", |check, at| check.headers[at].1.splice(1..1, *b" \t ").for_each(drop)),
                ("renamed", |check, at| {
                    let name = &mut check.headers[at].0;
                    *name = if name.contains('-') { name.replace('-', "_") } else { format!("{name}_") };
                }),
            ];
            for (how, break_it) in broken {
                for visitor in VISITORS {
                    let mut check = attack.describe(visitor, &open);
                    let place = check.find(own);
                    break_it(&mut check, place);
                    let answer = attack.assert_stopped(&check, &format!("{own} {how}")).await;
                    assert!(answer.body.contains("gate.malformed_request"), "{own} {how}: {}", answer.body);
                }
            }
            // What another request is described by beside it does not open a closed page.
            for first in [true, false] {
                let mut check = attack.describe(Visitor::Member, &closed);
                let other = attack.describe(Visitor::Nobody, &open);
                let (place, lie) = (check.find(own), other.find(own));
                let place = if first { place } else { check.headers.len() };
                check.headers.insert(place, other.headers[lie].clone());
                attack.assert_stopped(&check, &format!("{own} twice")).await;
            }
        }
        // Nothing at all is said about the request.
        let mut check = attack.describe(Visitor::Member, &open);
        check.headers.retain(|(name, _)| !describes_by(attack.proxy, name));
        attack.assert_stopped(&check, "no description").await;
        for (name, value) in LIES.iter().filter(|(name, _)| !describes_by(attack.proxy, name)) {
            check.headers.push(((*name).to_owned(), value.to_vec()));
        }
        attack.assert_stopped(&check, "the description of another proxy").await;
    })
    .await;
}

#[tokio::test]
async fn cases_10_and_38_a_host_that_is_none_of_ours_is_refused_in_every_spelling() {
    let long = [b'a'; 8 * 1024];
    let mut hosts: Vec<(&[u8], &[u8])> = vec![
        (b"https", b"evil.example"),
        (b"https", b"oa.example.com.evil.example"),
        (b"https", b"evil-oa.example.com"),
        (b"https", b"oa.example.com:8443"),
        (b"https", b"oa.example.com:99999"),
        (b"https", b"oa.example.com:443:443"),
        (b"https", b"oa.example.com@evil.example"),
        (b"https", b"user:pw@oa.example.com"),
        (b"https", b"evil.example\\@oa.example.com"),
        (b"https", b"evil.example#@oa.example.com"),
        (b"https", b"evil.example?@oa.example.com"),
        (b"https", b""),
        (b"https", b"."),
        (b"https", b"%"),
        (b"https", b"[::1"),
        (b"https", b"127.0.0.1"),
        (b"https", b"oa.example.com, app.example.com"),
        (b"https", b"oa example.com"),
        (b"https", b"oa.example.com\xff"),
        (b"https", b"\xff"),
        (b"https", b"oa.example.com%2eevil.example"),
        (b"https", b"oa.example.com%00.evil.example"),
        (b"https", "oa.example.com\u{3002}evil.example".as_bytes()),
        (b"https", "evil.example\u{ff0f}oa.example.com".as_bytes()),
        (b"ftp", b"oa.example.com"),
        (b"javascript", b"oa.example.com"),
        (b"https,http", b"oa.example.com"),
        (b"\xff", b"oa.example.com"),
    ];
    hosts.push((b"https", &long));
    attack_every_proxy(RULES, async |attack| {
        for (scheme, authority) in &hosts {
            for visitor in VISITORS {
                let mut request = HostileRequest::new("GET", "/public/x");
                (request.scheme, request.authority) = (scheme.to_vec(), authority.to_vec());
                let check = attack.describe(visitor, &request);
                let what = String::from_utf8_lossy(authority).into_owned();
                let answer = attack.assert_stopped(&check, &what).await;
                let is_named = ["gate.unknown_host", "gate.malformed_request"].iter();
                assert!(is_named.clone().any(|code| answer.body.contains(code)), "{what}: {}", answer.body);
                assert_eq!(answer.head.one("location"), None, "{what}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn cases_3_4_9_42_43_and_44_no_spelling_of_a_closed_path_opens_it() {
    let long = [b"/admin/".as_slice(), &[b'a'; 40 * 1024]].concat();
    let mut targets: Vec<&[u8]> = vec![
        b"/admin",
        b"/admin/",
        b"/admin?x=/public/x",
        b"/admin/../admin/x",
        b"/ADMIN/x",
        b"/%61dmin/x",
        b"/%2561dmin/x",
        b"//admin/x",
        b"//x/admin",
        b"///admin",
        b"/public/../admin",
        b"/public/%2e%2e/admin",
        b"/public/..%2fadmin",
        b"/public/..%5cadmin",
        b"/public/..\\admin",
        b"/public/..;/admin",
        b"/public/..;x=1/admin",
        b"/public/%252e%252e/admin",
        b"/public/..%20/admin",
        b"/admin%3f/x",
        b"/admin%23x",
        b"/admin%00",
        b"/admin%20",
        b"/admin;/public/x",
        b"/admin%3b/x",
        b"/admin./x",
        b"/public/x%0d%0aGET%20/admin",
        "/public/\u{ff0e}\u{ff0e}/admin".as_bytes(),
        "/\u{ff41}dmin/x".as_bytes(),
        b"/\xff/../admin",
        b"/admin/\xd6\xd0",
        b"/admin/%D6%D0",
        b"/public/x#/../../admin",
        b"/x#/public/x",
        b"admin/x",
        b"",
        b"*",
        b"?/public/x",
        b"#/public/x",
    ];
    targets.push(&long);
    attack_every_proxy(RULES, async |attack| {
        for target in &targets {
            for visitor in VISITORS {
                let mut request = HostileRequest::new("GET", "");
                request.target = target.to_vec();
                let check = attack.describe(visitor, &request);
                attack.assert_stopped(&check, &String::from_utf8_lossy(target)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_method_that_a_rule_does_not_name_passes_in_no_spelling() {
    let long = b"GET".repeat(4 * 1024);
    let mut methods: Vec<&[u8]> = vec![
        b"POST",
        b"PUT",
        b"PATCH",
        b"DELETE",
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"PROPFIND",
        b"GETT",
        b"GETGET",
        b"",
        b"*",
        b"GE T",
        b"GET, POST",
        b"POST,GET",
        b"(GET)",
        b"\"GET\"",
        b"GET/1.1",
        b"G\xc3\x89T",
        b"\xff",
        b"GET\xff",
    ];
    methods.push(&long);
    attack_every_proxy(RULES, async |attack| {
        for method in &methods {
            let mut request = HostileRequest::new("", "/reports/x");
            request.method = method.to_vec();
            let check = attack.describe(Visitor::Member, &request);
            attack.assert_stopped(&check, &String::from_utf8_lossy(method)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn cases_11_and_38_a_cookie_that_is_no_session_is_nobody() {
    attack_every_proxy(RULES, async |attack| {
        let good = attack.cookie.split("; ").find(|c| c.starts_with("__Host-gongpai=")).expect("a session");
        let token = good.split_once('=').expect("a value").1;
        let huge = "a".repeat(30 * 1024);
        for cookies in [
            vec!["__Host-gongpai=".to_owned()],
            vec!["__Host-gongpai=junk".to_owned()],
            vec![format!("__Host-gongpai={huge}")],
            vec!["__Host-gongpai=\u{fffd}".to_owned()],
            vec![format!("__Host-gongpai={token}x")],
            vec![format!("__Host-gongpai=\"{token}\"; __Host-gongpai=")],
            vec![format!("{good}; {good}")],
            vec![format!("{good}; a=1; __Host-gongpai=x")],
            vec![good.to_owned(), good.to_owned()],
            vec![good.to_owned(), "__Host-gongpai=x".to_owned()],
            vec![format!("gongpai={token}")],
            vec![format!("__Secure-gongpai={token}")],
            vec![format!("__host-gongpai={token}")],
            vec![format!("__Host-gongpai-s-01234567={token}")],
            vec![(0..1000).map(|n| format!("c{n}={n}; ")).collect()],
        ] {
            for (target, user) in [("/work/x", None), ("/public/x", Some(""))] {
                let mut check = attack.describe(Visitor::Nobody, &HostileRequest::new("GET", target));
                check.headers.extend(cookies.iter().map(|c| ("Cookie".to_owned(), c.clone().into_bytes())));
                let answer = attack.send(&check).await;
                let seen =
                    (answer.status / 100 == 2).then(|| answer.head.one("remote-user").unwrap_or_default());
                assert_eq!(seen, user, "{}: {target} with {cookies:?}", attack.row.name);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn case_1_whoever_is_no_trusted_proxy_is_refused() {
    let toml = format!(
        "[server]\nsecret = \"c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=\"\ntrusted_proxies = []\n{RULES}"
    );
    let t = TestApp::with(&toml).await;
    for row in ROWS {
        let proxy = PROXIES.iter().find(|proxy| proxy.name == row.name).expect("a proxy of the gate");
        let attack = Attack { t: &t, row, proxy, cookie: String::new() };
        for (name, value) in LIES {
            let mut check = attack.describe(Visitor::Nobody, &HostileRequest::new("GET", "/public/x"));
            check.headers.push(((*name).to_owned(), value.to_vec()));
            let answer = attack.assert_stopped(&check, name).await;
            assert_eq!(answer.status, 403, "{}", row.name);
            assert!(answer.body.contains("gate.untrusted_proxy"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn case_11_without_the_database_nothing_passes_once_memory_is_stale() {
    attack_every_proxy(RULES, async |attack| {
        attack.t.app.db.close().await;
        attack.t.app.sessions.refresh().await.expect_err("the database is closed");
        attack.t.app.clock.advance(Duration::from_secs(61));
        for (visitor, method, target, _) in PLAIN_REQUESTS {
            let check = attack.describe(visitor, &HostileRequest::new(method, target));
            attack.assert_stopped(&check, target).await;
        }
    })
    .await;
}

#[test]
fn case_11_whatever_is_sent_a_check_is_2xx_only_with_a_session_or_on_a_public_page() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let t = runtime.block_on(TestApp::with(RULES));
    let phone = runtime.block_on(t.signed_in("zhangsan"));
    let cookie = phone.cookies.header(&PUBLIC_URL.parse().expect("a URL")).expect("a session");
    let bytes = prop::collection::vec(
        any::<u8>().prop_filter("no header", |b| *b == b'\t' || (*b >= 32 && *b != 127)),
        0..64,
    );
    let pieces = prop_oneof![
        bytes,
        "(__Host-|__Secure-)?gongpai=[A-Za-z0-9._;= -]{0,40}".prop_map(String::into_bytes),
        "https?://(oa|app|evil)\\.example\\.com(:[0-9]{1,6})?[/?#%.;\\\\a-z0-9]{0,30}"
            .prop_map(String::into_bytes),
        "https://oa\\.example\\.com/(work|admin|reports)/[%./;\\\\a-f0-9]{0,20}".prop_map(String::into_bytes),
        "(oa|app|evil)\\.example\\.com(:[0-9]{1,6})?".prop_map(String::into_bytes),
        "(GET|POST|get|\\*|https?|)".prop_map(String::into_bytes),
        "Bearer [A-Za-z0-9_-]{0,20}(\\.[A-Za-z0-9_-]{0,20}){0,3}".prop_map(String::into_bytes),
        Just(b"navigate".to_vec()),
        Just(b"text/html".to_vec()),
    ];
    for row in ROWS {
        let proxy = PROXIES.iter().find(|proxy| proxy.name == row.name).expect("a proxy of the gate");
        let attack = Attack { t: &t, row, proxy, cookie: cookie.clone() };
        let others =
            ["host", "cookie", "authorization", "accept", "referer", "sec-fetch-mode", "x-requested-with"];
        let lies = LIES.iter().map(|(name, _)| *name);
        let names: Vec<&str> = proxy
            .request_headers
            .iter()
            .copied()
            .chain(others)
            .chain(FORWARDED_HEADERS)
            .chain(lies)
            .collect();
        let headers = prop::collection::vec((prop::sample::select(names), pieces.clone()), 0..12);
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config)
            .run(&(headers, any::<bool>(), any::<bool>()), |(headers, is_described, has_host)| {
                let mut check = attack.describe(Visitor::Nobody, &HostileRequest::new("GET", "/work/x"));
                if !is_described {
                    check.headers.retain(|(name, _)| !describes_by(proxy, name));
                }
                if !has_host {
                    check.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
                }
                check.headers.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
                let is_public =
                    check.headers.iter().any(|(_, value)| value.windows(7).any(|w| w == b"/public"));
                let answer = runtime.block_on(attack.send(&check));
                prop_assert!(answer.status / 100 != 2 || is_public, "{}: {:?}", answer.status, check.headers);
                Ok(())
            })
            .unwrap();
        // After all of that whoever is signed in still passes.
        let check = attack.describe(Visitor::Member, &HostileRequest::new("GET", "/work/x"));
        let answer = runtime.block_on(attack.send(&check));
        assert_eq!((answer.status, answer.head.one("remote-user")), (200, Some("zhangsan")), "{}", row.name);
    }
}
