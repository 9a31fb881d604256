//! Forged, changed and misused tokens: none of them is a session, at the check or at sign-in.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gongpai::testing::base::seal::{SealPurpose, Sealer};
use gongpai::testing::keys::SigningKeys;
use gongpai::testing::keys::store::list_keys;
use serde_json::{Value, json};

use crate::support::app::{PUBLIC_URL, ROOT_SECRET, TestApp};
use crate::support::browser::BrowserRequest;
use crate::support::planted_rows::set_public_keys;

const SESSION_COOKIE: &str = "__Host-gongpai";

fn encode_part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode_part(token: &str, n: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).expect("three parts")).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A valid token, and the key that signed it, read from the database with the root secret.
struct TokenForge {
    good: String,
    key: EcdsaKeyPair,
}

impl TokenForge {
    async fn from_app(t: &TestApp) -> Self {
        let browser = t.signed_in("zhangsan").await;
        let good = browser.cookies.value(SESSION_COOKIE).expect("a session").to_owned();
        let keys = list_keys(&t.app.db).await.unwrap();
        let root: [u8; 32] = STANDARD.decode(ROOT_SECRET).unwrap().try_into().unwrap();
        let sealed = STANDARD.decode(&keys[0].sealed).unwrap();
        let pkcs8 =
            Sealer::new(&root, SealPurpose::SigningKey).open(&sealed, keys[0].kid.as_bytes()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
        Self { good, key }
    }

    fn header(&self) -> Value {
        decode_part(&self.good, 0)
    }

    fn claims(&self) -> Value {
        decode_part(&self.good, 1)
    }

    /// Signs any two texts with the installation's own key.
    fn sign(&self, header: &str, claims: &str) -> String {
        sign_token(&self.key, header, claims)
    }

    fn with_header(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.sign(&header.to_string(), &self.claims().to_string())
    }

    fn with_claims(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.sign(&self.header().to_string(), &claims.to_string())
    }
}

fn sign_token(key: &EcdsaKeyPair, header: &str, claims: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    // Half of all signatures have the upper s, which is refused: the token must be refused for
    // another reason.
    let signature = std::iter::repeat_with(|| key.sign(&SystemRandom::new(), text.as_bytes()).unwrap())
        .find(|signature| signature.as_ref()[32] < 0x7f)
        .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Checks that the token signs nobody in anywhere, and not the second time either, when memory
/// answers.
async fn assert_signed_out(t: &TestApp, token: &str, what: &str) {
    for _ in 0..2 {
        assert_eq!(
            t.check_with("cookie", &format!("{SESSION_COOKIE}={token}"), PUBLIC_URL).await.status,
            401,
            "{what}"
        );
        assert_eq!(
            t.check_with("authorization", &format!("Bearer {token}"), PUBLIC_URL).await.status,
            401,
            "{what}"
        );
        let ask = BrowserRequest::fetch(&format!("{PUBLIC_URL}/sso/session"))
            .header("cookie", &format!("{SESSION_COOKIE}={token}"));
        assert_eq!(t.desktop().send(ask).await.status, 401, "{what}");
        let ask = BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/login?rd=/x"))
            .header("cookie", &format!("{SESSION_COOKIE}={token}"));
        assert_eq!(t.desktop().send(ask).await.status, 200, "{what}: the scan page");
    }
}

#[tokio::test]
async fn case_16_a_token_signed_again_by_our_own_key_is_good() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    assert_eq!(forge.header()["alg"], "ES256");
    assert_eq!(forge.header()["typ"], "gongpai-session+jwt");
    let again = forge.with_claims(|_| {});
    assert_eq!(t.check_with("cookie", &format!("{SESSION_COOKIE}={again}"), PUBLIC_URL).await.status, 200);
    let mut names: Vec<_> = forge.claims().as_object().unwrap().keys().cloned().collect();
    names.sort();
    let want = ["amr", "aud", "auth_time", "corp", "exp", "iat", "iss", "name", "sid", "sub", "userid"];
    assert_eq!(names, want);
    let claims = forge.claims();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(PUBLIC_URL), &json!("oa.example.com")));
    assert_eq!((&claims["userid"], &claims["amr"]), (&json!("zhangsan"), &json!(["wecom-app"])));
}

#[tokio::test]
async fn case_16_a_token_does_not_choose_its_algorithm() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let (header, claims) = (forge.header(), encode_part(&forge.claims()));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        for signature in ["", forge.good.rsplit('.').next().unwrap()] {
            assert_signed_out(&t, &format!("{}.{claims}.{signature}", encode_part(&header)), alg).await;
        }
        assert_signed_out(&t, &format!("{}.{claims}", encode_part(&header)), alg).await;
    }
    // HMAC with everything that is public about the key.
    let jwks = t.desktop().get(format!("{PUBLIC_URL}/.well-known/jwks.json")).await;
    let jwk: Value = jwks.json::<Value>()["keys"][0].clone();
    let point = forge.key.public_key().as_ref().to_vec();
    for secret in
        [point.clone(), point[1..].to_vec(), jwk.to_string().into_bytes(), jwks.body.clone(), Vec::new()]
    {
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let mut header = header.clone();
            header["alg"] = json!(name);
            let text = format!("{}.{claims}", encode_part(&header));
            let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), text.as_bytes());
            assert_signed_out(&t, &format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())), name).await;
        }
    }
    for alg in ["ES384", "RS256", "PS256", "EdDSA", "ES256K"] {
        assert_signed_out(&t, &forge.with_header(|h| h["alg"] = json!(alg)), alg).await;
    }
}

#[tokio::test]
async fn case_16_a_token_does_not_bring_its_own_key() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let mine = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = mine.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])});
    let claims = forge.claims().to_string();
    let plain = forge.header();
    assert_signed_out(&t, &sign_token(&mine, &plain.to_string(), &claims), "another key").await;
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("x5c", json!(["AAAA"])),
        ("kid", json!("mine")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR '1'='1")),
        ("kid", json!("")),
        ("kid", Value::Null),
    ] {
        let mut header = plain.clone();
        header[name] = value;
        assert_signed_out(&t, &sign_token(&mine, &header.to_string(), &claims), name).await;
    }
    assert_signed_out(&t, &forge.with_header(|h| h["crit"] = json!(["exp"])), "crit").await;
    assert_signed_out(&t, &forge.with_header(|h| drop(h.as_object_mut().unwrap().remove("kid"))), "no kid")
        .await;
}

#[tokio::test]
async fn case_16_a_token_of_another_type_issuer_audience_or_corporation_is_no_session() {
    let t = TestApp::with("[gate]\nassertion = true").await;
    let forge = TokenForge::from_app(&t).await;
    for typ in [json!("gongpai-assertion+jwt"), json!("JWT"), json!("at+jwt"), json!(""), Value::Null] {
        assert_signed_out(&t, &forge.with_header(|h| h["typ"] = typ), "typ").await;
    }
    let changes: [(&str, Value); 14] = [
        ("aud", json!("app.example.com")),
        ("aud", json!("example.com")),
        ("aud", json!("")),
        ("aud", json!(["oa.example.com", "evil.example"])),
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://oa.example.com/")),
        ("corp", json!("wwffffffffffffffff")),
        ("corp", json!("")),
        ("sub", json!("somebody-else")),
        ("sid", json!("no-such-session")),
        ("sid", json!("")),
        ("sid", json!(1)),
        ("amr", json!("wecom-app")),
        ("userid", Value::Null),
    ];
    for (name, value) in changes {
        assert_signed_out(&t, &forge.with_claims(|c| c[name] = value), name).await;
    }
    for name in ["iss", "aud", "corp", "sub", "sid", "exp", "iat", "userid"] {
        assert_signed_out(&t, &forge.with_claims(|c| drop(c.as_object_mut().unwrap().remove(name))), name)
            .await;
    }
    // A real assertion, as an application holds it.
    let check = t.check_with("cookie", &format!("{SESSION_COOKIE}={}", forge.good), PUBLIC_URL).await;
    let assertion = check.header("gongpai-assertion").expect("an assertion").to_owned();
    assert_signed_out(&t, &assertion, "an assertion").await;
}

/// n, the order of P-256's group (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, //
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Returns the same token with (r, n − s) in place of (r, s), which verifies as well.
fn negate_signature(token: &str) -> String {
    let (text, signature) = token.rsplit_once('.').expect("three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let mut borrow = 0;
    for (digit, n) in bytes[32..].iter_mut().zip(P256_ORDER).rev() {
        let difference = i16::from(n) - i16::from(*digit) - borrow;
        (*digit, borrow) = (u8::try_from(difference.rem_euclid(256)).unwrap(), i16::from(difference < 0));
    }
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test]
async fn case_56_a_token_has_one_spelling_and_its_twin_is_nobody() {
    let t = TestApp::with("[gate]\nassertion = true\n").await;
    for _ in 0..8 {
        let browser = t.signed_in("zhangsan").await;
        let good = browser.cookies.value(SESSION_COOKIE).expect("a session").to_owned();
        let page = t.check(&browser, PUBLIC_URL).await;
        assert_eq!(page.status, 200);
        for token in [good.as_str(), page.header("gongpai-assertion").expect("an assertion")] {
            let signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
            assert!(signature[32] < 0x80, "signed with the upper s");
        }
        assert_eq!(negate_signature(&negate_signature(&good)), good);
        assert_signed_out(&t, &negate_signature(&good), "the twin").await;
    }
}

#[tokio::test]
async fn case_56_a_public_key_planted_in_the_database_keeps_the_gateway_from_starting() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let jwk: Value = serde_json::from_str(&list_keys(&t.app.db).await.unwrap()[0].jwk).unwrap();
    let planted = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mut other = jwk.clone();
    other["x"] = json!(URL_SAFE_NO_PAD.encode(&planted.public_key().as_ref()[1..33]));
    other["y"] = json!(URL_SAFE_NO_PAD.encode(&planted.public_key().as_ref()[33..65]));
    let root: [u8; 32] = STANDARD.decode(ROOT_SECRET).unwrap().try_into().unwrap();
    let corp = &t.app.config.wecom.corp_id;
    for text in [other.to_string(), jwk.to_string().replace("sig", "enc"), "{}".to_owned()] {
        set_public_keys(&t.app.db, &text).await;
        let opened = SigningKeys::open(t.app.db.clone(), corp.clone(), &root, t.app.clock.clone());
        let error = opened.await.expect_err("it starts").to_string();
        assert!(error.contains("public half of signing key"), "{error}");
        // The running instance continues, and publishes no key but its own.
        let kid = jwk["kid"].as_str().unwrap();
        let mut change = gongpai::testing::db::feed::FeedTransaction::begin(
            &t.app.db,
            &t.app.config.wecom.corp_id,
            t.app.clock.now(),
        )
        .await
        .unwrap();
        change.announce(gongpai::testing::db::feed::FeedKind::Key, kid);
        change.commit().await.unwrap();
        t.advance(Duration::ZERO).await;
        assert_eq!(t.app.keys.jwks(), vec![]);
        let forged = sign_token(&planted, &forge.header().to_string(), &forge.claims().to_string());
        let page = t.check_with("cookie", &format!("{SESSION_COOKIE}={forged}"), PUBLIC_URL).await;
        assert_eq!(page.status, 401, "signed by the planted key");
    }
}

#[tokio::test]
async fn case_16_times_are_judged_by_the_signed_whole_numbers_and_the_row() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let exp = forge.claims()["exp"].as_i64().unwrap();
    for value in [
        json!(exp + 1),
        json!(exp - 1),
        json!(0),
        json!(-1),
        json!(1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(exp as f64 + 0.5),
        json!(1e300),
        json!(exp.to_string()),
        Value::Null,
        json!([exp]),
    ] {
        assert_signed_out(&t, &forge.with_claims(|c| c["exp"] = value.clone()), &format!("exp {value}"))
            .await;
    }
    let in_header = forge.sign(
        &{
            let mut header = forge.header();
            header["exp"] = json!(exp);
            header.to_string()
        },
        &{
            let mut claims = forge.claims();
            claims.as_object_mut().unwrap().remove("exp");
            claims.to_string()
        },
    );
    assert_signed_out(&t, &in_header, "exp in the header only").await;
    assert_signed_out(&t, &forge.with_claims(|c| c["iat"] = json!(exp - 10)), "issued in the future").await;
}

#[tokio::test]
async fn case_16_a_claim_that_is_there_twice_makes_no_token() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let (header, claims) = (forge.header().to_string(), forge.claims().to_string());
    for extra in [
        "\"userid\":\"admin\"",
        "\"sid\":\"x\"",
        "\"exp\":9999999999",
        "\"aud\":\"evil.example\"",
        "\"sub\":\"x\"",
    ] {
        assert_signed_out(&t, &forge.sign(&header, &claims.replacen('{', &format!("{{{extra},"), 1)), extra)
            .await;
        let last = format!("{},{extra}}}", &claims[..claims.len() - 1]);
        assert_signed_out(&t, &forge.sign(&header, &last), extra).await;
    }
    assert_signed_out(&t, &forge.sign(&header.replacen('{', "{\"alg\":\"none\",", 1), &claims), "alg twice")
        .await;
}

#[tokio::test]
async fn case_16_a_token_that_is_cut_or_changed_anywhere_is_no_token() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    let good = &forge.good;
    let step = (good.len() / 60).max(1);
    for at in (0..good.len()).step_by(step) {
        let cut = &good[..at];
        assert_eq!(
            t.check_with("cookie", &format!("{SESSION_COOKIE}={cut}"), PUBLIC_URL).await.status,
            401,
            "cut at {at}"
        );
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(
            t.check_with("cookie", &format!("{SESSION_COOKIE}={changed}"), PUBLIC_URL).await.status,
            401,
            "changed at {at}"
        );
    }
    for odd in [
        format!("{good}."),
        format!(".{good}"),
        format!("{good}={good}"),
        format!("{good}A"),
        format!("\"{good}\""),
        "..".to_owned(),
        ".".repeat(4000),
        "A".repeat(60_000),
    ] {
        assert_eq!(t.check_with("cookie", &format!("{SESSION_COOKIE}={odd}"), PUBLIC_URL).await.status, 401);
    }
    // ECDSA's other signature of the same text. The session is the row's, so it means nothing new;
    // it must not panic.
    assert_eq!(t.check_with("cookie", &format!("{SESSION_COOKIE}={good}"), PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn a_bearer_token_of_ours_is_a_session_and_any_other_is_the_applications() {
    let t = TestApp::start().await;
    let forge = TokenForge::from_app(&t).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let check = t.check_with("authorization", &format!("{scheme} {}", forge.good), PUBLIC_URL).await;
        assert_eq!((check.status.as_u16(), check.header("remote-user")), (200, Some("zhangsan")));
    }
    // Beside a good cookie, the application may send any token of its own.
    for other in [
        "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA",
        "Basic b2E6eA==",
        "Bearer",
        "Bearer x",
        "Negotiate \u{7}",
    ] {
        let ask = BrowserRequest::navigate(&format!("http://{}/auth/nginx", t.address))
            .header("x-original-url", &format!("{PUBLIC_URL}/"))
            .header("x-original-method", "GET")
            .header("cookie", &format!("{SESSION_COOKIE}={}", forge.good));
        if other.contains('\u{7}') {
            continue;
        }
        assert_eq!(t.desktop().send(ask.header("authorization", other)).await.status, 200, "{other}");
        assert_eq!(t.check_with("authorization", other, PUBLIC_URL).await.status, 401, "{other}");
    }
    let two = BrowserRequest::navigate(&format!("http://{}/auth/nginx", t.address))
        .header("x-original-url", &format!("{PUBLIC_URL}/"))
        .header("x-original-method", "GET")
        .add_header("authorization", format!("Bearer {}", forge.good).as_bytes());
    let two = two.add_header("authorization", b"Bearer x");
    assert_eq!(t.desktop().send(two).await.status, 401, "two of them are a contradiction");
}

#[tokio::test]
async fn a_rotated_key_signs_after_the_jwks_may_be_known_and_the_old_ones_tokens_stay_good() {
    let t = TestApp::start().await;
    let old = t.signed_in("zhangsan").await;
    let kid = |b: &crate::support::browser::Browser| {
        decode_part(b.cookies.value(SESSION_COOKIE).unwrap(), 0)["kid"].as_str().unwrap().to_owned()
    };
    let jwks = async || -> Vec<String> {
        let page = t.desktop().get(format!("{PUBLIC_URL}/.well-known/jwks.json")).await;
        let keys: Value = page.json();
        keys["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(jwks().await, [kid(&old)]);
    let entry = gongpai::testing::audit::AuditEntry {
        event: gongpai::testing::audit::AuditEvent::KeyRotate,
        actor: gongpai::testing::audit::Actor::System,
        person: None,
        userid: String::new(),
        address: None,
        host: String::new(),
        decision: gongpai::testing::audit::AuditDecision::Done,
        detail: String::new(),
        request_id: String::new(),
    };
    let (new_kid, _) = t.app.keys.rotate(&entry).await.unwrap();
    t.advance(Duration::ZERO).await;
    assert!(jwks().await.contains(&new_kid) && jwks().await.len() == 2, "both are published at once");
    assert_eq!(kid(&t.signed_in("lisi").await), kid(&old), "the new one does not sign yet");
    t.advance(Duration::from_secs(299)).await;
    assert_eq!(kid(&t.signed_in("lisi").await), kid(&old));
    t.advance(Duration::from_secs(1)).await;
    let new = t.signed_in("lisi").await;
    assert_eq!(kid(&new), new_kid);
    for browser in [&old, &new] {
        assert_eq!(t.check(browser, PUBLIC_URL).await.status, 200);
    }
    // Its last token has expired, so the old key is removed.
    t.advance(Duration::from_secs(12 * 3600 + 600)).await;
    gongpai::testing::app::retention::delete_old_rows(&t.app.db, t.app.clock.now(), t.app.config.session.ttl)
        .await
        .unwrap();
    t.advance(Duration::ZERO).await;
    let kept: Vec<_> = list_keys(&t.app.db).await.unwrap().into_iter().map(|key| key.kid).collect();
    assert_eq!(kept, [new_kid]);
}

#[tokio::test]
async fn the_jwks_shows_public_halves_only() {
    let t = TestApp::start().await;
    let page = t.desktop().get(format!("{PUBLIC_URL}/.well-known/jwks.json")).await;
    let keys: Value = page.json();
    let mut names: Vec<_> = keys["keys"][0].as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert!(page.header("cache-control").unwrap().contains("max-age=300"), "{page:?}");
}
