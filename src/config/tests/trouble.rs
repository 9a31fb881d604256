//! Files as people have them, and what is said about those that cannot be read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use secrecy::ExposeSecret as _;

use super::{config, errors, load, sources, warnings};
use crate::config::{Config, ConfigReading, ConfigSources, ConfigWarning};

/// Returns the path of a case of `tests/data/cases/qiyeweixin`.
fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases/qiyeweixin").join(format!("{name}.json"))
}

fn qiyeweixin_sources(path: PathBuf) -> ConfigSources {
    ConfigSources { qiyeweixin: Some(path), ..sources("", &[]) }
}

fn load_case(name: &str) -> (Config, Vec<ConfigWarning>) {
    Config::load(&qiyeweixin_sources(case(name))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn a_file_that_o2oa_reads_is_read_however_it_is_spelt_and_saved() {
    for name in [
        "blockcomment",
        "hashcomment",
        "linecomment",
        "o2comment",
        "o2comment_gbk",
        "semicolon",
        "singlequote",
        "tabraw",
        "trailingcomma",
        "unquoted",
        "utf16",
    ] {
        let (config, told) = load_case(name);
        let wecom = config.wecom;
        assert!(wecom.enable && wecom.message_enable, "{name}");
        assert_eq!((wecom.corp_id.as_str(), wecom.agent_id), ("ww0123456789abcdef", 1_000_002), "{name}");
        let secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        assert_eq!(wecom.app_secret.unwrap().expose_secret(), secret, "{name}");
        assert_eq!(wecom.sync_cron.unwrap().as_str(), "10 0/10 * * * ?", "{name}");
        assert!(wecom.contacts_callback.is_none(), "{name}");
        let keys: Vec<_> = told.iter().map(|warning| warning.key.as_str()).collect();
        match name {
            "o2comment_gbk" | "utf16" => {
                assert_eq!(keys, ["wecom.qiyeweixin", "wecom.corp_secret"], "{name}");
                let encoding = if name == "utf16" { "UTF-16" } else { "GBK" };
                let said = &told[0].message;
                assert!(said.contains(encoding) && said.contains("Save it as UTF-8"), "{said}");
            }
            _ => assert_eq!(keys, ["wecom.corp_secret"], "{name}"),
        }
    }
}

/// Writes a file into a temporary folder and returns the only finding about it.
fn unreadable_finding(name: &str, bytes: &[u8], as_sources: fn(PathBuf) -> ConfigSources) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    only_finding(&as_sources(path))
}

/// Returns the only finding: there is no warning, nothing was read, and no second finding.
fn only_finding(sources: &ConfigSources) -> String {
    let reading = ConfigReading::from_sources(sources);
    assert!(reading.warnings.is_empty() && reading.read.is_empty(), "{reading:?}");
    let mut findings = reading.outcome.expect_err("it cannot be read").findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = findings.remove(0);

    let mut out = Vec::new();
    assert!(!crate::cli::config::check_config(sources, &mut out).unwrap());
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, format!("error       {finding}\nnot accepted: 1 error\n"));
    assert!(!out.contains("S3CRET"), "{out}");
    finding
}

fn file_sources(path: PathBuf) -> ConfigSources {
    let environment = vec![("GONGPAI_WECOM__APP_SECRET".to_owned(), "S3CRET with a blank".to_owned())];
    ConfigSources { file: Some(path), environment, ..ConfigSources::default() }
}

#[test]
fn a_file_that_cannot_be_read_is_the_one_thing_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert!(only_finding(&file_sources(dir.path().to_owned())).contains(": cannot be read: Is a directory"));
    let missing = only_finding(&file_sources(dir.path().join("missing.toml")));
    assert!(missing.contains("missing.toml: cannot be read: No such file"), "{missing}");
    for (bytes, parts) in [
        (
            &b"data_dir = \"x\"\n[pages]\ntitle = \"\xc6\xf3\xd2\xb5\"\n"[..],
            &["line 3: is not UTF-8", "GBK"][..],
        ),
        (b"\xff\xfed\0a\0t\0a\0", &["line 1: is not UTF-8", "UTF-16"]),
        (b"a = 1\n\n\xff\xff\xff", &["line 3: is not UTF-8"]),
        (b"[wecom]\napp_secret = S3CRET\ncorp_id = S3CRET\n", &["line 2, column 14"]),
    ] {
        let finding = unreadable_finding("gongpai.toml", bytes, file_sources);
        assert!(parts.iter().all(|part| finding.contains(part)), "{finding}");
    }

    assert!(
        only_finding(&qiyeweixin_sources(dir.path().to_owned())).contains("cannot be read: Is a directory")
    );
    for (bytes, part) in [
        (&b"{\n\"corpSecret\": \"S3CRET\"\n\"agentId\": 1}"[..], "line 2: behind a value a comma is missing"),
        (b"{\n\"corpSecret\": \"S3CRET,\n\"agentId\": 1}", "line 3: "),
        (b"[\"S3CRET\"]", "must be a JSON object"),
        (b"{\n\"corpSecret\": \"S3CRET\xff\xff\"}", "line 2: is neither UTF-8 nor GBK"),
    ] {
        let finding = unreadable_finding("qiyeweixin.json", bytes, qiyeweixin_sources);
        assert!(
            finding.contains("qiyeweixin.json (wecom.qiyeweixin)") && finding.contains(part),
            "{finding}"
        );
    }
}

const VALID_CONFIG: &str = "[wecom]\ncorp_id = \"ww1\"\nagent_id = 1\n";

#[test]
fn what_was_copied_along_with_a_secret_is_a_warning_that_names_the_character_and_not_the_secret() {
    for (secret, named) in [
        (r#""\"S3CRET\"""#, "U+0022 QUOTATION MARK at position 1 of 8"),
        (r#""S3CRET S3CRET""#, "U+0020 SPACE at position 7 of 13"),
        (r#""S3CRET\nS3CRET""#, "U+000A LINE FEED (a line break) at position 7 of 13"),
        (r#""S3CRET\u200b""#, "U+200B ZERO WIDTH SPACE at position 7 of 7"),
        (r#""\uFEFFS3CRET""#, "U+FEFF ZERO WIDTH NO-BREAK SPACE (byte order mark) at position 1 of 7"),
        ("\"“S3CRET”\"", "U+201C LEFT DOUBLE QUOTATION MARK at position 1 of 8"),
        ("\"S3CRET１\"", "U+FF11 FULLWIDTH 1 at position 7 of 7"),
        ("\"「请填写」\"", "the words of a template"),
    ] {
        for key in ["app_secret", "contacts_secret", "corp_secret"] {
            let text = format!("{VALID_CONFIG}{key} = {secret}");
            let (_, all) = load(&text, &[]).unwrap();
            let about: Vec<_> = all.iter().filter(|warning| warning.message.contains(named)).collect();
            assert_eq!(about.len(), 1, "{key} {secret}: {all:#?}");
            assert_eq!(about[0].key, format!("wecom.{key}"));
            assert!(about[0].message.contains("gongpai.toml:4"), "{all:#?}");
            assert!(all.iter().all(|warning| !warning.message.contains("S3CRET")), "{all:#?}");
        }
    }
    let quoted = [("GONGPAI_WECOM__APP_SECRET", "'S3CRET'")];
    let (_, all) = load(VALID_CONFIG, &quoted).unwrap();
    assert!(all[0].message.contains("APOSTROPHE") && all[0].message.contains("GONGPAI_WECOM__APP_SECRET"));
    assert!(warnings(&format!("{VALID_CONFIG}app_secret = \"S3CRET\""), "wecom.app_secret").is_empty());

    let url = "server.secret = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\ndatabase.url = \"postgres://g:p@db/g\\u200b\"";
    assert!(warnings(url, "database.url")[0].contains("U+200B"));
}

#[test]
fn what_was_copied_along_with_anything_that_is_refused_for_it_is_named_too() {
    for (text, key, named) in [
        ("[wecom]\ncorp_id = \"ww\\u200b1\"", "wecom.corp_id", "U+200B"),
        ("[wecom]\nagent_id = \"１０００００２\"", "wecom.agent_id", "U+FF11"),
        (
            "[wecom.app_callback]\ntoken = \"a b\"\nencoding_aes_key = \"x“\"",
            "wecom.app_callback.token",
            "U+0020 SPACE",
        ),
        (
            "[wecom.app_callback]\ntoken = \"a b\"\nencoding_aes_key = \"x“\"",
            "wecom.app_callback.encoding_aes_key",
            "U+201C",
        ),
        ("[server]\nsecret = \"AAAA\\u200b\"", "server.secret", "U+200B"),
    ] {
        let found = errors(text);
        assert!(found.iter().any(|f| f.starts_with(key) && f.contains(named)), "{found:#?}");
    }
}

#[test]
fn white_space_and_marks_around_the_secret_of_a_file_do_not_count_and_what_is_inside_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app");
    let loaded = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        // Otherwise there would be a warning about its mode too.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (config, all) =
            load(&format!("{VALID_CONFIG}app_secret_file = {:?}", path.display().to_string()), &[]).unwrap();
        let messages: Vec<_> = all.into_iter().map(|warning| warning.message).collect();
        (config.wecom.app_secret.unwrap().expose_secret().to_owned(), messages.join("\n"))
    };
    assert_eq!(loaded(b" S3CRET \r\n\n"), ("S3CRET".to_owned(), String::new()));
    let (secret, told) = loaded(b"\xef\xbb\xbfS3CRET\r\n");
    assert!(secret == "S3CRET" && told.contains("U+FEFF") && told.contains("does not count"), "{told}");
    let (secret, told) = loaded(b"\xff\xfeS\x003\0\n\0");
    assert!(secret == "S3" && told.contains("UTF-16"), "{told}");
    let (secret, told) = loaded(b"S3CRET\nS3CRET\n");
    assert!(secret == "S3CRET\nS3CRET" && told.contains("LINE FEED") && !told.contains("S3CRET"), "{told}");
}

#[test]
fn an_address_that_was_copied_with_the_path_behind_it_says_what_to_write() {
    for (key, address, write) in [
        ("api_address", "https://qyapi.weixin.qq.com/cgi-bin", "\"https://qyapi.weixin.qq.com\""),
        (
            "api_address",
            "https://qyapi.weixin.qq.com/cgi-bin/gettoken?x=1",
            "\"https://qyapi.weixin.qq.com\"",
        ),
        ("api_address", "https://wecom.example.com/api/cgi-bin/", "\"https://wecom.example.com/api\""),
        (
            "oauth2_address",
            "https://open.weixin.qq.com/connect/oauth2/authorize",
            "\"https://open.weixin.qq.com\"",
        ),
        (
            "qr_connect_address",
            "https://login.work.weixin.qq.com/wwlogin/sso/login",
            "\"https://login.work.weixin.qq.com\"",
        ),
    ] {
        let found = errors(&format!("wecom.{key} = \"{address}\""));
        assert!(
            found.len() == 1 && found[0].contains("must be without /") && found[0].contains(write),
            "{found:?}"
        );
    }
    config("wecom.api_address = \"https://wecom.example.com/cgi-binary\"");
}

#[test]
fn a_time_zone_that_people_say_is_answered_with_the_one_to_write() {
    for text in ["Asia/Beijing", "GMT+8", "UTC+8", "CST", "China Standard Time", "北京"] {
        let found = errors(&format!("time_zone = \"{text}\""));
        let want = "time_zone (gongpai.toml:1): must be a zone of the IANA database; write \"Asia/Shanghai\"";
        assert_eq!(found, [want]);
    }
    let told = warnings("time_zone = \"Etc/GMT+8\"", "time_zone");
    assert!(told[0].contains("west") && told[0].contains("Asia/Shanghai"), "{told:?}");
    assert!(warnings("time_zone = \"Asia/Shanghai\"", "time_zone").is_empty());
}
