//! Keeping memory in step with the database: the steps that the supervisor repeats.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::live::Memory;
use super::{Sessions, keys, store};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, Sid};
use crate::db::feed::{self, Change, Kind};
use crate::directory;

/// How many feed entries one read takes.
const PAGE: i64 = 500;

/// How many changed persons one read takes.
const PERSONS: i64 = 2000;

/// Where a publication changed more persons than this, memory is forgotten instead: reading them all would take longer
/// than a refresh may, and each is read again at its next check.
const MANY_PERSONS: i64 = 20_000;

/// A pause after which following entry by entry is not worth it: everything is read again. The feed itself is
/// kept longer than this.
const TOO_LONG_AWAY: Duration = Duration::from_secs(24 * 3600);

/// A database that hangs must not stop us from noticing that memory grows old.
const REFRESH_LIMIT: Duration = Duration::from_secs(3);

/// How many last-used instants are written in one transaction, so that sign-ins never wait long for it.
const SEEN_BATCH: usize = 500;

/// While the last refresh succeeded and is not older than this, the database answers. Where it does not,
/// `gate.stale_after` says how long checks go on.
const HEALTHY: Duration = Duration::from_secs(2);

/// How far this clock may be behind the newest row before nobody is signed in by it.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Why memory could not be brought into step.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database failed.
    #[error("the database does not answer: {0}")]
    Store(#[from] sqlx::Error),
    /// The database hangs.
    #[error("the database does not answer within {} s", REFRESH_LIMIT.as_secs())]
    Late,
    /// The keys could not be read.
    #[error(transparent)]
    Keys(#[from] keys::KeyError),
}

impl Sessions {
    /// Whether memory may be trusted: the last refresh is young enough (DESIGN §4, the stale rule).
    pub fn memory_is_fresh(&self, now: Timestamp) -> bool {
        let age = now.since(Timestamp::from_millis(self.0.refreshed_at.load(Ordering::Acquire)));
        let failing = self.0.failing.load(Ordering::Acquire);
        // A clock that stepped back says nothing about age.
        let stepped_back = self.refreshed_at() > now;
        (age < self.0.settings.stale_after && !(stepped_back && failing)) || (age <= HEALTHY && !failing)
    }

    /// When memory last agreed with the database.
    pub fn refreshed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.0.refreshed_at.load(Ordering::Acquire))
    }

    /// Whether this clock is more than a minute behind the newest row: then it cannot be right, and nobody is
    /// signed in by it (DESIGN §7.1).
    pub fn clock_is_behind(&self) -> bool {
        let newest = Timestamp::from_millis(self.0.newest_row.load(Ordering::Acquire));
        newest.since(self.0.clock.now()) > CLOCK_SLACK
    }

    /// One step: reads what the feed brought since the last one. Run at least every 500 ms.
    ///
    /// # Errors
    /// If the database fails or does not answer in time; the next step begins where this one stopped.
    pub async fn refresh(&self) -> Result<(), FollowError> {
        let done = match tokio::time::timeout(REFRESH_LIMIT, self.read_feed()).await {
            Ok(done) => done,
            Err(_) => Err(FollowError::Late),
        };
        self.0.failing.store(done.is_err(), Ordering::Release);
        done
    }

    async fn read_feed(&self) -> Result<(), FollowError> {
        let mut position = self.0.position.lock().await;
        let began = self.0.clock.now();
        let newest = feed::newest_seq(&self.0.db).await?;
        // A number that went back is another database: a standby that was behind, or a backup.
        if newest < *position || began.since(self.refreshed_at()) > TOO_LONG_AWAY {
            self.0.memory.clear();
            self.reload_keys().await?;
            self.0.chart.store(Arc::new(directory::store::chart(&self.0.db, &self.0.settings.corp).await?));
            self.reload_bindings().await?;
            *position = newest;
        }
        let mut chart_changed = false;
        let mut read = *position;
        loop {
            let entries = feed::after(&self.0.db, read, PAGE).await?;
            let full = i64::try_from(entries.len()).is_ok_and(|n| n == PAGE);
            for entry in entries {
                chart_changed |= entry.kind == Some(Kind::Chart);
                self.apply(&entry).await?;
                // What announces a chart is read below; until then the position stays before it.
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

    async fn apply(&self, entry: &feed::Entry) -> Result<(), FollowError> {
        match entry.kind {
            Some(Kind::Session) => self.0.memory.end(&Sid::new(entry.id.as_str())),
            Some(Kind::Person) => {
                let id = PersonId::new(entry.id.as_str());
                if self.0.memory.knows(&id) {
                    let person = match store::find_person(&self.0.db, &self.0.settings.corp, &id).await {
                        Ok(person) => person,
                        // One row that nobody can read keeps one person out, and not everybody.
                        Err(sqlx::Error::Decode(error)) => {
                            tracing::error!(person = %id, %error, "A person's row cannot be read: nobody is let in by it");
                            None
                        }
                        Err(error) => return Err(error.into()),
                    };
                    self.0.memory.replace(&id, person.map(|p| self.interned(p)));
                }
            }
            Some(Kind::Key) => self.reload_keys().await?,
            // Read once, after all entries.
            Some(Kind::Chart) => {}
            Some(Kind::Binding) => self.reload_bindings().await?,
            // A newer version's kind may mean anything: read everything again.
            Some(Kind::Sessions) | None => self.0.memory.clear(),
        }
        Ok(())
    }

    /// Reads the published chart and the persons that it changed, then replaces both: nobody is decided about by the
    /// units of one version and the memberships of another for longer than that takes.
    async fn reload_chart(&self) -> sqlx::Result<()> {
        let (db, corp, memory) = (&self.0.db, &self.0.settings.corp, &self.0.memory);
        let before = self.0.chart.load().version();
        let chart = directory::store::chart(db, corp).await?;
        let many = chart.version() != before && store::count_changed(db, corp, before).await? > MANY_PERSONS;
        let mut persons = Vec::new();
        let mut after = (chart.version() != before && !many).then(String::new);
        while let Some(start) = after {
            let page = store::changed(db, corp, before, &start, PERSONS, |id| memory.knows(id)).await?;
            persons.extend(page.0);
            after = page.1;
        }
        self.0.chart.store(Arc::new(chart));
        if many {
            memory.clear();
        }
        for person in persons {
            let person = self.interned(person);
            memory.replace(&person.id.clone(), Some(person));
        }
        Ok(())
    }

    async fn reload_bindings(&self) -> sqlx::Result<()> {
        let bindings = directory::bindings::store::all(&self.0.db, &self.0.settings.corp).await?;
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
        if let Some(newest) = audit::store::newest(&self.0.db).await? {
            self.0.newest_row.store(newest.millis(), Ordering::Release);
        }
        Ok(())
    }

    /// One step: writes when sessions were last used, so that other replicas and a restart know. What a crash
    /// loses makes a session idle a little earlier, never later.
    ///
    /// # Errors
    /// If the database fails; the next step tries again.
    pub async fn write_seen(&self) -> sqlx::Result<usize> {
        let step = (self.0.settings.idle / 8).min(Duration::from_secs(300));
        self.write_seen_older_than(step).await
    }

    /// As [`Sessions::write_seen`], for everything: before the process ends.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_all_seen(&self) -> sqlx::Result<usize> {
        self.write_seen_older_than(Duration::from_secs(1)).await
    }

    async fn write_seen_older_than(&self, step: Duration) -> sqlx::Result<usize> {
        let mut due = self.0.memory.unwritten(step);
        due.sort_by(|a, b| a.sid.cmp(&b.sid));
        for batch in due.chunks(SEEN_BATCH) {
            // In the order of their ids, so that two replicas never wait for each other's rows in a circle.
            let seen: Vec<_> = batch.iter().map(|live| (live.sid.clone(), live.seen())).collect();
            store::write_seen(&self.0.db, &seen).await?;
            for (live, (_, at)) in batch.iter().zip(&seen) {
                Memory::written(live, *at);
            }
        }
        Ok(due.len())
    }

    /// One step: forgets what expired.
    pub fn sweep(&self) {
        let now = self.0.clock.now();
        self.0.memory.sweep(now);
        self.0.assertions.pin().retain(|_, (made, _)| now.since(*made) < super::assertion::ASSERTION_TTL);
    }

    /// Makes a new signing key: published at once, signing after the JWKS max-age. Answers its kid and from when
    /// on it signs.
    ///
    /// # Errors
    /// If the database fails or no key can be made.
    pub async fn rotate_key(&self, entry: &audit::Entry) -> Result<(String, Timestamp), keys::KeyError> {
        let now = self.0.clock.now();
        let signs_from = now.plus(keys::JWKS_MAX_AGE);
        let mut change = Change::begin(&self.0.db, &self.0.settings.corp, now).await?;
        let kid = keys::add(&mut change, &self.0.sealer, signs_from).await?;
        let corp = change.corp().clone();
        audit::store::insert(change.tx(), &corp, entry, now).await?;
        change.commit().await?;
        Ok((kid, signs_from))
    }
}
