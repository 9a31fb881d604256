//! What the gate takes from the configuration.

use super::code_removal::CodePaths;
use super::{AccessRules, GateOutputs, GateParts};
use crate::base::clock::Clock;
use crate::config::Config;
use crate::http::client_ip::TrustedProxies;

/// Builds the parts of the gate and compiles its rules.
///
/// # Errors
/// One sentence for each rule that cannot be understood.
pub(crate) fn build_parts(
    config: &Config,
    clock: &Clock,
    outputs: GateOutputs,
) -> Result<GateParts, Vec<String>> {
    let (rules, warnings) = AccessRules::compile(&config.rules, &config.gate, &config.hosts)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(GateParts {
        hosts: config.hosts.clone(),
        rules,
        trusted: TrustedProxies(config.server.trusted_proxies.clone()),
        assertion: config.gate.assertion,
        clock: clock.clone(),
        metrics: outputs.metrics,
        denials: outputs.denials,
        groups: config.gate.groups,
        code_paths: CodePaths::new(&config.gate.code_paths),
        first_matches: outputs.first_matches,
    })
}
