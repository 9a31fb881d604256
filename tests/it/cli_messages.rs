//! `gongpai send` and `gongpai messages`, as an administrator calls them.

use std::time::Duration;

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::app::App;
use gongpai::testing::base::clock::{Clock, Timestamp};
use gongpai::testing::base::id::CorpId;
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::db::Db;
use serde_json::{Value, json};

use crate::support::app::configuration;
use crate::support::audit::{bring_audit_trail_back, take_audit_trail_away};
use crate::support::database::TestDatabase;
use crate::support::message_damage::end_open_messages;
use crate::support::messages::{
    MessageFixture, MessageRecord, ReasonFixture, RecipientFixture, read_links, read_message_audit,
    read_messages, read_recipients, read_send_window, write_hold,
};
use crate::support::process::{FinishedProgram, Output, Program, Signal};
use crate::support::serve::write_folder;

/// An installation on disk with its database, and without a running gateway.
struct MessageCli {
    app: App,
    folder: tempfile::TempDir,
    _wecom: RunningSimulator,
    _database: TestDatabase,
}

impl MessageCli {
    async fn new() -> Self {
        Self::with_config("").await
    }

    async fn with_config(more: &str) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = TestDatabase::create().await;
        let folder = write_folder(&wecom, &database, more);
        let text = Some(configuration(&wecom, &database, more));
        let (config, _) =
            Config::load(&ConfigSources { text, ..ConfigSources::default() }).expect("accepted");
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let (app, _) = App::build(config, clock).await.expect("the gateway could start");
        Self { app, folder, _wecom: wecom, _database: database }
    }

    fn db_and_corp(&self) -> (&Db, &CorpId) {
        (&self.app.db, &self.app.config.wecom.corp_id)
    }

    async fn messages(&self) -> Vec<MessageRecord> {
        read_messages(&self.app.db).await
    }

    /// Returns the details of the audit trail about messages.
    async fn audit_details(&self) -> Vec<String> {
        let (db, corp) = self.db_and_corp();
        read_message_audit(db, corp).await.into_iter().map(|row| row.detail).collect()
    }

    fn program(&self, args: &[&str]) -> Program {
        Program::gongpai().cwd(self.folder.path()).args(args)
    }

    async fn run(&self, args: &[&str]) -> FinishedProgram {
        self.program(args).run().await
    }

    /// Runs a command that must succeed, and returns what it prints.
    async fn prints(&self, args: &[&str]) -> String {
        let finished = self.run(args).await;
        assert_eq!(finished.code(), Some(0), "{args:?}: {}", finished.stderr);
        finished.stdout
    }

    /// Writes three messages: one that waits, one that failed for one of two recipients, one of the
    /// command line.
    async fn with_three_messages(self) -> Self {
        let ((db, corp), now) = (self.db_and_corp(), self.app.clock.now());
        MessageFixture::to("m1", 1, &["zhangsan"]).write(db, corp, now).await;
        RecipientFixture::pending("m1", "=zhangsan", "zhangsan").write(db, corp).await;
        let half =
            MessageFixture { status: "partly_failed", ..MessageFixture::to("m2", 2, &["lisi", "gone"]) };
        half.write(db, corp, now).await;
        RecipientFixture { status: "sent", ..RecipientFixture::pending("m2", "=lisi", "LiSi") }
            .write(db, corp)
            .await;
        let gone = RecipientFixture::pending("m2", "=gone", "gone\u{1b}[31m");
        RecipientFixture {
            status: "failed",
            reason: ReasonFixture::refused(60111, "there is no such member"),
            ..gone
        }
        .write(db, corp)
        .await;
        MessageFixture { client: "", ..MessageFixture::to("m3", 3, &[]) }.write(db, corp, now).await;
        self
    }
}

#[tokio::test]
async fn a_list_shows_newest_first_what_became_of_messages() {
    let cli = MessageCli::new().await.with_three_messages().await;
    let out = cli.prints(&["messages", "list"]).await;
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..5], ["ID", "ACCEPTED", "KIND", "FROM", "STATUS"], "{out}");
    assert_eq!(lines[1][0], "m3", "{out}");
    assert!(
        out.contains("command line") && lines[2].ends_with(&["partly_failed", "0", "1", "1", "-"]),
        "{out}"
    );
    let out = cli.prints(&["messages", "list", "--status", "accepted", "--client", "oa"]).await;
    assert!(out.contains("m1") && !out.contains("m2") && !out.contains("m3"), "{out}");
    let out = cli.prints(&["messages", "list", "--user", "LISI", "--json"]).await;
    let [line] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
    let object: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&object["id"], &object["status"]), (&json!("m2"), &json!("partly_failed")));
    assert_eq!(object["recipients"], json!({"pending": 0, "sent": 1, "failed": 1}));
    let out = cli.prints(&["messages", "list", "--limit", "1"]).await;
    assert!(out.contains("m3") && !out.contains("m2"), "{out}");
    let out = cli.prints(&["messages", "list", "--user", "nobody"]).await;
    assert_eq!(out, "there is no such message; they are kept 30 days after their end\n");
    let wrong = cli.run(&["messages", "list", "--status", "done"]).await;
    assert_eq!(wrong.code(), Some(2));
    assert!(wrong.stderr.contains("partly_failed"), "it names those there are: {}", wrong.stderr);
}

#[tokio::test]
async fn show_tells_whom_it_did_not_reach_first_and_as_json_what_the_api_tells() {
    let cli = MessageCli::new().await.with_three_messages().await;
    let out = cli.prints(&["messages", "show", "m2"]).await;
    assert!(out.contains("status    partly_failed\n") && out.contains("from      oa\n"), "{out}");
    let at = |part: &str| out.find(part).unwrap_or_else(|| panic!("{part}: {out}"));
    assert!(at("gone\u{fffd}[31m") < at("LiSi"), "{out}");
    assert!(
        out.contains("企业微信拒绝了 message/send：60111")
            && out.contains(" / WeCom refused message/send: 60111"),
        "{out}"
    );
    assert!(!out.contains('\u{1b}'), "{out}");
    let json: Value =
        serde_json::from_str(&cli.prints(&["messages", "show", "m2", "--json"]).await).expect("JSON");
    assert_eq!(json["recipients"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["interactions"], json!([]));
    let unknown = cli.run(&["messages", "show", "m9"]).await;
    assert_eq!(unknown.code(), Some(1));
    assert!(unknown.stderr.contains("there is no message m9: `gongpai messages list`"), "{}", unknown.stderr);
}

#[tokio::test]
async fn names_and_reasons_neither_turn_nor_forge_what_a_terminal_shows() {
    let cli = MessageCli::new().await;
    let ((db, corp), now) = (cli.db_and_corp(), cli.app.clock.now());
    let userid = "gong\u{202e}\u{2066}\u{200f}\u{200b}\u{9b}2K\u{1b}[2K\nm9  forged";
    let words = "nobody\u{202e}\u{2066}\u{200f}\u{200b}\u{9b}2K\u{1b}[2K\nm9  forged";
    let reason = ReasonFixture::refused(60111, words);
    MessageFixture { status: "failed", reason: reason.clone(), ..MessageFixture::to("m1", 1, &["a"]) }
        .write(db, corp, now)
        .await;
    RecipientFixture { status: "failed", reason, ..RecipientFixture::pending("m1", "=a", userid) }
        .write(db, corp)
        .await;
    let entry = gongpai::testing::audit::AuditEntry {
        event: gongpai::testing::audit::AuditEvent::SignIn,
        actor: gongpai::testing::audit::Actor::System,
        person: None,
        userid: userid.to_owned(),
        address: None,
        host: "oa.example.com".to_owned(),
        decision: gongpai::testing::audit::AuditDecision::Refused,
        detail: words.to_owned(),
        request_id: String::new(),
    };
    gongpai::testing::audit::store::insert_entries(db, corp, &[entry], now).await.unwrap();
    for args in [
        &["messages", "list"][..],
        &["messages", "list", "--json"],
        &["messages", "show", "m1"],
        &["messages", "show", "m1", "--json"],
        &["audit", "--since", "2026-01-01"],
        &["audit", "--since", "2026-01-01", "--json"],
    ] {
        let out = cli.prints(args).await;
        assert!(!out.lines().any(|line| line.starts_with("m9")), "{args:?}: {out}");
        let raw = ['\u{202e}', '\u{2066}', '\u{200f}', '\u{200b}', '\u{9b}', '\u{1b}'];
        assert!(!out.contains(raw), "{args:?}: {out:?}");
        assert!(out.contains("forged"), "{args:?}: {out}");
    }
    let json = cli.prints(&["messages", "show", "m1", "--json"]).await;
    let shown: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(shown["recipients"][0]["userid"], userid, "a program reads what it is");
}

#[tokio::test]
async fn bury_retry_and_recall_say_of_each_message_what_happened() {
    let cli = MessageCli::new().await.with_three_messages().await;
    let status = async |id: &str| {
        let json = cli.prints(&["messages", "show", id, "--json"]).await;
        let shown: Value = serde_json::from_str(&json).expect("JSON");
        shown["status"].as_str().expect("a status").to_owned()
    };
    let both = cli.run(&["messages", "bury", "m1", "m2", "m9", "--reason", "sent by mistake"]).await;
    assert_eq!(both.code(), Some(1), "{}", both.stderr);
    let lines: Vec<_> = both.stdout.lines().collect();
    assert_eq!(lines, ["m1: is given up", "message m2: it has ended", "there is no message m9"]);
    assert_eq!(status("m1").await, "failed");
    let out = cli.prints(&["messages", "show", "m1"]).await;
    assert!(out.contains("Given up by hand: sent by mistake"), "{out}");

    assert_eq!(cli.prints(&["messages", "retry", "m2"]).await, "m2: is tried again\n");
    let recipients = read_recipients(&cli.app.db).await;
    assert_eq!(recipients.iter().filter(|row| row.message == "m2" && row.status != "sent").count(), 1);

    // All or none: one of them is not there.
    let none = cli.run(&["messages", "recall", "m3", "m9"]).await;
    assert_eq!(none.code(), Some(1));
    assert_eq!(none.stdout, "nothing was taken back: there is no message m9\n");
    assert!(cli.messages().await.iter().all(|message| message.recall_at.is_none()));

    let deeds = cli.audit_details().await;
    assert_eq!(
        deeds,
        [
            "bury m1: 1 recipients, sent by mistake, by command line",
            "retry m2: 1 recipients, by command line"
        ]
    );
    for args in [&["messages", "recall"][..], &["messages", "bury", "--reason", "x"], &["messages", "retry"]]
    {
        assert_eq!(cli.run(args).await.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn resume_says_how_many_messages_wait_and_why_and_lets_them_go() {
    let cli = MessageCli::new().await.with_three_messages().await;
    let ((db, corp), now) = (cli.db_and_corp(), Timestamp::from_millis(1_795_334_400_000));
    let tomorrow = Clock::System.now().plus(Duration::from_secs(3600));
    write_hold(db, corp, [now, tomorrow], (60020, "not\u{1b}[31m trusted\u{202e}")).await;
    let shown = cli.prints(&["messages", "show", "m1"]).await;
    assert!(shown.contains("60020"), "{shown}");
    // A held message can be retried too, which also lifts the hold.
    assert_eq!(cli.prints(&["messages", "retry", "m1"]).await, "m1: is tried again\n");
    assert_eq!(read_send_window(&cli.app.db).await.hold_since, None);

    write_hold(db, corp, [now, tomorrow], (60020, "\u{1b}not\u{202e}")).await;
    let out = cli.prints(&["messages", "resume"]).await;
    assert!(
        out.starts_with("2 messages wait; nothing could be sent since 2026-11-22 16:00:00\nwhy: 企业微信拒绝了 message/send：60020 "),
        "{out}"
    );
    assert!(out.contains("\n     WeCom refused message/send: 60020 "), "{out}");
    assert!(out.contains("gongpai serve") && !out.contains(['\u{1b}', '\u{202e}']), "{out}");
    assert_eq!(read_send_window(&cli.app.db).await.hold_since, None);
    assert_eq!(cli.prints(&["messages", "resume"]).await, "2 messages wait; nothing held them all back\n");
    let deeds = cli.audit_details().await;
    assert_eq!(deeds[0], "retry m1: 1 recipients, by command line");
    assert!(
        deeds[1].starts_with("resume: 2 messages waited, held since 2026-11-22T08:00:00.000Z: WeCom refused")
    );
    assert_eq!(deeds[2..], ["resume: 2 messages waited, nothing was held, by command line"]);

    assert_eq!(cli.run(&["messages", "resume", "m1"]).await.code(), Some(2));
    let help = cli.prints(&["messages", "resume", "--help"]).await;
    assert!(help.contains("Example:\n  gongpai messages resume"), "{help}");
    let off = MessageCli::with_config("[wecom]\nmessage_enable = false").await;
    let refused = off.run(&["messages", "resume"]).await;
    assert_eq!(
        (refused.code(), refused.stdout.as_str()),
        (Some(1), "nothing is sent: wecom.message_enable is false.\n")
    );
}

#[tokio::test]
async fn a_message_that_waits_is_recalled_at_once() {
    let cli = MessageCli::new().await.with_three_messages().await;
    let out = cli.prints(&["messages", "recall", "m1"]).await;
    assert_eq!(out, "m1: is taken back; `gongpai messages show` tells whether WeCom did\n");
    let out = cli.prints(&["messages", "show", "m1"]).await;
    assert!(out.contains("status    recalled\n"), "{out}");
    let again = cli.run(&["messages", "recall", "m1"]).await;
    assert_eq!(again.code(), Some(1));
    assert_eq!(again.stdout, "nothing was taken back: message m1: it is being recalled already\n");
}

#[tokio::test]
async fn send_prints_the_id_alone_and_says_who_delivers_it() {
    let cli = MessageCli::new().await;
    let sent = cli.run(&["send", "--to", "zhangsan", "--text", "报销单已批准"]).await;
    assert_eq!(sent.code(), Some(0), "{}", sent.stderr);
    let id = sent.stdout.trim_end();
    let messages = cli.messages().await;
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((message.id.as_str(), message.client.as_str()), (id, ""));
    assert_eq!(message.content, r#"{"content":"报销单已批准"}"#);
    assert!(sent.stderr.contains("gongpai serve") && sent.stderr.contains(&format!("messages show {id}")));
    let audit = cli.audit_details().await;
    assert_eq!(audit, [format!("message {id} sent, by command line")]);
    let listed = cli.prints(&["messages", "list", "--client", "", "--user", "ZhangSan"]).await;
    assert!(listed.contains(id) && listed.contains("command line"), "{listed}");
    let shown = cli.prints(&["messages", "show", id]).await;
    assert!(shown.contains("zhangsan  pending"), "{shown}");
}

#[tokio::test]
async fn send_makes_each_kind_and_takes_any_other_as_json() {
    let cli = MessageCli::new().await;
    cli.prints(&["send", "--to", "a", "--to", "b", "--markdown", "**m**", "--expires", "2h"]).await;
    let url = "https://oa.example.com/todo/3";
    let card = ["--card-title", "待办", "--card-text", "3 号", "--url", url, "--button", "去看看"];
    cli.prints(&[&["send", "--all", "--plain-links"][..], &card].concat()).await;
    cli.prints(&[&["send", "--to", "a"][..], &card].concat()).await;
    let news = json!({
        "to": {"users": ["a"]}, "kind": "news", "content": {"articles": [{"title": "t", "url": url}]},
    });
    let file = cli.folder.path().join("message.json");
    std::fs::write(&file, news.to_string()).expect("a file");
    cli.prints(&["send", "--json", "message.json"]).await;
    let messages = cli.messages().await;
    let kinds: Vec<&str> = messages.iter().map(|message| message.kind.as_str()).collect();
    assert_eq!(kinds, ["markdown", "textcard", "textcard", "news"]);
    let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    assert!(contents[1].contains(url) && contents[1].contains("去看看"), "{contents:?}");
    assert!(
        contents[2].contains("https://oa.example.com/sso/m/") && !contents[2].contains(url),
        "{contents:?}"
    );
    let targets: Vec<_> = read_links(&cli.app.db).await.into_iter().map(|link| link.target).collect();
    assert_eq!(targets, [url, url]);
    let lifetime = |message: &MessageRecord| message.expires_at.map(|at| at - message.created_at);
    let lifetimes: Vec<i64> = messages.iter().filter_map(lifetime).collect();
    let [lasts] = lifetimes[..] else { panic!("{lifetimes:?}") };
    assert!((7_190_000..=7_200_000).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn send_refuses_in_words_and_sends_nothing_then() {
    let cli = MessageCli::new().await;
    let long = "长".repeat(700);
    let long = long.as_str();
    std::fs::write(cli.folder.path().join("list.json"), "[1]").expect("a file");
    for (args, says) in [
        (&["--to", "a", "--text", long][..], "2048"),
        (&["--to", "unit:没有", "--text", "t"], "to.units"),
        (&["--to", "a b", "--text", "t"], "to.users"),
        (&["--json", "list.json"], "JSON object"),
        (&["--json", "nothing.json"], "nothing.json cannot be read"),
        (&["--to", "a", "--text", "t", "--key", "键"], "--key"),
    ] {
        let refused = cli.run(&[&["send"][..], args].concat()).await;
        assert_eq!((refused.code(), &*refused.stdout), (Some(1), ""), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{args:?}: {}", refused.stderr);
    }
    assert!(cli.messages().await.is_empty());
    let cut = cli.run(&["send", "--to", "a", "--text", long, "--truncate"]).await;
    assert_eq!(cut.code(), Some(0), "{}", cut.stderr);
    assert!(cut.stderr.contains("cut: content.content"), "{}", cut.stderr);

    let off = MessageCli::with_config("[wecom]\nmessage_enable = false").await;
    let refused = off.run(&["send", "--to", "a", "--text", "t"]).await;
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("wecom.message_enable is false"), "{}", refused.stderr);
}

#[tokio::test]
async fn the_same_key_sends_once() {
    let cli = MessageCli::new().await;
    let args = ["send", "--to", "a", "--text", "t", "--key", "todo-3"];
    let (first, second) = (cli.run(&args).await, cli.run(&args).await);
    assert_eq!((second.code(), &second.stdout), (Some(0), &first.stdout), "{}", second.stderr);
    assert!(second.stderr.contains("nothing new is sent"), "{}", second.stderr);
    let other = cli.run(&["send", "--to", "a", "--text", "u", "--key", "todo-3"]).await;
    assert_eq!(other.code(), Some(1));
    assert!(other.stderr.contains("--key"), "{}", other.stderr);
    // A duration would mean another instant each time, and so another message.
    let span = cli.run(&["send", "--to", "a", "--text", "t", "--key", "todo-4", "--expires", "2h"]).await;
    assert_eq!(
        (span.code(), span.stderr.contains("--expires takes an instant")),
        (Some(2), true),
        "{}",
        span.stderr
    );
    assert_eq!(cli.messages().await.len(), 1);
    assert_eq!(cli.audit_details().await.len(), 1);
}

#[tokio::test]
async fn send_waits_until_it_is_known_and_ends_with_1_unless_everybody_got_it() {
    let cli = MessageCli::new().await;
    for (status, code) in [("sent", 0), ("unknown", 1), ("failed", 1), ("partly_failed", 1)] {
        let mut waits = cli.program(&["send", "--to", "a", "--text", "t", "--wait"]).start();
        waits.line_with("accepted; a gateway that runs").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(waits.ended().is_none());
        end_open_messages(&cli.app.db, status).await;
        assert_eq!(waits.exit().await.code(), Some(code), "{status}");
        let out = waits.text(Output::Stdout);
        assert!(out.contains(&format!("status    {status}\n")), "{out}");
    }
    let mut waits = cli.program(&["send", "--to", "a", "--text", "t", "--wait"]).start();
    waits.line_with("accepted; a gateway that runs").await;
    waits.signal(Signal::Interrupt);
    assert_eq!(waits.exit().await.code(), Some(1));
    assert!(waits.text(Output::Stderr).contains("stays accepted"));
}

#[tokio::test]
async fn what_the_audit_trail_cannot_record_is_not_sent() {
    let cli = MessageCli::new().await;
    let args = ["send", "--to", "a", "--text", "t"];
    take_audit_trail_away(&cli.app.db).await;
    assert_eq!(cli.run(&args).await.code(), Some(1));
    assert!(cli.messages().await.is_empty(), "a message without its row in the audit trail");
    bring_audit_trail_back(&cli.app.db).await;
    assert_eq!(cli.run(&args).await.code(), Some(0));
    assert_eq!((cli.messages().await.len(), cli.audit_details().await.len()), (1, 1));
}
