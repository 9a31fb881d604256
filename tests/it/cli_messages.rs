//! `gongpai send` and `gongpai messages`, as an administrator calls them.

use gongpai::base::id::CorpId;
use gongpai::db::Db;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::messages::{Recipient, Stored};
use crate::support::process::{Finished, Program};
use crate::support::serve::folder;

/// An installation on disk whose database is there, and which no gateway works on.
struct Place {
    t: TestApp,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let t = TestApp::start().await;
        let folder = folder(&t.wecom, t.database(), "");
        Self { t, folder }
    }

    fn parts(&self) -> (&Db, &CorpId) {
        (&self.t.app.db, &self.t.app.config.wecom.corp_id)
    }

    async fn run(&self, args: &[&str]) -> Finished {
        Program::gongpai().cwd(self.folder.path()).args(args).run().await
    }

    /// What a command prints that ends well.
    async fn prints(&self, args: &[&str]) -> String {
        let finished = self.run(args).await;
        assert_eq!(finished.code(), Some(0), "{args:?}: {}", finished.stderr);
        finished.stdout
    }

    /// Three messages: one that waits, one that failed for one of two, one of the command line's.
    async fn with_three(self) -> Self {
        let ((db, corp), now) = (self.parts(), self.t.app.clock.now());
        Stored::to("m1", 1, &["zhangsan"]).write(db, corp, now).await;
        Recipient::pending("m1", "=zhangsan", "zhangsan").write(db, corp).await;
        let half = Stored { status: "partly_failed", ..Stored::to("m2", 2, &["lisi", "gone"]) };
        half.write(db, corp, now).await;
        Recipient { status: "sent", ..Recipient::pending("m2", "=lisi", "LiSi") }.write(db, corp).await;
        let gone = Recipient::pending("m2", "=gone", "gone\u{1b}[31m");
        Recipient { status: "failed", reason: "60111: there is no such member", ..gone }
            .write(db, corp)
            .await;
        Stored { client: "", ..Stored::to("m3", 3, &[]) }.write(db, corp, now).await;
        self
    }
}

#[tokio::test]
async fn a_list_shows_newest_first_what_became_of_messages() {
    let place = Place::new().await.with_three().await;
    let out = place.prints(&["messages", "list"]).await;
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..5], ["ID", "ACCEPTED", "KIND", "FROM", "STATUS"], "{out}");
    assert_eq!(lines[1][0], "m3", "{out}");
    assert!(
        out.contains("command line") && lines[2].ends_with(&["partly_failed", "0", "1", "1", "-"]),
        "{out}"
    );
    let out = place.prints(&["messages", "list", "--status", "accepted", "--client", "oa"]).await;
    assert!(out.contains("m1") && !out.contains("m2") && !out.contains("m3"), "{out}");
    let out = place.prints(&["messages", "list", "--user", "LISI", "--json"]).await;
    let [line] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
    let object: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&object["id"], &object["status"]), (&json!("m2"), &json!("partly_failed")));
    assert_eq!(object["recipients"], json!({"pending": 0, "sent": 1, "failed": 1}));
    let out = place.prints(&["messages", "list", "--limit", "1"]).await;
    assert!(out.contains("m3") && !out.contains("m2"), "{out}");
    let out = place.prints(&["messages", "list", "--user", "nobody"]).await;
    assert_eq!(out, "there is no such message; they are kept 30 days after their end\n");
    let wrong = place.run(&["messages", "list", "--status", "done"]).await;
    assert_eq!(wrong.code(), Some(2));
    assert!(wrong.stderr.contains("partly_failed"), "it names those there are: {}", wrong.stderr);
}

#[tokio::test]
async fn show_tells_whom_it_did_not_reach_first_and_as_json_what_the_api_tells() {
    let place = Place::new().await.with_three().await;
    let out = place.prints(&["messages", "show", "m2"]).await;
    assert!(out.contains("status    partly_failed\n") && out.contains("from      oa\n"), "{out}");
    let at = |part: &str| out.find(part).unwrap_or_else(|| panic!("{part}: {out}"));
    assert!(at("gone\u{fffd}[31m") < at("LiSi") && out.contains("60111"), "{out}");
    assert!(!out.contains('\u{1b}'), "{out}");
    let json: Value =
        serde_json::from_str(&place.prints(&["messages", "show", "m2", "--json"]).await).expect("JSON");
    assert_eq!(json["recipients"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["interactions"], json!([]));
    let unknown = place.run(&["messages", "show", "m9"]).await;
    assert_eq!(unknown.code(), Some(1));
    assert!(unknown.stderr.contains("there is no message m9: `gongpai messages list`"), "{}", unknown.stderr);
}

#[tokio::test]
async fn bury_retry_and_recall_say_of_each_message_what_happened() {
    let place = Place::new().await.with_three().await;
    let status = async |id: &str| {
        let json = place.prints(&["messages", "show", id, "--json"]).await;
        let shown: Value = serde_json::from_str(&json).expect("JSON");
        shown["status"].as_str().expect("a status").to_owned()
    };
    let both = place.run(&["messages", "bury", "m1", "m2", "m9", "--reason", "sent by mistake"]).await;
    assert_eq!(both.code(), Some(1), "{}", both.stderr);
    let lines: Vec<_> = both.stdout.lines().collect();
    assert_eq!(lines, ["m1: is given up", "message m2: it has ended", "there is no message m9"]);
    assert_eq!(status("m1").await, "failed");
    let out = place.prints(&["messages", "show", "m1"]).await;
    assert!(out.contains("Given up by hand: sent by mistake"), "{out}");

    assert_eq!(place.prints(&["messages", "retry", "m2"]).await, "m2: is tried again\n");
    let again = place
        .t
        .number("SELECT COUNT(*) FROM message_recipients WHERE message_id = 'm2' AND status <> 'sent'");
    assert_eq!(again.await, 1);

    // All or none: one of them is not there.
    let none = place.run(&["messages", "recall", "m3", "m9"]).await;
    assert_eq!(none.code(), Some(1));
    assert_eq!(none.stdout, "nothing was taken back: there is no message m9\n");
    assert_eq!(place.t.number("SELECT COUNT(recall_at) FROM messages").await, 0);

    let deeds = place.t.texts("SELECT detail FROM audit WHERE event = 'message' ORDER BY id").await;
    assert_eq!(
        deeds,
        [
            "bury m1: 1 recipients, sent by mistake, by command line",
            "retry m2: 1 recipients, by command line"
        ]
    );
    for args in [&["messages", "recall"][..], &["messages", "bury", "--reason", "x"], &["messages", "retry"]]
    {
        assert_eq!(place.run(args).await.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn a_message_that_waits_is_recalled_at_once() {
    let place = Place::new().await.with_three().await;
    let out = place.prints(&["messages", "recall", "m1"]).await;
    assert_eq!(out, "m1: is taken back; `gongpai messages show` tells whether WeCom did\n");
    let out = place.prints(&["messages", "show", "m1"]).await;
    assert!(out.contains("status    recalled\n"), "{out}");
    let again = place.run(&["messages", "recall", "m1"]).await;
    assert_eq!(again.code(), Some(1));
    assert_eq!(again.stdout, "nothing was taken back: message m1: it is being recalled already\n");
}
