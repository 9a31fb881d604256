//! Calls of an application: the API client `oa` of the usual configuration, or another one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;

use super::app::{API_SECRET, TestApp};
use super::browser::{Browser, BrowserRequest, Page};

/// Returns the Authorization header of a client whose secret is [`API_SECRET`].
pub(crate) fn basic_auth(id: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{API_SECRET}")))
}

/// Returns a call without credentials, to be completed.
pub(crate) fn new_request(t: &TestApp, method: Method, path: &str) -> BrowserRequest {
    BrowserRequest::bare(method, &format!("http://{}{path}", t.address)).header("accept", "application/json")
}

/// Sends a call as it is.
pub(crate) async fn send_request(ask: BrowserRequest) -> Page {
    Browser::new("an application").send(ask).await
}

/// Sends a GET of the client `oa`.
pub(crate) async fn get(t: &TestApp, path: &str) -> Page {
    send_request(new_request(t, Method::GET, path).header("authorization", &basic_auth("oa"))).await
}

/// Sends a GET of the client `oa` that must succeed, and returns its JSON.
pub(crate) async fn get_json(t: &TestApp, path: &str) -> Value {
    let page = get(t, path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    page.json()
}

/// Sends a call of the client `oa` with a JSON body.
pub(crate) async fn call(t: &TestApp, method: Method, path: &str, body: &str) -> Page {
    send_request(new_request(t, method, path).header("authorization", &basic_auth("oa")).json(body)).await
}

/// Returns status and code of a problem document.
pub(crate) fn problem(page: &Page) -> (u16, String) {
    assert_eq!(page.header("content-type"), Some("application/problem+json"), "{}", page.text());
    let problem: Value = page.json();
    assert_eq!(problem["status"], page.status.as_u16());
    (page.status.as_u16(), problem["code"].as_str().expect("a code").to_owned())
}

/// Returns the items of a list.
pub(crate) fn items(answer: &Value) -> &[Value] {
    answer["items"].as_array().unwrap_or_else(|| panic!("no list: {answer}"))
}

/// Returns one text of every item of a list.
pub(crate) fn item_texts(answer: &Value, key: &str) -> Vec<String> {
    items(answer).iter().map(|item| item[key].as_str().expect("a text").to_owned()).collect()
}
