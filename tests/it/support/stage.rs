//! A person at a real Chromium, with a gateway and WeCom on this machine.

use gongpai::simulator::PendingScan;

use super::app::TestApp;
use super::browser::{DESKTOP, WECOM_PHONE};
use super::eventually;
use super::port::Port;
use super::webdriver::{Chromium, Viewport};

/// A gateway that Chromium can reach.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) gateway: TestApp,
    /// `http://127.0.0.1:PORT`
    pub(crate) base: String,
    _port: Port,
}

impl Stage {
    /// Starts one with the usual configuration.
    pub(crate) async fn start() -> Self {
        Self::with("", &[]).await
    }

    /// Starts one with more configuration; see [`TestApp::reachable_at`].
    pub(crate) async fn with(toml: &str, environment: &[(&str, &str)]) -> Self {
        Self::on("127.0.0.1", toml, environment).await
    }

    /// Starts one on another host name, without TLS: no secure context, but cookies can have a
    /// domain there.
    pub(crate) async fn on(host: &str, toml: &str, environment: &[(&str, &str)]) -> Self {
        let port = Port::reserve();
        let t = TestApp::reachable_at(host, &port, toml, environment).await;
        Self { gateway: t, base: format!("http://{host}:{}", port.number()), _port: port }
    }

    /// Returns the URL of `path` on the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Waits for a QR page whose scan is not in `known`.
    pub(crate) async fn scan(&self, known: &[PendingScan]) -> PendingScan {
        eventually("a QR page waits for its scan", async || {
            self.gateway.wecom.pending_scans().into_iter().rev().find(|scan| !known.contains(scan))
        })
        .await
    }

    /// Scans the QR page as `who` and confirms.
    pub(crate) async fn confirm(&self, who: &str) {
        let scan = self.scan(&[]).await;
        self.gateway.wecom.confirm_scan(&scan.id, who).expect("a scan that waits");
    }

    /// Opens `path`, which leads through WeCom, as `who`.
    ///
    /// On a phone viewport the phone belongs to them; on a desktop they scan and confirm.
    pub(crate) async fn open_through_wecom(&self, chromium: &Chromium, who: &str, path: &str) {
        match chromium.viewport() {
            Viewport::Phone => {
                self.gateway.wecom.set_phone_member(who);
                chromium.goto(self.url(path)).await;
            }
            Viewport::Desktop => {
                chromium.goto(self.url(path)).await;
                self.confirm(who).await;
            }
        }
    }
}

/// Returns the User-Agent of a viewport: WeCom's own on a phone, an ordinary one on a desktop.
pub(crate) fn user_agent(viewport: Viewport) -> &'static str {
    match viewport {
        Viewport::Phone => WECOM_PHONE,
        Viewport::Desktop => DESKTOP,
    }
}
