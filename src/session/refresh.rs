//! Keeps the sessions in memory in step with the database, in steps that the supervisor repeats.

use std::time::Duration;

use super::memory::SessionMemory;
use super::{SessionPerson, Sessions, store};
use crate::base::id::{PersonId, Sid};
use crate::db::error::is_unreadable_row;
use crate::db::feed::{FeedEntry, FeedKind};
use crate::directory::chart::Chart;
use crate::directory::present::store as present;
use crate::replica::{FeedFollower, RefreshError};

/// The number of changed persons that one query reads.
const PERSON_PAGE_SIZE: i64 = 2000;

/// If a publication changed more persons than this, memory is cleared instead. Reading them all
/// would take longer than a refresh may, and each is read again at its next check.
const MAX_RELOADED_PERSONS: i64 = 20_000;

/// The number of last uses that one transaction writes, so that sign-ins never wait long for it.
const LAST_SEEN_BATCH_SIZE: usize = 500;

/// The persons that a new chart changed.
#[derive(Debug)]
pub(crate) enum ChangedPersons {
    /// Those whom memory holds; `None` where the row cannot be read.
    Read(Vec<(PersonId, Option<SessionPerson>)>),
    /// Too many to be read in a refresh.
    TooMany,
}

impl FeedFollower for Sessions {
    type Persons = ChangedPersons;

    async fn start_over(&self) -> sqlx::Result<()> {
        self.0.memory.clear();
        self.0.keys.reload().await
    }

    async fn apply_entry(&self, entry: &FeedEntry) -> sqlx::Result<()> {
        match entry.kind {
            Some(FeedKind::Session) => self.0.memory.end_session(&Sid::new(entry.id.as_str())),
            Some(FeedKind::Person) => self.reload_person(&PersonId::new(entry.id.as_str())).await?,
            Some(FeedKind::Key) => self.0.keys.reload().await?,
            // The replica's own.
            Some(FeedKind::Chart | FeedKind::Binding) => {}
            // A kind from a newer version may mean anything: read everything again.
            Some(FeedKind::Sessions) | None => self.0.memory.clear(),
        }
        Ok(())
    }

    async fn read_persons(&self, before: i64, chart: &Chart) -> sqlx::Result<ChangedPersons> {
        let mut persons = Vec::new();
        if chart.version() == before {
            return Ok(ChangedPersons::Read(persons));
        }
        let (db, corp, memory) = (&self.0.db, &self.0.settings.corp, &self.0.memory);
        if present::count_changed(db, corp, before).await? > MAX_RELOADED_PERSONS {
            return Ok(ChangedPersons::TooMany);
        }
        let mut after = Some(String::new());
        while let Some(start) = after {
            let page = present::list_changed(db, corp, before, &start, PERSON_PAGE_SIZE, |id| {
                memory.knows_person(id)
            })
            .await?;
            persons.extend(page.0.into_iter().map(|(id, person)| (id, person.map(SessionPerson::from))));
            after = page.1;
        }
        Ok(ChangedPersons::Read(persons))
    }

    fn replace_persons(&self, persons: ChangedPersons) {
        let persons = match persons {
            ChangedPersons::Read(persons) => persons,
            ChangedPersons::TooMany => return self.0.memory.clear(),
        };
        for (id, person) in persons {
            self.0.memory.replace_person(&id, person.map(|person| self.intern_units(person)));
        }
    }
}

impl Sessions {
    /// Reads the feed entries since the last call. Runs at least every 500 ms.
    ///
    /// # Errors
    /// If the database fails or does not answer in time; the next step begins where this one
    /// stopped.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        self.0.replica.refresh(self).await
    }

    /// Reads a person again whom a session in memory holds.
    async fn reload_person(&self, id: &PersonId) -> sqlx::Result<()> {
        if !self.0.memory.knows_person(id) {
            return Ok(());
        }
        let person = match store::find_person(&self.0.db, &self.0.settings.corp, id).await {
            Ok(person) => person,
            // An unreadable row keeps one person out, and not everybody.
            Err(error) if is_unreadable_row(&error) => {
                tracing::error!(person = %id, %error, "A person's row cannot be read: nobody is let in by it");
                None
            }
            Err(error) => return Err(error),
        };
        self.0.memory.replace_person(id, person.map(|p| self.intern_units(p)));
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
}
