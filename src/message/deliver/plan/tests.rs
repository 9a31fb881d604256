//! The rules of planning: first one by one, then against a model of WeCom that drops what exceeds
//! its limits and swallows duplicates.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_334_400_000);

fn candidate(message: &str, member: &str, body: &str) -> Candidate {
    Candidate {
        message: MessageId::new(message),
        member: member.to_owned(),
        userid: member.to_owned(),
        person: None,
        body: body.to_owned(),
        unique: false,
        alone: false,
        since: NOW,
        free_at: None,
        duplicate_at: None,
        call_at: None,
    }
}

fn empty_context() -> PlanContext {
    PlanContext { now: NOW, free_calls: 100, to_everybody: HashSet::new() }
}

fn ago(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn members_of(call: &PlannedCall) -> Vec<&str> {
    call.recipients.iter().map(|(_, member, _)| member.as_str()).collect()
}

#[test]
fn equal_bodies_are_one_call_and_others_are_not() {
    let list = [candidate("m1", "a", "x"), candidate("m2", "b", "y"), candidate("m3", "c", "x")];
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls.iter().map(members_of).collect::<Vec<_>>(), [vec!["a", "c"], vec!["b"]]);
}

#[test]
fn who_must_not_share_a_call_and_everybody_have_one_of_their_own() {
    let mut list = [candidate("m1", "a", "x"), candidate("m1", "b", "x"), candidate("m2", "@all", "y")];
    list[0].alone = true;
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls.iter().map(members_of).collect::<Vec<_>>(), [vec!["a"], vec!["b"], vec!["@all"]]);
}

#[test]
fn a_call_has_a_thousand_recipients_at_the_most() {
    let list: Vec<_> = (0..2500).map(|n| candidate("m1", &format!("u{n}"), "x")).collect();
    let sizes: Vec<_> =
        plan_calls(&list, &empty_context()).calls.iter().map(|call| call.recipients.len()).collect();
    assert_eq!(sizes, [1000, 1000, 500]);
}

#[test]
fn without_room_for_calls_only_those_begun_are_filled() {
    let list = [candidate("m1", "a", "x"), candidate("m2", "b", "y"), candidate("m3", "c", "x")];
    let plan = plan_calls(&list, &PlanContext { free_calls: 1, ..empty_context() });
    assert_eq!(plan.calls.iter().map(members_of).collect::<Vec<_>>(), [["a", "c"]]);
    assert!(plan.postponed.is_empty() && plan.failed.is_empty());
}

#[test]
fn who_is_over_a_limit_or_just_had_the_same_waits_until_it_matters_no_more() {
    let mut list = [candidate("m1", "a", "x"), candidate("m1", "b", "x"), candidate("m1", "c", "x")];
    list[0].free_at = Some(NOW.plus(Duration::from_secs(9)));
    list[1].duplicate_at = Some(ago(20));
    list[2].free_at = Some(ago(1));
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls.iter().map(members_of).collect::<Vec<_>>(), [["c"]]);
    let at: Vec<_> = plan
        .postponed
        .iter()
        .map(|later| (later.member.as_str(), later.at.since(NOW).as_secs(), later.reason))
        .collect();
    assert_eq!(at, [("a", 9, PostponeReason::MemberLimit), ("b", 105, PostponeReason::DuplicateWindow)]);
}

#[test]
fn who_waits_for_a_limit_and_because_of_an_equal_body_waits_aside_for_the_longer_one() {
    let mut one = candidate("m1", "a", "x");
    (one.free_at, one.duplicate_at) = (Some(NOW.plus(Duration::from_secs(300))), Some(ago(20)));
    let waits = |one: &Candidate| {
        let later = plan_calls(std::slice::from_ref(one), &empty_context()).postponed.remove(0);
        (later.at.since(NOW).as_secs(), later.reason)
    };
    assert_eq!(waits(&one), (300, PostponeReason::DuplicateWindow));
    one.duplicate_at = Some(ago(200));
    assert_eq!(waits(&one), (300, PostponeReason::MemberLimit));
}

#[test]
fn of_two_candidates_of_a_member_the_earlier_one_goes_and_the_other_stays_as_it_is() {
    let list = [candidate("m1", "a", "x"), candidate("m2", "a", "y"), candidate("m3", "b", "y")];
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls.iter().map(members_of).collect::<Vec<_>>(), [["a"], ["b"]]);
    assert!(plan.postponed.is_empty() && plan.failed.is_empty());
}

#[test]
fn what_is_like_nothing_else_is_swallowed_by_nothing() {
    let mut unique = candidate("m1", "a", "x");
    (unique.unique, unique.duplicate_at) = (true, Some(ago(1)));
    let plan = plan_calls(
        &[unique],
        &PlanContext { to_everybody: HashSet::from(["x".to_owned()]), ..empty_context() },
    );
    assert_eq!(plan.calls[0].window, UNIQUE_DUPLICATE_WINDOW);
}

#[test]
fn a_body_on_its_way_to_everybody_is_not_overtaken() {
    let context = PlanContext { to_everybody: HashSet::from(["x".to_owned()]), ..empty_context() };
    let plan = plan_calls(&[candidate("m1", "a", "x"), candidate("m2", "b", "y")], &context);
    assert_eq!((plan.calls.len(), plan.postponed.len()), (1, 1));
}

#[test]
fn of_equal_bodies_to_somebody_and_to_everybody_the_first_one_goes() {
    let list = [candidate("m1", "a", "x"), candidate("m2", "@all", "x")];
    let plan = plan_calls(&list, &empty_context());
    assert_eq!((plan.calls.len(), members_of(&plan.calls[0])), (1, vec!["a"]));
    assert_eq!(
        (plan.postponed[0].member.as_str(), plan.postponed[0].reason),
        ("@all", PostponeReason::DuplicateWindow)
    );
}

#[test]
fn a_body_that_was_just_sent_waits_a_second_for_company_unless_a_call_is_full() {
    let mut list: Vec<_> = (0..3).map(|n| candidate("m1", &format!("u{n}"), "x")).collect();
    for one in &mut list {
        one.call_at = Some(ago(1));
    }
    let few = plan_calls(&list, &empty_context());
    assert_eq!((few.calls.len(), few.postponed.len()), (0, 3));
    assert_eq!(
        (few.postponed[0].at, few.postponed[0].reason),
        (NOW.plus(REPEATED_BODY_LINGER), PostponeReason::AwaitsBatch)
    );
    for one in &mut list {
        one.since = ago(1);
    }
    assert_eq!(plan_calls(&list, &empty_context()).calls.len(), 1);
    let mut many: Vec<_> = (0..1200).map(|n| candidate("m1", &format!("u{n}"), "x")).collect();
    for one in &mut many {
        one.call_at = Some(ago(1));
    }
    assert_eq!(plan_calls(&many, &empty_context()).calls.len(), 2);
}

#[test]
fn the_userid_is_the_one_of_today_and_who_left_or_is_not_wecoms_gets_nothing() {
    let person = |status, source| Some(CurrentPerson { userid: "New".to_owned(), status, source });
    let mut list = [candidate("m1", "p1", "x"), candidate("m1", "p2", "x"), candidate("m1", "p3", "x")];
    list[0].person = person(PersonStatus::Active, EntrySource::Wecom);
    list[1].person = person(PersonStatus::Left, EntrySource::Wecom);
    list[2].person = person(PersonStatus::Active, EntrySource::Local);
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls[0].recipients[0].2, "New");
    let failed: Vec<_> = plan.failed.iter().map(|(_, member, why)| (member.as_str(), *why)).collect();
    assert_eq!(failed, [("p2", FailureReason::PersonLeft), ("p3", FailureReason::NoAccount)]);
}

#[test]
fn a_userid_that_means_several_or_everybody_in_a_list_is_never_written_to() {
    let person = |userid: &str| {
        Some(CurrentPerson {
            userid: userid.to_owned(),
            status: PersonStatus::Active,
            source: EntrySource::Wecom,
        })
    };
    let mut list = ["a|b", "@all", "张三"].map(|userid| candidate("m1", userid, "x"));
    for one in &mut list {
        one.person = person(&one.userid);
    }
    let plan = plan_calls(&list, &empty_context());
    assert_eq!(plan.calls[0].recipients.iter().map(|r| r.2.as_str()).collect::<Vec<_>>(), ["张三"]);
    let failed: Vec<_> = plan.failed.iter().map(|(_, member, why)| (member.as_str(), *why)).collect();
    assert_eq!(failed, [("a|b", FailureReason::Unaddressable), ("@all", FailureReason::Unaddressable)]);
}

#[test]
fn one_userid_is_in_a_call_once() {
    let mut list = [candidate("m1", "=a", "x"), candidate("m2", "p1", "x")];
    list[0].userid = "ZhangSan".to_owned();
    list[1].userid = "zhangsan".to_owned();
    let plan = plan_calls(&list, &empty_context());
    assert_eq!((plan.calls.len(), plan.calls[0].recipients.len(), plan.postponed.len()), (1, 1, 1));
}

#[derive(Debug, Clone)]
struct ModelMessage {
    member: usize,
    body: usize,
    unique: bool,
    /// Milliseconds after the message before.
    after: u64,
}

/// What WeCom, or the network, does with a call.
#[derive(Debug, Clone, Copy)]
enum ModelBehaviour {
    Takes,
    /// WeCom takes it so many milliseconds later.
    Late(u64),
    /// WeCom refuses it, so the recipients wait again.
    Refuses,
    /// WeCom takes it, and its answer is lost.
    LosesTheAnswer,
}

const PEOPLE: usize = 4;

fn any_message() -> impl Strategy<Value = ModelMessage> {
    // Member 0 gets more messages than the limit allows.
    let member = prop_oneof![12 => Just(0), 6 => 1..PEOPLE, 1 => Just(PEOPLE)];
    (member, 0..6_usize, prop::bool::weighted(0.8), prop_oneof![20 => Just(0), 1 => 0..30_000_u64])
        .prop_map(|(member, body, unique, after)| ModelMessage { member, body, unique, after })
}

fn any_behaviour() -> impl Strategy<Value = ModelBehaviour> {
    prop_oneof![
        6 => Just(ModelBehaviour::Takes),
        2 => (1..14_000_u64).prop_map(ModelBehaviour::Late),
        1 => Just(ModelBehaviour::Refuses),
        1 => Just(ModelBehaviour::LosesTheAnswer),
    ]
}

#[derive(Debug)]
struct ModelRow {
    member: String,
    body: String,
    unique: bool,
    since: Timestamp,
    due_at: Timestamp,
    state: ModelState,
    counted_at: Option<Timestamp>,
    aside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelState {
    Pending,
    Calling,
    Over,
}

/// WeCom's counts: what each member received, and when.
#[derive(Debug, Default)]
struct ModelWecom {
    received: HashMap<String, Vec<(Timestamp, String, usize)>>,
}

fn nth_counted(
    rows: &[ModelRow],
    member: &str,
    now: Timestamp,
    window: super::rate_limits::RateWindow,
) -> Option<Timestamp> {
    let mut counted: Vec<_> = rows
        .iter()
        .filter(|row| row.member == member)
        .filter_map(|row| row.counted_at)
        .filter(|at| *at > now.minus(window.length))
        .collect();
    counted.sort_unstable();
    counted.iter().rev().nth(usize::try_from(window.limit).unwrap() - 1).copied()
}

/// Finds the candidates as the query of `store.rs` does.
fn find_model_candidates(
    rows: &[ModelRow],
    calls: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> (Vec<usize>, Vec<Candidate>) {
    let mut found = (Vec::new(), Vec::new());
    for (seq, row) in rows.iter().enumerate() {
        let blocked = rows.iter().enumerate().any(|(other, e)| {
            // Of those that are aside, the first one that is due.
            let first = !e.aside || (row.aside && e.due_at <= now);
            e.member == row.member
                && (e.state == ModelState::Calling
                    || (e.state == ModelState::Pending && other < seq && first))
        });
        if row.state != ModelState::Pending || row.due_at > now || blocked {
            continue;
        }
        let everybody = row.member == Addressee::ALL;
        let windows = if everybody { rate_limits::EVERYBODY_WINDOWS } else { rate_limits::MEMBER_WINDOWS };
        let equal = |e: &&ModelRow| {
            e.body == row.body && (everybody || e.member == row.member || e.member == Addressee::ALL)
        };
        let in_flight = everybody && rows.iter().filter(equal).any(|e| e.state == ModelState::Calling);
        found.0.push(seq);
        found.1.push(Candidate {
            unique: row.unique,
            since: row.since,
            free_at: earliest_time_within_limits(
                everybody,
                windows.map(|window| nth_counted(rows, &row.member, now, window)),
            ),
            duplicate_at: rows
                .iter()
                .filter(equal)
                .filter_map(|e| e.counted_at)
                .max()
                .max(in_flight.then_some(now)),
            call_at: calls.get(&row.body).copied().filter(|at| now.since(*at) < REPEAT_WINDOW),
            ..candidate(&seq.to_string(), &row.member, &row.body)
        });
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_no_member_gets_too_much_or_twice_or_anything_but_repeats_out_of_order_and_nothing_is_lost(
        messages in prop::collection::vec(any_message(), 1..160),
        behaviours in prop::collection::vec(any_behaviour(), 1..40),
    ) {
        let mut now = NOW;
        let mut incoming: VecDeque<(usize, ModelMessage)> = messages.into_iter().enumerate().collect();
        let mut rows: Vec<ModelRow> = Vec::new();
        let mut wecom = ModelWecom::default();
        let mut calls = BTreeMap::new();
        // When each call ends, its rows, and what WeCom did.
        let mut in_flight: Vec<(Timestamp, Vec<usize>, ModelBehaviour)> = Vec::new();
        let mut behaviours = behaviours.into_iter().cycle();
        let mut next_at = now;
        let mut steps = 0;
        while !incoming.is_empty() || rows.iter().any(|row| row.state != ModelState::Over) {
            steps += 1;
            prop_assert!(steps < 200_000, "it does not come to an end");
            while let Some((n, message)) = incoming.front().cloned() {
                if next_at.plus(Duration::from_millis(message.after)) > now {
                    break;
                }
                incoming.pop_front();
                next_at = next_at.plus(Duration::from_millis(message.after));
                let member =
                    if message.member == PEOPLE { Addressee::ALL.to_owned() } else { format!("u{}", message.member) };
                let body = if message.unique { format!("unique {n}") } else { format!("body {}", message.body) };
                rows.push(ModelRow {
                    member,
                    body,
                    unique: message.unique,
                    since: now,
                    due_at: if message.unique { now } else { now.plus(Duration::from_millis(150)) },
                    state: ModelState::Pending,
                    counted_at: None,
                    aside: false,
                });
            }
            // Settles the calls that end now.
            let (ended, open): (Vec<_>, Vec<_>) = in_flight.into_iter().partition(|(at, _, _)| *at <= now);
            in_flight = open;
            for (_, seqs, behaviour) in ended {
                for seq in seqs {
                    let row = &mut rows[seq];
                    if matches!(behaviour, ModelBehaviour::Refuses) {
                        row.state = ModelState::Pending;
                        row.due_at = now.plus(Duration::from_secs(1));
                    } else {
                        row.state = ModelState::Over;
                        row.counted_at = Some(now);
                    }
                }
            }
            let (seqs, list) = find_model_candidates(&rows, &calls, now);
            let to_everybody: HashSet<String> = rows
                .iter()
                .filter(|row| row.member == Addressee::ALL && row.state == ModelState::Calling)
                .map(|row| row.body.clone())
                .collect();
            let plan = plan_calls(&list, &PlanContext { now, free_calls: 10 - in_flight.len().min(10), to_everybody });
            prop_assert!(plan.failed.is_empty());
            for later in &plan.postponed {
                prop_assert!(later.at > now, "it would be a candidate again at once");
                let seq: usize = later.message.as_str().parse().unwrap();
                rows[seq].due_at = later.at;
                rows[seq].aside |= later.reason == PostponeReason::DuplicateWindow;
                prop_assert!(!(rows[seq].aside && rows[seq].unique), "only a repeat steps aside");
                if later.at.since(now) < MIN_SHARED_DELAY || later.reason == PostponeReason::AwaitsBatch {
                    continue;
                }
                let (member, body) = (rows[seq].member.clone(), rows[seq].body.clone());
                let along = |row: &&mut ModelRow| row.member == member && (later.reason == PostponeReason::MemberLimit || row.body == body);
                for row in rows.iter_mut().filter(along).filter(|row| row.state == ModelState::Pending) {
                    row.due_at = row.due_at.max(later.at);
                    row.aside |= later.reason == PostponeReason::DuplicateWindow;
                }
            }
            for call in plan.calls {
                let behaviour = behaviours.next().unwrap();
                let takes = if let ModelBehaviour::Late(by) = behaviour { by } else { 20 };
                // WeCom counts at the end of a call that it takes, or at its beginning.
                let at = now.plus(Duration::from_millis(takes / 2));
                let mut taken = Vec::new();
                for (message, member, _) in &call.recipients {
                    let seq: usize = message.as_str().parse().unwrap();
                    prop_assert!(seqs.contains(&seq));
                    prop_assert_eq!(rows[seq].state, ModelState::Pending, "planned twice");
                    let open = rows.iter().any(|row| row.member == *member && row.state == ModelState::Calling);
                    prop_assert!(!open, "two calls of one member at a time");
                    rows[seq].state = ModelState::Calling;
                    taken.push(seq);
                    if matches!(behaviour, ModelBehaviour::Refuses) {
                        continue;
                    }
                    let people: Vec<String> = if member == Addressee::ALL {
                        (0..PEOPLE).map(|n| format!("u{n}")).collect()
                    } else {
                        vec![member.clone()]
                    };
                    for person in people {
                        let got = wecom.received.entry(person).or_default();
                        for (length, most) in [(60_000, 30), (3_600_000, 1000)] {
                            let since = at.minus(Duration::from_millis(length));
                            let there = got.iter().filter(|(when, _, _)| *when > since).count();
                            prop_assert!(there < most, "{} in {} ms", there + 1, length);
                        }
                        let window = at.minus(call.window);
                        let swallowed = got.iter().any(|(when, body, _)| *when > window && *body == call.body);
                        prop_assert!(!swallowed, "swallowed: {}", call.body);
                        got.push((at, call.body.clone(), seq));
                    }
                }
                calls.insert(call.body.clone(), now);
                in_flight.push((now.plus(Duration::from_millis(takes)), taken, behaviour));
            }
            // Goes on to the next instant at which anything can happen.
            let ends = in_flight.iter().map(|(at, _, _)| *at);
            let due = rows.iter().filter(|row| row.state == ModelState::Pending).map(|row| row.due_at);
            let comes = incoming.front().map(|(_, message)| next_at.plus(Duration::from_millis(message.after)));
            now = ends.chain(due).chain(comes).filter(|at| *at > now).min().unwrap_or(now.plus(Duration::from_secs(1)));
        }
        for (member, got) in &wecom.received {
            let own: Vec<usize> =
                got.iter().filter(|(_, _, seq)| rows[*seq].member == *member).map(|(_, _, seq)| *seq).collect();
            // Only messages that stepped aside are overtaken.
            let mut latest = 0;
            for seq in own {
                prop_assert!(seq >= latest || rows[seq].aside, "{member}: {seq} after {latest}");
                latest = latest.max(seq);
            }
        }
        for (seq, row) in rows.iter().enumerate() {
            let person = if row.member == Addressee::ALL { "u0" } else { &row.member };
            let copies = wecom.received[person].iter().filter(|(_, _, one)| *one == seq).count();
            prop_assert_eq!(copies, 1, "{:?}", row);
        }
    }
}
