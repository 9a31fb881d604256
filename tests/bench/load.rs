//! The load process. Like nginx it keeps connections open and sends one request at a time on each,
//! with different cookies in turn.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::CHECK_PATH;
use crate::gateway::APP_HOST;

/// The number of connections that nginx keeps to one upstream under load.
const CONNECTION_COUNT: usize = 64;
/// A repeat that takes longer is stuck.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// The URL that the checks are about.
const ORIGINAL_URL: &str = "https://app.bench.test/orders/17?page=2";

/// Sends `requests` requests for `path` to the server on `port`, with the cookies in turn.
pub(crate) fn run_load(port: u16, path: &str, cookies: &str, requests: usize) -> Result<()> {
    let asked: Arc<[Vec<u8>]> =
        cookies.lines().map(|cookie| build_request(path, cookie)).collect::<Result<_>>()?;
    ensure!(!asked.is_empty(), "no cookies");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTION_COUNT {
            let (asked, next) = (Arc::clone(&asked), Arc::clone(&next));
            connections.spawn(async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let mut answer = Vec::with_capacity(4096);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return Ok(());
                    }
                    let request = asked.get(number % asked.len()).context("a request")?;
                    exchange_once(&stream, request, &mut answer).await?;
                }
            });
        }
        let all = async {
            while let Some(done) = connections.join_next().await {
                let done: Result<()> = done?;
                done?;
            }
            Ok(())
        };
        tokio::time::timeout(LOAD_TIMEOUT, all).await.context("the load did not end")?
    })
}

/// Returns a browser's request, or the check that the printed nginx configuration makes of it.
fn build_request(path: &str, cookie: &str) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    write!(request, "GET {path} HTTP/1.1\r\nHost: {APP_HOST}\r\n")?;
    if path == CHECK_PATH {
        write!(
            request,
            "X-Original-URL: {ORIGINAL_URL}\r\nX-Original-Method: GET\r\nX-Forwarded-For: 203.0.113.7\r\n"
        )?;
    }
    write!(
        request,
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 \
         Safari/537.36\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: zh-CN,zh;q=0.9\r\n\
         Sec-Fetch-Mode: navigate\r\nCookie: theme=dark; lang=zh-CN; {cookie}\r\n\r\n"
    )?;
    Ok(request)
}

/// Sends a request and reads its whole answer, which must be a 2xx.
async fn exchange_once(stream: &TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<()> {
    let mut rest = request;
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    answer.clear();
    loop {
        stream.readable().await?;
        match stream.try_read_buf(answer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) if is_complete(answer)? => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let head = String::from_utf8_lossy(answer.get(..12).unwrap_or_default());
    ensure!(head.starts_with("HTTP/1.1 2"), "not admitted: {}", String::from_utf8_lossy(answer));
    Ok(())
}

/// Tells whether the head and the announced body have arrived.
fn is_complete(answer: &[u8]) -> Result<bool> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let body: usize = length.map_or(Ok(0), str::parse)?;
    Ok(answer.len() >= head + 4 + body)
}
