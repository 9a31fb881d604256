//! Messages against a server that misbehaves.

use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::wecom::server::{FakeWecom, Reply};
use crate::wecom::tests::{
    client_with_short_timeouts, start_fake_wecom, test_client, test_clock, test_deadline, test_settings,
    within_time_limit,
};

/// Bytes that a JSON library would write differently.
const MESSAGE_BODY: &str = "{ \"touser\":\"zhangsan|LiSi\",\"agentid\" : 1000002,\"text\":{\"content\":\"\\u4f60好\\/\"},\
                    \"enable_duplicate_check\":1}";
const SEND_ANSWER: &str = r#"{"errcode":0,"errmsg":"ok","invaliduser":"","msgid":"M1"}"#;

/// Returns the error of sending when WeCom answers so, and how often it was called.
async fn send_error(reply: Reply) -> (WecomError, usize) {
    let server = start_fake_wecom(move |_, _| reply.clone()).await;
    let error = within_time_limit(
        client_with_short_timeouts(&server, &test_clock()).send_message(MESSAGE_BODY, test_deadline()),
    )
    .await
    .unwrap_err();
    (error, server.request_count(SEND_API))
}

mod sending {
    use super::*;

    #[tokio::test]
    async fn a_message_goes_out_byte_for_byte() {
        let server = start_fake_wecom(|_, _| Reply::json(SEND_ANSWER)).await;
        let client = test_client(&server, &test_clock());
        for _ in 0..2 {
            let sent = client.send_message(MESSAGE_BODY, test_deadline()).await.unwrap();
            assert_eq!(sent.msgid.as_deref(), Some("M1"));
        }
        let asked = server.requests(SEND_API);
        assert!(asked.iter().all(|a| a.body == MESSAGE_BODY && a.method == "POST"));
        assert_eq!(asked[0].header("content-type"), Some("application/json"));
        assert_eq!(asked[0].param("access_token"), Some("T0KEN1"));
        assert_eq!(server.requests("gettoken")[0].param("corpsecret"), Some("S3CRETapp"));
    }

    #[tokio::test]
    async fn whoever_got_nothing_is_named_in_a_success() {
        let answer = std::fs::read("tests/data/wecom/message_send_partial.json").unwrap();
        let server = start_fake_wecom(move |_, _| Reply::Body(answer.clone())).await;
        let sent =
            test_client(&server, &test_clock()).send_message(MESSAGE_BODY, test_deadline()).await.unwrap();
        assert_eq!(sent.invaliduser, ["userid1", "userid2"]);
        assert_eq!(sent.unlicenseduser, ["userid3", "userid4"]);
        assert_eq!(sent.response_code.as_deref(), Some("xyzxyz"));
    }

    #[tokio::test]
    async fn wecom_being_busy_is_told_to_the_sender_and_nothing_repeated() {
        for code in [-1, 6000, 45033, 45009] {
            let (error, asked) = send_error(Reply::errcode(code)).await;
            assert_eq!((error.code(), asked), (Some(code), 1), "{error}");
            assert!(!error.may_have_worked(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once_and_the_same_bytes_sent_once_more() {
        for code in [40014, 42001, 40001] {
            let server = start_fake_wecom(move |_, before| match before {
                0 => Reply::errcode(code),
                _ => Reply::json(SEND_ANSWER),
            })
            .await;
            assert!(
                test_client(&server, &test_clock()).send_message(MESSAGE_BODY, test_deadline()).await.is_ok()
            );
            let asked = server.requests(SEND_API);
            assert_eq!(
                asked.iter().map(|a| a.body.as_str()).collect::<Vec<_>>(),
                [MESSAGE_BODY, MESSAGE_BODY]
            );
            assert_eq!(asked[1].param("access_token"), Some("T0KEN2"));

            let server = start_fake_wecom(move |_, _| Reply::errcode(code)).await;
            let error = test_client(&server, &test_clock())
                .send_message(MESSAGE_BODY, test_deadline())
                .await
                .unwrap_err();
            assert_eq!((server.request_count(SEND_API), server.request_count("gettoken")), (2, 2));
            assert_eq!(SendRefusal::from_error(&error), Some(SendRefusal::NeedsAdministrator), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_say_so_is_no_success() {
        for body in ["{}", r#"{"status":"ok"}"#, r#"{"errcode":null,"msgid":null}"#] {
            let (error, _) = send_error(Reply::json(body)).await;
            assert!(matches!(error, WecomError::Unreadable { .. }), "{body}: {error}");
            assert!(error.may_have_worked());
        }
    }

    #[tokio::test]
    async fn every_send_is_counted_by_how_it_ended() {
        let server = start_fake_wecom(|_, before| match before {
            0 => Reply::json(SEND_ANSWER),
            1 => Reply::errcode(81013),
            _ => Reply::Hang,
        })
        .await;
        let client = client_with_short_timeouts(&server, &test_clock());
        for _ in 0..3 {
            let _ = within_time_limit(client.send_message(MESSAGE_BODY, test_deadline())).await;
        }
        let mut registry = prometheus_client::registry::Registry::default();
        client.metrics().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for outcome in ["ok", "caller", "timeout"] {
            let line = format!("wecom_calls_total{{api=\"message/send\",outcome=\"{outcome}\"}} 1");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }

    #[tokio::test]
    async fn a_message_is_recalled_by_its_id() {
        let server = start_fake_wecom(|_, before| match before {
            0 => Reply::json(r#"{"errcode":0,"errmsg":"ok"}"#),
            1 => Reply::errcode(42052),
            2 => Reply::errcode(-1),
            _ => Reply::json("{}"),
        })
        .await;
        let client = test_client(&server, &test_clock());
        assert_eq!(client.recall_message("M\"1", test_deadline()).await, Ok(()));
        assert_eq!(server.requests(RECALL_API)[0].body, r#"{"msgid":"M\"1"}"#);
        assert_eq!(client.recall_message("M1", test_deadline()).await.unwrap_err().code(), Some(42052));
        assert_eq!(client.recall_message("M1", test_deadline()).await.unwrap_err().code(), Some(-1));
        assert!(matches!(
            client.recall_message("M1", test_deadline()).await,
            Err(WecomError::Unreadable { .. })
        ));
        assert_eq!(server.request_count(RECALL_API), 4);
    }
}

mod lanes {
    use super::*;
    use crate::base::id::UserId;

    #[tokio::test]
    async fn messages_have_ten_places_and_with_a_fetch_twelve_and_leave_four_to_those_who_sign_in() {
        let server = start_fake_wecom(|asked, _| match asked.api.as_str() {
            SEND_API | "user/list" => Reply::Hang,
            _ => Reply::json(r#"{"errcode":0,"userid":"zhangsan","status":1}"#),
        })
        .await;
        let client = test_client(&server, &test_clock());
        let mut behind = JoinSet::new();
        for _ in 0..30 {
            let client = client.clone();
            behind.spawn(async move { client.send_message(MESSAGE_BODY, test_deadline()).await.is_ok() });
        }
        server.until_asked(SEND_API, 10).await;
        for department in 1..=20 {
            let client = client.clone();
            behind.spawn(async move {
                client.members_of(SecretKind::App, department, test_deadline()).await.is_ok()
            });
        }
        server.until_asked("user/list", 2).await;
        let mut people = JoinSet::new();
        for _ in 0..20 {
            let (client, soon) = (client.clone(), Deadline::after(Duration::from_secs(5)));
            people.spawn(async move { client.member(&UserId::new("zhangsan"), soon).await.is_ok() });
        }
        assert!(within_time_limit(people.join_all()).await.into_iter().all(|ok| ok));
        assert_eq!((server.request_count(SEND_API), server.request_count("user/list")), (10, 2));
    }
}

mod doubt {
    use super::*;
    use crate::wecom::call_class::CallTimeouts;
    use crate::wecom::exchange::Exchange;

    const fn request() -> WecomRequest<'static> {
        WecomRequest { api: SEND_API, query: &[], body: None, class: CallClass::Message }
    }

    #[tokio::test]
    async fn a_message_that_reached_wecom_may_have_been_sent_whatever_came_back() {
        for reply in [
            Reply::Hang,
            Reply::HangInside,
            Reply::Close,
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"errcode\":0".to_vec()),
            Reply::Raw(b"SSH-2.0-x\r\n".to_vec()),
            Reply::Status(502, "text/html", b"<html>bad gateway</html>".to_vec()),
            Reply::Status(500, "application/json", SEND_ANSWER.into()),
            Reply::Status(404, "text/html", b"<html>".to_vec()),
            Reply::Body(b"<html>sign in to the hotel</html>".to_vec()),
            Reply::Body(Vec::new()),
        ] {
            let (error, asked) = send_error(reply.clone()).await;
            assert!(error.may_have_worked(), "{reply:?}: {error}");
            assert_eq!((asked, SendRefusal::from_error(&error)), (1, None), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn a_message_on_a_kept_connection_that_breaks_may_have_been_sent() {
        let server =
            start_fake_wecom(|_, before| if before == 0 { Reply::json(SEND_ANSWER) } else { Reply::Close })
                .await;
        let client = client_with_short_timeouts(&server, &test_clock());
        assert!(client.send_message(MESSAGE_BODY, test_deadline()).await.is_ok());
        assert!(client.send_message(MESSAGE_BODY, test_deadline()).await.unwrap_err().may_have_worked());
        assert_eq!(server.request_count(SEND_API), 2, "it is not sent again by itself");
    }

    #[tokio::test]
    async fn without_a_connection_nothing_was_sent() {
        // A port nobody listens on, a name nobody has, and a server that speaks no TLS.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = format!("https://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.writable().await.unwrap();
                stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            }
        });
        for address in ["http://127.0.0.1:1", "http://wecom.invalid", &tls] {
            let exchange = Exchange::new(&test_settings(address), CallTimeouts::PRODUCTION).unwrap();
            let error = within_time_limit(exchange.send::<SendAnswer>(request(), Some("T"), test_deadline()))
                .await
                .unwrap_err();
            // Without a name server, resolving a name takes too long.
            let unsent = matches!(
                &error,
                WecomError::Unreachable { sent: false, .. } | WecomError::Timeout { sent: false, .. }
            );
            assert!(unsent && !error.may_have_worked(), "{address}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_takes_too_long_to_come_about_sends_nothing() {
        // It accepts the connection and never sends a byte of TLS.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = test_settings(&format!("https://{}", listener.local_addr().unwrap()));
        let limits = CallTimeouts { connect: Duration::from_millis(100), ..CallTimeouts::PRODUCTION };
        let exchange = Exchange::new(&settings, limits).unwrap();
        let error = within_time_limit(exchange.send::<SendAnswer>(request(), Some("T"), test_deadline()))
            .await
            .unwrap_err();
        assert_eq!(error, WecomError::Timeout { api: SEND_API, sent: false });
        assert!(!error.may_have_worked());
    }

    #[tokio::test]
    async fn whoever_gets_no_place_in_time_has_sent_nothing() {
        let server = start_fake_wecom(|_, _| Reply::Hang).await;
        let client = test_client(&server, &test_clock());
        let mut others = JoinSet::new();
        for _ in 0..10 {
            let client = client.clone();
            others.spawn(async move { client.send_message(MESSAGE_BODY, test_deadline()).await });
        }
        server.until_asked(SEND_API, 10).await;
        let error =
            client.send_message(MESSAGE_BODY, Deadline::after(Duration::from_millis(50))).await.unwrap_err();
        assert_eq!(error, WecomError::Timeout { api: SEND_API, sent: false });
        assert!(!error.may_have_worked());
    }

    #[tokio::test]
    async fn without_a_token_nothing_was_sent_whatever_gettoken_did() {
        for (reply, refusal) in [
            (Reply::Hang, None),
            (Reply::Close, None),
            (Reply::Status(502, "text/html", Vec::new()), None),
            (Reply::Body(b"<html>".to_vec()), None),
            (Reply::json(r#"{"errcode":0,"access_token":""}"#), None),
            (Reply::errcode(40001), Some(SendRefusal::NeedsAdministrator)),
            (Reply::errcode(60020), Some(SendRefusal::NeedsAdministrator)),
            (Reply::errcode(40003), Some(SendRefusal::NeedsAdministrator)),
            (Reply::errcode(987_654), Some(SendRefusal::NeedsAdministrator)),
            (Reply::errcode(45009), Some(SendRefusal::AwaitQuota)),
            (Reply::errcode(-1), Some(SendRefusal::Retry)),
        ] {
            let answer = reply.clone();
            let server = FakeWecom::start(move |_, _| answer.clone()).await;
            let client = client_with_short_timeouts(&server, &test_clock());
            // The second time the refusal is remembered and no call is made.
            for _ in 0..2 {
                let error =
                    within_time_limit(client.send_message(MESSAGE_BODY, test_deadline())).await.unwrap_err();
                assert!(!error.may_have_worked(), "{reply:?}: {error}");
                assert_eq!(SendRefusal::from_error(&error), refusal, "{reply:?}: {error}");
            }
            assert_eq!(server.request_count(SEND_API), 0);
        }
        let mut settings = test_settings("http://127.0.0.1:1");
        settings.app_secret = None;
        let client = WecomClient::new(settings, test_clock()).unwrap();
        let error = client.send_message(MESSAGE_BODY, test_deadline()).await.unwrap_err();
        assert!(!error.may_have_worked());
        assert_eq!(SendRefusal::from_error(&error), Some(SendRefusal::NeedsAdministrator));
    }
}

#[test]
fn what_can_be_done_about_every_errcode_that_is_known() {
    use SendRefusal::{
        AwaitQuota, NeedsAdministrator, NoRecipient, ReduceParallelism, RejectedMessage, Retry,
        SplitRecipients,
    };
    let table: &[(SendRefusal, &[i64])] = &[
        (Retry, &[-1, 6000]),
        (ReduceParallelism, &[45033]),
        (AwaitQuota, &[45009]),
        (NoRecipient, &[81013]),
        (
            NeedsAdministrator,
            &[
                40001, 40013, 40014, 40054, 40055, 40056, 40057, 40091, 40093, 41001, 41002, 41004, 41011,
                42001, 42012, 43009, 45024, 45026, 45031, 48001, 48002, 48004, 48005, 48006, 48009, 49004,
                50001, 50003, 60020, 80001, 81011, 85004, 85005, 301_002, 301_007, 701_008, 2_000_002,
            ],
        ),
        (
            SplitRecipients,
            &[
                40003, 40031, 40032, 40066, 40068, 40070, 40073, 43004, 46004, 50002, 60003, 60011, 60021,
                60030, 60111, 60123, 92000, 301_021,
            ],
        ),
        (
            RejectedMessage,
            &[
                40004,
                40005,
                40006,
                40007,
                40008,
                40009,
                40011,
                40029,
                40033,
                40035,
                40039,
                40058,
                40063,
                40071,
                40072,
                40074,
                40088,
                40089,
                40094,
                40123,
                40126,
                40201,
                41008,
                41009,
                41010,
                41016,
                41033,
                42003,
                42014,
                42015,
                42016,
                42017,
                42018,
                42019,
                42020,
                42022,
                42027,
                42028,
                42029,
                42030,
                42031,
                42032,
                42033,
                42034,
                42035,
                42036,
                42037,
                42038,
                42039,
                42040,
                42041,
                42042,
                42043,
                42044,
                42045,
                42046,
                42047,
                42048,
                42049,
                42050,
                42051,
                42052,
                43012,
                44001,
                44004,
                45001,
                45002,
                45007,
                45008,
                45029,
                45034,
                50100,
                60001,
                60004,
                60005,
                60006,
                60007,
                60008,
                60009,
                60010,
                60102,
                60103,
                60104,
                60105,
                60106,
                60107,
                60110,
                60112,
                60129,
                60136,
                60140,
                60257,
                81001,
                81002,
                81003,
                81012,
                81014,
                82001,
                82002,
                82003,
                84014,
                84015,
                85002,
                91040,
                // Nobody knows them.
                1,
                40_163,
                41_048,
                987_654,
                -30_065,
                i64::MIN,
                i64::MAX,
            ],
        ),
    ];
    for (class, codes) in table {
        for code in *codes {
            assert_eq!(SendRefusal::from_errcode(*code), *class, "{code}");
        }
    }
}
