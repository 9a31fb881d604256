//! Reads the published chart for a fetch and for a plan.

mod store;

use std::collections::HashMap;

use crate::base::id::{CorpId, UnitId};
use crate::db::Db;
use crate::directory;
use crate::directory::EntrySource;
use crate::sync::fetch::{KnownDirectory, KnownUnit};
use crate::sync::plan::LocalDirectory;

/// Reads everything that a plan compares with, of one published version.
///
/// A person whose memberships cannot be read gets none, and no fingerprint. The plan then changes
/// the person, and writing reports what is wrong.
///
/// # Errors
/// If the database fails.
pub async fn load_local_directory(db: &Db, corp: &CorpId) -> sqlx::Result<LocalDirectory> {
    loop {
        let chart = directory::store::load_chart(db, corp).await?;
        let ids: HashMap<&str, &UnitId> =
            chart.units().map(|placed| (placed.unit.id.as_str(), &placed.unit.id)).collect();
        let persons = store::find_persons(db, corp, &ids).await?;
        let asked = directory::conflicts::store::find_known_conflicts(db, corp).await?;
        // All reads must see one version; otherwise they are repeated.
        if directory::store::published_version(db, corp).await?.0 == chart.version() {
            let units = chart.units().map(|placed| placed.unit.clone()).collect();
            let tags = chart.tags().cloned().collect();
            return Ok(LocalDirectory { corp: corp.clone(), units, tags, persons, known_conflicts: asked });
        }
    }
}

/// Reads what a fetch needs to know, of one published version.
///
/// # Errors
/// If the database fails.
pub async fn load_known_directory(db: &Db, corp: &CorpId) -> sqlx::Result<KnownDirectory> {
    loop {
        let chart = directory::store::load_chart(db, corp).await?;
        let of_wecom =
            || chart.units().map(|placed| &placed.unit).filter(|unit| unit.source == EntrySource::Wecom);
        let ids: HashMap<&UnitId, u32> =
            of_wecom().filter_map(|unit| unit.wecom_id.map(|id| (&unit.id, id))).collect();
        let departments = ids.iter().map(|(unit, id)| (unit.as_str(), *id)).collect();
        let persons = store::find_departments(db, corp, &departments).await?;
        if directory::store::published_version(db, corp).await?.0 != chart.version() {
            continue;
        }
        let units = of_wecom().filter_map(|unit| {
            let parent = unit.parent.as_ref().and_then(|parent| ids.get(parent)).copied().unwrap_or(0);
            Some((unit.wecom_id?, KnownUnit { parent, order: unit.order, name: unit.name.clone() }))
        });
        return Ok(KnownDirectory { persons, units: units.collect() });
    }
}
