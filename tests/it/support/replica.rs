//! Replicas as far as they have to do with runs: nothing of them happens by itself, so that a test decides what does.

use gongpai::app::{open_database, sync_settings, wecom_settings};
use gongpai::base::clock::{Clock, Timestamp};
use gongpai::base::id::RunId;
use gongpai::config::{Config, Sources};
use gongpai::db::Db;
use gongpai::directory::store::ensure_chart;
use gongpai::simulator::{Running, Simulator};
use gongpai::sync::Sync;
use gongpai::sync::queue::{Cause, End, Request, Run, Status};
use gongpai::sync::remote::Kind;
use gongpai::wecom::Client;
use sqlx::{AssertSqlSafe, Row as _};

use super::app::configuration;
use super::database::TestDatabase;

/// One database, one WeCom, one clock, and as many replicas as a test needs.
pub(crate) struct Place {
    pub(crate) wecom: Running,
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
}

/// A replica as far as it has to do with runs; nothing of it happens by itself.
pub(crate) struct Replica {
    pub(crate) sync: Sync,
    pub(crate) db: Db,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self {
            wecom: Simulator::start().await.expect("the simulator starts"),
            database: TestDatabase::create().await,
            // 2026-11-22 16:00:00 in Shanghai.
            clock: Clock::fixed(Timestamp::from_millis(1_795_334_400_000)),
        }
    }

    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with("").await
    }

    pub(crate) async fn replica_with(&self, toml: &str) -> Replica {
        let text = Some(configuration(&self.wecom, &self.database, toml));
        let (config, _) = Config::load(&Sources { text, ..Sources::default() }).expect("accepted");
        let db = open_database(&config).await.expect("a database");
        ensure_chart(&db, &config.wecom.corp_id).await.expect("a chart");
        let client = Client::new(wecom_settings(&config), self.clock.clone()).expect("a client");
        let sync = Sync::new(sync_settings(&config), db.clone(), client, self.clock.clone());
        Replica { sync, db }
    }
}

impl Replica {
    pub(crate) async fn ask(&self, kind: Kind, force: bool) -> RunId {
        self.request(Request { kind, cause: Cause::Command, dry_run: false, force }).await
    }

    pub(crate) async fn rehearse(&self) -> RunId {
        self.request(Request { kind: Kind::Full, cause: Cause::Command, dry_run: true, force: false }).await
    }

    pub(crate) async fn request(&self, request: Request) -> RunId {
        self.sync.request(request).await.expect("asked for")
    }

    pub(crate) async fn claim(&self) -> Option<Run> {
        self.sync.queue().claim().await.expect("the database answers")
    }

    pub(crate) async fn find(&self, id: &RunId) -> Run {
        self.sync.find(id).await.expect("the database answers").expect("it is kept")
    }

    pub(crate) async fn end(&self, id: &RunId) -> bool {
        let end = End { status: Status::Done, complete: true, ..End::failed("") };
        self.sync.queue().end(id, &end).await.expect("the database answers")
    }

    pub(crate) async fn fire(&self) {
        self.sync.fire_due().await.expect("the database answers");
    }

    /// Kinds and causes of the runs that wait.
    pub(crate) async fn waiting(&self) -> Vec<String> {
        self.texts("SELECT kind || ' ' || cause FROM sync_runs WHERE status = 'queued' ORDER BY id").await
    }

    pub(crate) async fn texts(&self, query: &str) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(self.db.pool()).await;
        rows.expect(query).iter().map(|row| row.get(0)).collect()
    }
}
