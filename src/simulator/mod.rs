//! A WeCom to hold in the hand: server API, authorize page, QR page and a phone, in one router.
//!
//! For tests in this process ([`Simulator::start`]) and for demos (`wecom-simulator`). It imports nothing of
//! ours and shares no type with our WeCom client, so that a mistake about WeCom cannot be made on both sides and
//! go unseen. No production module may import it; `wecom-simulator`, the marker below, must not occur in the
//! production binary.
//!
//! | path | what | file |
//! |---|---|---|
//! | `/cgi-bin/*` | the server API | `api.rs`, `contact.rs`, `tag.rs`, `agent.rs`, `send.rs`, `media.rs` |
//! | `/connect/oauth2/authorize` | sign-in inside WeCom | `authorize.rs` |
//! | `/wwlogin/sso/login` | sign-in by QR code, in a frame or alone | `scan.rs` |
//! | `/`, `/phone` | the phone: who holds it, the workbench, scans to confirm | `phone.rs` |
//! | `/phone/inbox` | the messages of whoever holds the phone | `inbox.rs`, `bubble.rs`, `markup.rs` |
//! | `/phone/inbox.json?userid=` | [`Simulator::inbox`] over HTTP; without a userid the holder's | `inbox.rs` |
//! | `/phone/unread` | `{"unread": 2, "version": "zhangsan 7"}` of the holder | `inbox.rs` |
//! | `/phone/media/{media_id}` | what was uploaded, a picture to look at | `inbox.rs` |
//! | `/organisation` | pages to edit departments, members and tags | `organisation.rs`, `editing.rs` |
//!
//! `/phone/inbox.json` answers a list, oldest first:
//! `[{"msgid", "agentid", "app", "msgtype", "content": {…}, "safe": 0, "at": 1700000000000}]`, `content` as
//! delivered, `at` in milliseconds by the simulator's clock. Recalled messages are not in it.
//!
//! What the company looks like is [`World`]; what was given out (tokens, codes) is in `grant.rs`; trouble on
//! demand is [`Fault`]. A page that refuses names the errcode in the header `x-simulator-error`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;

mod addressee;
mod agent;
mod api;
mod authorize;
mod bubble;
mod card;
mod clock;
mod company;
mod contact;
mod content;
mod editing;
mod fault;
mod grant;
mod handle;
mod inbox;
mod index;
mod large;
mod limit;
mod markup;
mod media;
mod multipart;
mod opening;
mod organisation;
mod organise;
mod page;
mod people;
mod phone;
mod post;
mod random;
mod reader;
mod redirect;
mod running;
mod scan;
mod send;
mod state;
mod tag;
#[cfg(test)]
mod tests;
mod world;

pub use fault::{Aim, Broken, Fault};
pub use limit::{Limits, PerApi};
pub use media::Media;
pub use people::{Attribute, Department, Member, Status, Tag};
pub use post::{Letter, Sent, Undelivered};
pub use running::Running;
pub use scan::{PendingScan, ScanError};
pub use state::Received;
pub use world::{App, Contacts, LinkedMember, Outsider, Phone, Visible, Who, World};

/// Stands in every page and answer of the simulator, and so in every binary that contains it.
pub const MARKER: &str = "wecom-simulator";

/// The request header by which a test with WeCom's User-Agent says who holds the phone: a userid, an openid,
/// `CorpId/userid`, or `cancel` for somebody who declines.
pub const MEMBER_HEADER: &str = "x-simulator-member";

/// A simulated WeCom with one corporation. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Simulator {
    inner: Arc<state::Inner>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new(World::default())
    }
}

impl Simulator {
    /// A WeCom with this corporation.
    pub fn new(world: World) -> Self {
        Self { inner: Arc::new(state::Inner::new(world)) }
    }

    /// Every path of it. Serve it with connect info, or every caller is 127.0.0.1; [`Simulator::serve`] does.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/cgi-bin/{*api}", any(api::call))
            .route("/connect/oauth2/authorize", get(authorize::authorize))
            .route("/wwlogin/sso/login", get(scan::login))
            .route("/wwlogin/sso/status", get(scan::status))
            .route("/", get(phone::phone))
            .route("/phone", get(phone::phone))
            .route("/phone/member", post(phone::choose))
            .route("/phone/confirm", get(phone::scanned).post(phone::decide))
            .route("/phone/scans", get(phone::scans))
            .route("/phone/inbox", get(inbox::inbox))
            .route("/phone/inbox.json", get(inbox::json))
            .route("/phone/unread", get(inbox::unread))
            .route("/phone/media/{id}", get(inbox::media))
            .route("/organisation", get(organisation::organisation))
            .route("/organisation/department", post(editing::department))
            .route("/organisation/member", get(organisation::member).post(editing::member))
            .route("/organisation/tag", get(organisation::tag).post(editing::tag))
            .route("/simulator/{file}", get(page::asset))
            .with_state(self.clone())
    }

    /// Serves on `listener` until `stop` is done; connections at rest are closed then.
    ///
    /// # Errors
    /// None that axum reports today; accepting goes on after an error.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stop).await
    }

    /// The sample company on a free port of 127.0.0.1, until the guard is dropped.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> io::Result<Running> {
        Self::default().start_on("127.0.0.1:0".parse().map_err(io::Error::other)?).await
    }

    /// This WeCom on that address, until the guard is dropped.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn start_on(self, address: SocketAddr) -> io::Result<Running> {
        Running::start(self, TcpListener::bind(address).await?)
    }

    /// Moves the simulator's time forward: tokens, codes, scans and blocks grow older by `by`.
    pub fn advance(&self, by: Duration) {
        self.inner.clock.advance(by);
    }
}
