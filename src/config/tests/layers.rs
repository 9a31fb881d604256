//! Which layer wins, and what is said about where a value was written.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use super::{config, error, errors, load, sources};
use crate::config::keys::{KEYS, TABLE_ARRAYS};
use crate::config::{
    Config, ConfigReading, ConfigSources, ConfigWarning, DEFAULT_TOML, DatabaseConfig, ListenAddress,
};

const DESIGN: &str = include_str!("../../../tests/data/design-config.toml");
const SEED: &str = include_str!("../../../tests/data/seed-qiyeweixin.json");

/// Collects the dotted keys of a table and their values; an array of tables only by its name.
fn leaves(prefix: &str, table: &toml::Table, out: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => leaves(&path, inner, out),
            _ => out.push((path, value.clone())),
        }
    }
}

fn flat(text: &str) -> Vec<(String, toml::Value)> {
    let mut out = Vec::new();
    leaves("", &toml::from_str(text).unwrap(), &mut out);
    out
}

/// Loads a configuration with a qiyeweixin.json of this text below gongpai.toml.
fn with_json(json: &str, text: &str, environment: &[(&str, &str)]) -> (Config, Vec<ConfigWarning>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("qiyeweixin.json");
    std::fs::write(&path, json).unwrap();
    let loaded = Config::load(&ConfigSources { qiyeweixin: Some(path), ..sources(text, environment) });
    loaded.unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_key_of_the_design_loads_and_has_the_default_of_the_design() {
    let text = DESIGN.replace("sha256:…", &format!("sha256:{}", "0".repeat(64)));
    let text = text.replace(r#""sessions", "hook"]"#, r#""sessions"]"#);
    load(&text, &[]).unwrap_or_else(|e| panic!("{e}"));

    let ours: Vec<_> = flat(DEFAULT_TOML);
    for (path, value) in flat(DESIGN) {
        match path.as_str() {
            array if TABLE_ARRAYS.iter().any(|(name, _)| *name == array) => {
                let (_, keys) = TABLE_ARRAYS.iter().find(|(name, _)| *name == array).unwrap();
                for key in value.as_array().unwrap()[0].as_table().unwrap().keys() {
                    assert!(keys.iter().any(|k| k.path == key), "{path}.{key}");
                }
            }
            // The design shows an example; the default is derived from server.listen.
            "public_url" => assert!(ours.iter().any(|(p, v)| *p == path && v.as_str() == Some(""))),
            _ => assert!(ours.contains(&(path.clone(), value.clone())), "{path} = {value}"),
        }
    }
}

/// Returns `(position, section.key)` for every line of `text` that sets a key.
fn key_lines(text: &str) -> Vec<(usize, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap().trim_start_matches('[').to_owned();
        } else if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with(['#', ' '])) {
            let name = name.trim();
            found.push((
                number,
                if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") },
            ));
        }
    }
    found
}

#[test]
fn the_default_file_documents_every_key_in_the_order_of_the_table_and_of_the_design() {
    let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
    let documented = key_lines(DEFAULT_TOML);
    for (number, path) in &documented {
        let before = lines[number.checked_sub(1).unwrap()];
        assert!(before.starts_with("# ") || lines[*number].contains(" # "), "{path} has no comment");
    }
    let names: Vec<&str> = documented.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(names, KEYS.iter().map(|k| k.path).collect::<Vec<_>>());

    let design: Vec<String> = key_lines(DESIGN).into_iter().map(|(_, path)| path).collect();
    let design: Vec<&str> = design.iter().map(String::as_str).filter(|path| names.contains(path)).collect();
    let twins: BTreeSet<&str> = names.iter().copied().filter(|n| !design.contains(n)).collect();
    // The design names the keys for a change (`previous_…`) only in a comment.
    let untabled = |n: &&str| n.ends_with("_file") || n.contains(".previous_");
    assert!(twins.iter().all(untabled), "not in the design: {twins:?}");
    let common: Vec<&str> = names.iter().copied().filter(|n| design.contains(n)).collect();
    assert_eq!(common, design);
}

#[test]
fn the_file_of_the_documentation_loads_exactly_as_printed() {
    let (config, warnings) = with_json(SEED, "", &[]);
    assert!(!config.wecom.enable && config.wecom.message_enable);
    assert_eq!((config.wecom.corp_id.as_str(), config.wecom.agent_id), ("", 0));
    assert!(config.wecom.app_secret.is_none() && config.wecom.contacts_secret.is_none());
    assert!(config.wecom.contacts_callback.is_none());
    let keys: Vec<_> = warnings.iter().map(|w| w.key.as_str()).collect();
    assert_eq!(keys, ["wecom.enable"], "{warnings:#?}");
    let crons = [config.wecom.sync_cron, config.wecom.force_sync_cron];
    let written = crons.iter().map(|cron| cron.as_ref().unwrap().as_str()).collect::<Vec<_>>();
    assert_eq!(written, ["10 0/10 * * * ?", "10 45 8,12 * * ?"]);
}

#[test]
fn the_keys_that_came_later_load_and_what_is_unknown_is_a_warning() {
    let json = r####"{"enable": true, "corpId": "ww1", "corpSecret": "app", "syncSecret": "sync", "agentId": 1000002,
        "token": "1", "encodingAesKey": "1", "messageEnable": "false", "oauth2Address": "https://weixin.example.com/",
        "qrConnectAddress": "https://open.work.weixin.qq.com", "workUrl": "https://oa.example.com/x_desktop/",
        "messageRedirectPortal": null, "scanLoginEnable": true, "bindEnable": false, "attendanceSyncEnable": false,
        "attendanceSyncAgentId": "", "attendanceSyncSecret": "", "corpSecrt": "x", "###enable": "是否启用###"}"####;
    let (config, warnings) = with_json(&format!("\u{feff}{json}"), "", &[]);
    assert_eq!(config.wecom.agent_id, 1_000_002);
    assert!(!config.wecom.message_enable);
    assert_eq!(config.wecom.app_secret.unwrap().expose_secret(), "app");
    assert_eq!(config.wecom.contacts_secret.unwrap().expose_secret(), "sync");
    assert_eq!(config.wecom.qr_connect_address.as_str(), "https://login.work.weixin.qq.com/");
    assert!(config.wecom.contacts_callback.is_none());
    let keys: BTreeSet<_> = warnings.iter().map(|w| w.key.as_str()).collect();
    let expected =
        ["corpSecrt", "o2oa.work_url", "scanLoginEnable", "wecom.corp_secret", "wecom.qr_connect_address"];
    assert_eq!(keys, expected.into(), "{warnings:#?}");
    let unknown = warnings.iter().find(|w| w.key == "corpSecrt").unwrap();
    assert!(unknown.message.contains("\"corpSecret\""), "{}", unknown.message);
}

#[test]
fn a_qiyeweixin_json_that_is_not_json_is_an_error_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.json");
    for (text, expected) in [("{\n\"corpSecret\": \"S3CRET}", "line 2: "), ("[]", "must be a JSON object")] {
        std::fs::write(&path, text).unwrap();
        let text = format!("wecom.qiyeweixin = {:?}", path.display().to_string());
        let found = error(&text);
        assert!(found.contains("q.json") && found.contains(expected) && !found.contains("S3CRET"), "{found}");
    }
    let found = error("wecom.qiyeweixin = \"/nonexistent.json\"");
    assert!(found.contains("/nonexistent.json") && found.contains("No such file"), "{found}");
    std::fs::write(&path, r#"{"agentId": "abc", "enable": "perhaps"}"#).unwrap();
    let found = errors(&format!("wecom.qiyeweixin = {:?}", path.display().to_string()));
    assert!(found[0].contains("agentId in ") && found[1].contains("enable in "), "{found:?}");
}

#[test]
fn flag_over_environment_over_file_over_json_over_default() {
    let json = r#"{"corpId": "wwjson", "agentId": "1", "apiAddress": "https://json.example.com"}"#;
    let text = "[wecom]\ncorp_id = \"wwfile\"\nagent_id = 2";
    let (config, _) = with_json(json, text, &[("GONGPAI_WECOM__CORP_ID", "wwenv")]);
    assert_eq!(config.wecom.corp_id.as_str(), "wwenv");
    assert_eq!(config.wecom.agent_id, 2);
    assert_eq!(config.wecom.api_address.as_str(), "https://json.example.com/");
    assert_eq!(config.wecom.oauth2_address.as_str(), "https://open.weixin.qq.com/");
}

#[test]
fn the_json_may_be_named_by_file_or_variable_and_the_flag_wins() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!(r#"{{"corpId": "ww{name}"}}"#)).unwrap();
        path.display().to_string()
    };
    let text = format!("wecom.qiyeweixin = {:?}", named("file"));
    let corp = |sources: &ConfigSources| Config::load(sources).unwrap().0.wecom.corp_id.as_str().to_owned();
    assert_eq!(corp(&sources(&text, &[])), "wwfile");
    let variable = named("env");
    let both = sources(&text, &[("GONGPAI_WECOM__QIYEWEIXIN", &variable)]);
    assert_eq!(corp(&both), "wwenv");
    assert_eq!(corp(&ConfigSources { qiyeweixin: Some(named("flag").into()), ..both }), "wwflag");
}

#[test]
fn variables_are_text_and_become_what_their_key_is() {
    let (config, _) = load(
        "",
        &[
            ("GONGPAI_PUBLIC_URL", "https://oa.example.com"),
            ("GONGPAI_SERVER__LISTEN", "0.0.0.0:8443"),
            ("GONGPAI_LOGIN__REDIRECT_HOSTS", "a.example.com, b.example.com:8443"),
            ("GONGPAI_SERVER__TRUSTED_PROXIES", r#"["10.0.0.1"]"#),
            ("GONGPAI_GATE__ASSERTION", "TRUE"),
            ("GONGPAI_WECOM__AGENT_ID", "1000002"),
            ("GONGPAI_WECOM__CORP_ID", "0012345"),
            ("GONGPAI_WECOM__APP_SECRET", "0012345"),
            ("GONGPAI_WECOM__CONTACTS_CALLBACK__TOKEN", ""),
            ("GONGPAI_SERVICE_HOST", "10.0.0.1"),
            ("GONGPAI_PORT", "tcp://10.0.0.1:80"),
            ("GONGPAI_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("GONGPAI_CONFIG", "/elsewhere"),
            ("GONGPAI_TEST_POSTGRES", "postgres://x"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, ListenAddress::Tcp("0.0.0.0:8443".parse().unwrap()));
    assert_eq!(config.server.trusted_proxies, ["10.0.0.1/32".parse().unwrap()]);
    assert!(config.gate.assertion);
    assert_eq!((config.wecom.corp_id.as_str(), config.wecom.agent_id), ("0012345", 1_000_002));
    assert_eq!(config.wecom.app_secret.unwrap().expose_secret(), "0012345");
}

#[test]
fn a_variable_that_sets_nothing_is_an_error_that_says_what_it_may_have_meant() {
    for (name, expected) in [
        ("GONGPAI_WECOM_CORP_ID", "GONGPAI_WECOM__CORP_ID"),
        ("GONGPAI_WECOM__CORPID", "GONGPAI_WECOM__CORP_ID"),
        ("GONGPAI_RULES__0__HOST", "[[rules]] cannot be set by variables"),
        ("GONGPAI_API_CLIENTS", "[[api_clients]] cannot be set by variables"),
        ("GONGPAI_SESSION", "GONGPAI_SESSION__TTL"),
    ] {
        let found = load("", &[(name, "S3CRET")]).unwrap_err().findings;
        assert!(found[0].starts_with(name) && found[0].contains(expected), "{found:?}");
        assert!(!found[0].contains("S3CRET"));
    }
    let found =
        load("", &[("GONGPAI_ALLOW_HTTP", "maybe"), ("GONGPAI_PAGES__TITLE", "\u{fffd}")]).unwrap_err();
    assert_eq!(found.findings[0], "allow_http (GONGPAI_ALLOW_HTTP): must be true or false");
    assert_eq!(found.findings[1], "pages.title (GONGPAI_PAGES__TITLE): is not UTF-8");
}

#[test]
fn unknown_keys_are_all_reported_with_their_line_and_the_nearest_known_key() {
    let text = "pubic_url = \"x\"\nttl = \"1h\"\n[wecom]\ncorpid = \"ww1\"\n[wecom.app_callback]\ntokn = \"\"\n[sesion]\n\
                ttl = \"1h\"\n[[rules]]\nhost = \"a.example.com\"\nallow = []\nmethod = [\"GET\"]\n\
                [[api_clients]]\nid = \"oa\"\nsecrethash = \"x\"\nscopes = [\"sessions\"]\n";
    let found = errors(text);
    for (key, line, nearest) in [
        ("pubic_url", 1, "public_url"),
        ("ttl", 2, "session.ttl"),
        ("wecom.corpid", 4, "wecom.corp_id"),
        ("wecom.app_callback.tokn", 6, "wecom.app_callback.token"),
        ("sesion", 7, "session"),
        ("rules[1].method", 12, "methods"),
        ("api_clients[1].secrethash", 15, "secret_hash"),
    ] {
        let expected =
            format!("{key} (gongpai.toml:{line}): unknown key; the nearest known key is \"{nearest}\"");
        assert!(found.contains(&expected), "{expected}\n{found:#?}");
    }
}

#[test]
fn a_syntax_error_names_file_line_and_column() {
    let found = error("data_dir = \"x\"\n[wecom]\ncorp_id = 企业\n");
    assert!(found.starts_with("gongpai.toml, line 3, column 11: "), "{found}");
    assert!(load("\u{feff}data_dir = \"x\"", &[]).is_ok(), "a byte order mark is no syntax error");
}

#[test]
fn a_wrong_type_names_the_key_and_what_was_expected() {
    let found = errors(
        "data_dir = 1\nallow_http = \"true\"\nserver = 1\nrules = 1\napi_clients = [1]\nlogin.redirect_hosts = \"a\"",
    );
    for (line, expected) in [
        (1, "data_dir (gongpai.toml:1): must be text in quotes"),
        (2, "allow_http (gongpai.toml:2): must be true or false"),
        (3, "server (gongpai.toml:3): must be a section, [server]"),
        (4, "rules (gongpai.toml:4): must be an array of tables, written as [[rules]]"),
        (5, "api_clients (gongpai.toml:5): must be an array of tables, written as [[api_clients]]"),
        (6, "login.redirect_hosts (gongpai.toml:6): must be a list of texts, [\"a\", \"b\"]"),
    ] {
        assert!(found.iter().any(|f| f == expected), "line {line}: {found:#?}");
    }
}

#[test]
fn a_named_file_must_exist() {
    let found =
        Config::load(&ConfigSources { file: Some("/nonexistent/g.toml".into()), ..ConfigSources::default() });
    let found = found.unwrap_err().to_string();
    assert!(found.starts_with("/nonexistent/g.toml: cannot be read: No such file"), "{found}");
}

#[test]
fn without_anything_the_gateway_runs_on_loopback_with_an_embedded_database() {
    let config = config("");
    assert_eq!(config.hosts.public().to_string(), "http://127.0.0.1:8080");
    assert!(matches!(config.database, DatabaseConfig::Sqlite(path) if path.as_os_str() == "data/gongpai.db"));
}

#[test]
fn the_shown_configuration_is_toml_that_means_the_same_and_says_where_it_was_written() {
    let text = "public_url = \"https://oa.example.com\"\n[wecom]\nagent_id = 1000002\n[pages]\ntitle = \"某“公司”\\n\\\"\"\n\
                [[rules]]\nhost = \"a.example.com\"\nallow = [\"members\"]\n[[rules]]\nhost = \"b.example.com\"\nallow = []\n";
    let shown =
        ConfigReading::from_sources(&sources(text, &[("GONGPAI_WECOM__CORP_ID", "ww1")])).to_toml().unwrap();
    for expected in [
        "public_url = \"https://oa.example.com\" # gongpai.toml:1\n",
        "corp_id = \"ww1\" # GONGPAI_WECOM__CORP_ID\n",
        "agent_id = 1000002 # gongpai.toml:3\n",
        "ttl = \"12h\" # default\n",
        "[[rules]] # gongpai.toml:9\n",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let again = ConfigReading::from_sources(&sources(&shown, &[]));
    let strip =
        |text: &str| text.lines().map(|l| l.split(" # ").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(strip(&again.to_toml().unwrap()), strip(&shown));
}

#[test]
fn what_an_image_presets_is_a_default_and_the_file_wins_over_it() {
    let preset = [
        ("GONGPAI_DEFAULT__SERVER__ADMIN_LISTEN", "0.0.0.0:9090"),
        ("GONGPAI_DEFAULT__SERVER__LISTEN", "0.0.0.0:8080"),
    ];
    let public = "public_url = \"https://oa.example.com\"\n";
    let admin = |text: &str, environment: &[(&str, &str)]| {
        let (config, _) = Config::load(&sources(text, environment)).unwrap_or_else(|e| panic!("{e}"));
        config.server.admin_listen.to_string()
    };
    assert_eq!(admin(public, &preset), "0.0.0.0:9090");
    let file = format!("{public}[server]\nadmin_listen = \"127.0.0.1:9191\"\n");
    assert_eq!(admin(&file, &preset), "127.0.0.1:9191");
    let mut both = preset.to_vec();
    both.push(("GONGPAI_SERVER__ADMIN_LISTEN", "127.0.0.1:9292"));
    assert_eq!(admin(&file, &both), "127.0.0.1:9292");
    let unknown = Config::load(&sources(public, &[("GONGPAI_DEFAULT__SERVER__ADMIN_LISTN", "x")]));
    assert!(unknown.unwrap_err().findings[0].contains("GONGPAI_DEFAULT__SERVER__ADMIN_LISTN"));
}

#[test]
fn a_host_of_its_own_is_advised_where_public_urls_host_has_an_application_and_there_are_others() {
    let advised = |text: &str| {
        let (_, warnings) = Config::load(&sources(text, &[])).unwrap_or_else(|e| panic!("{e}"));
        warnings.iter().any(|w| w.key == "public_url" && w.message.contains("snippet nginx --host"))
    };
    let own = "public_url = \"https://sso.example.com\"\n[login]\nredirect_hosts = [\"oa.example.com\"]\n";
    let shared = "public_url = \"https://oa.example.com\"\n[login]\nredirect_hosts = [\"app.example.com\"]\n";
    let rule = "[[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";
    assert!(!advised(own) && !advised(&format!("{own}{rule}")));
    assert!(!advised(shared), "nothing says that it has an application");
    assert!(advised(&format!("{shared}{rule}")));
    assert!(advised(&format!("{shared}landing = \"/portal\"\n")));
    assert!(advised(&format!("{shared}[gate]\ncode_paths = [\"/gitlab/users/auth\"]\n")));
    assert!(!advised(&format!("public_url = \"https://oa.example.com\"\n{rule}")), "there is no other host");
}

#[test]
fn a_code_path_is_a_plain_path() {
    for bad in
        ["", "wiki", "/wiki/*/x", "/a//b", "/a/../b", "/a%2fb", "https://oa.example.com/a", "/a?b", "//"]
    {
        let text = format!("public_url = \"https://oa.example.com\"\n[gate]\ncode_paths = [\"{bad}\"]\n");
        let findings = Config::load(&sources(&text, &[])).unwrap_err().findings;
        assert!(findings.iter().any(|f| f.contains("gate.code_paths")), "{bad}: {findings:?}");
    }
}
