//! An application that records every byte it receives, and raw requests. An HTTP library would
//! repair what a test wants to see.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An application behind a proxy.
///
/// It answers 200 with the head of the request. It accepts a WebSocket upgrade and then echoes
/// every byte. `/status/502` answers with that status, and `/silent` never answers.
#[derive(Debug)]
pub(crate) struct EchoServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Head>>>,
    _tasks: JoinSet<()>,
}

impl EchoServer {
    /// Listens on a free port until dropped.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Vec<Head>>>::default();
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer_requests(stream, Arc::clone(&kept)));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the origin for `--upstream`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<Head> {
        self.seen.lock().clone()
    }

    /// Returns the newest request; panics if there is none.
    pub(crate) fn last(&self) -> Head {
        self.seen().pop().expect("the application saw a request")
    }
}

async fn answer_requests(mut stream: TcpStream, seen: Arc<Mutex<Vec<Head>>>) {
    while let Some(head) = read_head(&mut stream).await {
        let head = Head(head);
        let length = head.one("content-length").map_or(0, |n| n.parse().expect("a length"));
        let upgrade = head.one("upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
        seen.lock().push(head.clone());
        if upgrade {
            let accepted =
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(accepted).await.ok();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.ok();
            return;
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let path = head.line().split(' ').nth(1).unwrap_or_default().to_owned();
        if path == "/silent" {
            std::future::pending::<()>().await;
        }
        let status =
            path.strip_prefix("/status/").map_or("200 OK".to_owned(), |status| format!("{status} Said"));
        let text = format!("{}\n{}", head.0, String::from_utf8_lossy(&body));
        let answer = format!(
            "HTTP/1.1 {status}\r\nX-From: the application\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads up to the empty line; `None` if the other side closes earlier.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes.iter().map(|b| char::from(*b)).collect())
}

/// The first line and the headers of a request or an answer, unchanged; each byte is one character.
#[derive(Debug, Clone)]
pub(crate) struct Head(pub(crate) String);

impl Head {
    /// Returns the request line or status line.
    pub(crate) fn line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// Returns the values of every header that an application could take for `name`: CGI and WSGI
    /// read `_` as `-`.
    pub(crate) fn values_like(&self, name: &str) -> Vec<&str> {
        let folded = |text: &str| text.to_ascii_lowercase().replace('_', "-");
        let headers = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.filter(|(n, _)| folded(n) == folded(name)).map(|(_, value)| value.trim()).collect()
    }

    /// Returns the value of the only such header; panics if there are several.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        match self.values_like(name).as_slice() {
            [] => None,
            [one] => Some(one),
            several => panic!("{name}: {several:?}"),
        }
    }
}

/// An answer to a raw request.
#[derive(Debug, Clone)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: String,
}

/// Sends `request` and reads until the server closes. The request should say `Connection: close`.
pub(crate) async fn send_raw(address: SocketAddr, request: &[u8]) -> RawResponse {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A server may answer and close before it has read everything.
    stream.write_all(request).await.ok();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer but {text:?}"));
    RawResponse { status, head: Head(head.to_owned()), body: body.to_owned() }
}
