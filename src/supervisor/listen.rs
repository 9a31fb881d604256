//! Listening and serving: what `axum::serve` does, with the timeouts it does not set.
//!
//! nginx keeps idle connections for 60 s, so ours live longer than that; a client that takes for ever to send its
//! headers does not (both are hyper's `header_read_timeout`, which runs from the end of the previous request).

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

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

use super::alarm::Alarm;
use crate::config::Listen;
use crate::http::client_ip::Peer;

/// Longer than nginx keeps a connection (60 s) and than DESIGN promises (75 s).
const IDLE: Duration = Duration::from_secs(90);

/// After an accept that failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// How long connections may go on after a stop was asked for.
const GRACE: Duration = Duration::from_secs(18);

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A socket file, removed when it is dropped.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds. A socket file that nobody listens on is replaced; its mode is 0660.
    ///
    /// # Errors
    /// If the address is taken or not ours to take.
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
                if stale && UnixStream::connect(path).await.is_err() {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    /// The address as an administrator writes it, with the port that was given for port 0.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|a| a.to_string()).unwrap_or_default(),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// The TCP port.
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

/// Serves `router` on `listener` until `stop`, then lets requests under way finish.
pub async fn serve(listener: Listener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        match accepted {
            Ok(Accepted::Tcp(stream, peer)) => {
                start(&mut connections, &graceful, stream, peer, router.clone());
            }
            Ok(Accepted::Unix(stream)) => {
                start(&mut connections, &graceful, stream, Peer::Unix, router.clone());
            }
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        connections.shutdown().await;
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, Peer),
    Unix(UnixStream),
}

async fn accept(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted::Tcp(stream, Peer::Ip(address.ip().to_canonical())))
        }
        Listener::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
    }
}

fn start(
    connections: &mut JoinSet<()>,
    graceful: &GracefulShutdown,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(Alarm::new(IDLE))
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    connections.spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "A connection ended early");
        }
    });
}
