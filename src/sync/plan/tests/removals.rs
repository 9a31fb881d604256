//! Tests: how much a plan may remove.

use super::*;

fn remote_with_members(count: usize) -> RemoteDirectory {
    remote((0..count).map(|at| member(&format!("u{at}"))).collect())
}

/// Returns why removing `leaving` of `of` persons is refused.
fn refusal_of(of: usize, leaving: usize, max_removals: u32, force: bool) -> Option<ExcessiveRemovals> {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_members(of));
    model.policy = SyncPolicy { max_removals, force, ..model.policy };
    let plan = model.plan(&remote_with_members(of - leaving));
    assert_eq!((plan.removals.persons, plan.removals.of_persons), (leaving, of));
    assert_eq!(count_person_changes(&plan).2, leaving, "a refused plan says what it would do");
    plan.refused
}

#[test]
fn more_than_max_removals_is_refused_with_the_figures_until_forced() {
    assert_eq!(refusal_of(30, 3, 1000, false), None);
    let reason = refusal_of(30, 4, 1000, false).unwrap();
    assert_eq!(
        reason.to_string(),
        "would let 4 of 30 persons leave and remove 0 of 4 units, more than directory.max_removals allows (3 persons, \
         1 units); if WeCom is right, run again with --force"
    );
    assert_eq!(refusal_of(30, 30, 1000, true), None);
}

#[test]
fn in_a_small_company_one_may_leave_unless_none_may() {
    assert_eq!(refusal_of(3, 1, 1000, false), None);
    assert!(refusal_of(3, 2, 1000, false).is_some());
    assert!(refusal_of(3, 1, 0, false).is_some());
    assert_eq!(refusal_of(3, 0, 0, false), None);
    assert_eq!(refusal_of(3, 3, u32::MAX, false), None);
}

#[test]
fn an_empty_answer_that_claims_to_be_everything_is_refused() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_members(20));
    model.policy.max_removals = 1000;
    let nothing = RemoteDirectory { units: Vec::new(), ..remote(Vec::new()) };
    let plan = model.plan(&nothing);
    assert!(plan.refused.is_some());
    assert_eq!((plan.removals.units, plan.removals.of_units), (4, 4));
}

#[test]
fn units_count_by_themselves() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_members(20));
    model.policy.max_removals = 1000;
    let mut fewer = remote_with_members(20);
    fewer.units.truncate(3);
    assert_eq!(model.plan(&fewer).refused, None);
    fewer.units.truncate(2);
    let reason = model.plan(&fewer).refused.unwrap().to_string();
    assert!(reason.contains("remove 2 of 4 units"), "{reason}");
}

#[test]
fn half_a_fetch_is_never_refused_because_it_removes_nothing() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_members(20));
    model.policy = SyncPolicy { max_removals: 0, force: true, ..model.policy };
    let nothing =
        RemoteDirectory { units: Vec::new(), completeness: Completeness::default(), ..remote(Vec::new()) };
    let plan = model.plan(&nothing);
    assert!(is_empty(&plan));
    assert_eq!((plan.refused, plan.removals.persons, plan.removals.units), (None, 0, 0));
}

#[test]
fn only_wecoms_persons_that_have_not_left_are_counted() {
    let mut model = DirectoryModel::new();
    model.run(&remote_with_members(4));
    model.run(&remote_with_members(3));
    model.add_local_person("x", |_| ());
    model.add_local_unit("y", None);
    let plan = model.plan(&remote_with_members(3));
    assert_eq!(plan.removals, Removals { persons: 0, of_persons: 3, units: 0, of_units: 4 });
}

#[test]
fn the_report_says_what_the_fetch_said() {
    let mut odd = remote_with_members(1);
    odd.notes.push(ReportNote::new("fetch.department_unread", "department 9"));
    assert_eq!(DirectoryModel::new().run(&odd).notes, odd.notes);
}
