//! SQL of planning. The caller of every writing function has locked the send window.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use const_format::formatcp;
use sqlx::{AnyConnection, AnyPool, FromRow};

use super::{Candidate, CurrentPerson, PlannedCall, PostponeReason, Postponed, earliest_time_within_limits};
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::bind_list::ListStatement;
use crate::db::hot_statement::HotStatement;
use crate::db::types::FlagColumn;
use crate::directory::{EntrySource, PersonStatus};
use crate::message::deliver::rate_limits::{EVERYBODY_WINDOWS, MEMBER_WINDOWS, RateWindow};
use crate::message::deliver::send::build_request;
use crate::message::state::words::{
    CALL_CALLING, CALL_DUE, CALL_SENT, CALL_UNKNOWN, RECIPIENT_CALLING, RECIPIENT_PENDING,
};
use crate::message::{Addressee, MessageKind, content};

/// The condition that it is the turn of a recipient `r`. $2: now.
///
/// It is the member's first open message that is not aside, or one that is aside, before that one,
/// and the first of those that are due. And no other message of the member is in a call.
///
/// Scalar subqueries are one index lookup each. PostgreSQL makes NOT EXISTS a join that compares
/// every row with every other while it has no statistics. Of the two conditions on the status the
/// first one selects the partial index.
const HAS_TURN: &str = formatcp!(
    "CASE \
       WHEN (SELECT e.seq FROM message_recipients e \
         WHERE e.corp_id = r.corp_id AND e.member = r.member \
           AND e.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') \
           AND e.status = '{RECIPIENT_PENDING}' AND e.aside = 0 ORDER BY e.seq LIMIT 1) < r.seq THEN 1 \
       WHEN r.aside = 1 AND (SELECT e.seq FROM message_recipients e \
         WHERE e.corp_id = r.corp_id AND e.member = r.member \
           AND e.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') \
           AND e.status = '{RECIPIENT_PENDING}' AND e.aside = 1 AND e.due_at <= $2 ORDER BY e.seq LIMIT 1) < r.seq THEN 1 \
       ELSE (SELECT COUNT(*) FROM message_recipients e \
         WHERE e.corp_id = r.corp_id AND e.member = r.member \
           AND e.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') \
           AND e.status = '{RECIPIENT_CALLING}') END = 0"
);

pub(in crate::message) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement {
        name: "has_due_recipients",
        sql: HAS_DUE_RECIPIENTS,
        indexes: &["message_recipients_queue (corp_id)", "message_recipients_turn (corp_id, member, status)"],
    },
    HotStatement {
        name: "count_waiting_calls",
        sql: COUNT_WAITING_CALLS,
        indexes: &["message_calls_due (corp_id)"],
    },
    HotStatement {
        name: "find_candidates",
        sql: FIND_CANDIDATES,
        indexes: &[
            "message_recipients_queue (corp_id)",
            "message_recipients_turn (corp_id, member, status)",
            "message_recipients_counted (corp_id, member, counted_at)",
            "message_calls_body (corp_id, body, created_at)",
            "messages_pkey (id)",
        ],
    },
    HotStatement {
        name: "find_candidates_to_everybody",
        sql: FIND_CANDIDATES_TO_EVERYBODY,
        indexes: &[
            "message_recipients_turn (corp_id, member, status)",
            "message_recipients_counted (corp_id, member, counted_at)",
            "message_calls_body (corp_id, body, created_at)",
        ],
    },
    HotStatement {
        name: "find_last_call",
        sql: FIND_LAST_CALL,
        indexes: &["message_calls_body (corp_id, body)"],
    },
    HotStatement {
        name: "find_bodies_to_everybody",
        sql: FIND_BODIES_TO_EVERYBODY,
        indexes: &["message_recipients_turn (corp_id, member, status)"],
    },
    HotStatement {
        name: "postpone_related",
        sql: POSTPONE_RELATED,
        indexes: &["message_recipients_turn (corp_id, member)"],
    },
];

const HAS_DUE_RECIPIENTS: &str = formatcp!(
    "SELECT r.seq FROM message_recipients r \
     WHERE r.corp_id = $1 AND r.status = '{RECIPIENT_PENDING}' AND r.due_at <= $2 AND {HAS_TURN} LIMIT 1"
);

/// Whether it is the turn of any recipient.
pub(super) async fn has_due_recipients(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let due: Option<i64> =
        sqlx::query_scalar(HAS_DUE_RECIPIENTS).bind(corp).bind(now).fetch_optional(pool).await?;
    Ok(due.is_some())
}

const COUNT_WAITING_CALLS: &str = formatcp!(
    "SELECT COUNT(*) FROM message_calls WHERE corp_id = $1 AND status IN ('{CALL_DUE}', '{CALL_CALLING}')"
);

/// Counts the planned calls that wait to be made.
pub(super) async fn count_waiting_calls(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query_scalar(COUNT_WAITING_CALLS).bind(corp).fetch_one(tx).await
}

/// The beginning of the statements that read candidates; a condition on their member, [`HAS_TURN`]
/// and the order follow. $2: now; $3, $4: how many newer messages fit the minute and the hour; $5,
/// $6: when these begin; $7: since when an equal body matters; $8: since when a call counts as
/// recent; $9: how many are read.
const SELECT_CANDIDATES: &str = formatcp!(
    "SELECT r.message_id, r.member, r.userid, r.body, r.alone, m.is_unique, m.created_at, m.not_before, \
       v.userid AS person_userid, v.status AS person_status, v.source AS person_source, \
       (SELECT c.counted_at FROM message_recipients c \
          WHERE c.corp_id = r.corp_id AND c.member = r.member AND c.counted_at IS NOT NULL \
            AND c.counted_at > $5 ORDER BY c.counted_at DESC LIMIT 1 OFFSET $3) AS counted_in_minute, \
       (SELECT c.counted_at FROM message_recipients c \
          WHERE c.corp_id = r.corp_id AND c.member = r.member AND c.counted_at IS NOT NULL \
            AND c.counted_at > $6 ORDER BY c.counted_at DESC LIMIT 1 OFFSET $4) AS counted_in_hour, \
       CASE WHEN m.is_unique = 0 THEN (SELECT MAX(d.counted_at) FROM message_recipients d \
          WHERE d.corp_id = r.corp_id AND d.member IN (r.member, '{ALL}') AND d.counted_at IS NOT NULL \
            AND d.counted_at > $7 AND d.body = r.body) END AS duplicate_at, \
       CASE WHEN m.is_unique = 0 THEN (SELECT MAX(k.created_at) FROM message_calls k \
          WHERE k.corp_id = r.corp_id AND k.body = r.body AND k.created_at > $8) END AS call_at \
     FROM message_recipients r JOIN messages m ON m.id = r.message_id \
       LEFT JOIN charts h ON h.corp_id = r.corp_id \
       LEFT JOIN person_rows v ON v.person_id = r.person_id AND v.since <= h.version AND v.until > h.version \
     WHERE r.corp_id = $1 AND r.status = '{RECIPIENT_PENDING}' AND r.due_at <= $2 \
       AND m.recall_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > $2) AND ",
    ALL = Addressee::ALL
);

const FIND_CANDIDATES: &str = formatcp!(
    "{SELECT_CANDIDATES}r.member <> '{ALL}' AND {HAS_TURN} ORDER BY r.seq LIMIT $9",
    ALL = Addressee::ALL
);

const FIND_CANDIDATES_TO_EVERYBODY: &str = formatcp!(
    "{SELECT_CANDIDATES}r.member = '{ALL}' AND r.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') \
       AND {HAS_TURN} ORDER BY r.seq LIMIT $9",
    ALL = Addressee::ALL
);

#[derive(Debug, FromRow)]
struct CandidateRow {
    message_id: MessageId,
    member: String,
    userid: String,
    body: String,
    alone: FlagColumn,
    is_unique: FlagColumn,
    created_at: Timestamp,
    not_before: Timestamp,
    person_userid: Option<String>,
    person_status: Option<PersonStatus>,
    person_source: Option<EntrySource>,
    counted_in_minute: Option<Timestamp>,
    counted_in_hour: Option<Timestamp>,
    duplicate_at: Option<Timestamp>,
    call_at: Option<Timestamp>,
}

impl From<CandidateRow> for Candidate {
    fn from(row: CandidateRow) -> Self {
        let person = match (row.person_userid, row.person_status, row.person_source) {
            (Some(userid), Some(status), Some(source)) => Some(CurrentPerson { userid, status, source }),
            _ => None,
        };
        let counted = [row.counted_in_minute, row.counted_in_hour];
        Self {
            free_at: earliest_time_within_limits(row.member == Addressee::ALL, counted),
            message: row.message_id,
            member: row.member,
            userid: row.userid,
            person,
            body: row.body,
            unique: row.is_unique.0,
            alone: row.alone.0,
            since: row.created_at.max(row.not_before),
            duplicate_at: row.duplicate_at,
            call_at: row.call_at,
        }
    }
}

async fn read_candidates(
    tx: &mut AnyConnection,
    statement: &'static str,
    corp: &CorpId,
    [minute, hour]: [RateWindow; 2],
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Candidate>> {
    let rows: Vec<CandidateRow> = sqlx::query_as(statement)
        .bind(corp)
        .bind(now)
        .bind(minute.limit - 1)
        .bind(hour.limit - 1)
        .bind(now.minus(minute.length))
        .bind(now.minus(hour.length))
        .bind(duplicates_since(now))
        .bind(now.minus(super::REPEAT_WINDOW))
        .bind(limit)
        .fetch_all(tx)
        .await?;
    Ok(rows.into_iter().map(Candidate::from).collect())
}

/// Returns since when a call with an equal body matters.
fn duplicates_since(now: Timestamp) -> Timestamp {
    now.minus(super::DUPLICATE_WINDOW + super::DUPLICATE_MARGIN)
}

/// Returns up to `limit` recipients whose turn it may be, in the order of acceptance.
pub(super) async fn find_candidates(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Candidate>> {
    read_candidates(tx, FIND_CANDIDATES, corp, MEMBER_WINDOWS, now, limit).await
}

const FIND_LAST_CALL: &str = formatcp!(
    "SELECT MAX(COALESCE(finished_at, $3)) FROM message_calls \
     WHERE corp_id = $1 AND body = $2 AND status IN ('{CALL_DUE}', '{CALL_CALLING}', '{CALL_SENT}', '{CALL_UNKNOWN}') \
       AND (finished_at IS NULL OR finished_at > $4)"
);

/// Returns the next message to everybody, if there is one.
pub(super) async fn find_candidates_to_everybody(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<Vec<Candidate>> {
    let mut found =
        read_candidates(tx, FIND_CANDIDATES_TO_EVERYBODY, corp, EVERYBODY_WINDOWS, now, 1).await?;
    for next in found.iter_mut().filter(|next| !next.unique) {
        // Everybody includes the members that got an equal body recently.
        let at: Option<Timestamp> = sqlx::query_scalar(FIND_LAST_CALL)
            .bind(corp)
            .bind(&next.body)
            .bind(now)
            .bind(duplicates_since(now))
            .fetch_one(&mut *tx)
            .await?;
        next.duplicate_at = next.duplicate_at.max(at);
    }
    Ok(found)
}

const FIND_BODIES_TO_EVERYBODY: &str = formatcp!(
    // Both conditions are needed: the first one selects the partial index.
    "SELECT body FROM message_recipients WHERE corp_id = $1 AND member = '{ALL}' \
       AND status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') AND status = '{RECIPIENT_CALLING}'",
    ALL = Addressee::ALL
);

/// Returns the bodies that are on their way to everybody.
pub(super) async fn find_bodies_to_everybody(
    tx: &mut AnyConnection,
    corp: &CorpId,
) -> sqlx::Result<HashSet<String>> {
    let bodies: Vec<String> = sqlx::query_scalar(FIND_BODIES_TO_EVERYBODY).bind(corp).fetch_all(tx).await?;
    Ok(bodies.into_iter().collect())
}

#[derive(Debug, FromRow)]
struct ContentRow {
    id: MessageId,
    kind: MessageKind,
    content: String,
}

static FIND_CONTENTS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::new("SELECT id, kind, content FROM messages WHERE id IN (", 0, "*", ")"));

static FIND_CALLED_BODIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT DISTINCT body FROM message_calls WHERE corp_id = $1 AND body IN (",
        1,
        "*",
        ")",
    )
});

static INSERT_CALLS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO message_calls (corp_id, next_at, created_at, id, body, request, recipients, window_ms, status, \
           reason_code, reason_detail, attempts, holder, lease_until, uncertain_at, msgid, response_code, \
           finished_at) VALUES ",
        2,
        formatcp!("($1, $2, $2, *, *, *, *, *, '{CALL_DUE}', NULL, NULL, 0, '', 0, NULL, NULL, NULL, NULL)"),
        "",
    )
});

static TAKE_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, userid, call_id) AS (VALUES ",
        0,
        "(*, *, *, *)",
        formatcp!(
            ") UPDATE message_recipients SET status = '{RECIPIENT_CALLING}', userid = t.userid, call_id = t.call_id \
             FROM t WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member"
        ),
    )
});

/// Returns the bytes of a call.
///
/// WeCom takes a `task_id` once (42014). So the first call of a body has the requested one, and
/// each later call its own, which ends as the call's id does.
fn build_call_bytes(
    (id, planned): &(CallId, PlannedCall),
    ContentRow { kind, content, .. }: &ContentRow,
    agent: u32,
    called: &mut HashSet<String>,
) -> sqlx::Result<String> {
    let userids = planned.recipients.iter().map(|(_, _, userid)| userid.as_str());
    if content::has_task_id(content) && !called.insert(planned.body.clone()) {
        let tail = id.as_str().rsplit('-').next().unwrap_or_default();
        if let Some(own) = content::with_own_task_id(content, tail) {
            return build_request(userids, *kind, &own, agent, planned.window);
        }
    }
    build_request(userids, *kind, content, agent, planned.window)
}

/// Writes calls with their exact bytes, and moves their recipients into them.
pub(super) async fn insert_calls(
    tx: &mut AnyConnection,
    corp: &CorpId,
    agent: u32,
    calls: &[(CallId, PlannedCall)],
    now: Timestamp,
) -> sqlx::Result<()> {
    let first = |planned: &PlannedCall| planned.recipients.first().map(|(message, _, _)| message.clone());
    let mut firsts: Vec<MessageId> = calls.iter().filter_map(|(_, planned)| first(planned)).collect();
    firsts.dedup();
    let mut contents: HashMap<MessageId, ContentRow> = HashMap::with_capacity(firsts.len());
    for (text, part) in FIND_CONTENTS.chunks(&firsts) {
        let mut query = sqlx::query_as(text);
        for id in part {
            query = query.bind(id);
        }
        let rows: Vec<ContentRow> = query.fetch_all(&mut *tx).await?;
        contents.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
    }
    // Bodies with a task_id that had a call already, whatever its outcome.
    let mut with_task: Vec<&str> = Vec::new();
    for (_, planned) in calls {
        if first(planned)
            .and_then(|message| contents.get(&message))
            .is_some_and(|row| content::has_task_id(&row.content))
        {
            with_task.push(&planned.body);
        }
    }
    let mut called: HashSet<String> = HashSet::new();
    for (text, part) in FIND_CALLED_BODIES.chunks(&with_task) {
        let mut query = sqlx::query_scalar(text).bind(corp);
        for body in part {
            query = query.bind(*body);
        }
        called.extend(query.fetch_all(&mut *tx).await?);
    }
    for (text, part) in INSERT_CALLS.chunks(calls) {
        let mut query = sqlx::query(text).bind(corp).bind(now);
        for call in part {
            let (id, planned) = call;
            let content =
                first(planned).and_then(|message| contents.get(&message)).ok_or(sqlx::Error::RowNotFound)?;
            query = query
                .bind(id)
                .bind(&planned.body)
                .bind(build_call_bytes(call, content, agent, &mut called)?)
                .bind(i64::try_from(planned.recipients.len()).unwrap_or(i64::MAX))
                .bind(i64::try_from(planned.window.as_millis()).unwrap_or(i64::MAX));
        }
        query.execute(&mut *tx).await?;
    }
    let rows: Vec<_> = calls
        .iter()
        .flat_map(|(id, planned)| planned.recipients.iter().map(move |recipient| (id, recipient)))
        .collect();
    for (text, part) in TAKE_RECIPIENTS.chunks(&rows) {
        let mut query = sqlx::query(text);
        for (id, (message, member, userid)) in part {
            query = query.bind(message).bind(member).bind(userid).bind(*id);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

static POSTPONE_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, at, aside) AS (VALUES ",
        0,
        "(*, *, CAST(* AS BIGINT), CAST(* AS BIGINT))",
        ") UPDATE message_recipients SET due_at = t.at, \
             aside = CASE WHEN t.aside = 1 THEN 1 ELSE message_recipients.aside END FROM t \
         WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member",
    )
});

/// Postpones recipients.
pub(super) async fn postpone(tx: &mut AnyConnection, later: &[Postponed]) -> sqlx::Result<()> {
    for (text, part) in POSTPONE_RECIPIENTS.chunks(later) {
        let mut query = sqlx::query(text);
        for one in part {
            let aside = FlagColumn(one.reason == PostponeReason::DuplicateWindow);
            query = query.bind(&one.message).bind(&one.member).bind(one.at).bind(aside);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Postpones rows of the same member together. $1: corporation, $2: member, $3: until when, $4: at
/// most how many, $5: 1 if only those with the body $6, which then step aside. The CASE keeps an
/// engine from reading the queue of all members.
const POSTPONE_RELATED: &str = formatcp!(
    "UPDATE message_recipients SET due_at = $3, aside = CASE WHEN $5 = 1 THEN 1 ELSE aside END \
     WHERE (message_id, member) IN (\
       SELECT e.message_id, e.member FROM message_recipients e \
       WHERE e.corp_id = $1 AND e.member = $2 AND e.status IN ('{RECIPIENT_PENDING}', '{RECIPIENT_CALLING}') \
         AND CASE WHEN e.status = '{RECIPIENT_PENDING}' THEN 1 ELSE 0 END = 1 \
         AND e.due_at < $3 AND ($5 = 0 OR e.body = $6) LIMIT $4)"
);

/// Postpones the related rows of the same member too: all of them for a limit, those with an equal
/// body for a duplicate.
///
/// Otherwise each of them would be read again and again before its time. Short delays are left out,
/// and at most `most` rows are written; the others are found one by one.
pub(super) async fn postpone_related(
    tx: &mut AnyConnection,
    corp: &CorpId,
    later: &[Postponed],
    now: Timestamp,
    most: i64,
) -> sqlx::Result<()> {
    let mut left = most;
    for one in later.iter().filter(|one| one.at.since(now) >= super::MIN_SHARED_DELAY) {
        if left <= 0 {
            break;
        }
        let only_equal = match one.reason {
            PostponeReason::AwaitsBatch => continue,
            PostponeReason::MemberLimit => false,
            PostponeReason::DuplicateWindow => true,
        };
        let moved = sqlx::query(POSTPONE_RELATED)
            .bind(corp)
            .bind(&one.member)
            .bind(one.at)
            .bind(left)
            .bind(FlagColumn(only_equal))
            .bind(&one.body)
            .execute(&mut *tx)
            .await?;
        left = left.saturating_sub(i64::try_from(moved.rows_affected()).unwrap_or(left));
    }
    Ok(())
}
