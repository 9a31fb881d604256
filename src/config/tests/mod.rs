//! The configuration as a whole: layers, findings, and what must never show.

mod layers;
mod reload;
mod secrets;
mod trouble;
mod values;

use super::{Config, ConfigError, ConfigSources, ConfigWarning};

/// Loads `text` as gongpai.toml, with variables.
fn load(text: &str, environment: &[(&str, &str)]) -> Result<(Config, Vec<ConfigWarning>), ConfigError> {
    Config::load(&sources(text, environment))
}

fn sources(text: &str, environment: &[(&str, &str)]) -> ConfigSources {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    ConfigSources { text: Some(text.to_owned()), environment, ..ConfigSources::default() }
}

fn config(text: &str) -> Config {
    match load(text, &[]) {
        Ok((config, _)) => config,
        Err(e) => panic!("{text}\n{e}"),
    }
}

/// Returns the findings about `text`; panics if it is accepted.
fn errors(text: &str) -> Vec<String> {
    load(text, &[]).expect_err(text).findings
}

/// Returns the only finding about `text`.
fn error(text: &str) -> String {
    let mut found = errors(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// Returns the messages of the warnings about `key`.
fn warnings(text: &str, key: &str) -> Vec<String> {
    let (_, warnings) = load(text, &[]).unwrap();
    warnings.into_iter().filter(|w| w.key == key).map(|w| w.message).collect()
}
