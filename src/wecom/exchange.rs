//! One HTTP request to WeCom and its answer.
//!
//! Nothing here repeats a request: after a transport failure nobody knows whether WeCom acted on it, and a
//! sign-in code is good for one use (document 96442).

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

use super::answer::{Answer, Unreadable};
use super::client::SetupError;
use super::error::{Error, Refusal, clean};
use super::lane::{Lane, Places};
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
    /// As `exchange`, for a call of [`Lane::Fetch`].
    pub(super) fetch: Duration,
    /// As `exchange`, for a call of [`Lane::Message`].
    pub(super) message: Duration,
    /// As `exchange`, for a call of [`Lane::Upload`].
    pub(super) upload: Duration,
}

impl Limits {
    /// 3 s to connect and 8 s in all, so that token, code and member fit 14 s even if one of them hangs. Nobody
    /// waits for a fetch, and the list of a department with 20 000 members takes its time. A message waits longer than
    /// a person: whoever gives up on it does not know whether it was sent. 20 MB at 3 Mbit/s take a minute.
    pub(super) const PRODUCTION: Self = Self {
        connect: Duration::from_secs(3),
        exchange: Duration::from_secs(8),
        renewal: Duration::from_secs(2),
        fetch: Duration::from_secs(30),
        message: Duration::from_secs(14),
        upload: Duration::from_secs(60),
    };
}

/// From here on an answer is read aside: a worker that reads 20 MB for a fifth of a second answers no sign-in.
const READ_ASIDE: usize = 256 * 1024;

/// What is asked of WeCom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// The path below `/cgi-bin/`; also the name in errors and metrics.
    pub(super) api: &'static str,
    pub(super) query: &'a [Param<'a>],
    /// A body makes it a POST.
    pub(super) body: Option<Body<'a>>,
    pub(super) lane: Lane,
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    Json(&'a serde_json::Value),
    /// These bytes and no others, however often the request is made.
    Exactly {
        content_type: &'a str,
        bytes: &'a Bytes,
    },
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
    places: Places,
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
            places: Places::new(),
            limits,
            metrics: Metrics::default(),
            date: Mutex::new(None),
        })
    }

    /// Sends `request` once and reads its answer as `T`.
    pub(super) async fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        request: Request<'_>,
        token: Option<&str>,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let api = request.api;
        let Ok(place) = timeout_at(deadline.instant(), self.places.take(request.lane)).await else {
            return Err(Error::Timeout { api, sent: false });
        };
        let place = place.map_err(|_| unreachable(api, false, "the client is shut down"))?;
        let began = Instant::now();
        let due = deadline.within(request.lane.limit(&self.limits));
        let result = match timeout_at(due.instant(), self.transfer(request, token)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { api, sent: true }),
        };
        drop(place);
        self.metrics.call(api, result.as_ref().err(), began.elapsed());
        result
    }

    async fn transfer<T: DeserializeOwned + Send + 'static>(
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
            Some(Body::Json(body)) => self.http.post(url).json(body),
            Some(Body::Exactly { content_type, bytes }) => {
                self.http.post(url).header(CONTENT_TYPE, content_type).body(bytes.clone())
            }
        };
        let response = call.send().await.map_err(|e| broken(api, e, &hidden))?;
        self.note_date(&response);
        let status = response.status();
        if status.is_server_error() {
            return Err(unreachable(api, true, format!("it answered HTTP {}", status.as_u16())));
        }
        let body = body(response, request, &hidden).await?;
        let read = if body.len() < READ_ASIDE {
            read(body)
        } else {
            // Awaited right here: it outlives nothing but a caller that gives up.
            tokio::task::spawn_blocking(|| read(body))
                .await
                .map_err(|_| unreachable(api, true, "the gateway is shutting down"))?
        };
        match read {
            Ok(Read::Refusal(code, errmsg)) => Err(Error::Refused(Refusal::new(api, code, &errmsg, &hidden))),
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
            Ok(Read::Success(answer)) => Ok(answer),
            Err(why) => Err(Error::Unreadable { api, status: status.as_u16(), why: why.to_string() }),
        }
    }

    /// Asks for the front page, for its Date header only. Counts for nothing at WeCom.
    pub(super) async fn knock(&self, deadline: Deadline) -> Result<(), Error> {
        let api = "date";
        let due = deadline.within(self.limits.exchange);
        let knock = self.http.head(self.api_address.clone()).send();
        let response = match timeout_at(due.instant(), knock).await {
            Ok(answer) => answer.map_err(|e| broken(api, e, &[]))?,
            Err(_) => return Err(Error::Timeout { api, sent: true }),
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

/// An answer that was read.
enum Read<T> {
    Success(T),
    Refusal(i64, String),
}

fn read<T: DeserializeOwned>(body: Vec<u8>) -> Result<Read<T>, Unreadable> {
    match Answer::read(body)? {
        Answer::Success(body) => body.decode().map(Read::Success),
        Answer::Refusal(code, errmsg) => Ok(Read::Refusal(code, errmsg)),
    }
}

/// The body, up to the limit.
async fn body(mut response: Response, request: Request<'_>, hidden: &[&str]) -> Result<Vec<u8>, Error> {
    let api = request.api;
    let longest = request.lane.longest_body();
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= longest * 1024 * 1024 => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(Error::Unreadable {
                    api,
                    status,
                    why: format!("it is longer than {longest} MiB"),
                });
            }
            Err(e) if e.is_timeout() => return Err(Error::Timeout { api, sent: true }),
            Err(e) => {
                let why = format!("{}: {}", Unreadable::CutOff, reason(e, hidden));
                return Err(Error::Unreadable { api, status, why });
            }
        }
    }
}

fn unreachable(api: &'static str, sent: bool, why: impl Into<String>) -> Error {
    Error::Unreachable { api, why: why.into(), sent }
}

/// A failure before the answer's first line. Without a connection (name, proxy, TLS and its own time limit included)
/// nothing was sent; from then on nobody knows how much of the request arrived.
fn broken(api: &'static str, error: reqwest::Error, hidden: &[&str]) -> Error {
    let sent = !error.is_connect() && !error.is_builder();
    if error.is_timeout() {
        return Error::Timeout { api, sent };
    }
    let what = if error.is_dns() {
        "its name cannot be resolved"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke off"
    };
    unreachable(api, sent, format!("{what} ({})", reason(error, hidden)))
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
