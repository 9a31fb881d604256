//! A call of the server API and its refusal: what every endpoint reads and answers.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::body::Bytes;
use axum::http::Method;
use serde_json::{Value, json};

use super::random;

/// The errcode and errmsg of a failed call, without the suffix of [`refusal_answer`].
#[derive(Debug)]
pub(super) struct SimulatedRefusal(pub(super) i64, pub(super) &'static str);

/// The parts of a request that the API reads.
#[derive(Debug)]
pub(super) struct SimulatedCall {
    pub(super) method: Method,
    pub(super) query: HashMap<String, String>,
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    pub(super) from: IpAddr,
}

impl SimulatedCall {
    /// Returns a parameter of the query. An empty one counts as missing.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Returns the JSON body of a POST endpoint; `{}` if there is none.
    pub(super) fn json(&self) -> Result<Value, SimulatedRefusal> {
        if self.method != Method::POST {
            return Err(SimulatedRefusal(40058, "invalid Request Parameter"));
        }
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        if has_unicode_escape(&self.body) {
            return Err(SimulatedRefusal(40033, "invalid Request Format, don't use \\uxxxx"));
        }
        serde_json::from_slice(&self.body).map_err(|_| SimulatedRefusal(40035, "Warning: wrong json format."))
    }
}

/// Tells whether a JSON text contains `\uxxxx`. An escaped backslash before `u` does not count.
fn has_unicode_escape(body: &[u8]) -> bool {
    let mut escaped = false;
    body.iter().any(|b| {
        let found = escaped && *b == b'u';
        escaped = !escaped && *b == b'\\';
        found
    })
}

/// Returns the envelope of a failure with the suffix that WeCom adds (doc 90664).
pub(super) fn refusal_answer(SimulatedRefusal(code, message): &SimulatedRefusal, from: IpAddr) -> Value {
    let hint = random::random_digits(25);
    json!({
        "errcode": code,
        "errmsg": format!(
            "{message}, hint: [{hint}], from ip: {from}, \
             more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
        ),
    })
}

/// Removes the prefix: `/cgi-bin/user/get` and `user/get` are the same API.
pub(super) fn api_name(api: &str) -> &str {
    let api = api.trim_start_matches('/');
    api.strip_prefix("cgi-bin/").unwrap_or(api)
}
