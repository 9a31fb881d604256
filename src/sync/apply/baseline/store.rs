//! SQL of reading the published chart. Persons are read page by page, so that memory never holds a
//! second copy of all.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UnitId, UserId};
use crate::db::Db;
use crate::directory::row::{self, from_json, published};
use crate::directory::{Membership, PersonDetails};
use crate::sync::plan::KnownPerson;

const PAGE_PERSONS: i64 = 2000;

/// The parts of a [`PersonDetails`] by which persons are recognised.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RecognitionFields {
    mobile: String,
    attributes: std::collections::BTreeMap<String, String>,
}

/// Returns every person who has a userid, by folded userid. `units` lets each unit id be stored
/// once.
pub(super) async fn find_persons(
    db: &Db,
    corp: &CorpId,
    units: &HashSet<UnitId>,
) -> sqlx::Result<HashMap<String, KnownPerson>> {
    let mut persons = HashMap::new();
    let mut after = Some(String::new());
    while let Some(start) = after {
        let rows = read_page(
            db,
            corp,
            concat!(
                "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.memberships, v.detail, \
                        v.said FROM persons p JOIN person_rows v ON v.person_id = p.id ",
                published!(),
                "WHERE p.released_at IS NULL AND p.id > $2 AND p.id <= $3 AND v.person_id > $2 AND v.person_id <= $3"
            ),
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
    let end: Option<String> =
        sqlx::query("SELECT MAX(id) FROM (SELECT id FROM persons WHERE id > $1 ORDER BY id LIMIT $2) page")
            .bind(after)
            .bind(PAGE_PERSONS)
            .fetch_one(db.pool())
            .await?
            .try_get(0)?;
    // No person follows: the page before ended with the last one.
    let Some(end) = end else { return Ok((Vec::new(), None)) };
    let rows = sqlx::query(sql).bind(corp.as_str()).bind(after).bind(&end).fetch_all(db.pool()).await?;
    Ok((rows, Some(end)))
}

fn parse_person(row: &AnyRow, units: &HashSet<UnitId>) -> sqlx::Result<KnownPerson> {
    let text = |column: usize| row.try_get::<&str, _>(column);
    let interned = |id: UnitId| units.get(&id).cloned().unwrap_or(id);
    let id = PersonId::new(text(0)?);
    let readable =
        parse_memberships(text(7)?).and_then(|list| Ok((list, parse_recognition_fields(text(8)?)?)));
    let (memberships, keys, fingerprint) = match readable {
        Ok((list, keys)) => (list, keys, text(9)?),
        Err(error) => {
            tracing::warn!(person = id.as_str(), %error, "the row of a person cannot be read");
            (Vec::new(), RecognitionFields::default(), "")
        }
    };
    let detail = PersonDetails { attributes: keys.attributes, ..PersonDetails::default() };
    let leads = memberships.iter().filter(|m| m.leader).map(|m| interned(m.unit.clone())).collect();
    Ok(KnownPerson {
        id,
        userid: UserId::new(text(1)?),
        name: text(2)?.to_owned(),
        email: text(3)?.to_owned(),
        mobile: keys.mobile,
        employee_number: detail.employee_number().to_owned(),
        units: memberships.into_iter().map(|m| interned(m.unit)).collect(),
        leads,
        source: row.try_get(4)?,
        status: row.try_get(5)?,
        left_at: row.try_get::<Option<i64>, _>(6)?.map(Timestamp::from_millis),
        fingerprint: fingerprint.to_owned(),
    })
}

fn parse_memberships(text: &str) -> sqlx::Result<Vec<Membership>> {
    if text == "[]" { Ok(Vec::new()) } else { row::parse_memberships(text) }
}

fn parse_recognition_fields(text: &str) -> sqlx::Result<RecognitionFields> {
    if text == "{}" { Ok(RecognitionFields::default()) } else { from_json("person_rows.detail", text) }
}

/// Returns the departments of WeCom's persons by folded userid. `ids` maps units to departments.
pub(super) async fn find_departments(
    db: &Db,
    corp: &CorpId,
    ids: &HashMap<&UnitId, u32>,
) -> sqlx::Result<HashMap<String, BTreeSet<u32>>> {
    let mut persons = HashMap::new();
    let mut after = Some(String::new());
    while let Some(start) = after {
        let rows = read_page(
            db,
            corp,
            concat!(
                "SELECT v.person_id, v.userid, v.memberships FROM persons p JOIN person_rows v ON v.person_id = p.id ",
                published!(),
                "WHERE p.released_at IS NULL AND v.source = 'wecom' AND v.status <> 'left' \
                   AND p.id > $2 AND p.id <= $3 AND v.person_id > $2 AND v.person_id <= $3"
            ),
            &start,
        )
        .await?;
        for row in &rows.0 {
            // A person without departments is read again in full, which is also right if the row
            // cannot be read.
            let units = parse_memberships(row.try_get(2)?).unwrap_or_else(|error| {
                tracing::warn!(%error, "the memberships of a person cannot be read");
                Vec::new()
            });
            let in_departments = units.iter().filter_map(|m| ids.get(&m.unit)).copied().collect();
            persons.insert(UserId::new(row.try_get::<&str, _>(1)?).folded(), in_departments);
        }
        after = rows.1;
    }
    Ok(persons)
}
