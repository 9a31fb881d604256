//! SQL of reading the published chart. Persons are read page by page, so that memory never holds a
//! second copy of all.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use const_format::formatcp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sqlx::FromRow;
use sqlx::any::AnyRow;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UnitId, UserId};
use crate::db::Db;
use crate::directory::row::from_json;
use crate::directory::{EntrySource, PersonDetails, PersonStatus};
use crate::sync::plan::KnownPerson;

const PAGE_PERSONS: i64 = 2000;

/// The columns of a person that a plan compares.
#[derive(FromRow)]
struct KnownPersonRow<'r> {
    person_id: PersonId,
    userid: UserId,
    name: &'r str,
    email: &'r str,
    source: EntrySource,
    status: PersonStatus,
    left_at: Option<Timestamp>,
    memberships: &'r str,
    detail: &'r str,
    said: &'r str,
}

/// The columns of a person that a fetch needs.
#[derive(FromRow)]
struct KnownMemberRow<'r> {
    userid: UserId,
    memberships: &'r str,
}

/// The parts of a [`PersonDetails`] by which persons are recognised.
///
/// Of a hundred thousand persons, so nothing else of them is kept in memory, not even for a moment.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RecognitionFields {
    mobile: String,
    #[serde(rename = "attributes", deserialize_with = "pick_employee_number")]
    employee_number: String,
}

/// Reads the attributes and keeps the one that [`PersonDetails::employee_number`] returns: the first
/// by name that holds an employee number.
fn pick_employee_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct AttributeVisitor;

    impl<'de> Visitor<'de> for AttributeVisitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("attributes by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut attributes: A) -> Result<String, A::Error> {
            let mut first: Option<(String, String)> = None;
            while let Some(name) = attributes.next_key::<Cow<'de, str>>()? {
                let counts = PersonDetails::is_employee_number(&name)
                    && first.as_ref().is_none_or(|(known, _)| *name <= **known);
                if counts {
                    first = Some((name.into_owned(), attributes.next_value()?));
                } else {
                    attributes.next_value::<Text<'de>>()?;
                }
            }
            Ok(first.map_or_else(String::new, |(_, number)| number.trim().to_owned()))
        }
    }

    /// A text that is checked and not kept.
    #[derive(Deserialize)]
    struct Text<'t>(
        #[serde(borrow)]
        #[expect(dead_code, reason = "it is read over")]
        Cow<'t, str>,
    );

    deserializer.deserialize_map(AttributeVisitor)
}

/// Returns every person who has a userid, by folded userid. `units` lets each unit id be stored
/// once.
pub(super) async fn find_persons(
    db: &Db,
    corp: &CorpId,
    units: &HashMap<&str, &UnitId>,
) -> sqlx::Result<HashMap<String, KnownPerson>> {
    let mut persons = HashMap::new();
    let mut after = Some(String::new());
    while let Some(start) = after {
        let rows = read_page(
            db,
            corp,
            "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.memberships, v.detail, v.said \
             FROM persons p JOIN person_rows v ON v.person_id = p.id \
               JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
             WHERE p.released_at IS NULL AND p.id > $2 AND p.id <= $3 AND v.person_id > $2 AND v.person_id <= $3",
            &start,
        )
        .await?;
        for row in &rows.0 {
            let known = parse_person(row, units)?;
            persons.insert(known.userid.folded(), known);
        }
        after = rows.1;
    }
    Ok(persons)
}

/// Reads one page by person id, from after `$2` up to `$3`; also returns where the next page
/// begins.
///
/// The end of the page is found first, so that both engines walk the primary keys and never sort
/// all persons for one page.
async fn read_page(
    db: &Db,
    corp: &CorpId,
    sql: &'static str,
    after: &str,
) -> sqlx::Result<(Vec<AnyRow>, Option<String>)> {
    let end: Option<String> = sqlx::query_scalar(
        "SELECT MAX(id) FROM (SELECT id FROM persons WHERE id > $1 ORDER BY id LIMIT $2) page",
    )
    .bind(after)
    .bind(PAGE_PERSONS)
    .fetch_one(db.pool())
    .await?;
    // No person follows: the page before ended with the last one.
    let Some(end) = end else { return Ok((Vec::new(), None)) };
    let rows = sqlx::query(sql).bind(corp).bind(after).bind(&end).fetch_all(db.pool()).await?;
    Ok((rows, Some(end)))
}

fn parse_person(row: &AnyRow, units: &HashMap<&str, &UnitId>) -> sqlx::Result<KnownPerson> {
    let row = KnownPersonRow::from_row(row)?;
    let readable = parse_memberships(row.memberships)
        .and_then(|list| Ok((list, parse_recognition_fields(row.detail)?, row.said)));
    let (memberships, keys, fingerprint) = readable.unwrap_or_else(|error| {
        tracing::warn!(person = row.person_id.as_str(), %error, "the row of a person cannot be read");
        Default::default()
    });
    // A unit that is in no chart any more is still a unit of the person.
    let intern = |unit: &str| units.get(unit).map_or_else(|| UnitId::new(unit), |known| (*known).clone());
    Ok(KnownPerson {
        id: row.person_id,
        userid: row.userid,
        name: row.name.to_owned(),
        email: row.email.to_owned(),
        mobile: keys.mobile,
        employee_number: keys.employee_number,
        leads: memberships.iter().filter(|m| m.2 != 0).map(|m| intern(&m.0)).collect(),
        units: memberships.iter().map(|m| intern(&m.0)).collect(),
        source: row.source,
        status: row.status,
        left_at: row.left_at,
        fingerprint: fingerprint.to_owned(),
    })
}

/// The unit, order and leader flag of a membership as the row stores them, without a copy.
type StoredMembership<'t> = (Cow<'t, str>, u32, u8);

fn parse_memberships(text: &str) -> sqlx::Result<Vec<StoredMembership<'_>>> {
    if text == "[]" { Ok(Vec::new()) } else { from_json("person_rows.memberships", text) }
}

fn parse_recognition_fields(text: &str) -> sqlx::Result<RecognitionFields> {
    if text == "{}" { Ok(RecognitionFields::default()) } else { from_json("person_rows.detail", text) }
}

/// Returns the departments of WeCom's persons by folded userid. `ids` maps units to departments.
pub(super) async fn find_departments(
    db: &Db,
    corp: &CorpId,
    ids: &HashMap<&str, u32>,
) -> sqlx::Result<HashMap<String, BTreeSet<u32>>> {
    let mut persons = HashMap::new();
    let mut after = Some(String::new());
    while let Some(start) = after {
        let rows = read_page(
            db,
            corp,
            formatcp!(
                "SELECT v.userid, v.memberships FROM persons p JOIN person_rows v ON v.person_id = p.id \
                   JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
                 WHERE p.released_at IS NULL AND v.source = '{WECOM}' AND v.status <> '{LEFT}' \
                   AND p.id > $2 AND p.id <= $3 AND v.person_id > $2 AND v.person_id <= $3",
                WECOM = EntrySource::Wecom.as_str(),
                LEFT = PersonStatus::Left.as_str(),
            ),
            &start,
        )
        .await?;
        for row in &rows.0 {
            let row = KnownMemberRow::from_row(row)?;
            // A person without departments is read again in full, which is also right if the row
            // cannot be read.
            let units = parse_memberships(row.memberships).unwrap_or_else(|error| {
                tracing::warn!(%error, "the memberships of a person cannot be read");
                Vec::new()
            });
            let in_departments = units.iter().filter_map(|m| ids.get(&*m.0)).copied().collect();
            persons.insert(row.userid.folded(), in_departments);
        }
        after = rows.1;
    }
    Ok(persons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_employee_number_is_the_one_that_the_whole_details_give() {
        for attributes in [
            r#"{}"#,
            r#"{"办公地点":"上海"}"#,
            r#"{"工号":" E7 ","办公地点":"上海"}"#,
            r#"{"工号":"2","Employee ID":"1"}"#,
            r#"{"工号":"1","工号":"2"}"#,
            r#"{"\u5de5号":"x\n"}"#,
        ] {
            let text = format!(r#"{{"mobile":"1","attributes":{attributes},"position":"x"}}"#);
            let whole: PersonDetails = serde_json::from_str(&text).unwrap();
            let picked = parse_recognition_fields(&text).unwrap();
            assert_eq!(
                (picked.mobile, &*picked.employee_number),
                (whole.mobile.clone(), whole.employee_number())
            );
        }
        for broken in [r#"{"attributes":[]}"#, r#"{"attributes":{"a":1}}"#, r#"{"mobile":1}"#] {
            assert!(parse_recognition_fields(broken).is_err(), "{broken}");
        }
    }
}
