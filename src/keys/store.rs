//! SQL of the signing keys.

use std::time::Duration;

use sqlx::FromRow;

use crate::base::clock::Timestamp;
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};

/// A row of `signing_keys`.
#[derive(Debug, FromRow)]
pub struct SigningKeyRow {
    /// The RFC 7638 thumbprint of the public half.
    pub kid: String,
    /// The public half as JSON.
    pub jwk: String,
    /// The sealed private half in base64.
    pub sealed: String,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

const LIST_KEYS: &str = "SELECT kid, jwk, sealed, signs_from FROM signing_keys ORDER BY signs_from DESC, kid";

/// Returns every key, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list_keys(db: &Db) -> sqlx::Result<Vec<SigningKeyRow>> {
    sqlx::query_as(LIST_KEYS).fetch_all(db.pool()).await
}

const INSERT_KEY: &str =
    "INSERT INTO signing_keys (kid, jwk, sealed, created_at, signs_from) VALUES ($1, $2, $3, $4, $5)";

/// Adds a key and announces it.
///
/// # Errors
/// If the database fails.
pub(crate) async fn insert(
    change: &mut FeedTransaction,
    kid: &str,
    jwk: &str,
    sealed: &str,
    signs_from: Timestamp,
) -> sqlx::Result<()> {
    let now = change.now();
    let insert = sqlx::query(INSERT_KEY).bind(kid).bind(jwk).bind(sealed).bind(now).bind(signs_from);
    insert.execute(change.tx()).await?;
    change.announce(FeedKind::Key, kid);
    Ok(())
}

const DELETE_UNUSED_KEYS: &str = "DELETE FROM signing_keys WHERE EXISTS \
       (SELECT 1 FROM signing_keys newer WHERE newer.signs_from > signing_keys.signs_from AND newer.signs_from < $1)";

/// Deletes keys that cannot have signed any live token, because a newer key has been signing for
/// longer than `ttl`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn delete_unused(db: &Db, now: Timestamp, ttl: Duration) -> sqlx::Result<u64> {
    let mut tx = db.write().await?;
    let deleted = sqlx::query(DELETE_UNUSED_KEYS).bind(now.minus(ttl)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected())
}
