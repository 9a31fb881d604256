//! What a message says: an order as an application gives it, judged completely and made ready for WeCom.
//!
//! Nothing here asks anybody. [`Order::read`] reads a request strictly, [`judge`] reads WeCom's own object of the kind,
//! wraps its links, holds it against WeCom's limits and writes it anew, so that every byte that is sent is ours. Each of
//! them names everything that is wrong, not the first thing only.
//!
//! | module | holds |
//! |---|---|
//! | `part` | one object: its fields taken out one by one, what is left over refused |
//! | `kinds`, `card` | which fields each kind has (WeCom documents 90236 and 101032) |
//! | `markup` | where links stand in a text |
//! | `links` | which links are ours, and what stands in their place |
//! | `limit` | bytes, characters, and cutting |

mod card;
mod kinds;
mod limit;
mod links;
mod markup;
mod object_reader;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::DateTime;
use serde_json::{Map, Value};

use self::links::LinkWrapper;
pub use self::links::{WrappedLink, is_wrapped};
use self::object_reader::{FieldErrors, ObjectReader};
use super::MessageKind;
use crate::base::clock::Timestamp;
use crate::base::host::Hosts;
use crate::base::secret::{sha256, sha256_hex};

/// One thing that is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where: `content.articles[0].title`.
    pub field: String,
    /// What: `140 bytes, at most 128`.
    pub problem: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// Whom a message is for, as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedRecipients {
    /// Userids.
    pub users: Vec<String>,
    /// Units with everything below them: our id, `wecom:ID` or a path.
    pub units: Vec<String>,
    /// Tags: our id, `wecom:ID` or a name.
    pub tags: Vec<String>,
    /// Everybody who may see the application.
    pub all: bool,
}

/// A message that somebody wants to be sent (DESIGN §4.1).
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRequest {
    /// Whom it is for.
    pub to: RequestedRecipients,
    /// What it is.
    pub kind: MessageKind,
    /// WeCom's own object of that kind.
    pub content: Map<String, Value>,
    /// Whether links to our hosts open signed in.
    pub url_signed_in: bool,
    /// Whether texts that are too long are cut rather than refused.
    pub truncate: bool,
    /// When it is no longer worth sending.
    pub expires_at: Option<Timestamp>,
}

impl MessageRequest {
    /// Reads a request. Every field but `to`, `kind` and `content` may be missing or `null`.
    ///
    /// # Errors
    /// Everything that is no such request: fields that are missing, of another type, or unknown.
    pub fn parse(request: Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut findings = FieldErrors::default();
        let mut part = ObjectReader::from_request(request);
        let to = part.take_object("to", true, &mut findings).map(|to| read_recipients(to, &mut findings));
        let kind = part.take_text("kind", true, &mut findings);
        let content = part.take_object("content", true, &mut findings);
        let url_signed_in = part.take_flag("url_signed_in", true, &mut findings);
        let truncate = part.take_flag("truncate", false, &mut findings);
        let expires_at = part.take_text("expires_at", false, &mut findings);
        part.refuse_unknown_fields(&mut findings);
        let kind = kind.and_then(|word| {
            let kind = MessageKind::ALL.into_iter().find(|kind| kind.as_str() == word);
            if kind.is_none() {
                let known = MessageKind::ALL.map(MessageKind::as_str).join(", ");
                findings.add("kind", format!("{} is none of {known}", object_reader::quote(&word)));
            }
            kind
        });
        let expires_at = expires_at.and_then(|text| {
            let instant = DateTime::parse_from_rfc3339(&text);
            if instant.is_err() {
                let problem = format!("{} is not an instant of RFC 3339", object_reader::quote(&text));
                findings.add("expires_at", problem);
            }
            instant.map(|instant| Timestamp::from_millis(instant.timestamp_millis())).ok()
        });
        match (to, kind, content, findings.into_result()) {
            (Some(to), Some(kind), Some(content), Ok(())) => {
                let content = content.into_given();
                Ok(Self { to, kind, content, url_signed_in, truncate, expires_at })
            }
            (_, _, _, Err(findings)) => Err(findings),
            // A part that is not there has been found missing.
            _ => Err(Vec::new()),
        }
    }

    /// A hash of what was asked for, the same for the same request however its JSON is laid out.
    pub fn hash(&self) -> String {
        let asked = serde_json::json!({
            "users": self.to.users, "units": self.to.units, "tags": self.to.tags, "all": self.to.all,
            "kind": self.kind.as_str(), "content": sort_keys(&Value::Object(self.content.clone())),
            "url_signed_in": self.url_signed_in, "truncate": self.truncate,
            "expires_at": self.expires_at.map(Timestamp::millis),
        });
        sha256_hex(&asked.to_string())
    }
}

/// The same value with the keys of every object in order.
fn sort_keys(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sort_keys(value))).collect()
        }
        Value::Array(list) => list.iter().map(sort_keys).collect(),
        other => other.clone(),
    }
}

fn read_recipients(mut part: ObjectReader, findings: &mut FieldErrors) -> RequestedRecipients {
    let to = RequestedRecipients {
        users: part.take_texts("users", findings),
        units: part.take_texts("units", findings),
        tags: part.take_texts("tags", findings),
        all: part.take_flag("all", false, findings),
    };
    part.refuse_unknown_fields(findings);
    to
}

/// A content that WeCom takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedContent {
    /// WeCom's own object of the kind, as JSON: the exact bytes that are sent.
    pub content: String,
    /// The links in it that are ours.
    pub links: Vec<WrappedLink>,
    /// What was cut: `content.title`.
    pub truncated: Vec<String>,
    /// Whether no other message can have an equal content: a link of ours or a `task_id` is in it.
    pub is_unique: bool,
}

/// Reads the content of `order`, wraps the links in it that `hosts` permits, and holds it against WeCom's limits.
///
/// # Errors
/// Everything that is wrong with it.
pub fn validate_content(order: &MessageRequest, hosts: &Hosts) -> Result<ValidatedContent, Vec<FieldError>> {
    let mut desk = ContentReader {
        wrapping: order.url_signed_in.then(|| LinkWrapper::new(hosts)),
        truncates: order.truncate,
        truncated: Vec::new(),
        links: Vec::new(),
        errors: FieldErrors::default(),
    };
    let made =
        kinds::read_content(order.kind, ObjectReader::at_path("content", order.content.clone()), &mut desk);
    desk.errors.into_result()?;
    let has_task = made.contains_key("task_id");
    let content = Value::Object(made).to_string();
    // A link behind the place where a text was cut is gone.
    let mut links = desk.links;
    links.retain(|link| content.contains(&link.id));
    let is_unique = has_task || !links.is_empty();
    Ok(ValidatedContent { content, links, truncated: desk.truncated, is_unique })
}

/// `body` of a message: a hash of its kind and content. Equal bodies may share a call.
pub fn body_hash(kind: MessageKind, content: &str) -> String {
    hex::encode(sha256(format!("{}\n{content}", kind.as_str()).as_bytes()))
}

/// The longest `task_id` of a card, in bytes (document 90236).
const MAX_TASK_ID_BYTES: usize = 128;

/// Whether a content, as [`judge`] made it, has a `task_id`: WeCom takes each once (42014).
pub fn has_task_id(content: &str) -> bool {
    parse_task_id(content).is_some()
}

/// The same content with a `task_id` of its own that ends in `tail`; `None`: it has none.
pub fn with_own_task_id(content: &str, tail: &str) -> Option<String> {
    let (mut card, task) = parse_task_id(content)?;
    let end = task.floor_char_boundary(MAX_TASK_ID_BYTES.saturating_sub(tail.len() + 1));
    let own = format!("{}-{tail}", task.get(..end).unwrap_or_default());
    card.insert("task_id".to_owned(), Value::String(own));
    Some(Value::Object(card).to_string())
}

fn parse_task_id(content: &str) -> Option<(Map<String, Value>, String)> {
    // Most contents have none, and need not be read.
    let card: Map<String, Value> =
        content.contains("\"task_id\"").then(|| serde_json::from_str(content).ok())??;
    let task = card.get("task_id")?.as_str()?.to_owned();
    Some((card, task))
}

/// What is collected while a content is read.
struct ContentReader<'a> {
    /// `None`: links stay as they are.
    wrapping: Option<LinkWrapper<'a>>,
    /// Whether texts are cut.
    truncates: bool,
    truncated: Vec<String>,
    links: Vec<WrappedLink>,
    errors: FieldErrors,
}
