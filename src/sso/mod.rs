//! Becoming signed in (DESIGN §4.2).
//!
//! 1. [`start`]: `/sso/login` judges the target, sets the attempt's cookie and sends the browser to WeCom: silently
//!    inside WeCom, to the QR page on a desktop. On another application host it first hands over to public_url's.
//! 2. WeCom returns with a code and our [`state`] to [`callback`].
//! 3. [`callback`] opens the state, finds the cookie, claims the attempt, asks WeCom who it is ([`who`]), writes
//!    person, session and audit in one transaction, and sends the browser to the target.
//! 4. For another host that is [`finish`]: a ticket, redeemed there once.
//!
//! Beside that way: a callback that comes again (`repeat`), codes that WeCom refuses ([`bad_codes`]), cookies that
//! others put under our name (`planted`) and the `rounds` that they cause.
//!
//! [`logout`] ends it, [`recheck`] asks WeCom again while it lasts. Every failure is a row of one table ([`error`]).

pub mod attempt;
mod back;
pub mod bad_codes;
pub mod callback;
pub mod entrance;
pub mod error;
pub mod finish;
mod fragment;
pub mod logout;
mod marker;
pub mod metrics;
mod o2oa_link;
mod planted;
pub mod recheck;
mod repeat;
mod rounds;
pub mod start;
pub mod state;
pub mod store;
pub mod target;
pub mod verify_file;
pub mod who;
pub mod whoami;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::audit::RefusalLimiter;
use crate::base::clock::Clock;
use crate::base::host::Hosts;
use crate::base::id::CorpId;
use crate::base::seal::{Purpose, Sealer};
use crate::base::url::encode;
use crate::db::Db;
use crate::http::page::Pages;
use crate::http::rate_limit::RateLimit;
use crate::http::redirect::add_cookies;
use crate::http::visit::{Site, Visit};
use crate::http::words::{Code, Kind};
use crate::session::Sessions;
use crate::wecom::Client;
use axum::Router;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::get;
use bad_codes::BadCodes;
use error::SsoError;
use state::StateSealer;
use target::Target;

/// What signing in needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sso(Arc<Inner>);

/// The parts it is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// 企业ID.
    pub corp: CorpId,
    /// AgentId.
    pub agent: u32,
    /// `wecom.enable`.
    pub enabled: bool,
    /// What nobody can sign in without, if it is missing.
    pub missing: Option<Code>,
    /// Where to without an rd.
    pub landing: String,
    /// Starts per address, and what comes back without a valid attempt or ticket.
    pub starts: RateLimit,
    /// Refused codes.
    pub bad_codes: BadCodes,
    /// Which refused sign-ins are written into the audit trail.
    pub refusals: RefusalLimiter,
}

/// A reload of the configuration makes a clone with other settings: what is counted or waited for is shared.
#[derive(Debug, Clone)]
struct Inner {
    settings: Settings,
    db: Db,
    clock: Clock,
    sessions: Sessions,
    client: Client,
    site: Site,
    states: Arc<StateSealer>,
    hand_offs: Arc<Sealer>,
    metrics: metrics::Metrics,
    last_delay_warning: Arc<recheck::LastDelayWarning>,
    /// Callbacks that go on without their browser.
    under_way: TaskTracker,
}

impl Sso {
    /// Puts the parts together; `root` seals states and hand-offs.
    pub fn new(
        settings: Settings,
        root: &[u8; 32],
        db: Db,
        sessions: Sessions,
        client: Client,
        site: Site,
    ) -> Self {
        let clock = site.clock.clone();
        let states = StateSealer::new(Sealer::new(root, Purpose::State), &settings.corp, settings.agent);
        let hand_offs = Sealer::new(root, Purpose::HandOff);
        let metrics = metrics::Metrics::default();
        Self(Arc::new(Inner {
            settings,
            db,
            clock,
            sessions,
            client,
            site,
            states: Arc::new(states),
            hand_offs: Arc::new(hand_offs),
            metrics,
            last_delay_warning: Arc::default(),
            under_way: TaskTracker::new(),
        }))
    }

    /// The same sign-in under other settings; `corp` and `agent` must be the old ones, because states are sealed
    /// for them.
    #[must_use]
    pub fn reconfigured(&self, settings: Settings, sessions: Sessions, site: Site) -> Self {
        let before = &self.0.settings;
        let settings = Settings {
            starts: settings.starts.continuing(&before.starts),
            bad_codes: settings.bad_codes.continuing(&before.bad_codes),
            ..settings
        };
        Self(Arc::new(Inner { settings, sessions, site, ..Inner::clone(&self.0) }))
    }

    /// The hosts of this installation.
    pub fn hosts(&self) -> &Hosts {
        self.0.sessions.hosts()
    }

    /// The pages.
    pub fn pages(&self) -> &Pages {
        &self.0.site.pages
    }

    /// Counters of sign-ins.
    pub fn metrics(&self) -> &metrics::Metrics {
        &self.0.metrics
    }

    /// Waits until every callback under way has written down what came of it; before the database closes.
    pub async fn drained(&self) {
        self.0.under_way.close();
        self.0.under_way.wait().await;
    }

    /// Counts a start of the visitor's address, and refuses it beyond the rate. What proves that its sign-in has been
    /// counted already does not come here: a valid attempt, a fresh hand-off, a ticket.
    fn count_start(&self, visit: &Visit) -> Result<(), SsoError> {
        visit.address.map_or(Ok(()), |a| self.0.settings.starts.try_take(a).map_err(SsoError::TooMany))
    }

    /// Refuses to begin what cannot succeed: switched off, not configured, the store too old.
    fn may_begin(&self) -> Result<(), SsoError> {
        if !self.0.settings.enabled {
            return Err(SsoError::Disabled);
        }
        if let Some(missing) = self.0.settings.missing {
            return Err(SsoError::NotConfigured(missing));
        }
        if !self.0.sessions.memory_is_fresh(self.0.clock.now()) {
            return Err(SsoError::Stale);
        }
        if self.0.sessions.clock_is_behind() { Err(SsoError::Clock) } else { Ok(()) }
    }

    /// The answer to a start inside a frame: nobody can sign in there, because neither WeCom's pages nor ours may be
    /// framed, and a frame of another site gets no cookies. Consumes nothing; the top window comes again.
    fn leave_frame(&self, visit: &Visit) -> Response {
        let same = visit.uri.path_and_query().map_or("/", |p| p.as_str());
        self.0.site.pages.top_window(&visit.view, same, &self.hosts().csp_sources())
    }

    /// The page for a failure, with the buttons that lead back to `target`.
    fn fail(&self, visit: &Visit, target: Option<&Target>, error: SsoError) -> Response {
        let again = format!("{}{}", visit.path("login"), target.map(|t| query(t, "")).unwrap_or_default());
        let code = error.code();
        self.0.metrics.failed(code);
        let in_rounds = matches!(error, SsoError::TooManyRounds(_));
        let out_of_reach = matches!(error, SsoError::Store(_) | SsoError::Stale);
        let mut failure = error.failure(visit.view.at);
        // Since when memory and database have not agreed.
        failure.since = out_of_reach.then(|| self.0.sessions.refreshed_at());
        failure.switch_account = Some(match target {
            Some(t) => format!("{}?rd={}", visit.path("logout"), encode(t.page().as_str())),
            None => visit.path("logout"),
        });
        if code.row().kind == Kind::Trouble && !visit.query.flag("a") {
            let joint = if again.contains('?') { '&' } else { '?' };
            failure.auto_retry = Some(format!("{again}{joint}a=1"));
        }
        failure.retry = Some(again);
        let mut response = self.0.site.pages.answer(&visit.view, &failure, &visit.headers);
        if let Some(target) = target.filter(|_| in_rounds) {
            add_cookies(&mut response, &[rounds::forget_rounds(visit, target)]);
        }
        response
    }
}

impl FromRef<Sso> for Site {
    fn from_ref(sso: &Sso) -> Self {
        sso.0.site.clone()
    }
}

/// `?rd=…` or `?h=…` for `target`, and `more`.
fn query(target: &Target, more: &str) -> String {
    format!("?{}={}{more}", target.parameter(), encode(target.text()))
}

/// Every path of signing in, on every host.
pub fn routes(sso: Sso) -> Router {
    let pages = || {
        Router::new()
            .route("/login", get(start::login))
            .route("/callback", get(callback::callback))
            .route("/finish", get(finish::finish))
            .route("/logout", get(logout::logout).post(logout::logout))
            .route("/session", get(whoami::session))
    };
    Router::new()
        .nest("/sso", pages())
        .nest("/_gongpai", pages())
        .route("/qiyeweixinsso.html", get(callback::seed_page))
        .route("/x_desktop/qiyeweixinsso.html", get(callback::seed_page))
        .route("/", get(whoami::home))
        .with_state(sso)
}
