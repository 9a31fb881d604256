//! Turns written values into checked ones. Every part is checked even if another one has errors, so
//! that all findings come at once.
//!
//! Each file checks the sections that it is named after. `hosts` checks everything that says which
//! hosts belong to this installation; `server` also has the small sections `[database]`,
//! `[session]`, `[pages]` and `[log]`.

mod clients;
mod directory;
mod gate;
mod hosts;
mod server;
mod wecom;

use std::fmt;
use std::path::PathBuf;

use super::keys::ConfigValue;
use super::layers::{ConfigFindings, Layers, SettingOrigin};
use super::model::Config;
use super::time_zone::{parse_time_zone, suggest_eastern_zone};
use super::{not_yet_supported, suggestion};
use crate::base::copy_fault::{CopiedAlphabet, CopyFault, find_copy_fault};
use crate::base::secret::{ExposeSecret as _, Secret};

/// Returns the checked configuration; `None` if the findings contain errors.
pub(super) fn check_layers(layers: &Layers, findings: &mut ConfigFindings) -> Option<Config> {
    not_yet_supported::warn_of_unsupported(layers, findings);
    let mut reader = LayerReader { layers, findings };
    let r = &mut reader;
    let data_dir = check_data_dir(r);
    let time_zone = check_time_zone(r);
    let server = server::check_server(r);
    let database = server::check_database(r, data_dir.as_ref());
    let hosts = hosts::check_hosts(r);
    let landing = hosts::check_landing(r, hosts.as_ref());
    let wecom = wecom::check_wecom(r, time_zone);
    let session = server::check_session(r);
    let pages = server::check_pages(r);
    let gate = gate::check_gate(r);
    let rules = gate::check_rules(r);
    let api_clients = clients::check_api_clients(r);
    let directory = directory::check_directory(r);
    let log = server::check_log(r);
    // Advice is given only about parts that are valid.
    if let (Some(hosts), Some(landing), Some(rules)) = (&hosts, &landing, &rules) {
        hosts::advise_own_host(r, hosts, landing, rules);
    }
    Some(Config {
        hosts: hosts?,
        data_dir: data_dir?,
        time_zone: time_zone?,
        server: server?,
        database: database?,
        wecom: wecom?,
        session: session?,
        landing: landing?,
        pages: pages?,
        gate: gate?,
        rules: rules?,
        directory: directory?,
        api_clients: api_clients?,
        log: log?,
    })
}

/// Reads values of the layers and collects findings about them.
struct LayerReader<'a> {
    layers: &'a Layers,
    findings: &'a mut ConfigFindings,
}

impl LayerReader<'_> {
    fn text(&self, key: &str) -> &str {
        self.layers.text(key)
    }

    fn boolean(&self, key: &str) -> bool {
        let value = self.layers.settings.get(key).map(|entry| &entry.value);
        matches!(value, Some(ConfigValue::Boolean(true)))
    }

    fn list(&self, key: &str) -> &[String] {
        match self.layers.settings.get(key).map(|entry| &entry.value) {
            Some(ConfigValue::List(items)) => items,
            _ => &[],
        }
    }

    /// Returns the secret of `key`; `None` if it is empty.
    fn secret(&self, key: &str) -> Option<Secret> {
        match self.layers.settings.get(key).map(|entry| &entry.value) {
            Some(ConfigValue::Secret(secret)) if !secret.expose_secret().is_empty() => Some(secret.clone()),
            _ => None,
        }
    }

    /// Finds a character that was perhaps copied along with the value of `key`.
    fn copy_fault(&self, key: &str, alphabet: CopiedAlphabet) -> Option<CopyFault> {
        match &self.layers.settings.get(key)?.value {
            ConfigValue::Secret(secret) => find_copy_fault(secret.expose_secret(), alphabet),
            ConfigValue::Text(text) => find_copy_fault(text, alphabet),
            _ => None,
        }
    }

    /// Returns `; it holds …` about such a character, or nothing.
    fn copied_along(&self, key: &str, alphabet: CopiedAlphabet) -> String {
        self.copy_fault(key, alphabet).map_or_else(String::new, |fault| format!("; it holds {fault}"))
    }

    /// Warns of a character that was perhaps copied along with the value of `key`.
    fn warn_of_copy_fault(&mut self, key: &str, alphabet: CopiedAlphabet) {
        let Some(fault) = self.copy_fault(key, alphabet) else { return };
        let origin = self.layers.origin(key).cloned().unwrap_or(SettingOrigin::BuiltIn);
        self.warn(
            key,
            format_args!("holds {fault}: perhaps it was copied along; copy the value alone ({origin})"),
        );
    }

    fn error(&mut self, key: &str, message: impl fmt::Display) {
        let origin = self.layers.origin(key).cloned().unwrap_or(SettingOrigin::BuiltIn);
        self.findings.error(key, &origin, message);
    }

    fn warn(&mut self, key: &str, message: impl fmt::Display) {
        self.findings.warn(key, message);
    }

    /// Parses the text of `key`. The error of `parse` completes "must be …".
    fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        match parse(self.layers.text(key)) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.error(key, format_args!("must be {expected}"));
                None
            }
        }
    }

    /// Parses the text of `key` as one of `names`.
    fn one_of<T: Copy>(&mut self, key: &str, names: &[(&str, T)]) -> Option<T> {
        let text = self.layers.text(key);
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let known = quote_list(names.iter().map(|(name, _)| *name));
            let hint = suggestion::find_nearest(text, names.iter().map(|(name, _)| *name));
            let hint = hint.map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"));
            self.error(key, format_args!("must be one of {known}{hint}"));
        }
        found
    }
}

/// Joins names: `"a", "b"`.
fn quote_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn check_data_dir(r: &mut LayerReader<'_>) -> Option<PathBuf> {
    r.parsed(
        "data_dir",
        |text| if text.is_empty() { Err("a directory, \"data\"") } else { Ok(PathBuf::from(text)) },
    )
}

fn check_time_zone(r: &mut LayerReader<'_>) -> Option<chrono_tz::Tz> {
    const KEY: &str = "time_zone";
    match parse_time_zone(r.text(KEY)) {
        Ok(zone) => {
            if let Some(meant) = suggest_eastern_zone(zone) {
                let name = zone.name();
                r.warn(
                    KEY,
                    format_args!(
                        "{name} is the time west of Greenwich, behind UTC; write \"{meant}\" for the east"
                    ),
                );
            }
            Some(zone)
        }
        Err(expected) => {
            r.error(KEY, format_args!("must be {expected}"));
            None
        }
    }
}
