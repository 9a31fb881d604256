//! Limits of sessions, rechecks, clocks, and what happens while the database is away.

use std::time::Duration;

use gongpai::simulator::{InjectedFault, SimulatedMember, SimulatedStatus};
use gongpai::testing::directory::PersonStatus;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{BrowserRequest, DESKTOP};
use crate::support::directory::{count_active_checked_before, find_person};
use crate::support::planted_rows::{SessionFixture, insert_identity, insert_member_row};
use crate::support::sessions::find_open_session_ids;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_session_that_is_not_used_for_two_hours_ends() {
    let t = TestApp::start().await;
    let browser = t.signed_in("zhangsan").await;
    for _ in 0..3 {
        t.advance(HOUR * 2).await;
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200, "exactly two hours is not more");
    }
    t.advance(HOUR * 2 + Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401);
    }
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours_however_much_it_is_used() {
    let t = TestApp::start().await;
    let mut browser = t.signed_in("zhangsan").await;
    for _ in 0..11 {
        t.advance(HOUR).await;
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
    }
    t.advance(HOUR - Duration::from_secs(1)).await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
    let me: serde_json::Value = browser.get(format!("{PUBLIC_URL}/sso/session")).await.json();
    assert_eq!(me["expires_at"], t.app.clock.now().plus(Duration::from_secs(1)).rfc3339());
    t.advance(Duration::from_secs(1)).await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401);
    assert_eq!(browser.get(format!("{PUBLIC_URL}/sso/session")).await.status, 401);
}

#[tokio::test]
async fn the_limits_are_the_configured_ones_and_max_age_is_what_is_left() {
    let t = TestApp::with("[session]\nttl = \"1h\"\nidle = \"10m\"").await;
    let browser = t.signed_in("zhangsan").await;
    assert_eq!(browser.cookies.named("__Host-gongpai")[0].max_age, Some(HOUR));
    t.advance(Duration::from_secs(601)).await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn case_14_a_sign_in_after_the_end_is_a_new_session() {
    let t = TestApp::start().await;
    let mut browser = t.signed_in("zhangsan").await;
    let old = browser.cookies.value("__Host-gongpai").unwrap().to_owned();
    t.advance(HOUR * 13).await;
    browser.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_ne!(browser.cookies.value("__Host-gongpai"), Some(old.as_str()));
    assert_eq!(t.count_rows("sessions").await, 2);
    assert_eq!(t.check_with("cookie", &format!("__Host-gongpai={old}"), PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn case_24_a_recheck_ends_the_sessions_of_whoever_is_no_longer_active() {
    let change = |t: &TestApp, status| assert!(t.wecom.change_member("zhangsan", |m| m.status = status));
    for n in 0..6 {
        let t = TestApp::start().await;
        let browser = t.signed_in("zhangsan").await;
        match n {
            0 => change(&t, SimulatedStatus::Disabled),
            1 => change(&t, SimulatedStatus::NotActivated),
            2 => change(&t, SimulatedStatus::Left),
            3 => t.wecom.hide_from_app("zhangsan"),
            4 => t.wecom.remove_member("zhangsan"),
            _ => {
                let answer = r#"{"errcode":0,"userid":"zhangsan","status":3}"#;
                t.wecom.fail_always("user/get", InjectedFault::Text(answer.to_owned()));
            }
        }
        let every = t.app.config.gate.recheck;
        assert_eq!(every, Duration::from_secs(600));
        t.app.sso.recheck_due(every).await.unwrap();
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200, "{n}: not due yet");
        t.advance(Duration::from_secs(601)).await;
        recheck_all(&t).await;
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401, "{n}");
    }
}

/// Inserts members with a live session each, besides those whom a test signs in.
async fn insert_signed_in_members(t: &TestApp, count: usize) {
    t.wecom.change(|world| {
        let members =
            (0..count).map(|n| SimulatedMember::new(&format!("m{n}"), "某人").with_departments([2]));
        world.members.extend(members);
    });
    let (corp, now) = (&t.app.config.wecom.corp_id, t.app.clock.now());
    let later = now.plus(HOUR * 12).millis();
    let (db, corp, now) = (&t.app.db, corp.as_str(), now.millis());
    for n in 0..count {
        let (person, userid) = (format!("p{n}"), format!("m{n}"));
        insert_identity(db, corp, &person, &userid, now).await.expect("nobody has the userid");
        insert_member_row(db, corp, &person, (&userid, "某人"), "[]", 0).await;
        let session = SessionFixture {
            sid: &format!("s{n}"),
            person: &person,
            audience: "oa.example.com",
            began_at: now,
            expires_at: later,
            ended_at: None,
        };
        session.write(db, corp).await;
    }
}

/// Returns the gauge of overdue rechecks from `/metrics`.
async fn recheck_overdue(t: &TestApp) -> String {
    t.app.sso.measure_delay(t.app.config.gate.recheck).await.unwrap();
    let url = format!("http://{}/metrics", t.admin);
    let text = crate::support::browser::Browser::new(DESKTOP)
        .send(BrowserRequest::bare(reqwest::Method::GET, &url))
        .await
        .text();
    let line = text.lines().find(|line| line.starts_with("gongpai_recheck_overdue_seconds "));
    line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn case_47_a_recheck_of_many_is_made_abreast_and_leaves_nobody_in_who_was_disabled() {
    const SESSIONS: usize = 300;
    const CALL: Duration = Duration::from_millis(30);
    let t = TestApp::start().await;
    insert_signed_in_members(&t, SESSIONS).await;
    let browsers = [t.signed_in("zhangsan").await, t.signed_in("lisi").await];
    t.wecom.change(|world| world.members.iter_mut().for_each(|m| m.status = SimulatedStatus::Disabled));
    t.wecom.set_latency("user/get", CALL);
    assert_eq!(recheck_overdue(&t).await, "0");
    // They become due, and 31 s late, in one step, before the job looks again.
    t.app.clock.advance(Duration::from_secs(600 + 31));
    assert_eq!(recheck_overdue(&t).await, "31");
    let began = std::time::Instant::now();
    t.app.sso.recheck_due(t.app.config.gate.recheck).await.unwrap();
    let give_up = began + Duration::from_secs(60);
    // The job of the gateway may have claimed some of them.
    while !find_open_session_ids(&t.app.db).await.is_empty() && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(find_open_session_ids(&t.app.db).await.is_empty(), "after {:?}", began.elapsed());
    let abreast = t.wecom.most_calls_at_once_of("user/get");
    assert!((8..=10).contains(&abreast), "{abreast}, more would keep people who sign in waiting");
    t.app.sessions.refresh().await.unwrap();
    for browser in &browsers {
        assert_eq!(t.check(browser, PUBLIC_URL).await.status, 401);
    }
    assert_eq!(recheck_overdue(&t).await, "0");
    assert!(t.wecom.calls("user/get") <= SESSIONS as u64 + 4, "each of them once, and two sign-ins");
}

#[tokio::test]
async fn while_wecom_does_not_answer_a_recheck_gives_up_soon_and_nobody_is_asked_about_twice_at_once() {
    let t = TestApp::start().await;
    insert_signed_in_members(&t, 60).await;
    t.wecom.fail_always("user/get", InjectedFault::Errcode(45009, "api freq out of limit".to_owned()));
    t.app.clock.advance(Duration::from_secs(601));
    let pass = t.app.sso.recheck_due(t.app.config.gate.recheck).await.unwrap();
    assert!((pass.gave_up && pass.asked < 60) || pass.asked == 0, "{pass:?}");
    assert_eq!(find_open_session_ids(&t.app.db).await.len(), 60);
    assert_eq!(
        t.app.sso.pause_after(pass, t.app.config.gate.recheck).await.unwrap(),
        Duration::from_secs(5),
        "{pass:?}"
    );
}

/// Waits until everybody who was due is checked, by this call or by the job that runs every second.
async fn recheck_all(t: &TestApp) {
    t.app.sso.recheck_due(t.app.config.gate.recheck).await.unwrap();
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    let due = t.app.clock.now().minus(t.app.config.gate.recheck);
    while count_active_checked_before(&t.app.db, due).await > 0 && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    t.app.sessions.refresh().await.unwrap();
}

#[tokio::test]
async fn a_recheck_that_has_no_answer_about_the_person_keeps_the_session() {
    for fault in [
        InjectedFault::Errcode(-1, "system busy".to_owned()),
        InjectedFault::Errcode(45009, "api freq out of limit".to_owned()),
        InjectedFault::Errcode(60020, "not allow to access from your ip".to_owned()),
        InjectedFault::Errcode(50002, "no privilege".to_owned()),
        InjectedFault::Errcode(301_002, "no agent".to_owned()),
        InjectedFault::Status500,
        InjectedFault::Html502,
        InjectedFault::EmptyBody,
        InjectedFault::Close,
        InjectedFault::Truncated,
        InjectedFault::Text("{}".to_owned()),
        InjectedFault::Text(r#"{"errcode":0,"errmsg":"ok"}"#.to_owned()),
    ] {
        let t = TestApp::start().await;
        let browser = t.signed_in("zhangsan").await;
        t.wecom.fail_always("user/get", fault.clone());
        t.advance(Duration::from_secs(601)).await;
        let _ = t.app.sso.recheck_due(t.app.config.gate.recheck).await;
        let give_up = std::time::Instant::now() + Duration::from_secs(20);
        while t.wecom.calls("user/get") < 2 && std::time::Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(t.wecom.calls("user/get") >= 2, "{fault:?}: asked again");
        t.app.sessions.refresh().await.unwrap();
        assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200, "{fault:?}");
        let person = find_person(&t, "zhangsan").await.expect("still there");
        assert_eq!(person.status, PersonStatus::Active, "{fault:?}");
    }
}

#[tokio::test]
async fn without_the_database_checks_pass_until_memory_is_stale_and_then_nobody_does() {
    let t = TestApp::start().await;
    let browser = t.signed_in("zhangsan").await;
    let mut elsewhere = browser.clone();
    elsewhere.open(format!("{APP_URL}/_gongpai/login?rd=/")).await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
    let unseen = t.signed_in("lisi").await;
    t.app.sessions.sweep();
    let in_memory = t.app.sessions.count_in_memory();
    t.app.db.close().await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200, "in memory");
    t.app.clock.advance(Duration::from_secs(59));
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
    // A session that is not in memory is never admitted.
    let not_seen = elsewhere
        .cookies
        .named("__Host-gongpai")
        .into_iter()
        .find(|c| c.domain == "app.example.com")
        .unwrap();
    if in_memory < 3 {
        let check = t.check_with("cookie", &format!("__Host-gongpai={}", not_seen.value), APP_URL).await;
        assert!(check.status == 401 || check.status == 200);
    }
    t.app.clock.advance(Duration::from_secs(2));
    for browser in [&browser, &unseen] {
        assert_eq!(t.check(browser, PUBLIC_URL).await.status, 401, "after stale_after");
    }
    let mut phone = t.phone_of("zhangsan");
    for path in ["/sso/login?rd=/", "/sso/callback?code=x&state=y", "/x_desktop/qiyeweixinsso.html"] {
        let page = phone.get(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, 503, "{path}");
        assert!(
            page.text().contains("store.unavailable") && page.headers.contains_key("retry-after"),
            "{path}"
        );
    }
    let mut signed_in = t.desktop();
    signed_in.cookies = browser.cookies.clone();
    assert_eq!(
        signed_in.get(format!("{PUBLIC_URL}/sso/logout")).await.status,
        503,
        "nobody is told to be signed out"
    );
    assert_eq!(signed_in.fetch(format!("{PUBLIC_URL}/sso/session")).await.status, 503);
}

#[tokio::test]
async fn a_session_that_is_not_in_memory_is_never_admitted_without_the_database() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    assert_eq!(phone.get(callback).await.status, 302);
    let token = phone.cookies.value("__Host-gongpai").unwrap().to_owned();
    t.app.db.close().await;
    for _ in 0..3 {
        assert_eq!(t.check_with("cookie", &format!("__Host-gongpai={token}"), PUBLIC_URL).await.status, 401);
    }
    let page = phone.get(format!("{PUBLIC_URL}/sso/session")).await;
    assert!(page.status == 401 || page.status == 503, "{}", page.status);
}

#[tokio::test]
async fn a_sign_in_under_way_when_the_database_goes_is_a_page_and_no_session() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    t.app.db.close().await;
    let page = phone.get(callback).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("store.unavailable"), "{}", page.text());
    assert_eq!(phone.cookies.value("__Host-gongpai"), None);
    assert_eq!(t.wecom.calls_total(), 0, "it claims its attempt before it asks WeCom");
}

#[tokio::test]
async fn with_stale_after_0s_nobody_passes_once_the_database_is_gone() {
    let t = TestApp::with("[gate]\nstale_after = \"0s\"").await;
    let browser = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 200);
    t.app.db.close().await;
    t.app.clock.advance(Duration::from_secs(3));
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401);
}

#[tokio::test]
async fn a_clock_behind_the_newest_row_begins_no_session_and_is_not_ready() {
    let t = TestApp::start().await;
    let signed_in = t.signed_in("zhangsan").await;
    let ready = async || {
        let url = format!("http://{}/readyz", t.admin);
        crate::support::browser::Browser::new(DESKTOP)
            .send(BrowserRequest::bare(reqwest::Method::GET, &url))
            .await
            .status
            .as_u16()
    };
    assert_eq!(ready().await, 200);
    let gongpai::testing::base::clock::Clock::Fixed(now) = &t.app.clock else { panic!("a fixed clock") };
    now.fetch_sub(61_000, std::sync::atomic::Ordering::SeqCst);
    t.app.sessions.refresh().await.unwrap();
    assert_eq!(ready().await, 503);
    let mut phone = t.phone_of("lisi");
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("store.unavailable") && page.text().contains("clock"), "{}", page.text());
    assert_eq!(t.check(&signed_in, PUBLIC_URL).await.status, 200, "who is in stays in");
    now.fetch_add(2_000, std::sync::atomic::Ordering::SeqCst);
    t.app.sessions.refresh().await.unwrap();
    assert_eq!(ready().await, 200);
    assert_eq!(phone.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await.status, 200);
}
