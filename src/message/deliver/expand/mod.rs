//! Expansion: from a message to its recipients in the current directory, one row for each member.
//!
//! Rows are written in chunks, together with the progress. A process that dies is continued from
//! there. Writing a recipient twice gives one row, because message and member are its key.
//!
//! Messages are expanded in the order of acceptance. Nothing of a message is written before all
//! earlier messages are complete, because another replica could plan the later one first. Messages
//! that must not begin yet or were recalled are skipped, and so are those that cannot be read or
//! written, which are tried again later ([`StuckMessages`]).
//!
//! A tag names userids. A userid that the directory does not know may not even be visible to the
//! application, so it is silently left out, like a person whose row cannot be read.

pub(super) mod store;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;

use super::expire::store::finish_without_recipients;
use super::expire::{FinalOutcome, MAX_RETRY_PERIOD};
use crate::base::clock::Timestamp;
use crate::base::id::{MessageId, PersonId, UnitId, UserId};
use crate::db::error::is_content_error;
use crate::directory::accounts::{self, ActiveAccount};
use crate::directory::chart::Chart;
use crate::message::state::{FailureReason, MessageStatus};
use crate::message::{Addressee, MessageTargets, Messages, store as shared};

/// How many rows one transaction writes.
const MAX_CHUNK_ROWS: usize = 500;

/// How many messages are read at a time. Also the most small messages of one transaction.
const MAX_MESSAGES_READ: usize = 200;

/// How many characters of targets are read at a time, unless one message has more. 10 000 userids
/// have about half of that.
const MAX_TARGET_CHARS_READ: i64 = 1_000_000;

/// The most recipients of a small message.
const MAX_SMALL_RECIPIENTS: usize = 5;

/// When a message that could not be read or written is tried again.
const STUCK_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How many persons are read at a time to resolve units and tags.
const PERSONS_PER_PAGE: i64 = 2000;

/// How long a message waits for others with the same body to share its call.
pub(super) const BATCH_LINGER: Duration = Duration::from_millis(150);

/// A message whose recipients are not all written.
#[derive(Debug, Clone)]
pub(super) struct UnexpandedMessage {
    pub(super) id: MessageId,
    pub(super) seq: i64,
    pub(super) body: String,
    pub(super) unique: bool,
    pub(super) targets: MessageTargets,
    pub(super) progress: ExpansionProgress,
    pub(super) created_at: Timestamp,
    pub(super) not_before: Timestamp,
}

/// A recipient to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewRecipient<'a> {
    pub(super) message: &'a UnexpandedMessage,
    pub(super) member: Addressee,
    pub(super) userid: String,
    pub(super) person: Option<PersonId>,
}

impl PartialEq for UnexpandedMessage {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for UnexpandedMessage {}

impl UnexpandedMessage {
    /// Returns when its recipients may be planned.
    pub(super) fn due_at(&self) -> Timestamp {
        let since = self.created_at.max(self.not_before);
        if self.unique { since } else { since.plus(BATCH_LINGER) }
    }

    /// Whether all its rows fit into a transaction that it shares with others.
    fn is_small(&self) -> bool {
        let targets = &self.targets;
        let rows = targets.users.len() + usize::from(targets.all);
        // A message that was begun in chunks is also finished in chunks.
        targets.units.is_empty()
            && targets.tags.is_empty()
            && (1..=MAX_SMALL_RECIPIENTS).contains(&rows)
            && self.progress == ExpansionProgress::Users(0)
    }
}

/// How far the recipients of a message are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExpansionProgress {
    /// The first so many of its userids.
    Users(usize),
    /// All userids, and the members of its units and tags up to this person id.
    Persons(String),
}

impl ExpansionProgress {
    /// The value of the column `messages.expanded_to`.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Users(0) => String::new(),
            Self::Users(n) => format!("users {n}"),
            Self::Persons(id) => format!("persons {id}"),
        }
    }

    /// Parses [`ExpansionProgress::text`]. An unreadable text starts from the beginning, which
    /// writes nothing twice.
    pub(super) fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("users", n)) => Self::Users(n.parse().unwrap_or(0)),
            Some(("persons", id)) => Self::Persons(id.to_owned()),
            _ => Self::Users(0),
        }
    }
}

/// The units and tags of a message, resolved for one chart.
#[derive(Debug)]
struct RecipientScope {
    units: HashSet<UnitId>,
    /// In lower case, because tags name userids.
    users: HashSet<String>,
}

impl RecipientScope {
    fn new(targets: &MessageTargets, chart: &Chart) -> Self {
        let tags: Vec<_> = targets.tags.iter().filter_map(|id| chart.tag(id)).collect();
        let units = targets.units.iter().chain(tags.iter().flat_map(|tag| &tag.units));
        Self {
            units: units.flat_map(|unit| chart.subtree(unit)).collect(),
            users: tags.iter().flat_map(|tag| &tag.users).map(UserId::folded).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.units.is_empty() && self.users.is_empty()
    }

    fn contains(&self, person: &ActiveAccount) -> bool {
        self.users.contains(&person.userid.folded())
            || person.memberships.iter().any(|membership| self.units.contains(&membership.unit))
    }
}

impl Messages {
    /// Writes the recipients of messages that are due, and returns for how many messages.
    ///
    /// A message that cannot be read or written is logged and left for later, so that the others go
    /// on.
    pub(super) async fn expand(&self, chart: &Chart) -> sqlx::Result<u64> {
        let (db, corp, now) = (&self.0.db, &self.0.settings.corp, self.0.clock.now());
        let stuck = &self.0.delivery_memory.stuck;
        let left_out = stuck.ids(now);
        // The query also returns the stuck messages, which are dropped afterwards.
        let limit = i64::try_from(MAX_MESSAGES_READ + left_out.len()).unwrap_or(i64::MAX);
        let mut pending = store::find_pending_expansions(db.pool(), corp, now, limit).await?;
        pending.retain(|message| !left_out.contains(&message.id));
        let mut found = Vec::new();
        for (id, message) in store::read_messages(db.pool(), select_batch(&pending)).await? {
            match message {
                Ok(message) => found.push(message),
                Err(error) if is_content_error(&error) => stuck.add(&id, &error, now),
                Err(error) => return Err(error),
            }
        }
        let mut expanded = 0;
        for step in found.chunk_by(|one, next| one.is_small() && next.is_small()) {
            match self.expand_step(step, chart).await {
                Ok(()) => expanded += step.len(),
                Err(error) if !is_content_error(&error) => return Err(error),
                // One of them cannot be written. Each is tried alone, so that the others are.
                Err(_) => {
                    for message in step {
                        match self.expand_step(std::slice::from_ref(message), chart).await {
                            Ok(()) => expanded += 1,
                            Err(error) if is_content_error(&error) => stuck.add(&message.id, &error, now),
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        }
        Ok(u64::try_from(expanded).unwrap_or(u64::MAX))
    }

    /// Expands small messages together, or one other message alone.
    async fn expand_step(&self, step: &[UnexpandedMessage], chart: &Chart) -> sqlx::Result<()> {
        match step {
            [other] if !other.is_small() => self.expand_one(other, chart).await,
            small => self.expand_small(small).await,
        }
    }

    /// Expands messages to few members or to everybody in one transaction.
    async fn expand_small(&self, messages: &[UnexpandedMessage]) -> sqlx::Result<()> {
        let corp = &self.0.settings.corp;
        let users = messages.iter().flat_map(|message| &message.targets.users);
        let known = self.find_known_persons(users).await?;
        let rows: Vec<NewRecipient<'_>> = messages
            .iter()
            .flat_map(|message| {
                let everybody = message.targets.all.then(|| recipient_of_everybody(message));
                let users = message.targets.users.iter();
                everybody.into_iter().chain(users.map(|user| recipient_of_user(message, user, &known)))
            })
            .collect();
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        // Another replica may have expanded one meanwhile, or it was recalled: then we leave it.
        let ours = store::mark_expanded(&mut tx, &ids, self.0.clock.now()).await?;
        let rows: Vec<NewRecipient<'_>> =
            rows.into_iter().filter(|row| ours.contains(&row.message.id)).collect();
        store::insert_recipients(&mut tx, corp, &rows).await?;
        tx.commit().await
    }

    /// Expands one message, chunk by chunk.
    async fn expand_one(&self, message: &UnexpandedMessage, chart: &Chart) -> sqlx::Result<()> {
        // Userids come first, then units and tags. The progress says where a dead process stopped.
        let after = match &message.progress {
            ExpansionProgress::Users(done) => {
                let mut done = *done;
                while let Some(rest) = message.targets.users.get(done..).filter(|rest| !rest.is_empty()) {
                    let rest = rest.get(..MAX_CHUNK_ROWS).unwrap_or(rest);
                    let known = self.find_known_persons(rest.iter()).await?;
                    let chunk: Vec<_> =
                        rest.iter().map(|user| recipient_of_user(message, user, &known)).collect();
                    done += rest.len();
                    if !self.write_chunk(message, &chunk, &ExpansionProgress::Users(done)).await? {
                        return Ok(());
                    }
                }
                String::new()
            }
            ExpansionProgress::Persons(after) => after.clone(),
        };
        let scope = RecipientScope::new(&message.targets, chart);
        if !scope.is_empty() && !self.expand_scope(message, &scope, after).await? {
            return Ok(());
        }
        let (corp, now) = (&self.0.settings.corp, self.0.clock.now());
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        store::mark_expanded(&mut tx, std::slice::from_ref(&message.id), now).await?;
        let end = FinalOutcome::new(MessageStatus::Failed, FailureReason::NoRecipients.into());
        finish_without_recipients(&mut tx, &message.id, &end, now).await?;
        // The last recipient may have had its call before the last chunk was written.
        shared::finish_messages(&mut tx, std::slice::from_ref(&message.id), now).await?;
        tx.commit().await
    }

    /// Writes the members of the units and tags, by id. Returns `false` if the message ended
    /// meanwhile.
    async fn expand_scope(
        &self,
        message: &UnexpandedMessage,
        scope: &RecipientScope,
        mut after: String,
    ) -> sqlx::Result<bool> {
        loop {
            let (page, last) = accounts::store::list_active_accounts(
                &self.0.db,
                &self.0.settings.corp,
                &after,
                PERSONS_PER_PAGE,
            )
            .await?;
            let Some(last) = last else { return Ok(true) };
            after = last;
            let rows: Vec<NewRecipient<'_>> = page
                .iter()
                .filter(|person| scope.contains(person))
                .map(|person| recipient_of_person(message, person.userid.as_str(), person.id.clone()))
                .collect();
            for chunk in rows.chunks(MAX_CHUNK_ROWS) {
                let Some(reached) = chunk.last().and_then(|row| row.person.clone()) else { continue };
                let progress = ExpansionProgress::Persons(reached.to_string());
                if !self.write_chunk(message, chunk, &progress).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Returns who has the userids that were unknown at acceptance by now, by userid in lower case.
    ///
    /// All messages of one person have to be ordered under one key.
    async fn find_known_persons<'a>(
        &self,
        users: impl Iterator<Item = &'a (UserId, Option<PersonId>)> + Send,
    ) -> sqlx::Result<HashMap<String, PersonId>> {
        let unknown: Vec<String> =
            users.filter(|(_, person)| person.is_none()).map(|(userid, _)| userid.folded()).collect();
        accounts::store::find_userid_owners(&self.0.db, &self.0.settings.corp, &unknown).await
    }

    /// Returns `false` if nothing more is to be written, because the message ended or was recalled.
    async fn write_chunk(
        &self,
        message: &UnexpandedMessage,
        rows: &[NewRecipient<'_>],
        progress: &ExpansionProgress,
    ) -> sqlx::Result<bool> {
        let corp = &self.0.settings.corp;
        let mut tx = self.0.db.write().await?;
        shared::lock_send_window(&mut tx, corp).await?;
        if !store::save_progress(&mut tx, &message.id, progress, self.0.clock.now()).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        store::insert_recipients(&mut tx, corp, rows).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Returns the first messages whose targets are read together: at least one.
fn select_batch(pending: &[store::PendingExpansion]) -> &[store::PendingExpansion] {
    let mut length = 0_i64;
    let fit = pending.iter().take(MAX_MESSAGES_READ).take_while(|message| {
        length = length.saturating_add(message.targets_chars);
        length <= MAX_TARGET_CHARS_READ
    });
    // A single message may be longer than the limit.
    let count = fit.count().max(1);
    pending.get(..count).unwrap_or(pending)
}

/// Messages that could not be read or written, and when they are tried again.
///
/// If the process dies, only this waiting time is lost.
#[derive(Debug, Default)]
pub(super) struct StuckMessages(Mutex<HashMap<MessageId, Timestamp>>);

impl StuckMessages {
    /// Returns the messages to leave out now.
    fn ids(&self, now: Timestamp) -> HashSet<MessageId> {
        let stuck = self.0.lock();
        stuck.iter().filter(|(_, until)| **until > now).map(|(id, _)| id.clone()).collect()
    }

    /// Adds a message, and logs it the first time.
    fn add(&self, id: &MessageId, error: &sqlx::Error, now: Timestamp) {
        let mut stuck = self.0.lock();
        // A message that was tried for longer has ended.
        stuck.retain(|_, until| now.since(*until) < MAX_RETRY_PERIOD);
        if stuck.insert(id.clone(), now.plus(STUCK_RETRY_DELAY)).is_none() {
            tracing::error!(message = %id, %error, "The recipients of a message cannot be written; the others go on");
        }
    }
}

fn recipient_of_user<'a>(
    message: &'a UnexpandedMessage,
    (userid, person): &(UserId, Option<PersonId>),
    known: &HashMap<String, PersonId>,
) -> NewRecipient<'a> {
    match person.as_ref().or_else(|| known.get(&userid.folded())) {
        Some(person) => recipient_of_person(message, userid.as_str(), person.clone()),
        None => {
            let member = Addressee::from_userid(userid, None);
            NewRecipient { message, member, userid: userid.as_str().to_owned(), person: None }
        }
    }
}

fn recipient_of_person<'a>(
    message: &'a UnexpandedMessage,
    userid: &str,
    person: PersonId,
) -> NewRecipient<'a> {
    let member = Addressee::Person(person.clone());
    NewRecipient { message, member, userid: userid.to_owned(), person: Some(person) }
}

fn recipient_of_everybody(message: &UnexpandedMessage) -> NewRecipient<'_> {
    NewRecipient { message, member: Addressee::All, userid: Addressee::ALL.to_owned(), person: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_got_is_read_back_as_it_was_written() {
        for progress in [
            ExpansionProgress::Users(0),
            ExpansionProgress::Users(1500),
            ExpansionProgress::Persons("019a".to_owned()),
        ] {
            assert_eq!(ExpansionProgress::parse(&progress.text()), progress);
        }
        assert_eq!(ExpansionProgress::parse("something else"), ExpansionProgress::Users(0));
    }

    fn pending(length: i64) -> store::PendingExpansion {
        store::PendingExpansion { id: MessageId::new(length.to_string()), targets_chars: length }
    }

    #[test]
    fn long_lists_of_userids_are_read_few_at_a_time_and_one_always() {
        assert_eq!(select_batch(&vec![pending(100); 500]).len(), MAX_MESSAGES_READ);
        assert_eq!(select_batch(&vec![pending(300_000); 10]).len(), 3);
        assert_eq!(select_batch(&[pending(MAX_TARGET_CHARS_READ + 1), pending(1)]).len(), 1);
        assert_eq!(select_batch(&[]).len(), 0);
    }

    #[test]
    fn what_is_stuck_is_left_out_for_a_while_and_not_for_good() {
        let (stuck, now) = (StuckMessages::default(), Timestamp::from_millis(1_000_000));
        stuck.add(&MessageId::new("m"), &sqlx::Error::RowNotFound, now);
        assert_eq!(stuck.ids(now).len(), 1);
        assert_eq!(stuck.ids(now.plus(STUCK_RETRY_DELAY)).len(), 0);
    }
}
