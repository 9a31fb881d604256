//! SQL of planning. The caller of every writing function has locked the send window.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Row as _};

use super::{Candidate, CurrentPerson, PlannedCall, PostponeReason, Postponed, earliest_time_within_limits};
use crate::base::clock::Timestamp;
use crate::base::id::{CallId, CorpId, MessageId};
use crate::db::bind_list::ListStatement;
use crate::directory::{EntrySource, PersonStatus};
use crate::message::deliver::rate_limits::{EVERYBODY_WINDOWS, MEMBER_WINDOWS};
use crate::message::deliver::send::build_request;
use crate::message::{Addressee, content};

/// The condition that it is the turn of a recipient `r`. $2: now.
///
/// It is the member's first open message that is not aside, or one that is aside, before that one,
/// and the first of those that are due. And no other message of the member is in a call.
///
/// Scalar subqueries are one index lookup each. PostgreSQL makes NOT EXISTS a join that compares
/// every row with every other while it has no statistics.
macro_rules! has_turn {
    () => {
        "AND CASE \
           WHEN (SELECT e.seq FROM message_recipients e \
             WHERE e.corp_id = r.corp_id AND e.member = r.member AND e.status IN ('pending', 'calling') \
               AND e.status = 'pending' AND e.aside = 0 ORDER BY e.seq LIMIT 1) < r.seq THEN 1 \
           WHEN r.aside = 1 AND (SELECT e.seq FROM message_recipients e \
             WHERE e.corp_id = r.corp_id AND e.member = r.member AND e.status IN ('pending', 'calling') \
               AND e.status = 'pending' AND e.aside = 1 AND e.due_at <= $2 ORDER BY e.seq LIMIT 1) < r.seq THEN 1 \
           ELSE (SELECT COUNT(*) FROM message_recipients e \
             WHERE e.corp_id = r.corp_id AND e.member = r.member AND e.status IN ('pending', 'calling') \
               AND e.status = 'calling') END = 0"
    };
}

/// Whether it is the turn of any recipient.
pub(super) async fn has_due_recipients(pool: &AnyPool, corp: &CorpId, now: Timestamp) -> sqlx::Result<bool> {
    let row = sqlx::query(concat!(
        "SELECT 1 FROM message_recipients r WHERE r.corp_id = $1 AND r.status = 'pending' AND r.due_at <= $2 ",
        has_turn!(),
        " LIMIT 1"
    ))
    .bind(corp.as_str())
    .bind(now.millis())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Counts the planned calls that wait to be made.
pub(super) async fn count_waiting_calls(tx: &mut AnyConnection, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query("SELECT COUNT(*) FROM message_calls WHERE corp_id = $1 AND status IN ('due', 'calling')")
        .bind(corp.as_str())
        .fetch_one(tx)
        .await?
        .try_get(0)
}

/// Reads the candidates. $2: now; $3, $4: how many newer messages fit the minute and the hour; $5,
/// $6: when these begin; $7: since when an equal body matters; $8: since when a call counts as
/// recent.
macro_rules! select_candidates {
    ($of:literal) => {
        concat!(
            "SELECT r.message_id, r.member, r.userid, r.body, r.alone, m.is_unique, m.created_at, m.not_before, \
               v.userid, v.status, v.source, \
               (SELECT c.counted_at FROM message_recipients c \
                  WHERE c.corp_id = r.corp_id AND c.member = r.member AND c.counted_at IS NOT NULL \
                    AND c.counted_at > $5 ORDER BY c.counted_at DESC LIMIT 1 OFFSET $3), \
               (SELECT c.counted_at FROM message_recipients c \
                  WHERE c.corp_id = r.corp_id AND c.member = r.member AND c.counted_at IS NOT NULL \
                    AND c.counted_at > $6 ORDER BY c.counted_at DESC LIMIT 1 OFFSET $4), \
               CASE WHEN m.is_unique = 0 THEN (SELECT MAX(d.counted_at) FROM message_recipients d \
                  WHERE d.corp_id = r.corp_id AND d.member IN (r.member, '@all') AND d.counted_at IS NOT NULL \
                    AND d.counted_at > $7 AND d.body = r.body) END, \
               CASE WHEN m.is_unique = 0 THEN (SELECT MAX(k.created_at) FROM message_calls k \
                  WHERE k.corp_id = r.corp_id AND k.body = r.body AND k.created_at > $8) END \
             FROM message_recipients r JOIN messages m ON m.id = r.message_id \
               LEFT JOIN charts h ON h.corp_id = r.corp_id \
               LEFT JOIN person_rows v ON v.person_id = r.person_id AND v.since <= h.version AND v.until > h.version \
             WHERE r.corp_id = $1 AND r.status = 'pending' AND r.due_at <= $2 \
               AND m.recall_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > $2) AND ",
            $of,
            " ",
            has_turn!(),
            " ORDER BY r.seq LIMIT $9"
        )
    };
}

/// Returns up to `limit` recipients whose turn it may be, in the order of acceptance.
pub(super) async fn find_candidates(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Candidate>> {
    let [minute, hour] = MEMBER_WINDOWS;
    sqlx::query(select_candidates!("r.member <> '@all'"))
        .bind(corp.as_str())
        .bind(now.millis())
        .bind(minute.limit - 1)
        .bind(hour.limit - 1)
        .bind(now.minus(minute.length).millis())
        .bind(now.minus(hour.length).millis())
        .bind(now.minus(super::DUPLICATE_WINDOW + super::DUPLICATE_MARGIN).millis())
        .bind(now.minus(super::REPEAT_WINDOW).millis())
        .bind(limit)
        .fetch_all(tx)
        .await?
        .iter()
        .map(parse_candidate)
        .collect()
}

/// Returns the next message to everybody, if there is one.
pub(super) async fn find_candidates_to_everybody(
    tx: &mut AnyConnection,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<Vec<Candidate>> {
    let [minute, hour] = EVERYBODY_WINDOWS;
    let since = now.minus(super::DUPLICATE_WINDOW + super::DUPLICATE_MARGIN);
    let row = sqlx::query(select_candidates!("r.member = '@all' AND r.status IN ('pending', 'calling')"))
        .bind(corp.as_str())
        .bind(now.millis())
        .bind(minute.limit - 1)
        .bind(hour.limit - 1)
        .bind(now.minus(minute.length).millis())
        .bind(now.minus(hour.length).millis())
        .bind(since.millis())
        .bind(now.minus(super::REPEAT_WINDOW).millis())
        .bind(1_i64)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(mut next) = row.as_ref().map(parse_candidate).transpose()? else { return Ok(Vec::new()) };
    if !next.unique {
        // Everybody includes the members that got an equal body recently.
        let row = sqlx::query(
            "SELECT MAX(COALESCE(finished_at, $3)) FROM message_calls \
             WHERE corp_id = $1 AND body = $2 AND status IN ('due', 'calling', 'sent', 'unknown') \
               AND (finished_at IS NULL OR finished_at > $4)",
        )
        .bind(corp.as_str())
        .bind(&next.body)
        .bind(now.millis())
        .bind(since.millis())
        .fetch_one(tx)
        .await?;
        let at: Option<i64> = row.try_get(0)?;
        next.duplicate_at = next.duplicate_at.max(at.map(Timestamp::from_millis));
    }
    Ok(vec![next])
}

fn parse_candidate(row: &AnyRow) -> sqlx::Result<Candidate> {
    let instant =
        |column: usize| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp::from_millis));
    let member: String = row.try_get(1)?;
    let accepted = Timestamp::from_millis(row.try_get(6)?);
    let userid: Option<String> = row.try_get(8)?;
    let person = match userid {
        Some(userid) => Some(CurrentPerson {
            userid,
            status: PersonStatus::parse(&row.try_get::<String, _>(9)?),
            source: EntrySource::parse(&row.try_get::<String, _>(10)?),
        }),
        None => None,
    };
    Ok(Candidate {
        message: MessageId::new(row.try_get::<String, _>(0)?),
        userid: row.try_get(2)?,
        person,
        body: row.try_get(3)?,
        alone: row.try_get::<i64, _>(4)? != 0,
        unique: row.try_get::<i64, _>(5)? != 0,
        since: accepted.max(Timestamp::from_millis(row.try_get(7)?)),
        free_at: earliest_time_within_limits(member == Addressee::ALL, [instant(11)?, instant(12)?]),
        duplicate_at: instant(13)?,
        call_at: instant(14)?,
        member,
    })
}

/// Returns the bodies that are on their way to everybody.
pub(super) async fn find_bodies_to_everybody(
    tx: &mut AnyConnection,
    corp: &CorpId,
) -> sqlx::Result<HashSet<String>> {
    sqlx::query(
        // Both conditions are needed: the first one selects the partial index.
        "SELECT body FROM message_recipients WHERE corp_id = $1 AND member = '@all' \
         AND status IN ('pending', 'calling') AND status = 'calling'",
    )
    .bind(corp.as_str())
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| row.try_get(0))
    .collect()
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
           reason, attempts, holder, lease_until, uncertain_at, msgid, response_code, recall, finished_at) VALUES ",
        2,
        "($1, $2, $2, *, *, *, *, *, 'due', '', 0, '', 0, NULL, NULL, NULL, '', NULL)",
        "",
    )
});

static TAKE_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, userid, call_id) AS (VALUES ",
        0,
        "(*, *, *, *)",
        ") UPDATE message_recipients SET status = 'calling', userid = t.userid, call_id = t.call_id FROM t \
         WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member",
    )
});

/// Returns the bytes of a call.
///
/// WeCom takes a `task_id` once (42014). So the first call of a body has the requested one, and
/// each later call its own, which ends as the call's id does.
fn build_call_bytes(
    (id, planned): &(CallId, PlannedCall),
    (kind, content): &(String, String),
    agent: u32,
    called: &mut HashSet<String>,
) -> sqlx::Result<String> {
    let userids = planned.recipients.iter().map(|(_, _, userid)| userid.as_str());
    if content::has_task_id(content) && !called.insert(planned.body.clone()) {
        let tail = id.as_str().rsplit('-').next().unwrap_or_default();
        if let Some(own) = content::with_own_task_id(content, tail) {
            return build_request(userids, kind, &own, agent, planned.window);
        }
    }
    build_request(userids, kind, content, agent, planned.window)
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
    let mut contents = HashMap::with_capacity(firsts.len());
    for (text, part) in FIND_CONTENTS.chunks(&firsts) {
        let mut query = sqlx::query(text);
        for id in part {
            query = query.bind(id.as_str());
        }
        for row in query.fetch_all(&mut *tx).await? {
            let (kind, content): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            contents.insert(MessageId::new(row.try_get::<String, _>(0)?), (kind, content));
        }
    }
    // Bodies with a task_id that had a call already, whatever its outcome.
    let mut with_task: Vec<&str> = Vec::new();
    for (_, planned) in calls {
        if first(planned)
            .and_then(|message| contents.get(&message))
            .is_some_and(|(_, content)| content::has_task_id(content))
        {
            with_task.push(&planned.body);
        }
    }
    let mut called = HashSet::new();
    for (text, part) in FIND_CALLED_BODIES.chunks(&with_task) {
        let mut query = sqlx::query(text).bind(corp.as_str());
        for body in part {
            query = query.bind(*body);
        }
        for row in query.fetch_all(&mut *tx).await? {
            called.insert(row.try_get(0)?);
        }
    }
    for (text, part) in INSERT_CALLS.chunks(calls) {
        let mut query = sqlx::query(text).bind(corp.as_str()).bind(now.millis());
        for call in part {
            let (id, planned) = call;
            let content =
                first(planned).and_then(|message| contents.get(&message)).ok_or(sqlx::Error::RowNotFound)?;
            query = query
                .bind(id.as_str())
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
            query = query.bind(message.as_str()).bind(member).bind(userid).bind(id.as_str());
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
            let aside = i64::from(one.reason == PostponeReason::DuplicateWindow);
            query = query.bind(one.message.as_str()).bind(&one.member).bind(one.at.millis()).bind(aside);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Postpones rows of the same member together. $1: corporation, $2: member, $3: until when, $4: at
/// most how many.
macro_rules! postpone_rows {
    ($set:literal, $which:literal) => {
        concat!(
            "UPDATE message_recipients SET due_at = $3",
            $set,
            " WHERE (message_id, member) IN (\
                SELECT e.message_id, e.member FROM message_recipients e \
                WHERE e.corp_id = $1 AND e.member = $2 AND e.status IN ('pending', 'calling') \
                  AND e.status = 'pending' AND e.due_at < $3",
            $which,
            " LIMIT $4)"
        )
    };
}

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
        let moved = match one.reason {
            PostponeReason::AwaitsBatch => continue,
            PostponeReason::MemberLimit => sqlx::query(postpone_rows!("", "")),
            PostponeReason::DuplicateWindow => sqlx::query(postpone_rows!(", aside = 1", " AND e.body = $5")),
        };
        let mut moved = moved.bind(corp.as_str()).bind(&one.member).bind(one.at.millis()).bind(left);
        if one.reason == PostponeReason::DuplicateWindow {
            moved = moved.bind(&one.body);
        }
        left = left
            .saturating_sub(i64::try_from(moved.execute(&mut *tx).await?.rows_affected()).unwrap_or(left));
    }
    Ok(())
}

static FAIL_RECIPIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "WITH t (message_id, member, reason) AS (VALUES ",
        0,
        "(*, *, *)",
        ") UPDATE message_recipients SET status = 'failed', reason = t.reason FROM t \
         WHERE message_recipients.message_id = t.message_id AND message_recipients.member = t.member",
    )
});

/// Fails recipients that cannot be reached.
pub(super) async fn fail_recipients(
    tx: &mut AnyConnection,
    failed: &[(MessageId, String, &'static str)],
) -> sqlx::Result<()> {
    for (text, part) in FAIL_RECIPIENTS.chunks(failed) {
        let mut query = sqlx::query(text);
        for (message, member, reason) in part {
            query = query.bind(message.as_str()).bind(member).bind(*reason);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}
