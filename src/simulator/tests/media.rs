//! Uploading, sending and downloading media.

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0000";
const MEGABYTE: usize = 1024 * 1024;

fn media_message(kind: &str, id: &Value) -> Value {
    json!({"touser": "lisi", "msgtype": kind, kind: {"media_id": id}})
}

#[tokio::test]
async fn a_file_is_uploaded_sent_and_read_back_under_its_raw_name() {
    let b = SimulatorBench::start().await;
    let answer = b.upload("file", "十一月 月报.pdf", b"%PDF-1.7").await;
    let order: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(order, ["errcode", "errmsg", "type", "media_id", "created_at"]);
    assert_eq!((&answer["errmsg"], &answer["type"]), (&json!(""), &json!("file")));
    assert!(answer["created_at"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    let id = &answer["media_id"];
    assert_eq!(b.refusal(media_message("file", id)).await, 0);
    assert_eq!(b.refusal(media_message("image", id)).await, 40007, "a file is no image");
    let stored = b.sim.media(id.as_str().unwrap()).unwrap();
    assert_eq!((stored.name.as_str(), &stored.bytes[..]), ("十一月 月报.pdf", &b"%PDF-1.7"[..]));
    let token = b.app_token().await;
    let get = format!("media/get?access_token={token}&media_id={}", id.as_str().unwrap());
    let r = b.get(&format!("/cgi-bin/{get}"), "test").await;
    assert_eq!(r.headers()["content-type"], "application/octet-stream");
    assert_eq!(r.bytes().await.unwrap(), &b"%PDF-1.7"[..]);
    assert_eq!(b.errcode(&format!("media/get?access_token={token}&media_id=unknown")).await, 40007);
    assert_eq!(b.errcode("media/get?access_token=wrong&media_id=unknown").await, 40014);
}

#[tokio::test]
async fn a_medium_is_good_for_three_days() {
    let b = SimulatorBench::start().await;
    let id = b.upload("image", "图.png", PNG).await["media_id"].clone();
    b.sim.advance(Duration::from_hours(71));
    assert_eq!(b.refusal(media_message("image", &id)).await, 0);
    b.sim.advance(Duration::from_hours(1));
    assert_eq!(b.refusal(media_message("image", &id)).await, 40007);
    assert_eq!(b.sim.media(id.as_str().unwrap()), None);
}

#[tokio::test]
async fn an_upload_of_the_wrong_shape_size_or_kind_is_refused() {
    let b = SimulatorBench::start().await;
    let code = |answer: Value| answer["errcode"].as_i64().unwrap();
    assert_eq!(code(b.upload("poem", "a", PNG).await), 40005);
    assert_eq!(code(b.upload_as("file", "form-data; name=\"file\"; filename=\"a\"", PNG).await), 44001);
    let extended = "form-data; name=\"media\"; filename*=UTF-8''%E6%9C%88.pdf";
    assert_eq!(code(b.upload_as("file", extended, PNG).await), 44001);
    assert_eq!(code(b.upload("file", "a", b"").await), 44001);
    assert_eq!(code(b.upload("file", "a", b"12345").await), 40006);
    assert_eq!(code(b.upload("file", "a", b"123456").await), 0);
    assert_eq!(code(b.upload("image", "a.png", b"GIF89a").await), 40004);
    let png = |size: usize| [PNG, &vec![0; size - PNG.len()]].concat();
    assert_eq!(code(b.upload("image", "a.png", &png(10 * MEGABYTE)).await), 0);
    assert_eq!(code(b.upload("image", "a.png", &png(10 * MEGABYTE + 1)).await), 45001);
    assert_eq!(code(b.upload("file", "a", &vec![0; 20 * MEGABYTE]).await), 0);
    assert_eq!(code(b.upload("file", "a", &vec![0; 20 * MEGABYTE + 1]).await), 45001);
    let voice = |size: usize| [b"#!AMR\n", &vec![0; size][..]].concat();
    assert_eq!(code(b.upload("voice", "a.amr", &voice(100)).await), 0);
    assert_eq!(code(b.upload("voice", "a.amr", &voice(2 * MEGABYTE)).await), 45001);
    assert!(b.sim.requests().iter().all(|r| r.body.len() < 4096), "no upload is kept with the calls");
}
