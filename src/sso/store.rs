//! The SQL of attempts and tickets.

use sqlx::Row as _;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, Sid};
use crate::db::Db;
use crate::db::feed::FeedTransaction;

/// An attempt whose code came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The SHA-256 of the code, in hex.
    pub code_hash: String,
    /// The time of its first callback.
    pub claimed_at: Timestamp,
    /// `None` while it has not ended.
    pub outcome: Option<AttemptOutcome>,
}

/// The way an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    /// It led to a session.
    SignedIn {
        sid: Sid,
        /// The page to which it led.
        target: String,
    },
    /// It was refused. Contains the failure as [`super::error::RecordedFailure`] writes it.
    Refused(String),
}

/// Claims an attempt for this callback. Returns `None` if this is the first one, otherwise the
/// attempt of the earlier callback.
///
/// # Errors
/// If the database fails.
pub(crate) async fn claim_attempt(
    db: &Db,
    corp: &CorpId,
    id: &str,
    code_hash: &str,
    now: Timestamp,
) -> sqlx::Result<Option<Attempt>> {
    let mut tx = db.write().await?;
    // The primary key decides: of several callbacks exactly one inserts the row.
    let claimed = sqlx::query(
        "INSERT INTO attempts (id, corp_id, code_hash, claimed_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(code_hash)
    .bind(now.millis())
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    if claimed == 1 { Ok(None) } else { find_attempt(db, corp, id).await }
}

/// Finds an attempt by its id.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_attempt(db: &Db, corp: &CorpId, id: &str) -> sqlx::Result<Option<Attempt>> {
    let row = sqlx::query(
        "SELECT code_hash, claimed_at, sid, target, failure FROM attempts WHERE corp_id = $1 AND id = $2",
    )
    .bind(corp.as_str())
    .bind(id)
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let sid: Option<String> = row.try_get(2)?;
    let (target, failure): (Option<String>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
    let outcome = match (sid, failure) {
        (Some(sid), _) => {
            Some(AttemptOutcome::SignedIn { sid: Sid::new(sid), target: target.unwrap_or_default() })
        }
        (None, Some(failure)) => Some(AttemptOutcome::Refused(failure)),
        (None, None) => None,
    };
    Ok(Some(Attempt {
        code_hash: row.try_get(0)?,
        claimed_at: Timestamp::from_millis(row.try_get(1)?),
        outcome,
    }))
}

/// Records that an attempt led to a session.
///
/// # Errors
/// If the database fails.
pub(crate) async fn finish_attempt(
    change: &mut FeedTransaction,
    id: &str,
    sid: &Sid,
    target: &str,
) -> sqlx::Result<()> {
    // Only an attempt without a result is changed, so the first result stays.
    let now = change.now().millis();
    sqlx::query(
        "UPDATE attempts SET finished_at = $2, sid = $3, target = $4 WHERE id = $1 AND finished_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .bind(sid.as_str())
    .bind(target)
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Records that an attempt was refused.
///
/// # Errors
/// If the database fails.
pub(crate) async fn refuse_attempt(
    change: &mut FeedTransaction,
    id: &str,
    failure: &str,
) -> sqlx::Result<()> {
    let now = change.now().millis();
    sqlx::query("UPDATE attempts SET finished_at = $2, failure = $3 WHERE id = $1 AND finished_at IS NULL")
        .bind(id)
        .bind(now)
        .bind(failure)
        .execute(change.tx())
        .await?;
    Ok(())
}

/// The values of a new ticket.
#[derive(Debug, Clone)]
pub(crate) struct NewTicket {
    /// The SHA-256 of the ticket, in hex.
    pub hash: String,
    /// The session from which it is made.
    pub sid: Sid,
    /// The host for which it is made, with its scheme.
    pub host: String,
    /// The hash of the attempt cookie on that host, in hex.
    pub cookie_hash: String,
    /// The page on that host.
    pub target: String,
    /// When the sign-in began on that host.
    pub started_at: Timestamp,
    /// The time until which it may be redeemed.
    pub expires_at: Timestamp,
}

/// Inserts a ticket.
///
/// # Errors
/// If the database fails.
pub(crate) async fn insert_ticket(db: &Db, corp: &CorpId, new: &NewTicket) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "INSERT INTO tickets (hash, corp_id, sid, host, cookie_hash, target, started_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&new.hash)
    .bind(corp.as_str())
    .bind(new.sid.as_str())
    .bind(&new.host)
    .bind(&new.cookie_hash)
    .bind(&new.target)
    .bind(new.started_at.millis())
    .bind(new.expires_at.millis())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// A stored ticket.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// The session from which it is made.
    pub sid: Sid,
    /// The page to which it leads.
    pub target: String,
    /// When the sign-in began on its host.
    pub started_at: Timestamp,
    /// The hash of the attempt cookie on that host, in hex.
    pub cookie_hash: String,
}

/// Finds a ticket for `host`, redeemed or not.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_ticket(
    db: &Db,
    corp: &CorpId,
    hash: &str,
    host: &str,
) -> sqlx::Result<Option<Ticket>> {
    sqlx::query(
        "SELECT sid, target, started_at, cookie_hash FROM tickets WHERE corp_id = $1 AND hash = $2 AND host = $3",
    )
    .bind(corp.as_str())
    .bind(hash)
    .bind(host)
    .fetch_optional(db.pool())
    .await?
    .map(|row| {
        Ok(Ticket {
            sid: Sid::new(row.try_get::<String, _>(0)?),
            target: row.try_get(1)?,
            started_at: Timestamp::from_millis(row.try_get(2)?),
            cookie_hash: row.try_get(3)?,
        })
    })
    .transpose()
}

/// Redeems a ticket. Returns true for exactly one caller, who comes in time, on the right host and
/// with the right cookie.
///
/// # Errors
/// If the database fails.
pub(crate) async fn redeem_ticket(
    change: &mut FeedTransaction,
    hash: &str,
    host: &str,
    cookie_hash: &str,
) -> sqlx::Result<bool> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    // A single statement decides, so a ticket works once even if it comes twice at the same time.
    let done = sqlx::query(
        "UPDATE tickets SET redeemed_at = $5 WHERE corp_id = $1 AND hash = $2 AND host = $3 AND cookie_hash = $4 \
         AND redeemed_at IS NULL AND expires_at > $5",
    )
    .bind(corp.as_str())
    .bind(hash)
    .bind(host)
    .bind(cookie_hash)
    .bind(now)
    .execute(change.tx())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes attempts and tickets older than `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_before(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let attempts = sqlx::query("DELETE FROM attempts WHERE claimed_at < $1").bind(before.millis());
    let mut deleted = attempts.execute(&mut *tx).await?.rows_affected();
    let tickets = sqlx::query("DELETE FROM tickets WHERE expires_at < $1").bind(before.millis());
    deleted += tickets.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}
