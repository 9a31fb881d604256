//! Signing in ([design: sign-in](crate::design#sign-in)).
//!
//! 1. [`start`]: `/sso/login` validates the target, sets the attempt's cookie and sends the browser
//!    to WeCom: silently inside WeCom, to the QR page on a desktop. Another application host first
//!    hands over to public_url's host.
//! 2. WeCom returns to [`callback`] with a code and our [`sealed_state`].
//! 3. [`callback`] opens the state, finds the cookie, claims the attempt, asks WeCom who it is
//!    ([`member_lookup`]), writes person, session and audit in one transaction, and sends the
//!    browser to the target.
//! 4. Another host gets a [`ticket`], which it redeems once.
//!
//! Other files handle what may go wrong: a callback that comes twice (`repeated_callback`), codes
//! that WeCom refuses ([`bad_codes`]), cookies that others set under our name (`planted_cookies`),
//! and the `rounds` that those cause.
//!
//! [`logout`] ends the sessions; [`recheck`] asks WeCom again while they last. Every failure is a
//! variant of one enum ([`error`]).
//!
//! The remaining files are parts of those steps:
//!
//! | file | what it has |
//! |---|---|
//! | [`target`], [`entrance`], `o2oa_link` | what a start asks for: where to go, which way in, and O2OA's way to say it |
//! | [`attempt_cookie`], `marker`, `fragment` | what the browser keeps during a sign-in |
//! | `callback_query` | what comes back from WeCom |
//! | `state`, [`store`] | how far an attempt has come, and its SQL |
//! | [`metrics`] | counters |
//! | `settings`, `jobs` | what the configuration says; what runs in the background |
//! | [`whoami`] | who is signed in |
//! | [`verify_file`] | the proof that the trusted domain belongs to the company |

pub(crate) mod attempt_cookie;
pub(crate) mod bad_codes;
pub(crate) mod callback;
mod callback_query;
pub(crate) mod entrance;
pub(crate) mod error;
mod fragment;
mod jobs;
pub(crate) mod logout;
mod marker;
pub(crate) mod member_lookup;
pub(crate) mod metrics;
mod o2oa_link;
mod planted_cookies;
pub(crate) mod recheck;
mod repeated_callback;
mod rounds;
pub(crate) mod sealed_state;
mod settings;
pub(crate) mod start;
mod state;
pub(crate) mod store;
pub(crate) mod target;
pub(crate) mod ticket;
pub(crate) mod verify_file;
pub(crate) mod whoami;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::audit::RefusalLimiter;
use crate::base::clock::Clock;
use crate::base::host::Hosts;
use crate::base::seal::{SealPurpose, Sealer};
use crate::base::url::percent_encode;
use crate::config::Readiness;
use crate::db::Db;
use crate::http::browser_request::{BrowserRequest, Site};
use crate::http::page::PageRenderer;
use crate::http::redirect::add_cookies;
use crate::http::words::FailureKind;
use crate::session::Sessions;
use crate::wecom::WecomClient;
use axum::Router;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::get;
use error::SsoError;
use sealed_state::StateSealer;
use settings::SignInLimits;
use target::SignInTarget;

pub(crate) use jobs::jobs;
pub(crate) use settings::SsoSettings;

/// Everything that signing in needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sso(Arc<SsoInner>);

/// The shared parts. A reload of the configuration makes a copy with other settings; counts and
/// running tasks stay shared.
#[derive(Debug, Clone)]
struct SsoInner {
    settings: SsoSettings,
    limits: SignInLimits,
    /// Chooses the refused sign-ins that go to the audit trail.
    refusals: RefusalLimiter,
    db: Db,
    clock: Clock,
    sessions: Sessions,
    client: WecomClient,
    site: Site,
    states: Arc<StateSealer>,
    hand_offs: Arc<Sealer>,
    metrics: metrics::SsoMetrics,
    last_delay_warning: Arc<recheck::LastDelayWarning>,
    /// Callbacks that run to their end without their browser.
    callback_tasks: TaskTracker,
}

impl Sso {
    /// Builds it; `root` seals states and hand-offs.
    pub fn new(
        settings: SsoSettings,
        root: &[u8; 32],
        db: Db,
        sessions: Sessions,
        client: WecomClient,
        site: Site,
        refusals: RefusalLimiter,
    ) -> Self {
        let clock = site.clock.clone();
        let states = StateSealer::new(Sealer::new(root, SealPurpose::State), &settings.corp, settings.agent);
        let hand_offs = Sealer::new(root, SealPurpose::HandOff);
        let metrics = metrics::SsoMetrics::default();
        Self(Arc::new(SsoInner {
            limits: SignInLimits::new(&settings, &clock),
            settings,
            refusals,
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

    /// Returns the same sign-in with other settings. `corp` and `agent` must not change, because
    /// states are sealed for them.
    #[must_use]
    pub fn reconfigured(&self, settings: SsoSettings, sessions: Sessions, site: Site) -> Self {
        let limits = SignInLimits::new(&settings, &self.0.clock).continuing(&self.0.limits);
        Self(Arc::new(SsoInner { settings, limits, sessions, site, ..SsoInner::clone(&self.0) }))
    }

    pub fn hosts(&self) -> &Hosts {
        self.0.sessions.hosts()
    }

    pub fn pages(&self) -> &PageRenderer {
        &self.0.site.pages
    }

    pub fn metrics(&self) -> &metrics::SsoMetrics {
        &self.0.metrics
    }

    /// Waits until every running callback has stored its result. Call it before the database
    /// closes.
    pub async fn wait_for_callbacks(&self) {
        self.0.callback_tasks.close();
        self.0.callback_tasks.wait().await;
    }

    /// Counts a start from the visitor's address and refuses it beyond the limit. A valid attempt,
    /// a fresh hand-off and a ticket prove that their sign-in has been counted, so they are not
    /// counted again.
    fn count_start(&self, request: &BrowserRequest) -> Result<(), SsoError> {
        request.address.map_or(Ok(()), |a| self.0.limits.starts.try_take(a).map_err(SsoError::TooMany))
    }

    /// Refuses what cannot succeed: sign-in is disabled or not configured, or the store is too old.
    fn ensure_may_begin(&self) -> Result<(), SsoError> {
        match self.0.settings.readiness {
            Readiness::Ready => {}
            Readiness::Disabled | Readiness::MessagesDisabled => return Err(SsoError::Disabled),
            Readiness::Missing(key) => return Err(SsoError::NotConfigured(key)),
        }
        if !self.0.sessions.replica().is_fresh(self.0.clock.now()) {
            return Err(SsoError::Stale);
        }
        if self.0.sessions.replica().clock_is_behind() { Err(SsoError::Clock) } else { Ok(()) }
    }

    /// Answers a start inside a frame with a page that opens the top window. Nobody can sign in
    /// inside a frame: neither WeCom's pages nor ours may be framed, and a frame of another site
    /// gets no cookies. Nothing is consumed; the top window sends the request again.
    fn leave_frame(&self, request: &BrowserRequest) -> Response {
        let path_and_query = request.uri.path_and_query().map_or("/", |p| p.as_str());
        self.0.site.pages.top_window(&request.view, path_and_query, &self.hosts().csp_sources())
    }

    /// Builds the page for a failure. Its buttons lead back to `target`.
    fn fail(&self, request: &BrowserRequest, target: Option<&SignInTarget>, error: SsoError) -> Response {
        let again =
            format!("{}{}", request.path("login"), target.map(|t| target_query(t, "")).unwrap_or_default());
        let code = error.code();
        self.0.metrics.failed(code);
        let in_rounds = matches!(error, SsoError::TooManyRounds(_));
        let out_of_reach = matches!(error, SsoError::Store(_) | SsoError::Stale);
        let mut failure = error.failure(request.view.at);
        // The time since which memory and database disagree.
        failure.since = out_of_reach.then(|| self.0.sessions.replica().refreshed_at());
        failure.switch_account = Some(match target {
            Some(t) => format!("{}?rd={}", request.path("logout"), percent_encode(t.page().as_str())),
            None => request.path("logout"),
        });
        if code.row().kind == FailureKind::Trouble && !request.query.flag("a") {
            let separator = if again.contains('?') { '&' } else { '?' };
            failure.auto_retry = Some(format!("{again}{separator}a=1"));
        }
        failure.retry = Some(again);
        let mut response = self.0.site.pages.answer(&request.view, &failure, &request.headers);
        if let Some(target) = target.filter(|_| in_rounds) {
            add_cookies(&mut response, &[rounds::forget_rounds(request, target)]);
        }
        response
    }
}

impl FromRef<Sso> for Site {
    fn from_ref(sso: &Sso) -> Self {
        sso.0.site.clone()
    }
}

/// Returns the query that names `target` (`?rd=…` or `?h=…`), followed by `more`.
fn target_query(target: &SignInTarget, more: &str) -> String {
    format!("?{}={}{more}", target.parameter(), percent_encode(target.text()))
}

/// Builds the router of all paths of signing in, which are the same on every host.
pub(crate) fn routes(sso: Sso) -> Router {
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
