//! Applies a changed configuration without dropping a connection ([design:
//! reload](crate::design#reload)).
//!
//! A reload makes a second [`App`] on the same database, sessions, queues and connections.
//! Everything in it is read and compiled first; then it replaces the first one in a single step.
//! Each request is answered completely by one of the two.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::site::{build_site, page_settings, trusted_proxies};
use super::{App, BuildError};
use crate::base::clock::Clock;
use crate::config::{Config, ConfigError, ConfigReading, ConfigSources, RunningConfig};
use crate::gate::{self, GateState};
use crate::http::page::PageRenderer;
use crate::observe::ObserveState;
use crate::observe::telemetry::{LevelHandle, LogError};
use crate::sso::verify_file::VerifyFiles;
use crate::supervisor::HangupSignal;
use crate::supervisor::listen::ServedRoutes;

/// Reloads the configuration at each SIGHUP.
#[derive(Debug)]
pub struct Reloader {
    pub sources: ConfigSources,
    /// The configuration that the gateway runs with.
    pub running: RunningConfig,
    pub level: LevelHandle,
    pub hangups: HangupSignal,
}

/// The reasons why a changed configuration was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rules or the logo cannot be used.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The log level cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The result of the last reload, for `/metrics`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReloadMetrics {
    success: Gauge,
    at: Gauge,
}

impl ReloadMetrics {
    /// Registers the gauges. The configuration counts as accepted now.
    pub(crate) fn register(registry: &mut Registry, clock: &Clock) -> Self {
        let metrics = Self::default();
        let success = "Whether the configuration was accepted when it was last read";
        registry.register("config_reload_success", success, metrics.success.clone());
        let at = "When the configuration in effect was read, seconds since 1970";
        registry.register("config_reload_timestamp_seconds", at, metrics.at.clone());
        metrics.accepted(clock);
        metrics
    }

    fn accepted(&self, clock: &Clock) {
        self.success.set(1);
        self.at.set(clock.now().seconds());
    }
}

/// The app that serves now, and everything that must follow when another one replaces it.
#[derive(Debug, Clone)]
pub struct CurrentApp {
    app: Arc<ArcSwap<App>>,
    public: ServedRoutes,
    admin: ServedRoutes,
    observe: ObserveState,
}

impl CurrentApp {
    /// Builds it from `app` and its routes. `registry` and `stopping` are for the admin listener.
    pub fn new(app: &App, stopping: CancellationToken, registry: Registry) -> Self {
        let observe = ObserveState::new(app.sessions.clone(), app.clock.clone(), stopping, registry);
        Self {
            app: Arc::new(ArcSwap::from_pointee(app.clone())),
            public: app.public().into(),
            admin: app.admin(observe.clone()).into(),
            observe,
        }
    }

    /// Returns the app that answers requests now. Jobs call this at each step, so that they follow
    /// a reload.
    pub fn load(&self) -> Arc<App> {
        self.app.load_full()
    }

    /// Returns the routes of the public listener.
    pub fn public(&self) -> ServedRoutes {
        self.public.clone()
    }

    /// Returns the routes of the admin listener.
    pub fn admin(&self) -> ServedRoutes {
        self.admin.clone()
    }

    /// Replaces the app. Nothing here can fail.
    fn replace(&self, app: App) {
        let observe = self.observe.reconfigured(app.sessions.clone());
        let (public, admin) = (app.public(), app.admin(observe));
        // Both apps share the messages, so these must be told the new hosts.
        app.messages.set_hosts(app.config.hosts.clone());
        self.app.store(Arc::new(app));
        self.public.replace(public);
        self.admin.replace(admin);
    }
}

impl App {
    /// Returns the same gateway with another configuration. What is open stays open, and counts are
    /// kept. Only what [`RunningConfig::compare`] permits may differ.
    ///
    /// # Errors
    /// [`BuildError`]. Nothing has changed then.
    pub fn reconfigured(&self, config: Config) -> Result<Self, BuildError> {
        let replica = self.replica.reconfigured(config.gate.stale_after);
        let sessions = self.sessions.reconfigured((&config).into(), replica.clone());
        let outputs = self.gate_outputs.clone();
        let parts = gate::build_parts(&config, &self.clock, outputs).map_err(BuildError::Rules)?;
        let pages = PageRenderer::new(page_settings(&config)?);
        let site = build_site(&config, &self.clock, &pages);
        Ok(Self {
            gate: GateState::new(parts, sessions.clone()),
            sso: self.sso.reconfigured((&config).into(), sessions.clone(), site.clone()),
            api: self.api.reconfigured((&config).into(), sessions.clone()),
            verify_files: VerifyFiles::new(config.wecom.verify_files.clone(), config.data_dir.clone()),
            trusted: trusted_proxies(&config),
            config: Arc::new(config),
            replica,
            sessions,
            pages,
            site,
            ..self.clone()
        })
    }
}

impl Reloader {
    /// Reloads the configuration at each SIGHUP, one after the other, until `stop`.
    pub async fn work_until(mut self, current: CurrentApp, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.hangups.next() => {}
            }
            tracing::info!("SIGHUP: reading the configuration again");
            let before = current.load();
            match self.reload(&current) {
                Ok(()) => before.reloads.accepted(&before.clock),
                Err(error) => {
                    before.reloads.success.set(0);
                    tracing::error!(
                        "The configuration is not accepted; the old one stays in effect, all of it: {error}"
                    );
                }
            }
        }
    }

    /// Reads and compiles everything, then applies it.
    fn reload(&mut self, current: &CurrentApp) -> Result<(), ReloadError> {
        let compared = self.running.compare(ConfigReading::from_sources(&self.sources))?;
        let text = compared.config.log.level.clone();
        let level = LevelHandle::parse(&text)?;
        let before = current.load();
        let app = before.reconfigured(compared.config)?;
        let before = before.config.log.level.clone();
        // From here on nothing can fail, so the reload is applied completely or not at all.
        current.replace(app);
        self.running = compared.running;
        for warning in compared.warnings {
            tracing::warn!(key = %warning.key, "{}: {}", warning.key, warning.message);
        }
        let changes = if compared.applied.is_empty() {
            "nothing changed".to_owned()
        } else {
            compared.applied.join(", ")
        };
        tracing::info!("Reloaded: {changes}");
        if !compared.after_restart.is_empty() {
            let keys = compared.after_restart.join(", ");
            tracing::warn!(keys, "Changed, but in effect only after a restart: {keys}");
        }
        match self.level.set(level) {
            Ok(()) if text != before => tracing::info!("Logging by log.level {text:?} from now on"),
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "The log's level could not be changed"),
        }
        Ok(())
    }
}
