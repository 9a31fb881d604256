//! The application: all long-lived parts, put together once.
//!
//! [`App::build`] opens what must be open, room by room. [`App::run`] serves until the process is
//! asked to stop. Tests build the same `App` with another clock.
//!
//! | file | what it has |
//! |---|---|
//! | `routes` | every URL, on one screen |
//! | `jobs`, [`retention`] | every repeated job; what is deleted when |
//! | [`reload`] | the same gateway with another configuration |
//! | `site` | what the configuration says to every page and request |
//! | `errors` | why it could not start, or stopped |

mod errors;
mod jobs;
pub(crate) mod reload;
pub(crate) mod retention;
mod routes;
mod site;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use self::reload::{CurrentApp, ReloadMetrics, Reloader};
use self::site::{build_site, page_settings, trusted_proxies};
use crate::api::{ApiParts, ApiState};
use crate::audit::{RefusalLimiter, RefusalTrail};
use crate::base::clock::Clock;
use crate::config::{self, Config, ListenAddress};
use crate::db::Db;
use crate::gate::{self, GateMetrics, GateOutputs, GateReports, GateState};
use crate::http::browser_request::Site;
use crate::http::client_ip::TrustedProxies;
use crate::http::page::PageRenderer;
use crate::keys::SigningKeys;
use crate::message::Messages;
use crate::replica::Replica;
use crate::session::Sessions;
use crate::sso::Sso;
use crate::sso::verify_file::VerifyFiles;
use crate::supervisor::listen::{Listener, serve_routes};
use crate::supervisor::{Signals, Supervisor};
use crate::sync::fetch::FetchPace;
use crate::sync::{SyncService, SyncSettings};
use crate::wecom::WecomClient;

pub use self::errors::BuildError;
pub(crate) use self::errors::RunError;

/// How long the shutdown waits for sign-ins whose browsers have gone.
const SIGN_IN_DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The gateway's long-lived parts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub db: Db,
    /// The client of WeCom's API.
    pub client: WecomClient,
    pub replica: Replica,
    pub keys: SigningKeys,
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
    trail: RefusalTrail,
    gate_outputs: GateOutputs,
    reloads: ReloadMetrics,
}

/// The parts that only [`App::run`] needs.
#[derive(Debug)]
pub struct RuntimeParts {
    gate_reports: GateReports,
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
        let corp = config.wecom.corp_id.clone();
        let mut registry = Registry::with_prefix("gongpai");
        let db = Db::open(config.database.location()).await?;
        config::file_modes::warn_of_exposed_paths(&config);
        let client = WecomClient::new((&config).into(), clock.clone())?;
        // The replica first: what is opened afterwards is kept in step by the feed.
        let replica = Replica::open(db.clone(), (&config).into(), clock.clone()).await?;
        let keys = SigningKeys::open(db.clone(), corp.clone(), &root, clock.clone()).await?;
        let sessions =
            Sessions::new(db.clone(), (&config).into(), keys.clone(), replica.clone(), clock.clone());
        let (gate_outputs, gate_reports) = gate::open_queues(GateMetrics::register(&mut registry));
        let gate_parts =
            gate::build_parts(&config, &clock, gate_outputs.clone()).map_err(BuildError::Rules)?;
        let gate = GateState::new(gate_parts, sessions.clone());
        let pages = PageRenderer::new(page_settings(&config)?);
        let site = build_site(&config, &clock, &pages);
        let limiter = RefusalLimiter::default();
        let trail = RefusalTrail { db: db.clone(), corp, clock: clock.clone(), limiter: limiter.clone() };
        let sso = Sso::new(
            (&config).into(),
            &root,
            db.clone(),
            sessions.clone(),
            client.clone(),
            site.clone(),
            limiter,
        );
        let sync_settings = SyncSettings { pace, ..SyncSettings::from(&config) };
        let sync = SyncService::new(sync_settings, db.clone(), client.clone(), clock.clone());
        let messages = Messages::new((&config).into(), db.clone(), clock.clone(), client.clone());
        let api = ApiState::new(ApiParts {
            settings: (&config).into(),
            db: db.clone(),
            clock: clock.clone(),
            sessions: sessions.clone(),
            sync: sync.clone(),
            messages: messages.clone(),
        });
        client.metrics().register(&mut registry);
        sync.metrics().register(&mut registry);
        messages.metrics().register(&mut registry);
        sso.metrics().register(&mut registry);
        let app = Self {
            verify_files: VerifyFiles::new(config.wecom.verify_files.clone(), config.data_dir.clone()),
            trusted: trusted_proxies(&config),
            reloads: ReloadMetrics::register(&mut registry, &clock),
            config: Arc::new(config),
            clock,
            db,
            client,
            replica,
            keys,
            sessions,
            sso,
            gate,
            sync,
            messages,
            pages,
            api,
            site,
            trail,
            gate_outputs,
        };
        Ok((app, RuntimeParts { gate_reports, registry, reloader: None }))
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
        jobs::start_jobs(&current, runtime_parts.gate_reports, supervisor);
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
        self.trail.write_all().await;
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
