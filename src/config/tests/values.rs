//! Which values single keys accept.

use super::{config, error, errors, load, warnings};
use crate::base::host::{Origin, Scheme};
use crate::config::{DefaultRule, GroupFormat, LinkField, LogFormat, Scope};

const PUBLIC: &str = "public_url = \"https://oa.example.com\"\n";

fn refused(text: &str, key: &str) -> String {
    let found = errors(text);
    let about = found.iter().find(|f| f.starts_with(key));
    about.unwrap_or_else(|| panic!("nothing about {key} in {found:#?} for\n{text}")).clone()
}

#[test]
fn public_url_is_scheme_host_and_port_and_nothing_more() {
    for (good, origin) in [
        ("https://oa.example.com", "https://oa.example.com"),
        ("https://OA.example.com:8443/", "https://oa.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(config(&format!("public_url = \"{good}\"")).hosts.public().to_string(), origin);
    }
    for bad in [
        "oa.example.com",
        "ftp://oa.example.com",
        "https://",
        "https://oa.example.com/path",
        "https://oa.example.com?x",
        "https://oa.example.com#x",
        "https://user@oa.example.com",
    ] {
        error(&format!("public_url = \"{bad}\""));
    }
    let http = "public_url = \"http://oa.example.com\"";
    assert!(error(http).contains("allow_http"));
    config(&format!("allow_http = true\n{http}"));
}

#[test]
fn without_public_url_the_port_of_the_listener_counts_and_a_socket_file_has_none() {
    let of = |listen: &str| config(&format!("server.listen = \"{listen}\"")).hosts.public().to_string();
    assert_eq!(of("0.0.0.0:9000"), "http://127.0.0.1:9000");
    for none in ["unix:/run/gongpai.sock", "127.0.0.1:0"] {
        let found = error(&format!("server.listen = \"{none}\""));
        assert!(found.starts_with("public_url: must be set"), "{found}");
    }
    config(&format!("{PUBLIC}server.listen = \"unix:/run/gongpai.sock\""));
}

#[test]
fn the_cookie_domain_is_our_own_and_above_public_url() {
    let with = |domain: &str| format!("{PUBLIC}session.cookie_domain = \"{domain}\"");
    for good in [".example.com", "example.com", ".EXAMPLE.com"] {
        assert_eq!(config(&with(good)).hosts.cookie_domain(), Some("example.com"));
    }
    for bad in [".com", "com", ".oa.example.com", ".example.org", ".ample.com", "example.com:443", "a b", "."]
    {
        refused(&with(bad), "session.cookie_domain (gongpai.toml:2)");
    }
    let shared = "public_url = \"https://oa.example.com.cn\"\nsession.cookie_domain = \".com.cn\"";
    assert!(refused(shared, "session.cookie_domain").contains("many share"));
    refused("public_url = \"https://10.0.0.1\"\nsession.cookie_domain = \"0.0.1\"", "session.cookie_domain");
}

#[test]
fn redirect_hosts_are_hosts_and_a_wrong_one_says_which() {
    let good =
        config(&format!("{PUBLIC}login.redirect_hosts = [\"app.example.com\", \"b.example.com:8443\"]"));
    assert!(good.hosts.permits(&Origin::from_authority(Scheme::Https, "b.example.com:8443").unwrap()));
    for (bad, why) in
        [("https://a.example.com", "leave the scheme out"), ("*.example.com", "cookie_domain"), ("", "")]
    {
        let found = error(&format!("{PUBLIC}login.redirect_hosts = [\"app.example.com\", \"{bad}\"]"));
        assert!(found.contains("entry 2") && found.contains(why), "{found}");
    }
}

#[test]
fn hash_routes_are_hosts_and_one_that_is_none_of_ours_is_a_warning() {
    let text = |host: &str| format!("{PUBLIC}login.hash_routes = [\"oa.example.com\", \"{host}\"]");
    assert_eq!(warnings(&text("oa.example.com"), "login.hash_routes").len(), 0);
    let strange = warnings(&text("hr.example.com"), "login.hash_routes");
    assert!(strange.len() == 1 && strange[0].contains("hr.example.com"), "{strange:?}");
    for bad in ["https://oa.example.com", "*.example.com", ""] {
        assert!(error(&text(bad)).contains("entry 2"), "{bad}");
    }
}

#[test]
fn landing_is_a_page_of_ours() {
    for good in ["/", "/desk?x=1", "https://oa.example.com/x"] {
        assert_eq!(config(&format!("{PUBLIC}login.landing = \"{good}\"")).landing, good);
    }
    for bad in ["", "//evil.example", "https://evil.example/", "desk"] {
        refused(&format!("{PUBLIC}login.landing = \"{bad}\""), "login.landing");
    }
}

#[test]
fn trusting_everybody_is_a_warning() {
    let text = "server.trusted_proxies = [\"10.0.0.1\", \"0.0.0.0/0\", \"::/0\"]";
    assert_eq!(config(text).server.trusted_proxies.len(), 3);
    assert_eq!(warnings(text, "server.trusted_proxies").len(), 2);
    assert!(error("server.trusted_proxies = [\"10.0.0.0/8\", \"nginx\"]").contains("entry 2"));
}

#[test]
fn the_two_listeners_differ() {
    for (listen, admin) in
        [("127.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:80", "127.0.0.1:80"), ("unix:/a", "unix:/a")]
    {
        let text = format!("{PUBLIC}server.listen = \"{listen}\"\nserver.admin_listen = \"{admin}\"");
        refused(&text, "server.admin_listen");
    }
    config(&format!("{PUBLIC}server.listen = \"127.0.0.1:0\"\nserver.admin_listen = \"127.0.0.1:0\""));
}

#[test]
fn durations_rates_zones_and_names_are_checked_with_their_key() {
    let text = "time_zone = \"Asia/Shanghi\"\nserver.start_rate = \"fast\"\nserver.bad_code_rate = \"30/day\"\n\
                session.ttl = \"12 hours\"\nsession.idle = \"0s\"\ngate.stale_after = \"-1s\"\ngate.recheck = \"0s\"\n\
                gate.groups = \"path\"\ngate.default = \"allow\"\nlog.level = \"inof\"\nlog.format = \"yaml\"\n\
                directory.max_removals = \"many\"\ndirectory.purge_left_after = \"ever\"\ndirectory.link_by = [\"phone\"]\n\
                data_dir = \"\"\ndatabase.url = \"mysql://x\"\nserver.listen = \"8080\"\npages.logo_file = \"logo.gif\"\n\
                wecom.corp_id = \"w w\"\nwecom.agent_id = 0\nwecom.api_address = \"qyapi\"\nwecom.proxy = \"proxy:3128\"\n\
                wecom.verify_files = [\"verify.txt\"]\nwecom.sync_cron = \"*/5 * * * *\"\n\
                wecom.force_sync_cron = \"0 0 0 30 2 ?\"\n";
    let found = errors(text);
    assert_eq!(found.len(), text.lines().count(), "{found:#?}");
    for (line, written) in text.lines().enumerate() {
        let key = written.split(" = ").next().unwrap();
        let place = format!("{key} (gongpai.toml:{}): ", line + 1);
        assert!(found.iter().any(|f| f.starts_with(&place)), "{place}\n{found:#?}");
    }
    assert!(found.iter().any(|f| f.contains("\"Asia/Shanghai\"")));
    assert!(found.iter().any(|f| f.contains("did you mean \"paths\"?")));
}

#[test]
fn good_names_are_understood() {
    let text = "gate.groups = \"ids\"\ngate.default = \"deny\"\nlog.format = \"json\"\nlog.level = \"gongpai=debug,info\"\n\
                gate.stale_after = \"0s\"";
    let config = config(text);
    assert_eq!((config.gate.groups, config.gate.default), (GroupFormat::Ids, DefaultRule::Deny));
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(config.gate.stale_after.is_zero());
}

#[test]
fn an_idle_limit_beyond_ttl_is_a_warning() {
    assert_eq!(warnings("session.idle = \"13h\"", "session.idle").len(), 1);
    assert!(warnings("session.idle = \"12h\"", "session.idle").is_empty());
}

#[test]
fn addresses_lose_their_slash_keep_their_path_and_http_is_a_warning() {
    let text = "wecom.api_address = \"http://wecom.intra.example.com/api/\"";
    assert_eq!(config(text).wecom.api_address.as_str(), "http://wecom.intra.example.com/api");
    assert_eq!(warnings(text, "wecom.api_address").len(), 1);
    assert!(warnings("wecom.api_address = \"http://127.0.0.1:9\"", "wecom.api_address").is_empty());
    for bad in ["https://a.example.com/?x=1", "https://u:p@a.example.com", "ftp://a.example.com"] {
        error(&format!("wecom.api_address = \"{bad}\""));
    }
}

#[test]
fn what_is_missing_for_a_sign_in_is_a_warning_that_says_where_to_find_it() {
    let told = warnings("", "wecom.corp_id");
    for part in ["wecom.corp_id", "wecom.agent_id", "wecom.app_secret", "企业ID", "AgentId", "Secret"] {
        assert!(told[0].contains(part), "{told:?}");
    }
    let told = warnings("[wecom]\ncorp_id = \"ww1\"\nagent_id = \"1000002\"", "wecom.app_secret");
    assert!(!told[0].contains("wecom.corp_id"), "{told:?}");
    let (_, all) = load("[wecom]\ncorp_id = \"ww1\"\nagent_id = 1\napp_secret = \"s\"", &[]).unwrap();
    assert!(all.is_empty(), "{all:?}");
}

#[test]
fn a_callback_needs_both_values_and_1_means_not_set_up() {
    let with = |token: &str, key: &str| {
        format!("[wecom.app_callback]\ntoken = \"{token}\"\nencoding_aes_key = \"{key}\"")
    };
    let key = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    assert!(config(&with("QDG6eK", key)).wecom.app_callback.is_some());
    for (token, aes) in [("", ""), ("1", "1"), ("1", key), ("QDG6eK", "1")] {
        assert!(config(&with(token, aes)).wecom.app_callback.is_none(), "{token} {aes}");
    }
    refused(&with("QDG6eK", "short"), "wecom.app_callback.encoding_aes_key");
    refused(&with("not a token", key), "wecom.app_callback.token");
}

#[test]
fn the_settings_of_the_directory_are_understood() {
    let text = "[wecom]\nsync_cron = \"0 0 4 * * ?\"\nforce_sync_cron = \"\"\n[directory]\n\
                link_by = [\"mobile\", \"userid\", \"mobile\"]\nmax_removals = \"2.5%\"\npurge_left_after = \"1d\"\n";
    let config = config(text);
    assert_eq!(config.wecom.sync_cron.unwrap().as_str(), "0 0 4 * * ?");
    assert!(config.wecom.force_sync_cron.is_none(), "\"\" is never");
    assert_eq!(config.directory.link_by, [LinkField::Mobile, LinkField::Userid]);
    assert_eq!(config.directory.max_removals, 250);
    assert_eq!(config.directory.purge_left_after.as_secs(), 86_400);
}

#[test]
fn what_is_not_in_this_version_is_accepted_with_a_warning_when_it_is_set() {
    let text = "[wecom.app_callback]\ntoken = \"abc\"\n\
                previous_token = \"old\"\n\
                [o2oa]\nwork_url = \"https://oa.example.com/x_desktop/\"\nmessage_redirect_portal = \"p\"\n\
                [[webhooks]]\nid = \"oa\"\nurl = \"https://oa.example.com/hook\"\nevents = [\"message.sent\"]\n";
    let (_, all) = load(text, &[]).unwrap();
    let later: Vec<_> =
        all.iter().filter(|w| w.message.starts_with("not in this version")).map(|w| &w.key).collect();
    assert_eq!(later.len(), 5, "{later:?}");
    let (_, same) = load("[o2oa]\nmessage_redirect_portal = \"p\"", &[]).unwrap();
    assert_eq!(same.iter().filter(|w| w.message.starts_with("not in this version")).count(), 1, "{same:?}");
    let (_, none) = load("[wecom.app_callback]\ntoken = \"\"", &[]).unwrap();
    assert!(none.iter().all(|w| !w.message.contains("not in this version")), "{none:?}");
}

#[test]
fn rules_keep_their_text_and_elements_that_match_nobody_are_told() {
    let text = "[[rules]]\nhost = \"*.example.com:8443\"\npath = \"/admin/**\"\nmethods = [\"GET\", \"M-SEARCH\"]\n\
                allow = [\"members\", \"user:zhangsan\", \"unit:财务部/**\", \"tag:x\", \"leader:x\", \"membres\", \"tag:\"]\n\
                [[rules]]\nhost = \"b.example.com\"\nallow = []\n";
    let rules = config(text).rules;
    assert_eq!((rules[0].path.as_str(), rules[0].allow.len()), ("/admin/**", 7));
    assert_eq!((rules[1].path.as_str(), rules[1].methods.as_slice()), ("", ["*".to_owned()].as_slice()));
    let told = warnings(text, "rules[1].allow");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("\"membres\" is unknown") && told[0].contains("\"members\""), "{told:?}");
    assert!(told[1].contains("\"tag:\" names nothing"), "{told:?}");
}

#[test]
fn a_rule_of_another_shape_is_refused() {
    for (rule, field) in [
        ("allow = []", "host"),
        ("host = \"https://a.example.com\"\nallow = []", "host"),
        ("host = \"a.example.com\"\npath = \"admin\"\nallow = []", "path"),
        ("host = \"a.example.com\"\nmethods = [\"get\"]\nallow = []", "methods"),
        ("host = \"a.example.com\"\nmethods = []\nallow = []", "methods"),
        ("host = \"a.example.com\"", "allow"),
    ] {
        refused(&format!("[[rules]]\n{rule}"), &format!("rules[1].{field}"));
    }
}

#[test]
fn api_clients_have_a_name_a_hash_and_known_scopes() {
    let hash = format!("sha256:{}", "ab".repeat(32));
    let client = |id: &str, hash: &str, scopes: &str| {
        format!("[[api_clients]]\nid = \"{id}\"\nsecret_hash = \"{hash}\"\nscopes = {scopes}\n")
    };
    let good = config(&client("oa", &hash, r#"["sessions", "messages"]"#));
    assert_eq!(good.api_clients[0].scopes, [Scope::Sessions, Scope::Messages]);
    assert_eq!(warnings(&client("oa", &hash, r#"["hook"]"#), "api_clients[1].scopes").len(), 1);
    assert_eq!(warnings(&client("oa", &hash, r#"["hook", "sessions"]"#), "api_clients[1].scopes").len(), 2);
    for (id, hash, scopes, field) in [
        ("", hash.as_str(), r#"["sessions"]"#, "id"),
        ("a:b", &hash, r#"["sessions"]"#, "id"),
        ("oa", "", r#"["sessions"]"#, "secret_hash"),
        ("oa", &"ab".repeat(32), r#"["sessions"]"#, "secret_hash"),
        ("oa", "sha256:abcd", r#"["sessions"]"#, "secret_hash"),
        ("oa", &hash, r#"["session"]"#, "scopes"),
        ("oa", &hash, "[]", "scopes"),
    ] {
        refused(&client(id, hash, scopes), &format!("api_clients[1].{field}"));
    }
    assert!(refused(&client("oa", &hash, r#"["session"]"#), "api_clients").contains("\"directory:read\""));
    let twice = client("oa", &hash, r#"["sessions"]"#).repeat(2);
    assert!(refused(&twice, "api_clients[2].id").contains("used twice"));
}

#[test]
fn the_logo_must_be_there_and_be_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let logo = dir.path().join("logo.PNG");
    let text = format!("pages.logo_file = {:?}", logo.display().to_string());
    assert!(error(&text).contains("No such file"));
    std::fs::write(&logo, "x").unwrap();
    assert_eq!(config(&text).pages.logo_file, Some(logo));
}
