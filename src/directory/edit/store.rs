use sqlx::Row as _;

use super::{
    EditError, MemberInput, PersonInput, UnitInput, check_userid, is_local_unit, with_unit, without_unit,
};
use crate::base::id::{PersonId, UnitId, UserId};
use crate::db::feed::{DirectoryChangeKind, DirectoryEntity, FeedKind, FeedTransaction};
use crate::directory::chart::{Chart, PlacedUnit};
use crate::directory::conflicts;
use crate::directory::row::{self, OPEN_UNTIL};
use crate::directory::store::release_userid;
use crate::directory::{EntrySource, Person, PersonDetails, PersonStatus, Unit};

/// The published chart, held until the change commits.
#[derive(Debug)]
pub struct EditContext {
    chart: Chart,
    announced: bool,
}

impl EditContext {
    /// The units as they are with what was written so far.
    pub const fn chart(&self) -> &Chart {
        &self.chart
    }

    /// Everybody's memory follows units when the chart is announced; once a change is enough.
    fn announce(&mut self, change: &mut FeedTransaction) {
        if !self.announced {
            change.announce(FeedKind::Chart, self.chart.version().to_string());
            self.announced = true;
        }
    }
}

/// Holds the published chart and reads its units.
///
/// # Errors
/// If the database fails.
pub async fn open_context(change: &mut FeedTransaction) -> sqlx::Result<EditContext> {
    let corp = change.corp().clone();
    let version: i64 =
        sqlx::query("UPDATE charts SET version = version WHERE corp_id = $1 RETURNING version")
            .bind(corp.as_str())
            .fetch_one(change.tx())
            .await?
            .try_get(0)?;
    let rows = sqlx::query(concat!(
        "SELECT ",
        row::unit_columns!(),
        " FROM unit_rows v WHERE v.corp_id = $1 AND v.since <= $2 AND v.until > $2"
    ))
    .bind(corp.as_str())
    .bind(version)
    .fetch_all(change.tx())
    .await?;
    let units = rows.iter().map(row::unit_from_row).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(EditContext { chart: Chart::new(version, None, units, Vec::new()), announced: false })
}

/// A person that is held until the change commits: a sign-in or a run that writes the same person
/// waits for that.
#[derive(Debug)]
pub struct HeldPerson {
    /// The row that holds now.
    pub person: Person,
    /// The userid the person has from now on.
    userid: UserId,
}

/// Holds a person; `None`: there is none of that id. With `userid` the person is to have that one
/// from now on.
///
/// # Errors
/// [`EditError::Invalid`] or [`EditError::UseridTaken`] for that userid, or if the database fails.
pub async fn hold_person(
    change: &mut FeedTransaction,
    id: &PersonId,
    userid: Option<&UserId>,
) -> Result<Option<HeldPerson>, EditError> {
    let corp = change.corp().clone();
    sqlx::query("UPDATE persons SET check_lease = check_lease WHERE corp_id = $1 AND id = $2")
        .bind(corp.as_str())
        .bind(id.as_str())
        .execute(change.tx())
        .await?;
    let Some(person) = crate::directory::store::find_current_person(change, id).await? else {
        return Ok(None);
    };
    // Whose a member of WeCom's is, is not for hands to say; that is refused later, with all that
    // is wrong.
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
    .bind(id.as_str())
    .bind(userid.as_str())
    .bind(corp.as_str())
    .execute(change.tx())
    .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(userid_conflict(change, userid).await?),
        // Somebody was given it while this waited.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(EditError::UseridTaken(userid.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Who has a userid that cannot be had: somebody everybody sees, or somebody whom a run is about to
/// publish.
async fn userid_conflict(change: &mut FeedTransaction, userid: &UserId) -> sqlx::Result<EditError> {
    let corp = change.corp().clone();
    let seen: i64 = sqlx::query(concat!(
        "SELECT COUNT(*) FROM persons p JOIN person_rows v ON v.person_id = p.id ",
        row::published!(),
        "WHERE p.corp_id = $1 AND lower(p.userid) = lower($2) AND p.released_at IS NULL"
    ))
    .bind(corp.as_str())
    .bind(userid.as_str())
    .fetch_one(change.tx())
    .await?
    .try_get(0)?;
    Ok(if seen > 0 { EditError::UseridTaken(userid.clone()) } else { EditError::Busy })
}

/// A userid that nobody else can have until the change commits, and the id of the person to be.
#[derive(Debug)]
pub struct ReservedUserid {
    id: PersonId,
    userid: UserId,
}

/// Takes a userid for a person to be made.
///
/// # Errors
/// [`EditError::Invalid`], [`EditError::UseridTaken`], [`EditError::Busy`], or if the database fails.
pub async fn reserve_userid(
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
    .bind(id.as_str())
    .bind(corp.as_str())
    .bind(userid.as_str())
    .bind(now.millis())
    .execute(change.tx())
    .await?;
    if made.rows_affected() == 0 {
        return Err(userid_conflict(change, userid).await?);
    }
    Ok(ReservedUserid { id, userid: userid.clone() })
}

/// [`EditError::Busy`] if a run has prepared another row of this person for the next version.
///
/// # Errors
/// That, or if the database fails.
pub async fn refuse_if_staged(
    change: &mut FeedTransaction,
    context: &EditContext,
    id: &PersonId,
) -> Result<(), EditError> {
    let staged: i64 = sqlx::query(
        "SELECT COUNT(*) FROM person_rows WHERE person_id = $1 AND (since > $2 OR (until > $2 AND until < $3))",
    )
    .bind(id.as_str())
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .fetch_one(change.tx())
    .await?
    .try_get(0)?;
    if staged > 0 { Err(EditError::Busy) } else { Ok(()) }
}

/// Makes a local unit.
///
/// # Errors
/// [`EditError`]; nothing was written then.
pub async fn create_unit(
    change: &mut FeedTransaction,
    context: &mut EditContext,
    input: UnitInput,
) -> Result<PlacedUnit, EditError> {
    let unit = input.validate(UnitId::generate(change.now()), &context.chart)?;
    let (corp, now) = (change.corp().clone(), change.now().millis());
    sqlx::query(
        "INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, \
                                updated_at) VALUES ($1, $2, $3, $4, NULL, 'local', $5, $6, '', $7, $8, $9)",
    )
    .bind(unit.id.as_str())
    .bind(corp.as_str())
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .bind(unit.parent.as_ref().map(|id| id.as_str().to_owned()))
    .bind(&unit.name)
    .bind(i64::from(unit.order))
    .bind(row::to_json(&unit.leaders)?)
    .bind(now)
    .execute(change.tx())
    .await?;
    publish_unit(change, context, unit, DirectoryChangeKind::Created)
}

/// Changes the local unit `id` into what `input` says.
///
/// # Errors
/// [`EditError`]; nothing was written then.
pub async fn update_unit(
    change: &mut FeedTransaction,
    context: &mut EditContext,
    id: &UnitId,
    input: UnitInput,
) -> Result<PlacedUnit, EditError> {
    let before = require_local_unit(&context.chart, id)?.clone();
    let unit = input.validate(id.clone(), &context.chart)?;
    if unit == before.unit {
        return Ok(before);
    }
    let now = change.now().millis();
    sqlx::query(
        "UPDATE unit_rows SET parent_id = $2, name = $3, sort = $4, leaders = $5, updated_at = $6 \
         WHERE id = $1 AND until > $7",
    )
    .bind(id.as_str())
    .bind(unit.parent.as_ref().map(|id| id.as_str().to_owned()))
    .bind(&unit.name)
    .bind(i64::from(unit.order))
    .bind(row::to_json(&unit.leaders)?)
    .bind(now)
    .bind(context.chart.version())
    .execute(change.tx())
    .await?;
    publish_unit(change, context, unit, DirectoryChangeKind::Updated)
}

fn publish_unit(
    change: &mut FeedTransaction,
    context: &mut EditContext,
    unit: Unit,
    what: DirectoryChangeKind,
) -> Result<PlacedUnit, EditError> {
    let id = unit.id.clone();
    context.chart = with_unit(&context.chart, unit);
    context.announce(change);
    change.note_directory_change(DirectoryEntity::Unit, id.as_str(), what);
    context.chart.unit(&id).cloned().ok_or(EditError::NotFound)
}

/// Removes the local unit `id`, if nothing is in it.
///
/// # Errors
/// [`EditError`]; nothing was written then.
pub async fn delete_unit(
    change: &mut FeedTransaction,
    context: &mut EditContext,
    id: &UnitId,
) -> Result<Unit, EditError> {
    let unit = require_local_unit(&context.chart, id)?.unit.clone();
    let corp = change.corp().clone();
    // The id stands in the JSON between quotes, and is no pattern: letters, digits and hyphens.
    let counts = sqlx::query(
        "SELECT COALESCE(SUM(CASE WHEN since <= $2 THEN 1 ELSE 0 END), 0), \
                COALESCE(SUM(CASE WHEN since > $2 THEN 1 ELSE 0 END), 0) \
         FROM person_rows WHERE corp_id = $1 AND until > $2 AND memberships LIKE $3",
    )
    .bind(corp.as_str())
    .bind(context.chart.version())
    .bind(format!("%\"{id}\"%"))
    .fetch_one(change.tx())
    .await?;
    let (persons, staged): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
    let units = context.chart.children(id).len();
    if units > 0 || persons > 0 {
        return Err(EditError::NotEmpty { units, persons });
    }
    if staged > 0 {
        return Err(EditError::Busy);
    }
    sqlx::query("DELETE FROM unit_rows WHERE id = $1").bind(id.as_str()).execute(change.tx()).await?;
    context.chart = without_unit(&context.chart, id);
    context.announce(change);
    change.note_directory_change(DirectoryEntity::Unit, id.as_str(), DirectoryChangeKind::Removed);
    Ok(unit)
}

fn require_local_unit<'c>(chart: &'c Chart, id: &UnitId) -> Result<&'c PlacedUnit, EditError> {
    let placed = chart.unit(id).ok_or(EditError::NotFound)?;
    if is_local_unit(chart, id) {
        Ok(placed)
    } else {
        Err(EditError::OwnedByWecom("the unit is a department of WeCom's"))
    }
}

/// Makes a local person of the userid that was reserved.
///
/// # Errors
/// [`EditError`]; the change must not be committed then.
pub async fn create_person(
    change: &mut FeedTransaction,
    context: &EditContext,
    reserved: ReservedUserid,
    input: PersonInput,
) -> Result<Person, EditError> {
    let (corp, now) = (change.corp().clone(), change.now().millis());
    let nobody = Person {
        id: reserved.id,
        userid: reserved.userid,
        name: String::new(),
        email: String::new(),
        source: EntrySource::Local,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: None,
        memberships: Vec::new(),
        details: PersonDetails::default(),
        fingerprint: String::new(),
    };
    let person = input.validate(&nobody, &context.chart)?;
    check_same_userid(&person.userid, &nobody.userid)?;
    sqlx::query(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, \
                                  main_unit, memberships, detail, said, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'local', $8, NULL, $9, $10, $11, '', $12)",
    )
    .bind(person.id.as_str())
    .bind(corp.as_str())
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .bind(person.userid.as_str())
    .bind(&person.name)
    .bind(&person.email)
    .bind(person.status.as_str())
    .bind(person.main_unit.as_ref().map(|id| id.as_str().to_owned()))
    .bind(row::format_memberships(&person.memberships)?)
    .bind(row::to_json(&person.details)?)
    .bind(now)
    .execute(change.tx())
    .await?;
    change.announce(FeedKind::Person, person.id.as_str());
    change.note_directory_change(DirectoryEntity::Person, person.id.as_str(), DirectoryChangeKind::Created);
    Ok(person)
}

/// The userid of the row is that of the identity, which was written before.
fn check_same_userid(userid: &UserId, identity: &UserId) -> Result<(), EditError> {
    if userid == identity {
        return Ok(());
    }
    Err(EditError::Invalid(format!("userid: {userid} is not the {identity} that was asked for first")))
}

/// Changes a local person into what `input` says.
///
/// # Errors
/// [`EditError`]; the change must not be committed then.
pub async fn update_person(
    change: &mut FeedTransaction,
    context: &EditContext,
    held: &HeldPerson,
    input: PersonInput,
) -> Result<Person, EditError> {
    let before = &held.person;
    if before.source == EntrySource::Wecom {
        let how = "the person is a member of WeCom's; only local_memberships can be changed";
        return Err(EditError::OwnedByWecom(how));
    }
    refuse_if_staged(change, context, &before.id).await?;
    let person = input.validate(before, &context.chart)?;
    check_same_userid(&person.userid, &held.userid)?;
    if person != *before {
        write_person(change, context, &person).await?;
        change.announce(FeedKind::Person, person.id.as_str());
        change.note_directory_change(
            DirectoryEntity::Person,
            person.id.as_str(),
            DirectoryChangeKind::Updated,
        );
    }
    Ok(person)
}

/// Puts a member of WeCom's that is held into local units.
///
/// # Errors
/// [`EditError`]; nothing was written then.
pub async fn update_member(
    change: &mut FeedTransaction,
    context: &EditContext,
    held: &HeldPerson,
    input: MemberInput,
) -> Result<Person, EditError> {
    let before = &held.person;
    if before.source == EntrySource::Local {
        return Err(EditError::Invalid(
            "local_memberships is for members of WeCom's; a local person has memberships".to_owned(),
        ));
    }
    refuse_if_staged(change, context, &before.id).await?;
    let person = input.validate(before, &context.chart)?;
    if person != *before {
        write_person(change, context, &person).await?;
        change.announce(FeedKind::Person, person.id.as_str());
        change.note_directory_change(
            DirectoryEntity::Person,
            person.id.as_str(),
            DirectoryChangeKind::Updated,
        );
    }
    Ok(person)
}

/// Writes a person's row that holds now, every column.
///
/// # Errors
/// If the database fails.
pub async fn write_person(
    change: &mut FeedTransaction,
    context: &EditContext,
    person: &Person,
) -> sqlx::Result<()> {
    let now = change.now().millis();
    sqlx::query(
        "UPDATE person_rows SET userid = $2, name = $3, email = $4, source = $5, status = $6, left_at = $7, \
           main_unit = $8, memberships = $9, detail = $10, said = $11, updated_at = $12 \
         WHERE person_id = $1 AND until > $13",
    )
    .bind(person.id.as_str())
    .bind(person.userid.as_str())
    .bind(&person.name)
    .bind(&person.email)
    .bind(person.source.as_str())
    .bind(person.status.as_str())
    .bind(person.left_at.map(crate::base::clock::Timestamp::millis))
    .bind(person.main_unit.as_ref().map(|id| id.as_str().to_owned()))
    .bind(row::format_memberships(&person.memberships)?)
    .bind(row::to_json(&person.details)?)
    .bind(&person.fingerprint)
    .bind(now)
    .bind(context.chart.version())
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Removes a local person that is held; whoever calls it ends the sessions.
///
/// # Errors
/// [`EditError`]; nothing was written then.
pub async fn delete_person(
    change: &mut FeedTransaction,
    context: &EditContext,
    held: &HeldPerson,
) -> Result<(), EditError> {
    let person = &held.person;
    if person.source == EntrySource::Wecom {
        return Err(EditError::OwnedByWecom("the person is a member of WeCom's"));
    }
    refuse_if_staged(change, context, &person.id).await?;
    conflicts::store::forget_person(change, &person.id).await?;
    remove_person(change, &person.id).await?;
    Ok(())
}

/// Removes everything that is known of a person. The identity goes, too, or, while sessions refer
/// to it, the userid is free again.
///
/// # Errors
/// If the database fails.
pub async fn remove_person(change: &mut FeedTransaction, id: &PersonId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM person_rows WHERE person_id = $1")
        .bind(id.as_str())
        .execute(change.tx())
        .await?;
    let gone = sqlx::query(
        "DELETE FROM persons WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM sessions WHERE person_id = $1)",
    )
    .bind(id.as_str())
    .execute(change.tx())
    .await?;
    if gone.rows_affected() == 0 {
        release_userid(change, id).await?;
    }
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Removed);
    Ok(())
}
