//! From a message to its recipients, as the directory is now: one row a member, however often it was addressed.
//!
//! Written in chunks, with how far it got beside them: a process that dies goes on where it was, and what was written
//! twice is one row, because a member is a recipient of a message once.
//!
//! In the order of acceptance: nothing of a message is written while an earlier one is not written completely, or another
//! replica could plan the later one first. Left out of that are those that are not to begin yet or were recalled, and those
//! that cannot be read or written, which are tried again later ([`Stuck`]).
//!
//! A tag names userids. Of one that the directory does not know nothing is known, not even whether the application may
//! see it: it is left out of the recipients, silently, as is a person whose row cannot be read.

pub(super) mod store;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;

use super::expire::TRIED;
use crate::base::clock::Timestamp;
use crate::base::id::{MessageId, PersonId, UnitId, UserId};
use crate::directory::chart::Chart;
use crate::message::accept::is_about_content;
use crate::message::{Member, Messages, Targets, store as shared};

/// How many rows one transaction writes.
const CHUNK: usize = 500;

/// How many messages are read at a time, and how many small ones one transaction is about at the most.
const MESSAGES: usize = 200;

/// How many characters of targets are read at a time, if it is more than one message: 10 000 userids are half of that.
const TEXTS: i64 = 1_000_000;

/// How many recipients a small message has at the most.
const SMALL: usize = 5;

/// When a message is tried again that could not be read or written.
const STUCK: Duration = Duration::from_secs(60);

/// How many persons are read at a time when units or tags are looked up.
const PERSONS: i64 = 2000;

/// How long a body that others may have too waits for their company.
pub(super) const LINGER: Duration = Duration::from_millis(150);

const NOBODY: &str = "Nobody is in the units and tags that it is for.";

/// A message whose recipients are not all written.
#[derive(Debug, Clone)]
pub(super) struct Unexpanded {
    pub(super) id: MessageId,
    pub(super) seq: i64,
    pub(super) body: String,
    pub(super) unique: bool,
    pub(super) targets: Targets,
    pub(super) progress: Progress,
    pub(super) created_at: Timestamp,
    pub(super) not_before: Timestamp,
}

/// A recipient to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) message: &'a Unexpanded,
    pub(super) member: Member,
    pub(super) userid: String,
    pub(super) person: Option<PersonId>,
}

impl PartialEq for Unexpanded {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Unexpanded {}

impl Unexpanded {
    /// When its recipients may be planned.
    pub(super) fn due_at(&self) -> Timestamp {
        let since = self.created_at.max(self.not_before);
        if self.unique { since } else { since.plus(LINGER) }
    }

    /// Whether all its rows fit a transaction that others share.
    fn is_small(&self) -> bool {
        let targets = &self.targets;
        let rows = targets.users.len() + usize::from(targets.all);
        // One that was begun in chunks ends as they do.
        targets.units.is_empty()
            && targets.tags.is_empty()
            && (1..=SMALL).contains(&rows)
            && self.progress == Progress::Users(0)
    }
}

/// How far the recipients of a message are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// The first so many of the userids.
    Users(usize),
    /// All userids, and persons up to this id who are in the units and tags.
    Persons(String),
}

impl Progress {
    /// As `messages.expanded_to` has it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Users(0) => String::new(),
            Self::Users(n) => format!("users {n}"),
            Self::Persons(id) => format!("persons {id}"),
        }
    }

    /// Reads [`Progress::text`]; what cannot be read begins anew, which writes nothing twice.
    pub(super) fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("users", n)) => Self::Users(n.parse().unwrap_or(0)),
            Some(("persons", id)) => Self::Persons(id.to_owned()),
            _ => Self::Users(0),
        }
    }
}

/// Who is in the units and tags of a message, worked out once for a chart.
#[derive(Debug)]
struct Circle {
    units: HashSet<UnitId>,
    /// In lower case: tags name userids.
    users: HashSet<String>,
}

impl Circle {
    fn of(targets: &Targets, chart: &Chart) -> Self {
        let tags: Vec<_> = targets.tags.iter().filter_map(|id| chart.tag(id)).collect();
        let units = targets.units.iter().chain(tags.iter().flat_map(|tag| &tag.units));
        Self {
            units: units.flat_map(|unit| chart.with_below(unit)).collect(),
            users: tags.iter().flat_map(|tag| &tag.users).map(UserId::folded).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.units.is_empty() && self.users.is_empty()
    }

    fn has(&self, person: &store::Present) -> bool {
        self.users.contains(&person.userid.folded())
            || person.memberships.iter().any(|membership| self.units.contains(&membership.unit))
    }
}

impl Messages {
    /// Writes recipients of messages whose time has come; answers how many messages it got on with. One that cannot be
    /// read or written is told and left for later, so that the others go on.
    pub(super) async fn expand(&self, chart: &Chart) -> sqlx::Result<u64> {
        let (db, corp, now) = (&self.0.db, &self.0.settings.corp, self.0.clock.now());
        let stuck = &self.0.worker.stuck;
        let left_out = stuck.ids(now);
        let limit = i64::try_from(MESSAGES + left_out.len()).unwrap_or(i64::MAX);
        let mut heads = store::unexpanded(db.pool(), corp, now, limit).await?;
        heads.retain(|head| !left_out.contains(&head.id));
        let mut found = Vec::new();
        for (id, message) in store::read(db.pool(), together(&heads)).await? {
            match message {
                Ok(message) => found.push(message),
                Err(error) if is_about_content(&error) => stuck.add(&id, &error, now),
                Err(error) => return Err(error),
            }
        }
        let mut expanded = 0;
        for step in found.chunk_by(|one, next| one.is_small() && next.is_small()) {
            match self.expand_step(step, chart).await {
                Ok(()) => expanded += step.len(),
                Err(error) if !is_about_content(&error) => return Err(error),
                Err(_) => {
                    for message in step {
                        match self.expand_step(std::slice::from_ref(message), chart).await {
                            Ok(()) => expanded += 1,
                            Err(error) if is_about_content(&error) => stuck.add(&message.id, &error, now),
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        }
        Ok(u64::try_from(expanded).unwrap_or(u64::MAX))
    }

    /// Small messages together, or another one alone.
    async fn expand_step(&self, step: &[Unexpanded], chart: &Chart) -> sqlx::Result<()> {
        match step {
            [other] if !other.is_small() => self.expand_one(other, chart).await,
            small => self.expand_small(small).await,
        }
    }

    /// Messages to few members or to everybody, all in one transaction.
    async fn expand_small(&self, messages: &[Unexpanded]) -> sqlx::Result<()> {
        let corp = &self.0.settings.corp;
        let users = messages.iter().flat_map(|message| &message.targets.users);
        let known = self.known_by_now(users).await?;
        let rows: Vec<Row<'_>> = messages
            .iter()
            .flat_map(|message| {
                let everybody = message.targets.all.then(|| row_of_all(message));
                let users = message.targets.users.iter();
                everybody.into_iter().chain(users.map(|user| row_of(message, user, &known)))
            })
            .collect();
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        // One that was recalled meanwhile, or that another replica expanded, is not ours.
        let ours = store::expanded(&mut tx, &ids, self.0.clock.now()).await?;
        let rows: Vec<Row<'_>> = rows.into_iter().filter(|row| ours.contains(&row.message.id)).collect();
        store::insert(&mut tx, corp, &rows).await?;
        tx.commit().await
    }

    /// One message, chunk by chunk.
    async fn expand_one(&self, message: &Unexpanded, chart: &Chart) -> sqlx::Result<()> {
        let after = match &message.progress {
            Progress::Users(done) => {
                let mut done = *done;
                while let Some(rest) = message.targets.users.get(done..).filter(|rest| !rest.is_empty()) {
                    let rest = rest.get(..CHUNK).unwrap_or(rest);
                    let known = self.known_by_now(rest.iter()).await?;
                    let chunk: Vec<_> = rest.iter().map(|user| row_of(message, user, &known)).collect();
                    done += rest.len();
                    if !self.write_chunk(message, &chunk, &Progress::Users(done)).await? {
                        return Ok(());
                    }
                }
                String::new()
            }
            Progress::Persons(after) => after.clone(),
        };
        let circle = Circle::of(&message.targets, chart);
        if !circle.is_empty() && !self.expand_circle(message, &circle, after).await? {
            return Ok(());
        }
        let (corp, now) = (&self.0.settings.corp, self.0.clock.now());
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        store::expanded(&mut tx, std::slice::from_ref(&message.id), now).await?;
        store::fail_if_for_nobody(&mut tx, &message.id, NOBODY, now).await?;
        // Its last recipient may have had its call before the last one was written.
        shared::finish(&mut tx, std::slice::from_ref(&message.id), now).await?;
        tx.commit().await
    }

    /// Everybody in the units and tags, by id. `false`: the message ended meanwhile.
    async fn expand_circle(
        &self,
        message: &Unexpanded,
        circle: &Circle,
        mut after: String,
    ) -> sqlx::Result<bool> {
        loop {
            let (page, last) =
                store::present(self.0.db.pool(), &self.0.settings.corp, &after, PERSONS).await?;
            let Some(last) = last else { return Ok(true) };
            after = last;
            let rows: Vec<Row<'_>> = page
                .iter()
                .filter(|person| circle.has(person))
                .map(|person| row_of_person(message, person.userid.as_str(), person.id.clone()))
                .collect();
            for chunk in rows.chunks(CHUNK) {
                let Some(reached) = chunk.last().and_then(|row| row.person.clone()) else { continue };
                let progress = Progress::Persons(reached.to_string());
                if !self.write_chunk(message, chunk, &progress).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Who they are by now whom nobody knew when the message was accepted, by userid in lower case: all messages of one
    /// person are to wait for each other.
    async fn known_by_now<'a>(
        &self,
        users: impl Iterator<Item = &'a (UserId, Option<PersonId>)> + Send,
    ) -> sqlx::Result<HashMap<String, PersonId>> {
        let unknown: Vec<String> =
            users.filter(|(_, person)| person.is_none()).map(|(userid, _)| userid.folded()).collect();
        store::who(self.0.db.pool(), &self.0.settings.corp, &unknown).await
    }

    /// `false`: nothing more is to be written, because the message ended or was recalled.
    async fn write_chunk(
        &self,
        message: &Unexpanded,
        rows: &[Row<'_>],
        progress: &Progress,
    ) -> sqlx::Result<bool> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::take_lane(&mut tx, corp).await?;
        if !store::reached(&mut tx, &message.id, progress, self.0.clock.now()).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        store::insert(&mut tx, corp, rows).await?;
        tx.commit().await?;
        // Whoever is written may be planned while the rest is looked up.
        self.0.worker.planned_is_due();
        Ok(true)
    }
}

/// The first ones whose targets are read together: at least one.
fn together(heads: &[store::Head]) -> &[store::Head] {
    let mut length = 0_i64;
    let fit = heads.iter().take(MESSAGES).take_while(|head| {
        length = length.saturating_add(head.length);
        length <= TEXTS
    });
    let count = fit.count().max(1);
    heads.get(..count).unwrap_or(heads)
}

/// Messages that could not be read or written, and when they are tried again. Nothing but time is lost with it.
#[derive(Debug, Default)]
pub(super) struct Stuck(Mutex<HashMap<MessageId, Timestamp>>);

impl Stuck {
    /// Those that are left out for now.
    fn ids(&self, now: Timestamp) -> HashSet<MessageId> {
        let stuck = self.0.lock();
        stuck.iter().filter(|(_, until)| **until > now).map(|(id, _)| id.clone()).collect()
    }

    /// Tells it, once for each message.
    fn add(&self, id: &MessageId, error: &sqlx::Error, now: Timestamp) {
        let mut stuck = self.0.lock();
        // What is tried for longer has ended.
        stuck.retain(|_, until| now.since(*until) < TRIED);
        if stuck.insert(id.clone(), now.plus(STUCK)).is_none() {
            tracing::error!(message = %id, %error, "The recipients of a message cannot be written; the others go on");
        }
    }
}

fn row_of<'a>(
    message: &'a Unexpanded,
    (userid, person): &(UserId, Option<PersonId>),
    known: &HashMap<String, PersonId>,
) -> Row<'a> {
    match person.as_ref().or_else(|| known.get(&userid.folded())) {
        Some(person) => row_of_person(message, userid.as_str(), person.clone()),
        None => {
            let member = Member::of(userid, None);
            Row { message, member, userid: userid.as_str().to_owned(), person: None }
        }
    }
}

fn row_of_person<'a>(message: &'a Unexpanded, userid: &str, person: PersonId) -> Row<'a> {
    let member = Member::Person(person.clone());
    Row { message, member, userid: userid.to_owned(), person: Some(person) }
}

fn row_of_all(message: &Unexpanded) -> Row<'_> {
    Row { message, member: Member::All, userid: Member::ALL.to_owned(), person: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_got_is_read_back_as_it_was_written() {
        for progress in [Progress::Users(0), Progress::Users(1500), Progress::Persons("019a".to_owned())] {
            assert_eq!(Progress::parse(&progress.text()), progress);
        }
        assert_eq!(Progress::parse("something else"), Progress::Users(0));
    }

    fn head(length: i64) -> store::Head {
        store::Head { id: MessageId::new(length.to_string()), length }
    }

    #[test]
    fn long_lists_of_userids_are_read_few_at_a_time_and_one_always() {
        assert_eq!(together(&vec![head(100); 500]).len(), MESSAGES);
        assert_eq!(together(&vec![head(300_000); 10]).len(), 3);
        assert_eq!(together(&[head(TEXTS + 1), head(1)]).len(), 1);
        assert_eq!(together(&[]).len(), 0);
    }

    #[test]
    fn what_is_stuck_is_left_out_for_a_while_and_not_for_good() {
        let (stuck, now) = (Stuck::default(), Timestamp::from_millis(1_000_000));
        stuck.add(&MessageId::new("m"), &sqlx::Error::RowNotFound, now);
        assert_eq!(stuck.ids(now).len(), 1);
        assert_eq!(stuck.ids(now.plus(STUCK)).len(), 0);
    }
}
