//! Sorts members that were read and persons we know: unchanged, changed, new or gone.

use std::collections::HashSet;
use std::time::Duration;

use super::fingerprint::compute_fingerprint;
use super::link_keys::LinkKeys;
use super::tree::{PlannedChart, UnitLeaders, is_usable_userid, list_first_names};
use super::{KnownPerson, LocalDirectory};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, UserId};
use crate::base::text::clean_text;
use crate::config::LinkField;
use crate::directory::{
    EntrySource, IdentityEvidence, Membership, Person, PersonDetails, PersonStatus, is_same_person,
};
use crate::sync::remote::{RemoteMembership, RemotePerson, ReportNote};

/// Members and persons, sorted by what happened to them.
#[derive(Debug, Default)]
pub(super) struct SortedMembers<'a> {
    /// Known persons with the same userid about whom WeCom reports something new; local persons
    /// included.
    pub(super) changed: Vec<(&'a KnownPerson, Box<Person>)>,
    /// Members whose userid nobody has, or somebody else had.
    pub(super) joiners: Vec<Joiner<'a>>,
    /// Persons from WeCom who are gone, by id. After a complete fetch these are all whom it does
    /// not show; after any fetch, those whose userid is now somebody else's.
    pub(super) leavers: Vec<&'a KnownPerson>,
    /// Persons from WeCom who stay as they are.
    pub(super) staying: Vec<&'a KnownPerson>,
    /// Leaders by unit as the records say, including those of persons that were not read.
    pub(super) leads: UnitLeaders,
}

/// A member who is no person of ours yet.
#[derive(Debug)]
pub(super) struct Joiner<'a> {
    /// WeCom's record as a row of a person who has no id yet.
    pub(super) reported: Box<Person>,
    /// Who had the userid and left, or leaves now.
    pub(super) holder: Option<&'a KnownPerson>,
}

impl<'a> SortedMembers<'a> {
    /// Sorts `records`. If the fetch is `complete`, persons in neither `records` nor `present` are
    /// gone.
    pub(super) fn sort(
        records: Vec<RemotePerson>,
        present: &mut HashSet<String>,
        complete: bool,
        local: &'a LocalDirectory,
        chart: &PlannedChart<'_>,
        now: Timestamp,
        notes: &mut Vec<ReportNote>,
    ) -> Self {
        let mut sorted = Self::default();
        let mut odd = OddRecords::default();
        // Members seen so far: known ones by their key in `local.persons`, and the others.
        let mut read: HashSet<&str> = HashSet::with_capacity(local.persons.len().min(records.len()));
        let mut new: HashSet<String> = HashSet::new();
        // New members get their ids later.
        let nobody = PersonId::new("");
        for mut record in records {
            let folded = record.userid.folded();
            if !is_usable_userid(&record.userid) {
                odd.unusable += 1;
                continue;
            }
            if record.status == PersonStatus::Left {
                // The member is gone, whatever the list of ids says.
                present.remove(&folded);
                continue;
            }
            let known = local.persons.get_key_value(folded.as_str());
            let first = match known {
                Some((key, _)) => read.insert(key),
                None => new.insert(folded),
            };
            if !first {
                odd.twice.push(record.userid.to_string());
                continue;
            }
            let fingerprint = compute_fingerprint(&record);
            // Clean before comparing: rows hold cleaned names.
            record.name = clean_text(record.name);
            odd.unnamed += usize::from(record.name.is_empty());
            sorted.note_leads(&record, chart);
            match known.map(|(_, known)| known) {
                None => sorted.joiners.push(Joiner::new(record, fingerprint, &nobody, None, chart)),
                Some(known) if known.status == PersonStatus::Left && !is_back(known, &record, now) => {
                    sorted.joiners.push(Joiner::new(record, fingerprint, &nobody, Some(known), chart));
                }
                Some(known) if is_replaced(known, &record) => {
                    sorted.leavers.push(known);
                    sorted.joiners.push(Joiner::new(record, fingerprint, &nobody, Some(known), chart));
                }
                Some(known) if is_unchanged(known, &record, &fingerprint, chart) => {
                    sorted.staying.push(known);
                }
                Some(known) => {
                    let reported = to_person_row(record, fingerprint, known.id.clone(), chart);
                    sorted.changed.push((known, Box::new(with_name(reported, &known.name))));
                }
            }
        }
        for (folded, known) in &local.persons {
            // Local persons and those who left before cannot leave by WeCom's word.
            let ours = known.source == EntrySource::Wecom && known.status != PersonStatus::Left;
            if !ours || read.contains(folded.as_str()) {
                continue;
            }
            // An incomplete fetch proves nothing about members that it does not show.
            if complete && !present.contains(folded) {
                sorted.leavers.push(known);
            } else {
                sorted.staying.push(known);
                for unit in &known.leads {
                    sorted.leads.entry(unit.clone()).or_default().push(known.userid.clone());
                }
            }
        }
        sorted.leavers.sort_by_key(|known| &known.id);
        odd.add_notes(notes);
        sorted
    }

    fn note_leads(&mut self, record: &RemotePerson, chart: &PlannedChart<'_>) {
        for membership in record.memberships.iter().filter(|membership| membership.leader) {
            if let Some(unit) = chart.unit(membership.unit) {
                self.leads.entry(unit.clone()).or_default().push(record.userid.clone());
            }
        }
    }
}

impl<'a> Joiner<'a> {
    fn new(
        record: RemotePerson,
        fingerprint: String,
        nobody: &PersonId,
        holder: Option<&'a KnownPerson>,
        chart: &PlannedChart<'_>,
    ) -> Self {
        let reported = to_person_row(record, fingerprint, nobody.clone(), chart);
        Self { reported: Box::new(reported), holder }
    }

    /// Returns the row as one of `id`. `known_name` stands where WeCom told no name.
    pub(super) fn into_row(self, id: PersonId, known_name: &str) -> Box<Person> {
        let mut row = self.reported;
        row.id = id;
        *row = with_name(*row, known_name);
        row
    }
}

/// Counts of records that the report has to mention.
#[derive(Debug, Default)]
struct OddRecords {
    unnamed: usize,
    unusable: usize,
    twice: Vec<String>,
}

impl OddRecords {
    fn add_notes(self, notes: &mut Vec<ReportNote>) {
        if self.unnamed > 0 {
            let text = format!(
                "WeCom told no name of {} members: the known name is kept, or else the userid stands for it; give the \
                 application the permission to read names",
                self.unnamed
            );
            notes.push(ReportNote::new("plan.name_missing", text));
        }
        if self.unusable > 0 {
            let text = format!("{} members were skipped: their userids are empty or not text", self.unusable);
            notes.push(ReportNote::new("plan.userid_unusable", text));
        }
        if !self.twice.is_empty() {
            let text = format!(
                "WeCom told these members twice, the first telling counts: {}",
                list_first_names(&self.twice)
            );
            notes.push(ReportNote::new("plan.member_twice", text));
        }
    }
}

/// Returns whether nothing needs to be written. The fingerprint alone does not tell: a department
/// may have become visible or invisible since the last run.
fn is_unchanged(
    known: &KnownPerson,
    record: &RemotePerson,
    fingerprint: &str,
    chart: &PlannedChart<'_>,
) -> bool {
    if known.source != EntrySource::Wecom || known.fingerprint != fingerprint || known.status != record.status
    {
        return false;
    }
    let theirs: HashSet<u32> =
        record.memberships.iter().map(|m| m.unit).filter(|unit| chart.unit(*unit).is_some()).collect();
    let of_wecom = known.units.iter().filter(|unit| unit.is_of_department()).count();
    of_wecom == theirs.len()
        && theirs.iter().all(|unit| chart.unit(*unit).is_some_and(|unit| known.units.contains(unit)))
}

/// Returns whether the member with the userid of `known`, who had not left, is plainly somebody
/// else who joined between two runs.
///
/// That takes another name, and another mobile or employee number while neither is the same. A
/// single difference happens to everybody.
fn is_replaced(known: &KnownPerson, record: &RemotePerson) -> bool {
    if known.source != EntrySource::Wecom || known.status == PersonStatus::Left {
        return false;
    }
    // The userid stands in for a name that was never reported.
    let told = !known.name.is_empty() && known.name != known.userid.as_str() && !record.name.is_empty();
    if !told || known.name == record.name {
        return false;
    }
    let (before, now) = (LinkKeys::from_known(known), LinkKeys::from_record(record));
    let agree = [LinkField::Mobile, LinkField::EmployeeNumber].map(|by| before.agree_on(&now, by));
    agree.contains(&Some(false)) && !agree.contains(&Some(true))
}

/// Returns whether the member with the userid of `known`, who left, is `known` again.
fn is_back(known: &KnownPerson, record: &RemotePerson, now: Timestamp) -> bool {
    let left = IdentityEvidence {
        name: &known.name,
        mobile: &known.mobile,
        employee_number: &known.employee_number,
    };
    let back = IdentityEvidence {
        name: &record.name,
        mobile: &record.mobile,
        employee_number: PersonDetails::employee_number_in(&record.attributes),
    };
    is_same_person(&left, &back, known.left_at.map_or(Duration::MAX, |at| now.since(at)))
}

/// Returns the row with a name: WeCom's, or else the known one, or else the userid.
fn with_name(mut row: Person, known_name: &str) -> Person {
    if row.name.is_empty() {
        row.name = if known_name.is_empty() { row.userid.to_string() } else { known_name.to_owned() };
    }
    row
}

/// Converts a record with a cleaned name to a row of `id`, with the units of the chart. The name is
/// empty where WeCom told none.
fn to_person_row(
    record: RemotePerson,
    fingerprint: String,
    id: PersonId,
    chart: &PlannedChart<'_>,
) -> Person {
    let memberships = to_memberships(&record.memberships, chart);
    let main_unit = record.main_department.and_then(|main| chart.unit(main));
    let main_unit = main_unit.filter(|main| memberships.iter().any(|m| m.unit == **main)).cloned();
    let direct_leaders: Vec<UserId> = record.direct_leaders.into_iter().filter(is_usable_userid).collect();
    let attributes =
        record.attributes.into_iter().map(|(name, text)| (clean_text(name), clean_text(text))).collect();
    Person {
        id,
        userid: record.userid,
        name: record.name,
        email: clean_text(record.email),
        source: EntrySource::Wecom,
        status: record.status,
        left_at: None,
        main_unit,
        memberships,
        details: PersonDetails {
            position: clean_text(record.position),
            mobile: clean_text(record.mobile),
            alias: clean_text(record.alias),
            telephone: clean_text(record.telephone),
            direct_leaders,
            attributes,
        },
        fingerprint,
    }
}

/// Returns the memberships in units of the chart, each unit once, in WeCom's order.
pub(super) fn to_memberships(told: &[RemoteMembership], chart: &PlannedChart<'_>) -> Vec<Membership> {
    let mut seen = HashSet::new();
    told.iter()
        .filter(|membership| seen.insert(membership.unit))
        .filter_map(|membership| {
            let unit = chart.unit(membership.unit)?.clone();
            Some(Membership { unit, order: membership.order, leader: membership.leader })
        })
        .collect()
}
