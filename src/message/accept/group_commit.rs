//! Group commit: messages that arrive together are written in one transaction and wait for one
//! `fsync`.
//!
//! It has no task of its own. Every caller puts its message into the queue. The caller that gets
//! the turn writes the queue and answers the others. If that caller goes away in the middle (its
//! client hung up), nobody is answered, and the others queue their messages again with the same
//! ids. That is harmless even if the rows were written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::store::{self, InsertOutcome, NewMessage};
use crate::base::clock::{Clock, Timestamp};
use crate::db::Db;
use crate::db::error::is_content_error;

const MAX_BATCH_MESSAGES: usize = 256;

/// How long the writing caller waits for as many callers as came last time.
const BATCH_WAIT: Duration = Duration::from_millis(3);

/// The answer to one caller. The error is shared because several callers may get the same one.
type CommitResult = Result<InsertOutcome, Arc<sqlx::Error>>;

#[derive(Debug)]
struct QueuedMessage {
    message: Arc<NewMessage>,
    reply: oneshot::Sender<CommitResult>,
}

/// The queue of messages and the turn to write it.
#[derive(Debug, Default)]
pub(in crate::message) struct GroupCommit {
    queue: parking_lot::Mutex<VecDeque<QueuedMessage>>,
    /// Notified when the queue grows.
    queue_grown: Notify,
    /// The turn to write, and how many callers are worth waiting for.
    expected_callers: tokio::sync::Mutex<usize>,
    commits: AtomicU64,
}

impl GroupCommit {
    /// Returns how many transactions were committed.
    pub(in crate::message) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Writes a message together with others. When it returns, the message is on disk.
    pub(super) async fn write(&self, db: &Db, clock: &Clock, message: NewMessage) -> CommitResult {
        let message = Arc::new(message);
        loop {
            let mut reply = self.enqueue(&message);
            loop {
                let turn = tokio::select! {
                    // A caller that has its reply must not take the turn.
                    biased;
                    answer = &mut reply => match answer {
                        Ok(result) => return result,
                        // The caller that had the turn went away before it answered.
                        Err(_) => break,
                    },
                    turn = self.expected_callers.lock() => turn,
                };
                self.write_queued(turn, db, clock).await;
            }
        }
    }

    fn enqueue(&self, message: &Arc<NewMessage>) -> oneshot::Receiver<CommitResult> {
        let (reply, receiver) = oneshot::channel();
        self.queue.lock().push_back(QueuedMessage { message: Arc::clone(message), reply });
        self.queue_grown.notify_one();
        receiver
    }

    /// Writes the queue and answers its callers.
    async fn write_queued(
        &self,
        mut expected_callers: tokio::sync::MutexGuard<'_, usize>,
        db: &Db,
        clock: &Clock,
    ) {
        let others = async {
            while self.queue.lock().len() < *expected_callers {
                self.queue_grown.notified().await;
            }
        };
        // Under load the same callers come again a moment after they were answered. A single caller
        // waits for nobody.
        let _all_came = timeout(BATCH_WAIT, others).await;
        let batch: Vec<QueuedMessage> = {
            let mut queue = self.queue.lock();
            let count = queue.len().min(MAX_BATCH_MESSAGES);
            // A message is not written when its caller has gone: it was not answered, so it was not
            // accepted.
            queue.drain(..count).filter(|queued| !queued.reply.is_closed()).collect()
        };
        if !batch.is_empty() {
            let messages: Vec<&NewMessage> = batch.iter().map(|queued| &*queued.message).collect();
            let results = self.write_all(db, &messages, clock.now()).await;
            // Those that are answered now, and those that came meanwhile, may come again together.
            *expected_callers = (batch.len() + self.queue.lock().len()).min(MAX_BATCH_MESSAGES);
            for (queued, result) in batch.into_iter().zip(results) {
                // A caller that has gone meanwhile got no answer, and may ask again with the same
                // key.
                drop(queued.reply.send(result));
            }
        }
    }

    /// Writes messages in one transaction.
    ///
    /// If that fails because of the content of one of them, writes each in a transaction of its
    /// own, so that no message fails because of another.
    async fn write_all(&self, db: &Db, messages: &[&NewMessage], now: Timestamp) -> Vec<CommitResult> {
        let error = match self.commit(db, messages, now).await {
            Ok(written) => return written.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        // An error of the database itself concerns all of them.
        if messages.len() == 1 || !is_content_error(&error) {
            let error = Arc::new(error);
            return messages.iter().map(|_| Err(Arc::clone(&error))).collect();
        }
        tracing::warn!(%error, "{} messages could not be written together; each is tried alone", messages.len());
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            let written = self.commit(db, &[message], now).await;
            let gone = written.as_ref().err().is_some_and(|error| !is_content_error(error));
            results.push(match written.map(|written| written.into_iter().next()) {
                Ok(Some(written)) => Ok(written),
                Ok(None) => Err(Arc::new(sqlx::Error::RowNotFound)),
                Err(error) => Err(Arc::new(error)),
            });
            if gone {
                break;
            }
        }
        // The database went away in between: the remaining callers get an error.
        while results.len() < messages.len() {
            results.push(Err(Arc::new(sqlx::Error::PoolTimedOut)));
        }
        results
    }

    async fn commit(
        &self,
        db: &Db,
        messages: &[&NewMessage],
        now: Timestamp,
    ) -> sqlx::Result<Vec<InsertOutcome>> {
        let mut tx = db.write().await?;
        let written = store::insert_messages(&mut tx, messages, now).await?;
        tx.commit().await?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(written)
    }
}
