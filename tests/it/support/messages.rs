//! Rows of messages, as acceptance and delivery leave them.

use gongpai::testing::audit::AuditRow;
use gongpai::testing::audit::store::list_rows;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::CorpId;
use gongpai::testing::db::Db;
use serde_json::{Value, json};
use sqlx::Row as _;

/// So late that the gateway of a test never delivers it.
const FAR_FUTURE_MS: i64 = 9_000_000_000_000;

/// The columns of a reason.
#[derive(Debug, Clone)]
pub(crate) struct ReasonFixture {
    code: Option<&'static str>,
    detail: Option<Value>,
}

impl ReasonFixture {
    pub(crate) const NONE: Self = Self { code: None, detail: None };

    /// A reason without anything variable in it.
    pub(crate) const fn of(code: &'static str) -> Self {
        Self { code: Some(code), detail: None }
    }

    /// Somebody gave it up, in these words.
    pub(crate) fn buried(words: &str) -> Self {
        Self { code: Some("buried"), detail: Some(json!({ "words": words })) }
    }

    /// A refusal of message/send.
    pub(crate) fn refused(errcode: i64, errmsg: &str) -> Self {
        let detail = json!({"api": "message/send", "errcode": errcode, "words": errmsg});
        Self { code: Some("refused"), detail: Some(detail) }
    }

    fn detail_text(&self) -> Option<String> {
        self.detail.as_ref().map(Value::to_string)
    }
}

/// A row of `messages` from the API client `oa`. A test sets what it needs.
#[derive(Debug, Clone)]
pub(crate) struct MessageFixture {
    pub(crate) id: String,
    pub(crate) seq: i64,
    pub(crate) client: &'static str,
    pub(crate) targets: Value,
    pub(crate) status: &'static str,
    pub(crate) reason: ReasonFixture,
    /// Whether its recipients are written.
    pub(crate) expanded: bool,
    pub(crate) recall_at: Option<i64>,
}

impl MessageFixture {
    /// For `users` whose persons are not known.
    pub(crate) fn to(id: &str, seq: i64, users: &[&str]) -> Self {
        let users: Vec<_> = users.iter().map(|userid| json!([userid, null])).collect();
        Self {
            id: id.to_owned(),
            seq,
            client: "oa",
            targets: json!({"users": users, "units": [], "tags": [], "all": false}),
            status: "accepted",
            reason: ReasonFixture::NONE,
            expanded: true,
            recall_at: None,
        }
    }

    pub(crate) async fn write(&self, db: &Db, corp: &CorpId, now: Timestamp) {
        let ended = (self.status != "accepted").then_some(now.millis());
        sqlx::query(
            "INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, \
             is_unique, targets, status, reason_code, reason_detail, not_before, expires_at, expanded_to, expanded_at, \
             recall_at, created_at, updated_at, finished_at) \
             VALUES ($1, $2, $3, $4, NULL, 'h', 'text', '{}', 'b', 0, $5, $6, $7, $13, $12, NULL, '', $9, $10, $8, $8, $11)",
        )
        .bind(&self.id)
        .bind(corp.as_str())
        .bind(self.seq)
        .bind(self.client)
        .bind(self.targets.to_string())
        .bind(self.status)
        .bind(self.reason.code)
        .bind(now.millis())
        .bind(self.expanded.then_some(now.millis()))
        .bind(self.recall_at)
        .bind(ended)
        .bind(FAR_FUTURE_MS)
        .bind(self.reason.detail_text())
        .execute(db.pool())
        .await
        .expect("a message");
    }
}

/// A row of `message_recipients`, in a call if there is one.
#[derive(Debug, Clone)]
pub(crate) struct RecipientFixture<'a> {
    pub(crate) id: &'a str,
    pub(crate) member: &'a str,
    pub(crate) userid: &'a str,
    pub(crate) person: Option<&'a str>,
    pub(crate) status: &'a str,
    pub(crate) reason: ReasonFixture,
    pub(crate) call: Option<&'a str>,
}

impl<'a> RecipientFixture<'a> {
    /// A recipient that waits for its turn.
    pub(crate) const fn pending(id: &'a str, member: &'a str, userid: &'a str) -> Self {
        Self { id, member, userid, person: None, status: "pending", reason: ReasonFixture::NONE, call: None }
    }

    pub(crate) async fn write(self, db: &Db, corp: &CorpId) {
        sqlx::query(
            "INSERT INTO message_recipients (message_id, member, corp_id, seq, userid, person_id, body, status, \
             reason_code, reason_detail, call_id, due_at, counted_at, alone, aside) \
             SELECT id, $2, $3, seq, $4, $5, 'b', $6, $7, $10, $8, $9, NULL, 0, 0 FROM messages WHERE id = $1",
        )
        .bind(self.id)
        .bind(self.member)
        .bind(corp.as_str())
        .bind(self.userid)
        .bind(self.person)
        .bind(self.status)
        .bind(self.reason.code)
        .bind(self.call)
        .bind(FAR_FUTURE_MS)
        .bind(self.reason.detail_text())
        .execute(db.pool())
        .await
        .expect("a recipient");
    }
}

/// A row of `message_calls`, with its recall if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallFixture<'a> {
    pub(crate) id: &'a str,
    pub(crate) attempts: i64,
    /// Whether an answer to it was lost.
    pub(crate) uncertain: bool,
    /// The status of its recall.
    pub(crate) recall: Option<&'a str>,
}

impl<'a> CallFixture<'a> {
    /// A call that waits after so many attempts.
    pub(crate) const fn due(id: &'a str, attempts: i64) -> Self {
        Self { id, attempts, uncertain: false, recall: None }
    }

    pub(crate) async fn write(self, db: &Db, corp: &CorpId) {
        sqlx::query(
            "INSERT INTO message_calls (id, corp_id, body, request, recipients, window_ms, status, attempts, next_at, \
             holder, lease_until, uncertain_at, created_at) \
             VALUES ($1, $2, 'b', '{}', 1, 120000, 'due', $3, $4, '', 0, $5, 0)",
        )
        .bind(self.id)
        .bind(corp.as_str())
        .bind(self.attempts)
        .bind(FAR_FUTURE_MS)
        .bind(self.uncertain.then_some(1_i64))
        .execute(db.pool())
        .await
        .expect("a call");
        if let Some(status) = self.recall {
            write_recall(db, corp, self.id, status).await;
        }
    }
}

async fn write_recall(db: &Db, corp: &CorpId, call: &str, status: &str) {
    sqlx::query(
        "INSERT INTO message_recalls (call_id, corp_id, status, attempts, next_at, holder, lease_until) \
         VALUES ($1, $2, $3, 1, 0, '', 0)",
    )
    .bind(call)
    .bind(corp.as_str())
    .bind(status)
    .execute(db.pool())
    .await
    .expect("a recall");
}

/// Holds the send window since `since` until `until`, because WeCom refuses every message.
pub(crate) async fn write_hold(
    db: &Db,
    corp: &CorpId,
    [since, until]: [Timestamp; 2],
    (errcode, errmsg): (i64, &str),
) {
    let detail =
        json!({"cause": "refused", "api": "message/send", "errcode": errcode, "words": errmsg}).to_string();
    sqlx::query(
        "INSERT INTO message_lanes (corp_id, turn, hold_until, hold_code, hold_detail, hold_since, holds, \
         max_concurrent_calls) VALUES ($1, 0, $2, 'needs_administrator', $3, $4, 1, 10) \
         ON CONFLICT (corp_id) DO UPDATE SET hold_until = excluded.hold_until, hold_code = excluded.hold_code, \
         hold_detail = excluded.hold_detail, hold_since = excluded.hold_since",
    )
    .bind(corp.as_str())
    .bind(until.millis())
    .bind(detail)
    .bind(since.millis())
    .execute(db.pool())
    .await
    .expect("a lane");
}

/// Writes a send window in which nothing is sent until `until`.
pub(crate) async fn write_closed_window(db: &Db, corp: &CorpId, until: Timestamp) {
    sqlx::query(
        "INSERT INTO message_lanes (corp_id, turn, hold_until, holds, max_concurrent_calls) \
         VALUES ($1, 0, $2, 0, 10)",
    )
    .bind(corp.as_str())
    .bind(until.millis())
    .execute(db.pool())
    .await
    .expect("a lane");
}

/// Writes that one call with so many recipients was made in the bucket that begins at `bucket`.
pub(crate) async fn write_count(db: &Db, corp: &CorpId, bucket: Timestamp, recipients: i64) {
    sqlx::query("INSERT INTO message_counts (corp_id, bucket, calls, recipients) VALUES ($1, $2, 1, $3)")
        .bind(corp.as_str())
        .bind(bucket.millis())
        .bind(recipients)
        .execute(db.pool())
        .await
        .expect("a count");
}

/// Writes a message to so many members, with a call of the same id that WeCom took and recalled, and
/// a link. It ends at `finished_at`; everything else of it happened at `at`.
pub(crate) async fn write_sent_message(
    db: &Db,
    corp: &CorpId,
    (id, seq, members): (&str, i64, i64),
    at: Timestamp,
    finished_at: Option<Timestamp>,
) {
    sqlx::query(
        "INSERT INTO messages (id, corp_id, seq, client_id, request_hash, kind, content, body, is_unique, targets, \
         status, not_before, expanded_to, expanded_at, created_at, updated_at, finished_at) \
         VALUES ($1, $2, $3, 'oa', '', 'text', '{}', $1, 1, $4, $5, $6, '', $6, $6, $6, $7)",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(seq)
    .bind(json!({"users": [], "units": [], "tags": [], "all": false}).to_string())
    .bind(if finished_at.is_some() { "recalled" } else { "accepted" })
    .bind(at.millis())
    .bind(finished_at.map(Timestamp::millis))
    .execute(db.pool())
    .await
    .expect("a message");
    for member in 0..members {
        let member = member.to_string();
        let sent = RecipientFixture::pending(id, &member, &member);
        RecipientFixture { status: "sent", call: Some(id), ..sent }.write(db, corp).await;
    }
    sqlx::query(
        "INSERT INTO message_calls (id, corp_id, body, request, recipients, window_ms, status, attempts, next_at, \
         holder, lease_until, msgid, created_at, finished_at) \
         VALUES ($1, $2, $1, '', 1, 1, 'sent', 1, 0, '', 0, 'm', $3, $3)",
    )
    .bind(id)
    .bind(corp.as_str())
    .bind(at.millis())
    .execute(db.pool())
    .await
    .expect("a call");
    write_recall(db, corp, id, "done").await;
    write_link(db, corp, id, id, "/", at).await;
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

/// A row of `messages`.
#[derive(Debug, Clone)]
pub(crate) struct MessageRecord {
    pub(crate) id: String,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) content: String,
    pub(crate) targets: String,
    pub(crate) status: String,
    pub(crate) is_unique: bool,
    pub(crate) created_at: i64,
    pub(crate) not_before: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) expanded_at: Option<i64>,
    pub(crate) recall_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
}

/// Reads all messages, in the order of acceptance.
pub(crate) async fn read_messages(db: &Db) -> Vec<MessageRecord> {
    sqlx::query(
        "SELECT id, client_id, kind, content, targets, status, is_unique, created_at, not_before, \
           expires_at, expanded_at, recall_at, finished_at FROM messages ORDER BY seq",
    )
    .fetch_all(db.pool())
    .await
    .expect("messages")
    .iter()
    .map(|row| MessageRecord {
        id: row.get(0),
        client: row.get(1),
        kind: row.get(2),
        content: row.get(3),
        targets: row.get(4),
        status: row.get(5),
        is_unique: row.get::<i64, _>(6) != 0,
        created_at: row.get(7),
        not_before: row.get(8),
        expires_at: row.get(9),
        expanded_at: row.get(10),
        recall_at: row.get(11),
        finished_at: row.get(12),
    })
    .collect()
}

/// Reads one message.
pub(crate) async fn read_message(db: &Db, id: &str) -> MessageRecord {
    let found = read_messages(db).await.into_iter().find(|message| message.id == id);
    found.unwrap_or_else(|| panic!("there is no message {id}"))
}

/// A row of `message_recipients`.
#[derive(Debug, Clone)]
pub(crate) struct RecipientRecord {
    pub(crate) message: String,
    pub(crate) userid: String,
    pub(crate) status: String,
    pub(crate) due_at: i64,
    pub(crate) counted_at: Option<i64>,
}

/// Reads all recipients, in the order of acceptance.
pub(crate) async fn read_recipients(db: &Db) -> Vec<RecipientRecord> {
    sqlx::query(
        "SELECT message_id, userid, status, due_at, counted_at FROM message_recipients ORDER BY seq, member",
    )
    .fetch_all(db.pool())
    .await
    .expect("recipients")
    .iter()
    .map(|row| RecipientRecord {
        message: row.get(0),
        userid: row.get(1),
        status: row.get(2),
        due_at: row.get(3),
        counted_at: row.get(4),
    })
    .collect()
}

/// A row of `message_calls`.
#[derive(Debug, Clone)]
pub(crate) struct CallRecord {
    pub(crate) status: String,
    pub(crate) next_at: i64,
}

/// Reads all calls, the oldest first.
pub(crate) async fn read_calls(db: &Db) -> Vec<CallRecord> {
    sqlx::query("SELECT status, next_at FROM message_calls ORDER BY id")
        .fetch_all(db.pool())
        .await
        .expect("calls")
        .iter()
        .map(|row| CallRecord { status: row.get(0), next_at: row.get(1) })
        .collect()
}

/// Deletes everything that was ever sent or tried.
pub(crate) async fn empty_message_tables(db: &Db) {
    for sql in [
        "DELETE FROM message_links",
        "DELETE FROM message_recipients",
        "DELETE FROM message_recalls",
        "DELETE FROM message_calls",
        "DELETE FROM messages",
        "DELETE FROM message_counts",
        "DELETE FROM message_lanes",
    ] {
        sqlx::query(sql).execute(db.pool()).await.expect("deleted");
    }
}

/// A call or a recall, as far as a model of delivery cannot foresee it.
#[derive(Debug, Clone)]
pub(crate) struct AttemptRecord {
    pub(crate) call: String,
    pub(crate) next_at: i64,
    pub(crate) attempts: i64,
    /// The first message that says the same; empty for a recall.
    pub(crate) first_with_body: String,
    /// Message and userid of each recipient; empty for a recall.
    pub(crate) recipients: Vec<(String, String)>,
}

/// Reads all calls, the oldest first, and all recalls.
pub(crate) async fn read_attempts(db: &Db) -> [Vec<AttemptRecord>; 2] {
    let record = |row: &sqlx::any::AnyRow| AttemptRecord {
        call: row.get(0),
        next_at: row.get(1),
        attempts: row.get(2),
        first_with_body: row.get(3),
        recipients: Vec::new(),
    };
    let read = async |sql: &'static str| sqlx::query(sql).fetch_all(db.pool()).await.expect("rows");
    let calls = read(
        "SELECT id, next_at, attempts, COALESCE((SELECT MIN(m.id) FROM messages m WHERE m.body = c.body), '') \
         FROM message_calls c ORDER BY id",
    ).await;
    let mut calls: Vec<_> = calls.iter().map(record).collect();
    let recalls = read("SELECT call_id, next_at, attempts, '' FROM message_recalls ORDER BY call_id").await;
    let recipients = "SELECT call_id, message_id, userid FROM message_recipients WHERE call_id IS NOT NULL";
    for row in read(recipients).await {
        let id: String = row.get(0);
        let call = calls.iter_mut().find(|call| call.call == id).expect("the call of a recipient");
        call.recipients.push((row.get(1), row.get(2)));
    }
    [calls, recalls.iter().map(record).collect()]
}

/// A row of `message_lanes`: the send window.
#[derive(Debug, Clone)]
pub(crate) struct SendWindowRecord {
    pub(crate) turn: i64,
    pub(crate) hold_code: Option<String>,
    pub(crate) hold_detail: Option<String>,
    pub(crate) hold_since: Option<i64>,
    pub(crate) holds: i64,
    pub(crate) max_concurrent_calls: i64,
}

/// Reads the send window, which there must be.
pub(crate) async fn read_send_window(db: &Db) -> SendWindowRecord {
    let row = sqlx::query(
        "SELECT turn, hold_code, hold_detail, hold_since, holds, max_concurrent_calls FROM message_lanes",
    )
    .fetch_one(db.pool())
    .await
    .expect("a send window");
    SendWindowRecord {
        turn: row.get(0),
        hold_code: row.get(1),
        hold_detail: row.get(2),
        hold_since: row.get(3),
        holds: row.get(4),
        max_concurrent_calls: row.get(5),
    }
}

/// A row of `message_links`.
#[derive(Debug, Clone)]
pub(crate) struct LinkRecord {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) target: String,
    pub(crate) expires_at: i64,
    pub(crate) opened_at: Option<i64>,
}

/// Reads all links.
pub(crate) async fn read_links(db: &Db) -> Vec<LinkRecord> {
    sqlx::query("SELECT id, message_id, target, expires_at, opened_at FROM message_links ORDER BY id")
        .fetch_all(db.pool())
        .await
        .expect("links")
        .iter()
        .map(|row| LinkRecord {
            id: row.get(0),
            message: row.get(1),
            target: row.get(2),
            expires_at: row.get(3),
            opened_at: row.get(4),
        })
        .collect()
}

/// Reads how many recipients are counted in `message_counts` against the limits of days.
pub(crate) async fn read_counted_recipients(db: &Db) -> i64 {
    sqlx::query("SELECT CAST(COALESCE(SUM(recipients), 0) AS BIGINT) FROM message_counts")
        .fetch_one(db.pool())
        .await
        .expect("a sum")
        .get(0)
}

/// Reads the rows of the audit trail about messages, the oldest first.
pub(crate) async fn read_message_audit(db: &Db, corp: &CorpId) -> Vec<AuditRow> {
    let rows =
        list_rows(db, corp, None, Timestamp::from_millis(0), "", 10_000).await.expect("the audit trail");
    rows.into_iter().filter(|row| row.event == "message").collect()
}
