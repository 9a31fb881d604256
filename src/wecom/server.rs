//! A fake WeCom for tests of this room and of those above it. It speaks raw TCP, so that it can
//! hang, break off and lie as real servers do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// A request that the fake received.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    /// Without `/cgi-bin/`.
    pub(crate) api: String,
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl ReceivedRequest {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// 200 with this body.
    Body(Vec<u8>),
    /// Status and body.
    Status(u16, &'static str, Vec<u8>),
    /// 200 with this body, after a pause.
    Late(Duration, Vec<u8>),
    /// These bytes as the whole answer, then the end of the connection.
    Raw(Vec<u8>),
    /// Never an answer.
    Hang,
    /// Half an answer, then silence.
    HangInside,
    /// The end of the connection instead of an answer.
    Close,
}

impl Reply {
    pub(crate) fn json(text: &str) -> Self {
        Self::Body(text.as_bytes().to_vec())
    }

    pub(crate) fn errcode(code: i64) -> Self {
        Self::Body(format!(r#"{{"errcode":{code},"errmsg":"refused by the test"}}"#).into_bytes())
    }

    pub(crate) fn token(text: &str) -> Self {
        Self::Body(
            format!(r#"{{"errcode":0,"errmsg":"ok","access_token":"{text}","expires_in":7200}}"#)
                .into_bytes(),
        )
    }
}

type ReplyRule = dyn Fn(&ReceivedRequest, usize) -> Reply + Send + Sync;

/// A server on a free port; it ends when it is dropped.
pub(crate) struct FakeWecom {
    pub(crate) url: Url,
    asked: Arc<Mutex<Vec<ReceivedRequest>>>,
    most_at_once: Arc<Mutex<(usize, usize)>>,
    _tasks: JoinSet<()>,
}

impl fmt::Debug for FakeWecom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.url)
    }
}

impl FakeWecom {
    /// Starts a server that answers by `rule`, which also gets the number of earlier requests to
    /// the same api.
    pub(crate) async fn start(
        rule: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let most_at_once = Arc::new(Mutex::new((0, 0)));
        let (log, load, rule) = (asked.clone(), most_at_once.clone(), Arc::new(rule) as Arc<ReplyRule>);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, load, rule) = (log.clone(), load.clone(), rule.clone());
                connections.spawn(async move {
                    let _ = serve(stream, &log, &load, &*rule).await;
                });
            }
        });
        Self { url, asked, most_at_once, _tasks: tasks }
    }

    pub(crate) fn requests(&self, api: &str) -> Vec<ReceivedRequest> {
        self.asked.lock().iter().filter(|a| a.api == api).cloned().collect()
    }

    pub(crate) fn request_count(&self, api: &str) -> usize {
        self.requests(api).len()
    }

    /// Returns the largest number of requests that were answered at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.lock().1
    }

    /// Waits until `api` has been called `times` times.
    pub(crate) async fn until_asked(&self, api: &str, times: usize) {
        let patience = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.request_count(api) < times {
            assert!(tokio::time::Instant::now() < patience, "{api} was not asked {times} times");
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<ReceivedRequest>>,
    load: &Mutex<(usize, usize)>,
    rule: &ReplyRule,
) -> io::Result<()> {
    let mut pending = Vec::new();
    loop {
        let Some(asked) = read_request(&stream, &mut pending).await? else { return Ok(()) };
        let before = {
            let mut log = log.lock();
            let before = log.iter().filter(|a| a.api == asked.api).count();
            log.push(asked.clone());
            before
        };
        let reply = rule(&asked, before);
        {
            let mut load = load.lock();
            load.0 += 1;
            load.1 = load.1.max(load.0);
        }
        let answer = match reply {
            Reply::Body(body) => build_response("200 OK", "application/json", &body),
            Reply::Status(status, kind, body) => build_response(&format!("{status} Test"), kind, &body),
            Reply::Late(pause, body) => {
                tokio::time::sleep(pause).await;
                build_response("200 OK", "application/json", &body)
            }
            Reply::Hang => std::future::pending().await,
            Reply::HangInside => {
                write_bytes(&stream, b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"errcode\":").await?;
                std::future::pending().await
            }
            Reply::Raw(bytes) => {
                load.lock().0 -= 1;
                return write_bytes(&stream, &bytes).await;
            }
            Reply::Close => {
                load.lock().0 -= 1;
                return Ok(());
            }
        };
        load.lock().0 -= 1;
        write_bytes(&stream, &answer).await?;
    }
}

fn build_response(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ndate: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
         location: http://127.0.0.1:1/elsewhere\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads one request; `None` at the end of the connection.
async fn read_request(stream: &TcpStream, pending: &mut Vec<u8>) -> io::Result<Option<ReceivedRequest>> {
    loop {
        if let Some(end) = pending.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&pending[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if pending.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&pending[end + 4..end + 4 + length]).into_owned();
                pending.drain(..end + 4 + length);
                return Ok(Some(parse_request(&head, body)));
            }
        }
        stream.readable().await?;
        let mut chunk = [0; 4096];
        match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(n) => pending.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

fn parse_request(head: &str, body: String) -> ReceivedRequest {
    let mut words = head.split(' ');
    let method = words.next().unwrap().to_owned();
    let target = words.next().unwrap();
    let url: Url = format!("http://x{target}").parse().unwrap();
    let api = url.path().rsplit_once("/cgi-bin/").map_or(url.path(), |(_, api)| api).to_owned();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    ReceivedRequest { method, api, query: url.query_pairs().into_owned().collect(), headers, body }
}

async fn write_bytes(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
