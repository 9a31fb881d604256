//! SQL of tickets, each of which makes one more session of the same sign-in on another host.

use sqlx::FromRow;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, Sid};
use crate::db::Db;
use crate::db::feed::FeedTransaction;

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

/// A stored ticket.
#[derive(Debug, Clone, FromRow)]
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

const INSERT_TICKET: &str = "INSERT INTO tickets (hash, corp_id, sid, host, cookie_hash, target, started_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Inserts a ticket.
///
/// # Errors
/// If the database fails.
pub(crate) async fn insert_ticket(db: &Db, corp: &CorpId, new: &NewTicket) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(INSERT_TICKET)
        .bind(&new.hash)
        .bind(corp)
        .bind(&new.sid)
        .bind(&new.host)
        .bind(&new.cookie_hash)
        .bind(&new.target)
        .bind(new.started_at)
        .bind(new.expires_at)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

pub(super) const FIND_TICKET: &str = "SELECT sid, target, started_at, cookie_hash FROM tickets \
     WHERE corp_id = $1 AND hash = $2 AND host = $3";

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
    sqlx::query_as(FIND_TICKET).bind(corp).bind(hash).bind(host).fetch_optional(db.pool()).await
}

/// A single statement decides, so a ticket works once even if it comes twice at the same time.
pub(super) const REDEEM_TICKET: &str = "UPDATE tickets SET redeemed_at = $5 \
     WHERE corp_id = $1 AND hash = $2 AND host = $3 AND cookie_hash = $4 \
       AND redeemed_at IS NULL AND expires_at > $5";

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
    let redeem = sqlx::query(REDEEM_TICKET)
        .bind(change.corp().clone())
        .bind(hash)
        .bind(host)
        .bind(cookie_hash)
        .bind(change.now());
    Ok(redeem.execute(change.tx()).await?.rows_affected() == 1)
}

/// Deletes tickets that could be redeemed until `before`, and returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_old_tickets(db: &Db, before: Timestamp) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let delete = sqlx::query("DELETE FROM tickets WHERE expires_at < $1").bind(before);
    let deleted = delete.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}
