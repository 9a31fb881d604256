//! Requests runs by schedule. Two schedules exist; each firing counts once, on any number of
//! replicas.
//!
//! The database stores when a schedule last fired. A replica that finds it due moves that instant
//! forward and requests the run in one transaction; a second replica finds the instant moved.
//! Firings missed while no process ran count as one.

mod store;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::SyncService;
use super::queue::{self, SyncRequest};
use super::state::{SyncCause, SyncKind};
use crate::base::clock::Timestamp;
use crate::base::cron::Schedule;
use crate::db::error::is_unique_violation;
use crate::directory;

/// The longest time between two looks at the database. Clocks get corrected, so a computed due time
/// is not trusted for longer.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A last firing further in the future than this was written by a clock that was wrong.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What this process remembers, so that it does not ask the database every second.
#[derive(Debug, Default)]
pub(super) struct ScheduleChecks {
    /// Whether the check for a missing chart, due once after the start, is done.
    is_first_run_settled: AtomicBool,
    /// Per schedule: when it was checked and when it is due; `None` if it never is.
    next_due: Mutex<HashMap<SyncKind, (Timestamp, Option<Timestamp>)>>,
}

impl SyncService {
    /// Requests the runs that are due now; called every second. The first call also requests a run
    /// if there is no chart yet.
    ///
    /// # Errors
    /// If the database fails; the next call tries again.
    pub async fn fire_due(&self) -> sqlx::Result<()> {
        let settings = &self.inner.settings;
        if settings.find_obstacle().is_some() || (settings.update.is_none() && settings.full.is_none()) {
            return Ok(());
        }
        let now = self.inner.clock.now();
        if !self.inner.schedule_checks.is_first_run_settled.load(Ordering::Relaxed) {
            self.request_first_run(now).await?;
            self.inner.schedule_checks.is_first_run_settled.store(true, Ordering::Relaxed);
        }
        for (kind, schedule) in [(SyncKind::Full, &settings.full), (SyncKind::Update, &settings.update)] {
            let Some(schedule) = schedule else { continue };
            if self.is_known_to_wait(kind, now) {
                continue;
            }
            if let Some(next) = self.check_schedule(kind, schedule, now).await? {
                self.inner.schedule_checks.next_due.lock().insert(kind, (now, next));
            }
        }
        Ok(())
    }

    /// Returns whether a recent check found that the schedule is due later.
    fn is_known_to_wait(&self, kind: SyncKind, now: Timestamp) -> bool {
        let known = self.inner.schedule_checks.next_due.lock().get(&kind).copied();
        known.is_some_and(|(looked, next)| {
            looked <= now && now.since(looked) < MAX_CHECK_INTERVAL && next.is_none_or(|next| next > now)
        })
    }

    /// Fires a schedule if it is due. Returns when it is due next; the outer `None` means that it
    /// must be checked again at once.
    async fn check_schedule(
        &self,
        kind: SyncKind,
        schedule: &Schedule,
        now: Timestamp,
    ) -> sqlx::Result<Option<Option<Timestamp>>> {
        let (db, corp) = (&self.inner.db, &self.inner.settings.corp);
        let Some(last) = store::find_last_fired(db, corp, kind).await? else {
            let mut tx = db.write().await?;
            store::insert_schedule(&mut tx, corp, kind, now).await?;
            tx.commit().await?;
            return Ok(Some(schedule.next_after(now)));
        };
        // Left alone, a last firing in the future would stop the schedule until then.
        let wrong = last > now.plus(MAX_CLOCK_SKEW);
        match schedule.next_after(last).filter(|_| !wrong) {
            None if !wrong => return Ok(Some(None)),
            Some(due) if due > now => return Ok(Some(Some(due))),
            _ => {}
        }
        let mut tx = db.write().await?;
        // Another replica fired this schedule first.
        if !store::advance_schedule(&mut tx, corp, kind, last, now).await? {
            tx.rollback().await?;
            return Ok(Some(schedule.next_after(now)));
        }
        if !wrong {
            let request = SyncRequest { kind, cause: SyncCause::Cron, dry_run: false, force: false };
            match self.inner.queue.enqueue(&mut tx, &request, now).await {
                Ok(Some(_)) => {}
                // Another request or claim came first. Rolling back also undoes the firing, and the
                // next step repeats it a second later.
                Ok(None) => return tx.rollback().await.map(|()| None),
                Err(error) if is_unique_violation(&error) => return tx.rollback().await.map(|()| None),
                Err(error) => return Err(error),
            }
        }
        tx.commit().await?;
        self.inner.queue.wake_worker();
        Ok(Some(schedule.next_after(now)))
    }

    /// Requests a full run if no complete run ever ended, so that a new installation does not wait
    /// for its schedule.
    async fn request_first_run(&self, now: Timestamp) -> sqlx::Result<()> {
        let (db, corp) = (&self.inner.db, &self.inner.settings.corp);
        if directory::store::published_version(db, corp).await?.1.is_some() {
            return Ok(());
        }
        let mut tx = db.write().await?;
        if queue::store::is_under_way(&mut tx, corp).await? {
            return tx.rollback().await;
        }
        let request =
            SyncRequest { kind: SyncKind::Full, cause: SyncCause::FirstStart, dry_run: false, force: false };
        match self.inner.queue.enqueue(&mut tx, &request, now).await {
            Ok(Some(_)) => {
                tx.commit().await?;
                self.inner.queue.wake_worker();
                Ok(())
            }
            // Another replica came first.
            Ok(None) => tx.rollback().await,
            Err(error) if is_unique_violation(&error) => tx.rollback().await,
            Err(error) => Err(error),
        }
    }
}
