//! Acceptance: from a request to a row that no crash loses.
//!
//! ```text
//! Messages::accept
//!   content::validate_content      what it says                                   (pure)
//!   store::find_by_key             a request that was accepted before gets the same answer
//!   recipients::resolve_targets    whom it is for, in the current directory
//!   GroupCommit::write             one transaction for all concurrent callers; durable when it returns
//! ```

mod group_commit;
mod recipients;
pub(super) mod store;
pub(crate) mod upload;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Timelike as _};
use chrono_tz::Tz;

pub(super) use self::group_commit::GroupCommit;
use self::store::{EarlierMessage, InsertOutcome, NewMessage};
use super::content::{self, FieldError, MessageRequest};
use super::{MessageTargets, Messages};
use crate::audit::{Actor, AuditEntry, AuditEvent};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, MessageId};
use crate::base::secret::sha256;
use crate::directory::chart::Chart;

/// The most entries of `users`, `units` and `tags` together.
pub(crate) const MAX_TARGETS: usize = 10_000;

/// The latest `expires_at`, from now on.
const MAX_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long links work if the message has no `expires_at`.
pub(super) const LINK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A message to more recipients than this avoids the minutes in which everybody sends.
const MAX_UNSPREAD_RECIPIENTS: usize = 100;

/// The longest delay of such a message.
const MAX_SPREAD_MS: u64 = 3 * 60 * 1000;

/// A message that expires sooner is not delayed.
const MIN_LIFETIME_TO_SPREAD: Duration = Duration::from_secs(10 * 60);

const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Who sends a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// An API client.
    Client(ClientId),
    /// `gongpai send`.
    CommandLine,
}

impl Sender {
    /// The value of the column `client_id`: empty for the command line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(id) => id.as_str(),
            Self::CommandLine => "",
        }
    }

    /// Returns the row of the audit trail for a message that it sends; none for an application,
    /// whose messages are rows enough.
    fn describe_deed(&self, id: &MessageId) -> Option<AuditEntry> {
        match self {
            Self::Client(_) => None,
            Self::CommandLine => {
                Some(AuditEntry::of_deed(Actor::Cli, AuditEvent::Message, format!("message {id} sent")))
            }
        }
    }
}

/// An accepted message: it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedMessage {
    pub id: MessageId,
    /// The texts that were cut, such as `content.title`.
    pub truncated: Vec<String>,
    /// Whether an earlier request with the same key made this message.
    pub repeated: bool,
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nothing is accepted here; the text names the key of the configuration.
    #[error("{0}")]
    Unavailable(String),
    /// The key is not 1 to 255 printable ASCII characters.
    #[error("an Idempotency-Key is 1 to {MAX_IDEMPOTENCY_KEY_BYTES} printable ASCII characters")]
    BadKey,
    /// The key belongs to another request.
    #[error("another message was sent with this Idempotency-Key")]
    KeyReused,
    /// Everything that is wrong with the request.
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

/// Writes field errors in one line.
pub(crate) fn join_field_errors(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Messages {
    /// Accepts a message. When it returns, the message is on disk, and `seq` follows the order in
    /// which transactions were committed.
    ///
    /// `chart` is the published chart, for units and tags. A request with the same `key` and
    /// content gets the same message again, whatever has happened to its recipients since ([design:
    /// messages](crate::design#messages)).
    ///
    /// # Errors
    /// [`AcceptError`]; then there is no message, except perhaps with [`AcceptError::Store`].
    pub async fn accept(
        &self,
        chart: &Chart,
        sender: Sender,
        key: Option<&str>,
        request: MessageRequest,
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
        let request_hash = request.hash();
        // Before the key is looked up, because a repeated request is told which texts were cut too.
        let validated = content::validate_content(&request, &inner.hosts.load());
        // A known key is answered before the recipients are resolved: they may have left since.
        if let Some(key) = key
            && let Some(EarlierMessage { id, request_hash: hash }) =
                store::find_by_key(&inner.db, &settings.corp, sender.as_str(), key).await?
        {
            if hash != request_hash {
                return Err(AcceptError::KeyReused);
            }
            let truncated = validated.map(|validated| validated.truncated).unwrap_or_default();
            return Ok(AcceptedMessage { id, truncated, repeated: true });
        }
        let mut errors = Vec::new();
        let targets =
            recipients::resolve_targets(&inner.db, settings, chart, &request.to, now, &mut errors).await?;
        if let Some(at) = request.expires_at
            && (at <= now || at > now.plus(MAX_EXPIRY))
        {
            errors.push(FieldError {
                field: "expires_at".to_owned(),
                problem: format!("{} is not within the next 30 days", at.rfc3339()),
            });
        }
        let validated = match (validated, errors) {
            (Ok(validated), errors) if errors.is_empty() => validated,
            (Ok(_), errors) => return Err(AcceptError::Invalid(errors)),
            (Err(more), mut errors) => {
                errors.extend(more);
                return Err(AcceptError::Invalid(errors));
            }
        };
        let id = MessageId::generate(now);
        let message = NewMessage {
            not_before: spread_not_before(&id, &targets, request.expires_at, settings.time_zone, now),
            corp: settings.corp.clone(),
            client: sender.as_str().to_owned(),
            key: key.map(str::to_owned),
            request_hash,
            kind: request.kind,
            body: content::body_hash(request.kind, &validated.content),
            content: validated.content,
            is_unique: validated.is_unique,
            links: validated.links,
            links_expire_at: request.expires_at.unwrap_or_else(|| now.plus(LINK_LIFETIME)),
            targets: serde_json::to_string(&targets).map_err(|error| sqlx::Error::Encode(error.into()))?,
            expires_at: request.expires_at,
            deed: sender.describe_deed(&id),
            id: id.clone(),
        };
        let (id, repeated) = match inner.group_commit.write(&inner.db, &inner.clock, message).await {
            Ok(InsertOutcome::Inserted) => (id, false),
            // The same request was written between the lookup above and this transaction.
            Ok(InsertOutcome::RepeatOf(other)) => (other, true),
            Ok(InsertOutcome::KeyConflict) => return Err(AcceptError::KeyReused),
            Err(error) => return Err(AcceptError::Store(error)),
        };
        if !repeated {
            inner.metrics.add_accepted(1);
        }
        inner.accepted_signal.notify_one();
        Ok(AcceptedMessage { id, truncated: validated.truncated, repeated })
    }

    /// Returns how many transactions wrote messages here: fewer than the messages, if many came at
    /// once.
    pub fn commits(&self) -> u64 {
        self.0.group_commit.commits()
    }
}

/// Returns when delivery may begin: later than now if WeCom is busy at this minute.
///
/// WeCom asks senders to avoid minutes 0 and 30 of the hour (document 90236). A message to many
/// that is accepted in such a minute is delayed by up to three minutes, which are derived from its
/// id, unless it expires soon.
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
