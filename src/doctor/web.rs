//! An HTTP client for our own public_url, which sends requests as WeCom or a browser would.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, redirect};

/// The time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The checks need only a few bytes, or a handful of keys.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A client for public_url only. Everything that goes to WeCom goes through `WecomClient`.
#[derive(Debug)]
pub(super) struct WebClient(Client);

#[derive(Debug)]
pub(super) struct WebResponse {
    pub(super) status: u16,
    /// The media type without parameters, in lower case; empty if there is none.
    pub(super) content_type: String,
    /// At most 64 KiB of the body.
    pub(super) body: Vec<u8>,
}

impl WebClient {
    /// Creates a client that follows no redirect.
    ///
    /// # Errors
    /// If there is none to be had, for instance for want of root certificates.
    pub(super) fn new() -> Result<Self, String> {
        let builder = Client::builder()
            .user_agent(concat!("gongpai-doctor/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(REQUEST_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        builder.build().map(Self).map_err(failure_reason)
    }

    /// Sends a GET request to `url`.
    ///
    /// # Errors
    /// The reason in one phrase if there is no answer.
    pub(super) async fn get(&self, url: &str) -> Result<WebResponse, String> {
        let mut response = self.0.get(url).send().await.map_err(failure_reason)?;
        let mut page = WebResponse {
            status: response.status().as_u16(),
            content_type: content_type(response.headers()),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(failure_reason)? {
            page.body.extend_from_slice(&chunk);
            if page.body.len() > MAX_BODY_BYTES {
                page.body.truncate(MAX_BODY_BYTES);
                break;
            }
        }
        Ok(page)
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the innermost cause of an error, which is the most specific one.
fn failure_reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
