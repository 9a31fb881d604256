//! Accepting: from an order to a row that no crash loses.
//!
//! ```text
//! Messages::accept
//!   store::by_key          an order that was accepted before is answered as before
//!   content::judge         what it says                                      pure
//!   recipients::resolve    whom it is for, as the directory is now
//!   desk::Desk::write      one transaction for all who ask at the same time; durable when it answers
//! ```

mod group_commit;
mod recipients;
mod store;
pub mod upload;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Timelike as _};
use chrono_tz::Tz;

use self::group_commit::NewMessage;
pub(super) use self::group_commit::{GroupCommit, is_content_error};
use self::store::InsertOutcome;
use super::content::{self, FieldError, MessageRequest};
use super::{MessageTargets, Messages};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, MessageId};
use crate::base::secret::sha256;
use crate::directory::chart::Chart;

/// The most entries of `users`, `units` and `tags` together.
pub const MAX_TARGETS: usize = 10_000;

/// The latest `expires_at`.
const MAX_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long links lead somewhere, unless the message says until when it is good.
pub(super) const LINK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A message to more recipients than that keeps away from the minutes in which everybody sends.
const MAX_UNSPREAD_RECIPIENTS: usize = 100;

/// How far such a message is put off at most.
const MAX_SPREAD_MS: u64 = 3 * 60 * 1000;

/// What expires sooner is not put off.
const MIN_LIFETIME_TO_SPREAD: Duration = Duration::from_secs(10 * 60);

/// The longest `Idempotency-Key`.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// An API client.
    Client(ClientId),
    /// `gongpai send`.
    CommandLine,
}

impl Sender {
    /// As the table writes it: `''` is the command line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(id) => id.as_str(),
            Self::CommandLine => "",
        }
    }
}

/// A message that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedMessage {
    /// Its id.
    pub id: MessageId,
    /// What was cut: `content.title`.
    pub truncated: Vec<String>,
    /// Whether an earlier order with the same key is this message.
    pub repeated: bool,
}

/// Why an order was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nothing is accepted here; the text names the key.
    #[error("{0}")]
    Unavailable(String),
    /// Not 1 to 255 printable ASCII characters.
    #[error("an Idempotency-Key is 1 to {MAX_IDEMPOTENCY_KEY_BYTES} printable ASCII characters")]
    BadKey,
    /// The key stands for another order.
    #[error("another message was sent with this Idempotency-Key")]
    KeyReused,
    /// Everything that is wrong with it.
    #[error("{}", join_field_errors(.0))]
    Invalid(Vec<FieldError>),
    /// The database failed; the message may be on disk all the same.
    #[error(transparent)]
    Store(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for AcceptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Findings in one line.
pub fn join_field_errors(findings: &[FieldError]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Messages {
    /// Accepts a message. When it answers, the message is on disk; `seq` follows the order of the answers' commits.
    ///
    /// `chart`: the published chart, for units and tags. `key`: with the same key and order the same message is answered
    /// again, whatever has become of its recipients since.
    ///
    /// # Errors
    /// [`Refused`]; then there is no message, except perhaps with [`Refused::Store`].
    pub async fn accept(
        &self,
        chart: &Chart,
        sender: Sender,
        key: Option<&str>,
        order: MessageRequest,
    ) -> Result<AcceptedMessage, AcceptError> {
        let inner = &*self.0;
        let (settings, now) = (&inner.settings, inner.clock.now());
        if let Some(reason) = &settings.unavailable {
            return Err(AcceptError::Unavailable(reason.clone()));
        }
        let printable = |key: &str| !key.is_empty() && key.bytes().all(|b| (b' '..=b'~').contains(&b));
        if key.is_some_and(|key| key.len() > MAX_IDEMPOTENCY_KEY_BYTES || !printable(key)) {
            return Err(AcceptError::BadKey);
        }
        let request_hash = order.hash();
        let judged = content::validate_content(&order, &inner.hosts.load());
        if let Some(key) = key
            && let Some((id, hash)) =
                store::find_by_key(&inner.db, &settings.corp, sender.as_str(), key).await?
        {
            if hash != request_hash {
                return Err(AcceptError::KeyReused);
            }
            let truncated = judged.map(|judged| judged.truncated).unwrap_or_default();
            return Ok(AcceptedMessage { id, truncated, repeated: true });
        }
        let mut findings = Vec::new();
        let targets =
            recipients::resolve_targets(&inner.db, settings, chart, &order.to, now, &mut findings).await?;
        if let Some(at) = order.expires_at
            && (at <= now || at > now.plus(MAX_EXPIRY))
        {
            findings.push(FieldError {
                field: "expires_at".to_owned(),
                problem: format!("{} is not within the next 30 days", at.rfc3339()),
            });
        }
        let judged = match (judged, findings) {
            (Ok(judged), findings) if findings.is_empty() => judged,
            (Ok(_), findings) => return Err(AcceptError::Invalid(findings)),
            (Err(more), mut findings) => {
                findings.extend(more);
                return Err(AcceptError::Invalid(findings));
            }
        };
        let id = MessageId::generate(now);
        let draft = NewMessage {
            not_before: spread_not_before(&id, &targets, order.expires_at, settings.time_zone, now),
            corp: settings.corp.clone(),
            client: sender.as_str().to_owned(),
            key: key.map(str::to_owned),
            request_hash,
            kind: order.kind,
            body: content::body_hash(order.kind, &judged.content),
            content: judged.content,
            is_unique: judged.is_unique,
            links: judged.links,
            links_expire_at: order.expires_at.unwrap_or_else(|| now.plus(LINK_LIFETIME)),
            targets: serde_json::to_string(&targets).map_err(|error| sqlx::Error::Encode(error.into()))?,
            expires_at: order.expires_at,
            id: id.clone(),
        };
        let (id, repeated) = match inner.group_commit.write(&inner.db, &inner.clock, draft).await {
            Ok(InsertOutcome::Inserted) => (id, false),
            Ok(InsertOutcome::RepeatOf(other)) => (other, true),
            Ok(InsertOutcome::KeyConflict) => return Err(AcceptError::KeyReused),
            Err(error) => return Err(AcceptError::Store(error)),
        };
        if !repeated {
            inner.metrics.add_accepted(1);
        }
        inner.accepted_signal.notify_one();
        Ok(AcceptedMessage { id, truncated: judged.truncated, repeated })
    }

    /// How many transactions wrote messages here: less than the messages, if many came at once.
    pub fn commits(&self) -> u64 {
        self.0.group_commit.commits()
    }
}

/// WeCom asks not to be sent to at minute 0 and 30 of the hour (document 90236): then everybody does. A message to many
/// that is accepted in such a minute is put off by up to three minutes, by how much follows from its id; unless it is not
/// good for long.
fn spread_not_before(
    id: &MessageId,
    targets: &MessageTargets,
    expires_at: Option<Timestamp>,
    zone: Tz,
    now: Timestamp,
) -> Timestamp {
    let many = targets.all
        || targets.users.len() > MAX_UNSPREAD_RECIPIENTS
        || !targets.units.is_empty()
        || !targets.tags.is_empty();
    let local = DateTime::from_timestamp_millis(now.millis()).map(|utc| utc.with_timezone(&zone));
    let in_a_hurry = expires_at.is_some_and(|at| at.since(now) < MIN_LIFETIME_TO_SPREAD);
    if !many || in_a_hurry || local.is_none_or(|local| local.minute() % 30 != 0) {
        return now;
    }
    let number = sha256(id.as_str().as_bytes()).iter().take(8).fold(0_u64, |n, b| n << 8 | u64::from(*b));
    now.plus(Duration::from_millis(number % MAX_SPREAD_MS))
}
