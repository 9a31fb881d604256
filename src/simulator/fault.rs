//! Injected faults: every way in which an upstream answer has been seen to be wrong.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::{Map, Value, json};

use super::call::SimulatedCall;

/// What happens to a call or to its answer.
///
/// With a fault of the first group the API never sees the call: no code is used up. A fault of the
/// second group spoils a real answer: the code is used up. [`InjectedFault::having_acted`] moves
/// one of the first group into the second. Files of `media/get` are never spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectedFault {
    /// A JSON answer with this errcode and errmsg, status 200.
    Errcode(i64, String),
    /// This text, status 200.
    Text(String),
    /// Status 500 with a line of text.
    Status500,
    /// Status 502 with a proxy's HTML page.
    Html502,
    /// Status 200 with an empty body.
    EmptyBody,
    /// Status 200 and 256 MiB of a JSON string that does not end.
    HugeBody,
    /// No answer; the connection stays open.
    Hang,
    /// The connection is closed without an answer.
    Close,

    /// The real answer after this delay.
    Slow(Duration),
    /// Half of the real answer, with a matching length.
    Truncated,
    /// Half of the real answer, then the connection is closed.
    CloseMidAnswer,
    /// Half of the real answer, then nothing more; the connection stays open.
    HangMidAnswer,
    /// The real answer after a UTF-8 byte order mark.
    Bom,
    /// The real answer with a raw control character in its first string.
    ControlCharacter,
    /// The real answer with errcode as a string, `"errcode":"0"`.
    ErrcodeAsString,
    /// The real answer with its lists emptied: errcode 0, and nobody there.
    EmptyList,
    /// The real answer with the last record of its list damaged.
    BrokenRecord(RecordDamage),
    /// The API acts on the call, then this fault replaces its answer. See
    /// [`InjectedFault::having_acted`].
    HavingActed(Box<Self>),
}

/// How a record is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordDamage {
    /// `userid` (`id` of a department, `tagid` of a tag) is missing.
    WithoutId,
    /// `userid` is a number (`id` and `tagid` are texts).
    IdOfWrongType,
    /// `department` is a number instead of a list.
    DepartmentNoList,
}

/// The calls that a fault applies to: all calls of an API, or those with one parameter value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultTarget {
    api: String,
    parameter: Option<(String, String)>,
}

impl FaultTarget {
    /// Returns the target of every call of `api` (`gettoken`, `user/get`, …); `*` stands for every
    /// API.
    pub fn for_api(api: &str) -> Self {
        Self { api: super::call::api_name(api).to_owned(), parameter: None }
    }

    /// Restricts the target to calls with this parameter value, in the query or at the top of the
    /// JSON body.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers write a number or a text")]
    pub fn with(mut self, parameter: &str, value: impl ToString) -> Self {
        self.parameter = Some((parameter.to_owned(), value.to_string()));
        self
    }

    /// Returns how closely the target matches a call; `None` if it does not.
    fn closeness(&self, api: &str, call: &SimulatedCall) -> Option<u8> {
        let at_api = self.api == api;
        if !at_api && self.api != "*" {
            return None;
        }
        match &self.parameter {
            Some((name, value)) if !has_parameter(call, name, value) => None,
            // A parameter weighs more than the name of the API.
            parameter => Some(u8::from(at_api) + 2 * u8::from(parameter.is_some())),
        }
    }
}

/// Tells whether the call has this parameter value.
fn has_parameter(call: &SimulatedCall, name: &str, value: &str) -> bool {
    if let Some(there) = call.param(name) {
        return there == value;
    }
    let body: Option<Value> = serde_json::from_slice(&call.body).ok();
    let there = body.as_ref().and_then(|b| b.get(name));
    // A number in JSON equals its text, so tests need not care.
    there.is_some_and(|there| there.as_str().map_or_else(|| there.to_string(), str::to_owned) == value)
}

impl InjectedFault {
    /// Lets WeCom act on the call before it fails.
    ///
    /// `InjectedFault::Hang.having_acted()` sends the message, but nobody learns of it;
    /// `InjectedFault::Slow(…).having_acted()` sends it before it waits.
    #[must_use]
    pub fn having_acted(self) -> Self {
        Self::HavingActed(Box::new(self))
    }

    /// Returns the whole answer of a fault that does not need the real one.
    pub(super) async fn instead(&self) -> Option<Response> {
        Some(match self {
            Self::Errcode(code, message) => json_answer(&json!({"errcode": code, "errmsg": message})),
            Self::Text(text) => json_text(text.clone()),
            Self::Status500 => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response(),
            Self::Html502 => {
                let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>\
                    502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
                (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
            Self::EmptyBody => StatusCode::OK.into_response(),
            Self::HugeBody => {
                let chunk = Bytes::from(vec![b'a'; 64 * 1024]);
                let mut steps = VecDeque::from([BodyStep::Send(Bytes::from_static(b"{\"errmsg\":\""))]);
                steps.extend(std::iter::repeat_n(BodyStep::Send(chunk), 4096));
                faulty_response(steps)
            }
            Self::Hang => match std::future::pending::<Infallible>().await {},
            Self::Close => faulty_response(VecDeque::from([BodyStep::Break])),
            Self::Slow(by) => {
                tokio::time::sleep(*by).await;
                return None;
            }
            _ => return None,
        })
    }

    /// Returns the real answer, spoilt.
    pub(super) fn spoil(&self, answer: &Value) -> Response {
        let text = answer.to_string();
        let half = || Bytes::from(text.as_bytes().iter().copied().take(text.len() / 2).collect::<Vec<u8>>());
        match self {
            Self::Truncated => json_text(half()),
            Self::CloseMidAnswer => {
                faulty_response(VecDeque::from([BodyStep::Send(half()), BodyStep::Flush, BodyStep::Break]))
            }
            Self::HangMidAnswer => {
                faulty_response(VecDeque::from([BodyStep::Send(half()), BodyStep::Forever]))
            }
            Self::Bom => json_text(format!("\u{feff}{text}")),
            Self::ControlCharacter => json_text(text.replacen(":\"", ":\"\u{b}", 1)),
            Self::ErrcodeAsString => {
                let mut answer = answer.clone();
                let number = answer.get("errcode").and_then(Value::as_i64).unwrap_or(0);
                if let Value::Object(fields) = &mut answer {
                    fields.insert("errcode".to_owned(), Value::String(number.to_string()));
                }
                json_answer(&answer)
            }
            Self::EmptyList => {
                let mut answer = answer.clone();
                for list in list_fields(&mut answer) {
                    list.clear();
                }
                json_answer(&answer)
            }
            Self::BrokenRecord(how) => {
                let mut answer = answer.clone();
                let records = list_fields(&mut answer).filter_map(|l| l.last_mut()?.as_object_mut());
                for record in records {
                    how.spoil(record);
                }
                json_answer(&answer)
            }
            _ => json_answer(answer),
        }
    }
}

/// Returns the lists at the top of an answer.
fn list_fields(answer: &mut Value) -> impl Iterator<Item = &mut Vec<Value>> {
    answer.as_object_mut().into_iter().flatten().filter_map(|(_, v)| v.as_array_mut())
}

impl RecordDamage {
    fn spoil(self, record: &mut Map<String, Value>) {
        let id = ["userid", "id", "tagid"].into_iter().find(|name| record.contains_key(*name));
        match (self, id) {
            (Self::WithoutId, Some(id)) => {
                record.shift_remove(id);
            }
            (Self::IdOfWrongType, Some(id)) => {
                let wrong = if id == "userid" { json!(12345) } else { json!("twelve") };
                record.insert(id.to_owned(), wrong);
            }
            (Self::DepartmentNoList, _) => {
                record.insert("department".to_owned(), json!(1));
            }
            (Self::WithoutId | Self::IdOfWrongType, None) => {}
        }
    }
}

/// Returns an answer as the API gives it.
pub(super) fn json_answer(answer: &Value) -> Response {
    json_text(answer.to_string())
}

fn json_text(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], text.into()).into_response()
}

fn faulty_response(steps: VecDeque<BodyStep>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], Body::new(FaultyBody(steps)))
        .into_response()
}

/// The faults that wait for calls.
#[derive(Debug, Default)]
pub(super) struct FaultQueue {
    /// With the number of calls that are left.
    next: Vec<(FaultTarget, u32, InjectedFault)>,
    always: Vec<(FaultTarget, InjectedFault)>,
}

impl FaultQueue {
    /// Adds a fault for the next `times` calls. `None` stands for all calls, and replaces an
    /// earlier fault of the same target.
    pub(super) fn add(&mut self, aim: FaultTarget, times: Option<u32>, fault: InjectedFault) {
        match times {
            Some(0) => {}
            Some(times) => self.next.push((aim, times, fault)),
            None => {
                self.always.retain(|(a, _)| *a != aim);
                self.always.push((aim, fault));
            }
        }
    }

    /// Returns the fault of a call that has just come in. The closest target wins, queued faults
    /// before permanent ones.
    pub(super) fn take(&mut self, api: &str, call: &SimulatedCall) -> Option<InjectedFault> {
        let aimed = self.next.iter().enumerate();
        // Of equally close faults the one that was queued first: `Reverse` makes `max` prefer it.
        let aimed = aimed.filter_map(|(at, (aim, ..))| Some((aim.closeness(api, call)?, Reverse(at))));
        if let Some((_, Reverse(at))) = aimed.max()
            && let Some((_, left, fault)) = self.next.get_mut(at)
        {
            let fault = fault.clone();
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.next.remove(at);
            }
            return Some(fault);
        }
        let aimed = self.always.iter().filter_map(|(aim, f)| Some((aim.closeness(api, call)?, f)));
        aimed.max_by_key(|(closeness, _)| *closeness).map(|(_, f)| f.clone())
    }
}

#[derive(Debug, Clone)]
enum BodyStep {
    Send(Bytes),
    /// Sends what is buffered before the next step.
    Flush,
    /// Breaks the connection. As the first step, not even the head of the answer is sent.
    Break,
    /// Sends nothing more, without an end.
    Forever,
}

/// A body that fails while it is sent.
struct FaultyBody(VecDeque<BodyStep>);

impl HttpBody for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.pop_front() {
            Some(BodyStep::Send(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(BodyStep::Flush) => {
                // One `Pending` lets hyper write what it has buffered.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(BodyStep::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Some(BodyStep::Forever) => {
                self.0.push_front(BodyStep::Forever);
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::http::Method;

    use super::*;

    fn call(query: &[(&str, &str)], body: &'static str) -> SimulatedCall {
        SimulatedCall {
            method: Method::GET,
            query: query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            content_type: None,
            body: Bytes::from_static(body.as_bytes()),
            from: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    #[test]
    fn a_fault_for_the_next_call_goes_before_the_one_for_every_call() {
        let mut f = FaultQueue::default();
        f.add(FaultTarget::for_api("user/get"), None, InjectedFault::Status500);
        f.add(FaultTarget::for_api("*"), Some(1), InjectedFault::Hang);
        f.add(FaultTarget::for_api("user/get"), Some(1), InjectedFault::Bom);
        let none = call(&[], "");
        let taken: Vec<_> = (0..3).filter_map(|_| f.take("user/get", &none)).collect();
        assert_eq!(taken, [InjectedFault::Bom, InjectedFault::Hang, InjectedFault::Status500]);
        assert_eq!(f.take("gettoken", &none), None);
    }

    #[test]
    fn a_fault_aimed_at_one_value_leaves_the_others_alone() {
        let mut f = FaultQueue::default();
        f.add(FaultTarget::for_api("user/list").with("department_id", 3), Some(2), InjectedFault::Status500);
        f.add(FaultTarget::for_api("user/list_id").with("limit", 7), None, InjectedFault::Hang);
        let of = |id| call(&[("department_id", id)], "");
        assert_eq!(f.take("user/list", &of("33")), None);
        let taken: Vec<_> = (0..3).map(|_| f.take("user/list", &of("3"))).collect();
        assert_eq!(taken, [Some(InjectedFault::Status500), Some(InjectedFault::Status500), None]);
        assert_eq!(f.take("user/list_id", &call(&[], r#"{"limit":7}"#)), Some(InjectedFault::Hang));
        assert_eq!(f.take("user/list_id", &call(&[], r#"{"limit":8}"#)), None);
    }
}
