//! Trouble on demand: every way an upstream answer has been seen to be wrong.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::{Value, json};

/// What happens to a call instead of, or to, its answer.
///
/// The first group never reaches the API: no code is used up. The second spoils a real answer: the code is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A JSON answer with this errcode and errmsg, status 200.
    Errcode(i64, String),
    /// This text as the answer, status 200.
    Text(String),
    /// Status 500 with a line of text.
    Status500,
    /// Status 502 with a proxy's HTML page.
    Html502,
    /// Status 200 with nothing in it.
    EmptyBody,
    /// Status 200 and 256 MiB of a JSON string that does not end.
    HugeBody,
    /// No answer, ever; the connection stays open.
    Hang,
    /// The connection is closed without an answer.
    Close,

    /// The real answer after so long.
    Slow(Duration),
    /// Half of the real answer, as if it were all of it.
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
}

impl Fault {
    /// The whole answer, for a fault that does not need the real one.
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
                let mut steps = VecDeque::from([Step::Send(Bytes::from_static(b"{\"errmsg\":\""))]);
                steps.extend(std::iter::repeat_n(Step::Send(chunk), 4096));
                spoilt(steps)
            }
            Self::Hang => match std::future::pending::<Infallible>().await {},
            Self::Close => spoilt(VecDeque::from([Step::Break])),
            Self::Slow(by) => {
                tokio::time::sleep(*by).await;
                return None;
            }
            _ => return None,
        })
    }

    /// The real answer, spoilt.
    pub(super) fn spoil(&self, answer: &Value) -> Response {
        let text = answer.to_string();
        let half = || Bytes::from(text.as_bytes().iter().copied().take(text.len() / 2).collect::<Vec<u8>>());
        match self {
            Self::Truncated => json_text(half()),
            Self::CloseMidAnswer => spoilt(VecDeque::from([Step::Send(half()), Step::Flush, Step::Break])),
            Self::HangMidAnswer => spoilt(VecDeque::from([Step::Send(half()), Step::Forever])),
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
            _ => json_answer(answer),
        }
    }
}

/// An answer as the API gives it.
pub(super) fn json_answer(answer: &Value) -> Response {
    json_text(answer.to_string())
}

fn json_text(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], text.into()).into_response()
}

fn spoilt(steps: VecDeque<Step>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], Body::new(Spoilt(steps))).into_response()
}

/// The faults that wait for their calls, by API (`user/get`); `*` stands for every API.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next: HashMap<String, VecDeque<Fault>>,
    always: HashMap<String, Fault>,
}

impl Faults {
    /// One more call of this API fails so.
    pub(super) fn next(&mut self, api: &str, fault: Fault) {
        self.next.entry(api.to_owned()).or_default().push_back(fault);
    }

    /// Every call of this API fails so.
    pub(super) fn always(&mut self, api: &str, fault: Fault) {
        self.always.insert(api.to_owned(), fault);
    }

    /// The fault of a call that just came in.
    pub(super) fn take(&mut self, api: &str) -> Option<Fault> {
        let mut queued = |name: &str| self.next.get_mut(name).and_then(VecDeque::pop_front);
        queued(api)
            .or_else(|| queued("*"))
            .or_else(|| self.always.get(api).or_else(|| self.always.get("*")).cloned())
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// These bytes.
    Send(Bytes),
    /// What was sent so far goes out before the next step.
    Flush,
    /// The connection breaks. As the first step: before even the head of the answer has gone out.
    Break,
    /// Nothing more, without an end.
    Forever,
}

/// A body that goes wrong on the way.
struct Spoilt(VecDeque<Step>);

impl HttpBody for Spoilt {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.pop_front() {
            Some(Step::Send(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Step::Flush) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Some(Step::Forever) => {
                self.0.push_front(Step::Forever);
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_the_next_call_goes_before_the_one_for_every_call() {
        let mut f = Faults::default();
        f.always("user/get", Fault::Status500);
        f.next("user/get", Fault::Bom);
        f.next("*", Fault::Hang);
        let taken: Vec<_> = (0..3).filter_map(|_| f.take("user/get")).collect();
        assert_eq!(taken, [Fault::Bom, Fault::Hang, Fault::Status500]);
        assert_eq!(f.take("gettoken"), None);
    }
}
