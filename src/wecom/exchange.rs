//! One HTTP request to WeCom and its answer.
//!
//! Nothing here repeats a request: after a transport failure nobody knows whether WeCom acted on
//! it, and a sign-in code is good for one use (document 96442).

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use parking_lot::Mutex;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Proxy, Response, redirect, retry};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::answer::{UnreadableReason, WecomAnswer};
use super::call_class::{CallClass, CallSlots, CallTimeouts};
use super::error::{WecomError, WecomRefusal, WecomSetupError, redact_text};
use super::metrics::WecomMetrics;
use super::{Deadline, WecomSettings};
use crate::base::clock::Timestamp;

/// The size from which an answer is parsed on a blocking thread. Parsing 20 MB takes 200 ms, in
/// which the async worker would answer no sign-in.
const MIN_BLOCKING_PARSE_BYTES: usize = 256 * 1024;

/// A request to WeCom.
#[derive(Debug, Clone, Copy)]
pub(super) struct WecomRequest<'a> {
    /// The path below `/cgi-bin/`; also the name in errors and metrics.
    pub(super) api: &'static str,
    pub(super) query: &'a [CallParameter<'a>],
    /// With a body the request is a POST.
    pub(super) body: Option<RequestBody<'a>>,
    pub(super) class: CallClass,
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestBody<'a> {
    Json(&'a serde_json::Value),
    /// Exactly these bytes, however often the request is made.
    Bytes {
        content_type: &'a str,
        bytes: &'a Bytes,
    },
}

/// A query parameter of a request, perhaps secret.
#[derive(Clone, Copy)]
pub(super) struct CallParameter<'a> {
    name: &'static str,
    value: &'a str,
    hidden: bool,
}

impl<'a> CallParameter<'a> {
    /// Makes a parameter whose value may appear in errors.
    pub(super) const fn open(name: &'static str, value: &'a str) -> Self {
        Self { name, value, hidden: false }
    }

    /// Makes a parameter with a secret, token or code. It is removed wherever WeCom might echo it.
    pub(super) const fn hidden(name: &'static str, value: &'a str) -> Self {
        Self { name, value, hidden: true }
    }
}

impl std::fmt::Debug for CallParameter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, if self.hidden { "[REDACTED]" } else { self.value })
    }
}

/// The HTTP client of one WeCom, with the slots of its calls.
#[derive(Debug)]
pub(super) struct Exchange {
    http: reqwest::Client,
    api_address: Url,
    slots: CallSlots,
    pub(super) limits: CallTimeouts,
    pub(super) metrics: WecomMetrics,
    /// The Date header of the last answer, and when it came.
    date: Mutex<Option<(Timestamp, Instant)>>,
}

impl Exchange {
    pub(super) fn new(settings: &WecomSettings, limits: CallTimeouts) -> Result<Self, WecomSetupError> {
        for (key, address) in [
            ("api_address", &settings.api_address),
            ("oauth2_address", &settings.oauth2_address),
            ("qr_connect_address", &settings.qr_connect_address),
        ] {
            if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
                return Err(WecomSetupError::Address(key));
            }
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("gongpai/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            // A redirect would carry token and secret to another host.
            .redirect(redirect::Policy::none())
            // reqwest would repeat some requests by itself, and a sign-in code is good for one.
            .retry(retry::never())
            .referer(false)
            .pool_idle_timeout(Duration::from_secs(30))
            // Only the configured proxy counts, never one of the environment.
            .no_proxy();
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(Proxy::all(proxy.clone()).map_err(|_| WecomSetupError::Proxy)?);
        }
        let http = builder.build().map_err(|e| WecomSetupError::Http(innermost_reason(e, &[])))?;
        Ok(Self {
            http,
            api_address: settings.api_address.clone(),
            slots: CallSlots::new(),
            limits,
            metrics: WecomMetrics::default(),
            date: Mutex::new(None),
        })
    }

    /// Sends `request` once and reads its answer as `T`.
    pub(super) async fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        request: WecomRequest<'_>,
        token: Option<&str>,
        deadline: Deadline,
    ) -> Result<T, WecomError> {
        let api = request.api;
        let Ok(place) = timeout_at(deadline.instant(), self.slots.acquire(request.class)).await else {
            return Err(WecomError::Timeout { api, sent: false });
        };
        let place = place.map_err(|_| unreachable_error(api, false, "the client is shut down"))?;
        let began = Instant::now();
        // Waiting for a slot counts against the caller's deadline, but not against the limit of the
        // call.
        let due = deadline.within(request.class.timeout(&self.limits));
        let result = match timeout_at(due.instant(), self.transfer(request, token)).await {
            Ok(result) => result,
            Err(_) => Err(WecomError::Timeout { api, sent: true }),
        };
        drop(place);
        self.metrics.record_call(api, result.as_ref().err(), began.elapsed());
        result
    }

    async fn transfer<T: DeserializeOwned + Send + 'static>(
        &self,
        request: WecomRequest<'_>,
        token: Option<&str>,
    ) -> Result<T, WecomError> {
        let api = request.api;
        let hidden: Vec<&str> =
            token.into_iter().chain(request.query.iter().filter(|p| p.hidden).map(|p| p.value)).collect();
        let url = self.url(request, token);
        let call = match request.body {
            None => self.http.get(url),
            Some(RequestBody::Json(body)) => self.http.post(url).json(body),
            Some(RequestBody::Bytes { content_type, bytes }) => {
                self.http.post(url).header(CONTENT_TYPE, content_type).body(bytes.clone())
            }
        };
        let response = call.send().await.map_err(|e| describe_send_failure(api, e, &hidden))?;
        self.note_date(&response);
        let status = response.status();
        if status.is_server_error() {
            return Err(unreachable_error(api, true, format!("it answered HTTP {}", status.as_u16())));
        }
        let body = read_body(response, request, &hidden).await?;
        let read = if body.len() < MIN_BLOCKING_PARSE_BYTES {
            decode_answer(body)
        } else {
            // Awaited right here, so it outlives only a caller that gives up.
            tokio::task::spawn_blocking(|| decode_answer(body))
                .await
                .map_err(|_| unreachable_error(api, true, "the gateway is shutting down"))?
        };
        match read {
            // An errcode is WeCom's own answer, whatever the HTTP status around it.
            Ok(DecodedAnswer::Refusal(code, errmsg)) => {
                Err(WecomError::Refused(WecomRefusal::new(api, code, &errmsg, &hidden)))
            }
            _ if status.is_redirection() => Err(WecomError::Unreadable {
                api,
                status: status.as_u16(),
                why: "it redirects, and a redirect is not followed".to_owned(),
            }),
            _ if !status.is_success() => Err(WecomError::Unreadable {
                api,
                status: status.as_u16(),
                why: "WeCom answers with HTTP 200; is api_address right?".to_owned(),
            }),
            Ok(DecodedAnswer::Success(answer)) => Ok(answer),
            Err(why) => Err(WecomError::Unreadable { api, status: status.as_u16(), why: why.to_string() }),
        }
    }

    /// Asks for the front page, only for its Date header. WeCom counts no call for it.
    pub(super) async fn fetch_date(&self, deadline: Deadline) -> Result<(), WecomError> {
        let api = "date";
        let due = deadline.within(self.limits.exchange);
        let head_request = self.http.head(self.api_address.clone()).send();
        let response = match timeout_at(due.instant(), head_request).await {
            Ok(answer) => answer.map_err(|e| describe_send_failure(api, e, &[]))?,
            Err(_) => return Err(WecomError::Timeout { api, sent: true }),
        };
        self.note_date(&response);
        Ok(())
    }

    /// Returns WeCom's time: its last Date header plus the time since, on the monotonic clock.
    pub(super) fn server_time(&self) -> Option<Timestamp> {
        self.date.lock().map(|(date, at)| date.plus(at.elapsed()))
    }

    fn note_date(&self, response: &Response) {
        let header = response.headers().get(reqwest::header::DATE).and_then(|v| v.to_str().ok());
        // An HTTP-date (RFC 9110 §5.6.7) is the RFC 2822 form with GMT.
        if let Some(date) = header.and_then(|text| DateTime::parse_from_rfc2822(text).ok()) {
            *self.date.lock() = Some((Timestamp::from_millis(date.timestamp_millis()), Instant::now()));
        }
    }

    fn url(&self, request: WecomRequest<'_>, token: Option<&str>) -> Url {
        let mut url = self.api_address.clone();
        // The address may have the path prefix of a reverse proxy.
        url.set_path(&format!("{}/cgi-bin/{}", url.path().trim_end_matches('/'), request.api));
        url.set_fragment(None);
        let token = token.map(|text| CallParameter::hidden("access_token", text));
        let query: Vec<String> = token
            .iter()
            .chain(request.query)
            .map(|p| format!("{}={}", p.name, urlencoding::encode(p.value)))
            .collect();
        url.set_query(Some(&query.join("&")));
        url
    }
}

/// An answer decoded into the type that the call returns.
enum DecodedAnswer<T> {
    Success(T),
    Refusal(i64, String),
}

fn decode_answer<T: DeserializeOwned>(body: Vec<u8>) -> Result<DecodedAnswer<T>, UnreadableReason> {
    match WecomAnswer::parse(body)? {
        WecomAnswer::Success(body) => body.decode().map(DecodedAnswer::Success),
        WecomAnswer::Refusal(code, errmsg) => Ok(DecodedAnswer::Refusal(code, errmsg)),
    }
}

/// Reads the body up to the limit of the call's class.
async fn read_body(
    mut response: Response,
    request: WecomRequest<'_>,
    hidden: &[&str],
) -> Result<Vec<u8>, WecomError> {
    let api = request.api;
    let longest = request.class.max_body_mib();
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= longest * 1024 * 1024 => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(WecomError::Unreadable {
                    api,
                    status,
                    why: format!("it is longer than {longest} MiB"),
                });
            }
            Err(e) if e.is_timeout() => return Err(WecomError::Timeout { api, sent: true }),
            Err(e) => {
                let why = format!("{}: {}", UnreadableReason::CutOff, innermost_reason(e, hidden));
                return Err(WecomError::Unreadable { api, status, why });
            }
        }
    }
}

fn unreachable_error(api: &'static str, sent: bool, why: impl Into<String>) -> WecomError {
    WecomError::Unreachable { api, why: why.into(), sent }
}

/// Describes a failure before the answer's first line. Without a connection (name, proxy, TLS or
/// its own time limit) nothing was sent; later nobody knows how much of the request arrived.
fn describe_send_failure(api: &'static str, error: reqwest::Error, hidden: &[&str]) -> WecomError {
    let sent = !error.is_connect() && !error.is_builder();
    if error.is_timeout() {
        return WecomError::Timeout { api, sent };
    }
    let what = if error.is_dns() {
        "its name cannot be resolved"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke off"
    };
    unreachable_error(api, sent, format!("{what} ({})", innermost_reason(error, hidden)))
}

/// Returns the innermost reason. It names the mishap (`Connection refused`,
/// `invalid peer certificate`) and, unlike the layers above it, neither URL nor proxy.
fn innermost_reason(error: reqwest::Error, hidden: &[&str]) -> String {
    const MAX_REASON_CHARS: usize = 200;
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.contains("://") { "no details".to_owned() } else { redact_text(&text, hidden, MAX_REASON_CHARS) }
}
