//! A new configuration compared with the running one: what takes effect, what waits for a restart,
//! what is refused.

use super::sources;
use crate::config::keys::{KEYS, ValueKind, find_key};
use crate::config::reload::{ConfigComparison, RELOAD_EFFECTS};
use crate::config::{ConfigError, ConfigReading, DefaultRule};

/// A configuration with something of every kind.
const BASE: &str = r#"
public_url = "https://oa.example.com"
login.redirect_hosts = ["app.example.com"]
wecom.corp_id = "wwff63b84d61d88d19"
wecom.agent_id = 1000002
wecom.app_secret = "AN-OLD-SECRET-OF-ALL"
log.level = "info"

[[rules]]
host = "app.example.com"
allow = ["members"]

[[api_clients]]
id = "payroll"
secret_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
scopes = ["messages"]
"#;

fn compare_texts(before: &str, after: &str) -> Result<ConfigComparison, ConfigError> {
    let before = ConfigReading::from_sources(&sources(before, &[]));
    before.outcome.as_ref().expect("the base is accepted");
    before.running().compare(ConfigReading::from_sources(&sources(after, &[])))
}

fn compare_change(replace: &str, by: &str) -> ConfigComparison {
    assert!(BASE.contains(replace), "{replace}");
    compare_texts(BASE, &BASE.replace(replace, by)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_key_either_takes_effect_at_once_or_waits_for_a_restart() {
    for key in KEYS {
        let twin =
            key.path.strip_suffix("_file").and_then(find_key).is_some_and(|k| k.kind == ValueKind::Secret);
        let rows = RELOAD_EFFECTS.iter().filter(|(path, _)| *path == key.path).count();
        assert_eq!(rows, usize::from(!twin), "{}: say in config/reload.rs when a new value holds", key.path);
    }
    for (path, _) in RELOAD_EFFECTS {
        assert!(find_key(path).is_some(), "{path} is no key");
    }
}

#[test]
fn nothing_changed_is_nothing_to_say() {
    let compared = compare_texts(BASE, BASE).unwrap();
    assert_eq!(compared.applied, Vec::<String>::new());
    assert_eq!(compared.after_restart, Vec::<&str>::new());
}

#[test]
fn what_changes_is_said_with_both_values() {
    let compared =
        compare_change("log.level = \"info\"", "log.level = \"gongpai=debug,info\"\ngate.default = \"deny\"");
    assert_eq!(compared.applied, ["gate.default members → deny", "log.level info → gongpai=debug,info"]);
    assert_eq!(compared.config.gate.default, DefaultRule::Deny);
    assert_eq!(compared.config.log.level, "gongpai=debug,info");
}

#[test]
fn rules_and_clients_are_counted_and_compared() {
    let more = "[[rules]]\nhost = \"app.example.com\"\nallow = [\"user:lisi\"]\n\n[[rules]]";
    assert_eq!(compare_change("[[rules]]", more).applied, ["1 rule → 2"]);
    assert_eq!(compare_change("\"members\"", "\"anyone\"").applied, ["1 rule changed"]);
    let other = compare_change("sha256:0000", "sha256:ffff");
    assert_eq!(other.applied, ["1 API client changed"]);
    assert_eq!(
        other.config.api_clients.first().map(|c| c.secret_sha256[..2].to_vec()),
        Some(vec![0xff, 0xff])
    );
}

#[test]
fn what_needs_a_restart_stays_as_it_is_and_is_named_until_then() {
    let after = BASE.replace("AN-OLD-SECRET-OF-ALL", "A-NEW-SECRET-OF-ALL1").replace("info", "warn")
        + "\n[server]\nlisten = \"127.0.0.1:8081\"";
    let first = compare_texts(BASE, &after).unwrap();
    assert_eq!(first.after_restart, ["server.listen", "wecom.app_secret"]);
    assert_eq!(first.applied, ["log.level info → warn"]);
    assert_eq!(first.config.server.listen.to_string(), "127.0.0.1:8080");
    let again = first.running.compare(ConfigReading::from_sources(&sources(&after, &[]))).unwrap();
    assert_eq!(again.after_restart, ["server.listen", "wecom.app_secret"]);
    assert_eq!(again.applied, Vec::<String>::new());
}

#[test]
fn a_mistake_anywhere_refuses_the_whole() {
    let after = BASE.replace("info", "warn").replace("\"members\"", "\"members\", 7");
    let error = compare_texts(BASE, &after).unwrap_err();
    assert!(error.to_string().contains("allow"), "{error}");
}

#[test]
fn a_value_that_fits_only_what_waits_for_a_restart_is_refused_and_says_so() {
    let before = BASE.to_owned() + "\n[server]\nadmin_listen = \"127.0.0.1:9090\"";
    let after = before
        .replace("https://oa.example.com", "https://oa.example.org")
        .replace("app.example.com", "app.example.org")
        + "\n[login]\nlanding = \"https://oa.example.org/portal\"";
    let after = after.replace("login.redirect_hosts = [\"app.example.org\"]\n", "");
    let error = compare_texts(&before, &after).unwrap_err().to_string();
    assert!(error.contains("login.landing"), "{error}");
    assert!(error.contains("public_url"), "{error}");
}

#[test]
fn a_secret_file_is_read_again_and_no_secret_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let path = file.display();
    let text = format!(
        "{BASE}\n[wecom.app_callback]\ntoken_file = \"{path}\"\nencoding_aes_key = \"{}\"",
        "k".repeat(43)
    );
    std::fs::write(&file, "oldTOKEN").unwrap();
    let before = ConfigReading::from_sources(&sources(&text, &[]));
    std::fs::write(&file, "newTOKEN").unwrap();
    let compared = before.running().compare(ConfigReading::from_sources(&sources(&text, &[]))).unwrap();
    assert_eq!(compared.applied, ["wecom.app_callback.token changed"]);
    assert!(!format!("{compared:?}").contains("TOKEN"), "{compared:?}");
}
