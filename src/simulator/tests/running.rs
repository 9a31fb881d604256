//! Listening, and generated corporations.

use super::*;

#[tokio::test]
async fn a_dropped_guard_closes_the_port_and_another_can_have_it() {
    let b = SimulatorBench::start().await;
    let (address, other) = (b.sim.address(), Simulator::clone(&b.sim));
    drop(b);
    let until = Instant::now() + Duration::from_secs(5);
    let again = loop {
        match other.clone().start_on(address).await {
            Ok(running) => break running,
            Err(e) if Instant::now() > until => panic!("{e}"),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(again.address(), address);
}

#[test]
fn an_invented_crowd_has_unique_userids_and_a_department_each() {
    let mut w = World::default();
    w.populate(500);
    let ids: std::collections::HashSet<_> = w.members.iter().map(|m| &m.userid).collect();
    assert_eq!(ids.len(), 508);
    assert!(w.members.iter().all(|m| !m.departments.is_empty()));
}

#[test]
fn a_large_corporation_is_the_same_for_the_same_seed() {
    let of = |seed| {
        let mut w = World::default();
        w.populate_large(400, 60, seed);
        (w.departments, w.members)
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn a_large_corporation_keeps_to_wecoms_rules_and_has_every_kind_of_member() {
    use std::collections::{HashMap, HashSet};
    let mut w = World::default();
    w.populate_large(5000, 600, 1);
    let (departments, members) = (&w.departments[7..], &w.members[8..]);
    assert_eq!((departments.len(), members.len()), (600, 5000));
    let parents: HashMap<i64, i64> = w.departments.iter().map(|d| (d.id, d.parent)).collect();
    assert_eq!(parents.len(), w.departments.len(), "ids are unique");
    let depth =
        |id: i64| std::iter::successors(Some(id), |d| parents.get(d).copied().filter(|p| *p != 0)).count();
    assert_eq!(departments.iter().map(|d| depth(d.id)).max(), Some(15));
    let siblings: HashSet<_> = w.departments.iter().map(|d| (d.parent, &d.name)).collect();
    assert_eq!(siblings.len(), w.departments.len());
    let userids: HashSet<_> = w.members.iter().map(|m| m.userid.to_ascii_lowercase()).collect();
    assert_eq!(userids.len(), w.members.len());
    let share = |of: &dyn Fn(&SimulatedMember) -> bool| {
        members.iter().filter(|m| of(m)).count() * 100 / members.len()
    };
    assert!((15..25).contains(&share(&|m| m.departments.len() > 1)));
    assert!((1..5).contains(&share(&|m| m.status == SimulatedStatus::Disabled)));
    assert!((3..8).contains(&share(&|m| m.status == SimulatedStatus::NotActivated)));
    assert!(departments.iter().filter(|d| !d.leaders.is_empty()).count() > 400);
    assert!(members.iter().all(|m| m.departments.iter().all(|d| parents.contains_key(d))));
    assert!(
        members.iter().all(|m| m.departments.iter().collect::<HashSet<_>>().len() == m.departments.len())
    );
    assert!(
        members.iter().any(|m| m.orders.contains(&u32::MAX))
            && members.iter().any(|m| m.main_department.is_some())
    );
}

/// Measures the time for a hundred thousand members: `cargo nextest run --run-ignored only walk`.
#[tokio::test]
#[ignore = "takes a while"]
async fn a_walk_through_a_hundred_thousand_members_is_quick() {
    let began = Instant::now();
    let mut w = World::default();
    w.populate_large(100_000, 5000, 1);
    eprintln!("populate {:?}", began.elapsed());
    let b = SimulatorBench::with(w).await;
    let token = b.app_token().await;
    let began = Instant::now();
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={token}")).await, 0);
    eprintln!("first call, index {:?}", began.elapsed());
    let began = Instant::now();
    let all = b.api(&format!("department/list?access_token={token}")).await;
    eprintln!("department/list {:?}", began.elapsed());
    let ids: Vec<i64> =
        all["department"].as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()).collect();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut bytes = 0;
    for id in &ids {
        let asked = Instant::now();
        let r = b.get(&format!("/cgi-bin/user/list?department_id={id}&access_token={token}"), "test").await;
        bytes += r.bytes().await.unwrap().len();
        slowest = slowest.max(asked.elapsed());
    }
    eprintln!("{} calls of user/list, {bytes} bytes, {:?}, slowest {slowest:?}", ids.len(), began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(60));
}
