//! A simulated WeCom: server API, authorize page, QR page and a phone, in one router.
//!
//! Tests start it in their own process ([`Simulator::start`]); the demo and `wecom-simulator` serve it.
//! It imports nothing of the gateway and shares no type with `wecom`: a mistake about WeCom cannot be
//! made on both sides and stay unseen (see [the reason](crate::design#simulator)). No production
//! module may import it, and [`MARKER`] must not occur in the production binary.
//!
//! | path | what | file |
//! |---|---|---|
//! | `/cgi-bin/*` | the server API | `api`, `contact`, `tag`, `agent`, `send`, `media_api` |
//! | `/connect/oauth2/authorize` | sign-in inside WeCom | `authorize` |
//! | `/wwlogin/sso/login` | sign-in by QR code, in a frame or alone | `qr_page`, `scan` |
//! | `/`, `/phone` | the phone: its holder, the workbench, scans to confirm | `phone` |
//! | `/phone/inbox` | the holder's messages | `inbox`, `bubble`, `markup` |
//! | `/phone/inbox.json?userid=` | [`Simulator::inbox`]; by default the holder's | `inbox` |
//! | `/phone/unread` | `{"unread": 2, "version": "zhangsan 7"}` of the holder | `inbox` |
//! | `/phone/media/{media_id}` | an upload; a picture is shown | `inbox` |
//! | `/organisation` | pages that edit departments, members, tags | `organisation`, `editing` |
//!
//! `/phone/inbox.json` answers a list, oldest first, without recalled messages:
//! `[{"msgid", "agentid", "app", "msgtype", "content": {…}, "safe": 0, "at": 1700000000000}]`.
//! `content` is as delivered, `at` in milliseconds by the simulator's clock.
//!
//! [`World`] describes the company, `grant` holds what was issued (tokens, codes), and
//! [`InjectedFault`] makes calls fail. A page that refuses names the errcode in the header
//! `x-simulator-error`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;

mod address_book;
mod addressee;
mod agent;
mod api;
mod authorize;
mod bubble;
mod call;
mod card;
mod clock;
mod company;
mod contact;
mod content;
mod content_fields;
mod control;
mod editing;
mod fault;
mod grant;
mod inbox;
mod index;
mod large;
mod limit;
mod link_query;
mod mailbox;
mod markup;
mod media;
mod media_api;
mod multipart;
mod organisation;
mod page;
mod people;
mod phone;
mod qr_page;
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

pub use fault::{FaultTarget, InjectedFault, RecordDamage};
pub use limit::{PerApi, SimulatedLimits};
pub use mailbox::{AcceptedSend, InboxMessage, UndeliveredCopy};
pub use media::Media;
pub use people::{SimulatedAttribute, SimulatedDepartment, SimulatedMember, SimulatedStatus, SimulatedTag};
pub use running::RunningSimulator;
pub use scan::{PendingScan, ScanError};
pub use state::ReceivedCall;
pub use world::{
    CodeBearer, ContactsAssistant, LinkedMember, Outsider, PhoneHolder, SimulatedApp, VisibleScope, World,
};

/// A text in every page and answer of the simulator, and so in every binary that contains it.
pub const MARKER: &str = "wecom-simulator";

/// The request header that says who holds the phone, for a test with WeCom's User-Agent.
///
/// A userid, an openid, `CorpId/userid`, or `cancel` for a person who declines.
pub const MEMBER_HEADER: &str = "x-simulator-member";

/// A simulated WeCom with one corporation. Clones share it.
#[derive(Debug, Clone)]
pub struct Simulator {
    inner: Arc<state::SharedState>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new(World::default())
    }
}

impl Simulator {
    /// Creates a WeCom with this corporation.
    pub fn new(world: World) -> Self {
        Self { inner: Arc::new(state::SharedState::new(world)) }
    }

    /// Returns all routes. Serve them with connect info, as [`Simulator::serve`] does; otherwise
    /// every caller seems to be 127.0.0.1.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/cgi-bin/{*api}", any(api::handle_call))
            .route("/connect/oauth2/authorize", get(authorize::handle_authorize))
            .route("/wwlogin/sso/login", get(qr_page::show_qr_page))
            .route("/wwlogin/sso/status", get(qr_page::answer_status))
            .route("/", get(phone::show_phone))
            .route("/phone", get(phone::show_phone))
            .route("/phone/member", post(phone::choose_member))
            .route("/phone/confirm", get(phone::show_scan).post(phone::decide_scan))
            .route("/phone/scans", get(phone::list_scans))
            .route("/phone/inbox", get(inbox::show_inbox))
            .route("/phone/inbox.json", get(inbox::answer_inbox_json))
            .route("/phone/unread", get(inbox::answer_unread))
            .route("/phone/media/{id}", get(inbox::show_media))
            .route("/organisation", get(organisation::show_organisation))
            .route("/organisation/department", post(editing::edit_department))
            .route("/organisation/member", get(organisation::show_member).post(editing::edit_member))
            .route("/organisation/tag", get(organisation::show_tag).post(editing::edit_tag))
            .route("/simulator/{file}", get(page::serve_asset))
            .with_state(self.clone())
    }

    /// Serves until `stop` completes. Idle connections are closed then.
    ///
    /// # Errors
    /// None today: axum goes on accepting after an error.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stop).await
    }

    /// Starts the sample company on a free port of 127.0.0.1, until the guard is dropped.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> io::Result<RunningSimulator> {
        Self::default().start_on("127.0.0.1:0".parse().map_err(io::Error::other)?).await
    }

    /// Starts this WeCom on an address, until the guard is dropped.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn start_on(self, address: SocketAddr) -> io::Result<RunningSimulator> {
        RunningSimulator::start(self, TcpListener::bind(address).await?)
    }

    /// Moves the simulator's clock forward: tokens, codes, scans and blocks age by `by`.
    pub fn advance(&self, by: Duration) {
        self.inner.clock.advance(by);
    }
}
