//! The configuration: read from its layers, checked, and read-only afterwards ([design:
//! configuration](crate::design#configuration)).
//!
//! Layers, weakest first: `default.toml` (embedded, documents every key) ← an O2OA
//! `qiyeweixin.json` ← `gongpai.toml` ← `GONGPAI_*` ← flags.
//!
//! | module | does |
//! |---|---|
//! | [`model`] | defines the checked types |
//! | `keys` | lists every key and the kind of its value |
//! | `layers` | merges the layers and remembers where each value was written |
//! | `toml_file`, `qiyeweixin`, `environment` | read one layer each |
//! | `o2oa_json` | reads JSON as leniently as O2OA does |
//! | [`mod@locale`] | reads the language of the terminal |
//! | `derived_settings` | fills in what follows from other settings |
//! | `check` | turns written values into checked ones |
//! | [`file_modes`] | finds data and secrets that others can read |
//! | `not_yet_supported` | warns of what has no effect in this version |
//! | `readiness` | says whether WeCom may be used, and which key is missing |
//! | [`reload`] | applies changes while the gateway runs, or says that they need a restart |
//! | `effective_toml` | writes the effective configuration as TOML |
//! | [`mod@root_secret`] | reads or makes the root secret |
//! | [`mod@verify_files`] | finds domain verification files in data_dir |

mod check;
mod derived_settings;
mod effective_toml;
mod environment;
pub(crate) mod file_modes;
mod keys;
mod layers;
pub(crate) mod locale;
pub(crate) mod model;
mod not_yet_supported;
mod o2oa_json;
mod qiyeweixin;
mod readiness;
pub(crate) mod reload;
pub(crate) mod root_secret;
mod suggestion;
mod time_zone;
mod toml_file;
mod units;
pub(crate) mod verify_files;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use self::keys::ConfigValue;
use self::layers::{ConfigFindings, Layers, SettingOrigin};
use self::toml_file::ConfigFile;
use crate::base::encoding::{decode_text, first_line_that_is_not_utf8};

pub(crate) use self::model::{
    ApiClient, DatabaseConfig, DefaultRule, GateConfig, GroupFormat, LogConfig, LogFormat, RateConfig,
    RuleText, Scope, VerifyFile, WecomConfig,
};
pub use self::model::{Config, LinkField, ListenAddress};
pub(crate) use self::readiness::{Readiness, RequiredKey, WecomPurpose};
pub(crate) use self::reload::RunningConfig;
pub(crate) use self::root_secret::RootSecretError;
pub use self::root_secret::load_root_secret;
pub(crate) use self::verify_files::find_verify_files;

/// The defaults. The file documents every key, and users copy it.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The file that is read if none is named and this one exists.
pub(crate) const DEFAULT_FILE: &str = "gongpai.toml";

/// The places from which the layers are read.
#[derive(Debug, Clone, Default)]
pub struct ConfigSources {
    /// `--config` or `GONGPAI_CONFIG`. `None` for `./gongpai.toml`, if it exists.
    pub file: Option<PathBuf>,
    /// `--qiyeweixin`.
    pub qiyeweixin: Option<PathBuf>,
    /// The `GONGPAI_*` variables. [`ConfigSources::from_process`] fills them in; tests set them.
    pub environment: Vec<(String, String)>,
    /// The text of a configuration, instead of a file; for tests and the demo.
    pub text: Option<String>,
}

/// A problem in an accepted configuration that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The key, such as `wecom.sync_cron`.
    pub key: String,
    /// One sentence.
    pub message: String,
}

/// The errors of a configuration. Each of them names its key and where it was written.
#[derive(Debug, thiserror::Error)]
#[error("{}", .findings.join("\n"))]
pub struct ConfigError {
    /// One sentence each.
    pub findings: Vec<String>,
}

impl Config {
    /// Reads and checks all layers.
    ///
    /// Paths in the configuration are relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding, not only the first. No finding repeats a secret.
    pub fn load(sources: &ConfigSources) -> Result<(Self, Vec<ConfigWarning>), ConfigError> {
        let reading = ConfigReading::from_sources(sources);
        reading.outcome.map(|config| (config, reading.warnings))
    }
}

/// The result of reading a configuration, valid or not, for `config check` and `config show`.
pub struct ConfigReading {
    /// The configuration, or its errors.
    pub outcome: Result<Config, ConfigError>,
    /// The warnings, also if there are errors.
    pub warnings: Vec<ConfigWarning>,
    /// The files and variables that were read, weakest first.
    pub read: Vec<String>,
    layers: Layers,
}

impl fmt::Debug for ConfigReading {
    /// Leaves out the layers: a refused value may be a secret in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ConfigReading");
        shown.field("outcome", &self.outcome).field("warnings", &self.warnings).field("read", &self.read);
        shown.finish_non_exhaustive()
    }
}

impl ConfigReading {
    /// Reads and checks all layers. If a file cannot be read at all, that is the only finding,
    /// because the values of the other layers may depend on it.
    pub fn from_sources(sources: &ConfigSources) -> Self {
        let (mut layers, mut findings) = (Layers::default(), ConfigFindings::default());
        if let Err(unreadable) = lay_all_layers(sources, &mut layers, &mut findings) {
            let outcome = Err(ConfigError { findings: vec![unreadable] });
            return Self { outcome, warnings: Vec::new(), read: Vec::new(), layers: Layers::default() };
        }
        derived_settings::derive_settings(&mut layers, &mut findings);
        let config = check::check_layers(&layers, &mut findings);
        let outcome = findings.result(config);
        let read = std::mem::take(&mut layers.read);
        Self { outcome, warnings: findings.warnings, read, layers }
    }

    /// Returns the effective configuration as TOML, each value with a comment that says where it
    /// was written. Secrets are `"[set]"` or `""`.
    ///
    /// `None` if the configuration has errors: nothing is in effect then, and a refused value may
    /// be a secret in the wrong place.
    pub fn to_toml(&self) -> Option<String> {
        self.outcome.is_ok().then(|| effective_toml::to_toml(&self.layers))
    }
}

/// Reads every layer, weakest first.
///
/// # Errors
/// A sentence about the first file that cannot be read at all.
fn lay_all_layers(
    sources: &ConfigSources,
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) -> Result<(), String> {
    ConfigFile::built_in(DEFAULT_TOML).read(layers, findings);
    // The defaults alone, with which `is_changed` compares.
    layers.defaults = layers.settings.clone();
    environment::read_defaults(&sources.environment, layers, findings);
    let file = read_configuration_file(sources)?;
    let named = file.as_ref().map(|(text, name)| ConfigFile::named(text, name));
    if let Some(error) = named.as_ref().and_then(ConfigFile::syntax_error) {
        return Err(error);
    }
    if let Some(path) = find_qiyeweixin_path(sources, named.as_ref()) {
        qiyeweixin::read_qiyeweixin(&path, layers, findings)?;
    }
    if let (Some(file), Some((_, name))) = (&named, &file) {
        layers.read.push(name.clone());
        file.read(layers, findings);
    }
    environment::read_variables(&sources.environment, layers, findings);
    if let Some(path) = &sources.qiyeweixin {
        let value = ConfigValue::Text(path.display().to_string());
        layers.set("wecom.qiyeweixin", value, SettingOrigin::Flag("--qiyeweixin"));
    }
    Ok(())
}

/// Reads the configuration file and returns its text and name; `None` if none is named and the
/// default one does not exist.
///
/// # Errors
/// A sentence if it cannot be read, or is not UTF-8 as TOML must be.
fn read_configuration_file(sources: &ConfigSources) -> Result<Option<(String, String)>, String> {
    let path = sources.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    if let Some(text) = &sources.text {
        return Ok(Some((text.clone(), name)));
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound && sources.file.is_none() => return Ok(None),
        Err(e) => return Err(format!("{name}: {}", describe_read_error(&e))),
    };
    String::from_utf8(bytes).map(|text| Some((text, name.clone()))).map_err(|error| {
        let bytes = error.as_bytes();
        let line = first_line_that_is_not_utf8(bytes).unwrap_or(1);
        let hint = decode_text(bytes)
            .map_or_else(|_| String::new(), |(_, is)| format!("; it seems to be {}", is.as_str()));
        format!("{name}, line {line}: is not UTF-8, which TOML is{hint}. Save it as UTF-8")
    })
}

/// Describes why a file cannot be read; completes "FILE: …".
fn describe_read_error(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the user that runs gongpai read it",
        io::ErrorKind::IsADirectory => "; name the file in it",
        _ => "",
    };
    format!("cannot be read: {error}{hint}")
}

/// Finds the qiyeweixin.json that a flag, a variable or the file names.
///
/// Its layer lies below the file's, so the path must be known first. The stronger layers are read
/// once for this key alone; their errors are reported when they are read again.
fn find_qiyeweixin_path(sources: &ConfigSources, file: Option<&ConfigFile<'_>>) -> Option<PathBuf> {
    const KEY: &str = "wecom.qiyeweixin";
    if let Some(path) = &sources.qiyeweixin {
        return Some(path.clone());
    }
    let (mut layers, mut findings) = (Layers::default(), ConfigFindings::default());
    if let Some(file) = file {
        file.read(&mut layers, &mut findings);
    }
    environment::read_variables(&sources.environment, &mut layers, &mut findings);
    layers.is_set(KEY).then(|| PathBuf::from(layers.text(KEY)))
}
