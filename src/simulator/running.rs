//! A simulator that listens in the caller's process and stops with its guard.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Simulator;

/// A listening simulator.
///
/// Dropping it closes the listener and idle connections. It dereferences to [`Simulator`], whose
/// other handles go on working.
#[derive(Debug)]
#[must_use = "the simulator stops when this is dropped"]
pub struct RunningSimulator {
    simulator: Simulator,
    address: SocketAddr,
    _stop: DropGuard,
}

impl RunningSimulator {
    pub(super) fn start(simulator: Simulator, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (serving, stopped) = (simulator.clone(), stop.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "the simulator runs beside the supervisor, in tests and the demo"
        )]
        tokio::spawn(async move { serving.serve(listener, stopped.cancelled_owned()).await });
        Ok(Self { simulator, address, _stop: stop.drop_guard() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://ADDRESS` without a slash at the end, for `api_address`, `oauth2_address` and
    /// `qr_connect_address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Deref for RunningSimulator {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}
