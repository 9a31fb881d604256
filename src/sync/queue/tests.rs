//! How requests become one, and what a run shows.

use super::*;

#[test]
fn two_requests_become_one_that_does_what_both_asked_for() {
    let (update, full) = ((Kind::Update, false), (Kind::Full, false));
    let forced = (Kind::Update, true);
    assert_eq!(stronger(update, update), update);
    assert_eq!(stronger(update, full), full);
    assert_eq!(stronger(full, update), full);
    assert_eq!(stronger(full, forced), (Kind::Full, true));
    assert_eq!(stronger(forced, update), forced);
}

#[test]
fn a_word_that_nobody_wrote_is_a_run_that_failed() {
    for status in Status::ALL {
        assert_eq!(Status::parse(status.as_str()), status);
    }
    assert_eq!(Status::parse("exploded"), Status::Failed);
}

#[test]
fn a_run_shows_what_the_api_promises_and_nothing_else() {
    let run = Run {
        id: RunId::new("r"),
        kind: Kind::Full,
        cause: "api:oa".to_owned(),
        dry_run: false,
        force: false,
        status: Status::Refused,
        complete: true,
        counts: Counts::default(),
        progress: None,
        report: Report::default(),
        reason: "too many".to_owned(),
        requested_at: Timestamp::from_millis(0),
        started_at: Some(Timestamp::from_millis(1_795_334_400_000)),
        finished_at: None,
    };
    let count = r#"{"created":0,"updated":0,"removed":0}"#;
    let want = format!(
        r#"{{"id":"r","kind":"full","status":"refused","complete":true,"counts":{{"units":{count},"persons":{count},"memberships":{count}}},"conflicts":[],"reason":"too many","started_at":"2026-11-22T08:00:00.000Z","finished_at":null}}"#
    );
    assert_eq!(serde_json::to_string(&run).unwrap(), want);
}
