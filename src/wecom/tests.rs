//! The client against a server that misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::call_class::CallTimeouts;
use super::server::{FakeWecom, Reply};
use super::{
    CodeOwner, Deadline, ErrorFamily, MemberStatus, ProbedSecretKind, SecretKind, WecomClient, WecomError,
    WecomSettings,
};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, UserId};
use crate::base::secret::Secret;

const MEMBER: &str = r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan","name":"张三","status":1}"#;
const SIGNED_IN: &str = r#"{"errcode":0,"errmsg":"ok","userid":"zhangsan"}"#;

pub(super) fn test_settings(api_address: &str) -> WecomSettings {
    WecomSettings {
        corp_id: CorpId::new("ww0000000000000001"),
        agent_id: 1_000_002,
        app_secret: Some(Secret::from("S3CRETapp")),
        contacts_secret: Some(Secret::from("S3CRETcontacts")),
        api_address: api_address.parse().unwrap(),
        oauth2_address: "https://open.weixin.qq.com".parse().unwrap(),
        qr_connect_address: "https://login.work.weixin.qq.com".parse().unwrap(),
        proxy: None,
    }
}

pub(super) fn test_clock() -> Clock {
    Clock::fixed(Timestamp::from_millis(1_795_334_400_000))
}

pub(super) fn test_client(server: &FakeWecom, clock: &Clock) -> WecomClient {
    WecomClient::new(test_settings(server.url.as_str()), clock.clone()).unwrap()
}

/// Makes a client as in production, except that a hanging call takes milliseconds.
pub(super) fn client_with_short_timeouts(server: &FakeWecom, clock: &Clock) -> WecomClient {
    let limits = CallTimeouts {
        exchange: Duration::from_millis(300),
        renewal: Duration::from_millis(100),
        fetch: Duration::from_millis(600),
        message: Duration::from_millis(300),
        upload: Duration::from_millis(600),
        ..CallTimeouts::PRODUCTION
    };
    WecomClient::with_limits(test_settings(server.url.as_str()), clock.clone(), limits).unwrap()
}

pub(super) fn test_deadline() -> Deadline {
    Deadline::after(Duration::from_secs(14))
}

fn zhangsan() -> UserId {
    UserId::new("zhangsan")
}

/// Starts a server whose gettoken works and returns `T0KEN1`, `T0KEN2`, …; `rule` answers the rest.
pub(super) async fn start_fake_wecom(
    rule: impl Fn(&super::server::ReceivedRequest, usize) -> Reply + Send + Sync + 'static,
) -> FakeWecom {
    FakeWecom::start(move |asked, before| match asked.api.as_str() {
        "gettoken" => Reply::token(&format!("T0KEN{}", before + 1)),
        _ => rule(asked, before),
    })
    .await
}

pub(super) async fn within_time_limit<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("a test ends within 30 s")
}

mod calls {
    use super::*;

    #[tokio::test]
    async fn a_sign_in_is_one_gettoken_and_two_calls() {
        let server = start_fake_wecom(|asked, _| match asked.api.as_str() {
            "auth/getuserinfo" => Reply::json(SIGNED_IN),
            "user/get" => Reply::json(MEMBER),
            _ => Reply::errcode(40058),
        })
        .await;
        let client = test_client(&server, &test_clock());
        for _ in 0..20 {
            assert_eq!(client.identity("C0DE/+ 1", test_deadline()).await, Ok(CodeOwner::Member(zhangsan())));
            assert_eq!(
                client.member(&zhangsan(), test_deadline()).await.unwrap().status,
                MemberStatus::Active
            );
        }
        assert_eq!(server.request_count("gettoken"), 1);
        let token = &server.requests("gettoken")[0];
        assert_eq!(
            (token.param("corpid"), token.param("corpsecret")),
            (Some("ww0000000000000001"), Some("S3CRETapp"))
        );
        let exchange = &server.requests("auth/getuserinfo")[0];
        assert_eq!(
            (exchange.param("code"), exchange.param("access_token")),
            (Some("C0DE/+ 1"), Some("T0KEN1"))
        );
        assert_eq!(exchange.method, "GET");
    }

    #[tokio::test]
    async fn departments_are_read_with_the_secret_that_is_asked_for() {
        let server = start_fake_wecom(|_, _| {
            Reply::json(r#"{"errcode":0,"department":[{"id":1,"name":"公司","parentid":0}]}"#)
        })
        .await;
        let client = test_client(&server, &test_clock());
        for (which, secret) in [(SecretKind::App, "S3CRETapp"), (SecretKind::Contacts, "S3CRETcontacts")] {
            assert_eq!(client.departments(which, test_deadline()).await.unwrap().items[0].name, "公司");
            assert_eq!(server.requests("gettoken").last().unwrap().param("corpsecret"), Some(secret));
        }
        assert_eq!(server.request_count("gettoken"), 2, "each secret has its own token");
    }

    #[tokio::test]
    async fn without_a_secret_nothing_is_sent() {
        let server = start_fake_wecom(|_, _| Reply::Close).await;
        let mut settings = test_settings(server.url.as_str());
        settings.app_secret = None;
        let client = WecomClient::new(settings, test_clock()).unwrap();
        assert_eq!(
            client.identity("C0DE", test_deadline()).await,
            Err(WecomError::NoSecret(SecretKind::App))
        );
        assert_eq!(server.request_count("gettoken"), 0);
    }

    #[tokio::test]
    async fn a_reverse_proxy_may_live_below_a_path() {
        let server = start_fake_wecom(|_, _| Reply::json(MEMBER)).await;
        let client = WecomClient::new(test_settings(&format!("{}wecom/", server.url)), test_clock()).unwrap();
        assert!(client.member(&zhangsan(), test_deadline()).await.is_ok());
        assert_eq!(server.request_count("user/get"), 1);
    }

    #[tokio::test]
    async fn an_answer_about_somebody_else_is_not_taken() {
        let server =
            start_fake_wecom(|_, _| Reply::json(r#"{"errcode":0,"userid":"lisi","status":1}"#)).await;
        let client = test_client(&server, &test_clock());
        assert!(matches!(
            client.member(&zhangsan(), test_deadline()).await,
            Err(WecomError::Unreadable { .. })
        ));
        assert!(
            client.member(&UserId::new("LiSi"), test_deadline()).await.is_ok(),
            "userids are compared without case"
        );
    }

    #[tokio::test]
    async fn at_most_ten_calls_are_in_flight() {
        let server = start_fake_wecom(|_, _| Reply::Late(Duration::from_millis(20), MEMBER.into())).await;
        let client = test_client(&server, &test_clock());
        let mut calls = JoinSet::new();
        for _ in 0..40 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        assert!(within_time_limit(calls.join_all()).await.iter().all(Result::is_ok));
        assert!((2..=16).contains(&server.most_at_once()), "{}", server.most_at_once());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_place_waits_no_longer_than_the_deadline() {
        let server = start_fake_wecom(|_, _| Reply::Hang).await;
        let client = test_client(&server, &test_clock());
        let mut calls = JoinSet::new();
        for _ in 0..16 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        server.until_asked("user/get", 16).await;
        let late = client.member(&zhangsan(), Deadline::after(Duration::from_millis(50))).await;
        assert_eq!(late, Err(WecomError::Timeout { api: "user/get", sent: false }));
        assert_eq!(server.request_count("user/get"), 16);
    }

    #[tokio::test]
    async fn addresses_that_cannot_be_called_are_refused_at_the_start() {
        let mut wrong = test_settings("ftp://qyapi.example.com");
        assert_eq!(
            WecomClient::new(wrong.clone(), test_clock()).unwrap_err(),
            WecomSetupError::Address("api_address")
        );
        wrong.api_address = "https://qyapi.example.com".parse().unwrap();
        wrong.qr_connect_address = "data:text/plain,x".parse().unwrap();
        assert_eq!(
            WecomClient::new(wrong, test_clock()).unwrap_err(),
            WecomSetupError::Address("qr_connect_address")
        );
    }

    use crate::wecom::WecomSetupError;
}

mod trouble {
    use super::*;

    /// Returns the error of `user/get` when WeCom answers so.
    async fn error_after(reply: Reply) -> WecomError {
        let server = start_fake_wecom(move |_, _| reply.clone()).await;
        let client = client_with_short_timeouts(&server, &test_clock());
        let error = within_time_limit(client.member(&zhangsan(), test_deadline())).await.unwrap_err();
        assert_eq!(server.request_count("user/get"), 1, "nothing is repeated: {error}");
        error
    }

    fn assert_unreadable(error: &WecomError, part: &str) {
        assert!(matches!(error, WecomError::Unreadable { why, .. } if why.contains(part)), "{error}");
        assert_eq!(error.family(), ErrorFamily::Upstream);
    }

    #[tokio::test]
    async fn a_hanging_wecom_costs_the_limit_of_a_call() {
        for reply in [Reply::Hang, Reply::HangInside] {
            assert_eq!(error_after(reply).await, WecomError::Timeout { api: "user/get", sent: true });
        }
    }

    #[tokio::test]
    async fn a_slow_wecom_costs_no_more_than_the_deadline() {
        let server = start_fake_wecom(|_, _| Reply::Late(Duration::from_secs(6), MEMBER.into())).await;
        let client = test_client(&server, &test_clock());
        let began = Instant::now();
        let error =
            client.member(&zhangsan(), Deadline::after(Duration::from_millis(200))).await.unwrap_err();
        assert_eq!(error, WecomError::Timeout { api: "user/get", sent: true });
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_closed_connection_is_unreachable() {
        assert!(matches!(error_after(Reply::Close).await, WecomError::Unreachable { .. }));
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable() {
        let client = WecomClient::new(test_settings("http://127.0.0.1:1"), test_clock()).unwrap();
        let error = client.member(&zhangsan(), test_deadline()).await.unwrap_err();
        assert!(
            matches!(&error, WecomError::Unreachable { api: "gettoken", why, sent: false } if why.contains("no connection")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_server_error_is_unreachable_whatever_its_body_says() {
        for body in [MEMBER, r#"{"errcode":60111}"#, "<html>"] {
            for status in [500, 502, 503] {
                let error = error_after(Reply::Status(status, "text/html", body.into())).await;
                assert!(matches!(error, WecomError::Unreachable { .. }), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn another_status_than_200_is_never_a_success() {
        for status in [204, 301, 302, 307, 401, 403, 404, 429] {
            let server =
                start_fake_wecom(move |_, _| Reply::Status(status, "application/json", MEMBER.into())).await;
            let result =
                client_with_short_timeouts(&server, &test_clock()).member(&zhangsan(), test_deadline()).await;
            match status {
                204 => assert!(result.is_err()),
                _ => assert!(
                    matches!(result, Err(WecomError::Unreadable { status: s, .. }) if s == status),
                    "{result:?}"
                ),
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_json_is_unreadable() {
        assert_unreadable(
            &error_after(Reply::Body(b"<html><body>login</body></html>".to_vec())).await,
            "HTML",
        );
        assert_unreadable(&error_after(Reply::Body(Vec::new())).await, "empty");
        assert_unreadable(&error_after(Reply::Body(b"[]".to_vec())).await, "object");
        assert_unreadable(
            &error_after(Reply::Body(b"{\"errcode\":0,\"userid\":\"zha".to_vec())).await,
            "cut off",
        );
        assert_unreadable(&error_after(Reply::Body(b"{\"errcode\":0}".to_vec())).await, "lacks");
        assert_unreadable(&error_after(Reply::Body(b"{\"errcode\":\"x\"}".to_vec())).await, "lacks");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_unreadable() {
        let half =
            b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"errcode\":0,\"userid\":\"zhangsan\"".to_vec();
        assert_unreadable(&error_after(Reply::Raw(half)).await, "cut off");
    }

    #[tokio::test]
    async fn what_is_not_http_is_unreachable() {
        assert!(matches!(
            error_after(Reply::Raw(b"SSH-2.0-x\r\n".to_vec())).await,
            WecomError::Unreachable { .. }
        ));
    }

    #[tokio::test]
    async fn an_endless_answer_is_not_read_to_its_end() {
        let server = start_fake_wecom(|_, _| {
            let mut body = MEMBER.as_bytes().to_vec();
            body.resize(9 * 1024 * 1024, b' ');
            Reply::Body(body)
        })
        .await;
        let error =
            within_time_limit(test_client(&server, &test_clock()).member(&zhangsan(), test_deadline()))
                .await
                .unwrap_err();
        assert_unreadable(&error, "8 MiB");
    }

    #[tokio::test]
    async fn a_byte_order_mark_control_characters_and_a_text_errcode_are_read_over() {
        let body =
            "\u{feff}{\"errcode\":\"0\",\"userid\":\"zhangsan\",\"name\":\"a\u{1}b\",\"status\":\"1\"}";
        let server = start_fake_wecom(move |_, _| Reply::json(body)).await;
        let member = test_client(&server, &test_clock()).member(&zhangsan(), test_deadline()).await.unwrap();
        assert_eq!((member.name.as_str(), member.status), ("a b", MemberStatus::Active));
    }

    #[tokio::test]
    async fn minus_one_is_tried_three_times() {
        let server = start_fake_wecom(
            |_, before| if before < 2 { Reply::errcode(-1) } else { Reply::json(SIGNED_IN) },
        )
        .await;
        let client = test_client(&server, &test_clock());
        assert_eq!(client.identity("C0DE", test_deadline()).await, Ok(CodeOwner::Member(zhangsan())));
        assert_eq!(server.request_count("auth/getuserinfo"), 3);
    }

    #[tokio::test]
    async fn minus_one_for_good_is_reported_after_the_third_time() {
        let server = start_fake_wecom(|_, _| Reply::errcode(-1)).await;
        let error = test_client(&server, &test_clock()).identity("C0DE", test_deadline()).await.unwrap_err();
        assert_eq!((error.code(), error.family()), (Some(-1), ErrorFamily::Retry));
        assert_eq!(server.request_count("auth/getuserinfo"), 3);
    }

    #[tokio::test]
    async fn no_pause_is_begun_that_the_deadline_does_not_allow() {
        let server = start_fake_wecom(|_, _| Reply::errcode(-1)).await;
        let client = test_client(&server, &test_clock());
        client.member(&zhangsan(), test_deadline()).await.unwrap_err();
        let error = client.identity("C0DE", Deadline::after(Duration::from_millis(120))).await.unwrap_err();
        assert_eq!(error.code(), Some(-1));
        assert_eq!(server.request_count("auth/getuserinfo"), 1);
    }

    #[tokio::test]
    async fn a_limit_of_wecoms_is_reported_and_not_hammered() {
        for code in [45009, 45033] {
            let server = start_fake_wecom(move |_, _| Reply::errcode(code)).await;
            let error =
                test_client(&server, &test_clock()).identity("C0DE", test_deadline()).await.unwrap_err();
            assert_eq!((error.code(), error.family()), (Some(code), ErrorFamily::Busy));
            assert_eq!(server.request_count("auth/getuserinfo"), 1);
        }
    }

    #[tokio::test]
    async fn a_code_is_never_sent_again_after_a_transport_failure() {
        for reply in [
            Reply::Hang,
            Reply::HangInside,
            Reply::Close,
            Reply::Status(502, "text/html", b"<html>".to_vec()),
        ] {
            let server = start_fake_wecom(move |_, before| match before {
                0 => Reply::json(SIGNED_IN), // so that the failing request goes out on a kept-alive connection
                _ => reply.clone(),
            })
            .await;
            let client = client_with_short_timeouts(&server, &test_clock());
            client.identity("first", test_deadline()).await.unwrap();
            let error = client.identity("C0DE", test_deadline()).await.unwrap_err();
            assert_eq!(error.family(), ErrorFamily::Upstream, "{error}");
            let sent = server
                .requests("auth/getuserinfo")
                .iter()
                .filter(|a| a.param("code") == Some("C0DE"))
                .count();
            assert_eq!(sent, 1, "{error}");
        }
    }
}

mod fetches {
    use super::*;

    const LIST: &str = r#"{"errcode":0,"userlist":[{"userid":"zhangsan","status":1}]}"#;

    fn app() -> SecretKind {
        SecretKind::App
    }

    #[tokio::test]
    async fn a_fetch_has_ten_places_and_never_somebodys_who_signs_in() {
        let server = start_fake_wecom(|asked, _| match asked.api.as_str() {
            "user/list" => Reply::Hang,
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        let mut fetch = JoinSet::new();
        for department in 1..=40 {
            let client = client.clone();
            fetch.spawn(async move { client.members_of(app(), department, test_deadline()).await });
        }
        server.until_asked("user/list", 10).await;
        for _ in 0..20 {
            assert!(client.member(&zhangsan(), Deadline::after(Duration::from_secs(5))).await.is_ok());
        }
        assert_eq!(server.request_count("user/list"), 10);
    }

    #[tokio::test]
    async fn a_list_may_be_longer_than_an_answer_that_somebody_waits_for() {
        let server = start_fake_wecom(|_, _| {
            let mut body = LIST.as_bytes().to_vec();
            body.resize(9 * 1024 * 1024, b' ');
            Reply::Body(body)
        })
        .await;
        let client = test_client(&server, &test_clock());
        let list = within_time_limit(client.members_of(app(), 1, test_deadline())).await.unwrap();
        assert_eq!((list.items.len(), list.broken.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_list_has_an_end_too() {
        let server = start_fake_wecom(|_, _| {
            let mut body = LIST.as_bytes().to_vec();
            body.resize(33 * 1024 * 1024, b' ');
            Reply::Body(body)
        })
        .await;
        let error =
            within_time_limit(test_client(&server, &test_clock()).members_of(app(), 1, test_deadline()))
                .await
                .unwrap_err();
        assert!(matches!(&error, WecomError::Unreadable { why, .. } if why.contains("32 MiB")), "{error}");
    }

    #[tokio::test]
    async fn a_hanging_list_costs_the_limit_of_a_fetch() {
        let server = start_fake_wecom(|_, _| Reply::Hang).await;
        let began = Instant::now();
        let error = client_with_short_timeouts(&server, &test_clock())
            .members_of(app(), 1, test_deadline())
            .await
            .unwrap_err();
        assert_eq!(error, WecomError::Timeout { api: "user/list", sent: true });
        assert!(
            began.elapsed() >= Duration::from_millis(600),
            "longer than a person's {:?}",
            began.elapsed()
        );
    }

    #[tokio::test]
    async fn an_answer_about_another_department_is_not_taken() {
        let server =
            start_fake_wecom(|_, _| Reply::json(r#"{"errcode":0,"department":{"id":3,"name":"x"}}"#)).await;
        let client = test_client(&server, &test_clock());
        assert!(matches!(
            client.department(app(), 2, test_deadline()).await,
            Err(WecomError::Unreadable { .. })
        ));
        assert_eq!(client.department(app(), 3, test_deadline()).await.unwrap().name, "x");
    }

    #[tokio::test]
    async fn the_list_of_ids_is_a_post_with_the_contacts_secret() {
        let server =
            start_fake_wecom(|_, _| Reply::json(r#"{"errcode":0,"next_cursor":"","dept_user":[]}"#)).await;
        let client = test_client(&server, &test_clock());
        client.member_ids(None, 10_000, test_deadline()).await.unwrap();
        client.member_ids(Some("aaaa"), 10_000, test_deadline()).await.unwrap();
        let asked = server.requests("user/list_id");
        let sent: Vec<_> = asked.iter().map(|a| (a.method.as_str(), a.body.as_str())).collect();
        assert_eq!(sent, [("POST", r#"{"limit":10000}"#), ("POST", r#"{"cursor":"aaaa","limit":10000}"#)]);
        assert_eq!(server.requests("gettoken")[0].param("corpsecret"), Some("S3CRETcontacts"));
    }
}

mod tokens {
    use super::*;

    #[tokio::test]
    async fn fifty_concurrent_first_calls_cost_one_gettoken() {
        let server = FakeWecom::start(|asked, _| match asked.api.as_str() {
            "gettoken" => Reply::Late(
                Duration::from_millis(50),
                br#"{"access_token":"T0KEN","expires_in":7200}"#.to_vec(),
            ),
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        assert!(within_time_limit(calls.join_all()).await.iter().all(Result::is_ok));
        assert_eq!(server.request_count("gettoken"), 1);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_while_asking_breaks_nothing_for_the_others() {
        let server = FakeWecom::start(|asked, before| match asked.api.as_str() {
            "gettoken" if before == 0 => Reply::Hang,
            "gettoken" => Reply::token("T0KEN"),
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        let mut leader = JoinSet::new();
        let first = client.clone();
        leader.spawn(async move { first.member(&zhangsan(), test_deadline()).await });
        server.until_asked("gettoken", 1).await;
        let mut others = JoinSet::new();
        for _ in 0..5 {
            let client = client.clone();
            others.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        tokio::task::yield_now().await;
        leader.shutdown().await;
        assert!(within_time_limit(others.join_all()).await.iter().all(Result::is_ok));
        assert_eq!(server.request_count("gettoken"), 2);
    }

    #[tokio::test]
    async fn a_hanging_gettoken_fails_all_who_wait_together_and_does_not_pile_up() {
        let server = FakeWecom::start(|_, _| Reply::Hang).await;
        let client = client_with_short_timeouts(&server, &test_clock());
        let mut calls = JoinSet::new();
        let began = Instant::now();
        for _ in 0..20 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        for result in within_time_limit(calls.join_all()).await {
            assert_eq!(result, Err(WecomError::Timeout { api: "gettoken", sent: true }));
        }
        assert_eq!(server.request_count("gettoken"), 1);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_token_waits_no_longer_than_the_deadline() {
        let server = FakeWecom::start(|_, _| Reply::Hang).await;
        let client = test_client(&server, &test_clock());
        let error = client.member(&zhangsan(), Deadline::after(Duration::from_millis(50))).await;
        assert_eq!(error, Err(WecomError::Timeout { api: "gettoken", sent: false }));
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
        for code in [40014, 42001, 40001] {
            let server = start_fake_wecom(move |asked, _| match asked.param("access_token") {
                Some("T0KEN1") => Reply::errcode(code),
                _ => Reply::json(SIGNED_IN),
            })
            .await;
            let client = test_client(&server, &test_clock());
            assert_eq!(client.identity("C0DE", test_deadline()).await, Ok(CodeOwner::Member(zhangsan())));
            assert_eq!(
                (server.request_count("gettoken"), server.request_count("auth/getuserinfo")),
                (2, 2),
                "{code}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_refused_even_fresh_is_reported_and_costs_no_gettoken_a_call() {
        let server = start_fake_wecom(|_, _| Reply::errcode(42001)).await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        let error = client.identity("C0DE", test_deadline()).await.unwrap_err();
        assert_eq!((error.code(), error.family()), (Some(42001), ErrorFamily::Token));
        assert_eq!((server.request_count("gettoken"), server.request_count("auth/getuserinfo")), (2, 2));
        for _ in 0..10 {
            client.identity("C0DE", test_deadline()).await.unwrap_err();
        }
        assert_eq!(server.request_count("gettoken"), 2);
        clock.advance(Duration::from_secs(61));
        client.identity("C0DE", test_deadline()).await.unwrap_err();
        assert_eq!(server.request_count("gettoken"), 3);
    }

    #[tokio::test]
    async fn fifty_calls_refused_for_one_token_cost_one_renewal() {
        let server = start_fake_wecom(|asked, _| match asked.param("access_token") {
            Some("T0KEN1") => Reply::errcode(42001),
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        assert!(within_time_limit(calls.join_all()).await.iter().all(Result::is_ok));
        assert_eq!(server.request_count("gettoken"), 2);
    }

    #[tokio::test]
    async fn a_token_lives_as_long_as_wecom_says_and_is_renewed_five_minutes_early() {
        let server = start_fake_wecom(|_, _| Reply::json(MEMBER)).await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        for (seconds, fetched) in [(0, 1), (6899, 1), (2, 2), (6899, 2), (9999, 3)] {
            clock.advance(Duration::from_secs(seconds));
            client.member(&zhangsan(), test_deadline()).await.unwrap();
            assert_eq!(server.request_count("gettoken"), fetched, "{seconds}");
        }
    }

    #[tokio::test]
    async fn the_same_token_handed_out_near_its_end_is_not_asked_for_with_every_call() {
        let server = FakeWecom::start(|asked, before| match asked.api.as_str() {
            "gettoken" if before == 0 => Reply::token("T0KEN"),
            "gettoken" => Reply::json(r#"{"errcode":0,"access_token":"T0KEN","expires_in":299}"#),
            _ => Reply::json(MEMBER),
        })
        .await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        clock.advance(Duration::from_secs(6901));
        for _ in 0..10 {
            clock.advance(Duration::from_secs(1));
            client.member(&zhangsan(), test_deadline()).await.unwrap();
        }
        assert_eq!(server.request_count("gettoken"), 2);
    }

    #[tokio::test]
    async fn while_a_renewal_hangs_everybody_goes_on_with_the_old_token() {
        let server = FakeWecom::start(|asked, before| match asked.api.as_str() {
            "gettoken" if before == 0 => Reply::token("T0KEN1"),
            "gettoken" => Reply::Hang,
            _ => Reply::json(MEMBER),
        })
        .await;
        let clock = test_clock();
        let client = client_with_short_timeouts(&server, &clock);
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        clock.advance(Duration::from_secs(6901));
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            calls.spawn(async move { client.member(&zhangsan(), test_deadline()).await });
        }
        assert!(within_time_limit(calls.join_all()).await.iter().all(Result::is_ok));
        assert_eq!(server.request_count("gettoken"), 2, "one renewal, tried by one");
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        assert_eq!(server.request_count("gettoken"), 2, "and not again at once");
        clock.advance(Duration::from_secs(31));
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        assert_eq!(server.request_count("gettoken"), 3);
    }

    #[tokio::test]
    async fn a_secret_reset_in_the_console_is_noticed_when_the_old_token_ends() {
        let server = FakeWecom::start(|asked, before| match asked.api.as_str() {
            "gettoken" if before == 0 => Reply::token("T0KEN1"),
            "gettoken" => Reply::errcode(40001),
            _ => Reply::json(MEMBER),
        })
        .await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        clock.advance(Duration::from_secs(6901));
        for _ in 0..5 {
            client.member(&zhangsan(), test_deadline()).await.unwrap();
        }
        assert_eq!(server.request_count("gettoken"), 2, "a refused renewal backs off too");
        clock.advance(Duration::from_secs(300));
        assert_eq!(client.member(&zhangsan(), test_deadline()).await.unwrap_err().code(), Some(40001));
    }

    #[tokio::test]
    async fn a_gettoken_without_a_token_is_not_remembered() {
        let server = FakeWecom::start(|asked, before| match (asked.api.as_str(), before) {
            ("gettoken", 0) => Reply::json(r#"{"errcode":0,"errmsg":"ok"}"#),
            ("gettoken", 1) => {
                Reply::json(r#"{"errcode":0,"errmsg":"ok","access_token":"","expires_in":7200}"#)
            }
            ("gettoken", 2) => {
                Reply::json(r#"{"errcode":0,"errmsg":"ok","access_token":null,"expires_in":7200}"#)
            }
            ("gettoken", _) => Reply::json(r#"{"access_token":"T0KEN"}"#),
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        for _ in 0..3 {
            let error = client.member(&zhangsan(), test_deadline()).await.unwrap_err();
            assert!(matches!(error, WecomError::Unreadable { api: "gettoken", .. }), "{error}");
        }
        assert!(client.member(&zhangsan(), test_deadline()).await.is_ok());
    }

    #[tokio::test]
    async fn gettoken_is_tried_again_while_wecom_is_busy() {
        let server = FakeWecom::start(|asked, before| match asked.api.as_str() {
            "gettoken" if before < 2 => Reply::errcode(-1),
            "gettoken" => Reply::token("T0KEN"),
            _ => Reply::json(MEMBER),
        })
        .await;
        assert!(test_client(&server, &test_clock()).member(&zhangsan(), test_deadline()).await.is_ok());
        assert_eq!(server.request_count("gettoken"), 3);
    }
}

mod back_off {
    use super::*;

    #[tokio::test]
    async fn a_wrong_secret_backs_off_up_to_ten_minutes() {
        for code in [40001, 40013, 40091, 41002, 41004, 45031, 50003, 301_007, 45009, 987_654] {
            let server = FakeWecom::start(move |_, _| Reply::errcode(code)).await;
            let clock = test_clock();
            let client = test_client(&server, &clock);
            for (asked, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10)] {
                let error = client.identity("C0DE", test_deadline()).await.unwrap_err();
                assert!(matches!(error, WecomError::Refused(_)), "{code}: {error}");
                let until = clock.now().plus(Duration::from_secs(60 * minutes));
                for _ in 0..20 {
                    let error = client.member(&zhangsan(), test_deadline()).await.unwrap_err();
                    assert_eq!((error.code(), error.retry_at()), (Some(code), Some(until)));
                    assert_eq!(
                        error.family(),
                        if code == 45009 { ErrorFamily::Busy } else { ErrorFamily::Setup }
                    );
                }
                assert_eq!(server.request_count("gettoken"), asked, "{code}");
                clock.advance(Duration::from_secs(60 * minutes - 1));
                assert!(client.member(&zhangsan(), test_deadline()).await.unwrap_err().retry_at().is_some());
                clock.advance(Duration::from_secs(1));
            }
        }
    }

    #[tokio::test]
    async fn a_back_off_that_is_ended_by_hand_costs_one_question_and_grows_on() {
        let server = FakeWecom::start(|_, _| Reply::errcode(40001)).await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        for (asked, minutes) in [(1, 1), (2, 2), (3, 4)] {
            for _ in 0..3 {
                client.member(&zhangsan(), test_deadline()).await.unwrap_err();
            }
            let until = client.member(&zhangsan(), test_deadline()).await.unwrap_err().retry_at();
            assert_eq!(until, Some(clock.now().plus(Duration::from_secs(60 * minutes))));
            assert_eq!(server.request_count("gettoken"), asked);
            client.end_back_off(SecretKind::App);
        }
    }

    #[tokio::test]
    async fn a_secret_that_works_again_starts_over() {
        let server = FakeWecom::start(|asked, before| match (asked.api.as_str(), before) {
            ("gettoken", 2) => Reply::token("T0KEN1"),
            ("gettoken", _) => Reply::errcode(40001),
            _ => Reply::json(MEMBER),
        })
        .await;
        let clock = test_clock();
        let client = test_client(&server, &clock);
        for minutes in [1, 2] {
            client.member(&zhangsan(), test_deadline()).await.unwrap_err();
            clock.advance(Duration::from_secs(60 * minutes));
        }
        assert!(client.member(&zhangsan(), test_deadline()).await.is_ok());
        clock.advance(Duration::from_secs(7200));
        client.member(&zhangsan(), test_deadline()).await.unwrap_err();
        let until = client.member(&zhangsan(), test_deadline()).await.unwrap_err().retry_at();
        assert_eq!(until, Some(clock.now().plus(Duration::from_secs(60))));
    }

    #[tokio::test]
    async fn one_secret_does_not_stop_the_other() {
        let server = FakeWecom::start(|asked, _| match (asked.api.as_str(), asked.param("corpsecret")) {
            ("gettoken", Some("S3CRETcontacts")) => Reply::errcode(40001),
            ("gettoken", _) => Reply::token("T0KEN"),
            _ => Reply::json(MEMBER),
        })
        .await;
        let client = test_client(&server, &test_clock());
        assert!(client.departments(SecretKind::Contacts, test_deadline()).await.is_err());
        assert!(client.member(&zhangsan(), test_deadline()).await.is_ok());
    }

    #[tokio::test]
    async fn an_untrusted_address_does_not_back_off_because_it_is_mended_in_a_minute() {
        let server = FakeWecom::start(|_, _| Reply::errcode(60020)).await;
        let client = test_client(&server, &test_clock());
        for _ in 0..3 {
            let error = client.member(&zhangsan(), test_deadline()).await.unwrap_err();
            assert_eq!((error.code(), error.retry_at()), (Some(60020), None));
        }
        assert_eq!(server.request_count("gettoken"), 3);
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_prolong_it() {
        let server = FakeWecom::start(|_, _| Reply::errcode(40001)).await;
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let client = test_client(&server, &clock);
        client.member(&zhangsan(), test_deadline()).await.unwrap_err();
        if let Clock::Fixed(ms) = &clock {
            ms.fetch_sub(3_600_000, Ordering::SeqCst);
        }
        client.member(&zhangsan(), test_deadline()).await.unwrap_err();
        assert_eq!(server.request_count("gettoken"), 2);
    }
}

mod doctor {
    use super::*;

    /// Returns the probe's result when WeCom answers an impossible code and `user/list_id` like
    /// this.
    async fn probe(exchange: Reply, list: Reply) -> (Result<ProbedSecretKind, WecomError>, usize) {
        let server = start_fake_wecom(move |asked, _| match asked.api.as_str() {
            "auth/getuserinfo" => exchange.clone(),
            "user/list_id" if asked.method == "POST" && asked.body == r#"{"limit":1}"# => list.clone(),
            _ => Reply::errcode(40058),
        })
        .await;
        let kind = test_client(&server, &test_clock()).probe_secret(SecretKind::App, test_deadline()).await;
        (kind, server.request_count("gettoken"))
    }

    #[tokio::test]
    async fn the_kind_of_a_secret_is_told_by_what_it_may_do() {
        let ids = || Reply::json(r#"{"errcode":0,"next_cursor":"","dept_user":[]}"#);
        let absent = || Reply::Status(404, "text/html", b"<html>".to_vec());
        for (exchange, list, kind) in [
            (Reply::errcode(40029), Reply::errcode(48002), ProbedSecretKind::App),
            (Reply::errcode(40029), absent(), ProbedSecretKind::App),
            (Reply::errcode(48002), ids(), ProbedSecretKind::Contacts),
            (Reply::errcode(50001), absent(), ProbedSecretKind::Contacts),
            (Reply::errcode(40029), ids(), ProbedSecretKind::Contacts),
        ] {
            assert_eq!(probe(exchange, list).await, (Ok(kind), 1));
        }
        let (error, _) = probe(Reply::errcode(60020), ids()).await;
        assert_eq!(error.unwrap_err().code(), Some(60020));
    }

    #[tokio::test]
    async fn wecoms_clock_is_read_from_any_answer_and_asked_for_if_there_was_none() {
        let server = start_fake_wecom(|_, _| Reply::json(MEMBER)).await;
        let asked = test_client(&server, &test_clock());
        let time = asked.server_time(test_deadline()).await.unwrap();
        assert_eq!(time.seconds() / 60, 1_795_334_400 / 60, "{}", time.rfc3339());
        assert_eq!((server.request_count("/"), server.request_count("gettoken")), (1, 0));
        let called = test_client(&server, &test_clock());
        called.member(&zhangsan(), test_deadline()).await.unwrap();
        assert!(called.server_time(test_deadline()).await.is_some());
        assert_eq!(server.request_count("/"), 1);
        let nobody = WecomClient::new(test_settings("http://127.0.0.1:1"), test_clock()).unwrap();
        assert_eq!(nobody.server_time(test_deadline()).await, None);
    }

    #[tokio::test]
    async fn calls_are_counted_by_api_and_outcome() {
        let server = start_fake_wecom(|asked, _| match asked.api.as_str() {
            "user/get" => Reply::json(MEMBER),
            _ => Reply::errcode(40029),
        })
        .await;
        let client = test_client(&server, &test_clock());
        client.member(&zhangsan(), test_deadline()).await.unwrap();
        client.identity("C0DE", test_deadline()).await.unwrap_err();
        let mut registry = Registry::default();
        client.metrics().register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"wecom_calls_total{api="user/get",outcome="ok"} 1"#,
            r#"wecom_calls_total{api="auth/getuserinfo",outcome="sign_in_again"} 1"#,
            r#"wecom_token_fetches_total{secret="app",outcome="ok"} 1"#,
            r#"wecom_call_seconds_count{api="user/get"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}

mod secrets {
    use super::*;

    const HIDDEN_VALUES: [&str; 4] = ["S3CRET", "T0KEN", "C0DE", "corpsecret="];

    fn print_error(error: &WecomError) -> String {
        let mut text = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text.extend([format!(" {inner} {inner:?}")]);
            source = inner.source();
        }
        text
    }

    fn assert_nothing_hidden(text: &str) {
        for hidden in HIDDEN_VALUES {
            assert!(!text.contains(hidden), "{text}");
        }
        assert!(!text.contains("access_token="), "{text}");
    }

    /// Lists every way to fail. `echo` is what a server may quote from the request in its errmsg.
    fn failures(echo: &str) -> Vec<Reply> {
        let mut all = vec![
            Reply::Hang,
            Reply::HangInside,
            Reply::Close,
            Reply::Status(500, "text/html", b"T0KEN1 S3CRETapp C0DE/1".to_vec()),
            Reply::Status(302, "text/html", b"T0KEN1 S3CRETapp C0DE/1".to_vec()),
            Reply::Status(404, "text/html", b"T0KEN1 S3CRETapp C0DE/1".to_vec()),
            Reply::json("T0KEN1 S3CRETapp C0DE/1"),
            Reply::json("<html>T0KEN1 S3CRETapp C0DE/1"),
            Reply::json(r#"{"errcode":"T0KEN1 S3CRETapp C0DE/1"}"#),
            Reply::json(r#"{"errcode":0,"userid":["T0KEN1 S3CRETapp C0DE/1"],"access_token":["T0KEN1"]}"#),
            Reply::json(r#"{"errcode":0,"userid":{"C0DE/1":1},"access_token":7,"T0KEN1":"#),
            Reply::Raw(b"T0KEN1 S3CRETapp C0DE/1\r\n\r\n".to_vec()),
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"T0KEN1 S3CRETapp C0DE/1\"".to_vec()),
        ];
        for code in [-1, 40001, 40013, 40014, 40029, 45009, 48002, 50001, 60020, 987_654] {
            all.push(Reply::json(&format!(r#"{{"errcode":{code},"errmsg":"bad request: {echo}"}}"#)));
        }
        all
    }

    #[tokio::test]
    async fn case_29_no_failure_shows_a_secret_a_token_or_a_code() {
        let seen = AtomicUsize::new(0);
        let echoes = [(true, "S3CRETapp, S3CRETapp"), (false, "token T0KEN1, code C0DE/1 or C0DE%2F1")];
        for (at_token, echo) in echoes {
            for reply in failures(echo) {
                let server = FakeWecom::start(move |asked, _| match asked.api.as_str() {
                    "gettoken" if !at_token => Reply::token("T0KEN1"),
                    _ => reply.clone(),
                })
                .await;
                let client = client_with_short_timeouts(&server, &test_clock());
                // Twice: the second error may be a remembered one.
                for _ in 0..2 {
                    let error =
                        within_time_limit(client.identity("C0DE/1", test_deadline())).await.unwrap_err();
                    assert_nothing_hidden(&print_error(&error));
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                assert_nothing_hidden(&format!("{client:?}"));
                let mut registry = Registry::default();
                client.metrics().register(&mut registry);
                let mut text = String::new();
                encode(&mut text, &registry).unwrap();
                assert_nothing_hidden(&text);
            }
        }
        assert_eq!(seen.into_inner(), 2 * 2 * failures("").len());
    }

    #[tokio::test]
    async fn case_29_no_way_to_be_unreachable_shows_a_secret() {
        let plain = FakeWecom::start(|_, _| Reply::json(MEMBER)).await;
        let port = plain.url.port().unwrap();
        let unreachable = [
            ("http://127.0.0.1:1".to_owned(), None),     // refused
            ("http://wecom.invalid".to_owned(), None),   // no such name
            (format!("https://127.0.0.1:{port}"), None), // no TLS there
            ("http://qyapi.example.com".to_owned(), Some("http://user:S3CRETproxy@127.0.0.1:1")),
            ("https://qyapi.example.com".to_owned(), Some("http://user:S3CRETproxy@127.0.0.1:1")),
            ("http://user:S3CRETbasic@127.0.0.1:1/".to_owned(), None),
        ];
        for (address, proxy) in unreachable {
            let mut settings = test_settings(&address);
            settings.proxy = proxy.map(|p| p.parse().unwrap());
            let client = WecomClient::new(settings, test_clock()).unwrap();
            let error = within_time_limit(client.identity("C0DE/1", test_deadline())).await.unwrap_err();
            assert_eq!(error.family(), ErrorFamily::Upstream, "{address}: {error}");
            assert_nothing_hidden(&print_error(&error));
            assert_nothing_hidden(&format!("{client:?} {:?}", client.settings()));
        }
    }
}
