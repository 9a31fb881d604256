//! What a fetch and a plan need to know of the chart that is published.

mod store;

use std::collections::{HashMap, HashSet};

use crate::base::id::{CorpId, UnitId};
use crate::db::Db;
use crate::directory;
use crate::directory::Source;
use crate::sync::fetch::{Known, KnownUnit};
use crate::sync::plan::Local;

/// Everything a plan compares with, of the published version. A person whose memberships cannot be read is in none
/// and has no fingerprint: the plan then changes it, and writing says what is wrong.
///
/// # Errors
/// If the database fails.
pub async fn load(db: &Db, corp: &CorpId) -> sqlx::Result<Local> {
    loop {
        let chart = directory::store::chart(db, corp).await?;
        let ids: HashSet<UnitId> = chart.units().map(|placed| placed.unit.id.clone()).collect();
        let persons = store::persons(db, corp, &ids).await?;
        let asked = store::asked(db, corp).await?;
        // Several reads see one version, or they are made again.
        if directory::store::version(db, corp).await?.0 == chart.version() {
            let units = chart.units().map(|placed| placed.unit.clone()).collect();
            let tags = chart.tags().cloned().collect();
            return Ok(Local { corp: corp.clone(), units, tags, persons, asked });
        }
    }
}

/// What a fetch needs of the published version.
///
/// # Errors
/// If the database fails.
pub async fn known_departments(db: &Db, corp: &CorpId) -> sqlx::Result<Known> {
    loop {
        let chart = directory::store::chart(db, corp).await?;
        let of_wecom =
            || chart.units().map(|placed| &placed.unit).filter(|unit| unit.source == Source::Wecom);
        let ids: HashMap<&UnitId, u32> =
            of_wecom().filter_map(|unit| unit.wecom_id.map(|id| (&unit.id, id))).collect();
        let persons = store::departments(db, corp, &ids).await?;
        if directory::store::version(db, corp).await?.0 != chart.version() {
            continue;
        }
        let units = of_wecom().filter_map(|unit| {
            let parent = unit.parent.as_ref().and_then(|parent| ids.get(parent)).copied().unwrap_or(0);
            Some((unit.wecom_id?, KnownUnit { parent, order: unit.order, name: unit.name.clone() }))
        });
        return Ok(Known { persons, units: units.collect() });
    }
}
