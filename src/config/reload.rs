//! Compares the configuration of a running gateway with the one in its files: which changes take
//! effect, and which ones need a restart ([design: reload](crate::design#reload)).
//!
//! Pure: from two sets of layers it makes a checked configuration and sentences. A file with a
//! mistake is refused as a whole.

use super::keys::{ConfigKey, ConfigValue, KEYS, ValueKind};
use super::layers::{ArrayTable, ConfigFindings, Layers};
use super::{Config, ConfigError, ConfigReading, ConfigWarning, check};
use crate::base::secret::ExposeSecret as _;

/// When a new value of a key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReloadEffect {
    /// At the reload, like `[[rules]]`, `[[api_clients]]` and `[[webhooks]]`.
    Applied,
    /// At a restart: addresses and files that are open, parts of tokens (public_url, the cookie
    /// domain), and what synchronisations and queues were started with.
    AfterRestart,
    /// Never: it only says where other values stand. Those are compared instead.
    Place,
}

use ReloadEffect::{AfterRestart, Applied, Place};

/// All keys except the `…_file` twins of secrets, which are places.
pub(super) const RELOAD_EFFECTS: &[(&str, ReloadEffect)] = &[
    ("public_url", AfterRestart),
    ("data_dir", AfterRestart),
    ("time_zone", AfterRestart),
    ("allow_http", AfterRestart),
    ("server.listen", AfterRestart),
    ("server.admin_listen", AfterRestart),
    ("server.trusted_proxies", Applied),
    ("server.start_rate", Applied),
    ("server.bad_code_rate", Applied),
    ("server.secret", AfterRestart),
    ("database.url", AfterRestart),
    ("wecom.qiyeweixin", Place),
    ("wecom.enable", AfterRestart),
    ("wecom.corp_id", AfterRestart),
    ("wecom.agent_id", AfterRestart),
    ("wecom.app_secret", AfterRestart),
    ("wecom.contacts_secret", AfterRestart),
    ("wecom.corp_secret", AfterRestart),
    ("wecom.api_address", AfterRestart),
    ("wecom.oauth2_address", AfterRestart),
    ("wecom.qr_connect_address", AfterRestart),
    ("wecom.proxy", AfterRestart),
    ("wecom.message_enable", AfterRestart),
    ("wecom.sync_cron", AfterRestart),
    ("wecom.force_sync_cron", AfterRestart),
    ("wecom.verify_files", Applied),
    ("wecom.contacts_callback.token", Applied),
    ("wecom.contacts_callback.encoding_aes_key", Applied),
    ("wecom.contacts_callback.previous_token", Applied),
    ("wecom.contacts_callback.previous_encoding_aes_key", Applied),
    ("wecom.app_callback.token", Applied),
    ("wecom.app_callback.encoding_aes_key", Applied),
    ("wecom.app_callback.previous_token", Applied),
    ("wecom.app_callback.previous_encoding_aes_key", Applied),
    ("session.ttl", Applied),
    ("session.idle", Applied),
    ("session.cookie_domain", AfterRestart),
    ("login.redirect_hosts", Applied),
    ("login.landing", Applied),
    ("login.hash_routes", Applied),
    ("pages.title", Applied),
    ("pages.contact", Applied),
    ("pages.logo_file", Applied),
    ("gate.groups", Applied),
    ("gate.assertion", Applied),
    ("gate.default", Applied),
    ("gate.stale_after", Applied),
    ("gate.recheck", Applied),
    ("gate.code_paths", Applied),
    ("directory.link_by", AfterRestart),
    ("directory.max_removals", AfterRestart),
    ("directory.purge_left_after", AfterRestart),
    ("o2oa.work_url", Applied),
    ("o2oa.server_url", Applied),
    ("o2oa.message_redirect_portal", Applied),
    ("o2oa.sso_client", Applied),
    ("o2oa.sso_key", Applied),
    ("o2oa.sso_cipher", Applied),
    ("o2oa.push_user", Applied),
    ("log.level", Applied),
    ("log.format", AfterRestart),
];

/// The longest text that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 120;

/// The configuration that a running gateway uses, for comparison with a later one.
#[derive(Clone)]
pub struct RunningConfig(Layers);

impl std::fmt::Debug for RunningConfig {
    /// Leaves out the values, because secrets are among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunningConfig")
    }
}

/// The result of comparing a new configuration with the running one.
#[derive(Debug)]
pub struct ConfigComparison {
    /// The running configuration with every change that a reload may make.
    pub config: Config,
    /// The same, for the next comparison.
    pub running: RunningConfig,
    /// The changes, one phrase each (`2 rules → 3`). No phrase repeats a secret.
    pub applied: Vec<String>,
    /// The keys whose new values need a restart.
    pub after_restart: Vec<&'static str>,
    /// The warnings about the new configuration.
    pub warnings: Vec<ConfigWarning>,
}

impl ConfigReading {
    /// Returns the configuration that a gateway started with this reading uses.
    pub fn running(&self) -> RunningConfig {
        RunningConfig(self.layers.clone())
    }
}

impl RunningConfig {
    /// Compares a new reading with this one.
    ///
    /// # Errors
    /// The errors of the reading, or of the mixture that would be in effect until the restart.
    /// Nothing of it may be used then.
    pub fn compare(&self, next: ConfigReading) -> Result<ConfigComparison, ConfigError> {
        next.outcome?;
        let (before, mut merged) = (&self.0, next.layers);
        let (mut applied, mut after_restart) = (Vec::new(), Vec::new());
        for key in KEYS {
            let (old, new) = (find_value(before, key), find_value(&merged, key));
            let same = match (old, new) {
                (Some(old), Some(new)) => old.is_same(new),
                // A missing key and an empty one mean the same.
                (old, new) => old.is_none_or(ConfigValue::is_empty) && new.is_none_or(ConfigValue::is_empty),
            };
            match find_effect(key) {
                Applied if !same => applied.push(describe_change(key, old, new)),
                Applied | Place => {}
                AfterRestart => {
                    if !same {
                        after_restart.push(key.path);
                    }
                    // The old value stays in the merged layers, so that the check below sees what
                    // will be in effect.
                    match before.settings.get(key.path).cloned() {
                        Some(entry) => merged.settings.insert(key.path, entry),
                        None => merged.settings.remove(key.path),
                    };
                }
            }
        }
        applied.extend(describe_count("rule", &before.rules, &merged.rules));
        applied.extend(describe_count("API client", &before.api_clients, &merged.api_clients));
        applied.extend(describe_count("webhook", &before.webhooks, &merged.webhooks));
        // Check again: a new value may contradict an old one that stays until the restart.
        let mut findings = ConfigFindings::default();
        let config = check::check_layers(&merged, &mut findings);
        let mut config = findings.result(config);
        if let Err(error) = &mut config
            && !after_restart.is_empty()
        {
            let keys = after_restart.join(", ");
            error.findings.push(format!("These need a restart and are taken as they were: {keys}"));
        }
        Ok(ConfigComparison {
            config: config?,
            running: Self(merged),
            applied,
            after_restart,
            warnings: next.warnings,
        })
    }
}

/// Finds when a key takes effect. A key that is not in the table waits for a restart, which is
/// always right.
fn find_effect(key: &ConfigKey) -> ReloadEffect {
    let secret = key.path.strip_suffix("_file").and_then(super::keys::find_key);
    if secret.is_some_and(|secret| secret.kind == ValueKind::Secret) {
        return Place;
    }
    RELOAD_EFFECTS.iter().find(|(path, _)| *path == key.path).map_or(AfterRestart, |(_, effect)| *effect)
}

fn find_value<'l>(layers: &'l Layers, key: &ConfigKey) -> Option<&'l ConfigValue> {
    layers.settings.get(key.path).map(|entry| &entry.value)
}

/// Describes a change: `log.level info → debug`.
fn describe_change(key: &ConfigKey, old: Option<&ConfigValue>, new: Option<&ConfigValue>) -> String {
    let path = key.path;
    match (printable_value(old), printable_value(new)) {
        (Some(old), Some(new)) => format!("{path} {old} → {new}"),
        _ => format!("{path} changed"),
    }
}

/// Formats a value for the log; `None` for secrets and long texts.
fn printable_value(value: Option<&ConfigValue>) -> Option<String> {
    let shown = match value {
        None => "\"\"".to_owned(),
        Some(ConfigValue::Secret(_)) => return None,
        Some(ConfigValue::Boolean(flag)) => flag.to_string(),
        Some(ConfigValue::Text(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) => {
            text.clone()
        }
        Some(ConfigValue::Text(text)) => format!("{text:?}"),
        Some(ConfigValue::List(items)) => format!("{items:?}"),
    };
    (shown.chars().count() <= MAX_SHOWN_CHARS).then_some(shown)
}

/// Describes a change of tables: `2 rules → 3`; `None` if they are the same.
fn describe_count(noun: &str, old: &[ArrayTable], new: &[ArrayTable]) -> Option<String> {
    if old.len() == new.len() && old.iter().zip(new).all(|(a, b)| is_same_table(a, b)) {
        return None;
    }
    let (before, after) = (old.len(), new.len());
    let plural = if before == 1 { "" } else { "s" };
    Some(if before == after {
        format!("{before} {noun}{plural} changed")
    } else {
        format!("{before} {noun}{plural} → {after}")
    })
}

fn is_same_table(a: &ArrayTable, b: &ArrayTable) -> bool {
    let fields_of = |item: &ArrayTable| {
        let text = |value: &ConfigValue| match value {
            ConfigValue::Secret(secret) => format!("{:?}", secret.expose_secret()),
            other => format!("{other:?}"),
        };
        item.fields.iter().map(|(key, entry)| (*key, text(&entry.value))).collect::<Vec<_>>()
    };
    fields_of(a) == fields_of(b)
}
