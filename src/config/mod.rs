//! The configuration: read from its layers, checked, and then only read.
//!
//! Layers, weakest first: `default.toml` (embedded, documents every key) ← an O2OA `qiyeweixin.json` ←
//! `gongpai.toml` ← `GONGPAI_*` ← flags.
//!
//! | module | does |
//! |---|---|
//! | [`model`] | the checked types |
//! | `raw` | every key that may be written, and how |
//! | `layers` | what holds, and where it was written |
//! | `toml_file`, `qiyeweixin`, `environment` | one layer each |
//! | `o2oa_json` | JSON as O2OA's reader takes it |
//! | `derive` | what follows from other settings |
//! | `check` | from what is written to what it means |
//! | [`file_modes`] | who else may read data_dir, the database and secret files |
//! | `later` | what has no effect in this version |
//! | [`reload`] | what changes while a gateway runs, and what waits for a restart |
//! | `show` | the effective configuration as TOML |
//! | [`mod@root_secret`] | the secret that is made where none is set |
//! | [`mod@verify_files`] | domain verification files from data_dir |

mod check;
mod derived_settings;
mod effective_toml;
mod environment;
pub mod file_modes;
mod keys;
mod layers;
pub mod model;
mod not_yet_supported;
mod o2oa_json;
mod qiyeweixin;
pub mod reload;
pub mod root_secret;
mod suggestion;
mod time_zone;
mod toml_file;
mod units;
pub mod verify_files;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use self::keys::ConfigValue;
use self::layers::{ConfigFindings, Layers, SettingOrigin};
use self::toml_file::ConfigFile;
use crate::base::encoding::{decode_text, first_line_that_is_not_utf8};

pub use self::model::{
    ApiClient, CallbackConfig, Config, DatabaseConfig, DefaultRule, DirectoryConfig, GateConfig, GroupFormat,
    LinkField, ListenAddress, LogConfig, LogFormat, PagesConfig, RateConfig, RootSecret, RuleText, Scope,
    ServerConfig, SessionConfig, VerifyFile, WecomConfig,
};
pub use self::reload::{ConfigComparison, RunningConfig};
pub use self::root_secret::{RootSecretError, load_root_secret};
pub use self::verify_files::find_verify_files;

/// The defaults, which document every key; users copy it.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "gongpai.toml";

/// Where the layers come from.
#[derive(Debug, Clone, Default)]
pub struct ConfigSources {
    /// `--config` or `GONGPAI_CONFIG`; `None`: `./gongpai.toml` if it is there.
    pub file: Option<PathBuf>,
    /// `--qiyeweixin`.
    pub qiyeweixin: Option<PathBuf>,
    /// `GONGPAI_*` of the environment; [`Sources::from_process`] fills it, tests set it.
    pub environment: Vec<(String, String)>,
    /// A file's text instead of a file: tests and the demo.
    pub text: Option<String>,
}

/// Something accepted that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The key, `wecom.sync_cron`.
    pub key: String,
    /// One sentence.
    pub message: String,
}

/// Why a configuration was not accepted; every finding names its key and where it was written.
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

/// Everything there is to tell about a configuration, right or wrong: `config check` and `config show`.
pub struct ConfigReading {
    /// The configuration, or what is wrong with it.
    pub outcome: Result<Config, ConfigError>,
    /// What was accepted but should be known, also where something else is wrong.
    pub warnings: Vec<ConfigWarning>,
    /// The files and variables that were read, weakest first.
    pub read: Vec<String>,
    layers: Layers,
}

impl fmt::Debug for ConfigReading {
    /// Without the layers: a value that was refused may be a secret in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reading");
        shown.field("outcome", &self.outcome).field("warnings", &self.warnings).field("read", &self.read);
        shown.finish_non_exhaustive()
    }
}

impl ConfigReading {
    /// Reads and checks all layers. A file that cannot be read at all is the only finding then: what the others say
    /// may be meant to stand above or below it.
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

    /// The effective configuration as TOML, each value with a comment that says where it was written. Secrets are
    /// `"[set]"` or `""`. `None` if it is not accepted: nothing is in effect then, and a value that was refused may
    /// be a secret in the wrong place.
    pub fn to_toml(&self) -> Option<String> {
        self.outcome.is_ok().then(|| effective_toml::to_toml(&self.layers))
    }
}

/// Lays every layer, weakest first.
///
/// # Errors
/// A sentence about the first file that cannot be read at all.
fn lay_all_layers(
    sources: &ConfigSources,
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) -> Result<(), String> {
    ConfigFile::built_in(DEFAULT_TOML).read(layers, findings);
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

/// The configuration file's text and name; `None` where none is named and the default one is not there.
///
/// # Errors
/// A sentence if it cannot be read, or is not UTF-8, which TOML is.
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

/// Why a file cannot be read; completes "FILE: …".
fn describe_read_error(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the user that runs gongpai read it",
        io::ErrorKind::IsADirectory => "; name the file in it",
        _ => "",
    };
    format!("cannot be read: {error}{hint}")
}

/// Which qiyeweixin.json to lay below the file, by flag, variable or the file itself.
///
/// It has to be known before the file is laid, so the stronger layers are read once for this key alone; what is
/// wrong with them is reported when they are laid.
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
