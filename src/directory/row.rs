//! How units, persons and tags are stored in their tables: JSON inside TEXT, and back.
//!
//! A value that cannot be read back is an error of its row and never an empty list. Nobody loses a
//! unit, and with it a permission or a prohibition, because a text could not be understood.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{EntrySource, Membership, Person, PersonStatus, Tag, Unit};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, TagId, UnitId, UserId};

/// The value of `until` in a row that no version ends.
pub const OPEN_UNTIL: i64 = i64::MAX;

/// The columns of a person, for a `person_rows` named `v`, in the order in which [`person_from_row`] reads
/// them.
macro_rules! person_columns {
    () => {
        "v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.main_unit, v.memberships, \
         v.detail, v.said"
    };
}
pub(crate) use person_columns;

/// Reads a person from a row with the columns of `person_columns!`.
///
/// # Errors
/// If the row is not one that we wrote.
pub(crate) fn person_from_row(row: &AnyRow) -> sqlx::Result<Person> {
    let text = |column: usize| row.try_get::<String, _>(column);
    Ok(Person {
        id: PersonId::new(text(0)?),
        userid: UserId::new(text(1)?),
        name: text(2)?,
        email: text(3)?,
        source: EntrySource::parse(&text(4)?),
        status: PersonStatus::parse(&text(5)?),
        left_at: row.try_get::<Option<i64>, _>(6)?.map(Timestamp::from_millis),
        main_unit: row.try_get::<Option<String>, _>(7)?.map(UnitId::new),
        memberships: parse_memberships(&text(8)?)?,
        details: from_json("person_rows.detail", &text(9)?)?,
        fingerprint: text(10)?,
    })
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
    let list: Vec<(String, u32, u8)> = from_json("person_rows.memberships", text)?;
    let read = |(unit, order, leader)| Membership { unit: UnitId::new(unit), order, leader: leader != 0 };
    Ok(list.into_iter().map(read).collect())
}

/// The columns of a unit, for a `unit_rows` named `v`, in the order in which [`unit_from_row`] reads them.
macro_rules! unit_columns {
    () => {
        "v.id, v.wecom_id, v.source, v.parent_id, v.name, v.name_en, v.sort, v.leaders"
    };
}
pub(crate) use unit_columns;

/// Reads a unit from a row with the columns of `unit_columns!`.
///
/// # Errors
/// If the row is not one that we wrote.
pub(crate) fn unit_from_row(row: &AnyRow) -> sqlx::Result<Unit> {
    Ok(Unit {
        id: UnitId::new(row.try_get::<String, _>(0)?),
        wecom_id: wecom_id_from_row(row, 1)?,
        source: EntrySource::parse(&row.try_get::<String, _>(2)?),
        parent: row.try_get::<Option<String>, _>(3)?.map(UnitId::new),
        name: row.try_get(4)?,
        name_en: row.try_get(5)?,
        order: u32::try_from(row.try_get::<i64, _>(6)?)
            .map_err(|_| sqlx::Error::Decode("unit_rows.sort is not an order".into()))?,
        leaders: from_json::<Vec<UserId>>("unit_rows.leaders", &row.try_get::<String, _>(7)?)?,
    })
}

/// The columns of a tag, for a `tag_rows` named `v`, in the order in which [`tag_from_row`] reads them.
macro_rules! tag_columns {
    () => {
        "v.id, v.wecom_id, v.name, v.users, v.units"
    };
}
pub(crate) use tag_columns;

/// The join that keeps only rows of the published version of corporation `$1`, for a row table
/// named `v`.
macro_rules! published {
    () => {
        "JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version "
    };
}
pub(crate) use published;

/// Reads a tag from a row with the columns of `tag_columns!`.
///
/// # Errors
/// If the row is not one that we wrote.
pub(crate) fn tag_from_row(row: &AnyRow) -> sqlx::Result<Tag> {
    Ok(Tag {
        id: TagId::new(row.try_get::<String, _>(0)?),
        wecom_id: wecom_id_from_row(row, 1)?,
        name: row.try_get(2)?,
        users: from_json("tag_rows.users", &row.try_get::<String, _>(3)?)?,
        units: from_json("tag_rows.units", &row.try_get::<String, _>(4)?)?,
    })
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
            Err(sqlx::Error::Decode(error)) => {
                tracing::error!(%error, "A row of {table} cannot be read and is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn wecom_id_from_row(row: &AnyRow, column: usize) -> sqlx::Result<Option<u32>> {
    let wide: Option<i64> = row.try_get(column)?;
    wide.map(|n| u32::try_from(n).map_err(|_| sqlx::Error::Decode("wecom_id is not an id".into())))
        .transpose()
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
