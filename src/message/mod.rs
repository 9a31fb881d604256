//! Messages: accepted once, delivered, and opened signed in ([design: messages](crate::design#messages)).
//!
//! # What is promised
//!
//! 1. **Accepted once.** [`Messages::accept`] returns when the message is on disk. The same
//!    `Idempotency-Key` with the same content means the same message; with another content it is
//!    refused.
//! 2. **Delivered.** Whichever process dies at whatever moment, an accepted message ends in a status
//!    that somebody can look up. A call to WeCom is a row with its exact bytes before it is made. If
//!    the outcome of a call is not known, the same bytes are sent again while WeCom's duplicate
//!    window covers them; afterwards the message is `unknown` rather than sent twice.
//! 3. **In order and not too fast.** A member gets the messages of this application in the order of
//!    acceptance, one call at a time. A repeat of the same text within two minutes steps aside until
//!    WeCom no longer takes it for a duplicate, and later messages pass it. We keep WeCom's limits
//!    ourselves, because WeCom drops what exceeds them and answers "ok".
//! 4. **Opened signed in.** A link to one of our hosts is replaced by a link of ours, which only the
//!    recipients can open.
//!
//! # How a message travels
//!
//! ```text
//! accept    check it, wrap its links, write one row in `messages`; durable from here   accept, content
//! expand    one row for each recipient, from the current directory                     deliver::expand
//! plan      decide whose turn it is within the limits; equal bodies share one call     deliver::plan (pure)
//! claim     lease the call to one process                                              deliver::claim
//! send      the exact bytes, to WeCom                                                  deliver::send → wecom
//! settle    sent, retry, held or failed: the call, its recipients, their messages      deliver::settle
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `content` | the kinds of messages, WeCom's limits, truncation, links |
//! | `accept` | from a request to a row: recipients, idempotency, group commit |
//! | `deliver` | from rows to calls and their outcomes; recall |
//! | `links` | `/sso/m/{id}` |
//! | `views` | reading messages, for the API and the commands |
//! | `commands` | retry, bury, recall and resume by hand |
//! | `metrics` | accepted, sent, failed, oldest, calls |
//! | `state` | the statuses, their transitions, and the codes of reasons |
//! | `reason` | a reason with what is variable in it, and its sentence |
//! | `jobs` | what runs in the background |

pub(crate) mod accept;
pub(crate) mod commands;
pub(crate) mod content;
pub(crate) mod deliver;
mod jobs;
pub(crate) mod links;
pub(crate) mod metrics;
pub(crate) mod reason;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod views;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::base::clock::Clock;
use crate::base::host::Hosts;
use crate::base::id::{CorpId, PersonId, TagId, UnitId, UserId};
use crate::config::{Config, Readiness, WecomPurpose};
use crate::db::Db;
use crate::db::hot_statement::HotStatement;
use crate::db::types::column_enum;
use crate::wecom;

pub use self::deliver::DeliveryCounts;
pub use self::deliver::worker::{Worker, WorkerStep};
pub(crate) use self::jobs::jobs;
pub(crate) use self::metrics::MessageMetrics;
pub use self::state::MessageStatus;

/// Returns the statements on the paths from a message to its last recipient.
pub fn hot_statements() -> Vec<HotStatement> {
    let others = [
        store::HOT_STATEMENTS,
        accept::store::HOT_STATEMENTS,
        links::store::HOT_STATEMENTS,
        views::store::HOT_STATEMENTS,
    ];
    [deliver::HOT_STATEMENTS.concat(), others.concat()].concat()
}

/// The settings of messages.
#[derive(Debug, Clone)]
pub struct MessageSettings {
    /// 企业ID.
    pub corp: CorpId,
    /// The AgentId of the application that sends.
    pub agent: u32,
    /// The hosts whose links are wrapped, and `public_url`.
    pub hosts: Hosts,
    /// The zone in which minutes 0 and 30 of the hour are counted.
    pub time_zone: Tz,
    /// Why nothing is accepted and nothing sent, naming the key (`wecom.message_enable = false`).
    pub unavailable: Option<String>,
}

impl From<&Config> for MessageSettings {
    fn from(config: &Config) -> Self {
        let wecom = &config.wecom;
        let unavailable = match wecom.readiness(WecomPurpose::Messages) {
            Readiness::Ready => None,
            Readiness::Disabled => Some("wecom.enable is false: WeCom is asked for nothing.".to_owned()),
            Readiness::MessagesDisabled => Some("wecom.message_enable is false.".to_owned()),
            Readiness::Missing(key) => Some(format!("{key} is not set, and without it nothing can be sent.")),
        };
        Self {
            corp: wecom.corp_id.clone(),
            agent: wecom.agent_id,
            hosts: config.hosts.clone(),
            time_zone: config.time_zone,
            unavailable,
        }
    }
}

/// The messages of one corporation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Messages(Arc<MessagesInner>);

#[derive(Debug)]
struct MessagesInner {
    settings: MessageSettings,
    /// `settings.hosts`, or the hosts of the last reload.
    hosts: ArcSwap<Hosts>,
    db: Db,
    clock: Clock,
    client: wecom::WecomClient,
    /// Notified when this process accepts a message. What other replicas accept is found by
    /// polling.
    accepted_signal: Notify,
    /// Collects accepted messages into shared transactions.
    group_commit: accept::GroupCommit,
    metrics: MessageMetrics,
    delivery_memory: deliver::DeliveryMemory,
}

impl Messages {
    pub fn new(settings: MessageSettings, db: Db, clock: Clock, client: wecom::WecomClient) -> Self {
        let (metrics, delivery_memory) =
            (MessageMetrics::new(clock.clone()), deliver::DeliveryMemory::new(&clock));
        Self(Arc::new(MessagesInner {
            hosts: ArcSwap::from_pointee(settings.hosts.clone()),
            settings,
            db,
            clock,
            client,
            accepted_signal: Notify::new(),
            group_commit: accept::GroupCommit::default(),
            metrics,
            delivery_memory,
        }))
    }

    /// Replaces the hosts whose links are wrapped.
    pub fn set_hosts(&self, hosts: Hosts) {
        self.0.hosts.store(Arc::new(hosts));
    }

    pub fn metrics(&self) -> &MessageMetrics {
        &self.0.metrics
    }

    /// Updates the metrics of waiting messages and of the send window from the database.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn measure(&self) -> sqlx::Result<()> {
        let MessagesInner { settings, db, clock, metrics, .. } = &*self.0;
        let waiting = store::measure_backlog(db.pool(), &settings.corp).await?;
        let window = store::find_send_window(db.pool(), &settings.corp).await?;
        metrics.set_backlog(&waiting, &window, clock.now());
        Ok(())
    }
}

column_enum! {
    /// The kind of a message: WeCom's `msgtype`, which is also the key of the content and our word
    /// in the API.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum MessageKind {
        /// 文本.
        Text = "text",
        /// Markdown, in WeCom's subset.
        Markdown = "markdown",
        /// 文本卡片.
        Textcard = "textcard",
        /// 图文, one to eight articles.
        News = "news",
        /// 模板卡片: `text_notice` or `news_notice`.
        TemplateCard = "template_card",
        /// An uploaded image.
        Image = "image",
        /// An uploaded file.
        File = "file",
    }
}

/// The recipients of a message as they were resolved at acceptance: `messages.targets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTargets {
    /// Userids as they were written, with the person who had each one; `None` where the directory
    /// knew nobody of that name.
    pub users: Vec<(UserId, Option<PersonId>)>,
    /// Units with everything below them.
    pub units: Vec<UnitId>,
    pub tags: Vec<TagId>,
    /// Everybody who may see the application.
    pub all: bool,
}

/// The identity by which a recipient's messages are ordered: `message_recipients.member`.
///
/// It stays the same when the person's userid changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Addressee {
    /// A person of the directory.
    Person(PersonId),
    /// A userid in lower case that the directory does not know.
    Userid(String),
    /// Everybody (`@all`).
    All,
}

impl Addressee {
    /// WeCom's word for everybody.
    pub(crate) const ALL: &'static str = "@all";

    pub(crate) fn from_userid(userid: &UserId, person: Option<&PersonId>) -> Self {
        person.map_or_else(|| Self::Userid(userid.folded()), |person| Self::Person(person.clone()))
    }

    /// The value of the column `member`.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Person(person) => person.to_string(),
            Self::Userid(folded) => format!("={folded}"),
            Self::All => Self::ALL.to_owned(),
        }
    }
}
