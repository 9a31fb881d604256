//! Measures a run after WeCom's directory is read: comparing it with ours, and writing what
//! differs.
//!
//! ```text
//! cargo bench --bench chart                                    # SQLite, in a folder of its own
//! cargo bench --bench chart -- --postgres postgres://…/EMPTY_DATABASE
//! ```
//!
//! 100 000 members with 120 000 memberships in 5 000 departments are loaded into an empty database,
//! then compared again unchanged, then with one percent changed, then with everybody's position
//! changed. Each step shows how long reading ours, planning and writing took, their CPU time, the
//! longest transaction (from its wait for the lock to its commit), the longest wait of a sign-in
//! meanwhile, by how much memory grew since the moment before the step, when WeCom's members were
//! already in memory, and by how much it grew since the start, with these members.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod organisation;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::id::{CorpId, PersonId, UserId};
use gongpai::testing::base::secret::Secret;
use gongpai::testing::config::LinkField;
use gongpai::testing::db::{DatabaseLocation, Db};
use gongpai::testing::directory::changes::DirectoryTransaction;
use gongpai::testing::directory::{self, MemberProfile};
use gongpai::testing::sync::apply::{self, ApplyOptions, ApplyTarget, PauseHook, RunFence};
use gongpai::testing::sync::plan::{self, SyncPolicy};
use gongpai::testing::sync::remote::RemotePerson;
use tokio::task::JoinSet;

const PERSONS: u32 = 100_000;
/// How often a member signs in while a run writes.
const SIGN_IN_INTERVAL: Duration = Duration::from_millis(100);
/// The unit of CPU time in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

struct ChartBench {
    db: Db,
    corp: CorpId,
    clock: Clock,
    fence: RunFence,
    /// The memory before anything was read, in KB.
    idle: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let postgres = match arguments.next().as_deref() {
        Some("--postgres") => Some(Secret::from(arguments.next().context("--postgres needs an address")?)),
        Some(other) => anyhow::bail!("{other} is not an argument of this benchmark"),
        None => None,
    };
    let folder = tempfile::tempdir()?;
    let file: PathBuf = folder.path().join("gongpai.db");
    let db = match &postgres {
        Some(url) => Db::open(DatabaseLocation::Postgres(url)).await?,
        None => Db::open(DatabaseLocation::Sqlite(&file)).await?,
    };
    let (corp, clock) = (CorpId::new("ww1"), Clock::System);
    directory::store::ensure_chart(&db, &corp).await?;
    let fence = organisation::insert_running_run(&db, &corp, &clock).await?;
    let bench = ChartBench { db, corp, clock, fence, idle: memory_kb("VmRSS:")? };
    println!("{}, {PERSONS} persons, {} units", bench.db.engine(), organisation::UNIT_COUNT);
    println!(
        "goals: a first load in 5 s (SQLite) or 10 s (PostgreSQL), unchanged again in half of that with nothing changed, \
         128 MB, no transaction over 100 ms"
    );
    println!(
        "{:<18}{:>7}{:>7}{:>7}{:>8}{:>8}{:>10}{:>10}{:>10}{:>9}{:>9}  changed",
        "", "load", "plan", "heal", "write", "CPU", "longest", "publish", "sign-in", "memory", "in all"
    );
    bench.measure_step("first load", |_, _| {}).await?;
    bench.measure_step("nothing changed", |_, _| {}).await?;
    bench
        .measure_step("1 % changed", |n, person| {
            if n % 100 == 0 {
                person.name.push('改');
            }
        })
        .await?;
    bench.measure_step("all changed", |_, person| person.position.push('改')).await?;
    bench.measure_step("nothing changed", |_, person| person.position.push('改')).await?;
    bench.db.close().await;
    Ok(())
}

impl ChartBench {
    async fn measure_step(&self, name: &str, change: impl Fn(u32, &mut RemotePerson)) -> Result<()> {
        let target = ApplyTarget { db: &self.db, corp: &self.corp, clock: &self.clock, fence: &self.fence };
        let now = self.clock.now();
        let remote = organisation::build_remote(PERSONS, change);
        let began = forget_peak()?;
        let cpu_before = cpu_seconds()?;
        let start = Instant::now();
        apply::cleanup::remove_leftovers(&target).await?;
        let heal = start.elapsed();
        let start = Instant::now();
        let local = apply::baseline::load_local_directory(&self.db, &self.corp).await?;
        let load = start.elapsed();
        let policy = SyncPolicy { link_by: vec![LinkField::Mobile], max_removals: 1000, force: false };
        let start = Instant::now();
        let plan = plan::make_plan(remote, &local, &policy, now, &mut || PersonId::generate(now));
        let planned = start.elapsed();
        drop(local);
        let longest = Arc::new(AtomicU64::new(0));
        let last = Arc::new(parking_lot::Mutex::new(Instant::now()));
        let pause: Box<PauseHook> = {
            let (longest, last) = (Arc::clone(&longest), Arc::clone(&last));
            Box::new(move |_| {
                let now = Instant::now();
                let took = now - std::mem::replace(&mut *last.lock(), now);
                longest.fetch_max(micros(took), Ordering::Relaxed);
                Box::pin(async { Ok(()) })
            })
        };
        let options =
            ApplyOptions { dry_run: false, began: now, complete_details_at: Some(now), pause: Some(&*pause) };
        let done = Arc::new(AtomicBool::new(false));
        let mut visitor = JoinSet::new();
        visitor.spawn(sign_in_repeatedly(self.db.clone(), self.corp.clone(), Arc::clone(&done)));
        let start = Instant::now();
        *last.lock() = start;
        let applied =
            apply::apply_plan(&target, plan, &options, &organisation::IgnoredEnd, &|_, _| {}).await?;
        let (written, published) = (start.elapsed(), last.lock().elapsed());
        done.store(true, Ordering::Relaxed);
        let waited = visitor.join_next().await.context("a visitor")???;
        let (peak, cpu) = (memory_kb("VmHWM:")?, cpu_seconds()? - cpu_before);
        let counts = applied.counts;
        println!(
            "{name:<18}{:>6.2}s{:>6.2}s{:>6.2}s{:>7.2}s{cpu:>7.2}s{:>8.1}ms{:>8.1}ms{:>8.1}ms{:>6} MB{:>6} MB  {} persons, {} memberships, \
             {} skipped",
            load.as_secs_f64(),
            planned.as_secs_f64(),
            heal.as_secs_f64(),
            written.as_secs_f64(),
            Duration::from_micros(longest.load(Ordering::Relaxed)).as_secs_f64() * 1e3,
            published.as_secs_f64() * 1e3,
            waited.as_secs_f64() * 1e3,
            peak.saturating_sub(began) / 1024,
            peak.saturating_sub(self.idle) / 1024,
            counts.persons.created + counts.persons.updated + counts.persons.removed,
            counts.memberships.created + counts.memberships.updated + counts.memberships.removed,
            applied.skipped.len(),
        );
        Ok(())
    }
}

/// Signs a member in again and again; returns the longest time that took.
async fn sign_in_repeatedly(db: Db, corp: CorpId, done: Arc<AtomicBool>) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        let found = MemberProfile {
            userid: UserId::new("user00004711"),
            name: "张三4711".into(),
            email: String::new(),
            mobile: String::new(),
            employee_number: String::new(),
        };
        let mut change = DirectoryTransaction::begin(&db, &corp, Clock::System.now()).await?;
        directory::store::record_active_member(&mut change, &found).await?;
        change.commit().await?;
        longest = longest.max(start.elapsed());
        tokio::time::sleep(SIGN_IN_INTERVAL).await;
    }
    Ok(longest)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Resets the peak of this process's memory; returns its memory now, in KB.
fn forget_peak() -> Result<u64> {
    fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be forgotten")?;
    memory_kb("VmRSS:")
}

fn memory_kb(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("/proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Returns the CPU time of this process in seconds, which leaves out everything else on the
/// machine.
fn cpu_seconds() -> Result<f64> {
    let line = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may contain blanks.
    let (_, fields) = line.rsplit_once(") ").context("/proc/self/stat")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next().context("user time")??, times.next().context("system time")??);
    Ok(f64::from(user + system) / TICKS_PER_SECOND)
}
