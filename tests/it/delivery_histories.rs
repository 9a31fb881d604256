//! Random histories of delivery, on the real tables and the simulated WeCom beside a pure model:
//! after each event both must show the same to applications, on phones, and of holds.
//!
//! `PROPTEST_CASES=2000 cargo nextest run --test it delivery_histories` runs many more of them.

use std::cell::Cell;
use std::time::Duration;

use gongpai::simulator::InjectedFault;
use gongpai::testing::base::id::MessageId;
use gongpai::testing::message::Worker;
use gongpai::testing::message::commands::{CommandError, Requester};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{TestError, TestRunner};
use tokio_util::sync::CancellationToken;

use crate::support::delivery_model::{
    CommandResult, DeliveryModel, ModelBody, ModelRefusal, ModelResult, Weather,
};
use crate::support::messages::{read_attempts, read_send_window};
use crate::support::post::{MessageReplica, card_message, text_message};
use crate::support::{POLL_INTERVAL, WAIT_TIMEOUT};

const MEMBERS: [&str; 3] = ["zhangsan", "lisi", "wangwu"];
const APIS: [&str; 2] = ["message/send", "message/recall"];

/// So few that a run takes seconds.
const DEFAULT_CASES: u32 = 16;

/// How often the last phase tries to bring every message to its end.
const MAX_LAST_ROUNDS: usize = 60;

/// The most calls and answers in turn before nothing is due any more.
const MAX_ROUNDS: usize = 100;

/// What happens in a history. Workers and messages are numbers; a message that does not exist yet
/// is the last one.
#[derive(Debug, Clone)]
enum DeliveryEvent {
    Accept {
        body: ModelBody,
        users: Vec<usize>,
        expires_in: Option<i64>,
    },
    /// Time passes, in milliseconds.
    Pass(i64),
    /// A worker does everything that is due, and learns all answers.
    Deliver {
        worker: usize,
        weather: Weather,
    },
    /// A worker makes the calls that are due, and does not learn the answers yet.
    Begin {
        worker: usize,
        weather: Weather,
    },
    /// A worker learns the answers to its calls.
    Collect {
        worker: usize,
    },
    /// The process of a worker dies and is started again.
    Crash {
        worker: usize,
    },
    Recall(usize),
    Retry(usize),
    Bury(usize),
    Resume,
}

fn any_weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        6 => Just(Weather::Takes),
        3 => Just(Weather::ActsSilently),
        2 => Just(Weather::Vanishes),
        6 => select(vec![
            ModelRefusal::Busy,
            ModelRefusal::CallLimit,
            ModelRefusal::Administrator,
            ModelRefusal::Administrator,
            ModelRefusal::WrongRecipient,
            ModelRefusal::WrongMessage,
        ])
        .prop_map(Weather::Refuses),
    ]
}

fn any_accept() -> impl Strategy<Value = DeliveryEvent> {
    let body = prop_oneof![3 => (0..2_usize).prop_map(ModelBody::Text), 1 => Just(ModelBody::Card)];
    // Mostly one, so that messages to different members share calls.
    let users = prop_oneof![2 => subsequence(vec![0, 1, 2], 1), 1 => subsequence(vec![0, 1, 2], 2..=3)];
    let expires_in = prop_oneof![3 => Just(None), 1 => select(vec![1_000, 60_000]).prop_map(Some)];
    (body, users, expires_in).prop_map(|(body, users, expires_in)| DeliveryEvent::Accept {
        body,
        users,
        expires_in,
    })
}

fn any_event() -> impl Strategy<Value = DeliveryEvent> {
    let time = prop_oneof![
        3 => select(vec![200, 1_000, 1_300]),
        3 => select(vec![3_000, 8_000, 20_000, 31_000, 61_000]),
        3 => select(vec![95_000, 127_000, 700_000]),
        1 => select(vec![4_000_000, 90_000_000]),
    ];
    let worker = || 0..2_usize;
    let message = || 0..6_usize;
    prop_oneof![
        5 => any_accept(),
        8 => time.prop_map(DeliveryEvent::Pass),
        7 => (worker(), any_weather())
            .prop_map(|(worker, weather)| DeliveryEvent::Deliver { worker, weather }),
        6 => (worker(), any_weather())
            .prop_map(|(worker, weather)| DeliveryEvent::Begin { worker, weather }),
        4 => worker().prop_map(|worker| DeliveryEvent::Collect { worker }),
        2 => worker().prop_map(|worker| DeliveryEvent::Crash { worker }),
        4 => message().prop_map(DeliveryEvent::Recall),
        3 => message().prop_map(DeliveryEvent::Retry),
        1 => message().prop_map(DeliveryEvent::Bury),
        1 => Just(DeliveryEvent::Resume),
    ]
}

/// A few messages, and what happens to them.
fn any_history() -> impl Strategy<Value = Vec<DeliveryEvent>> {
    let events = prop::collection::vec(any_event(), 1..32);
    (prop::collection::vec(any_accept(), 1..5), events)
        .prop_map(|(accepted, events)| accepted.into_iter().chain(events).collect())
}

/// The real thing and the model of it.
struct History {
    replica: MessageReplica,
    workers: [Worker; 2],
    ids: Vec<MessageId>,
    bodies: Vec<ModelBody>,
    model: DeliveryModel,
}

impl History {
    async fn on(replica: MessageReplica) -> Self {
        for api in APIS {
            replica.site.wecom.hold_answers(api);
        }
        let workers = [start_worker(&replica).await, start_worker(&replica).await];
        let model = DeliveryModel::new(replica.now().millis());
        Self { replica, workers, ids: Vec::new(), bodies: Vec::new(), model }
    }

    async fn happen(&mut self, event: &DeliveryEvent) -> ModelResult {
        match event {
            DeliveryEvent::Accept { body, users, expires_in } => {
                let userids: Vec<&str> = users.iter().map(|user| MEMBERS[*user]).collect();
                let n = self.ids.len();
                let mut message = match body {
                    ModelBody::Text(text) => text_message(&label(n, ModelBody::Text(*text)), &userids),
                    ModelBody::Card => card_message(&label(n, *body), &format!("task{n}"), &userids),
                };
                if let Some(after) = expires_in {
                    message = message.expiring(milliseconds(*after));
                }
                self.ids.push(self.replica.put(&message).await);
                self.bodies.push(*body);
                self.model.accept(*body, users.clone(), *expires_in);
            }
            DeliveryEvent::Pass(time) => {
                self.replica.advance(milliseconds(*time));
                self.model.pass(*time);
            }
            DeliveryEvent::Deliver { worker, weather } => {
                self.collect(*worker).await?;
                for _ in 0..MAX_ROUNDS {
                    self.begin(*worker, *weather).await?;
                    if self.model.in_flight(*worker) == 0 {
                        return Ok(());
                    }
                    self.collect(*worker).await?;
                }
                return Err("it never comes to an end".to_owned());
            }
            DeliveryEvent::Begin { worker, weather } => {
                self.collect(*worker).await?;
                self.begin(*worker, *weather).await?;
            }
            DeliveryEvent::Collect { worker } => self.collect(*worker).await?,
            DeliveryEvent::Crash { worker } => {
                self.workers[*worker] = start_worker(&self.replica).await;
                self.model.crash(*worker);
            }
            DeliveryEvent::Recall(message) => {
                let Some((n, id)) = self.pick(*message) else { return Ok(()) };
                let real = self.replica.messages.recall(&[id], Requester::default()).await;
                compare("recall", &command_result(real)?, &self.model.recall(n))?;
            }
            DeliveryEvent::Retry(message) => {
                let Some((n, id)) = self.pick(*message) else { return Ok(()) };
                let real = self.replica.messages.retry(&id, Requester::default()).await;
                compare("retry", &command_result(real)?, &self.model.retry(n))?;
            }
            DeliveryEvent::Bury(message) => {
                let Some((n, id)) = self.pick(*message) else { return Ok(()) };
                let real = self.replica.messages.bury(&id, "nobody needs it", Requester::default()).await;
                compare("bury", &command_result(real)?, &self.model.bury(n))?;
            }
            DeliveryEvent::Resume => {
                self.replica.messages.resume(Requester::default()).await.map_err(|e| e.to_string())?;
                self.model.resume();
            }
        }
        Ok(())
    }

    fn pick(&self, message: usize) -> Option<(usize, MessageId)> {
        let n = message.min(self.ids.len().checked_sub(1)?);
        Some((n, self.ids[n].clone()))
    }

    /// Takes steps until nothing is due and every call waits for its answer, which is held back.
    async fn begin(&mut self, worker: usize, weather: Weather) -> ModelResult {
        let wecom = &self.replica.site.wecom;
        let count_held = || APIS.iter().map(|api| wecom.count_held_answers(api)).sum::<u64>();
        if let Some(fault) = fault(weather) {
            for api in APIS {
                wecom.fail_always(api, fault.clone());
            }
        }
        let (before, clock) = (count_held(), &self.replica.site.clock);
        let stepping = async {
            let worker = &mut self.workers[worker];
            loop {
                let step = worker.step(clock.now()).await;
                let waiting = usize::try_from(count_held() - before).expect("a few");
                if step.wake_at > clock.now() && worker.calls_in_flight() == waiting {
                    return;
                }
                worker.wait_until(step.wake_at.min(clock.now().plus(POLL_INTERVAL))).await;
            }
        };
        let done = tokio::time::timeout(WAIT_TIMEOUT, stepping).await;
        wecom.clear_faults();
        done.map_err(|_| "the steps of a worker come to no end".to_owned())?;
        let [calls, recalls] = read_attempts(&self.replica.db).await;
        let ids = &self.ids;
        let recipient = |(id, userid): &(String, String)| {
            let message = ids.iter().position(|known| known.as_str() == id).expect("one of ours");
            let member = MEMBERS.iter().position(|member| member == userid).unwrap_or(0);
            (message, member)
        };
        self.model.begin(worker, weather, &calls, &recalls, recipient)
    }

    async fn collect(&mut self, worker: usize) -> ModelResult {
        let wecom = &self.replica.site.wecom;
        for api in APIS {
            wecom.release_answers(api);
        }
        let (real, clock) = (&mut self.workers[worker], &self.replica.site.clock);
        let answered = tokio::time::timeout(WAIT_TIMEOUT, async {
            while real.calls_in_flight() > 0 {
                real.wait_until(clock.now().plus(POLL_INTERVAL)).await;
            }
        });
        let answered = answered.await;
        for api in APIS {
            wecom.hold_answers(api);
        }
        answered.map_err(|_| "a call never learns its answer".to_owned())?;
        let [calls, recalls] = read_attempts(&self.replica.db).await;
        self.model.collect(worker, &calls, &recalls)
    }

    /// Compares what applications, members and administrators see.
    async fn check(&self) -> ModelResult {
        for (n, id) in self.ids.iter().enumerate() {
            let view =
                self.replica.messages.find(id).await.expect("the database answers").expect("it is kept");
            let expected = self.model.view(n);
            let mut recipients: Vec<_> =
                view.recipients.iter().map(|r| (r.userid.as_str(), r.status.as_str())).collect();
            recipients.sort_unstable();
            let mut foreseen: Vec<_> =
                expected.recipients.iter().map(|(member, status)| (MEMBERS[*member], *status)).collect();
            foreseen.sort_unstable();
            compare(
                &format!("message {n}"),
                &(view.status.as_str(), recipients),
                &(expected.status, foreseen),
            )?;
        }
        for (member, userid) in MEMBERS.iter().enumerate() {
            let inbox = self.replica.site.wecom.inbox(userid);
            let text = |content: &serde_json::Value| {
                let text = content["content"].as_str().or_else(|| content["main_title"]["title"].as_str());
                text.expect("a text or a card").to_owned()
            };
            let shown: Vec<String> = inbox.iter().map(|item| text(&item.content)).collect();
            let phone = self.model.phone(member);
            let foreseen: Vec<String> = phone.iter().map(|n| label(*n, self.bodies[*n])).collect();
            compare(&format!("the phone of {userid}"), &shown, &foreseen)?;
        }
        if let Some((code, since)) = self.model.hold.cause {
            let window = read_send_window(&self.replica.db).await;
            let real = (window.hold_code.as_deref(), window.hold_since, window.holds);
            compare("the hold", &real, &(Some(code), Some(since), self.model.hold.holds))?;
        } else if self.model.hold.until > 0 {
            let window = read_send_window(&self.replica.db).await;
            let real = (window.hold_code, window.hold_since, window.holds);
            compare("the hold", &real, &(None, None, self.model.hold.holds))?;
        }
        Ok(())
    }

    async fn run(&mut self, events: &[DeliveryEvent]) -> ModelResult {
        for (n, event) in events.iter().enumerate() {
            let happened = self.happen(event).await;
            let checked = match happened {
                Ok(()) => self.check().await,
                failed => failed,
            };
            checked.map_err(|what| format!("at event {n}, {event:?}: {what}"))?;
        }
        for _ in 0..MAX_LAST_ROUNDS {
            for worker in 0..2 {
                self.happen(&DeliveryEvent::Deliver { worker, weather: Weather::Takes }).await?;
            }
            self.check().await.map_err(|what| format!("in the last phase: {what}"))?;
            if self.model.is_finished() {
                let dropped = self.replica.site.wecom.dropped();
                return if dropped.is_empty() { Ok(()) } else { Err(format!("WeCom dropped {dropped:?}")) };
            }
            self.happen(&DeliveryEvent::Pass(700_000)).await?;
        }
        Err("a message is lost: it comes to no end although WeCom takes everything".to_owned())
    }
}

fn milliseconds(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).expect("time goes on"))
}

/// What a phone shows of message `n`.
fn label(n: usize, body: ModelBody) -> String {
    match body {
        ModelBody::Text(text) => format!("文 {text}"),
        ModelBody::Card => format!("卡 {n}"),
    }
}

fn fault(weather: Weather) -> Option<InjectedFault> {
    let refusal = |code: i64| Some(InjectedFault::Errcode(code, format!("no, {code}")));
    match weather {
        Weather::Takes => None,
        Weather::ActsSilently => Some(InjectedFault::Html502.having_acted()),
        Weather::Vanishes => Some(InjectedFault::Html502),
        Weather::Refuses(ModelRefusal::Busy) => refusal(-1),
        Weather::Refuses(ModelRefusal::CallLimit) => refusal(45009),
        Weather::Refuses(ModelRefusal::Administrator) => refusal(60020),
        Weather::Refuses(ModelRefusal::WrongRecipient) => refusal(40003),
        Weather::Refuses(ModelRefusal::WrongMessage) => refusal(40058),
    }
}

async fn start_worker(replica: &MessageReplica) -> Worker {
    replica.worker(&replica.fresh_replica(), &CancellationToken::new()).await
}

fn command_result(real: Result<(), CommandError>) -> ModelResult<CommandResult> {
    match real {
        Ok(()) => Ok(CommandResult::Done),
        Err(CommandError::NothingToDo(..)) => Ok(CommandResult::NothingToDo),
        Err(CommandError::TooLate(_)) => Ok(CommandResult::TooLate),
        Err(CommandError::Shared(..)) => Ok(CommandResult::Shared),
        Err(error) => Err(error.to_string()),
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(what: &str, real: &T, foreseen: &T) -> ModelResult {
    if real == foreseen { Ok(()) } else { Err(format!("{what} is {real:?}, and should be {foreseen:?}")) }
}

#[test]
fn whatever_happens_every_message_arrives_once_in_its_turn_or_says_why_it_did_not() {
    let mut config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = DEFAULT_CASES;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // A database takes longer to make than a history.
    let spare = Cell::new(None::<MessageReplica>);
    let run = |events: Vec<DeliveryEvent>| {
        runtime.block_on(async {
            let replica = match spare.take() {
                Some(used) => used.begin_anew().await,
                None => MessageReplica::new().await,
            };
            let mut history = History::on(replica).await;
            let ran = history.run(&events).await;
            spare.set(Some(history.replica));
            ran.map_err(TestCaseError::fail)
        })
    };
    match TestRunner::new(config).run(&any_history(), run) {
        Ok(()) => {}
        Err(TestError::Fail(what, events)) => {
            let history = events.iter().enumerate().map(|(n, event)| format!("{n:>3}  {event:?}\n"));
            panic!("{what}\n{}", history.collect::<String>());
        }
        Err(other) => panic!("{other}"),
    }
}
