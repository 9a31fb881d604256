//! Listens and serves: what `axum::serve` does, with the timeouts that it does not set.
//!
//! nginx keeps idle connections for 60 s, so ours live longer. A client that sends its headers too
//! slowly is cut off. Both are hyper's `header_read_timeout`, which runs from the end of the
//! previous request.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::connection_timer::ConnectionTimer;
use crate::config::ListenAddress;
use crate::http::client_ip::Peer;

/// How long a connection may be idle: longer than nginx keeps one (60 s), so that nginx is the one
/// who closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long a connection may be without a request after the stop before it is cut. hyper closes
/// idle connections at once, but waits for the rest of a request that has begun to arrive.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long connections may go on after the stop.
const CONNECTION_GRACE_PERIOD: Duration = Duration::from_secs(18);

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// A socket file, which is removed when this is dropped.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds the address. Replaces a socket file on which nobody listens; the mode of the new one
    /// is 0660.
    ///
    /// # Errors
    /// If the address is in use or not permitted.
    pub async fn bind(listen: &ListenAddress) -> io::Result<Self> {
        match listen {
            ListenAddress::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            ListenAddress::Unix(path) => {
                let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
                // If somebody still listens on the file, it belongs to another process.
                if stale && UnixStream::connect(path).await.is_err() {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    /// Returns the address as an administrator writes it. For port 0 it has the port that was
    /// assigned.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|a| a.to_string()).unwrap_or_default(),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Returns the TCP port.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|a| a.port()),
            Self::Unix(..) => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::debug!(%error, "The socket file could not be removed");
        }
    }
}

/// The routes of a listener. They can be replaced while it serves; clones share them.
///
/// Each request is answered completely by the routes at its arrival, also on a connection that was
/// opened earlier.
#[derive(Debug, Clone)]
pub struct ServedRoutes(Arc<ArcSwap<Router>>);

impl From<Router> for ServedRoutes {
    fn from(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }
}

impl ServedRoutes {
    /// Answers new requests by `router`. Running requests end as they began.
    pub fn replace(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    fn current(&self) -> Router {
        Router::clone(&self.0.load())
    }
}

/// Serves `routes` on `listener` until `stop`, then lets running requests finish.
pub async fn serve_routes(listener: Listener, routes: impl Into<ServedRoutes>, stop: CancellationToken) {
    let routes = routes.into();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept_stream(&listener) => accepted,
        };
        match accepted {
            Ok(AcceptedStream::Tcp(stream, peer)) => {
                start_connection(&mut connections, &graceful, stream, peer, routes.clone(), stop.clone());
            }
            Ok(AcceptedStream::Unix(stream)) => {
                start_connection(
                    &mut connections,
                    &graceful,
                    stream,
                    Peer::Unix,
                    routes.clone(),
                    stop.clone(),
                );
            }
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
            }
        }
    }
    // From here on new connections are refused.
    drop(listener);
    if tokio::time::timeout(CONNECTION_GRACE_PERIOD, graceful.shutdown()).await.is_err() {
        connections.shutdown().await;
    }
}

enum AcceptedStream {
    Tcp(tokio::net::TcpStream, Peer),
    Unix(UnixStream),
}

async fn accept_stream(listener: &Listener) -> io::Result<AcceptedStream> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // The answers of checks are small and must not wait for more data.
            stream.set_nodelay(true)?;
            Ok(AcceptedStream::Tcp(stream, Peer::Ip(address.ip().to_canonical())))
        }
        Listener::Unix(listener, _) => Ok(AcceptedStream::Unix(listener.accept().await?.0)),
    }
}

fn start_connection(
    connections: &mut JoinSet<()>,
    graceful: &GracefulShutdown,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    routes: ServedRoutes,
    stop: CancellationToken,
) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answered = routes.current().call(request);
        let under_way = RequestGuard::begin(&counted);
        async move {
            let response = answered.await;
            drop(under_way);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(ConnectionTimer::new(IDLE_TIMEOUT))
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    connections.spawn(async move {
        tokio::select! {
            ended = watched => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "A connection ended early");
                }
            }
            () = wait_until_idle(&stop, &requests) => {}
        }
    });
}

/// Waits for the stop, and then until the connection has had no request for [`LINGER_TIMEOUT`].
async fn wait_until_idle(stop: &CancellationToken, requests: &AtomicUsize) {
    stop.cancelled().await;
    loop {
        tokio::time::sleep(LINGER_TIMEOUT).await;
        if requests.load(Ordering::Acquire) == 0 {
            return;
        }
    }
}

/// Counts a request while it is answered, also if its client goes away.
struct RequestGuard(Arc<AtomicUsize>);

impl RequestGuard {
    fn begin(requests: &Arc<AtomicUsize>) -> Self {
        requests.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(requests))
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// Returns a connection and the values that keep it alive.
    fn connected(stop: &CancellationToken) -> (DuplexStream, JoinSet<()>, GracefulShutdown) {
        let (client, server) = duplex(64 * 1024);
        let (mut connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
        let slow = || async { tokio::time::sleep(Duration::from_secs(5)).await };
        let router = Router::new().route("/", get(|| async { "ok" })).route("/slow", get(slow));
        start_connection(&mut connections, &graceful, server, Peer::Unix, router.into(), stop.clone());
        (client, connections, graceful)
    }

    async fn answered(client: &mut DuplexStream) -> bool {
        let mut start = [0; 512];
        client.read(&mut start).await.is_ok_and(|n| n > 0 && start.starts_with(b"HTTP/1.1 200"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_idle_for_75_s_is_still_good_and_one_idle_for_ever_is_not() {
        let (mut client, _connections, _graceful) = connected(&CancellationToken::new());
        for _ in 0..3 {
            client.write_all(REQUEST).await.unwrap();
            assert!(answered(&mut client).await);
            tokio::time::sleep(Duration::from_secs(75)).await;
        }
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(60), client.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "never closed");
    }

    #[tokio::test(start_paused = true)]
    async fn replaced_routes_answer_the_next_request_of_a_connection_and_none_that_is_under_way() {
        let (mut client, server) = duplex(64 * 1024);
        let (mut connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
        let old = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            "old"
        };
        let routes = ServedRoutes::from(Router::new().route("/", get(old)));
        start_connection(
            &mut connections,
            &graceful,
            server,
            Peer::Unix,
            routes.clone(),
            CancellationToken::new(),
        );
        client.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        routes.replace(Router::new().route("/", get(|| async { "new" })));
        let mut start = [0; 512];
        let read = client.read(&mut start).await.unwrap();
        assert!(start[..read].ends_with(b"old"), "{}", String::from_utf8_lossy(&start[..read]));
        client.write_all(REQUEST).await.unwrap();
        let read = client.read(&mut start).await.unwrap();
        assert!(start[..read].ends_with(b"new"), "{}", String::from_utf8_lossy(&start[..read]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_for_ever_to_send_its_headers_is_cut() {
        let (mut client, _connections, _graceful) = connected(&CancellationToken::new());
        let drip = async {
            for byte in REQUEST.iter().cycle().take_while(|b| **b != b'\r') {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
            panic!("all of it was read");
        };
        assert!(tokio::time::timeout(Duration::from_secs(120), drip).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_requests_under_way_and_for_no_half_sent_one() {
        let stop = CancellationToken::new();
        let (mut busy, mut connections, graceful) = connected(&stop);
        busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (mut half, mut others, other_graceful) = connected(&stop);
        half.write_all(b"GET / HT").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let began = tokio::time::Instant::now();
        stop.cancel();
        tokio::join!(other_graceful.shutdown(), others.join_next());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let (_, (), _) = tokio::join!(connections.join_next(), graceful.shutdown(), async {
            assert!(answered(&mut busy).await, "the request under way was cut");
        });
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    }
}
