//! A replica that only handles messages. Nothing is delivered by itself: the test decides when.

use std::sync::Arc;
use std::time::Duration;

use gongpai::testing::base::clock::{Clock, Timestamp};
use gongpai::testing::base::id::{ClientId, CorpId, MessageId, PersonId, TagId, UnitId, UserId};
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::db::Db;
use gongpai::testing::directory::chart::Chart;
use gongpai::testing::directory::store::{ensure_chart, load_chart};
use gongpai::testing::message::accept::Sender;
use gongpai::testing::message::content::{MessageRequest, RequestedRecipients, body_hash};
use gongpai::testing::message::{DeliveryCounts, MessageKind, MessageTargets, Messages, Worker};
use gongpai::testing::wecom::WecomClient;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio_util::sync::CancellationToken;

use super::app::configuration;
use super::messages::{empty_message_tables, read_message, read_messages, read_recipients};
use super::replica::ReplicaSite;

/// A replica that only handles messages, with its site.
pub(crate) struct MessageReplica {
    pub(crate) site: ReplicaSite,
    pub(crate) messages: Messages,
    pub(crate) db: Db,
    pub(crate) corp: CorpId,
}

/// A message to be delivered.
#[derive(Debug, Clone)]
pub(crate) struct TestMessage {
    pub(crate) kind: MessageKind,
    pub(crate) content: Value,
    pub(crate) targets: MessageTargets,
    pub(crate) unique: bool,
    pub(crate) expires_in: Option<Duration>,
}

/// A text to userids that the directory does not know.
pub(crate) fn text_message(text: &str, users: &[&str]) -> TestMessage {
    let users = users.iter().map(|user| (UserId::new(*user), None)).collect();
    TestMessage {
        kind: MessageKind::Text,
        content: json!({ "content": text }),
        targets: MessageTargets { users, ..MessageTargets::default() },
        unique: false,
        expires_in: None,
    }
}

/// A card with a `task_id`, which makes its content unique.
pub(crate) fn card_message(title: &str, task: &str, users: &[&str]) -> TestMessage {
    let content = json!({
        "card_type": "text_notice", "main_title": {"title": title},
        "card_action": {"type": 1, "url": "https://example.com/"}, "task_id": task,
    });
    TestMessage { kind: MessageKind::TemplateCard, content, unique: true, ..text_message("", users) }
}

impl TestMessage {
    /// Gives it a body that no other message can have.
    pub(crate) fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    pub(crate) fn expiring(self, after: Duration) -> Self {
        Self { expires_in: Some(after), ..self }
    }

    pub(crate) fn for_persons(mut self, persons: &[(&str, &str)]) -> Self {
        let person = |(userid, id): &(&str, &str)| (UserId::new(*userid), Some(PersonId::new(*id)));
        self.targets.users.extend(persons.iter().map(person));
        self
    }

    pub(crate) fn for_units(mut self, units: &[UnitId]) -> Self {
        self.targets.units = units.to_vec();
        self
    }

    pub(crate) fn for_tags(mut self, tags: &[TagId]) -> Self {
        self.targets.tags = tags.to_vec();
        self
    }

    pub(crate) fn for_all(mut self) -> Self {
        self.targets.all = true;
        self
    }

    /// Returns the request that is accepted as this message; `None` if there is none.
    ///
    /// A text without links is never unique, a person is looked up by the current userid, and at
    /// the full hour a message to many would be delayed.
    fn request(&self, now: Timestamp) -> Option<MessageRequest> {
        let MessageTargets { users, units, tags, all } = &self.targets;
        let is_unique_text = self.unique && self.kind == MessageKind::Text;
        let has_persons = users.iter().any(|(_, person)| person.is_some());
        let is_for_few = (1..=100).contains(&users.len()) && units.is_empty() && tags.is_empty() && !all;
        if is_unique_text || has_persons || !is_for_few {
            return None;
        }
        let users = users.iter().map(|(userid, _)| userid.to_string()).collect();
        Some(MessageRequest {
            to: RequestedRecipients { users, ..RequestedRecipients::default() },
            kind: self.kind,
            content: self.content.as_object().expect("an object").clone(),
            url_signed_in: true,
            truncate: false,
            expires_at: self.expires_in.map(|after| now.plus(after)),
        })
    }
}

impl MessageReplica {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(toml: &str) -> Self {
        Self::on(ReplicaSite::new().await, toml).await
    }

    /// Opens the first replica on an existing site.
    pub(crate) async fn on(site: ReplicaSite, toml: &str) -> Self {
        let (messages, db, corp) = open_replica(&site, toml).await;
        Self { site, messages, db, corp }
    }

    /// Forgets all messages and begins anew with another WeCom, on the same connections.
    pub(crate) async fn begin_anew(self) -> Self {
        empty_message_tables(&self.db).await;
        let site = ReplicaSite::on(self.site.database).await;
        let config = load_config(&site, "");
        ensure_chart(&self.db, &config.wecom.corp_id).await.expect("a chart");
        let messages = open_messages(&site, &config, &self.db);
        Self { site, messages, db: self.db, corp: config.wecom.corp_id }
    }

    /// Opens a second replica on the same database.
    pub(crate) async fn second_replica(&self) -> Messages {
        open_replica(&self.site, "").await.0
    }

    /// Opens a replica that remembers nothing, on the same connections: on PostgreSQL new ones take
    /// longer than a test.
    pub(crate) fn fresh_replica(&self) -> Messages {
        open_messages(&self.site, &load_config(&self.site, ""), &self.db)
    }

    /// Accepts a message from the API client `oa`, or writes its row if no request gives it.
    pub(crate) async fn put(&self, message: &TestMessage) -> MessageId {
        let Some(request) = message.request(self.now()) else { return self.put_row(message).await };
        let sender = Sender::Client(ClientId::new("oa"));
        let accepted = self.messages.accept(&self.chart().await, sender, None, request).await;
        accepted.expect("it is accepted").id
    }

    /// Writes the row of a message that would not be accepted now.
    pub(crate) async fn put_row(&self, message: &TestMessage) -> MessageId {
        self.put_all(std::slice::from_ref(message)).await.remove(0)
    }

    /// Writes messages to the table in one transaction, as if they had been accepted now.
    pub(crate) async fn put_all(&self, messages: &[TestMessage]) -> Vec<MessageId> {
        let now = self.site.clock.now();
        let mut tx = self.db.write().await.expect("a transaction");
        let mut ids = Vec::new();
        let seq: i64 =
            sqlx::query("UPDATE feed_counter SET seq = seq + $1 WHERE name = 'message' RETURNING seq")
                .bind(i64::try_from(messages.len()).expect("a number"))
                .fetch_one(&mut *tx)
                .await
                .expect("a number")
                .get(0);
        for (n, message) in messages.iter().enumerate() {
            let id = MessageId::generate(now);
            let content = message.content.to_string();
            // A card is unique by its content. A text is unique by its links, and has none here.
            let own = if message.unique && message.kind == MessageKind::Text { id.as_str() } else { "" };
            let body = body_hash(message.kind, &format!("{content}{own}"));
            sqlx::query(
                "INSERT INTO messages (id, corp_id, seq, client_id, request_hash, kind, content, body, is_unique, targets, \
                   status, not_before, expires_at, expanded_to, created_at, updated_at) \
                 VALUES ($1, $2, $3, 'oa', '', $10, $4, $5, $6, $7, 'accepted', $8, $9, '', $8, $8)",
            )
            .bind(id.as_str())
            .bind(self.corp.as_str())
            .bind(seq - i64::try_from(messages.len() - 1 - n).expect("a number"))
            .bind(content)
            .bind(body)
            .bind(i64::from(message.unique))
            .bind(serde_json::to_string(&message.targets).expect("JSON"))
            .bind(now.millis())
            .bind(message.expires_in.map(|after| now.plus(after).millis()))
            .bind(message.kind.as_str())
            .execute(&mut *tx)
            .await
            .expect("a message");
            ids.push(id);
        }
        tx.commit().await.expect("committed");
        ids
    }

    /// Does everything that is due.
    pub(crate) async fn deliver(&self) -> DeliveryCounts {
        self.deliver_by(&self.messages).await
    }

    /// Lets a replica do everything that is due.
    pub(crate) async fn deliver_by(&self, messages: &Messages) -> DeliveryCounts {
        deliver_until_idle(self.worker(messages, &CancellationToken::new()).await, &self.site.clock).await
    }

    /// Makes the worker of a replica, as after its start. It reads the chart now.
    pub(crate) async fn worker(&self, messages: &Messages, stop: &CancellationToken) -> Worker {
        let chart = Arc::new(self.chart().await);
        Worker::new(messages.clone(), move || Arc::clone(&chart), stop.clone())
    }

    /// Lets time pass for us and for WeCom, then does everything that is due.
    pub(crate) async fn deliver_after(&self, by: Duration) -> DeliveryCounts {
        self.advance(by);
        self.deliver().await
    }

    /// Lets time pass for us and for WeCom.
    pub(crate) fn advance(&self, by: Duration) {
        self.site.clock.advance(by);
        self.site.wecom.advance(by);
    }

    pub(crate) async fn chart(&self) -> Chart {
        load_chart(&self.db, &self.corp).await.expect("a chart")
    }

    /// Returns the status and the reason of a message, which is empty if there is none.
    pub(crate) async fn outcome(&self, id: &MessageId) -> (String, String) {
        let shown = self.messages.find(id).await.expect("the database answers").expect("it is kept");
        (self.status(id).await, shown.reason.map(|reason| reason.to_string()).unwrap_or_default())
    }

    /// Returns the status in the row of a message.
    pub(crate) async fn status(&self, id: &MessageId) -> String {
        read_message(&self.db, id.as_str()).await.status
    }

    /// Counts the messages with this status.
    pub(crate) async fn count_with_status(&self, status: &str) -> usize {
        read_messages(&self.db).await.iter().filter(|message| message.status == status).count()
    }

    /// Counts the rows of a message's recipients.
    pub(crate) async fn count_recipients(&self, id: &MessageId) -> usize {
        read_recipients(&self.db).await.iter().filter(|row| row.message == id.as_str()).count()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(self.db.pool()).await;
        done.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// Returns the texts in a member's inbox at WeCom.
    pub(crate) fn inbox(&self, userid: &str) -> Vec<String> {
        let messages = self.site.wecom.inbox(userid).into_iter();
        messages.map(|l| l.content["content"].as_str().expect("a text").to_owned()).collect()
    }

    /// Returns how many calls of message/send WeCom has had.
    pub(crate) fn calls(&self) -> u64 {
        self.site.wecom.calls("message/send")
    }

    pub(crate) async fn add_person(&self, id: &str, userid: &str, status: &str, units: &[&UnitId]) {
        let memberships: Vec<_> = units.iter().map(|unit| json!([unit.as_str(), 0, 0])).collect();
        for sql in [
            format!(
                "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) \
                 VALUES ('{id}', '{}', '{userid}', 0, 0, 0)",
                self.corp
            ),
            format!(
                "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, \
                   left_at, main_unit, memberships, detail, said, updated_at) \
                 VALUES ('{id}', '{}', 0, 9223372036854775807, '{userid}', '{userid}', '', 'wecom', '{status}', NULL, \
                   NULL, '{}', '{{}}', '', 0)",
                self.corp,
                Value::from(memberships)
            ),
        ] {
            self.execute(&sql).await;
        }
    }

    /// Adds `count` active persons in one department, as a simulator with as many members has them:
    /// `member0001` is the person `p0001`, and so on.
    pub(crate) async fn add_persons(&self, count: usize, unit: &UnitId) {
        let (corp, memberships) = (&self.corp, json!([[unit.as_str(), 0, 0]]));
        let known = |n| format!("('p{n:04}', '{corp}', 'member{n:04}', 0, 0, 0)");
        let row = |n| {
            format!(
                "('p{n:04}', '{corp}', 0, 9223372036854775807, 'member{n:04}', 'member{n:04}', '', 'wecom', 'active', \
                   NULL, NULL, '{memberships}', '{{}}', '', 0)"
            )
        };
        let all = |one: &dyn Fn(usize) -> String| (1..=count).map(one).collect::<Vec<_>>().join(", ");
        self.execute(&format!(
            "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES {}",
            all(&known)
        ))
        .await;
        self.execute(&format!(
            "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, \
               left_at, main_unit, memberships, detail, said, updated_at) VALUES {}",
            all(&row)
        ))
        .await;
    }

    /// Adds a department to the directory; `parent` 0 puts it on the top level.
    pub(crate) async fn add_department(&self, id: u32, parent: u32) -> UnitId {
        let unit = UnitId::from_department(&self.corp, id);
        let parent = if parent == 0 {
            "NULL".to_owned()
        } else {
            format!("'{}'", UnitId::from_department(&self.corp, parent))
        };
        self.execute(&format!(
            "INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, \
               leaders, updated_at) \
             VALUES ('{unit}', '{}', 0, 9223372036854775807, {id}, 'wecom', {parent}, 'n{id}', '', 0, '[]', 0)",
            self.corp
        ))
        .await;
        unit
    }

    pub(crate) async fn add_tag(&self, id: u32, users: &[&str], units: &[&UnitId]) -> TagId {
        let tag = TagId::from_tag(&self.corp, id);
        let units: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
        self.execute(&format!(
            "INSERT INTO tag_rows (id, corp_id, since, until, wecom_id, name, users, units, updated_at) \
             VALUES ('{tag}', '{}', 0, 9223372036854775807, {id}, 't{id}', '{}', '{}', 0)",
            self.corp,
            json!(users),
            json!(units)
        ))
        .await;
        tag
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.site.clock.now()
    }
}

/// Takes steps until nothing is due and no call waits for WeCom. It never waits for a later time.
pub(crate) async fn deliver_until_idle(mut worker: Worker, clock: &Clock) -> DeliveryCounts {
    let mut all = DeliveryCounts::default();
    loop {
        let step = worker.step(clock.now()).await;
        all += step.did;
        if step.wake_at > clock.now() && worker.calls_in_flight() == 0 {
            return all;
        }
        worker.wait_until(step.wake_at).await;
    }
}

async fn open_replica(site: &ReplicaSite, toml: &str) -> (Messages, Db, CorpId) {
    let config = load_config(site, toml);
    let db = Db::open(config.database.location()).await.expect("a database");
    ensure_chart(&db, &config.wecom.corp_id).await.expect("a chart");
    (open_messages(site, &config, &db), db, config.wecom.corp_id)
}

fn load_config(site: &ReplicaSite, toml: &str) -> Config {
    let text = Some(configuration(&site.wecom, &site.database, toml));
    Config::load(&ConfigSources { text, ..ConfigSources::default() }).expect("accepted").0
}

fn open_messages(site: &ReplicaSite, config: &Config, db: &Db) -> Messages {
    let client = WecomClient::new(config.into(), site.clock.clone()).expect("a client");
    Messages::new(config.into(), db.clone(), site.clock.clone(), client)
}
