//! A corporation with many members, as a fetch reads it, and a run in the database to write it.

use std::time::Duration;

use anyhow::Result;
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::id::{CorpId, RunId, UserId};
use gongpai::testing::base::text_map::TextMap;
use gongpai::testing::db::Db;
use gongpai::testing::db::feed::FeedTransaction;
use gongpai::testing::directory::PersonStatus;
use gongpai::testing::sync::apply::{ApplyResult, RaisedConflict, RunEndWriter, RunFence};
use gongpai::testing::sync::remote::{
    Completeness, RemoteDirectory, RemoteMembership, RemotePerson, RemoteTag, RemoteUnit,
};

/// A tree in which each level has eight times the departments of the one above.
pub(crate) const UNIT_COUNT: u32 = 5_000;
/// Members whose number is divisible by this are in a second unit.
const SECOND_UNIT_DIVISOR: u32 = 5;
/// Each tag belongs to one department and twenty members.
const TAG_COUNT: u32 = 20;

pub(crate) fn userid(n: u32) -> UserId {
    UserId::new(format!("user{n:08}"))
}

/// Builds the corporation with so many members, each of which `change` may change.
pub(crate) fn build_remote(members: u32, change: impl Fn(u32, &mut RemotePerson)) -> RemoteDirectory {
    let units = (1..=UNIT_COUNT).map(|id| RemoteUnit {
        id,
        parent: if id == 1 { 0 } else { id / 8 + u32::from(id < 8) },
        name: format!("部门{id}"),
        name_en: String::new(),
        order: id,
        leaders: vec![],
    });
    let persons = (0..members).map(|n| {
        let mut person = build_person(n);
        change(n, &mut person);
        person
    });
    let tags = (1..=TAG_COUNT).map(|id| RemoteTag {
        id,
        name: format!("标签{id}"),
        users: (0..20).map(|n| userid(id * 1000 + n)).collect(),
        units: vec![id + 1],
    });
    RemoteDirectory {
        units: units.collect(),
        persons: persons.collect(),
        tags: Some(tags.collect()),
        completeness: Completeness { units: true, persons: true, details: true },
        ..RemoteDirectory::default()
    }
}

fn build_person(n: u32) -> RemotePerson {
    let at = |unit| RemoteMembership { unit, order: n % 1000, leader: n.is_multiple_of(20) };
    let mut memberships = vec![at(n % UNIT_COUNT + 1)];
    if n.is_multiple_of(SECOND_UNIT_DIVISOR) {
        memberships.push(at((n + 7) % UNIT_COUNT + 1));
    }
    RemotePerson {
        userid: userid(n),
        name: format!("张三{n}"),
        email: format!("user{n:08}@corp.example"),
        status: if n % 50 == 3 { PersonStatus::Inactive } else { PersonStatus::Active },
        main_department: Some(n % UNIT_COUNT + 1),
        memberships,
        direct_leaders: vec![userid(n / 10)],
        position: "高级工程师".into(),
        mobile: format!("138{n:08}"),
        alias: String::new(),
        telephone: String::new(),
        attributes: TextMap::from([
            ("工号".to_owned(), format!("E{n:06}")),
            ("办公地点".to_owned(), "上海市浦东新区".to_owned()),
        ]),
    }
}

/// Records nothing: the end of the run is not measured.
pub(crate) struct IgnoredEnd;

impl RunEndWriter for IgnoredEnd {
    async fn write(
        &self,
        _: &mut FeedTransaction,
        _: &ApplyResult,
        _: Vec<RaisedConflict>,
    ) -> sqlx::Result<()> {
        Ok(())
    }
}

/// Inserts a running run that may write.
pub(crate) async fn insert_running_run(db: &Db, corp: &CorpId, clock: &Clock) -> Result<RunFence> {
    let lease = Duration::from_secs(60);
    let fence = RunFence { run: RunId::generate(clock.now()), holder: "bench".into(), lease };
    sqlx::query(
        "INSERT INTO sync_runs (id, corp_id, kind, cause, dry_run, forced, status, complete, counts, progress, report, \
           reason, holder, lease_until, requested_at) \
         VALUES ($1, $2, 'full', 'cron', 0, 0, 'running', 0, '{}', NULL, '{}', NULL, 'bench', 0, 0)",
    )
    .bind(fence.run.as_str())
    .bind(corp.as_str())
    .execute(db.pool())
    .await?;
    Ok(fence)
}
