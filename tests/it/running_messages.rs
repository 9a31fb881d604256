//! Messages of the real process: it is killed again and again while it accepts them, and each
//! arrives exactly once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gongpai::simulator::{InjectedFault, RunningSimulator, Simulator};
use gongpai::testing::base::clock::Clock;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::api::basic_auth;
use crate::support::company::{CompanyChanges, Dice};
use crate::support::database::{Engine, TestDatabase};
use crate::support::messages::read_messages;
use crate::support::post::MessageReplica;
use crate::support::process::Signal;
use crate::support::replica::ReplicaSite;
use crate::support::serve::ServeProcess;

const MEMBERS: usize = 100;
const MESSAGES_PER_MEMBER: usize = 10;
const PRODUCERS: usize = 20;
const KILLS: usize = 10;

/// A call of a killed process is taken over when its lease ends, and the member's next message
/// waits for it.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(300);

/// The addresses that applications call, as a balancer in front of the replicas knows them.
type PublicAddresses = Arc<Mutex<Vec<SocketAddr>>>;

/// A client that posts every message until it is accepted.
struct RetryingApplication {
    client: Client,
    addresses: PublicAddresses,
    authorization: String,
}

impl RetryingApplication {
    /// Posts number `n` to `userid`; returns the id, and how often it was posted.
    async fn send(&self, userid: &str, n: usize) -> (String, usize) {
        let body = message(userid, n);
        for posts in 1..2000 {
            let address = {
                let addresses = self.addresses.lock().expect("not poisoned");
                addresses[posts % addresses.len()]
            };
            let call = self
                .client
                .post(format!("http://{address}/api/v1/messages"))
                .header("authorization", &self.authorization)
                .header("idempotency-key", format!("{userid}-{n}"))
                .json(&body);
            match call.send().await {
                Ok(answer) if answer.status() == 202 => {
                    // Accepted: if the process dies before the body is read, the next answer has
                    // the same id.
                    if let Ok(answer) = answer.json::<Value>().await {
                        return (answer["id"].as_str().expect("an id").to_owned(), posts);
                    }
                }
                // A gateway that stops or starts answers 503, never a refusal.
                Ok(answer) => assert!(answer.status().is_server_error(), "{}: {userid} {n}", answer.status()),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody accepts messages any more");
    }
}

/// Every second message has a link of ours, so that no other message has its bytes.
fn message(userid: &str, n: usize) -> Value {
    let text = text(userid, n);
    if n.is_multiple_of(2) {
        json!({"to": {"users": [userid]}, "kind": "text", "content": {"content": text}})
    } else {
        let url = format!("https://oa.example.com/todo/{n}");
        json!({"to": {"users": [userid]}, "kind": "textcard",
               "content": {"title": text, "description": "请处理", "url": url}})
    }
}

fn text(userid: &str, n: usize) -> String {
    format!("{userid} 的第 {n} 条")
}

/// Returns what a member's phone shows, oldest first.
fn received(wecom: &RunningSimulator, userid: &str) -> Vec<String> {
    let shown = |letter: &Value| {
        let content = letter["content"].as_str().or_else(|| letter["title"].as_str());
        content.unwrap_or_default().to_owned()
    };
    wecom.inbox(userid).iter().map(|letter| shown(&letter.content)).collect()
}

/// Posts everything from many producers while `kill` goes on; returns the ids and the number of
/// posts.
async fn posted(
    addresses: &PublicAddresses,
    userids: &[String],
    kill: impl Future<Output = ()>,
) -> (Vec<String>, usize) {
    let application = Arc::new(RetryingApplication {
        client: Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client"),
        addresses: Arc::clone(addresses),
        authorization: basic_auth("oa"),
    });
    let mut producers = JoinSet::new();
    for own in userids.chunks(userids.len().div_ceil(PRODUCERS)) {
        let (application, own) = (Arc::clone(&application), own.to_vec());
        producers.spawn(async move {
            let mut sent = Vec::new();
            for n in 0..MESSAGES_PER_MEMBER {
                for userid in &own {
                    sent.push(application.send(userid, n).await);
                    // So that acceptance lasts as long as the killing.
                    tokio::time::sleep(Duration::from_millis(150)).await;
                }
            }
            sent
        });
    }
    kill.await;
    let (mut ids, mut posts) = (Vec::new(), 0);
    for (id, tries) in producers.join_all().await.into_iter().flatten() {
        ids.push(id);
        posts += tries;
    }
    (ids, posts)
}

/// Waits until every phone shows as many messages as it must; returns how long that took.
async fn wait_for_arrival(wecom: &RunningSimulator, userids: &[String]) -> Duration {
    let began = Instant::now();
    let is_missing = |userid: &&String| received(wecom, userid).len() < MESSAGES_PER_MEMBER;
    loop {
        let missing = userids.iter().filter(is_missing).count();
        if missing == 0 {
            return began.elapsed();
        }
        assert!(began.elapsed() < DELIVERY_DEADLINE, "{missing} members still miss messages");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Kills the gateways a last time, and checks that each message has arrived once and in order.
///
/// A duplicate would come when the leases of the killed processes have ended. So a replica with a
/// clock of its own, on the same database, takes over then; nobody waits for it in real time.
async fn check_after_the_last_lease(
    gateways: Vec<ServeProcess>,
    wecom: RunningSimulator,
    database: TestDatabase,
    userids: &[String],
) -> MessageReplica {
    for mut gateway in gateways {
        gateway.process.signal(Signal::Kill);
        gateway.process.exit().await;
    }
    let clock = Clock::fixed(Clock::System.now());
    let replica = MessageReplica::on(ReplicaSite { wecom, database, clock }, "").await;
    replica.advance(Duration::from_secs(35));
    // Two workers compete for the leases that have run out.
    let other = replica.second_replica().await;
    tokio::join!(replica.deliver(), replica.deliver_by(&other));
    for userid in userids {
        let texts: Vec<String> = (0..MESSAGES_PER_MEMBER).map(|n| text(userid, n)).collect();
        assert_eq!(received(&replica.site.wecom, userid), texts, "{userid}");
    }
    let dropped = replica.site.wecom.dropped();
    assert!(dropped.is_empty(), "{dropped:?}");
    let messages = read_messages(&replica.db).await;
    assert!(messages.iter().all(|message| message.finished_at.is_some()), "nothing is left to be sent");
    replica
}

async fn start_company() -> (RunningSimulator, Vec<String>) {
    let wecom = Simulator::start().await.expect("the simulator starts");
    wecom.change(|w| CompanyChanges::populate(w, 400, 20));
    let userids = wecom.read(|w| {
        let active = w.members.iter().filter(|m| m.status == gongpai::simulator::SimulatedStatus::Active);
        active.map(|m| m.userid.clone()).rev().take(MEMBERS).collect::<Vec<_>>()
    });
    assert_eq!(userids.len(), MEMBERS);
    // WeCom acts long before it answers, so that a kill leaves calls with an unknown outcome.
    wecom.fail_always("message/send", InjectedFault::Slow(Duration::from_millis(150)).having_acted());
    (wecom, userids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_messages_arrive_exactly_once_although_the_process_is_killed_ten_times() {
    let (wecom, userids) = start_company().await;
    let database = TestDatabase::create().await;
    let mut dice = Dice::new();
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let run = serve.request_run().await;
    serve.wait_until_done(&run).await;
    let addresses: PublicAddresses = Arc::new(Mutex::new(vec![serve.public]));
    let kill = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(200 + dice.below(1300) as u64)).await;
            serve = serve.killed_and_restarted().await;
            *addresses.lock().expect("not poisoned") = vec![serve.public];
        }
        serve
    };
    let mut kept = None;
    let (ids, posts) = posted(&addresses, &userids, async { kept = Some(kill.await) }).await;
    let took = wait_for_arrival(&wecom, &userids).await;
    let replica = check_after_the_last_lease(kept.into_iter().collect(), wecom, database, &userids).await;
    let wecom = &replica.site.wecom;
    let mut different = ids.clone();
    different.sort();
    different.dedup();
    assert_eq!((ids.len(), different.len()), (MEMBERS * MESSAGES_PER_MEMBER, MEMBERS * MESSAGES_PER_MEMBER));
    println!(
        "{} messages in {posts} posts, {KILLS} kills, {} calls of message/send, {} suppressed; all arrived after {:.0} s",
        ids.len(),
        wecom.calls("message/send"),
        wecom.suppressed().len(),
        took.as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_two_replicas_a_thousand_messages_arrive_exactly_once_although_both_are_killed_in_turn() {
    if Engine::from_environment() == Engine::Sqlite {
        println!("skipped: an SQLite file belongs to one process");
        return;
    }
    let (wecom, userids) = start_company().await;
    let database = TestDatabase::create().await;
    let mut dice = Dice::new();
    let mut two = vec![
        ServeProcess::start(&wecom, &database, "").await,
        ServeProcess::start(&wecom, &database, "").await,
    ];
    let run = two[0].request_run().await;
    two[0].wait_until_done(&run).await;
    let addresses: PublicAddresses = Arc::new(Mutex::new(two.iter().map(|serve| serve.public).collect()));
    let kill = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(200 + dice.below(1300) as u64)).await;
            let which = dice.below(2);
            let restarted = two.remove(which).killed_and_restarted().await;
            two.insert(which, restarted);
            *addresses.lock().expect("not poisoned") = two.iter().map(|serve| serve.public).collect();
        }
        two
    };
    let mut kept = None;
    let (ids, posts) = posted(&addresses, &userids, async { kept = Some(kill.await) }).await;
    let took = wait_for_arrival(&wecom, &userids).await;
    let replica = check_after_the_last_lease(kept.unwrap_or_default(), wecom, database, &userids).await;
    let wecom = &replica.site.wecom;
    println!(
        "{} messages in {posts} posts to two replicas, {KILLS} kills, {} calls of message/send, {} suppressed; {:.0} s",
        ids.len(),
        wecom.calls("message/send"),
        wecom.suppressed().len(),
        took.as_secs_f64()
    );
}
