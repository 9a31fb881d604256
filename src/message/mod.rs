//! Messages: accepted once, delivered, opened signed in (DESIGN §6).
//!
//! # What is promised
//!
//! 1. **Accepted once.** [`Messages::accept`] answers when the message is on disk. The same `Idempotency-Key` with the same
//!    content is the same message, with another content a refusal.
//! 2. **Delivered.** Whatever dies when, an accepted message ends in a state that somebody can look up. A call to WeCom is a
//!    row with its exact bytes before it is made; a call of which nobody knows how it ended is repeated byte by byte while
//!    WeCom's duplicate window covers it, and is `unknown` afterwards rather than sent twice.
//! 3. **In order and not too fast.** A member gets the messages of this application in the order in which they were accepted,
//!    one call at a time; a repeat of the same text within two minutes waits aside until WeCom no longer takes it for the
//!    first, and later messages pass it. WeCom's limits are kept by us, because it drops what exceeds them and answers "ok".
//! 4. **Opened signed in.** A link to one of our hosts becomes one of ours, which is for the recipients only.
//!
//! # How a message travels
//!
//! ```text
//! accept    judge it completely, wrap its links, one row in `messages`            accept, content    durable from here
//! expand    one row a recipient, as the directory is now                          deliver::expand
//! plan      whose turn it is, who is over no limit; equal bodies become one call  deliver::plan      pure
//! claim     the call is somebody's until its lease ends                           deliver::claim
//! send      the exact bytes, to WeCom                                             deliver::send → wecom
//! settle    sent, again later, held, buried: the call, its recipients, messages   deliver::settle
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `content` | the kinds, WeCom's limits, truncation, links |
//! | `accept` | from a request to a row: recipients, idempotency, group commit |
//! | `deliver` | from rows to calls, and what comes of them; recall |
//! | `links` | `/sso/m/{id}` |
//! | `show`, `steer` | looking at the queue; retry, bury, recall by hand |
//! | `metrics` | accepted, sent, failed, oldest, calls |

pub mod accept;
pub mod commands;
pub mod content;
pub mod deliver;
pub mod links;
pub mod metrics;
pub mod store;
pub mod views;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::base::clock::Clock;
use crate::base::host::Hosts;
use crate::base::id::{CorpId, PersonId, TagId, UnitId, UserId};
use crate::db::Db;
use crate::wecom;

pub use self::deliver::DeliveryCounts;
pub use self::metrics::MessageMetrics;

/// What messages need of the configuration.
#[derive(Debug, Clone)]
pub struct MessageSettings {
    /// 企业ID.
    pub corp: CorpId,
    /// AgentId of the application that sends.
    pub agent: u32,
    /// The hosts whose links are wrapped, and public_url.
    pub hosts: Hosts,
    /// In which zone minutes 0 and 30 are, and days begin.
    pub time_zone: Tz,
    /// Why nothing is accepted and nothing sent, naming the key (`wecom.message_enable = false`).
    pub unavailable: Option<String>,
}

/// Messages of one corporation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Messages(Arc<MessagesInner>);

#[derive(Debug)]
struct MessagesInner {
    settings: MessageSettings,
    /// `settings.hosts`, or what a reload put in its place.
    hosts: ArcSwap<Hosts>,
    db: Db,
    clock: Clock,
    client: wecom::WecomClient,
    /// Rings when something was accepted here; what other replicas accept is found by looking.
    accepted_signal: Notify,
    /// Where orders wait for the transaction that makes them messages.
    group_commit: accept::GroupCommit,
    metrics: MessageMetrics,
    worker: deliver::DeliveryWorker,
}

impl Messages {
    /// Puts the parts together.
    pub fn new(settings: MessageSettings, db: Db, clock: Clock, client: wecom::WecomClient) -> Self {
        let (metrics, worker) = (MessageMetrics::new(clock.clone()), deliver::DeliveryWorker::new(&clock));
        Self(Arc::new(MessagesInner {
            hosts: ArcSwap::from_pointee(settings.hosts.clone()),
            settings,
            db,
            clock,
            client,
            accepted_signal: Notify::new(),
            group_commit: accept::GroupCommit::default(),
            metrics,
            worker,
        }))
    }

    /// Judges and wraps links by `hosts` from now on.
    pub fn set_hosts(&self, hosts: Hosts) {
        self.0.hosts.store(Arc::new(hosts));
    }

    /// What was accepted and sent, and what waits.
    pub fn metrics(&self) -> &MessageMetrics {
        &self.0.metrics
    }

    /// Looks how many messages wait, and whether they can be sent, for the metrics.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn measure(&self) -> sqlx::Result<()> {
        let MessagesInner { settings, db, clock, metrics, .. } = &*self.0;
        let waiting = store::measure_backlog(db.pool(), &settings.corp).await?;
        let lane = store::find_send_window(db.pool(), &settings.corp).await?;
        metrics.set_backlog(&waiting, &lane, clock.now());
        Ok(())
    }
}

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// 文本.
    Text,
    /// Markdown, as far as WeCom knows it.
    Markdown,
    /// 文本卡片.
    Textcard,
    /// 图文, one to eight articles.
    News,
    /// 模板卡片: `text_notice` and `news_notice`.
    TemplateCard,
    /// An image that was uploaded.
    Image,
    /// A file that was uploaded.
    File,
}

impl MessageKind {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Text, Self::Markdown, Self::Textcard, Self::News, Self::TemplateCard, Self::Image, Self::File];

    /// WeCom's `msgtype`, which is also the key of the content and our word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Textcard => "textcard",
            Self::News => "news",
            Self::TemplateCard => "template_card",
            Self::Image => "image",
            Self::File => "file",
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// It is on disk.
    Accepted,
    /// Some recipients have had their call, or it is under way.
    Sending,
    /// WeCom took it for every recipient.
    Sent,
    /// For some of them.
    PartlyFailed,
    /// For none of them.
    Failed,
    /// Of some recipient nobody knows; it may have arrived.
    Unknown,
    /// `expires_at` passed before it reached anybody.
    Expired,
    /// It was taken back.
    Recalled,
}

impl MessageStatus {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Sending,
        Self::Sent,
        Self::PartlyFailed,
        Self::Failed,
        Self::Unknown,
        Self::Expired,
        Self::Recalled,
    ];

    /// As the API and the table write it; `sending` is only shown, the table says `accepted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::PartlyFailed => "partly_failed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Recalled => "recalled",
        }
    }

    /// Reads [`Status::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Whom a message is for, as it was resolved when it was accepted: `messages.targets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTargets {
    /// Userids as they were written, and whose they were; `None` where the directory knew nobody of that name.
    pub users: Vec<(UserId, Option<PersonId>)>,
    /// Units with everything below them.
    pub units: Vec<UnitId>,
    /// Tags.
    pub tags: Vec<TagId>,
    /// Everybody who may see the application.
    pub all: bool,
}

/// Whose turn it is, whatever the userid is by now: `message_recipients.member`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Addressee {
    /// Somebody in the directory.
    Person(PersonId),
    /// A userid in lower case that the directory does not know.
    Userid(String),
    /// Everybody (`@all`).
    All,
}

impl Addressee {
    /// WeCom's word for everybody.
    pub const ALL: &'static str = "@all";

    /// Who `userid` is.
    pub fn from_userid(userid: &UserId, person: Option<&PersonId>) -> Self {
        person.map_or_else(|| Self::Userid(userid.folded()), |person| Self::Person(person.clone()))
    }

    /// As the table writes it.
    pub fn key(&self) -> String {
        match self {
            Self::Person(person) => person.to_string(),
            Self::Userid(folded) => format!("={folded}"),
            Self::All => Self::ALL.to_owned(),
        }
    }
}
