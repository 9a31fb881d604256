//! Rows of messages, as acceptance and delivery leave them.

use gongpai::base::clock::Timestamp;
use gongpai::base::id::CorpId;
use gongpai::db::Db;
use serde_json::{Value, json};

/// So late that the gateway of a test never delivers it.
const FAR_FUTURE_MS: i64 = 9_000_000_000_000;

/// A row of `messages` from the API client `oa`. A test sets what it needs.
#[derive(Debug, Clone)]
pub(crate) struct MessageFixture {
    pub(crate) id: &'static str,
    pub(crate) seq: i64,
    pub(crate) client: &'static str,
    pub(crate) targets: Value,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// Whether its recipients are written.
    pub(crate) expanded: bool,
    pub(crate) recall_at: Option<i64>,
}

impl MessageFixture {
    /// For `users` whose persons are not known.
    pub(crate) fn to(id: &'static str, seq: i64, users: &[&str]) -> Self {
        let users: Vec<_> = users.iter().map(|userid| json!([userid, null])).collect();
        Self {
            id,
            seq,
            client: "oa",
            targets: json!({"users": users, "units": [], "tags": [], "all": false}),
            status: "accepted",
            reason: "",
            expanded: true,
            recall_at: None,
        }
    }

    pub(crate) async fn write(&self, db: &Db, corp: &CorpId, now: Timestamp) {
        let ended = (self.status != "accepted").then_some(now.millis());
        sqlx::query(
            "INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, \
             is_unique, targets, status, reason, not_before, expires_at, expanded_to, expanded_at, recall_at, \
             created_at, updated_at, finished_at) \
             VALUES ($1, $2, $3, $4, NULL, 'h', 'text', '{}', 'b', 0, $5, $6, $7, $12, NULL, '', $9, $10, $8, $8, $11)",
        )
        .bind(self.id)
        .bind(corp.as_str())
        .bind(self.seq)
        .bind(self.client)
        .bind(self.targets.to_string())
        .bind(self.status)
        .bind(self.reason)
        .bind(now.millis())
        .bind(self.expanded.then_some(now.millis()))
        .bind(self.recall_at)
        .bind(ended)
        .bind(FAR_FUTURE_MS)
        .execute(db.pool())
        .await
        .expect("a message");
    }
}

/// A row of `message_recipients`, in a call if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecipientFixture<'a> {
    pub(crate) id: &'a str,
    pub(crate) member: &'a str,
    pub(crate) userid: &'a str,
    pub(crate) person: Option<&'a str>,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) call: Option<&'a str>,
}

impl<'a> RecipientFixture<'a> {
    /// A recipient that waits for its turn.
    pub(crate) const fn pending(id: &'a str, member: &'a str, userid: &'a str) -> Self {
        Self { id, member, userid, person: None, status: "pending", reason: "", call: None }
    }

    pub(crate) async fn write(self, db: &Db, corp: &CorpId) {
        sqlx::query(
            "INSERT INTO message_recipients (message_id, member, corp_id, seq, userid, person_id, body, status, reason, \
             call_id, due_at, counted_at, alone, aside) \
             SELECT id, $2, $3, seq, $4, $5, 'b', $6, $7, $8, $9, NULL, 0, 0 FROM messages WHERE id = $1",
        )
        .bind(self.id)
        .bind(self.member)
        .bind(corp.as_str())
        .bind(self.userid)
        .bind(self.person)
        .bind(self.status)
        .bind(self.reason)
        .bind(self.call)
        .bind(FAR_FUTURE_MS)
        .execute(db.pool())
        .await
        .expect("a recipient");
    }
}

/// Writes a call with so many attempts.
pub(crate) async fn write_call(db: &Db, corp: &CorpId, id: &str, attempts: i64) {
    sqlx::query(
        "INSERT INTO message_calls (id, corp_id, body, request, recipients, window_ms, status, reason, attempts, \
         next_at, holder, lease_until, uncertain_at, msgid, response_code, recall, created_at, finished_at) \
         VALUES ($1, $2, 'b', '{}', 1, 120000, 'due', '', $3, $4, '', 0, NULL, NULL, NULL, '', 0, NULL)",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(attempts)
    .bind(FAR_FUTURE_MS)
    .execute(db.pool())
    .await
    .expect("a call");
}

/// Holds the send window until `until`, because of `reason`.
pub(crate) async fn write_hold(db: &Db, corp: &CorpId, until: Timestamp, reason: &str) {
    sqlx::query(
        "INSERT INTO message_lanes (corp_id, turn, hold_until, hold_reason, hold_since, holds, at_once) \
         VALUES ($1, 0, $2, $3, 0, 1, 10)",
    )
    .bind(corp.as_str())
    .bind(until.millis())
    .bind(reason)
    .execute(db.pool())
    .await
    .expect("a lane");
}

pub(crate) async fn write_link(
    db: &Db,
    corp: &CorpId,
    id: &str,
    message: &str,
    target: &str,
    expires_at: Timestamp,
) {
    sqlx::query(
        "INSERT INTO message_links (id, corp_id, message_id, target, expires_at, opened_at) \
         VALUES ($1, $2, $3, $4, $5, NULL)",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(message)
    .bind(target)
    .bind(expires_at.millis())
    .execute(db.pool())
    .await
    .expect("a link");
}
