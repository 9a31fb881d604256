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
