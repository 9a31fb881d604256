//! Units and tags of one version in memory, which rules and headers read at every check.
//!
//! Of persons, only those who are signed in are in memory; each of them brings its memberships.
//! What depends on units alone (paths, subtrees, tags) is computed once when a version is loaded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{EntrySource, Tag, Unit};
use crate::base::clock::Timestamp;
use crate::base::id::{TagId, UnitId, UserId};
use crate::base::url::percent_encode;

/// The department that stands for the whole corporation (WeCom document 90208).
const ROOT_DEPARTMENT_ID: u32 = 1;

/// The character that replaces a `/` inside a name.
const SLASH_SUBSTITUTE: char = '∕';

/// The serial of the next chart; 0 is the empty one.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// One version of the organisation chart.
#[derive(Debug, Default)]
pub struct Chart {
    serial: u64,
    version: i64,
    complete_at: Option<Timestamp>,
    units: BTreeMap<UnitId, PlacedUnit>,
    by_wecom: HashMap<u32, UnitId>,
    by_path: HashMap<Arc<str>, PathTarget>,
    children: HashMap<UnitId, Vec<UnitId>>,
    tags: BTreeMap<TagId, Tag>,
    tags_by_name: HashMap<String, TagId>,
    /// From folded userids to tags, sorted by name.
    tags_of_user: HashMap<String, Vec<TagId>>,
    tags_of_unit: HashMap<UnitId, Vec<TagId>>,
    /// See [`Chart::encoded_tag`].
    encoded_tags: HashMap<TagId, String>,
}

/// A unit with its path.
#[derive(Debug, Clone)]
pub struct PlacedUnit {
    /// The unit.
    pub unit: Unit,
    /// The names from below the root, joined by `/`; the root's is `/`.
    pub path: Arc<str>,
    /// The path, percent-encoded for a header.
    pub encoded_path: String,
}

/// The units that a path names.
#[derive(Debug, Clone)]
enum PathTarget {
    One(UnitId),
    /// Several units, so none of them is meant.
    Several(usize),
}

/// A unit or tag as people write it: a path or name, our id, or `wecom:ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartReference {
    /// `wecom:2`.
    Wecom(u32),
    /// A path, a tag's name, or our id.
    Text(String),
}

/// Why a reference names no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("there is none of that path or id")]
    Unknown,
    #[error("{0} units have that path: write wecom:ID or our id to say which")]
    Ambiguous(usize),
}

impl ChartReference {
    /// Parses a reference. Returns `None` for an empty text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(id) = text.strip_prefix("wecom:").and_then(|id| id.parse().ok()) {
            return Some(Self::Wecom(id));
        }
        (!text.is_empty()).then(|| Self::Text(text.to_owned()))
    }
}

impl Chart {
    /// Builds the chart of a version. Every unit gets a path, whatever the rows say: a unit whose
    /// parent is missing, or that lies below itself, stands at the top level.
    pub fn new(version: i64, complete_at: Option<Timestamp>, units: Vec<Unit>, tags: Vec<Tag>) -> Self {
        let by_id: HashMap<UnitId, Unit> = units.into_iter().map(|u| (u.id.clone(), u)).collect();
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut chart = Self { serial, version, complete_at, ..Self::default() };
        for unit in by_id.values() {
            let path: Arc<str> = unit_path(unit, &by_id).into();
            let encoded_path = percent_encode(&path);
            if let Some(id) = unit.wecom_id {
                chart.by_wecom.insert(id, unit.id.clone());
            }
            if let Some(parent) = &unit.parent {
                chart.children.entry(parent.clone()).or_default().push(unit.id.clone());
            }
            chart.units.insert(unit.id.clone(), PlacedUnit { unit: unit.clone(), path, encoded_path });
        }
        chart.index_paths();
        chart.index_tags(tags);
        chart
    }

    /// Maps each path to WeCom's unit if exactly one has it, or else to the local unit if exactly
    /// one has it.
    ///
    /// So nobody who may make local units can take over a path, and a path that could mean either
    /// of two departments means neither.
    fn index_paths(&mut self) {
        let mut bearers: HashMap<Arc<str>, (Vec<UnitId>, Vec<UnitId>)> = HashMap::new();
        for placed in self.units.values() {
            let (wecom, local) = bearers.entry(Arc::clone(&placed.path)).or_default();
            let list = if placed.unit.source == EntrySource::Wecom { wecom } else { local };
            list.push(placed.unit.id.clone());
        }
        self.by_path = bearers
            .into_iter()
            .map(|(path, (wecom, local))| {
                let list = if wecom.is_empty() { local } else { wecom };
                let count = list.len();
                let mut list = list.into_iter();
                let named = match (list.next(), list.next()) {
                    (Some(id), None) => PathTarget::One(id),
                    _ => PathTarget::Several(count),
                };
                (path, named)
            })
            .collect();
    }

    fn index_tags(&mut self, tags: Vec<Tag>) {
        let mut tags = tags;
        tags.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        for tag in tags {
            for user in &tag.users {
                self.tags_of_user.entry(user.folded()).or_default().push(tag.id.clone());
            }
            let mut covered = HashSet::new();
            for unit in &tag.units {
                covered.extend(self.subtree(unit));
            }
            for unit in covered {
                self.tags_of_unit.entry(unit).or_default().push(tag.id.clone());
            }
            self.encoded_tags.insert(tag.id.clone(), format!("tag:{}", percent_encode(&tag.name)));
            // WeCom allows no two tags of one name (40071). If there were two, the first counts.
            self.tags_by_name.entry(tag.name.clone()).or_insert_with(|| tag.id.clone());
            self.tags.insert(tag.id.clone(), tag);
        }
    }

    /// Returns a number that tells the charts of this process apart, also two of the same version:
    /// an edit by hand changes the chart without a new version.
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns the version.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Returns when the last run began that read every detail of everything visible.
    pub const fn complete_at(&self) -> Option<Timestamp> {
        self.complete_at
    }

    /// Iterates over the units by id.
    pub fn units(&self) -> impl Iterator<Item = &PlacedUnit> {
        self.units.values()
    }

    /// Iterates over the units after the id `after`, by id.
    pub fn units_after(&self, after: &UnitId) -> impl Iterator<Item = &PlacedUnit> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.units.range::<UnitId, _>((Excluded(after), Unbounded)).map(|(_, placed)| placed)
    }

    /// Returns the unit with this id.
    pub fn unit(&self, id: &UnitId) -> Option<&PlacedUnit> {
        self.units.get(id)
    }

    /// Returns the chart's own copy of an id, so that its text is stored once.
    pub fn intern(&self, id: UnitId) -> UnitId {
        self.units.get_key_value(&id).map_or(id, |(known, _)| known.clone())
    }

    /// Iterates over the tags by id.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.tags.values()
    }

    /// Returns the tag with this id.
    pub fn tag(&self, id: &TagId) -> Option<&Tag> {
        self.tags.get(id)
    }

    /// Returns a tag as an element of a header: `tag:` and the percent-encoded name.
    ///
    /// No element of a unit begins like that, because a colon in a name is encoded.
    pub fn encoded_tag(&self, id: &TagId) -> &str {
        self.encoded_tags.get(id).map_or("", String::as_str)
    }

    /// Returns the unit that a reference means.
    ///
    /// # Errors
    /// [`ReferenceError`], also where several could be meant.
    pub fn find_unit(&self, reference: &ChartReference) -> Result<&PlacedUnit, ReferenceError> {
        let id = match reference {
            ChartReference::Wecom(id) => self.by_wecom.get(id),
            // Ids come first, so that no name can stand for another unit's id.
            ChartReference::Text(text) if self.units.contains_key(&UnitId::new(text.as_str())) => {
                return self.units.get(&UnitId::new(text.as_str())).ok_or(ReferenceError::Unknown);
            }
            ChartReference::Text(text) => {
                let path = text.trim_end_matches('/');
                let path = if path.is_empty() { "/" } else { path.trim_start_matches('/') };
                match self.by_path.get(path) {
                    Some(PathTarget::One(id)) => Some(id),
                    Some(PathTarget::Several(count)) => return Err(ReferenceError::Ambiguous(*count)),
                    None => return Err(ReferenceError::Unknown),
                }
            }
        };
        id.and_then(|id| self.units.get(id)).ok_or(ReferenceError::Unknown)
    }

    /// Returns the tag that a reference means.
    ///
    /// # Errors
    /// [`ReferenceError::Unknown`].
    pub fn find_tag(&self, reference: &ChartReference) -> Result<&Tag, ReferenceError> {
        let found = match reference {
            ChartReference::Wecom(id) => self.tags.values().find(|tag| tag.wecom_id == Some(*id)),
            ChartReference::Text(text) => self
                .tags
                .get(&TagId::new(text.as_str()))
                .or_else(|| self.tags_by_name.get(text).and_then(|id| self.tags.get(id))),
        };
        found.ok_or(ReferenceError::Unknown)
    }

    /// Returns the direct children of a unit.
    pub fn children(&self, id: &UnitId) -> &[UnitId] {
        self.children.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns a unit and everything below it, or an empty set for an unknown id.
    pub fn subtree(&self, id: &UnitId) -> HashSet<UnitId> {
        let mut found = HashSet::new();
        let mut open = Vec::from_iter(self.units.contains_key(id).then_some(id));
        while let Some(id) = open.pop() {
            if found.insert(self.intern(id.clone())) {
                open.extend(self.children(id));
            }
        }
        found
    }

    /// Returns the tags of a person with this userid in these units, by name, without duplicates.
    pub fn tags_of<'a>(&'a self, userid: &UserId, units: impl Iterator<Item = &'a UnitId>) -> Vec<&'a TagId> {
        if self.tags.is_empty() {
            return Vec::new();
        }
        let own = self.tags_of_user.get(&userid.folded()).into_iter().flatten();
        let mut ids: Vec<&TagId> =
            own.chain(units.filter_map(|unit| self.tags_of_unit.get(unit)).flatten()).collect();
        ids.sort_by_key(|id| (self.tags.get(*id).map(|tag| tag.name.as_str()), *id));
        ids.dedup();
        ids
    }
}

/// Returns the path of a unit: the names from below the root.
fn unit_path(unit: &Unit, units: &HashMap<UnitId, Unit>) -> String {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    let mut at = Some(unit);
    while let Some(unit) = at {
        // The path ends at the root, or where a unit turns out to lie below itself.
        if unit.wecom_id == Some(ROOT_DEPARTMENT_ID) || !seen.insert(&unit.id) {
            break;
        }
        names.push(unit.name.replace('/', &SLASH_SUBSTITUTE.to_string()));
        at = unit.parent.as_ref().and_then(|parent| units.get(parent));
    }
    if names.is_empty() {
        return "/".to_owned();
    }
    names.reverse();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::CorpId;

    fn unit(id: u32, name: &str, parent: u32) -> Unit {
        let corp = CorpId::new("ww1");
        Unit {
            id: UnitId::from_department(&corp, id),
            wecom_id: Some(id),
            source: EntrySource::Wecom,
            parent: (parent != 0).then(|| UnitId::from_department(&corp, parent)),
            name: name.into(),
            name_en: String::new(),
            order: 0,
            leaders: vec![],
        }
    }

    fn local(id: &str, name: &str) -> Unit {
        Unit { id: UnitId::new(id), wecom_id: None, source: EntrySource::Local, ..unit(0, name, 0) }
    }

    fn found(chart: &Chart, text: &str) -> Result<u32, ReferenceError> {
        chart.find_unit(&ChartReference::parse(text).unwrap()).map(|p| p.unit.wecom_id.unwrap_or(0))
    }

    #[test]
    fn a_path_is_the_names_from_below_the_root() {
        let units = vec![unit(1, "示例科技", 0), unit(2, "财务部", 1), unit(3, "A/B组", 2)];
        let chart = Chart::new(1, None, units, vec![]);
        let path = |id| chart.find_unit(&ChartReference::Wecom(id)).unwrap().path.to_string();
        assert_eq!((path(1), path(2), path(3)), ("/".into(), "财务部".into(), "财务部/A∕B组".into()));
        for (text, id) in [("/", 1), ("财务部", 2), ("/财务部", 2), ("财务部/A∕B组", 3), ("wecom:3", 3)]
        {
            assert_eq!(found(&chart, text), Ok(id), "{text}");
        }
        let id = UnitId::from_department(&CorpId::new("ww1"), 2);
        assert_eq!(found(&chart, id.as_str()), Ok(2), "our id");
        assert_eq!(found(&chart, "A∕B组"), Err(ReferenceError::Unknown));
    }

    #[test]
    fn a_department_whose_parent_is_not_visible_stands_on_the_top_floor() {
        let chart = Chart::new(1, None, vec![unit(5, "后端组", 3), unit(6, "平台", 5)], vec![]);
        assert_eq!((found(&chart, "后端组"), found(&chart, "后端组/平台")), (Ok(5), Ok(6)));
    }

    #[test]
    fn a_path_that_could_mean_two_departments_means_neither() {
        let chart = Chart::new(1, None, vec![unit(5, "综合组", 3), unit(6, "综合组", 4)], vec![]);
        assert_eq!(found(&chart, "综合组"), Err(ReferenceError::Ambiguous(2)));
        assert_eq!(found(&chart, "wecom:6"), Ok(6));
    }

    #[test]
    fn a_local_unit_cannot_take_a_departments_path() {
        let chart = Chart::new(1, None, vec![unit(2, "财务部", 0), local("l", "财务部")], vec![]);
        assert_eq!(found(&chart, "财务部"), Ok(2));
        let chart = Chart::new(1, None, vec![local("l", "财务部")], vec![]);
        assert_eq!(found(&chart, "财务部"), Ok(0));
    }

    #[test]
    fn units_in_a_circle_have_paths_and_an_end() {
        let chart = Chart::new(1, None, vec![unit(2, "甲", 3), unit(3, "乙", 2)], vec![]);
        let two = chart.find_unit(&ChartReference::Wecom(2)).unwrap();
        assert_eq!(&*two.path, "乙/甲");
        assert_eq!(chart.subtree(&two.unit.id).len(), 2);
    }

    #[test]
    fn a_tag_of_a_unit_is_a_tag_of_everybody_below_it() {
        let corp = CorpId::new("ww1");
        let at = |id| UnitId::from_department(&corp, id);
        let tag = |id, name: &str, users: &[&str], units: &[u32]| Tag {
            id: TagId::from_tag(&corp, id),
            wecom_id: Some(id),
            name: name.into(),
            users: users.iter().map(|u| UserId::new(*u)).collect(),
            units: units.iter().map(|u| at(*u)).collect(),
        };
        let units = vec![unit(1, "示例", 0), unit(2, "研发部", 1), unit(3, "前端组", 2)];
        let chart = Chart::new(
            1,
            None,
            units,
            vec![tag(7, "乙", &["ZhangSan"], &[2]), tag(8, "甲", &["lisi"], &[2])],
        );
        let names = |user: &str, unit: u32| -> Vec<&str> {
            let units = [at(unit)];
            let ids = chart
                .tags_of(&UserId::new(user), units.iter().filter_map(|u| chart.unit(u)).map(|p| &p.unit.id));
            ids.into_iter().map(|id| chart.tag(id).unwrap().name.as_str()).collect()
        };
        assert_eq!(names("zhangsan", 3), ["乙", "甲"]);
        assert_eq!(names("zhangsan", 1), ["乙"]);
        assert!(names("wangwu", 1).is_empty());
    }
}
