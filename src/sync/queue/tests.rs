//! Tests: how requests are combined, and what a run shows.

use super::*;
use crate::base::id::ClientId;
use crate::sync::report::{Counts, SyncReport};
use crate::sync::state::SyncKind;

#[test]
fn two_requests_become_one_that_does_what_both_asked_for() {
    let (update, full) = ((SyncKind::Update, false), (SyncKind::Full, false));
    let forced = (SyncKind::Update, true);
    assert_eq!(combine_requests(update, update), update);
    assert_eq!(combine_requests(update, full), full);
    assert_eq!(combine_requests(full, update), full);
    assert_eq!(combine_requests(full, forced), (SyncKind::Full, true));
    assert_eq!(combine_requests(forced, update), forced);
}

#[test]
fn a_run_shows_what_the_api_promises_and_nothing_else() {
    let run = SyncRun {
        id: RunId::new("r"),
        kind: SyncKind::Full,
        cause: SyncCause::Api(ClientId::new("oa")),
        dry_run: false,
        force: false,
        status: SyncRunStatus::Refused,
        complete: true,
        counts: Counts::default(),
        progress: None,
        report: SyncReport::default(),
        reason: Some(SyncRunReason::WecomDisabled),
        requested_at: Timestamp::from_millis(0),
        started_at: Some(Timestamp::from_millis(1_795_334_400_000)),
        finished_at: None,
    };
    let count = r#"{"created":0,"updated":0,"removed":0}"#;
    let want = format!(
        r#"{{"id":"r","kind":"full","status":"refused","complete":true,"counts":{{"units":{count},"persons":{count},"memberships":{count}}},"conflicts":[],"reason":"wecom.enable is false: WeCom is asked for nothing.","started_at":"2026-11-22T08:00:00.000Z","finished_at":null}}"#
    );
    assert_eq!(serde_json::to_string(&run).unwrap(), want);
}
