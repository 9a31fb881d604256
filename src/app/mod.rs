//! The application: all long-lived parts, put together once.
//!
//! [`App::build`] opens what must be open. [`App::public`] and the admin routes show every URL on
//! one screen. [`App::run`] serves them until the process is asked to stop. Tests build the same
//! `App` with another clock.

pub(crate) mod jobs;
mod parts;
pub(crate) mod reload;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use self::parts::{
    GateOutputs, build_site, gate_parts, page_settings, replica_settings, session_settings, sso_settings,
    trusted_proxies,
};
use self::reload::{CurrentApp, ReloadMetrics, Reloader};

pub use self::parts::{message_settings, sync_settings, wecom_settings};

use crate::api::{self, ApiState};
use crate::audit::RefusalLimiter;
use crate::base::clock::Clock;
use crate::config::{self, Config, DatabaseConfig, ListenAddress};
use crate::db::{self, DatabaseLocation, Db};
use crate::gate::{self, Denial, FirstMatch, GateState};
use crate::http::browser_request::Site;
use crate::http::client_ip::TrustedProxies;
use crate::http::page::PageRenderer;
use crate::http::rate_limit::RateLimit;
use crate::http::{assets, middleware};
use crate::keys::{self, SigningKeys};
use crate::manual;
use crate::message::{self, Messages};
use crate::observe::{self, ObserveState};
use crate::oidc;
use crate::replica::Replica;
use crate::session::Sessions;
use crate::sso::verify_file::{self, VerifyFiles};
use crate::sso::{self, Sso};
use crate::supervisor::listen::{Listener, serve_routes};
use crate::supervisor::{Signals, Supervisor};
use crate::sync::fetch::FetchPace;
use crate::sync::{SyncService, SyncSettings};
use crate::wecom;

/// How many denials of the gate may wait to be written. More of them are counted as dropped.
const DENIAL_QUEUE_CAPACITY: usize = 1024;

/// How many first matches of userids may wait to be written.
const FIRST_MATCH_QUEUE_CAPACITY: usize = 64;

/// How long the shutdown waits for sign-ins whose browsers have gone.
const SIGN_IN_DRAIN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// The limit of wrong API credentials from one address.
const MAX_WRONG_CREDENTIALS_PER_MINUTE: u32 = 30;

/// The gateway's long-lived parts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub db: Db,
    /// The client of WeCom's API.
    pub client: wecom::WecomClient,
    pub keys: SigningKeys,
    pub replica: Replica,
    pub sessions: Sessions,
    pub sso: Sso,
    pub gate: GateState,
    pub sync: SyncService,
    pub messages: Messages,
    pub pages: PageRenderer,
    api: ApiState,
    site: Site,
    trusted: TrustedProxies,
    verify_files: VerifyFiles,
    refusals: RefusalLimiter,
    gate_outputs: GateOutputs,
    reloads: ReloadMetrics,
}

/// The parts that only [`App::run`] needs.
#[derive(Debug)]
pub struct RuntimeParts {
    denials: mpsc::Receiver<Denial>,
    first_matches: mpsc::Receiver<FirstMatch>,
    registry: Registry,
    reloader: Option<Reloader>,
}

impl RuntimeParts {
    /// Makes the gateway reload its configuration while it runs.
    #[must_use]
    pub fn with_reloader(self, reloader: Reloader) -> Self {
        Self { reloader: Some(reloader), ..self }
    }
}

/// The reasons why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The root secret cannot be read or made.
    #[error(transparent)]
    RootSecret(#[from] config::RootSecretError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] db::DatabaseOpenError),
    /// The database does not give what this process must know of the others.
    #[error("the database does not answer: {0}")]
    Replica(#[from] sqlx::Error),
    /// The signing keys cannot be read.
    #[error(transparent)]
    Keys(#[from] keys::KeyError),
    /// The client of WeCom's API cannot be built.
    #[error(transparent)]
    WeCom(#[from] wecom::WecomSetupError),
    /// Some rules cannot be understood; one sentence each.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
    /// The logo cannot be read.
    #[error("pages.logo_file {path}: {source}")]
    Logo { path: String, source: std::io::Error },
}

/// The reasons why the gateway stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen {
        address: String,
        /// The key that sets the address.
        key: &'static str,
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("SIGTERM cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    /// A worker ended.
    #[error(transparent)]
    Worker(#[from] crate::supervisor::WorkerEnded),
}

impl App {
    /// Opens the database, reads the keys and compiles the rules.
    ///
    /// # Errors
    /// [`BuildError`]. Nothing listens then.
    pub async fn build(config: Config, clock: Clock) -> Result<(Self, RuntimeParts), BuildError> {
        Self::build_with_pace(config, clock, FetchPace::PRODUCTION).await
    }

    /// Builds as [`build`](Self::build); synchronisations call WeCom at `pace`.
    ///
    /// # Errors
    /// [`BuildError`]. Nothing listens then.
    pub async fn build_with_pace(
        config: Config,
        clock: Clock,
        pace: FetchPace,
    ) -> Result<(Self, RuntimeParts), BuildError> {
        let root = config::load_root_secret(&config)?.0;
        let db = open_database(&config).await?;
        for open in config::file_modes::find_exposed_paths(&config) {
            let command = open.command();
            tracing::warn!(
                path = %open.path.display(),
                "Others on this machine may read {}: names, sign-ins and the audit trail are in there; run: {command}",
                open.path.display()
            );
        }
        let client = wecom::WecomClient::new(wecom_settings(&config), clock.clone())?;
        let corp = config.wecom.corp_id.clone();
        // The replica first: what is opened afterwards is kept in step by the feed.
        let replica = Replica::open(db.clone(), replica_settings(&config), clock.clone()).await?;
        let keys = SigningKeys::open(db.clone(), corp, &root, clock.clone()).await?;
        let sessions = Sessions::new(
            db.clone(),
            session_settings(&config),
            keys.clone(),
            replica.clone(),
            clock.clone(),
        );
        let trusted = trusted_proxies(&config);
        let mut registry = Registry::with_prefix("gongpai");
        let (sender, denials) = mpsc::channel(DENIAL_QUEUE_CAPACITY);
        let (first, first_matches) = mpsc::channel(FIRST_MATCH_QUEUE_CAPACITY);
        let gate_outputs = GateOutputs {
            metrics: gate::GateMetrics::register(&mut registry),
            denials: sender,
            first_matches: first,
        };
        let gate = GateState::new(gate_parts(&config, &clock, gate_outputs.clone())?, sessions.clone());
        let pages = PageRenderer::new(page_settings(&config)?);
        let site = build_site(&config, &clock, &pages);
        let refusals = RefusalLimiter::default();
        let settings = sso_settings(&config, &clock, &refusals);
        let sso = Sso::new(settings, &root, db.clone(), sessions.clone(), client.clone(), site.clone());
        let wrong = RateLimit::new(
            MAX_WRONG_CREDENTIALS_PER_MINUTE,
            std::time::Duration::from_secs(60),
            MAX_WRONG_CREDENTIALS_PER_MINUTE,
            clock.clone(),
        );
        let settings = SyncSettings { pace, ..sync_settings(&config) };
        let sync = SyncService::new(settings, db.clone(), client.clone(), clock.clone());
        let messages = Messages::new(message_settings(&config), db.clone(), clock.clone(), client.clone());
        let api = ApiState::new(api::ApiParts {
            clients: config.api_clients.clone(),
            db: db.clone(),
            clock: clock.clone(),
            sessions: sessions.clone(),
            sync: sync.clone(),
            messages: messages.clone(),
            trusted_proxies: trusted.clone(),
            wrong_credentials: wrong,
        });
        client.metrics().register(&mut registry);
        sync.metrics().register(&mut registry);
        messages.metrics().register(&mut registry);
        sso.metrics().register(&mut registry);
        let verify_files = VerifyFiles::new(config.wecom.verify_files.clone(), config.data_dir.clone());
        let reloads = ReloadMetrics::register(&mut registry, &clock);
        let app = Self {
            config: Arc::new(config),
            clock,
            db,
            client,
            keys,
            replica,
            sessions,
            sso,
            gate,
            sync,
            messages,
            pages,
            api,
            site,
            trusted,
            verify_files,
            refusals,
            gate_outputs,
            reloads,
        };
        Ok((app, RuntimeParts { denials, first_matches, registry, reloader: None }))
    }

    /// Builds the router with every URL of the public listener.
    pub fn public(&self) -> Router {
        let ordinary = Router::new()
            .merge(sso::routes(self.sso.clone()))
            .merge(gate::denied_page::routes(self.gate.clone(), self.site.clone()))
            .merge(self.links())
            .merge(oidc::routes(self.keys.clone()))
            .route("/healthz", get(observe::handle_healthz))
            .route("/_gongpai/assets/{*path}", get(assets::serve_asset).with_state(self.pages.clone()))
            .fallback_service(any(verify_file::serve_verify_file).with_state(self.verify_files.clone()));
        let routes = middleware::PublicRoutes {
            ordinary,
            api: api::routes(self.api.clone()),
            uploads: api::upload_routes(self.api.clone()),
            checks: gate::check_routes(self.gate.clone()),
        };
        middleware::build_public_router(routes, self.middleware())
    }

    /// Every URL of the admin listener.
    pub(crate) fn admin(&self, observe: ObserveState) -> Router {
        observe::routes(observe)
            .merge(manual::routes::routes())
            .route("/_gongpai/assets/{*path}", get(assets::serve_asset).with_state(self.pages.clone()))
    }

    fn links(&self) -> Router {
        let (sessions, site) = (self.sessions.clone(), self.site.clone());
        message::links::routes(&self.messages, sessions, site, self.refusals.clone())
    }

    fn middleware(&self) -> middleware::MiddlewareParts {
        middleware::MiddlewareParts {
            pages: self.pages.clone(),
            clock: self.clock.clone(),
            time_zone: self.config.time_zone,
            proxies: self.trusted.clone(),
        }
    }

    /// Serves until the process is asked to stop, then ends in order. `ready` is called with both
    /// addresses once the listeners are bound.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(
        self,
        runtime_parts: RuntimeParts,
        ready: impl FnOnce(&str, &str),
    ) -> Result<(), RunError> {
        // Signals are caught before anybody is told that the gateway is ready.
        let signals = Signals::listen().map_err(RunError::Signals)?;
        let public = bind_listener("server.listen", &self.config.server.listen).await?;
        let admin = bind_listener("server.admin_listen", &self.config.server.admin_listen).await?;
        ready(&public.address(), &admin.address());
        let mut supervisor = Supervisor::new();
        self.start(runtime_parts, public, admin, &mut supervisor);
        let ended = supervisor.until_stopped(signals).await;
        self.close().await;
        Ok(ended?)
    }

    /// Starts the listeners and the jobs.
    pub fn start(
        &self,
        runtime_parts: RuntimeParts,
        public: Listener,
        admin: Listener,
        supervisor: &mut Supervisor,
    ) {
        let current = CurrentApp::new(self, supervisor.stop_token(), runtime_parts.registry);
        supervisor.run("public listener", |stop| serve_routes(public, current.public(), stop));
        supervisor.run("admin listener", |stop| serve_routes(admin, current.admin(), stop));
        jobs::start_jobs(&current, runtime_parts.denials, runtime_parts.first_matches, supervisor);
        if let Some(reloader) = runtime_parts.reloader {
            supervisor.run("reload", |stop| reloader.work_until(current, stop));
        }
    }

    /// Writes what is only in memory and closes the database. Call it when nothing is served any
    /// more.
    pub async fn close(&self) {
        if tokio::time::timeout(SIGN_IN_DRAIN_TIMEOUT, self.sso.wait_for_callbacks()).await.is_err() {
            tracing::warn!("Some sign-ins did not come to their end");
        }
        jobs::write_refusal_counts(self, true).await;
        if let Err(error) = self.sessions.write_all_last_seen().await {
            tracing::warn!(%error, "It could not be written when sessions were last used");
        }
        // The database closes last, because everything above writes to it.
        self.db.close().await;
    }
}

async fn bind_listener(key: &'static str, listen: &ListenAddress) -> Result<Listener, RunError> {
    Listener::bind(listen).await.map_err(|source| RunError::Listen {
        address: listen.to_string(),
        key,
        source,
    })
}

/// Opens the configured database.
///
/// # Errors
/// [`db::DatabaseOpenError`].
pub async fn open_database(config: &Config) -> Result<Db, db::DatabaseOpenError> {
    match &config.database {
        DatabaseConfig::Sqlite(path) => Db::open(DatabaseLocation::Sqlite(path)).await,
        DatabaseConfig::Postgres(url) => Db::open(DatabaseLocation::Postgres(url)).await,
    }
}
