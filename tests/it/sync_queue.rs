//! Runs of the synchronisation: one at a time across replicas, one waiting, none lost; and when they are due.

use std::time::Duration;

use gongpai::base::id::ClientId;
use gongpai::sync::progress::{Progress, Snapshot};
use gongpai::sync::queue::{Cause, End, KEPT, LEASE, Request, Status, store};
use gongpai::sync::remote::Kind;
use gongpai::sync::run::Worked;
use tokio_util::sync::CancellationToken;

use crate::support::app::at_once;
use crate::support::replica::{Place, Replica};

const SECOND: Duration = Duration::from_secs(1);

/// Every ten minutes at second 10; everything at 08:45:10 and 12:45:10.
const CRONS: &str = "[wecom]\nsync_cron = \"10 0/10 * * * ?\"\nforce_sync_cron = \"10 45 8,12 * * ?\"";

#[tokio::test]
async fn one_run_is_worked_on_at_a_time_whoever_claims() {
    let place = Place::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.ask(Kind::Full, false).await;
    let claims = at_once((0..8).map(|n| {
        let sync = if n % 2 == 0 { a.sync.clone() } else { b.sync.clone() };
        async move { sync.queue().claim().await.expect("the database answers") }
    }))
    .await;
    let claimed: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!((&claimed[0].id, claimed[0].status), (&id, Status::Running));
    b.ask(Kind::Update, false).await;
    assert!(a.claim().await.is_none() && b.claim().await.is_none(), "the next one waits for the end");
    assert!(a.end(&id).await != b.end(&id).await, "only its holder ends it");
    assert_eq!(b.claim().await.expect("the next one").kind, Kind::Update);
}

#[tokio::test]
async fn a_second_trigger_queues_exactly_one_more_which_is_as_strong_as_both() {
    let place = Place::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let running = a.ask(Kind::Update, false).await;
    a.claim().await.expect("claimed");
    let next = a.ask(Kind::Update, false).await;
    assert_ne!(next, running);
    assert_eq!(b.ask(Kind::Full, false).await, next);
    assert_eq!(a.ask(Kind::Update, true).await, next);
    let run = a.find(&next).await;
    assert_eq!((run.kind, run.force, run.status), (Kind::Full, true, Status::Queued));
    let rehearsal = b.rehearse().await;
    assert_ne!(rehearsal, next, "a rehearsal never becomes a run that writes");
    assert_eq!(a.rehearse().await, rehearsal);
}

#[tokio::test]
async fn requests_at_the_same_moment_become_one() {
    let place = Place::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let ids = at_once((0..12).map(|n| {
        let sync = if n % 2 == 0 { a.sync.clone() } else { b.sync.clone() };
        let kind = if n == 7 { Kind::Full } else { Kind::Update };
        let request = Request { kind, cause: Cause::Cron, dry_run: false, force: false };
        async move { sync.request(request).await.expect("asked for") }
    }))
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(a.find(&ids[0]).await.kind, Kind::Full);
}

#[tokio::test]
async fn a_run_whose_process_was_killed_fails_and_another_one_takes_its_place() {
    let place = Place::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.ask(Kind::Full, true).await;
    a.claim().await.expect("claimed");
    place.clock.advance(LEASE - SECOND);
    assert!(
        a.sync.queue().renew(&id, Snapshot::default()).await.unwrap(),
        "as long as it says so it is its own"
    );
    place.clock.advance(LEASE - SECOND);
    assert!(b.claim().await.is_none());
    place.clock.advance(SECOND);
    let again = b.claim().await.expect("the lease is over");
    assert_ne!(again.id, id);
    assert_eq!((again.kind, again.force, again.cause.as_str()), (Kind::Full, true, "again"));
    let killed = a.find(&id).await;
    assert_eq!(killed.status, Status::Failed);
    assert!(killed.reason.contains("ended without a word"), "{}", killed.reason);
    assert!(!a.sync.queue().renew(&id, Snapshot::default()).await.unwrap(), "it comes back too late");
    assert!(!a.end(&id).await);
}

#[tokio::test]
async fn a_rehearsal_whose_process_was_killed_is_not_repeated() {
    let place = Place::new().await;
    let (a, b) = (place.replica().await, place.replica().await);
    let id = a.rehearse().await;
    a.claim().await.expect("claimed");
    place.clock.advance(LEASE);
    assert!(b.claim().await.is_none());
    assert_eq!(b.find(&id).await.status, Status::Failed);
    assert!(b.waiting().await.is_empty());
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_what_was_cut_off_joins_it() {
    let place = Place::new().await;
    let before = place.replica().await;
    before.ask(Kind::Full, true).await;
    before.claim().await.expect("claimed");
    let waiting = before.ask(Kind::Update, false).await;
    before.db.close().await;
    drop(before);
    let after = place.replica().await;
    assert!(after.claim().await.is_none(), "the lease still holds");
    place.clock.advance(LEASE);
    let run = after.claim().await.expect("what waited");
    assert_eq!((run.id, run.kind, run.force), (waiting, Kind::Full, true), "it does the work of both");
    assert!(after.waiting().await.is_empty());
}

#[tokio::test]
async fn a_run_that_a_stop_cuts_off_waits_again() {
    let place = Place::new().await;
    // Takes connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", deaf.local_addr().unwrap());
    let a = place.replica_with(&format!("[wecom]\napi_address = {address:?}")).await;
    let id = a.ask(Kind::Full, false).await;
    let stop = CancellationToken::new();
    let watched = async {
        while a.find(&id).await.status != Status::Running {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(a.sync.work_until(stop.clone()), watched) };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("a stop does not wait for WeCom");
    let run = a.find(&id).await;
    assert_eq!((run.status, run.started_at), (Status::Queued, None));
    let b = place.replica().await;
    assert_eq!(b.claim().await.expect("taken up at once").id, id);
}

#[tokio::test]
async fn a_run_put_back_where_another_one_waits_leaves_its_work_to_that_one() {
    let place = Place::new().await;
    let a = place.replica().await;
    let first = a.ask(Kind::Full, true).await;
    let run = a.claim().await.expect("claimed");
    let second = a.ask(Kind::Update, false).await;
    a.sync.queue().hand_back(&run).await.unwrap();
    assert_eq!(a.find(&first).await.status, Status::Failed);
    let run = a.claim().await.expect("the other one");
    assert_eq!((run.id, run.kind, run.force), (second, Kind::Full, true));
}

#[tokio::test]
async fn a_run_that_cannot_be_made_fails_and_says_why() {
    let place = Place::new().await;
    for (toml, part) in [
        ("[wecom]\nenable = false", "wecom.enable"),
        ("[wecom]\napp_secret = \"\"", "wecom.app_secret"),
        ("[wecom]\napp_secret = \"another\"", "40001"),
        ("[wecom]\napp_secret = \"another\"", "「应用管理"),
    ] {
        let a = place.replica_with(toml).await;
        let id = a.ask(Kind::Full, false).await;
        let run = a.claim().await.expect("claimed");
        let worked = a.sync.work(&run, &Progress::default()).await;
        assert_eq!(worked, Worked::Ended(Status::Failed), "{toml}");
        let run = a.find(&id).await;
        assert!(run.reason.contains(part), "{toml}: {}", run.reason);
        assert!(run.finished_at.is_some());
        assert!(a.claim().await.is_none(), "nothing goes on by itself");
    }
}

#[tokio::test]
async fn a_schedule_fires_once_however_many_replicas_look() {
    let place = Place::new().await;
    let (a, b) = (place.replica_with(CRONS).await, place.replica_with(CRONS).await);
    complete_chart(&a).await;
    a.fire().await;
    b.fire().await;
    assert!(a.waiting().await.is_empty(), "a new schedule is not due before its time");
    place.clock.advance(Duration::from_secs(9));
    a.fire().await;
    assert!(a.waiting().await.is_empty(), "nine seconds past the hour");
    place.clock.advance(SECOND);
    at_once([a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() })).await;
    assert_eq!(a.waiting().await, ["update cron"]);
    let run = a.claim().await.expect("claimed");
    b.fire().await;
    a.fire().await;
    assert!(a.waiting().await.is_empty(), "it fired already");
    assert!(a.end(&run.id).await);
    place.clock.advance(Duration::from_secs(600));
    at_once([a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() })).await;
    assert_eq!(b.waiting().await, ["update cron"], "and the next time");
}

#[tokio::test]
async fn firings_that_were_missed_are_one_and_the_thorough_one_wins() {
    let place = Place::new().await;
    let before = place.replica_with(CRONS).await;
    complete_chart(&before).await;
    before.fire().await;
    drop(before);
    place.clock.advance(Duration::from_secs(3 * 24 * 3600 + 30));
    let after = place.replica_with(CRONS).await;
    for _ in 0..3 {
        after.fire().await;
        place.clock.advance(SECOND);
    }
    assert_eq!(after.waiting().await, ["full cron"]);
}

#[tokio::test]
async fn the_first_start_reads_everything_at_once() {
    let place = Place::new().await;
    let quiet = place.replica().await;
    quiet.fire().await;
    assert!(quiet.waiting().await.is_empty(), "without a schedule nothing runs by itself");
    let off = place.replica_with("[wecom]\nenable = false\nsync_cron = \"10 0/10 * * * ?\"").await;
    off.fire().await;
    place.clock.advance(Duration::from_secs(3600));
    off.fire().await;
    assert!(off.waiting().await.is_empty(), "nor while WeCom is switched off");
    let (a, b) = (place.replica_with(CRONS).await, place.replica_with(CRONS).await);
    at_once([a.sync.clone(), b.sync.clone()].map(|sync| async move { sync.fire_due().await.unwrap() })).await;
    assert_eq!(a.waiting().await, ["full start"]);
    let run = a.claim().await.expect("claimed");
    let late = place.replica_with(CRONS).await;
    late.fire().await;
    assert!(late.waiting().await.is_empty(), "one is worked on already");
    assert!(a.end(&run.id).await);
}

#[tokio::test]
async fn a_clock_that_was_wrong_once_does_not_silence_a_schedule() {
    let place = Place::new().await;
    let a = place.replica_with(CRONS).await;
    complete_chart(&a).await;
    a.fire().await;
    let far = "UPDATE schedules SET last_at = 4102444800000";
    sqlx::query(far).execute(a.db.pool()).await.expect("a clock in 2100");
    let b = place.replica_with(CRONS).await;
    b.fire().await;
    assert!(b.waiting().await.is_empty());
    place.clock.advance(Duration::from_secs(600));
    b.fire().await;
    assert_eq!(b.waiting().await, ["update cron"]);
}

#[tokio::test]
async fn who_asked_for_a_run_and_what_was_refused_is_in_the_audit_trail() {
    let place = Place::new().await;
    let a = place.replica().await;
    let cron = Request { kind: Kind::Update, cause: Cause::Cron, dry_run: false, force: false };
    a.request(cron.clone()).await;
    let id = a.ask(Kind::Full, true).await;
    a.request(Request { cause: Cause::Api(ClientId::new("hr")), ..cron }).await;
    let run = a.claim().await.expect("claimed");
    let end = End { status: Status::Refused, ..End::failed("The run would let 40 of 100 persons leave.") };
    assert!(a.sync.queue().end(&run.id, &end).await.unwrap());
    let rows = a
        .texts("SELECT event || ' ' || decision || ' ' || detail FROM audit WHERE event = 'sync' ORDER BY id")
        .await;
    let want = [
        format!("sync allowed full run {id}, forced, by command line"),
        format!("sync allowed update run {id}, by the API client hr"),
        format!("sync refused run {id}: The run would let 40 of 100 persons leave."),
    ];
    assert_eq!(sorted(rows), sorted(want.to_vec()));
}

#[tokio::test]
async fn old_runs_go_but_the_last_complete_one_stays() {
    let place = Place::new().await;
    let a = place.replica().await;
    let mut ids = Vec::new();
    for (status, complete) in
        [(Status::Done, true), (Status::Done, true), (Status::Done, false), (Status::Failed, false)]
    {
        ids.push(a.ask(Kind::Full, false).await);
        let run = a.claim().await.expect("claimed");
        let end = End { status, complete, ..End::failed("") };
        assert!(a.sync.queue().end(&run.id, &end).await.unwrap());
        place.clock.advance(SECOND);
    }
    let waiting = a.ask(Kind::Full, false).await;
    place.clock.advance(KEPT + SECOND);
    while store::delete_before(&a.db, place.clock.now().minus(KEPT), 1).await.unwrap() > 0 {}
    let kept = a.texts("SELECT id FROM sync_runs ORDER BY id").await;
    assert_eq!(sorted(kept), sorted(vec![ids[1].to_string(), waiting.to_string()]));
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

/// Pretends that a run read everything once.
async fn complete_chart(replica: &Replica) {
    sqlx::query("UPDATE charts SET complete_at = 1").execute(replica.db.pool()).await.expect("a chart");
}
