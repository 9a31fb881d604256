//! Tests: what holds whatever WeCom says, with random companies, random local edits between runs,
//! and random gaps in the fetch.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::sync::plan::link_keys::LinkKeys;

/// What happens between two runs, and what the second one reads.
#[derive(Debug, Clone)]
struct HistoryStep {
    by_hand: Vec<LocalEdit>,
    hours: u64,
    /// Whether WeCom repeats what it said last time about all members but the first.
    again: bool,
    remote: RemoteDirectory,
}

#[derive(Debug, Clone)]
enum LocalEdit {
    Person { userid: String, mobile: String, email: String, name: String, status: PersonStatus, unit: u32 },
    Unit { name: u8, parent: Option<u32> },
}

fn any_userid() -> impl Strategy<Value = String> {
    select(vec!["u1", "u2", "u3", "u4", "u5", "U1", "U2", "Ü6", "ü6", "", "a\u{0}"]).prop_map(str::to_owned)
}

/// Picks from a few words, so that values coincide; half of them are empty.
fn any_word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    (any::<bool>(), select(words.to_vec()))
        .prop_map(|(told, word)| if told { word.to_owned() } else { String::new() })
}

fn any_mobile() -> impl Strategy<Value = String> {
    any_word(&["138", "+86 138", "139", "-", "0086"])
}

fn any_email() -> impl Strategy<Value = String> {
    any_word(&["a@x", "A@X ", "b@x"])
}

fn any_name() -> impl Strategy<Value = String> {
    any_word(&["张伟", "王芳", " \u{0}\u{202e}", "a/b"])
}

fn any_department() -> impl Strategy<Value = u32> {
    select(vec![0, 1, 2, 3, 4, 5, 6, u32::MAX])
}

fn any_status() -> impl Strategy<Value = PersonStatus> {
    select(vec![
        PersonStatus::Active,
        PersonStatus::Active,
        PersonStatus::Active,
        PersonStatus::Disabled,
        PersonStatus::Inactive,
        PersonStatus::Left,
    ])
}

fn any_member() -> impl Strategy<Value = RemotePerson> {
    let places = prop::collection::vec((any_department(), any::<bool>(), any::<u32>()), 0..4);
    let number = any_word(&["A1", "a1", "A2"]);
    (
        any_userid(),
        any_name(),
        any_email(),
        any_mobile(),
        number,
        any_status(),
        places,
        prop::option::of(any_department()),
    )
        .prop_map(|(userid, name, email, mobile, number, status, places, main)| {
            let told = |(unit, leader, order)| RemoteMembership { unit, order: order % 2 * u32::MAX, leader };
            RemotePerson {
                name,
                email,
                mobile,
                status,
                main_department: main,
                memberships: places.into_iter().map(told).collect(),
                attributes: TextMap::from([("工号".to_owned(), number)]),
                ..member(&userid)
            }
        })
}

fn any_remote() -> impl Strategy<Value = RemoteDirectory> {
    let unit = (
        any_department(),
        any_department(),
        any_name(),
        prop::collection::vec(any_userid(), 0..3),
        any::<u32>(),
    );
    let units = prop::collection::vec(unit, 0..9).prop_map(|units| {
        let unit = |(id, parent, name, leaders, order): (u32, u32, String, Vec<String>, u32)| RemoteUnit {
            name,
            order: order % 2,
            leaders: leaders.into_iter().map(UserId::new).collect(),
            ..department(id, parent)
        };
        units.into_iter().map(unit).collect::<Vec<_>>()
    });
    let tag = (
        0..4u32,
        any_name(),
        prop::collection::vec(any_userid(), 0..3),
        prop::collection::vec(any_department(), 0..3),
    );
    let tag = tag.prop_map(|(id, name, users, units)| {
        let users = users.into_iter().map(UserId::new).collect();
        RemoteTag { id, name, users, units }
    });
    let tags = prop::option::of(prop::collection::vec(tag, 0..4));
    let persons = prop::collection::vec(any_member(), 0..6);
    let present = prop::collection::hash_set(any_userid().prop_map(|userid| userid.to_lowercase()), 0..3);
    let complete = (prop::bool::weighted(0.8), prop::bool::weighted(0.8));
    (units, persons, present, tags, complete).prop_map(|(units, persons, present, tags, complete)| {
        RemoteDirectory {
            units,
            persons,
            present,
            tags,
            completeness: Completeness { units: complete.0, persons: complete.1, details: true },
            ..RemoteDirectory::default()
        }
    })
}

fn any_local_edit() -> impl Strategy<Value = LocalEdit> {
    let person = (any_userid(), any_mobile(), any_email(), any_name(), any_status(), any_department())
        .prop_map(|(userid, mobile, email, name, status, unit)| LocalEdit::Person {
            userid,
            mobile,
            email,
            name,
            status,
            unit,
        });
    let unit = (0..3u8, prop::option::of(any_department()))
        .prop_map(|(name, parent)| LocalEdit::Unit { name, parent });
    prop_oneof![3 => person, 1 => unit]
}

fn any_step() -> impl Strategy<Value = HistoryStep> {
    (prop::collection::vec(any_local_edit(), 0..3), select(vec![0, 1, 30]), any::<bool>(), any_remote())
        .prop_map(|(by_hand, hours, again, remote)| HistoryStep { by_hand, hours, again, remote })
}

/// Generates steps, and fills in what WeCom repeats.
fn any_steps(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<HistoryStep>> {
    prop::collection::vec(any_step(), length).prop_map(|mut steps| {
        let mut last: Vec<RemotePerson> = Vec::new();
        for step in &mut steps {
            if step.again {
                step.remote.persons.truncate(1);
                step.remote.persons.extend(last.iter().skip(1).cloned());
            }
            last.clone_from(&step.remote.persons);
        }
        steps
    })
}

impl LocalEdit {
    fn apply_to(self, model: &mut DirectoryModel) {
        match self {
            Self::Person { userid, mobile, email, name, status, unit: department } => {
                if userid.is_empty() || model.local().persons.contains_key(&userid.to_lowercase()) {
                    return;
                }
                model.next += 1;
                let (id, left_at) = (PersonId::new(format!("l{:04}", model.next)), model.now);
                let made = model.add_local_person(&userid, |p| {
                    (p.id, p.name, p.email, p.details.mobile) = (id.clone(), name, email, mobile);
                    (p.status, p.left_at) = (status, (status == PersonStatus::Left).then_some(left_at));
                    p.memberships = [department_unit_id(department), UnitId::new("hand 0")]
                        .map(|unit| Membership { unit, order: 1, leader: true })
                        .to_vec();
                });
                let person = model.persons.remove(&made).unwrap();
                model.persons.insert(id, person);
            }
            Self::Unit { name, parent } => {
                model.add_local_unit(&format!("hand {name}"), parent.map(department_unit_id));
            }
        }
    }
}

/// Returns the members that `remote` shows as not left, by folded userid; the first record counts.
fn living_records(remote: &RemoteDirectory) -> BTreeMap<String, &RemotePerson> {
    let mut alive = BTreeMap::new();
    for record in &remote.persons {
        let usable = !record.userid.as_str().is_empty() && !record.userid.as_str().contains('\u{0}');
        if usable && record.status != PersonStatus::Left {
            alive.entry(record.userid.folded()).or_insert(record);
        }
    }
    alive
}

fn assert_each_id_once(plan: &SyncPlan) {
    let mut ids = HashSet::new();
    for change in &plan.units {
        let (PlannedUnitChange::Create(Unit { id, .. })
        | PlannedUnitChange::Update(Unit { id, .. })
        | PlannedUnitChange::Remove(id)) = change;
        assert!(ids.insert(id.to_string()), "{id} twice");
    }
    for change in &plan.persons {
        let id = match change {
            PlannedPersonChange::Create { person, .. } => &person.id,
            PlannedPersonChange::Update { id, .. } | PlannedPersonChange::Leave { id } => id,
        };
        assert!(ids.insert(id.to_string()), "{id} twice");
    }
    for change in &plan.tags {
        let (PlannedTagChange::Create(Tag { id, .. })
        | PlannedTagChange::Update(Tag { id, .. })
        | PlannedTagChange::Remove(id)) = change;
        assert!(ids.insert(id.to_string()), "{id} twice");
    }
}

fn assert_local_entries_untouched(before: &DirectoryModel, after: &DirectoryModel, plan: &SyncPlan) {
    for unit in before.units.values().filter(|unit| unit.source == EntrySource::Local) {
        assert_eq!(&after.units[&unit.id], unit);
    }
    let linked: HashSet<&PersonId> = plan
        .persons
        .iter()
        .filter_map(
            |change| if let PlannedPersonChange::Update { id, .. } = change { Some(id) } else { None },
        )
        .collect();
    for person in before.persons.values().filter(|person| person.source == EntrySource::Local) {
        if linked.contains(&person.id) {
            assert_eq!(after.persons[&person.id].source, EntrySource::Wecom);
        } else {
            assert_eq!(&after.persons[&person.id], person);
        }
    }
}

fn nobody_is_removed_by_mistake(
    before: &DirectoryModel,
    after: &DirectoryModel,
    remote: &RemoteDirectory,
    plan: &SyncPlan,
) {
    let leaves = count_person_changes(plan).2;
    assert_eq!(plan.removals.persons, leaves);
    if !remote.completeness.persons {
        let taken_over = |change: &&PlannedPersonChange| match change {
            PlannedPersonChange::Create { takes_over: Some(id), .. } => {
                before.persons[id].status != PersonStatus::Left
            }
            _ => false,
        };
        assert_eq!(leaves, plan.persons.iter().filter(taken_over).count());
    }
    let removes = plan.units.iter().filter(|change| matches!(change, PlannedUnitChange::Remove(_))).count();
    assert_eq!(plan.removals.units, removes);
    if !remote.completeness.units {
        assert_eq!(removes, 0);
    }
    if remote.tags.is_none() {
        assert!(plan.tags.is_empty());
    }
    let alive = living_records(remote);
    for person in before.persons.values().filter(|person| !before.released.contains(&person.id)) {
        assert!(after.persons.contains_key(&person.id), "{person:?} is lost");
        let Some(record) = alive.get(&person.userid.folded()).filter(|_| person.status != PersonStatus::Left)
        else {
            continue;
        };
        let now = &after.persons[&person.id];
        let is_another = {
            let number =
                |attributes| crate::directory::normalize_text(PersonDetails::employee_number_in(attributes));
            let mobile = |mobile| crate::directory::normalize_mobile(mobile);
            let keys = [
                (mobile(&person.details.mobile), mobile(&record.mobile)),
                (number(&person.details.attributes), number(&record.attributes)),
            ];
            let both = keys.iter().filter(|(was, is)| !was.is_empty() && !is.is_empty());
            both.clone().count() > 0 && both.clone().all(|(was, is)| was != is) && person.name != record.name
        };
        let stays = now.userid.folded() == person.userid.folded() && !after.released.contains(&person.id);
        assert!(stays || is_another, "another person has the userid of {person:?}");
    }
}

fn the_chart_is_what_wecom_says(after: &DirectoryModel, remote: &RemoteDirectory) {
    let alive = living_records(remote);
    for (folded, record) in &alive {
        let person =
            after.persons.values().find(|p| p.userid.folded() == *folded && !after.released.contains(&p.id));
        let person = person.unwrap_or_else(|| panic!("{folded} is missing"));
        assert_eq!((&person.userid, person.status), (&record.userid, record.status));
        assert_eq!((person.source, person.left_at), (EntrySource::Wecom, None));
        assert!(!person.name.is_empty());
        let told: HashSet<UnitId> = record.memberships.iter().map(|m| department_unit_id(m.unit)).collect();
        let told: HashSet<UnitId> = told.into_iter().filter(|unit| after.units.contains_key(unit)).collect();
        let of_wecom = person.memberships.iter().map(|m| m.unit.clone());
        let of_wecom: HashSet<UnitId> = of_wecom.filter(|unit| !unit.as_str().starts_with("hand")).collect();
        assert_eq!(of_wecom, told, "{person:?}");
    }
    for person in
        after.persons.values().filter(|p| p.source == EntrySource::Wecom && p.status != PersonStatus::Left)
    {
        let folded = person.userid.folded();
        let there = alive.contains_key(&folded) || remote.present.contains(&folded);
        assert!(there || !remote.completeness.persons, "{person:?} should have left");
    }
    for start in after.units.values().filter(|unit| unit.source == EntrySource::Wecom) {
        let mut here = start;
        for _ in 0..after.units.len() {
            let Some(parent) = &here.parent else { break };
            here = after.units.get(parent).unwrap_or_else(|| panic!("{here:?} hangs below nothing"));
        }
        assert_eq!(here.parent, None, "{start:?} hangs in a circle");
    }
}

fn assert_nobody_inherits(before: &DirectoryModel, plan: &SyncPlan, local: &LocalDirectory) {
    for change in &plan.persons {
        let PlannedPersonChange::Update { id, reported } = change else { continue };
        let known = local.persons.values().find(|known| known.id == *id).unwrap();
        let record = member_with("x", |m| {
            (m.email, m.mobile) = (reported.email.clone(), reported.details.mobile.clone());
            m.attributes = reported.details.attributes.clone();
        });
        let theirs = LinkKeys::from_record(&record);
        let shares = LinkKeys::from_known(known).iter().any(|key| theirs.iter().any(|other| other == key));
        let absence = known.left_at.map(|at| before.now.since(at));
        let short = absence.is_some_and(|absence| absence < crate::directory::MAX_ABSENCE)
            && reported.name == known.name;
        if known.status == PersonStatus::Left {
            assert!(shares || short, "{known:?} is not {reported:?}");
        } else if known.userid.folded() != reported.userid.folded() {
            assert!(shares, "{known:?} is not {reported:?}");
        }
    }
}

fn assert_conflicts_answerable(before: &DirectoryModel, after: &DirectoryModel, plan: &SyncPlan) {
    for question in &plan.conflicts {
        assert!(question.candidates.is_sorted() && !question.candidates.is_empty());
        assert!(!question.candidates.contains(&question.person));
        assert!(
            question.candidates.iter().chain([&question.person]).all(|id| after.persons.contains_key(id))
        );
        let key = (question.kind, question.person.clone(), question.candidates.clone());
        assert!(!before.known_conflicts.contains(&key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_wecom_says_the_chart_follows_and_nothing_is_lost(steps in any_steps(1..6)) {
        let mut model = DirectoryModel::new();
        for step in steps {
            step.by_hand.into_iter().for_each(|edit| edit.apply_to(&mut model));
            model.advance_hours(step.hours);
            let before = model.clone();
            let plan = model.run(&step.remote);
            assert_each_id_once(&plan);
            assert_local_entries_untouched(&before, &model, &plan);
            nobody_is_removed_by_mistake(&before, &model, &step.remote, &plan);
            the_chart_is_what_wecom_says(&model, &step.remote);
            assert_nobody_inherits(&before, &plan, &before.local());
            assert_conflicts_answerable(&before, &model, &plan);
        }
    }

    #[test]
    fn the_order_in_which_wecom_tells_does_not_matter(steps in any_steps(1..4)) {
        let outcome = |turn: bool| {
            let mut model = DirectoryModel::new();
            for mut step in steps.clone() {
                step.by_hand.into_iter().for_each(|edit| edit.apply_to(&mut model));
                model.advance_hours(step.hours);
                // Each member once: of two records the first counts.
                let mut told = HashSet::new();
                step.remote.persons.retain(|record| told.insert(record.userid.folded()));
                let mut told = HashSet::new();
                step.remote.units.retain(|unit| told.insert(unit.id));
                if turn {
                    step.remote.persons.reverse();
                    step.remote.units.reverse();
                }
                model.run(&step.remote);
            }
            // New ids depend on the order of the records; everything else is the same.
            let of = |person: &Person| (person.userid.clone(), person.status, person.source, person.name.clone());
            let mut persons: Vec<_> = model.persons.values().map(of).collect();
            persons.sort_by_key(|(userid, status, ..)| (userid.folded(), status.as_str()));
            (persons, model.units, model.known_conflicts.len())
        };
        prop_assert_eq!(outcome(false), outcome(true));
    }
}
