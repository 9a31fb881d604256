//! The queue of runs: one running at a time across replicas, one queued, none lost; and the
//! schedules.

use std::time::Duration;

use gongpai::testing::audit;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::{ClientId, CorpId};
use gongpai::testing::sync::plan::ExcessiveRemovals;
use gongpai::testing::sync::progress::{ProgressSnapshot, SyncProgress};
use gongpai::testing::sync::queue::{RUN_LEASE, RUN_RETENTION, SyncRequest, SyncRunEnd, store};
use gongpai::testing::sync::run::WorkResult;
use gongpai::testing::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};
use tokio_util::sync::CancellationToken;

use crate::support::app::run_all_at_once;
use crate::support::planted_rows::{mark_chart_complete, set_schedule_instants, write_newer_word};
use crate::support::replica::ReplicaSite;

const ONE_SECOND: Duration = Duration::from_secs(1);

/// An update every ten minutes at second 10; a full run at 08:45:10 and 12:45:10.
const SCHEDULES_TOML: &str =
    "[wecom]\nsync_cron = \"10 0/10 * * * ?\"\nforce_sync_cron = \"10 45 8,12 * * ?\"";

#[tokio::test]
async fn one_run_is_worked_on_at_a_time_whoever_claims() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.request_run(SyncKind::Full, false).await;
    let claims = run_all_at_once((0..8).map(|n| {
        let sync = if n % 2 == 0 { a.sync.clone() } else { b.sync.clone() };
        async move { sync.queue().claim().await.expect("the database answers") }
    }))
    .await;
    let claimed: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!((&claimed[0].id, claimed[0].status), (&id, SyncRunStatus::Running));
    b.request_run(SyncKind::Update, false).await;
    assert!(a.claim().await.is_none() && b.claim().await.is_none(), "the next one waits for the end");
    assert!(a.end(&id).await != b.end(&id).await, "only its holder ends it");
    assert_eq!(b.claim().await.expect("the next one").kind, SyncKind::Update);
}

#[tokio::test]
async fn a_second_trigger_queues_exactly_one_more_which_is_as_strong_as_both() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let running = a.request_run(SyncKind::Update, false).await;
    a.claim().await.expect("claimed");
    let next = a.request_run(SyncKind::Update, false).await;
    assert_ne!(next, running);
    assert_eq!(b.request_run(SyncKind::Full, false).await, next);
    assert_eq!(a.request_run(SyncKind::Update, true).await, next);
    let run = a.find(&next).await;
    assert_eq!((run.kind, run.force, run.status), (SyncKind::Full, true, SyncRunStatus::Queued));
    let rehearsal = b.request_dry_run().await;
    assert_ne!(rehearsal, next, "a rehearsal never becomes a run that writes");
    assert_eq!(a.request_dry_run().await, rehearsal);
}

#[tokio::test]
async fn requests_at_the_same_moment_become_one() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let ids = run_all_at_once((0..12).map(|n| {
        let sync = if n % 2 == 0 { a.sync.clone() } else { b.sync.clone() };
        let kind = if n == 7 { SyncKind::Full } else { SyncKind::Update };
        let request = SyncRequest { kind, cause: SyncCause::Cron, dry_run: false, force: false };
        async move { sync.request(request).await.expect("asked for") }
    }))
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(a.find(&ids[0]).await.kind, SyncKind::Full);
}

#[tokio::test]
async fn a_run_whose_process_was_killed_fails_and_another_one_takes_its_place() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.request_run(SyncKind::Full, true).await;
    a.claim().await.expect("claimed");
    place.clock.advance(RUN_LEASE - ONE_SECOND);
    assert!(
        a.sync.queue().renew(&id, ProgressSnapshot::default()).await.unwrap(),
        "as long as it says so it is its own"
    );
    place.clock.advance(RUN_LEASE - ONE_SECOND);
    assert!(b.claim().await.is_none());
    place.clock.advance(ONE_SECOND);
    let again = b.claim().await.expect("the lease is over");
    assert_ne!(again.id, id);
    assert_eq!((again.kind, again.force, again.cause), (SyncKind::Full, true, SyncCause::KilledRun));
    let killed = a.find(&id).await;
    assert_eq!((killed.status, killed.reason), (SyncRunStatus::Failed, Some(SyncRunReason::ProcessKilled)));
    assert!(!a.sync.queue().renew(&id, ProgressSnapshot::default()).await.unwrap(), "it comes back too late");
    assert!(!a.end(&id).await);
}

#[tokio::test]
async fn what_a_newer_version_says_of_a_run_stops_neither_lists_nor_requests_nor_claims() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let id = a.request_run(SyncKind::Update, false).await;
    for (column, word) in [("kind", "deep"), ("cause", "moon"), ("reason", "{\"code\":\"eclipse\"}")] {
        write_newer_word(&a.db, column, word).await;
    }
    assert_eq!(a.queued_runs().await, ["full moon"], "an unknown kind counts as the thorough one");
    let told = a.find(&id).await.reason_text().expect("a reason");
    assert!(told.contains("eclipse"), "{told}");
    assert_eq!(a.request_run(SyncKind::Update, true).await, id, "a request joins it");
    assert_eq!(a.find(&id).await.cause, SyncCause::CommandLine);
    for (column, word) in [("kind", "deep"), ("cause", "moon")] {
        write_newer_word(&a.db, column, word).await;
    }
    a.claim().await.expect("claimed");
    place.clock.advance(RUN_LEASE);
    let again = a.claim().await.expect("the lease is over");
    assert_eq!((again.kind, again.force, again.cause), (SyncKind::Full, true, SyncCause::KilledRun));
    write_newer_word(&a.db, "status", "paused").await;
    assert_eq!(a.find(&again.id).await.status, SyncRunStatus::Failed);
}

#[tokio::test]
async fn a_rehearsal_whose_process_was_killed_is_not_repeated() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.request_dry_run().await;
    a.claim().await.expect("claimed");
    place.clock.advance(RUN_LEASE);
    assert!(b.claim().await.is_none());
    assert_eq!(b.find(&id).await.status, SyncRunStatus::Failed);
    assert!(b.queued_runs().await.is_empty());
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_what_was_cut_off_joins_it() {
    let place = ReplicaSite::new().await;
    let before = place.replica().await;
    before.request_run(SyncKind::Full, true).await;
    before.claim().await.expect("claimed");
    let waiting = before.request_run(SyncKind::Update, false).await;
    before.db.close().await;
    drop(before);
    let after = place.replica().await;
    assert!(after.claim().await.is_none(), "the lease still holds");
    place.clock.advance(RUN_LEASE);
    let run = after.claim().await.expect("what waited");
    assert_eq!((run.id, run.kind, run.force), (waiting, SyncKind::Full, true), "it does the work of both");
    assert!(after.queued_runs().await.is_empty());
}

#[tokio::test]
async fn a_run_that_a_stop_cuts_off_waits_again() {
    let place = ReplicaSite::new().await;
    // Accepts connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", deaf.local_addr().unwrap());
    let a = place.replica_with(&format!("[wecom]\napi_address = {address:?}")).await;
    let id = a.request_run(SyncKind::Full, false).await;
    let stop = CancellationToken::new();
    let watched = async {
        while a.find(&id).await.status != SyncRunStatus::Running {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(a.sync.work_until(stop.clone()), watched) };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("a stop does not wait for WeCom");
    let run = a.find(&id).await;
    assert_eq!((run.status, run.started_at), (SyncRunStatus::Queued, None));
    let b = place.replica().await;
    assert_eq!(b.claim().await.expect("taken up at once").id, id);
}

#[tokio::test]
async fn a_run_put_back_where_another_one_waits_leaves_its_work_to_that_one() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let first = a.request_run(SyncKind::Full, true).await;
    let run = a.claim().await.expect("claimed");
    let second = a.request_run(SyncKind::Update, false).await;
    a.sync.queue().hand_back(&run).await.unwrap();
    assert_eq!(a.find(&first).await.status, SyncRunStatus::Failed);
    let run = a.claim().await.expect("the other one");
    assert_eq!((run.id, run.kind, run.force), (second, SyncKind::Full, true));
}

#[tokio::test]
async fn a_run_that_cannot_be_made_fails_and_says_why() {
    let place = ReplicaSite::new().await;
    for (toml, part) in [
        ("[wecom]\nenable = false", "wecom.enable"),
        ("[wecom]\napp_secret = \"\"", "wecom.app_secret"),
        ("[wecom]\napp_secret = \"another\"", "40001"),
        ("[wecom]\napp_secret = \"another\"", "「应用管理"),
    ] {
        let a = place.replica_with(toml).await;
        let id = a.request_run(SyncKind::Full, false).await;
        let run = a.claim().await.expect("claimed");
        let worked = a.sync.work(&run, &SyncProgress::default()).await;
        assert_eq!(worked, WorkResult::Ended(SyncRunStatus::Failed), "{toml}");
        let run = a.find(&id).await;
        let reason = run.reason_text().expect("a reason");
        assert!(reason.contains(part), "{toml}: {reason}");
        assert!(run.finished_at.is_some());
        assert!(a.claim().await.is_none(), "nothing goes on by itself");
    }
}

#[tokio::test]
async fn a_schedule_fires_once_however_many_replicas_look() {
    let place = ReplicaSite::new().await;
    let (a, b) = (place.replica_with(SCHEDULES_TOML).await, place.replica_with(SCHEDULES_TOML).await);
    mark_chart_complete(&a.db, 1).await;
    a.fire_due().await;
    b.fire_due().await;
    assert!(a.queued_runs().await.is_empty(), "a new schedule is not due before its time");
    place.clock.advance(Duration::from_secs(9));
    a.fire_due().await;
    assert!(a.queued_runs().await.is_empty(), "nine seconds past the hour");
    place.clock.advance(ONE_SECOND);
    run_all_at_once(
        [a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() }),
    )
    .await;
    assert_eq!(a.queued_runs().await, ["update cron"]);
    let run = a.claim().await.expect("claimed");
    b.fire_due().await;
    a.fire_due().await;
    assert!(a.queued_runs().await.is_empty(), "it fired already");
    assert!(a.end(&run.id).await);
    place.clock.advance(Duration::from_secs(600));
    run_all_at_once(
        [a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() }),
    )
    .await;
    assert_eq!(b.queued_runs().await, ["update cron"], "and the next time");
}

#[tokio::test]
async fn firings_that_were_missed_are_one_and_the_thorough_one_wins() {
    let place = ReplicaSite::new().await;
    let before = place.replica_with(SCHEDULES_TOML).await;
    mark_chart_complete(&before.db, 1).await;
    before.fire_due().await;
    drop(before);
    place.clock.advance(Duration::from_secs(3 * 24 * 3600 + 30));
    let after = place.replica_with(SCHEDULES_TOML).await;
    for _ in 0..3 {
        after.fire_due().await;
        place.clock.advance(ONE_SECOND);
    }
    assert_eq!(after.queued_runs().await, ["full cron"]);
}

#[tokio::test]
async fn the_first_start_reads_everything_at_once() {
    let place = ReplicaSite::new().await;
    let quiet = place.replica().await;
    quiet.fire_due().await;
    assert!(quiet.queued_runs().await.is_empty(), "without a schedule nothing runs by itself");
    let off = place.replica_with("[wecom]\nenable = false\nsync_cron = \"10 0/10 * * * ?\"").await;
    off.fire_due().await;
    place.clock.advance(Duration::from_secs(3600));
    off.fire_due().await;
    assert!(off.queued_runs().await.is_empty(), "nor while WeCom is switched off");
    let (a, b) = (place.replica_with(SCHEDULES_TOML).await, place.replica_with(SCHEDULES_TOML).await);
    run_all_at_once(
        [a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() }),
    )
    .await;
    assert_eq!(a.queued_runs().await, ["full start"]);
    let run = a.claim().await.expect("claimed");
    let late = place.replica_with(SCHEDULES_TOML).await;
    late.fire_due().await;
    assert!(late.queued_runs().await.is_empty(), "one is worked on already");
    assert!(a.end(&run.id).await);
}

#[tokio::test]
async fn a_clock_that_was_wrong_once_does_not_silence_a_schedule() {
    let place = ReplicaSite::new().await;
    let a = place.replica_with(SCHEDULES_TOML).await;
    mark_chart_complete(&a.db, 1).await;
    a.fire_due().await;
    let year_2100 = 4_102_444_800_000;
    set_schedule_instants(&a.db, year_2100).await;
    let b = place.replica_with(SCHEDULES_TOML).await;
    b.fire_due().await;
    assert!(b.queued_runs().await.is_empty());
    place.clock.advance(Duration::from_secs(600));
    b.fire_due().await;
    assert_eq!(b.queued_runs().await, ["update cron"]);
}

#[tokio::test]
async fn who_asked_for_a_run_and_what_was_refused_is_in_the_audit_trail() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let cron = SyncRequest { kind: SyncKind::Update, cause: SyncCause::Cron, dry_run: false, force: false };
    a.request(cron.clone()).await;
    let id = a.request_run(SyncKind::Full, true).await;
    a.request(SyncRequest { cause: SyncCause::Api(ClientId::new("hr")), ..cron }).await;
    let run = a.claim().await.expect("claimed");
    let end = SyncRunEnd {
        status: SyncRunStatus::Refused,
        ..SyncRunEnd::failed(SyncRunReason::ExcessiveRemovals(ExcessiveRemovals::default()))
    };
    assert!(a.sync.queue().end(&run.id, &end).await.unwrap());
    let corp = CorpId::new(place.wecom.read(|world| world.corp_id.clone()));
    let rows = audit::store::list_rows(&a.db, &corp, None, Timestamp::from_millis(0), "", 100).await.unwrap();
    let rows = rows.iter().map(|row| format!("{} {} {}", row.event, row.decision, row.detail)).collect();
    let want = [
        format!("sync allowed full run {id}, forced, by command line"),
        format!("sync allowed update run {id}, by the API client hr"),
        format!("sync refused run {id}: {}", end.reason.expect("a reason").text().en),
    ];
    assert_eq!(sorted(rows), sorted(want.to_vec()));
}

#[tokio::test]
async fn old_runs_go_but_the_last_complete_one_stays() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let mut ids = Vec::new();
    for (status, complete) in [
        (SyncRunStatus::Done, true),
        (SyncRunStatus::Done, true),
        (SyncRunStatus::Done, false),
        (SyncRunStatus::Failed, false),
    ] {
        ids.push(a.request_run(SyncKind::Full, false).await);
        let run = a.claim().await.expect("claimed");
        let end = SyncRunEnd { status, complete, ..SyncRunEnd::failed(SyncRunReason::ProcessStopped) };
        assert!(a.sync.queue().end(&run.id, &end).await.unwrap());
        place.clock.advance(ONE_SECOND);
    }
    let waiting = a.request_run(SyncKind::Full, false).await;
    place.clock.advance(RUN_RETENTION + ONE_SECOND);
    while store::delete_runs_before(&a.db, place.clock.now().minus(RUN_RETENTION), 1).await.unwrap() > 0 {}
    let kept = a.sync.queue().list(100, None).await.expect("the database answers");
    let kept: Vec<String> = kept.iter().map(|run| run.id.to_string()).collect();
    assert_eq!(sorted(kept), sorted(vec![ids[1].to_string(), waiting.to_string()]));
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
