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

pub mod attempt_cookie;
pub mod bad_codes;
pub mod callback;
mod callback_query;
pub mod entrance;
pub mod error;
mod fragment;
pub mod logout;
mod marker;
pub mod member_lookup;
pub mod metrics;
mod o2oa_link;
mod planted_cookies;
pub mod recheck;
mod repeated_callback;
mod rounds;
pub mod start;
pub mod state;
pub mod store;
pub mod target;
pub mod ticket;
pub mod verify_file;
pub mod whoami;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::audit::RefusalLimiter;
use crate::base::clock::Clock;
use crate::base::host::Hosts;
use crate::base::id::CorpId;
use crate::base::seal::{SealPurpose, Sealer};
use crate::base::url::percent_encode;
use crate::db::Db;
use crate::http::browser_request::{BrowserRequest, Site};
use crate::http::page::PageRenderer;
use crate::http::rate_limit::RateLimit;
use crate::http::redirect::add_cookies;
use crate::http::words::{Code, FailureKind};
use crate::session::Sessions;
use crate::wecom::WecomClient;
use axum::Router;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::get;
use bad_codes::BadCodeLimits;
use error::SsoError;
use state::StateSealer;
use target::SignInTarget;

/// What signing in needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sso(Arc<SsoInner>);

/// The parts it is made of.
#[derive(Debug, Clone)]
pub struct SsoSettings {
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
    pub start_limit: RateLimit,
    /// Refused codes.
    pub bad_code_limits: BadCodeLimits,
    /// Which refused sign-ins are written into the audit trail.
    pub refusals: RefusalLimiter,
}

/// A reload of the configuration makes a clone with other settings: what is counted or waited for is shared.
#[derive(Debug, Clone)]
struct SsoInner {
    settings: SsoSettings,
    db: Db,
    clock: Clock,
    sessions: Sessions,
    client: WecomClient,
    site: Site,
    states: Arc<StateSealer>,
    hand_offs: Arc<Sealer>,
    metrics: metrics::SsoMetrics,
    last_delay_warning: Arc<recheck::LastDelayWarning>,
    /// Callbacks that go on without their browser.
    callback_tasks: TaskTracker,
}

impl Sso {
    /// Puts the parts together; `root` seals states and hand-offs.
    pub fn new(
        settings: SsoSettings,
        root: &[u8; 32],
        db: Db,
        sessions: Sessions,
        client: WecomClient,
        site: Site,
    ) -> Self {
        let clock = site.clock.clone();
        let states = StateSealer::new(Sealer::new(root, SealPurpose::State), &settings.corp, settings.agent);
        let hand_offs = Sealer::new(root, SealPurpose::HandOff);
        let metrics = metrics::SsoMetrics::default();
        Self(Arc::new(SsoInner {
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
            callback_tasks: TaskTracker::new(),
        }))
    }

    /// The same sign-in under other settings; `corp` and `agent` must be the old ones, because states are sealed
    /// for them.
    #[must_use]
    pub fn reconfigured(&self, settings: SsoSettings, sessions: Sessions, site: Site) -> Self {
        let before = &self.0.settings;
        let settings = SsoSettings {
            start_limit: settings.start_limit.continuing(&before.start_limit),
            bad_code_limits: settings.bad_code_limits.continuing(&before.bad_code_limits),
            ..settings
        };
        Self(Arc::new(SsoInner { settings, sessions, site, ..SsoInner::clone(&self.0) }))
    }

    /// The hosts of this installation.
    pub fn hosts(&self) -> &Hosts {
        self.0.sessions.hosts()
    }

    /// The pages.
    pub fn pages(&self) -> &PageRenderer {
        &self.0.site.pages
    }

    /// Counters of sign-ins.
    pub fn metrics(&self) -> &metrics::SsoMetrics {
        &self.0.metrics
    }

    /// Waits until every callback under way has written down what came of it; before the database closes.
    pub async fn wait_for_callbacks(&self) {
        self.0.callback_tasks.close();
        self.0.callback_tasks.wait().await;
    }

    /// Counts a start of the visitor's address, and refuses it beyond the rate. What proves that its sign-in has been
    /// counted already does not come here: a valid attempt, a fresh hand-off, a ticket.
    fn count_start(&self, visit: &BrowserRequest) -> Result<(), SsoError> {
        visit.address.map_or(Ok(()), |a| self.0.settings.start_limit.try_take(a).map_err(SsoError::TooMany))
    }

    /// Refuses to begin what cannot succeed: switched off, not configured, the store too old.
    fn ensure_may_begin(&self) -> Result<(), SsoError> {
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
    fn leave_frame(&self, visit: &BrowserRequest) -> Response {
        let same = visit.uri.path_and_query().map_or("/", |p| p.as_str());
        self.0.site.pages.top_window(&visit.view, same, &self.hosts().csp_sources())
    }

    /// The page for a failure, with the buttons that lead back to `target`.
    fn fail(&self, visit: &BrowserRequest, target: Option<&SignInTarget>, error: SsoError) -> Response {
        let again =
            format!("{}{}", visit.path("login"), target.map(|t| target_query(t, "")).unwrap_or_default());
        let code = error.code();
        self.0.metrics.failed(code);
        let in_rounds = matches!(error, SsoError::TooManyRounds(_));
        let out_of_reach = matches!(error, SsoError::Store(_) | SsoError::Stale);
        let mut failure = error.failure(visit.view.at);
        // Since when memory and database have not agreed.
        failure.since = out_of_reach.then(|| self.0.sessions.refreshed_at());
        failure.switch_account = Some(match target {
            Some(t) => format!("{}?rd={}", visit.path("logout"), percent_encode(t.page().as_str())),
            None => visit.path("logout"),
        });
        if code.row().kind == FailureKind::Trouble && !visit.query.flag("a") {
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
fn target_query(target: &SignInTarget, more: &str) -> String {
    format!("?{}={}{more}", target.parameter(), percent_encode(target.text()))
}

/// Every path of signing in, on every host.
pub fn routes(sso: Sso) -> Router {
    let pages = || {
        Router::new()
            .route("/login", get(start::handle_login))
            .route("/callback", get(callback::handle_callback))
            .route("/finish", get(ticket::handle_finish))
            .route("/logout", get(logout::handle_logout).post(logout::handle_logout))
            .route("/session", get(whoami::handle_session))
    };
    Router::new()
        .nest("/sso", pages())
        .nest("/_gongpai", pages())
        .route("/qiyeweixinsso.html", get(callback::handle_seed_page))
        .route("/x_desktop/qiyeweixinsso.html", get(callback::handle_seed_page))
        .route("/", get(whoami::handle_home))
        .with_state(sso)
}
