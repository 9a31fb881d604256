//! The gateway as `gongpai serve` runs it for a company: on SQLite, with twenty rules for the
//! application's host, 100 000 members in 5 000 units, and 20 tags.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use gongpai::testing::app::App;
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::id::{PersonId, Sid};
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::directory::changes::DirectoryTransaction;
use gongpai::testing::directory::store::record_active_member;
use gongpai::testing::directory::{MemberProfile, PersonStatus};
use gongpai::testing::session::Amr;
use gongpai::testing::session::store::NewSession;
use gongpai::testing::sync::apply::{self, ApplyOptions, ApplyTarget};
use gongpai::testing::sync::plan::{self, SyncPolicy};

use crate::organisation::{self, IgnoredEnd};

/// The application's host.
pub(crate) const APP_HOST: &str = "app.bench.test";

/// Members of the directory, signed in or not.
const MEMBER_COUNT: u32 = 100_000;

/// Sessions that one transaction writes.
const BATCH_SESSIONS: usize = 2_000;

/// Loads a configuration in which nothing leaves this machine: WeCom is never asked while it runs.
pub(crate) fn load_configuration(data: &Path, listen: &str) -> Result<Config> {
    let mut text = format!(
        "public_url = \"https://oa.bench.test\"\ndata_dir = {data:?}\n\
         [server]\nlisten = {listen:?}\nadmin_listen = \"127.0.0.1:0\"\n\
         [wecom]\ncorp_id = \"ww1234567890abcdef\"\nagent_id = 1000002\n\
         app_secret = \"q0bZ2m0yq6y1o0e9fC0cU3m1l0m6T8y3vXk5Jf7w2Zg\"\n\
         api_address = \"http://127.0.0.1:1\"\n[gate]\nrecheck = \"24h\"\n\
         [login]\nredirect_hosts = [{APP_HOST:?}]\n[log]\nlevel = \"info\"\nformat = \"json\"\n"
    );
    // The eighteenth rule decides the measured request (`/orders/…`).
    for number in 1..=17 {
        let path = match number % 4 {
            0 => format!("/area{number}/**"),
            1 => format!("/area{number}/*/edit"),
            2 => format!("/**/report{number}-*.xlsx"),
            _ => format!("/orders/*/step{number}"),
        };
        writeln!(
            text,
            "[[rules]]\nhost = {APP_HOST:?}\npath = {path:?}\nallow = [\"user:user00000001\", \"leader:部门3\"]"
        )?;
    }
    // A tag of few members, a unit of some, and the unit that contains everybody.
    let orders = r#"["tag:标签20", "unit:部门2/**", "unit:/**"]"#;
    for (path, allow) in
        [("/orders/*", orders), ("/static/**", r#"["members"]"#), ("/public/**", r#"["anyone"]"#)]
    {
        writeln!(text, "[[rules]]\nhost = {APP_HOST:?}\npath = {path:?}\nallow = {allow}")?;
    }
    let (config, _) = Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() })?;
    Ok(config)
}

/// Writes the directory into a new database, as a synchronisation does.
async fn fill_directory(app: &App) -> Result<()> {
    let (db, corp, clock) = (&app.db, &app.config.wecom.corp_id, &app.clock);
    let remote = organisation::build_remote(MEMBER_COUNT, |_, person| person.status = PersonStatus::Active);
    let fence = organisation::insert_running_run(db, corp, clock).await?;
    let local = apply::baseline::load_local_directory(db, corp).await?;
    let now = clock.now();
    let policy = SyncPolicy { link_by: vec![], max_removals: 0, force: false };
    let plan = plan::make_plan(remote, &local, &policy, now, &mut || PersonId::generate(now));
    let target = ApplyTarget { db, corp, clock, fence: &fence };
    let how = ApplyOptions { dry_run: false, began: now, complete_details_at: Some(now), pause: None };
    apply::apply_plan(&target, plan, &how, &IgnoredEnd, &|_, _| {}).await?;
    // Ends the run, so that no gateway resumes it.
    sqlx::query("UPDATE sync_runs SET status = 'done' WHERE id = $1")
        .bind(fence.run.as_str())
        .execute(db.pool())
        .await?;
    Ok(())
}

/// Writes the directory and `sessions` sessions into a new database at `data`, and their cookies to
/// `cookies`.
pub(crate) async fn seed_sessions(data: &Path, sessions: u32, cookies: &Path) -> Result<()> {
    let (app, _) = App::build(load_configuration(data, "127.0.0.1:0")?, Clock::System).await?;
    fill_directory(&app).await?;
    let mut lines = std::io::BufWriter::new(fs::File::create(cookies)?);
    let numbers: Vec<u32> = (0..sessions).collect();
    for batch in numbers.chunks(BATCH_SESSIONS) {
        let now = app.clock.now();
        let mut change = DirectoryTransaction::begin(&app.db, &app.config.wecom.corp_id, now).await?;
        let mut begun = Vec::with_capacity(batch.len());
        for number in batch {
            let found = MemberProfile {
                userid: organisation::userid(*number),
                name: format!("张三{number}"),
                email: String::new(),
                mobile: String::new(),
                employee_number: String::new(),
            };
            let sid = Sid::generate(now);
            let session = NewSession {
                family: sid.clone(),
                sid,
                person: record_active_member(&mut change, &found).await?,
                audience: APP_HOST.to_owned(),
                amr: Amr::App,
                auth_time: now,
                expires_at: app.sessions.expiry(now),
                address: None,
                user_agent: "Mozilla/5.0 (X11; Linux x86_64)".to_owned(),
            };
            app.sessions.begin(&mut change, &session).await?;
            begun.push((session, found));
        }
        change.commit().await?;
        for (session, found) in begun {
            let token = app.sessions.sign_token(&session, &found.userid, &found.name)?;
            writeln!(lines, "__Host-gongpai={token}")?;
        }
    }
    lines.flush()?;
    app.close().await;
    Ok(())
}

/// Runs the gateway until the process ends; passes its port to `ready`.
pub(crate) async fn serve_gateway(data: &Path, ready: impl FnOnce(u16)) -> Result<()> {
    let config = load_configuration(data, "127.0.0.1:0")?;
    gongpai::testing::observe::telemetry::start_logging(&config.log)?;
    let (app, runtime_parts) = App::build(config, Clock::System).await?;
    let mut port = None;
    let listening = |public: &str, _: &str| {
        port = public.rsplit(':').next().and_then(|port| port.parse().ok());
        if let Some(port) = port {
            ready(port);
        }
    };
    app.run(runtime_parts, listening).await.context("the gateway stopped")
}
