//! Measures what it costs to accept messages so that no crash loses them, and how few calls they become.
//!
//! ```text
//! cargo bench --bench message                                         # SQLite, in a folder of its own
//! cargo bench --bench message -- --postgres postgres://…/EMPTY_DATABASE
//! ```
//!
//! Producers post messages to the real router, and each waits for its answer before it posts the
//! next: one of them, then 16, then 64, five times in turn. Every commit is one fsync (SQLite with
//! synchronous=FULL, PostgreSQL with synchronous_commit). So messages per commit show what an fsync
//! is worth on any disk, while messages per second belong to this disk. Then 64 producers post
//! 10 000 messages of one text to 10 000 members, with the worker and a simulated WeCom: this
//! measures the number of calls, and how long it takes until the last one was accepted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gongpai::simulator::{SimulatedMember, Simulator};
use gongpai::testing::app::App;
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::secret::{random_token, sha256_hex};
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::db::Db;
use gongpai::testing::message::{Messages, Worker};
use gongpai::testing::supervisor::Supervisor;
use serde_json::json;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

const REPEATS: usize = 5;
const PRODUCERS: [usize; 3] = [1, 16, 64];
/// Long enough for the clock.
const MEASURED_TIME: Duration = Duration::from_secs(2);
const SINGLES: usize = 10_000;
const MEMBERS: usize = 10_000;
/// A second part that takes longer is stuck.
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured in a test run; see `cargo bench --bench message`");
        return Ok(());
    }
    let postgres = args.iter().position(|arg| arg == "--postgres").and_then(|at| args.get(at + 1));
    let simulator = Simulator::default();
    simulator.change(|world| {
        world
            .members
            .extend((0..MEMBERS).map(|n| SimulatedMember::new(&userid(n), "成员").with_departments([1])));
        world.account_limit = 1_000_000;
    });
    let wecom = simulator.start_on("127.0.0.1:0".parse()?).await?;
    let folder = tempfile::tempdir()?;
    let secret = random_token::<32>();
    let world = wecom.read(|w| (w.corp_id.clone(), w.app.agent_id, w.app.secret.clone()));
    let text = json!({
        "public_url": "https://oa.bench.test",
        "data_dir": folder.path(),
        "server": {"admin_listen": "127.0.0.1:0", "secret": STANDARD.encode([7; 32])},
        "database": {"url": postgres.map_or("", |url| url)},
        "wecom": {
            "corp_id": world.0, "agent_id": world.1, "app_secret": world.2, "api_address": wecom.url(),
            "oauth2_address": wecom.url(), "qr_connect_address": wecom.url(), "sync_cron": "", "force_sync_cron": "",
        },
        "log": {"level": "warn"},
        "api_clients": [{
            "id": "bench", "secret_hash": format!("sha256:{}", sha256_hex(&secret)), "scopes": ["messages"],
        }],
    });
    let text = toml::to_string(&text)?;
    let (config, _) = Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() })?;
    let (app, runtime_parts) = App::build(config, Clock::System).await?;
    drop(runtime_parts);
    let post = BenchClient {
        router: app.public(),
        messages: app.messages.clone(),
        authorization: format!("Basic {}", STANDARD.encode(format!("bench:{secret}"))),
    };
    println!("{}; goal: at least 30 messages a commit with 64 producers", app.db.engine());
    println!(
        "{:>9}{:>14}{:>12}{:>20}{:>14}",
        "producers", "messages/s", "commits/s", "messages a commit", "p50 / p99"
    );
    let mut alone = 0.0;
    for repeat in 0..REPEATS {
        for producers in PRODUCERS {
            let measured = post.send_for_a_while(producers, repeat).await?;
            if producers == 1 {
                alone = measured.per_second;
            }
            println!(
                "{producers:>9}{:>14.0}{:>12.0}{:>20.1}{:>9.2} / {:.2} ms   {:.1} x one producer",
                measured.per_second,
                measured.commits_per_second,
                measured.per_second / measured.commits_per_second,
                measured.p50.as_secs_f64() * 1e3,
                measured.p99.as_secs_f64() * 1e3,
                measured.per_second / alone
            );
        }
    }
    singles(&app, &post, &wecom).await?;
    app.close().await;
    Ok(())
}

fn userid(n: usize) -> String {
    format!("user{n:06}")
}

/// The measurements of one part.
struct ThroughputSample {
    per_second: f64,
    commits_per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Posts messages to the gateway.
#[derive(Clone)]
struct BenchClient {
    router: Router,
    messages: Messages,
    authorization: String,
}

impl BenchClient {
    async fn send_one(&self, userid: &str, text: &str) -> Result<()> {
        let body = json!({"to": {"users": [userid]}, "kind": "text", "content": {"content": text}});
        let request = Request::post("/api/v1/messages")
            .header("host", "oa.bench.test")
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .body(Body::from(body.to_string()))?;
        let answer = self.router.clone().oneshot(request).await?;
        ensure!(answer.status() == StatusCode::ACCEPTED, "{}", answer.status());
        Ok(())
    }

    async fn send_for_a_while(&self, producers: usize, repeat: usize) -> Result<ThroughputSample> {
        let (began, commits) = (Instant::now(), self.messages.commits());
        let mut all = JoinSet::new();
        for producer in 0..producers {
            let post = self.clone();
            all.spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < MEASURED_TIME {
                    let asked = Instant::now();
                    // About 600 bytes, as a real one; the recipient does not matter.
                    let text = format!("{repeat} {producer} {} {}", took.len(), "待办".repeat(90));
                    post.send_one(&userid(producer), &text).await?;
                    took.push(asked.elapsed());
                }
                anyhow::Ok(took)
            });
        }
        let mut took = Vec::new();
        while let Some(done) = all.join_next().await {
            took.extend(done??);
        }
        let lasted = began.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 100).copied().context("a message");
        let count = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        Ok(ThroughputSample {
            per_second: count(took.len() as u64) / lasted,
            commits_per_second: count(self.messages.commits() - commits) / lasted,
            p50: at(50)?,
            p99: at(99)?,
        })
    }
}

async fn count_unfinished(db: &Db) -> Result<i64> {
    let unfinished = "SELECT COUNT(*) FROM messages WHERE finished_at IS NULL";
    Ok(sqlx::query_scalar(unfinished).fetch_one(db.pool()).await?)
}

/// 10 000 messages of one text from 64 producers, delivered while they are posted.
async fn singles(app: &App, post: &BenchClient, wecom: &Simulator) -> Result<()> {
    // What was accepted before is not measured.
    let old = "UPDATE messages SET expires_at = 1 WHERE finished_at IS NULL";
    let mut tx = app.db.write().await?;
    sqlx::query(old).execute(&mut *tx).await?;
    tx.commit().await?;
    let (messages, replica) = (app.messages.clone(), app.replica.clone());
    let mut supervisor = Supervisor::new();
    supervisor
        .run("messages", |stop| Worker::new(messages, move || Arc::clone(&replica.chart()), stop).run());
    while count_unfinished(&app.db).await? > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wecom.forget_requests();
    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..64 {
        let (post, next) = (post.clone(), Arc::clone(&next));
        all.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= SINGLES {
                    return anyhow::Ok(());
                }
                post.send_one(&userid(n), "明天 10 点停机维护，请提前保存。").await?;
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    let accepted = began.elapsed();
    let last = userid(SINGLES - 1);
    while (0..SINGLES).any(|n| wecom.inbox(&userid(n)).is_empty()) {
        ensure!(began.elapsed() < DEADLINE, "{last} and others still wait");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{SINGLES} messages of one text from 64 producers: accepted in {:.1} s, all there after {:.1} s, {} calls of message/send",
        accepted.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        wecom.calls("message/send")
    );
    supervisor.stop_token().cancel();
    Ok(())
}
