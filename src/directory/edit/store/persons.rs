//! SQL that creates, changes and deletes local persons.

use const_format::formatcp;

use super::{EditContext, HeldPerson, ReservedUserid, refuse_if_staged};
use crate::base::id::{PersonId, UserId};
use crate::db::feed::FeedKind;
use crate::db::types::JsonColumn;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::conflicts;
use crate::directory::edit::{EditError, MemberInput, PersonInput};
use crate::directory::row::{self, OPEN_UNTIL};
use crate::directory::store::release_userid;
use crate::directory::{EntrySource, Person};

const LOCAL: &str = EntrySource::Local.as_str();

/// Creates a local person with the reserved userid.
///
/// # Errors
/// [`EditError`]; then the change must not be committed.
pub(crate) async fn create_person(
    change: &mut DirectoryTransaction,
    context: &EditContext,
    reserved: ReservedUserid,
    input: PersonInput,
) -> Result<Person, EditError> {
    let (corp, now) = (change.corp().clone(), change.now());
    let new = Person::new_local(reserved.id, reserved.userid);
    let person = input.validate(&new, &context.chart)?;
    check_same_userid(&person.userid, &new.userid)?;
    sqlx::query(formatcp!(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, \
                                  main_unit, memberships, detail, said, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, '{LOCAL}', $8, NULL, $9, $10, $11, '', $12)"
    ))
    .bind(&person.id)
    .bind(corp)
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .bind(&person.userid)
    .bind(&person.name)
    .bind(&person.email)
    .bind(person.status)
    .bind(&person.main_unit)
    .bind(row::format_memberships(&person.memberships)?)
    .bind(JsonColumn(&person.details))
    .bind(now)
    .execute(change.tx())
    .await?;
    change.announce(FeedKind::Person, person.id.as_str());
    change.note_directory_change(DirectoryEntity::Person, person.id.as_str(), DirectoryChangeKind::Created);
    Ok(person)
}

/// Checks that a row gets the userid that the identity got before.
fn check_same_userid(userid: &UserId, identity: &UserId) -> Result<(), EditError> {
    if userid == identity {
        return Ok(());
    }
    Err(EditError::Invalid(format!("userid: {userid} is not the {identity} that was asked for first")))
}

/// Changes a local person into what `input` says.
///
/// # Errors
/// [`EditError`]; then the change must not be committed.
pub(crate) async fn update_person(
    change: &mut DirectoryTransaction,
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

/// Replaces the memberships of a member of WeCom's in local units.
///
/// # Errors
/// [`EditError`]; nothing has been written.
pub(crate) async fn update_member(
    change: &mut DirectoryTransaction,
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

/// Writes every column of a person's present row.
///
/// # Errors
/// If the database fails.
pub(crate) async fn write_person(
    change: &mut DirectoryTransaction,
    context: &EditContext,
    person: &Person,
) -> sqlx::Result<()> {
    let now = change.now();
    sqlx::query(
        "UPDATE person_rows SET userid = $2, name = $3, email = $4, source = $5, status = $6, left_at = $7, \
           main_unit = $8, memberships = $9, detail = $10, said = $11, updated_at = $12 \
         WHERE person_id = $1 AND until > $13",
    )
    .bind(&person.id)
    .bind(&person.userid)
    .bind(&person.name)
    .bind(&person.email)
    .bind(person.source)
    .bind(person.status)
    .bind(person.left_at)
    .bind(&person.main_unit)
    .bind(row::format_memberships(&person.memberships)?)
    .bind(JsonColumn(&person.details))
    .bind(&person.fingerprint)
    .bind(now)
    .bind(context.chart.version())
    .execute(change.tx())
    .await?;
    Ok(())
}

/// Deletes a local person that is locked. The caller ends the sessions; `keeps_identity` says whether
/// sessions, ended or not, refer to the person.
///
/// # Errors
/// [`EditError`]; nothing has been written.
pub(crate) async fn delete_person(
    change: &mut DirectoryTransaction,
    context: &EditContext,
    held: &HeldPerson,
    keeps_identity: bool,
) -> Result<(), EditError> {
    let person = &held.person;
    if person.source == EntrySource::Wecom {
        return Err(EditError::OwnedByWecom("the person is a member of WeCom's"));
    }
    refuse_if_staged(change, context, &person.id).await?;
    conflicts::store::forget_person(change, &person.id).await?;
    remove_person(change, &person.id, keeps_identity).await?;
    Ok(())
}

/// Deletes everything that is known of a person. The identity is deleted as well or, while sessions
/// refer to it, gives its userid free.
///
/// # Errors
/// If the database fails.
pub(crate) async fn remove_person(
    change: &mut DirectoryTransaction,
    id: &PersonId,
    keeps_identity: bool,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM person_rows WHERE person_id = $1").bind(id).execute(change.tx()).await?;
    if keeps_identity {
        release_userid(change, id).await?;
    } else {
        sqlx::query("DELETE FROM persons WHERE id = $1").bind(id).execute(change.tx()).await?;
    }
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Removed);
    Ok(())
}
