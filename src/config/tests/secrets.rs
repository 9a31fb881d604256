//! Secrets: where they come from, and that they never show.

use secrecy::ExposeSecret as _;

use super::{config, errors, load, sources, warnings};
use crate::config::keys::{API_CLIENT_KEYS, KEYS, ValueKind, WEBHOOK_KEYS};
use crate::config::{Config, ConfigReading, DatabaseConfig};

const MARK: &str = "S3CRET";

fn secret_paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|k| k.kind == ValueKind::Secret).map(|k| k.path)
}

/// Returns everything that is ever printed about a configuration.
fn everything_printed(text: &str, environment: &[(&str, &str)]) -> String {
    let sources = sources(text, environment);
    let reading = ConfigReading::from_sources(&sources);
    let mut commands = Vec::new();
    crate::cli::config::check_config(&sources, &mut commands).unwrap();
    crate::cli::config::show_config(&sources, &mut commands).unwrap();
    let commands = String::from_utf8(commands).unwrap();
    format!("{reading:?}\n{:?}\n{commands}", Config::load(&sources))
}

#[test]
fn no_secret_shows_whatever_is_wrong_with_it() {
    let mut texts: Vec<String> = Vec::new();
    for path in secret_paths() {
        texts.push(format!("{path} = \"{MARK}\""));
        texts.push(format!("{path} = [\"{MARK}\"]"));
        texts.push(format!("{path} = {{ a = \"{MARK}\" }}"));
        texts.push(format!("{path} = {MARK}"));
        texts.push(format!("{path} = \"{MARK}"));
        texts.push(format!("{path} = \"x\\{MARK}\""));
        texts.push(format!("{path} = '{MARK}' {MARK}"));
        texts.push(format!("{path}x = \"{MARK}\""));
    }
    for (key, around) in [
        ("wecom.agent_id", "{}"),
        ("wecom.corp_id", "ww {}"),
        ("wecom.proxy", "http://user:{}@proxy.example.com:3128"),
        ("wecom.proxy", "socks5://user:{}@proxy.example.com"),
        ("wecom.api_address", "https://user:{}@qyapi.example.com"),
        ("public_url", "https://user:{}@oa.example.com"),
        ("database.url", "postgres://gongpai:{}@db.example.com/gongpai"),
        ("database.url", "mysql://gongpai:{}@db.example.com/gongpai"),
    ] {
        texts.push(format!("{key} = \"{}\"", around.replace("{}", MARK)));
    }
    for field in API_CLIENT_KEYS.iter().filter(|k| k.kind == ValueKind::Secret) {
        texts.push(format!(
            "[[api_clients]]\nid = \"a\"\nscopes = [\"sessions\"]\n{} = \"{MARK}\"",
            field.path
        ));
    }
    for field in WEBHOOK_KEYS.iter().filter(|k| k.kind == ValueKind::Secret) {
        texts.push(format!("[[webhooks]]\nid = \"a\"\n{} = \"{MARK}\"", field.path));
    }
    texts.push(format!("wecom = \"{MARK}\""));
    texts.push(format!(
        "wecom.contacts_callback.token = \"{MARK}\"\nwecom.contacts_callback.encoding_aes_key = \"{MARK}\""
    ));
    for text in texts {
        let printed = everything_printed(&text, &[]);
        assert!(!printed.contains(MARK), "{text}\n{printed}");
    }
    for path in secret_paths() {
        let variable = crate::config::environment::variable_name(path);
        let printed = everything_printed("", &[(&variable, MARK), (&format!("{variable}X"), MARK)]);
        assert!(!printed.contains(MARK), "{variable}\n{printed}");
    }
}

#[test]
fn a_good_configuration_full_of_secrets_shows_none_of_them() {
    let text = format!(
        "public_url = \"https://oa.example.com\"\n[server]\nsecret = \"{}\"\n[database]\nurl = \"postgres://g:{MARK}@db/g\"\n\
         [wecom]\ncorp_id = \"ww1\"\nagent_id = 1000002\napp_secret = \"{MARK}1\"\ncontacts_secret = \"{MARK}2\"\n\
         proxy = \"http://u:{MARK}@proxy:3128\"\n",
        "A".repeat(43)
    );
    let printed = everything_printed(&text, &[]);
    assert!(load(&text, &[]).is_ok());
    assert!(!printed.contains(MARK) && !printed.contains("AAAA"), "{printed}");
    assert!(
        printed.contains("app_secret = \"[set]\"") && printed.contains("corp_secret = \"\""),
        "{printed}"
    );
}

#[test]
fn every_secret_may_be_a_file_whose_surrounding_white_space_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("{:?}", path.display().to_string())
    };
    let text = format!(
        "[server]\nsecret_file = {}\n[database]\nurl_file = {}\n[wecom]\napp_secret_file = {}\ncontacts_secret_file = {}\n\
         [wecom.contacts_callback]\ntoken_file = {}\nencoding_aes_key_file = {}\n\
         [[api_clients]]\nid = \"oa\"\nscopes = [\"sessions\"]\nsecret_hash_file = {}\n",
        file("root", &format!("{}\n", "A".repeat(43))),
        file("url", "postgres://g:p@db/g\n"),
        file("app", "\n app \r\n"),
        file("contacts", "contacts"),
        file("token", "token\n"),
        file("key", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C\n"),
        file("hash", &format!("sha256:{}\n", "ab".repeat(32))),
    );
    let config = config(&text);
    assert_eq!(config.server.secret.unwrap().0, [0; 32]);
    assert!(
        matches!(config.database, DatabaseConfig::Postgres(url) if url.expose_secret() == "postgres://g:p@db/g")
    );
    assert_eq!(config.wecom.app_secret.unwrap().expose_secret(), "app");
    assert_eq!(config.wecom.contacts_secret.unwrap().expose_secret(), "contacts");
    assert_eq!(config.wecom.contacts_callback.unwrap().token.expose_secret(), "token");
    assert_eq!(config.api_clients[0].secret_sha256, [0xab; 32]);
}

#[test]
fn of_a_secret_and_its_file_the_stronger_layer_wins_and_in_one_layer_they_contradict() {
    let text = "wecom.app_secret_file = \"/etc/hostname\"";
    let secret = |text: &str, environment: &[(&str, &str)]| {
        load(text, environment).unwrap().0.wecom.app_secret.unwrap().expose_secret().to_owned()
    };
    let (file, variable) = ("GONGPAI_WECOM__APP_SECRET_FILE", "GONGPAI_WECOM__APP_SECRET");
    assert_eq!(secret(text, &[(variable, MARK)]), MARK);
    let written = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(secret("wecom.app_secret = \"weaker\"", &[(file, "/etc/hostname")]), written.trim());
    let both = format!("{text}\nwecom.app_secret = {MARK:?}");
    let found = load(&both, &[]).unwrap_err().to_string();
    assert!(found.contains("both wecom.app_secret (") && found.contains("gongpai.toml:1"), "{found}");
    assert!(!found.contains(MARK), "{found}");
}

#[test]
fn a_secret_file_that_cannot_be_read_or_is_empty_is_named() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[wecom]\napp_secret_file = \"/nonexistent/app\"\ncontacts_secret_file = {:?}\n\
         [[api_clients]]\nid = \"oa\"\nscopes = [\"sessions\"]\nsecret_hash_file = \"/\"\n",
        empty.path().display().to_string()
    );
    let found = errors(&text);
    let all = found.join("\n");
    assert!(
        all.contains("wecom.app_secret_file (gongpai.toml:2): cannot read /nonexistent/app: No such file"),
        "{all}"
    );
    assert!(all.contains("is empty") && all.contains("wecom.contacts_secret_file"), "{all}");
    assert!(
        all.contains("api_clients[1].secret_hash_file (gongpai.toml:7): cannot read /: Is a directory"),
        "{all}"
    );
}

#[test]
fn the_single_secret_fills_what_is_empty_and_is_said_not_to_sign_anyone_in() {
    let one = "[wecom]\ncorp_id = \"ww1\"\nagent_id = 2\ncorp_secret = \"one\"";
    let wecom = config(one).wecom;
    assert_eq!(wecom.app_secret.unwrap().expose_secret(), "one");
    assert_eq!(wecom.contacts_secret.unwrap().expose_secret(), "one");
    let told = warnings(one, "wecom.corp_secret");
    assert!(told[0].contains("通讯录同步") && told[0].contains("wecom.app_secret"), "{told:?}");

    let both = format!("{one}\napp_secret = \"app\"");
    let wecom = config(&both).wecom;
    assert_eq!(wecom.app_secret.unwrap().expose_secret(), "app");
    assert_eq!(wecom.contacts_secret.unwrap().expose_secret(), "one");
    assert!(warnings(&both, "wecom.corp_secret").is_empty());
}

#[test]
fn postgres_requires_a_root_secret_and_says_how_to_make_one() {
    let url = "database.url = \"postgresql://g@db/g\"";
    let found = errors(url).join("\n");
    assert!(found.contains("server.secret") && found.contains("openssl rand -base64 32"), "{found}");
    let with = |secret: &str| format!("{url}\nserver.secret = \"{secret}\"");
    assert!(
        load(&with(&format!("{}=", "_".repeat(43).replacen('_', "-", 1).replace("_", "A"))), &[]).is_ok()
    );
    for bad in ["password", &"A".repeat(42), &"A".repeat(86)] {
        let found = errors(&with(bad)).join("\n");
        assert!(found.contains("32 bytes in base64"), "{found}");
    }
}
