//! The commands as an administrator runs them: the real program, its output, its exit code.

use std::time::Duration;

use gongpai::simulator::{InjectedFault, RunningSimulator, Simulator};
use gongpai::testing::app::App;
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::id::UserId;
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::directory::store::find_person_by_userid;
use gongpai::testing::doctor::{DoctorFinding, DoctorSubject, FindingLevel, examine};
use serde_json::Value;

use crate::support::app::{PUBLIC_URL, TestApp, configuration};
use crate::support::browser::{Browser, BrowserRequest, DESKTOP};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::planted_rows::{ConflictFixture, insert_binding, refuse_runs_as_killed};
use crate::support::process::{FinishedProgram, Program};
use crate::support::serve::ServeProcess;

/// Every secret of these tests contains it, so that a leak is easy to find.
const SECRET_MARK: &str = "S3CRET";

/// An installation on disk: `gongpai.toml` in a folder of its own.
struct Installation {
    wecom: RunningSimulator,
    database: TestDatabase,
    folder: tempfile::TempDir,
    config: String,
}

impl Installation {
    /// Creates one with the usual configuration and `more`.
    async fn with(more: &str) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        wecom.change(|world| {
            world.app.secret = format!("{SECRET_MARK}-app");
            world.contacts.secret = format!("{SECRET_MARK}-contacts");
        });
        let database = TestDatabase::create().await;
        let config = configuration(&wecom, &database, more);
        let installation = Self { wecom, database, folder: tempfile::tempdir().expect("a folder"), config };
        installation.write(&installation.config);
        installation
    }

    fn write(&self, config: &str) {
        std::fs::write(self.folder.path().join("gongpai.toml"), config).expect("a configuration");
    }

    /// Writes the configuration with one text replaced.
    fn replace(&self, from: &str, to: &str) {
        assert!(self.config.contains(from), "{from}");
        self.write(&self.config.replace(from, to));
    }

    /// Loads the configuration as the gateway does.
    fn load_config(&self) -> Config {
        let sources = ConfigSources { text: Some(self.config.clone()), ..ConfigSources::default() };
        Config::load(&sources).expect("accepted").0
    }

    /// Creates the database as `serve` does at its first start.
    async fn create_database(&self) {
        let (app, _) = App::build(self.load_config(), Clock::System).await.expect("the gateway starts");
        app.close().await;
    }

    fn program(&self, args: &[&str]) -> Program {
        Program::gongpai().cwd(self.folder.path()).args(args)
    }

    /// Runs a command. Nothing that it prints may be secret.
    async fn run(&self, args: &[&str]) -> FinishedProgram {
        let finished = self.program(args).run().await;
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains(SECRET_MARK), "{args:?} prints a secret:\n{text}");
        }
        finished
    }

    /// Runs the doctor; returns its exit code and its report.
    async fn doctor(&self) -> (Option<i32>, Value) {
        let finished = self.run(&["doctor", "--json"]).await;
        assert_eq!(finished.stderr, "", "no noise where there is no terminal");
        let report =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {}", finished.stdout));
        (finished.code(), report)
    }
}

/// Returns the finding with that id.
fn find_finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|f| f["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

fn broken_ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter(|f| f["level"] == "broken").filter_map(|f| f["id"].as_str()).collect()
}

#[tokio::test]
async fn every_command_has_help_with_an_example_and_nothing_unbuilt_is_listed() {
    let help = async |args: &[&str]| {
        let finished = Program::gongpai().args(args).arg("--help").run().await;
        assert_eq!(finished.code(), Some(0), "{args:?}");
        assert!(finished.stdout.contains("Example"), "{args:?}:\n{}", finished.stdout);
        assert!(finished.stdout.contains("--config <FILE>"), "{args:?}:\n{}", finished.stdout);
        finished.stdout
    };
    let all = help(&[]).await;
    for args in [
        &["serve"][..],
        &["sync"],
        &["doctor"],
        &["docs"],
        &["config"],
        &["config", "check"],
        &["config", "show"],
        &["explain"],
        &["snippet"],
        &["snippet", "nginx"],
        &["snippet", "workbench"],
        &["sessions"],
        &["sessions", "list"],
        &["sessions", "revoke"],
        &["audit"],
        &["api-client"],
        &["api-client", "add"],
        &["key"],
        &["key", "rotate"],
        &["directory"],
        &["directory", "import"],
        &["directory", "export"],
        &["directory", "conflicts"],
        &["directory", "conflicts", "list"],
        &["directory", "conflicts", "resolve"],
        &["rules"],
        &["rules", "accept"],
        &["send"],
        &["messages"],
        &["messages", "list"],
        &["messages", "show"],
        &["messages", "retry"],
        &["messages", "bury"],
        &["messages", "recall"],
        &["messages", "resume"],
    ] {
        assert!(all.contains(&format!("  {} ", args[0])), "{}", args[0]);
        help(args).await;
    }
    assert!(!all.contains("  backup "), "it is listed:\n{all}");
    let version = Program::gongpai().arg("--version").run().await;
    assert_eq!(version.stdout, format!("gongpai {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_command_called_wrong_ends_with_2() {
    let installation = Installation::with("").await;
    for args in [
        &[][..],
        &["send"],
        &["sync", "--soon"],
        &["serve", "--port", "1"],
        &["sessions", "revoke"],
        &["sessions", "revoke", "--all", "--user", "lisi"],
        &["audit", "--since", "yesterday"],
        &["api-client", "add", "bad id", "--scopes", "sessions"],
        &["api-client", "add", "hr", "--scopes", "everything"],
        &["api-client", "add", "hr", "--scopes", "hook,sessions"],
        &["snippet", "workbench", "--rd", "https://evil.example/"],
        &["snippet", "nginx", "--host", "a b", "--upstream", "http://127.0.0.1:1", "--listen", "443"],
    ] {
        let finished = installation.run(args).await;
        assert_eq!(finished.code(), Some(2), "{args:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{args:?}");
        assert!(!finished.stderr.is_empty(), "{args:?}");
    }
    let unknown = installation.run(&["api-client", "add", "hr", "--scopes", "everything"]).await;
    assert!(unknown.stderr.contains("directory:read, directory:write, sessions, hook"), "{}", unknown.stderr);
}

#[tokio::test]
async fn a_configuration_that_is_not_accepted_ends_every_command_with_1_and_is_named() {
    let installation = Installation::with("").await;
    installation.write("wecom.app_secrte = \"S3CRET\"\nserver.secret = \"S3CRET\"\ndatabase.url = \"postgres://u:S3CRET@\"\n");
    for args in [
        &["serve"][..],
        &["doctor"],
        &["config", "check"],
        &["config", "show"],
        &["explain", "--user", "a", "--url", "https://oa.example.com/"],
        &["snippet", "workbench"],
        &["sessions", "list"],
        &["audit"],
        &["api-client", "add", "hr", "--scopes", "sessions"],
        &["key", "rotate"],
    ] {
        let finished = installation.run(args).await;
        assert_eq!(finished.code(), Some(1), "{args:?}");
        let text = finished.stdout + &finished.stderr;
        assert!(text.contains("wecom.app_secrte") && text.contains("wecom.app_secret"), "{args:?}: {text}");
    }
    let finished = installation.run(&["config", "check", "--config", "elsewhere.toml"]).await;
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stdout.contains("elsewhere.toml"), "{}", finished.stdout);
}

#[tokio::test]
async fn before_the_first_start_a_command_that_only_reads_says_that_there_is_nothing_yet() {
    let installation = Installation::with("").await;
    for args in [
        &["sessions", "list"][..],
        &["sessions", "revoke", "--all"],
        &["audit"],
        &["key", "rotate"],
        &["messages", "list"],
        &["directory", "conflicts", "list"],
        &["directory", "export", "-"],
        &["rules", "accept"],
    ] {
        let finished = installation.run(args).await;
        assert_eq!(finished.code(), Some(1), "{args:?}");
        for part in ["there is nothing here yet", "`gongpai serve` makes", "`gongpai sync`"] {
            assert!(finished.stderr.contains(part), "{args:?}: {}", finished.stderr);
        }
    }
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    let left: Vec<_> = std::fs::read_dir(installation.database.data_dir()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn before_the_first_start_a_command_that_writes_makes_the_database() {
    for args in [
        &["sync"][..],
        &["send", "--to", "zhangsan", "--text", "早上好"],
        &["directory", "import", "people.csv"],
    ] {
        let installation = Installation::with("").await;
        if installation.config.contains("url = \"\"") {
            // On SQLite the server's secret is created by `serve`; these commands seal nothing with
            // it.
            let secret =
                toml::from_str::<toml::Table>(&installation.config).expect("TOML")["server"]["secret"]
                    .to_string();
            installation.replace(&format!("secret = {secret}\n"), "");
        }
        let csv = "userid,name\nlocal,本地\n";
        std::fs::write(installation.folder.path().join("people.csv"), csv).expect("a file");
        let finished = installation.run(args).await;
        let said = finished.stdout.clone() + &finished.stderr;
        assert_eq!(finished.code(), Some(0), "{args:?}: {said}");
        assert!(finished.stderr.contains("made"), "{args:?}: {said}");
        let (code, report) = installation.doctor().await;
        assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{args:?}: {report:#}");
        assert!(
            has_finding(&report, "database.ok") && !has_finding(&report, "root_secret.missing"),
            "{report:#}"
        );
    }
}

#[tokio::test]
async fn the_doctor_says_what_was_copied_along_before_it_advises_a_reset() {
    let installation = Installation::with("").await;
    installation.replace(&format!("{SECRET_MARK}-app\""), &format!("{SECRET_MARK}-app\\u200b\""));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.secret_copied_along", "wecom.refused"]));
    let found = find_finding(&report, "wecom.secret_copied_along");
    for (part, language) in [("what", "zh"), ("what", "en")] {
        let said = found[part][language].as_str().unwrap();
        assert!(
            said.contains("U+200B") && said.contains("wecom.app_secret") && !said.contains(SECRET_MARK),
            "{said}"
        );
    }

    installation.replace("[wecom]", &format!("[wecom]\ncontacts_secret = \"“{SECRET_MARK}-contacts”\""));
    let (_, report) = installation.doctor().await;
    let places: Vec<_> = broken_ids(&report);
    assert_eq!(places, ["wecom.secret_copied_along", "wecom.contacts_secret_refused"]);
}

#[tokio::test]
async fn a_healthy_installation_has_nothing_broken() {
    let installation = Installation::with("").await;
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "before the first start: {report:#}");
    installation.create_database().await;
    let calls = installation.wecom.calls("gettoken");
    let (code, report) = installation.doctor().await;
    assert_eq!(
        (code, &report["ok"], broken_ids(&report)),
        (Some(0), &Value::Bool(true), vec![]),
        "{report:#}"
    );
    for id in ["config.accepted", "rules.ok", "database.ok", "root_secret.ok", "wecom.app_secret", "clock.ok"]
    {
        assert_eq!(find_finding(&report, id)["level"], "ok", "{id}");
    }
    let domains = find_finding(&report, "domains.compare");
    assert!(domains["remedy"]["en"].as_str().unwrap().contains("oa.example.com"), "{domains:#}");
    assert_eq!(installation.wecom.calls("gettoken") - calls, 1, "one gettoken a secret");

    let people = installation.run(&["doctor"]).await;
    assert_eq!(people.code(), Some(0));
    assert!(people.stdout.contains("ok      database.ok"), "{}", people.stdout);
    assert!(people.stdout.lines().last().unwrap().contains("0 broken"), "{}", people.stdout);
}

#[tokio::test]
async fn the_doctor_tells_a_contacts_secret_in_the_place_of_the_applications() {
    let installation = Installation::with("").await;
    installation.replace(
        &format!("app_secret = \"{SECRET_MARK}-app\""),
        &format!("app_secret = \"{SECRET_MARK}-contacts\""),
    );
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.app_secret_is_contacts"]));
    let found = find_finding(&report, "wecom.app_secret_is_contacts");
    assert_eq!(found["console"], "「应用管理 → 应用 → Secret」");
    assert!(found["what"]["en"].as_str().unwrap().contains("cannot sign anyone in"));
    assert!(found["what"]["zh"].as_str().unwrap().contains("不能用于登录"));

    // O2OA's single secret, as its documentation sets it.
    let single = format!("corp_secret = \"{SECRET_MARK}-contacts\"");
    installation.replace(&format!("app_secret = \"{SECRET_MARK}-app\""), &single);
    let calls = installation.wecom.calls("gettoken");
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.single_secret_is_contacts"]));
    assert_eq!(
        installation.wecom.calls("gettoken") - calls,
        1,
        "one gettoken a secret, whatever it stands for"
    );

    let swapped = format!("app_secret = \"{SECRET_MARK}-app\"\ncontacts_secret = \"{SECRET_MARK}-app2\"");
    installation.wecom.change(|world| {
        let mut other = world.app.clone();
        (other.agent_id, other.secret) = (1_000_003, format!("{SECRET_MARK}-app2"));
        world.more_apps.push(other);
    });
    installation.replace(&format!("app_secret = \"{SECRET_MARK}-app\""), &swapped);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]));
    assert_eq!(find_finding(&report, "wecom.contacts_secret_is_app")["level"], "warn");
}

#[tokio::test]
async fn the_doctor_explains_what_wecom_refuses() {
    let installation = Installation::with("").await;
    installation.replace(&format!("{SECRET_MARK}-app"), &format!("{SECRET_MARK}-wrong"));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.refused"]));
    let found = find_finding(&report, "wecom.refused");
    assert!(found["why"]["en"].as_str().unwrap().contains("40001"), "{found:#}");
    assert_eq!(found["console"], "「应用管理 → 应用 → Secret」");
    assert_eq!(installation.wecom.calls("gettoken"), 1, "a wrong secret is asked about once");

    installation.replace("corp_id = \"ww", "corp_id = \"wwx");
    let (_, report) = installation.doctor().await;
    assert_eq!(find_finding(&report, "wecom.refused")["console"], "「我的企业 → 企业信息 → 企业ID」");

    installation.write(&installation.config);
    installation.wecom.set_trusted_ips(Some(vec!["203.0.113.9".parse().unwrap()]));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.trusted_ip"]));
    let found = find_finding(&report, "wecom.trusted_ip");
    assert_eq!(found["console"], "「应用管理 → 应用 → 企业可信IP」");
    for (part, language) in [("what", "zh"), ("remedy", "en")] {
        assert!(found[part][language].as_str().unwrap().contains("127.0.0.1"), "{found:#}");
    }

    installation.wecom.set_trusted_ips(None);
    installation.wecom.fail_always("*", InjectedFault::Status500);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.unreachable"]));
    installation.wecom.clear_faults();
    installation
        .wecom
        .fail_always("gettoken", InjectedFault::Errcode(45009, "api freq out of limit".to_owned()));
    let (code, report) = installation.doctor().await;
    assert_eq!(code, Some(0), "what passes by itself is not broken: {report:#}");
    assert_eq!(find_finding(&report, "wecom.refused")["level"], "warn");
}

#[tokio::test]
async fn the_doctor_asks_whether_the_application_may_send_and_nobody_gets_anything() {
    let installation = Installation::with("").await;
    let (_, report) = installation.doctor().await;
    assert_eq!(find_finding(&report, "messages.ok")["level"], "ok", "{report:#}");
    assert_eq!((installation.wecom.calls("message/send"), installation.wecom.sent_count()), (1, 0));

    installation.wecom.change_app(|app| app.agent_id += 1);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["messages.refused"]), "{report:#}");
    let found = find_finding(&report, "messages.refused");
    assert!(found["why"]["en"].as_str().unwrap().contains("301002"), "{found:#}");
    assert!(found["console"].as_str().unwrap().contains("应用管理"), "{found:#}");

    installation.replace("[wecom]", "[wecom]\nmessage_enable = false");
    let asked = installation.wecom.calls("message/send");
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    assert!(find_finding(&report, "messages.off")["what"]["zh"].as_str().unwrap().contains("message_enable"));
    assert_eq!(installation.wecom.calls("message/send"), asked, "nothing is asked of what is switched off");
}

#[tokio::test]
async fn the_doctor_sends_a_test_message_to_whom_it_is_told_and_says_what_became_of_it() {
    let installation = Installation::with("").await;
    let finished = installation.run(&["doctor", "--message-to", "LiSi"]).await;
    assert_eq!(finished.code(), Some(0), "{}", finished.stdout);
    assert!(finished.stdout.contains("messages.test_sent"), "{}", finished.stdout);
    let inbox = installation.wecom.inbox("lisi");
    assert_eq!(inbox.len(), 1);
    let text = inbox[0].content["content"].as_str().unwrap();
    assert!(text.contains("测试消息") && text.contains("oa.example.com"), "{text}");

    let finished = installation.run(&["doctor", "--message-to", "nobody", "--json"]).await;
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        (finished.code(), broken_ids(&report)),
        (Some(1), vec!["messages.test_invalid"]),
        "{report:#}"
    );
    for everybody in ["@all", "lisi|wangwu"] {
        let finished = installation.run(&["doctor", "--message-to", everybody]).await;
        assert_eq!(finished.code(), Some(2), "{everybody}: {}", finished.stderr);
    }
    assert_eq!(installation.wecom.sent_count(), 1);
}

#[tokio::test]
async fn the_doctor_lists_what_is_missing_and_every_mistake_of_the_configuration() {
    let installation = Installation::with("").await;
    installation.replace(&format!("app_secret = \"{SECRET_MARK}-app\"\n"), "");
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["wecom.app_secret_missing"]));

    let keys =
        "[wecom.app_callback]\ntoken = \"S3CRET\"\nencoding_aes_key = \"S3CRET-too-short\"\n[[api_clients]]";
    installation.replace("[[api_clients]]", keys);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["config.refused"]));
    let what = find_finding(&report, "config.refused")["what"]["en"].as_str().unwrap();
    assert!(what.contains("wecom.app_callback.encoding_aes_key"), "{what}");

    installation.replace("[wecom]", "[wecom]\nenable = false");
    let (code, report) = installation.doctor().await;
    assert_eq!((code, find_finding(&report, "wecom.disabled")["level"].as_str()), (Some(0), Some("warn")));
    assert_eq!(installation.wecom.calls_total(), 0, "nothing is asked of a WeCom that is switched off");

    let rule =
        "[[rules]]\nhost = \"oa.example.com\"\npath = \"/a/%2f\"\nallow = [\"members\"]\n[[api_clients]]";
    installation.replace("[[api_clients]]", rule);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["rules.refused"]), "{report:#}");
}

fn finding_text<'a>(report: &'a Value, id: &str, part: &str) -> &'a str {
    find_finding(report, id)[part]["en"].as_str().expect("a text")
}

fn has_finding(report: &Value, id: &str) -> bool {
    report["findings"].as_array().expect("findings").iter().any(|f| f["id"] == id)
}

#[tokio::test]
async fn the_doctor_says_which_way_the_directory_is_read_and_how_much_of_the_company_is_seen() {
    let installation = Installation::with("").await;
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    assert!(
        has_finding(&report, "directory.way_visible") && !has_finding(&report, "directory.way"),
        "{report:#}"
    );
    let departments = installation.wecom.world().departments.len();
    let range = finding_text(&report, "directory.range_counted", "what");
    assert!(range.contains(&format!("{departments} departments")), "{range}");

    let both = format!("app_secret = \"{SECRET_MARK}-app\"\ncontacts_secret = \"{SECRET_MARK}-contacts\"");
    installation.replace(&format!("app_secret = \"{SECRET_MARK}-app\""), &both);
    let tokens = installation.wecom.calls("gettoken");
    let (_, report) = installation.doctor().await;
    assert_eq!(installation.wecom.calls("gettoken") - tokens, 2, "one gettoken a secret");
    assert!(
        has_finding(&report, "directory.way_ids") && has_finding(&report, "directory.range_whole"),
        "{report:#}"
    );
    installation.wecom.change(|world| world.contacts.reads_details = true);
    let (_, report) = installation.doctor().await;
    assert!(
        has_finding(&report, "directory.way") && !has_finding(&report, "directory.way_ids"),
        "{report:#}"
    );

    // 财务部 alone, with its members.
    installation.wecom.set_visible([2], []);
    let (code, report) = installation.doctor().await;
    let part = finding_text(&report, "directory.range_part", "what");
    assert!(code == Some(0) && part.contains(&format!(" of {departments} departments")), "{part}");
    assert!(!part.contains(&format!(" {departments} of {departments} ")), "{part}");

    installation.wecom.set_visible([], ["lisi"]);
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["directory.range_empty"]), "{report:#}");
    assert_eq!(find_finding(&report, "directory.range_empty")["console"], "「应用管理 → 应用 → 可见范围」");
}

#[tokio::test]
async fn the_doctor_says_which_fields_show_and_what_follows_for_link_by() {
    let link = "[directory]\nlink_by = [\"mobile\", \"email\"]";
    let installation = Installation::with(link).await;
    let (code, report) = installation.doctor().await;
    let fields = finding_text(&report, "directory.fields", "what");
    let (seen, unseen) = fields.split_once("not seen").expect("both");
    assert!(seen.contains("position") && unseen.contains("mobile, email"), "{fields}");
    assert!(finding_text(&report, "directory.link_by", "what").contains("uses mobile, email"), "{report:#}");
    assert_eq!((code, &find_finding(&report, "directory.link_by")["level"]), (Some(0), &Value::from("warn")));

    installation.replace("link_by = [\"mobile\", \"email\"]", "link_by = [\"mobile\", \"userid\"]");
    let (_, report) = installation.doctor().await;
    assert_eq!(find_finding(&report, "directory.link_by")["level"], "ok", "userid is left");

    installation.wecom.change(|world| world.app.legacy_fields = true);
    let (_, report) = installation.doctor().await;
    let (seen, _) = finding_text(&report, "directory.fields", "what").split_once("not seen").expect("both");
    assert!(seen.contains("mobile") && !has_finding(&report, "directory.link_by"), "{report:#}");
}

#[tokio::test]
async fn the_doctor_looks_at_the_directory_of_a_large_company_in_few_calls() {
    let installation = Installation::with("").await;
    installation.wecom.change(|world| {
        for id in 100..400 {
            world.departments.push(gongpai::simulator::SimulatedDepartment::new(id, &format!("部门{id}"), 1));
        }
    });
    let before = installation.wecom.calls_total();
    let (_, report) = installation.doctor().await;
    assert!(finding_text(&report, "directory.range", "what").contains("departments"), "{report:#}");
    let calls = installation.wecom.calls_total() - before;
    assert!(calls <= 20, "{calls} calls");
}

#[tokio::test]
async fn the_doctor_looks_at_the_last_runs_and_at_what_waits_for_somebody() {
    let rule = "[[rules]]\nhost = \"oa.example.com\"\npath = \"/x/**\"\nallow = [\"unit:没有这个部门/**\", \"user:lisi\"]\n";
    let installation = Installation::with(rule).await;
    installation.create_database().await;
    let (code, report) = installation.doctor().await;
    assert_eq!((code, &find_finding(&report, "sync.none")["level"]), (Some(0), &Value::from("warn")));
    assert!(!has_finding(&report, "rules.unfound") && !has_finding(&report, "sync.last"), "{report:#}");

    assert_eq!(installation.run(&["sync"]).await.code(), Some(0));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    assert!(has_finding(&report, "sync.last") && has_finding(&report, "sync.complete"), "{report:#}");
    let unfound = finding_text(&report, "rules.unfound", "what");
    assert!(unfound.contains("rule 1") && unfound.contains("unit:没有这个部门/**"), "{unfound}");
    for id in ["sync.conflicts", "rules.taken", "sync.old"] {
        assert!(!has_finding(&report, id), "{report:#}");
    }

    let (app, _) = App::build(installation.load_config(), Clock::System).await.expect("the gateway starts");
    let corp = &app.config.wecom.corp_id;
    let zhangsan = find_person_by_userid(&app.db, corp, &UserId::new("zhangsan")).await;
    let person = zhangsan.expect("the database answers").expect("zhangsan").id;
    ConflictFixture::open("c1", "reused", person.as_str(), &[]).write(&app.db, corp.as_str()).await;
    insert_binding(&app.db, corp.as_str(), "lisi", person.as_str()).await;
    refuse_runs_as_killed(&app.db).await;
    app.close().await;
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    assert!(finding_text(&report, "sync.conflicts", "remedy").contains("gongpai directory conflicts list"));
    assert!(finding_text(&report, "rules.taken", "what").contains("lisi"));
    assert!(finding_text(&report, "sync.last_refused", "why").contains("ended without a word"));

    let later = Clock::fixed(Clock::System.now().plus(Duration::from_secs(49 * 3600)));
    let findings = examine_with_clock(&installation, later).await;
    assert!(findings.iter().any(|f| f.id == "sync.old" && f.level == FindingLevel::Warn), "{findings:#?}");
}

/// Runs the checks with another clock.
async fn examine_with_clock(installation: &Installation, clock: Clock) -> Vec<DoctorFinding> {
    let config = installation.load_config();
    let client = gongpai::testing::wecom::WecomClient::new((&config).into(), clock.clone());
    let client = client.map_err(|error| error.to_string());
    let unfound = |_: &Config, _| Vec::new();
    examine(
        &DoctorSubject {
            config,
            client,
            clock,
            rule_check: Ok(Vec::new()),
            find_unmatched: unfound,
            message_to: None,
        },
        &mut |_| {},
    )
    .await
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_against_wecom_and_against_the_rows() {
    let installation = Installation::with("").await;
    installation.create_database().await;
    let now = Clock::System.now();
    let level = |findings: &[DoctorFinding], id: &str| findings.iter().find(|f| f.id == id).map(|f| f.level);

    let ahead = examine_with_clock(&installation, Clock::fixed(now.plus(Duration::from_secs(600)))).await;
    assert_eq!(level(&ahead, "clock.off"), Some(FindingLevel::Broken), "{ahead:#?}");
    assert_eq!(level(&ahead, "clock.behind_rows"), None);

    let config = installation.load_config();
    let db = gongpai::testing::db::Db::open(config.database.location()).await.unwrap();
    let entry = gongpai::testing::audit::AuditEntry {
        event: gongpai::testing::audit::AuditEvent::Gate,
        actor: gongpai::testing::audit::Actor::System,
        person: None,
        userid: "lisi".to_owned(),
        address: None,
        host: String::new(),
        decision: gongpai::testing::audit::AuditDecision::Refused,
        detail: String::new(),
        request_id: String::new(),
    };
    let later = now.plus(Duration::from_secs(600));
    gongpai::testing::audit::store::insert_entries(&db, &config.wecom.corp_id, &[entry], later)
        .await
        .unwrap();
    db.close().await;
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["clock.behind_rows"]));
    assert_eq!(find_finding(&report, "clock.ok")["level"], "ok");
}

#[tokio::test]
async fn the_domain_file_is_looked_at_as_wecom_gets_it() {
    let installation = Installation::with("").await;
    let mut gateway = installation
        .program(&["serve"])
        .env("GONGPAI_SERVER__LISTEN", "127.0.0.1:0")
        .env("GONGPAI_SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .start();
    let line = gateway.line_with("gongpai listens on").await;
    let address = line.split_whitespace().nth(3).expect("an address").to_owned();
    std::fs::write(installation.database.data_dir().join("WW_verify_AbCdEf0123456789.txt"), "").unwrap();
    std::fs::write(installation.database.data_dir().join("WW_verify_AbCdEf0123456789(1).txt"), "").unwrap();
    installation.replace(&format!("{PUBLIC_URL:?}"), &format!("\"http://{address}\""));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(0), vec![]), "{report:#}");
    for (id, level) in [("public_url.ok", "ok"), ("verify_file.ok", "ok"), ("verify_file.name", "warn")] {
        assert_eq!(find_finding(&report, id)["level"], level, "{id}");
    }
    // A server that is not the gateway.
    let elsewhere = installation.wecom.url();
    installation.replace(&format!("{PUBLIC_URL:?}"), &format!("{:?}", elsewhere.trim_end_matches('/')));
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["verify_file.wrong"]), "{report:#}");
    assert_eq!(find_finding(&report, "public_url.elsewhere")["level"], "warn");
    gateway.stop().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_named() {
    let installation = Installation::with("").await;
    installation.create_database().await;
    let config = installation.load_config();
    let db = gongpai::testing::db::Db::open(config.database.location()).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .execute(db.pool())
        .await
        .unwrap();
    db.close().await;
    for args in [&["sessions", "list"][..], &["audit"], &["key", "rotate"]] {
        let finished = installation.run(args).await;
        assert_eq!(finished.code(), Some(1), "{args:?}");
        assert!(finished.stderr.contains("9999"), "{args:?}: {}", finished.stderr);
    }
    let (code, report) = installation.doctor().await;
    assert_eq!((code, broken_ids(&report)), (Some(1), vec!["database.newer"]));
}

#[tokio::test]
async fn a_new_api_client_authenticates_with_what_was_printed() {
    let installation = Installation::with("").await;
    let added = installation.run(&["api-client", "add", "hr", "--scopes", "sessions"]).await;
    assert_eq!(added.code(), Some(0), "{}", added.stderr);
    let secret = added.stdout.lines().nth(2).unwrap().to_owned();
    let (_, block) = added.stdout.split_once("gateway:\n\n").unwrap();
    let twice = installation.run(&["api-client", "add", "oa", "--scopes", "sessions"]).await;
    assert_eq!(twice.code(), Some(1));
    assert!(twice.stderr.contains("already"), "{}", twice.stderr);

    let t = TestApp::with(block).await;
    let url = format!("http://{}/api/v1/sessions", t.address);
    let status = async |credentials: &str| {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(credentials);
        let ask = BrowserRequest::navigate(&url).header("authorization", &format!("Basic {basic}"));
        Browser::new(DESKTOP).send(ask).await.status
    };
    assert_eq!(status(&format!("hr:{secret}")).await, 200);
    assert_eq!(status(&format!("oa:{secret}")).await, 401);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_beside_a_running_gateway() {
    let wecom = Simulator::start().await.expect("the simulator starts");
    let database = TestDatabase::create().await;
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let run = async |args: &[&str]| {
        let finished = serve.command(args).await;
        assert_eq!(finished.code(), Some(0), "{args:?}: {}", finished.stderr);
        finished.stdout
    };
    assert_eq!(run(&["sessions", "list"]).await, "nobody is signed in\n");

    let (lisi, wangwu) = (serve.signed_in(&wecom, "lisi").await, serve.signed_in(&wecom, "wangwu").await);
    let listed = run(&["sessions", "list", "--user", "LISI", "--json"]).await;
    let row: Value = serde_json::from_str(listed.trim()).unwrap_or_else(|e| panic!("{e}: {listed}"));
    assert_eq!(
        (row["userid"].as_str(), row["amr"][0].as_str()),
        (Some("lisi"), Some("wecom-app")),
        "{row:#}"
    );
    let table = run(&["sessions", "list"]).await;
    assert!(table.starts_with("USERID") && table.lines().count() == 3, "{table}");
    assert!(table.contains("李四") && table.contains("王五"), "{table}");

    assert_eq!(run(&["sessions", "revoke", "--user", "Lisi"]).await, "1 session ended\n");
    eventually("the gateway follows", async || (serve.check(&lisi).await.status == 401).then_some(())).await;
    assert_eq!(serve.check(&wangwu).await.status, 200);

    let left = run(&["sessions", "list", "--json"]).await;
    let row: Value = serde_json::from_str(left.trim()).unwrap_or_else(|e| panic!("{e}: {left}"));
    let sid = row["sid"].as_str().expect("an id");
    assert_eq!(run(&["sessions", "revoke", sid]).await, "1 session ended\n");
    eventually("the gateway follows", async || (serve.check(&wangwu).await.status == 401).then_some(()))
        .await;
    let again = serve.signed_in(&wecom, "wangwu").await;
    assert_eq!(run(&["sessions", "revoke", "--all"]).await, "1 session ended\n");
    eventually("the gateway follows", async || (serve.check(&again).await.status == 401).then_some(())).await;

    let audit = run(&["audit", "--user", "lisi"]).await;
    for part in ["sign-in", "allowed", "revoke", "1 sessions, by command line"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    assert!(!audit.contains("wangwu"), "{audit}");
    let lines = run(&["audit", "--since", "2020-01-01T00:00:00Z", "--json"]).await;
    let events: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an object a line")["event"].to_string())
        .collect();
    assert_eq!(events.iter().filter(|event| *event == "\"revoke\"").count(), 3, "{lines}");
}

#[tokio::test]
async fn a_mistyped_name_signs_nobody_out_and_is_told() {
    let installation = Installation::with("").await;
    installation.create_database().await;
    let finished = installation.run(&["sessions", "revoke", "--user", "nobody"]).await;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("note: nobody of the userid nobody is signed in\n0 sessions ended"));
    let finished = installation.run(&["sessions", "revoke", "0193"]).await;
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stderr.contains("no living session 0193"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_rotated_key_is_published_and_signs_later() {
    let installation = Installation::with("").await;
    installation.create_database().await;
    let rotated = installation.run(&["key", "rotate"]).await;
    assert_eq!(rotated.code(), Some(0), "{}", rotated.stderr);
    assert!(
        rotated.stdout.contains("new signing key") && rotated.stdout.contains("signs from"),
        "{}",
        rotated.stdout
    );
    let audit = installation.run(&["audit"]).await;
    assert!(
        audit.stdout.contains("key-rotate") && audit.stdout.contains("by command line"),
        "{}",
        audit.stdout
    );

    // With another root secret the gateway's keys cannot be opened, so no key is created.
    installation.replace(
        "c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=",
        "YW5vdGhlci1zaXh0ZWVuLWFuZC1zaXh0ZWVuLW1vcmU=",
    );
    let refused = installation.run(&["key", "rotate"]).await;
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("not the one that the gateway uses"), "{}", refused.stderr);
    let (_, report) = installation.doctor().await;
    assert_eq!(find_finding(&report, "root_secret.foreign")["level"], "warn");
}

#[tokio::test]
async fn explain_decides_for_somebody_who_never_signed_in_and_says_so() {
    let rule = "[[rules]]\nhost = \"oa.example.com\"\npath = \"/boss/**\"\nallow = [\"user:lisi\"]\n";
    let installation = Installation::with(rule).await;
    let ask = ["explain", "--url", "https://oa.example.com/boss/x", "--method", "GET", "--user"];
    for (user, decision) in [("lisi", "allowed (200)"), ("wangwu", "denied (403)")] {
        let finished = installation.run(&[&ask[..], &[user]].concat()).await;
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        assert!(finished.stdout.contains("never signed in here"), "{}", finished.stdout);
        assert!(finished.stdout.contains(decision), "{user}: {}", finished.stdout);
    }
    assert!(
        std::fs::read_dir(installation.database.data_dir()).unwrap().next().is_none(),
        "asking makes no database"
    );
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let installation = Installation::with("").await;
    let script =
        format!("{} config show | head -n 1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_gongpai"));
    let finished = Program::at("bash").args(["-c", &script]).cwd(installation.folder.path()).run().await;
    assert_eq!((finished.code(), finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
}
