//! SQL of local entries. The caller begins the change, writes the audit row, and commits.
//!
//! Rows are locked in the order persons, sessions, chart: first [`hold_person`] or
//! [`reserve_userid`], then [`open_context`]. While the chart is locked no run publishes and nobody
//! else edits, so that what was checked still holds when it is written.

mod persons;
mod units;

use super::{EditError, check_userid};
use crate::base::id::{PersonId, UserId};
use crate::db::error::is_unique_violation;
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory::chart::Chart;
use crate::directory::row::{OPEN_UNTIL, UnitRow};
use crate::directory::{EntrySource, Person, Unit};

pub(crate) use persons::{
    create_person, delete_person, remove_person, update_member, update_person, write_person,
};
pub(crate) use units::{create_unit, delete_unit, update_unit};

/// The published chart, locked until the change commits.
#[derive(Debug)]
pub(crate) struct EditContext {
    chart: Chart,
    announced: bool,
}

impl EditContext {
    /// Returns the units, with everything that this change has written so far.
    pub(crate) const fn chart(&self) -> &Chart {
        &self.chart
    }

    /// Announces the chart, so that every replica reads it again; once for each change is enough.
    fn announce(&mut self, change: &mut FeedTransaction) {
        if !self.announced {
            change.announce(FeedKind::Chart, self.chart.version().to_string());
            self.announced = true;
        }
    }
}

/// Locks the published chart and reads its units.
///
/// # Errors
/// If the database fails.
pub(crate) async fn open_context(change: &mut FeedTransaction) -> sqlx::Result<EditContext> {
    let corp = change.corp().clone();
    let version: i64 =
        sqlx::query_scalar("UPDATE charts SET version = version WHERE corp_id = $1 RETURNING version")
            .bind(&corp)
            .fetch_one(change.tx())
            .await?;
    let rows: Vec<UnitRow> = sqlx::query_as(
        "SELECT v.id, v.wecom_id, v.source, v.parent_id, v.name, v.name_en, v.sort, v.leaders FROM unit_rows v \
         WHERE v.corp_id = $1 AND v.since <= $2 AND v.until > $2",
    )
    .bind(&corp)
    .bind(version)
    .fetch_all(change.tx())
    .await?;
    let units = rows.into_iter().map(Unit::try_from).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(EditContext { chart: Chart::new(version, None, units, Vec::new()), announced: false })
}

/// A person that is locked until the change commits. A sign-in or a run that writes the same person
/// waits for that.
#[derive(Debug)]
pub(crate) struct HeldPerson {
    /// The present row.
    pub person: Person,
    /// The userid the person has from now on.
    userid: UserId,
}

/// Locks a person. Returns `None` if there is no person with this id. With `userid`, the person
/// gets that one.
///
/// # Errors
/// [`EditError::Invalid`] or [`EditError::UseridTaken`] for that userid, or if the database fails.
pub(crate) async fn hold_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    userid: Option<&UserId>,
) -> Result<Option<HeldPerson>, EditError> {
    let corp = change.corp().clone();
    sqlx::query("UPDATE persons SET check_lease = check_lease WHERE corp_id = $1 AND id = $2")
        .bind(corp)
        .bind(id)
        .execute(change.tx())
        .await?;
    let Some(person) = crate::directory::store::find_current_person(change, id).await? else {
        return Ok(None);
    };
    // Hands do not rename WeCom's members. `update_person` refuses that, with everything else that is wrong.
    let userid = userid.filter(|u| **u != person.userid && person.source == EntrySource::Local);
    if let Some(userid) = userid {
        check_userid(userid)?;
        rename_person(change, id, userid).await?;
    }
    Ok(Some(HeldPerson { userid: userid.unwrap_or(&person.userid).clone(), person }))
}

/// Gives a person another userid, if nobody has it.
async fn rename_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    userid: &UserId,
) -> Result<(), EditError> {
    let corp = change.corp().clone();
    let done = sqlx::query(
        "UPDATE persons SET userid = $2 WHERE id = $1 AND released_at IS NULL AND NOT EXISTS ( \
           SELECT 1 FROM persons o WHERE o.corp_id = $3 AND lower(o.userid) = lower($2) AND o.released_at IS NULL \
             AND o.id <> $1)",
    )
    .bind(id)
    .bind(userid)
    .bind(corp)
    .execute(change.tx())
    .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(userid_conflict(change, userid).await?),
        // Somebody else got it while this statement waited.
        Err(error) if is_unique_violation(&error) => Err(EditError::UseridTaken(userid.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Returns why a userid cannot be given: a published person has it, or one whom a run is about to
/// publish.
async fn userid_conflict(change: &mut FeedTransaction, userid: &UserId) -> sqlx::Result<EditError> {
    let corp = change.corp().clone();
    let seen: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM persons p JOIN person_rows v ON v.person_id = p.id \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE p.corp_id = $1 AND lower(p.userid) = lower($2) AND p.released_at IS NULL",
    )
    .bind(corp)
    .bind(userid)
    .fetch_one(change.tx())
    .await?;
    Ok(if seen > 0 { EditError::UseridTaken(userid.clone()) } else { EditError::Busy })
}

/// A userid that nobody else can get until the change commits, and the id of the future person.
#[derive(Debug)]
pub(crate) struct ReservedUserid {
    id: PersonId,
    userid: UserId,
}

/// Reserves a userid for a person to be created.
///
/// # Errors
/// [`EditError::Invalid`], [`EditError::UseridTaken`], [`EditError::Busy`], or if the database fails.
pub(crate) async fn reserve_userid(
    change: &mut FeedTransaction,
    userid: &UserId,
) -> Result<ReservedUserid, EditError> {
    check_userid(userid)?;
    let (corp, now) = (change.corp().clone(), change.now());
    let id = PersonId::generate(now);
    let made = sqlx::query(
        "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES ($1, $2, $3, 0, 0, $4) \
         ON CONFLICT (corp_id, lower(userid)) WHERE released_at IS NULL DO NOTHING",
    )
    .bind(&id)
    .bind(corp)
    .bind(userid)
    .bind(now)
    .execute(change.tx())
    .await?;
    if made.rows_affected() == 0 {
        return Err(userid_conflict(change, userid).await?);
    }
    Ok(ReservedUserid { id, userid: userid.clone() })
}

/// Returns [`EditError::Busy`] if a run has prepared another row of this person for the next
/// version.
///
/// # Errors
/// That, or if the database fails.
pub(crate) async fn refuse_if_staged(
    change: &mut FeedTransaction,
    context: &EditContext,
    id: &PersonId,
) -> Result<(), EditError> {
    let staged: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM person_rows WHERE person_id = $1 AND (since > $2 OR (until > $2 AND until < $3))",
    )
    .bind(id)
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .fetch_one(change.tx())
    .await?;
    if staged > 0 { Err(EditError::Busy) } else { Ok(()) }
}
