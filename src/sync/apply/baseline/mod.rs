//! What a fetch and a plan need to know of the chart that is published.

mod store;

use std::collections::{HashMap, HashSet};

use crate::base::id::{CorpId, UnitId};
use crate::db::Db;
use crate::directory;
use crate::directory::EntrySource;
use crate::sync::fetch::{KnownDirectory, KnownUnit};
use crate::sync::plan::LocalDirectory;

/// Everything a plan compares with, of the published version. A person whose memberships cannot be read is in none
/// and has no fingerprint: the plan then changes it, and writing says what is wrong.
///
/// # Errors
/// If the database fails.
pub async fn load_local_directory(db: &Db, corp: &CorpId) -> sqlx::Result<LocalDirectory> {
    loop {
        let chart = directory::store::load_chart(db, corp).await?;
        let ids: HashSet<UnitId> = chart.units().map(|placed| placed.unit.id.clone()).collect();
        let persons = store::find_persons(db, corp, &ids).await?;
        let asked = store::find_known_conflicts(db, corp).await?;
        // Several reads see one version, or they are made again.
        if directory::store::published_version(db, corp).await?.0 == chart.version() {
            let units = chart.units().map(|placed| placed.unit.clone()).collect();
            let tags = chart.tags().cloned().collect();
            return Ok(LocalDirectory { corp: corp.clone(), units, tags, persons, known_conflicts: asked });
        }
    }
}

/// What a fetch needs of the published version.
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
        let persons = store::find_departments(db, corp, &ids).await?;
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
