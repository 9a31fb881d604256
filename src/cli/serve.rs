//! `gongpai serve`: runs the gateway.

use std::io::Write;

use anyhow::Context as _;

use crate::app::App;
use crate::app::reload::Reloader;
use crate::base::clock::Clock;
use crate::config::{ConfigReading, ConfigSources};
use crate::observe::telemetry;
use crate::supervisor::HangupSignal;

/// Runs the gateway until it is asked to stop. Prints one line to `out` once it listens.
///
/// # Errors
/// If the configuration is not accepted, a resource cannot be opened, or a part of the gateway
/// died.
pub(crate) async fn serve_gateway(
    sources: &ConfigSources,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    // This comes first: without a handler SIGHUP ends the process.
    let hangups = HangupSignal::listen().context("SIGHUP cannot be listened for")?;
    let reading = ConfigReading::from_sources(sources);
    let running = reading.running();
    let config = reading.outcome?;
    let level = telemetry::start_logging(&config.log)?;
    for warning in reading.warnings {
        tracing::warn!(key = %warning.key, "{}: {}", warning.key, warning.message);
    }
    let public_url = config.hosts.public().to_string();
    let (app, runtime_parts) = App::build(config, Clock::System).await.context("gongpai cannot start")?;
    let listening = |public: &str, admin: &str| {
        tracing::info!(public, admin, public_url, "Listening on {public} for {public_url}, admin on {admin}");
        // Scripts wait for this line. A closed standard output is no reason to stop.
        if let Err(error) = writeln!(out, "gongpai listens on {public} (admin {admin}) for {public_url}") {
            tracing::debug!(%error, "Standard output is closed");
        }
    };
    let reloader = Reloader { sources: sources.clone(), running, level, hangups };
    app.run(runtime_parts.with_reloader(reloader), listening).await?;
    tracing::info!("Stopped");
    Ok(())
}
