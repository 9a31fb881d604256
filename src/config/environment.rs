//! Reads `GONGPAI_*` variables. `GONGPAI_WECOM__CORP_ID` sets `wecom.corp_id` and wins over the
//! files. `GONGPAI_DEFAULT__WECOM__CORP_ID` replaces its default, and every file wins over it: what
//! a container image presets must not override what its user writes.

use std::path::PathBuf;

use super::ConfigSources;
use super::keys::{self, KEYS, TABLE_ARRAYS};
use super::layers::{ConfigFindings, Layers, SettingOrigin, lay_value};
use super::suggestion::suggest_nearest;

const VARIABLE_PREFIX: &str = "GONGPAI_";
/// Follows [`VARIABLE_PREFIX`] in a variable that replaces a default.
const DEFAULT_PREFIX: &str = "DEFAULT__";

impl ConfigSources {
    /// Returns the sources of a running program: its environment, and the files named on the
    /// command line.
    ///
    /// `GONGPAI_CONFIG` names the file if the command line does not. A value that is not UTF-8 is
    /// kept with replacement characters, so that [`super::Config::load`] reports it.
    pub fn from_process(file: Option<PathBuf>, qiyeweixin: Option<PathBuf>) -> Self {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        let file = file.or_else(|| {
            let named = std::env::var_os("GONGPAI_CONFIG").filter(|path| !path.is_empty());
            named.map(PathBuf::from)
        });
        Self { file, qiyeweixin, environment, text: None }
    }
}

/// Adds the variables that replace defaults, before any file is read.
pub(super) fn read_defaults(
    environment: &[(String, String)],
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) {
    for (name, value) in environment {
        if let Some(rest) =
            name.strip_prefix(VARIABLE_PREFIX).and_then(|rest| rest.strip_prefix(DEFAULT_PREFIX))
        {
            read_variable(name, rest, value, SettingOrigin::DefaultVariable(name.clone()), layers, findings);
        }
    }
}

/// Adds the other variables. Foreign variables are skipped; an unknown one is an error.
pub(super) fn read_variables(
    environment: &[(String, String)],
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) {
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        if !is_foreign(rest, value) && !rest.starts_with(DEFAULT_PREFIX) {
            read_variable(name, rest, value, SettingOrigin::Variable(name.clone()), layers, findings);
        }
    }
}

fn read_variable(
    name: &str,
    rest: &str,
    value: &str,
    origin: SettingOrigin,
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) {
    let path = rest.to_ascii_lowercase().replace("__", ".");
    if let Some(key) = keys::find_key(&path) {
        // `from_process` replaced bytes that are not UTF-8.
        if value.contains('\u{fffd}') {
            findings.error(&path, &origin, "is not UTF-8");
            return;
        }
        layers.read.push(name.to_owned());
        lay_value(layers, findings, (key.path, key.kind), key.kind.read_variable(value), origin);
    } else if let Some((array, _)) = TABLE_ARRAYS.iter().find(|(array, _)| path.starts_with(array)) {
        findings.fail(format_args!("{name}: [[{array}]] cannot be set by variables; write it into the file"));
    } else if keys::is_section(&path) {
        let example = variable_name(&format!("{path}.{}", find_first_key(&path)));
        findings.fail(format_args!("{name}: {path} is a section; its keys are set as {example}"));
    } else {
        let known: Vec<String> = KEYS.iter().map(|k| variable_name(k.path)).collect();
        let hint = suggest_nearest("variable", name, known.iter().map(String::as_str));
        findings.fail(format_args!("{name}: unknown variable{hint}"));
    }
}

/// Returns whether the variable is not a setting: `GONGPAI_CONFIG`, test settings, and what
/// Kubernetes (and docker links) add to every container for Services called `gongpai` or
/// `gongpai-…`: `…_SERVICE_HOST`, `…_SERVICE_PORT_HTTP`, `…_PORT=tcp://…`, `…_PORT_8080_TCP_ADDR`.
fn is_foreign(rest: &str, value: &str) -> bool {
    let ours = rest == "CONFIG" || rest.starts_with("TEST_");
    let service = rest.starts_with("SERVICE_") || rest.starts_with("PORT");
    let other_service = rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.contains("_TCP")
        || rest.contains("_UDP")
        || (rest.ends_with("_PORT") && value.contains("://"));
    ours || service || other_service
}

/// Returns the name of the variable that sets `path`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

fn find_first_key(section: &str) -> &'static str {
    let below = |path: &'static str| path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'));
    KEYS.iter().find_map(|k| below(k.path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_injects_is_not_ours() {
        for (name, value) in [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT_HTTP", "80"),
            ("PORT", "tcp://10.0.0.1:80"),
            ("PORT_80_TCP_ADDR", "10.0.0.1"),
            ("ADMIN_SERVICE_HOST", "10.0.0.1"),
            ("ADMIN_PORT", "tcp://10.0.0.1:9090"),
            ("ADMIN_PORT_9090_TCP_PROTO", "tcp"),
            ("CONFIG", "/etc/gongpai.toml"),
            ("TEST_POSTGRES", "x"),
        ] {
            assert!(is_foreign(name, value), "{name}");
        }
    }

    #[test]
    fn no_key_of_ours_looks_like_something_injected() {
        for key in KEYS {
            let name = variable_name(key.path);
            assert!(!is_foreign(name.strip_prefix(VARIABLE_PREFIX).unwrap(), "x"), "{name}");
        }
    }
}
