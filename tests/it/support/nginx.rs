//! A real nginx, so that the configuration we print is tested with the program that reads it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;
use super::process::{Process, Program};

/// An nginx that accepts connections on every port of its configuration; stopped on drop.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Process,
    prefix: TempDir,
}

impl Nginx {
    /// Starts nginx with `http`, the text of the http context (servers, maps, upstreams, log
    /// formats).
    ///
    /// The caller reserves the ports with [`super::port::Port`].
    pub(crate) async fn start(http: &str) -> Self {
        let prefix = tempfile::tempdir().expect("a folder for nginx");
        fs::write(prefix.path().join("nginx.conf"), Self::config(http)).expect("the configuration");
        let process = Program::at(Self::executable())
            .arg("-p")
            .arg(prefix.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .start();
        let mut nginx = Self { process, prefix };
        for port in listened_ports(http) {
            nginx.wait_for(port).await;
        }
        nginx
    }

    /// Returns nginx's folder; relative names in the configuration refer to it.
    pub(crate) fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// Returns the error log so far.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.prefix.path().join("error.log")).unwrap_or_default()
    }

    /// Stops nginx gracefully.
    pub(crate) async fn stop(mut self) {
        self.process.stop().await;
    }

    async fn wait_for(&mut self, port: u16) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = &mut self.process;
        let prefix = self.prefix.path();
        eventually(&format!("nginx accepts on {address}"), async || {
            if let Some(status) = process.ended() {
                let log = fs::read_to_string(prefix.join("error.log")).unwrap_or_default();
                panic!("nginx ended ({status}):\n{log}");
            }
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
        })
        .await;
    }

    /// Returns a configuration for one foreground process that writes only below its prefix and
    /// needs no privileges.
    fn config(http: &str) -> String {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            temporary.iter().map(|kind| format!("    {kind}_temp_path {kind};\n")).collect();
        format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{ worker_connections 512; }}\n\
             http {{\n    access_log access.log;\n{temporary}\n{http}\n}}\n"
        )
    }

    /// Returns the program; PATH does not always contain `/usr/sbin`.
    fn executable() -> PathBuf {
        let debian = PathBuf::from("/usr/sbin/nginx");
        if debian.exists() { debian } else { PathBuf::from("nginx") }
    }
}

/// Returns the ports of all `listen` directives.
fn listened_ports(config: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    for line in config.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        for directive in line.split(['{', ';']) {
            let mut words = directive.split_whitespace();
            if words.next() == Some("listen") {
                let address = words.next().unwrap_or_default();
                let port = address.rsplit(':').next().unwrap_or_default().parse();
                ports.push(port.unwrap_or_else(|_| panic!("no port in `{directive}`")));
            }
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::super::port::Port;
    use super::*;

    #[tokio::test]
    async fn nginx_serves_the_configuration_it_is_given() {
        let port = Port::reserve();
        let http = format!(
            "server {{\n  listen {}; # not {}\n  location / {{ add_header Seen-By nginx; return 200 \"hello\"; }}\n}}",
            port.address(),
            1
        );
        let nginx = Nginx::start(&http).await;
        let answer = reqwest::get(format!("http://{}/", port.address())).await.unwrap();
        assert_eq!(answer.headers()["Seen-By"], "nginx");
        assert_eq!(answer.text().await.unwrap(), "hello");
        assert_eq!(nginx.errors(), "");
        assert!(nginx.prefix().join("access.log").exists());
        nginx.stop().await;
        assert!(reqwest::get(format!("http://{}/", port.address())).await.is_err());
    }
}
