//! Ports for programs that must know theirs before they start.
//!
//! Asking the kernel for port 0 and closing the socket is a race between concurrent tests. Here a
//! locked file reserves a port; the kernel unlocks it when the test ends, however it ends. The
//! ports lie below the kernel's range for outgoing connections.

use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// The kernel's own range starts at 32768.
const FIRST_PORT: u16 = 20_000;
const PORT_COUNT: u16 = 10_000;

/// A port of 127.0.0.1 that no other test uses until this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port on which nothing listens.
    pub(crate) fn reserve() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
        create_dir_all(&folder).expect("a folder for the locks");
        // Tests start at different places, so that they seldom try the same lock.
        let start = u16::try_from(std::process::id() % u32::from(PORT_COUNT)).expect("below COUNT");
        for step in 0..PORT_COUNT {
            let number = FIRST_PORT + (start + step.wrapping_mul(7)) % PORT_COUNT;
            let lock = File::create(folder.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST_PORT} and {}", FIRST_PORT + PORT_COUNT);
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[test]
fn two_reserved_ports_differ_and_can_be_listened_on() {
    let (one, other) = (Port::reserve(), Port::reserve());
    assert_ne!(one.number(), other.number());
    let _listener = TcpListener::bind(one.address()).unwrap();
}
