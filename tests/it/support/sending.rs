//! Messages as applications send them.

use gongpai::testing::base::secret::sha256_hex;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{basic_auth, new_request, send_request};
use super::app::{API_SECRET, TestApp};
use super::browser::Page;

/// API clients that may send: `oa` to everybody, `crm` not; `ro` may not send at all.
pub(crate) fn sender_clients(toml: &str) -> String {
    let client = |id: &str, scopes: &str| {
        let hash = sha256_hex(API_SECRET);
        format!("[[api_clients]]\nid = \"{id}\"\nsecret_hash = \"sha256:{hash}\"\nscopes = [{scopes}]\n")
    };
    let oa = r#""messages", "messages:all", "directory:read", "directory:write", "sessions""#;
    format!("{toml}\n{}{}{}", client("oa", oa), client("crm", r#""messages""#), client("ro", r#""sessions""#))
}

/// Starts a gateway with [`sender_clients`].
pub(crate) async fn sending_gateway() -> TestApp {
    TestApp::with(&sender_clients("")).await
}

pub(crate) fn text_order(users: &[&str], content: &str) -> Value {
    json!({"to": {"users": users}, "kind": "text", "content": {"content": content}})
}

/// `POST /api/v1/messages` by a client, with an optional `Idempotency-Key`.
pub(crate) async fn post_message_as(t: &TestApp, client: &str, key: Option<&str>, body: &str) -> Page {
    let mut call = new_request(t, Method::POST, "/api/v1/messages")
        .header("authorization", &basic_auth(client))
        .json(body);
    if let Some(key) = key {
        call = call.header("idempotency-key", key);
    }
    send_request(call).await
}

/// Posts a message as the client `oa`, without a key.
pub(crate) async fn post_message(t: &TestApp, order: &Value) -> Page {
    post_message_as(t, "oa", None, &order.to_string()).await
}

/// Posts a message that must be accepted and returns its id.
pub(crate) async fn accept_order(t: &TestApp, order: &Value) -> String {
    accepted_id(&post_message(t, order).await)
}

/// Returns the id in the answer to a message that must be accepted.
pub(crate) fn accepted_id(page: &Page) -> String {
    assert_eq!(page.status, 202, "{}", page.text());
    let answer: Value = page.json();
    assert_eq!(answer["status"], "accepted");
    answer["id"].as_str().expect("an id").to_owned()
}

/// What separates the parts of [`upload_form`].
pub(crate) const MULTIPART_BOUNDARY: &str = "----------------------------gongpai";

/// The type of [`upload_form`].
pub(crate) const MULTIPART_TYPE: &str = "multipart/form-data; boundary=----------------------------gongpai";

/// Returns the body of an upload with one part.
pub(crate) fn upload_form(name: &str, file_name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{MULTIPART_BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), bytes, format!("\r\n--{MULTIPART_BOUNDARY}--\r\n").as_bytes()].concat()
}
