//! Group commit: messages that arrive together are written in one transaction, and wait for one `fsync`.
//!
//! There is no task of its own for it. Everybody puts a draft into the queue; whoever gets the turn writes what is in the
//! queue and tells the others. If the one who has the turn goes away in the middle (its caller hung up), nobody is told
//! anything, and the others come again with the same ids, which makes it harmless if the rows were written after all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::store::{self, InsertOutcome};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{CorpId, MessageId};
use crate::db::Db;
use crate::message::MessageKind;
use crate::message::content::WrappedLink;

/// The most messages of one transaction.
const MAX_BATCH_MESSAGES: usize = 256;

/// How long whoever has the turn waits for those who came along last time.
const BATCH_WAIT: Duration = Duration::from_millis(3);

/// A message that is ready to be written.
#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) id: MessageId,
    pub(super) corp: CorpId,
    pub(super) client: String,
    pub(super) key: Option<String>,
    pub(super) request_hash: String,
    pub(super) kind: MessageKind,
    pub(super) content: String,
    pub(super) body: String,
    pub(super) is_unique: bool,
    pub(super) links: Vec<WrappedLink>,
    pub(super) links_expire_at: Timestamp,
    pub(super) targets: String,
    pub(super) not_before: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
}

/// What a caller hears: several may hear of one failure.
type CommitResult = Result<InsertOutcome, Arc<sqlx::Error>>;

#[derive(Debug)]
struct QueuedMessage {
    message: Arc<NewMessage>,
    reply: oneshot::Sender<CommitResult>,
}

/// Where drafts wait.
#[derive(Debug, Default)]
pub(in crate::message) struct GroupCommit {
    queue: parking_lot::Mutex<VecDeque<QueuedMessage>>,
    /// Rings when the queue grows.
    queue_grown: Notify,
    /// Whose turn it is, and for how many it is worth waiting.
    expected_callers: tokio::sync::Mutex<usize>,
    commits: AtomicU64,
}

impl GroupCommit {
    /// How many transactions were committed.
    pub(in crate::message) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Writes a draft together with others. When it answers, the draft is on disk.
    pub(super) async fn write(&self, db: &Db, clock: &Clock, draft: NewMessage) -> CommitResult {
        let draft = Arc::new(draft);
        loop {
            let mut told = self.enqueue(&draft);
            loop {
                let turn = tokio::select! {
                    biased;
                    told = &mut told => match told {
                        Ok(told) => return told,
                        // Whoever had the turn went away.
                        Err(_) => break,
                    },
                    turn = self.expected_callers.lock() => turn,
                };
                self.write_queued(turn, db, clock).await;
            }
        }
    }

    fn enqueue(&self, draft: &Arc<NewMessage>) -> oneshot::Receiver<CommitResult> {
        let (told, hears) = oneshot::channel();
        self.queue.lock().push_back(QueuedMessage { message: Arc::clone(draft), reply: told });
        self.queue_grown.notify_one();
        hears
    }

    /// Writes what is in the queue and tells everybody.
    async fn write_queued(&self, mut turn: tokio::sync::MutexGuard<'_, usize>, db: &Db, clock: &Clock) {
        let company = async {
            while self.queue.lock().len() < *turn {
                self.queue_grown.notified().await;
            }
        };
        // Under load the same callers come again a moment after they were answered. A lone one expects nobody.
        let _met = timeout(BATCH_WAIT, company).await;
        let batch: Vec<QueuedMessage> = {
            let mut queue = self.queue.lock();
            let count = queue.len().min(MAX_BATCH_MESSAGES);
            // Nobody is answered who has gone; whatever was not answered was not accepted.
            queue.drain(..count).filter(|waiting| !waiting.reply.is_closed()).collect()
        };
        if !batch.is_empty() {
            let drafts: Vec<&NewMessage> = batch.iter().map(|waiting| &*waiting.message).collect();
            let told = self.write_all(db, &drafts, clock.now()).await;
            *turn = (batch.len() + self.queue.lock().len()).min(MAX_BATCH_MESSAGES);
            for (waiting, told) in batch.into_iter().zip(told) {
                // Whoever is not there any more was answered nothing, and may ask again with the same key.
                drop(waiting.reply.send(told));
            }
        }
    }

    /// In one transaction; if it fails and the database is not to blame, each in its own, so that none fails for another.
    async fn write_all(&self, db: &Db, drafts: &[&NewMessage], now: Timestamp) -> Vec<CommitResult> {
        let error = match self.commit(db, drafts, now).await {
            Ok(written) => return written.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if drafts.len() == 1 || !is_content_error(&error) {
            let error = Arc::new(error);
            return drafts.iter().map(|_| Err(Arc::clone(&error))).collect();
        }
        tracing::warn!(%error, "{} messages could not be written together; each is tried alone", drafts.len());
        let mut told = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let written = self.commit(db, &[draft], now).await;
            let gone = written.as_ref().err().is_some_and(|error| !is_content_error(error));
            told.push(match written.map(|written| written.into_iter().next()) {
                Ok(Some(written)) => Ok(written),
                Ok(None) => Err(Arc::new(sqlx::Error::RowNotFound)),
                Err(error) => Err(Arc::new(error)),
            });
            if gone {
                break;
            }
        }
        // The database went away in between: for the rest there is nothing else to say.
        while told.len() < drafts.len() {
            told.push(Err(Arc::new(sqlx::Error::PoolTimedOut)));
        }
        told
    }

    async fn commit(
        &self,
        db: &Db,
        drafts: &[&NewMessage],
        now: Timestamp,
    ) -> sqlx::Result<Vec<InsertOutcome>> {
        let mut tx = db.write().await?;
        let written = store::insert_messages(&mut tx, drafts, now).await?;
        tx.commit().await?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(written)
    }
}

/// Whether an error may be about what was written, and not about the database.
pub(in crate::message) fn is_content_error(error: &sqlx::Error) -> bool {
    match error {
        // PostgreSQL's classes of connections, resources and operators; SQLite's busy, locked, read-only, I/O, full and
        // cannot open.
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| {
            let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xff);
            sqlite.is_some_and(|code| matches!(code, 5 | 6 | 8 | 10 | 13 | 14))
                || (code.len() == 5
                    && ["08", "25", "53", "57", "58"].iter().any(|class| code.starts_with(class)))
        }),
        sqlx::Error::Encode(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}
