//! A person at a real Chromium, with a gateway and WeCom on this machine: what a sign-in looks like from outside.

use gongpai::simulator::PendingScan;

use super::app::TestApp;
use super::browser::{DESKTOP, WECOM_PHONE};
use super::eventually;
use super::port::Port;
use super::webdriver::{Chromium, Viewport};

/// A gateway that a Chromium reaches.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The gateway and WeCom.
    pub(crate) gateway: TestApp,
    /// `http://127.0.0.1:PORT`
    pub(crate) base: String,
    _port: Port,
}

impl Stage {
    /// With nothing special.
    pub(crate) async fn start() -> Self {
        Self::with("", &[]).await
    }

    /// With more configuration; see [`TestApp::at`].
    pub(crate) async fn with(toml: &str, environment: &[(&str, &str)]) -> Self {
        Self::on("127.0.0.1", toml, environment).await
    }

    /// On a host of another name, without TLS: no safe context, but cookies can have a domain there.
    pub(crate) async fn on(host: &str, toml: &str, environment: &[(&str, &str)]) -> Self {
        let port = Port::reserve();
        let t = TestApp::reachable_at(host, &port, toml, environment).await;
        Self { gateway: t, base: format!("http://{host}:{}", port.number()), _port: port }
    }

    /// `path` on the gateway.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The scan that a QR page shows, once it does, and that is none of `known`.
    pub(crate) async fn scan(&self, known: &[PendingScan]) -> PendingScan {
        eventually("a QR page waits for its scan", async || {
            self.gateway.wecom.pending_scans().into_iter().rev().find(|scan| !known.contains(scan))
        })
        .await
    }

    /// `who` scans the QR page that is shown and confirms.
    pub(crate) async fn confirm(&self, who: &str) {
        let scan = self.scan(&[]).await;
        self.gateway.wecom.confirm_scan(&scan.id, who).expect("a scan that waits");
    }

    /// `who` opens `path`, which leads through WeCom: the phone belongs to them, and at a desk they scan and confirm.
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

/// The browser that belongs to a viewport: WeCom's own on a phone, an ordinary one on a desk.
pub(crate) fn user_agent(viewport: Viewport) -> &'static str {
    match viewport {
        Viewport::Phone => WECOM_PHONE,
        Viewport::Desktop => DESKTOP,
    }
}
