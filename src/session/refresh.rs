//! Keeps memory in step with the database, in steps that the supervisor repeats.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::memory::SessionMemory;
use super::{Sessions, keys, store};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, Sid};
use crate::db::feed::{self, FeedKind, FeedTransaction};
use crate::directory;

/// The number of feed entries that one query reads.
const FEED_PAGE_SIZE: i64 = 500;

/// The number of changed persons that one query reads.
const PERSON_PAGE_SIZE: i64 = 2000;

/// If a publication changed more persons than this, memory is cleared instead. Reading them all
/// would take longer than a refresh may, and each is read again at its next check.
const MAX_RELOADED_PERSONS: i64 = 20_000;

/// After a longer pause everything is read again instead of entry by entry. The feed keeps its
/// entries for longer than this.
const MAX_FEED_GAP: Duration = Duration::from_secs(24 * 3600);

/// The time limit of one refresh. A database that hangs must not keep us from noticing that memory
/// grows old.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of last uses that one transaction writes, so that sign-ins never wait long for it.
const LAST_SEEN_BATCH_SIZE: usize = 500;

/// The database counts as answering while the last refresh succeeded and is not older than this.
/// Otherwise `gate.stale_after` says how long checks go on.
const MAX_HEALTHY_AGE: Duration = Duration::from_secs(2);

/// How far this clock may be behind the newest row before nobody is signed in any more.
const MAX_CLOCK_LAG: Duration = Duration::from_secs(60);

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("the database does not answer: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the database does not answer within {} s", REFRESH_TIMEOUT.as_secs())]
    Late,
    #[error(transparent)]
    Keys(#[from] keys::KeyError),
}

impl Sessions {
    /// Returns whether memory may be trusted: the last refresh is recent enough ([design: the stale
    /// rule](crate::design#the-stale-rule)).
    pub fn memory_is_fresh(&self, now: Timestamp) -> bool {
        let age = now.since(Timestamp::from_millis(self.0.refreshed_at.load(Ordering::Acquire)));
        let failing = self.0.refresh_failed.load(Ordering::Acquire);
        // After the clock was set back, the age means nothing.
        let stepped_back = self.refreshed_at() > now;
        (age < self.0.settings.stale_after && !(stepped_back && failing))
            || (age <= MAX_HEALTHY_AGE && !failing)
    }

    /// Returns when memory last agreed with the database.
    pub fn refreshed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.0.refreshed_at.load(Ordering::Acquire))
    }

    /// Returns whether this clock is more than a minute behind the newest row. Then it cannot be
    /// right, and nobody is signed in by it ([design: clock](crate::design#clock)).
    pub fn clock_is_behind(&self) -> bool {
        let newest = Timestamp::from_millis(self.0.newest_row_at.load(Ordering::Acquire));
        newest.since(self.0.clock.now()) > MAX_CLOCK_LAG
    }

    /// Reads the feed entries since the last call. Runs at least every 500 ms.
    ///
    /// # Errors
    /// If the database fails or does not answer in time; the next step begins where this one
    /// stopped.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        let done = match tokio::time::timeout(REFRESH_TIMEOUT, self.read_feed()).await {
            Ok(done) => done,
            Err(_) => Err(RefreshError::Late),
        };
        self.0.refresh_failed.store(done.is_err(), Ordering::Release);
        done
    }

    async fn read_feed(&self) -> Result<(), RefreshError> {
        // One refresh at a time: entries must be applied in their order.
        let mut position = self.0.feed_position.lock().await;
        let began = self.0.clock.now();
        let newest = feed::read_newest_seq(&self.0.db).await?;
        // A sequence number that went back means another database: a standby that was behind, or a
        // restored backup.
        if newest < *position || began.since(self.refreshed_at()) > MAX_FEED_GAP {
            self.0.memory.clear();
            self.reload_keys().await?;
            self.0
                .chart
                .store(Arc::new(directory::store::load_chart(&self.0.db, &self.0.settings.corp).await?));
            self.reload_bindings().await?;
            *position = newest;
        }
        let mut chart_changed = false;
        let mut read = *position;
        loop {
            let entries = feed::list_entries_after(&self.0.db, read, FEED_PAGE_SIZE).await?;
            let full = i64::try_from(entries.len()).is_ok_and(|n| n == FEED_PAGE_SIZE);
            for entry in entries {
                chart_changed |= entry.kind == Some(FeedKind::Chart);
                self.apply_entry(&entry).await?;
                // The chart is read after the loop. Until then the position stays before the entry
                // that announced it.
                if !chart_changed {
                    *position = entry.seq;
                }
                read = entry.seq;
            }
            if !full {
                break;
            }
        }
        if chart_changed {
            self.reload_chart().await?;
        }
        *position = read;
        self.read_newest_row().await?;
        self.0.refreshed_at.store(began.millis(), Ordering::Release);
        Ok(())
    }

    async fn apply_entry(&self, entry: &feed::FeedEntry) -> Result<(), RefreshError> {
        match entry.kind {
            Some(FeedKind::Session) => self.0.memory.end_session(&Sid::new(entry.id.as_str())),
            Some(FeedKind::Person) => {
                let id = PersonId::new(entry.id.as_str());
                if self.0.memory.knows_person(&id) {
                    let person = match store::find_person(&self.0.db, &self.0.settings.corp, &id).await {
                        Ok(person) => person,
                        // An unreadable row keeps one person out, and not everybody.
                        Err(sqlx::Error::Decode(error)) => {
                            tracing::error!(person = %id, %error, "A person's row cannot be read: nobody is let in by it");
                            None
                        }
                        Err(error) => return Err(error.into()),
                    };
                    self.0.memory.replace_person(&id, person.map(|p| self.intern_units(p)));
                }
            }
            Some(FeedKind::Key) => self.reload_keys().await?,
            // The chart is read once, after all entries.
            Some(FeedKind::Chart) => {}
            Some(FeedKind::Binding) => self.reload_bindings().await?,
            // A kind from a newer version may mean anything: read everything again.
            Some(FeedKind::Sessions) | None => self.0.memory.clear(),
        }
        Ok(())
    }

    /// Reads the published chart and the persons that it changed, then replaces both.
    ///
    /// No decision uses the units of one version and the memberships of another for longer than the
    /// replacement takes.
    async fn reload_chart(&self) -> sqlx::Result<()> {
        let (db, corp, memory) = (&self.0.db, &self.0.settings.corp, &self.0.memory);
        let before = self.0.chart.load().version();
        let chart = directory::store::load_chart(db, corp).await?;
        let many = chart.version() != before
            && store::count_changed_persons(db, corp, before).await? > MAX_RELOADED_PERSONS;
        let mut persons = Vec::new();
        let mut after = (chart.version() != before && !many).then(String::new);
        while let Some(start) = after {
            let page = store::list_changed_persons(db, corp, before, &start, PERSON_PAGE_SIZE, |id| {
                memory.knows_person(id)
            })
            .await?;
            persons.extend(page.0);
            after = page.1;
        }
        self.0.chart.store(Arc::new(chart));
        if many {
            memory.clear();
        }
        for person in persons {
            let person = self.intern_units(person);
            memory.replace_person(&person.id.clone(), Some(person));
        }
        Ok(())
    }

    async fn reload_bindings(&self) -> sqlx::Result<()> {
        let bindings = directory::bindings::store::load_bindings(&self.0.db, &self.0.settings.corp).await?;
        self.0.bindings.store(Arc::new(bindings));
        Ok(())
    }

    pub(super) async fn reload_keys(&self) -> Result<(), keys::KeyError> {
        let loaded = keys::load(&self.0.db, &self.0.sealer).await?;
        for kid in &loaded.mismatched {
            tracing::error!(
                kid,
                "The public half of a signing key in the database does not belong to its private half: the key is not used"
            );
        }
        self.0.keys.store(Arc::new(loaded));
        Ok(())
    }

    pub(super) async fn read_newest_row(&self) -> sqlx::Result<()> {
        if let Some(newest) = audit::store::read_newest_instant(&self.0.db).await? {
            self.0.newest_row_at.store(newest.millis(), Ordering::Release);
        }
        Ok(())
    }

    /// Writes when sessions were last used, for other replicas and for a restart. What a crash
    /// loses makes a session idle a little earlier, never later.
    ///
    /// # Errors
    /// If the database fails; the next step tries again.
    pub async fn write_last_seen(&self) -> sqlx::Result<usize> {
        let step = (self.0.settings.idle / 8).min(Duration::from_secs(300));
        self.write_last_seen_older_than(step).await
    }

    /// Like [`Sessions::write_last_seen`], but for every session: before the process ends.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_all_last_seen(&self) -> sqlx::Result<usize> {
        self.write_last_seen_older_than(Duration::from_secs(1)).await
    }

    async fn write_last_seen_older_than(&self, step: Duration) -> sqlx::Result<usize> {
        let mut due = self.0.memory.unwritten_sessions(step);
        due.sort_by(|a, b| a.sid.cmp(&b.sid));
        for batch in due.chunks(LAST_SEEN_BATCH_SIZE) {
            // Ordered by id, so that two replicas never deadlock on each other's rows.
            let seen: Vec<_> = batch.iter().map(|live| (live.sid.clone(), live.last_seen())).collect();
            store::write_last_seen(&self.0.db, &seen).await?;
            for (live, (_, at)) in batch.iter().zip(&seen) {
                SessionMemory::mark_written(live, *at);
            }
        }
        Ok(due.len())
    }

    /// Removes what has expired from memory.
    pub fn sweep(&self) {
        let now = self.0.clock.now();
        self.0.memory.sweep(now);
        self.0.assertions.pin().retain(|_, (made, _)| now.since(*made) < super::assertion::ASSERTION_TTL);
    }

    /// Makes a new signing key, which is published at once and signs after the JWKS max-age.
    /// Returns its kid and the instant from which it signs.
    ///
    /// # Errors
    /// If the database fails or no key can be made.
    pub async fn rotate_key(&self, entry: &audit::AuditEntry) -> Result<(String, Timestamp), keys::KeyError> {
        let now = self.0.clock.now();
        let signs_from = now.plus(keys::JWKS_MAX_AGE);
        let mut change = FeedTransaction::begin(&self.0.db, &self.0.settings.corp, now).await?;
        let kid = keys::add_key(&mut change, &self.0.sealer, signs_from).await?;
        let corp = change.corp().clone();
        audit::store::insert_entry(change.tx(), &corp, entry, now).await?;
        change.commit().await?;
        Ok((kid, signs_from))
    }
}
