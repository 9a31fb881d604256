//! Uploads against a server.

use tokio::task::JoinSet;

use super::*;
use crate::wecom::server::Reply;
use crate::wecom::tests::{
    client_with_short_timeouts, start_fake_wecom, test_client, test_clock, test_deadline, within_time_limit,
};

const UPLOAD_ANSWER: &str =
    r#"{"errcode":0,"errmsg":"","type":"file","media_id":"MEDIA1","created_at":"1380000000"}"#;

fn report(file_name: &str) -> Upload<'_> {
    Upload {
        kind: MediaKind::File,
        file_name,
        content_type: "application/pdf",
        bytes: Bytes::from_static(b"%PDF-1.7\r\n--\r\n"),
    }
}

#[tokio::test]
async fn a_file_goes_out_as_one_part_with_its_chinese_name_as_it_is() {
    let server = start_fake_wecom(|_, _| Reply::json(UPLOAD_ANSWER)).await;
    let media = test_client(&server, &test_clock())
        .upload_media(report("工资 2026.pdf"), test_deadline())
        .await
        .unwrap();
    assert_eq!(media.media_id, "MEDIA1");
    assert_eq!(media.created_at, Timestamp::from_millis(1_380_000_000_000));
    let asked = &server.requests(UPLOAD_API)[0];
    assert_eq!((asked.method.as_str(), asked.param("type")), ("POST", Some("file")));
    let boundary =
        asked.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(
        asked.body,
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"media\"; filename=\"工资 2026.pdf\"\r\n\
             Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--\r\n\r\n--{boundary}--\r\n"
        )
    );
    assert!(boundary.len() <= 70 && boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
}

#[test]
fn no_name_and_no_media_type_ends_the_header_it_stands_in() {
    for (name, safe) in [
        ("a\"; filename=\"b.exe", "a_; filename=_b.exe"),
        ("a\r\nX: 1.pdf", "a__X: 1.pdf"),
        ("..\\..\\a/b.pdf", ".._.._a_b.pdf"),
        ("\u{9b}a\u{0}", "_a_"),
        (" 中文（终稿）.pdf ", "中文（终稿）.pdf"),
        ("", "file"),
        ("  ", "file"),
    ] {
        assert_eq!(escape_file_name(name), safe, "{name:?}");
    }
    assert_eq!(valid_content_type("text/plain; charset=utf-8"), "text/plain; charset=utf-8");
    for odd in ["", "pdf", "a/b\r\nX: 1", "图/片"] {
        assert_eq!(valid_content_type(odd), "application/octet-stream", "{odd:?}");
    }
}

#[tokio::test]
async fn the_date_is_read_as_text_or_number_or_from_the_answers_own() {
    // The date of the server's answers.
    let today = Timestamp::from_millis(1_795_334_400_000);
    for (created_at, expected) in [
        ("1380000000", Timestamp::from_millis(1_380_000_000_000)),
        ("\" 1380000000 \"", Timestamp::from_millis(1_380_000_000_000)),
        ("null", today),
        ("0", today),
        ("9223372036854775807", today),
    ] {
        let body = format!(r#"{{"errcode":0,"media_id":"MEDIA1","created_at":{created_at}}}"#);
        let server = start_fake_wecom(move |_, _| Reply::json(&body)).await;
        let media =
            test_client(&server, &test_clock()).upload_media(report("a.pdf"), test_deadline()).await.unwrap();
        let apart = media.created_at.since(expected).max(expected.since(media.created_at));
        assert!(apart < Duration::from_secs(30), "{created_at}: {media:?}");
    }
}

#[tokio::test]
async fn a_refused_file_says_why_and_is_not_sent_again() {
    for (reply, code) in [
        (Reply::errcode(40006), Some(40006)),
        (Reply::errcode(-1), Some(-1)),
        (Reply::json(r#"{"errcode":0,"created_at":1380000000}"#), None),
    ] {
        let server = start_fake_wecom(move |_, _| reply.clone()).await;
        let error = test_client(&server, &test_clock())
            .upload_media(report("a.pdf"), test_deadline())
            .await
            .unwrap_err();
        assert_eq!((error.code(), server.request_count(UPLOAD_API)), (code, 1), "{error}");
    }
}

#[tokio::test]
async fn two_files_are_on_their_way_at_once_and_messages_pass_them() {
    let server = start_fake_wecom(|asked, _| match asked.api.as_str() {
        UPLOAD_API => Reply::Hang,
        _ => Reply::json(r#"{"errcode":0,"msgid":"M1"}"#),
    })
    .await;
    let client = client_with_short_timeouts(&server, &test_clock());
    let mut uploads = JoinSet::new();
    for _ in 0..4 {
        let client = client.clone();
        uploads.spawn(async move { client.upload_media(report("a.pdf"), test_deadline()).await.is_err() });
    }
    server.until_asked(UPLOAD_API, 2).await;
    assert!(client.send_message("{}", test_deadline()).await.is_ok());
    assert_eq!(server.request_count(UPLOAD_API), 2);
    assert!(within_time_limit(uploads.join_all()).await.into_iter().all(|failed| failed));
}
