//! How units, persons and tags are stored in their tables: JSON inside TEXT, and back.
//!
//! A value that cannot be read back is an error of its row and never an empty list. Nobody loses a
//! unit, and with it a permission or a prohibition, because a text could not be understood.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyTypeInfo, AnyValueRef};
use sqlx::error::BoxDynError;
use sqlx::{Any, Decode, FromRow, Type};

use super::{EntrySource, Membership, Person, PersonDetails, PersonStatus, Tag, Unit};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, TagId, UnitId, UserId};
use crate::db::error::is_unreadable_row;
use crate::db::types::JsonColumn;

/// The value of `until` in a row that no version ends.
pub const OPEN_UNTIL: i64 = i64::MAX;

/// What a statement selects of `person_rows` to read a [`Person`].
#[derive(Debug, FromRow)]
pub(crate) struct PersonRow {
    person_id: PersonId,
    userid: UserId,
    name: String,
    email: String,
    source: EntrySource,
    status: PersonStatus,
    left_at: Option<Timestamp>,
    main_unit: Option<UnitId>,
    memberships: MembershipList,
    detail: JsonColumn<PersonDetails>,
    said: String,
}

impl From<PersonRow> for Person {
    fn from(row: PersonRow) -> Self {
        Self {
            id: row.person_id,
            userid: row.userid,
            name: row.name,
            email: row.email,
            source: row.source,
            status: row.status,
            left_at: row.left_at,
            main_unit: row.main_unit,
            memberships: row.memberships.0,
            details: row.detail.0,
            fingerprint: row.said,
        }
    }
}

/// The column `memberships`, read: `[[unit id, order, leader 0 or 1], …]`.
#[derive(Debug)]
pub(crate) struct MembershipList(pub(crate) Vec<Membership>);

impl Type<Any> for MembershipList {
    fn type_info() -> AnyTypeInfo {
        <str as Type<Any>>::type_info()
    }
}

impl Decode<'_, Any> for MembershipList {
    fn decode(value: AnyValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(parse_memberships(<&str as Decode<Any>>::decode(value)?)?))
    }
}

/// Formats memberships for the column `memberships`.
///
/// # Errors
/// Never for what a [`Membership`] can hold.
pub fn format_memberships(memberships: &[Membership]) -> sqlx::Result<String> {
    let list: Vec<_> = memberships.iter().map(|m| (m.unit.as_str(), m.order, u8::from(m.leader))).collect();
    to_json(&list)
}

/// Parses the column `memberships`.
///
/// # Errors
/// If it is not such a text.
pub(crate) fn parse_memberships(text: &str) -> sqlx::Result<Vec<Membership>> {
    let list: Vec<(UnitId, u32, u8)> = from_json("person_rows.memberships", text)?;
    let read = |(unit, order, leader)| Membership { unit, order, leader: leader != 0 };
    Ok(list.into_iter().map(read).collect())
}

/// What a statement selects of `unit_rows` to read a [`Unit`].
#[derive(Debug, FromRow)]
pub(crate) struct UnitRow {
    id: UnitId,
    wecom_id: Option<i64>,
    source: EntrySource,
    parent_id: Option<UnitId>,
    name: String,
    name_en: String,
    sort: i64,
    leaders: JsonColumn<Vec<UserId>>,
}

impl TryFrom<UnitRow> for Unit {
    type Error = sqlx::Error;

    fn try_from(row: UnitRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            wecom_id: parse_number("unit_rows.wecom_id", row.wecom_id)?,
            source: row.source,
            parent: row.parent_id,
            name: row.name,
            name_en: row.name_en,
            order: parse_number("unit_rows.sort", Some(row.sort))?.unwrap_or_default(),
            leaders: row.leaders.0,
        })
    }
}

/// What a statement selects of `tag_rows` to read a [`Tag`].
#[derive(Debug, FromRow)]
pub(crate) struct TagRow {
    id: TagId,
    wecom_id: Option<i64>,
    name: String,
    users: JsonColumn<Vec<UserId>>,
    units: JsonColumn<Vec<UnitId>>,
}

impl TryFrom<TagRow> for Tag {
    type Error = sqlx::Error;

    fn try_from(row: TagRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            wecom_id: parse_number("tag_rows.wecom_id", row.wecom_id)?,
            name: row.name,
            users: row.users.0,
            units: row.units.0,
        })
    }
}

/// WeCom's numbers fit 32 bits.
fn parse_number(column: &str, wide: Option<i64>) -> sqlx::Result<Option<u32>> {
    let narrow = |number| {
        u32::try_from(number)
            .map_err(|_| sqlx::Error::Decode(format!("{column}: {number} is no number of WeCom's").into()))
    };
    wide.map(narrow).transpose()
}

/// Keeps the rows that can be read. An unreadable row is logged and left out: whom it would let in
/// is not let in, and everybody else goes on.
///
/// The next run that reads the same entry of WeCom's writes the row anew.
///
/// # Errors
/// If the database fails.
pub(crate) fn keep_readable<T>(
    table: &str,
    rows: impl Iterator<Item = sqlx::Result<T>>,
) -> sqlx::Result<Vec<T>> {
    let mut read = Vec::new();
    for row in rows {
        match row {
            Ok(row) => read.push(row),
            Err(error) if is_unreadable_row(&error) => {
                tracing::error!(%error, "A row of {table} cannot be read and is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Formats a list or object as JSON.
///
/// # Errors
/// Never for what our types can hold.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|e| sqlx::Error::Encode(Box::new(e)))
}

/// Parses the JSON of a column.
///
/// # Errors
/// If it is not such a value; names the column.
pub(crate) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|e| sqlx::Error::Decode(format!("{column}: {e}").into()))
}
