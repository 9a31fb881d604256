//! SQL that creates, changes and deletes local units.

use const_format::formatcp;
use sqlx::FromRow;

use super::EditContext;
use crate::base::id::UnitId;
use crate::db::types::JsonColumn;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::chart::{Chart, PlacedUnit};
use crate::directory::edit::{EditError, UnitInput, is_local_unit, with_unit, without_unit};
use crate::directory::row::OPEN_UNTIL;
use crate::directory::{EntrySource, Unit};

const LOCAL: &str = EntrySource::Local.as_str();

/// Creates a local unit.
///
/// # Errors
/// [`EditError`]; nothing has been written.
pub(crate) async fn create_unit(
    change: &mut DirectoryTransaction,
    context: &mut EditContext,
    input: UnitInput,
) -> Result<PlacedUnit, EditError> {
    let unit = input.validate(UnitId::generate(change.now()), &context.chart)?;
    let (corp, now) = (change.corp().clone(), change.now());
    sqlx::query(formatcp!(
        "INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, \
                                updated_at) VALUES ($1, $2, $3, $4, NULL, '{LOCAL}', $5, $6, '', $7, $8, $9)"
    ))
    .bind(&unit.id)
    .bind(corp)
    .bind(context.chart.version())
    .bind(OPEN_UNTIL)
    .bind(&unit.parent)
    .bind(&unit.name)
    .bind(i64::from(unit.order))
    .bind(JsonColumn(&unit.leaders))
    .bind(now)
    .execute(change.tx())
    .await?;
    publish_unit(change, context, unit, DirectoryChangeKind::Created)
}

/// Changes the local unit `id` into what `input` says.
///
/// # Errors
/// [`EditError`]; nothing has been written.
pub(crate) async fn update_unit(
    change: &mut DirectoryTransaction,
    context: &mut EditContext,
    id: &UnitId,
    input: UnitInput,
) -> Result<PlacedUnit, EditError> {
    let before = require_local_unit(&context.chart, id)?.clone();
    let unit = input.validate(id.clone(), &context.chart)?;
    if unit == before.unit {
        return Ok(before);
    }
    let now = change.now();
    sqlx::query(
        "UPDATE unit_rows SET parent_id = $2, name = $3, sort = $4, leaders = $5, updated_at = $6 \
         WHERE id = $1 AND until > $7",
    )
    .bind(id)
    .bind(&unit.parent)
    .bind(&unit.name)
    .bind(i64::from(unit.order))
    .bind(JsonColumn(&unit.leaders))
    .bind(now)
    .bind(context.chart.version())
    .execute(change.tx())
    .await?;
    publish_unit(change, context, unit, DirectoryChangeKind::Updated)
}

fn publish_unit(
    change: &mut DirectoryTransaction,
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

/// How many persons are in a unit in the published version, and in the one that a run prepares.
#[derive(FromRow)]
struct MemberCounts {
    persons: i64,
    staged: i64,
}

/// Deletes the local unit `id`, if it is empty.
///
/// # Errors
/// [`EditError`]; nothing has been written.
pub(crate) async fn delete_unit(
    change: &mut DirectoryTransaction,
    context: &mut EditContext,
    id: &UnitId,
) -> Result<Unit, EditError> {
    let unit = require_local_unit(&context.chart, id)?.unit.clone();
    let corp = change.corp().clone();
    // The JSON holds the id between quotes. It contains no wildcard: letters, digits and hyphens.
    let MemberCounts { persons, staged } = sqlx::query_as(
        "SELECT COUNT(CASE WHEN since <= $2 THEN 1 END) AS persons, COUNT(CASE WHEN since > $2 THEN 1 END) AS staged \
         FROM person_rows WHERE corp_id = $1 AND until > $2 AND memberships LIKE $3",
    )
    .bind(corp)
    .bind(context.chart.version())
    .bind(format!("%\"{id}\"%"))
    .fetch_one(change.tx())
    .await?;
    let units = context.chart.children(id).len();
    if units > 0 || persons > 0 {
        return Err(EditError::NotEmpty { units, persons });
    }
    if staged > 0 {
        return Err(EditError::Busy);
    }
    sqlx::query("DELETE FROM unit_rows WHERE id = $1").bind(id).execute(change.tx()).await?;
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
