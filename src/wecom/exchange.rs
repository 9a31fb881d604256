//! One HTTP request to WeCom and its answer.
//!
//! Nothing here repeats a request: after a transport failure nobody knows whether WeCom acted on it, and a
//! sign-in code is good for one use (document 96442).

use std::error::Error as _;
use std::time::Duration;

use chrono::DateTime;
use parking_lot::Mutex;
use reqwest::{Proxy, Response, redirect, retry};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::answer::{Answer, Unreadable};
use super::client::SetupError;
use super::error::{Error, Refusal, clean};
use super::metrics::Metrics;
use super::{Deadline, Settings};
use crate::base::clock::Timestamp;

/// How long the parts of a call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// To a connection, TLS included.
    pub(super) connect: Duration,
    /// From the request to the last byte of its answer; also everything around one gettoken.
    pub(super) exchange: Duration,
    /// What an early renewal may cost the one caller who makes it.
    pub(super) renewal: Duration,
}

impl Limits {
    /// 3 s to connect and 8 s in all, so that token, code and member fit 14 s even if one of them hangs.
    pub(super) const PRODUCTION: Self = Self {
        connect: Duration::from_secs(3),
        exchange: Duration::from_secs(8),
        renewal: Duration::from_secs(2),
    };
}

/// WeCom answers 45033 to too many concurrent calls and names no number; up to 10–20 have been seen to pass.
const IN_FLIGHT: usize = 10;

/// No answer that is asked for here comes near; more is somebody else's or a mistake.
const LONGEST_BODY: usize = 8 * 1024 * 1024;

/// What is asked of WeCom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// The path below `/cgi-bin/`; also the name in errors and metrics.
    pub(super) api: &'static str,
    pub(super) query: &'a [Param<'a>],
    /// A JSON body makes it a POST.
    pub(super) body: Option<&'a serde_json::Value>,
}

/// One query parameter.
#[derive(Clone, Copy)]
pub(super) struct Param<'a> {
    name: &'static str,
    value: &'a str,
    hidden: bool,
}

impl<'a> Param<'a> {
    /// A value that may stand in an error.
    pub(super) const fn open(name: &'static str, value: &'a str) -> Self {
        Self { name, value, hidden: false }
    }

    /// A secret, token or code: blotted out wherever WeCom might echo it.
    pub(super) const fn hidden(name: &'static str, value: &'a str) -> Self {
        Self { name, value, hidden: true }
    }
}

impl std::fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, if self.hidden { "[REDACTED]" } else { self.value })
    }
}

/// The way to one WeCom.
#[derive(Debug)]
pub(super) struct Exchange {
    http: reqwest::Client,
    api_address: Url,
    permits: Semaphore,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    /// What the last answer's Date header said, and when it came.
    date: Mutex<Option<(Timestamp, Instant)>>,
}

impl Exchange {
    pub(super) fn new(settings: &Settings, limits: Limits) -> Result<Self, SetupError> {
        for (key, address) in [
            ("api_address", &settings.api_address),
            ("oauth2_address", &settings.oauth2_address),
            ("qr_connect_address", &settings.qr_connect_address),
        ] {
            if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
                return Err(SetupError::Address(key));
            }
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("gongpai/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .pool_idle_timeout(Duration::from_secs(30))
            .no_proxy();
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(Proxy::all(proxy.clone()).map_err(|_| SetupError::Proxy)?);
        }
        let http = builder.build().map_err(|e| SetupError::Http(reason(e, &[])))?;
        Ok(Self {
            http,
            api_address: settings.api_address.clone(),
            permits: Semaphore::new(IN_FLIGHT),
            limits,
            metrics: Metrics::default(),
            date: Mutex::new(None),
        })
    }

    /// Sends `request` once and reads its answer as `T`.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        token: Option<&str>,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let api = request.api;
        let Ok(permit) = timeout_at(deadline.instant(), self.permits.acquire()).await else {
            return Err(Error::Timeout { api });
        };
        let permit = permit.map_err(|_| unreachable(api, "the client is shut down"))?;
        let began = Instant::now();
        let due = deadline.within(self.limits.exchange);
        let result = match timeout_at(due.instant(), self.transfer(request, token)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { api }),
        };
        drop(permit);
        self.metrics.call(api, result.as_ref().err(), began.elapsed());
        result
    }

    async fn transfer<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        token: Option<&str>,
    ) -> Result<T, Error> {
        let api = request.api;
        let hidden: Vec<&str> =
            token.into_iter().chain(request.query.iter().filter(|p| p.hidden).map(|p| p.value)).collect();
        let url = self.url(request, token);
        let call = match request.body {
            None => self.http.get(url),
            Some(body) => self.http.post(url).json(body),
        };
        let response = call.send().await.map_err(|e| broken(api, e, &hidden))?;
        self.note_date(&response);
        let status = response.status();
        if status.is_server_error() {
            return Err(unreachable(api, format!("it answered HTTP {}", status.as_u16())));
        }
        let body = body(response, api, &hidden).await?;
        let unreadable =
            |why: Unreadable| Error::Unreadable { api, status: status.as_u16(), why: why.to_string() };
        match Answer::read(body) {
            Ok(Answer::Refusal(code, errmsg)) => {
                Err(Error::Refused(Refusal::new(api, code, &errmsg, &hidden)))
            }
            _ if status.is_redirection() => Err(Error::Unreadable {
                api,
                status: status.as_u16(),
                why: "it redirects, and a redirect is not followed".to_owned(),
            }),
            _ if !status.is_success() => Err(Error::Unreadable {
                api,
                status: status.as_u16(),
                why: "WeCom answers with HTTP 200; is api_address right?".to_owned(),
            }),
            Ok(Answer::Success(body)) => body.decode().map_err(unreadable),
            Err(why) => Err(unreadable(why)),
        }
    }

    /// Asks for the front page, for its Date header only. Counts for nothing at WeCom.
    pub(super) async fn knock(&self, deadline: Deadline) -> Result<(), Error> {
        let api = "date";
        let due = deadline.within(self.limits.exchange);
        let knock = self.http.head(self.api_address.clone()).send();
        let response = match timeout_at(due.instant(), knock).await {
            Ok(answer) => answer.map_err(|e| broken(api, e, &[]))?,
            Err(_) => return Err(Error::Timeout { api }),
        };
        self.note_date(&response);
        Ok(())
    }

    /// WeCom's time now: its last Date header and what has passed since, counted on the monotonic clock.
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

    fn url(&self, request: Request<'_>, token: Option<&str>) -> Url {
        let mut url = self.api_address.clone();
        url.set_path(&format!("{}/cgi-bin/{}", url.path().trim_end_matches('/'), request.api));
        url.set_fragment(None);
        let token = token.map(|text| Param::hidden("access_token", text));
        let query: Vec<String> = token
            .iter()
            .chain(request.query)
            .map(|p| format!("{}={}", p.name, urlencoding::encode(p.value)))
            .collect();
        url.set_query(Some(&query.join("&")));
        url
    }
}

/// The body, up to the limit.
async fn body(mut response: Response, api: &'static str, hidden: &[&str]) -> Result<Vec<u8>, Error> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Err(Error::Unreadable { api, status, why: "it is longer than 8 MiB".to_owned() });
            }
            Err(e) if e.is_timeout() => return Err(Error::Timeout { api }),
            Err(e) => {
                let why = format!("{}: {}", Unreadable::CutOff, reason(e, hidden));
                return Err(Error::Unreadable { api, status, why });
            }
        }
    }
}

fn unreachable(api: &'static str, why: impl Into<String>) -> Error {
    Error::Unreachable { api, why: why.into() }
}

/// A failure before the answer's first line.
fn broken(api: &'static str, error: reqwest::Error, hidden: &[&str]) -> Error {
    if error.is_timeout() {
        return Error::Timeout { api };
    }
    let what = if error.is_dns() {
        "its name cannot be resolved"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke off"
    };
    unreachable(api, format!("{what} ({})", reason(error, hidden)))
}

/// The innermost reason, which names the mishap (`Connection refused`, `invalid peer certificate`) and, unlike
/// the layers above it, neither URL nor proxy.
fn reason(error: reqwest::Error, hidden: &[&str]) -> String {
    const LONGEST: usize = 200;
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.contains("://") { "no details".to_owned() } else { clean(&text, hidden, LONGEST) }
}
