//! Messages while the database is away: what was accepted is not lost, what could be lost is not
//! accepted, and nobody gets anything twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gongpai::simulator::{InjectedFault, RunningSimulator, Simulator, World};
use gongpai::testing::base::secret::sha256_hex;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use crate::support::api::basic_auth;
use crate::support::database::{Engine, TestDatabase};
use crate::support::port::Port;
use crate::support::serve::ServeProcess;

/// Long enough for every wait of the database to run out (3 s for a connection, 5 s for the
/// writer's turn), for an answer of WeCom (14 s) to come or fail, and for every pause to have
/// grown.
///
/// A longer outage runs the same code again; the whole minute, in which the lease of a call runs
/// out too, is tested below.
const OUTAGE: Duration = Duration::from_secs(16);

/// How long after the database is back everything has arrived, on a busy machine.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);

/// How many clients post while the database is away.
const PRODUCERS: usize = 4;

/// The connection between the gateway and its database.
enum DatabaseLine {
    /// A proxy, and the address of the database behind it.
    Postgres { near: Port, far: String, proxy: JoinSet<()> },
    /// A second connection that holds the writer's lock. Readers of a WAL do not notice it: the
    /// disk is away.
    Sqlite { file: PathBuf, holds: Option<SqliteConnection> },
}

impl DatabaseLine {
    /// Starts a working connection; also returns what the gateway's configuration has to say of it.
    async fn connect_to(database: &TestDatabase) -> (Self, String) {
        if database.engine() == Engine::Sqlite {
            let file = database.data_dir().join("gongpai.db");
            return (Self::Sqlite { file, holds: None }, String::new());
        }
        let near = Port::reserve();
        let mut url = Url::parse(database.url()).expect("a URL");
        let far = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        url.set_host(Some("127.0.0.1")).expect("an address");
        url.set_port(Some(near.number())).expect("a port");
        let mut line = Self::Postgres { near, far, proxy: JoinSet::new() };
        line.restore().await;
        (line, format!("[database]\nurl = {:?}\n", url.as_str()))
    }

    /// Cuts the connections and refuses new ones.
    async fn cut(&mut self) {
        match self {
            Self::Postgres { proxy, .. } => proxy.shutdown().await,
            Self::Sqlite { file, holds } => {
                let options =
                    SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10));
                let mut other = options.connect().await.expect("a second connection");
                other.execute("BEGIN EXCLUSIVE").await.expect("the lock");
                *holds = Some(other);
            }
        }
    }

    async fn restore(&mut self) {
        match self {
            Self::Postgres { near, far, proxy } => {
                let listener = TcpListener::bind(near.address()).await.expect("the port is free");
                proxy.spawn(forward(listener, far.clone()));
            }
            Self::Sqlite { holds, .. } => {
                let mut other = holds.take().expect("it was cut");
                other.execute("ROLLBACK").await.expect("the lock is given back");
                other.close().await.expect("closed");
            }
        }
    }
}

/// Connections and the listener end with the task.
async fn forward(listener: TcpListener, far: String) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let far = far.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(far).await {
                // However it ends, both sides are closed.
                drop(copy_bidirectional(&mut near, &mut far).await);
            }
        });
    }
}

/// The answer to one post, and its time.
#[derive(Debug)]
struct ApiAnswer {
    at: Instant,
    status: u16,
    retry_after: bool,
    body: Value,
}

/// The client that posts messages.
#[derive(Clone)]
struct SendingApplication {
    client: Client,
    messages: String,
    authorization: String,
}

impl SendingApplication {
    fn new(public: SocketAddr) -> Self {
        Self {
            client: Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client"),
            messages: format!("http://{public}/api/v1/messages"),
            authorization: basic_auth("oa"),
        }
    }

    async fn post(&self, userid: &str, text: &str) -> ApiAnswer {
        let body = json!({"to": {"users": [userid]}, "kind": "text", "content": {"content": text}});
        let call = self.client.post(&self.messages).header("authorization", &self.authorization);
        let answer = call.header("idempotency-key", sha256_hex(text)).json(&body).send().await;
        let answer = answer.expect("the process is there, and answers");
        let (status, retry_after) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
        let body = answer.json().await.expect("JSON");
        ApiAnswer { at: Instant::now(), status, retry_after, body }
    }

    /// Posts a message that must be accepted at once; returns its id.
    async fn send(&self, userid: &str, text: &str) -> String {
        let answered = self.post(userid, text).await;
        assert_eq!(answered.status, 202, "{answered:?}");
        answered.body["id"].as_str().expect("an id").to_owned()
    }

    /// Posts a message until it is accepted; returns every answer.
    async fn send_until_accepted(&self, userid: &str, text: &str) -> Vec<ApiAnswer> {
        let mut answers = Vec::new();
        loop {
            answers.push(self.post(userid, text).await);
            if answers.last().is_some_and(|last| last.status == 202) {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn status(&self, id: &str) -> String {
        let call = self.client.get(format!("{}/{id}", self.messages));
        let answer = call.header("authorization", &self.authorization).send().await.expect("an answer");
        let message: Value = answer.json().await.expect("JSON");
        message["status"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
    }
}

/// Waits for `count` calls of message/send: WeCom acts on a call before anything happens to its
/// answer.
async fn wait_for_calls(wecom: &RunningSimulator, count: u64) {
    crate::support::eventually("WeCom has the call", async || {
        (wecom.calls("message/send") >= count).then_some(())
    })
    .await;
}

/// Returns the exact bytes of every call that carried this text.
fn bytes_of(wecom: &RunningSimulator, text: &str) -> Vec<String> {
    let calls = wecom.requests().into_iter().filter(|request| request.api == "message/send");
    calls.map(|call| call.body).filter(|body| body.contains(text)).collect()
}

/// Returns what a member's phone shows, oldest first.
fn received(wecom: &RunningSimulator, userid: &str) -> Vec<String> {
    let letters = wecom.inbox(userid).into_iter();
    letters.map(|letter| letter.content["content"].as_str().expect("a text").to_owned()).collect()
}

async fn the_database_is_away_for(away: Duration) {
    let wecom = Simulator::start().await.expect("the simulator starts");
    wecom.change(|world: &mut World| world.populate(PRODUCERS + 20));
    let database = TestDatabase::create().await;
    let (mut line, toml) = DatabaseLine::connect_to(&database).await;
    let serve = ServeProcess::start(&wecom, &database, &toml).await;
    let application = SendingApplication::new(serve.public);
    let mut want: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = Vec::new();

    // Two calls are in flight, and WeCom has acted on both. One is answered while the database is
    // away, the other never. More messages of the same member wait behind the first one.
    wecom.fail_next("message/send", InjectedFault::Hang.having_acted());
    ids.push(application.send("lisi", "没有回音").await);
    want.entry("lisi".to_owned()).or_default().push("没有回音".to_owned());
    wait_for_calls(&wecom, 1).await;
    wecom.fail_next("message/send", InjectedFault::Slow(Duration::from_secs(5)).having_acted());
    for text in ["回音来得晚", "后面一", "后面二", "后面三"] {
        ids.push(application.send("zhangsan", text).await);
        want.entry("zhangsan".to_owned()).or_default().push(text.to_owned());
        wait_for_calls(&wecom, 2).await;
    }
    // Some more have just been accepted.
    for n in 1..=20 {
        let (userid, text) = (format!("member{n:04}"), format!("刚刚接受的第 {n} 条"));
        ids.push(application.send(&userid, &text).await);
        want.entry(userid).or_default().push(text);
    }

    line.cut().await;
    let cut = Instant::now();
    let mut producers = JoinSet::new();
    for n in 1..=PRODUCERS {
        let (application, userid) = (application.clone(), format!("member{:04}", 20 + n));
        let text = format!("数据库不在时的第 {n} 条");
        want.entry(userid.clone()).or_default().push(text.clone());
        producers.spawn(async move { application.send_until_accepted(&userid, &text).await });
    }
    tokio::time::sleep(away.saturating_sub(cut.elapsed())).await;
    assert_eq!(received(&wecom, "zhangsan"), ["回音来得晚"], "nothing is sent of which nothing is written");
    let back = Instant::now();
    line.restore().await;

    let mut refused = 0;
    for mut answers in producers.join_all().await {
        let accepted = answers.pop().expect("the last one");
        assert!(accepted.at >= back, "accepted {:?} before the database was back", back - accepted.at);
        ids.push(accepted.body["id"].as_str().expect("an id").to_owned());
        for answered in &answers {
            assert_eq!(
                (answered.status, answered.body["code"].as_str(), answered.retry_after),
                (503, Some("store.unavailable"), true),
                "{answered:?}"
            );
        }
        refused += answers.len();
    }
    assert!(refused > 0, "nobody was refused");

    let began = Instant::now();
    for id in &ids {
        // What has ended is not sent again.
        while application.status(id).await != "sent" {
            let status = application.status(id).await;
            assert!(["accepted", "sending", "sent"].contains(&status.as_str()), "{id}: {status}");
            assert!(began.elapsed() < DELIVERY_DEADLINE, "{id} is {status}\n{}", serve.written());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for (userid, texts) in &want {
        assert_eq!(received(&wecom, userid), *texts, "{userid}");
    }
    assert!(wecom.dropped().is_empty(), "{:?}", wecom.dropped());
    assert_eq!(bytes_of(&wecom, "回音来得晚").len(), 1, "its answer was kept until it could be written");
    let again = bytes_of(&wecom, "没有回音");
    assert_eq!(again.len(), 2, "asked for again, once");
    assert_eq!(again[0], again[1]);
    assert_eq!(wecom.suppressed().len(), 1, "which WeCom swallows");
    println!(
        "{refused} posts refused in {away:?}; all sent {:.1} s after it was back",
        began.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_database_is_away_nothing_is_accepted_and_afterwards_everything_accepted_arrives_once() {
    the_database_is_away_for(OUTAGE).await;
}

/// The same for a minute: the lease of a call in flight runs out meanwhile, and still it is not
/// made twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes 70 seconds: cargo nextest run --run-ignored only trouble_messages"]
async fn a_minute_without_the_database_is_no_different() {
    the_database_is_away_for(Duration::from_secs(60)).await;
}
