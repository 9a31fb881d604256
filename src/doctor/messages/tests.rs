//! What the doctor reports about messages, against a WeCom that answers whatever a test wants.

use serde_json::Value;

use super::*;
use crate::base::clock::Clock;
use crate::config::ConfigSources;
use crate::wecom::WecomSettings;
use crate::wecom::server::{FakeWecom, ReceivedRequest, Reply};

const USABLE: UsableSecrets = UsableSecrets { app: true, contacts: false };
const SEND: &str = "message/send";

/// A WeCom whose tokens work and which answers `reply` to every message.
async fn wecom(reply: Reply) -> FakeWecom {
    FakeWecom::start(move |asked: &ReceivedRequest, _| match asked.api.as_str() {
        "gettoken" => Reply::token("T0KEN"),
        _ => reply.clone(),
    })
    .await
}

fn subject(server: &FakeWecom, more: &str, message_to: Option<&str>) -> DoctorSubject {
    let text = format!(
        "public_url = \"https://oa.example.com\"\n[wecom]\ncorp_id = \"ww0000000000000001\"\n\
         agent_id = 1000002\napp_secret = \"S3CRET\"\n{more}\n"
    );
    let sources = ConfigSources { text: Some(text), ..ConfigSources::default() };
    let config = Config::load(&sources).expect("accepted").0;
    let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
    let settings = WecomSettings {
        corp_id: config.wecom.corp_id.clone(),
        agent_id: config.wecom.agent_id,
        app_secret: config.wecom.app_secret.clone(),
        contacts_secret: None,
        api_address: server.url.clone(),
        oauth2_address: config.wecom.oauth2_address.clone(),
        qr_connect_address: config.wecom.qr_connect_address.clone(),
        proxy: None,
    };
    DoctorSubject {
        client: Ok(WecomClient::new(settings, clock.clone()).unwrap()),
        config,
        clock,
        rule_check: Ok(Vec::new()),
        find_unmatched: |_, _| Vec::new(),
        message_to: message_to.map(str::to_owned),
    }
}

/// Returns the findings, and the calls that asked WeCom to send.
async fn found(
    reply: Reply,
    more: &str,
    message_to: Option<&str>,
) -> (Vec<DoctorFinding>, Vec<ReceivedRequest>) {
    let server = wecom(reply).await;
    let findings = check_messages(&subject(&server, more, message_to), USABLE).await;
    (findings, server.requests(SEND))
}

fn ids(findings: &[DoctorFinding]) -> Vec<(&'static str, FindingLevel)> {
    findings.iter().map(|finding| (finding.id, finding.level)).collect()
}

#[tokio::test]
async fn a_secret_that_may_send_is_told_from_one_that_may_not_and_nobody_gets_anything() {
    for (reply, id, level) in [
        (Reply::errcode(82001), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(81012), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(81013), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(40063), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(40035), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(40003), "messages.ok", FindingLevel::Ok),
        (Reply::json(r#"{"errcode":0,"errmsg":"ok"}"#), "messages.ok", FindingLevel::Ok),
        (Reply::errcode(48002), "messages.refused", FindingLevel::Broken),
        (Reply::errcode(301_002), "messages.refused", FindingLevel::Broken),
        (Reply::errcode(60020), "messages.refused", FindingLevel::Broken),
        (Reply::errcode(50003), "messages.refused", FindingLevel::Broken),
        (Reply::errcode(45009), "messages.refused", FindingLevel::Warn),
        (Reply::errcode(45033), "messages.refused", FindingLevel::Warn),
        (Reply::errcode(987_654), "messages.refused_unknown", FindingLevel::Broken),
        (Reply::Close, "messages.unseen", FindingLevel::Warn),
        (Reply::Body(b"<html>".to_vec()), "messages.unseen", FindingLevel::Warn),
    ] {
        let (findings, asked) = found(reply.clone(), "", None).await;
        assert_eq!(ids(&findings), [(id, level)], "{reply:?}: {findings:#?}");
        for asked in asked {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            assert_eq!((&body["touser"], &body["agentid"]), (&Value::from(""), &Value::from(1_000_002)));
            assert!(body.get("toparty").is_none() && body.get("totag").is_none(), "{body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_it_means_and_where_it_is_mended() {
    let (findings, _) = found(Reply::errcode(48002), "", None).await;
    let finding = &findings[0];
    assert!(finding.what.zh.contains("无权发送消息"), "{finding:#?}");
    assert!(finding.what.en.contains("may not send messages"), "{finding:#?}");
    assert!(finding.why.en.contains("48002"), "{finding:#?}");
    assert_eq!(finding.console, Some("「应用管理 → 应用 → Secret」"));
    let (findings, _) = found(Reply::errcode(987_654), "", None).await;
    assert!(findings[0].remedy.en.contains("?e=987654"), "{findings:#?}");
}

#[tokio::test]
async fn messages_that_are_switched_off_are_said_so_and_nothing_is_asked() {
    let off = "message_enable = false";
    let (findings, asked) = found(Reply::errcode(82001), off, None).await;
    assert_eq!((ids(&findings), asked.len()), (vec![("messages.off", FindingLevel::Ok)], 0));
    let (findings, asked) = found(Reply::errcode(82001), off, Some("zhangsan")).await;
    let withheld = vec![("messages.off", FindingLevel::Ok), ("messages.test_withheld", FindingLevel::Broken)];
    assert_eq!((ids(&findings), asked.len()), (withheld, 0));
    let (findings, asked) = found(Reply::errcode(82001), "enable = false", None).await;
    assert_eq!((ids(&findings), asked.len()), (vec![], 0), "its own check says so");
}

#[tokio::test]
async fn a_secret_that_does_not_work_is_not_asked_again() {
    let server = wecom(Reply::errcode(82001)).await;
    let unusable = UsableSecrets { app: false, contacts: true };
    assert_eq!(check_messages(&subject(&server, "", None), unusable).await, []);
    let findings = check_messages(&subject(&server, "", Some("zhangsan")), unusable).await;
    assert_eq!(ids(&findings), [("messages.test_withheld", FindingLevel::Broken)]);
    assert_eq!((server.request_count("gettoken"), server.request_count(SEND)), (0, 0));
}

#[tokio::test]
async fn a_test_message_is_one_text_in_both_languages_to_one_member() {
    let sent = Reply::json(r#"{"errcode":0,"errmsg":"ok","invaliduser":"","msgid":"M1"}"#);
    let (findings, asked) = found(sent, "", Some("ZhangSan")).await;
    assert_eq!(ids(&findings), [("messages.test_sent", FindingLevel::Ok)]);
    assert!(findings[0].what.en.contains("ZhangSan (msgid M1)"), "{findings:#?}");
    assert_eq!(asked.len(), 1);
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!((&body["touser"], &body["msgtype"]), (&Value::from("ZhangSan"), &Value::from("text")));
    assert_eq!(body["enable_duplicate_check"], 1);
    let text = body["text"]["content"].as_str().unwrap();
    for part in ["测试消息", "test message", "oa.example.com", "2026-11-22 16:00:00 +08:00"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!asked[0].body.contains("\\u"), "WeCom refuses escapes (40033)");
}

#[tokio::test]
async fn what_became_of_a_test_message_is_said_in_words() {
    for (reply, id, level) in [
        (
            Reply::json(r#"{"errcode":0,"invaliduser":"zhangsan","msgid":"M1"}"#),
            "messages.test_invalid",
            FindingLevel::Broken,
        ),
        (
            Reply::json(r#"{"errcode":0,"unlicenseduser":"zhangsan","msgid":"M1"}"#),
            "messages.test_unlicensed",
            FindingLevel::Broken,
        ),
        (Reply::errcode(81013), "messages.test_invalid", FindingLevel::Broken),
        (Reply::errcode(60111), "messages.test_invalid", FindingLevel::Broken),
        (Reply::errcode(48002), "messages.refused", FindingLevel::Broken),
        (Reply::errcode(-1), "messages.refused", FindingLevel::Warn),
        (Reply::Close, "messages.test_unknown", FindingLevel::Warn),
        (Reply::Status(502, "text/html", b"<html>".to_vec()), "messages.test_unknown", FindingLevel::Warn),
    ] {
        let (findings, asked) = found(reply.clone(), "", Some("ZhangSan")).await;
        assert_eq!(ids(&findings), [(id, level)], "{reply:?}: {findings:#?}");
        assert_eq!(asked.len(), 1, "a test message is sent once: {reply:?}");
    }
    let server = FakeWecom::start(|_, _| Reply::Close).await;
    let findings = check_messages(&subject(&server, "", Some("zhangsan")), USABLE).await;
    assert_eq!(ids(&findings), [("messages.test_not_sent", FindingLevel::Broken)], "{findings:#?}");
}
