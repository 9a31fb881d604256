//! The content of a message: checked completely and made ready for WeCom.
//!
//! Nothing here does any input or output. [`MessageRequest::parse`] parses a request strictly.
//! [`validate_content`] reads WeCom's own object of the kind, wraps its links, checks WeCom's limits
//! and writes the object anew, so that every byte that is sent is ours. Each of them reports all
//! errors, not only the first.
//!
//! | module | contents |
//! |---|---|
//! | `object_reader` | reads one object: takes its fields out one by one, refuses the rest |
//! | `kinds`, `card` | the fields of each kind (WeCom documents 90236 and 101032) |
//! | `markup` | finds the links in a text |
//! | `links` | which links are ours, and what replaces them |
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
pub(crate) use self::links::WrappedLink;
use self::object_reader::{FieldErrors, ObjectReader};
use super::MessageKind;
use crate::base::clock::Timestamp;
use crate::base::host::Hosts;
use crate::base::secret::{sha256, sha256_hex};

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field, such as `content.articles[0].title`.
    pub field: String,
    /// The problem, such as `140 bytes, at most 128`.
    pub problem: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// The recipients as the request names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedRecipients {
    pub users: Vec<String>,
    /// Units with everything below them: our id, `wecom:ID` or a path.
    pub units: Vec<String>,
    /// Tags: our id, `wecom:ID` or a name.
    pub tags: Vec<String>,
    /// Everybody who may see the application.
    pub all: bool,
}

/// A request to send a message ([design: messages](crate::design#messages)).
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRequest {
    pub to: RequestedRecipients,
    pub kind: MessageKind,
    /// WeCom's own object of that kind.
    pub content: Map<String, Value>,
    /// Whether links to our hosts open signed in.
    pub url_signed_in: bool,
    /// Whether texts that are too long are cut rather than refused.
    pub truncate: bool,
    /// When the message is no longer worth sending.
    pub expires_at: Option<Timestamp>,
}

impl MessageRequest {
    /// Parses the JSON of a request. Every field but `to`, `kind` and `content` may be missing or
    /// `null`.
    ///
    /// # Errors
    /// Every field that is missing, of another type, or unknown.
    pub fn parse(request: Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut errors = FieldErrors::default();
        let mut object = ObjectReader::from_request(request);
        let to = object.take_object("to", true, &mut errors).map(|to| read_recipients(to, &mut errors));
        let kind = object.take_text("kind", true, &mut errors);
        let content = object.take_object("content", true, &mut errors);
        let url_signed_in = object.take_flag("url_signed_in", true, &mut errors);
        let truncate = object.take_flag("truncate", false, &mut errors);
        let expires_at = object.take_text("expires_at", false, &mut errors);
        object.refuse_unknown_fields(&mut errors);
        let kind = kind.and_then(|word| {
            let kind = MessageKind::parse(&word);
            if kind.is_none() {
                let known: Vec<_> = MessageKind::ALL.iter().map(|kind| kind.as_str()).collect();
                let known = known.join(", ");
                errors.add("kind", format!("{} is none of {known}", object_reader::quote(&word)));
            }
            kind
        });
        let expires_at = expires_at.and_then(|text| {
            let instant = DateTime::parse_from_rfc3339(&text);
            if instant.is_err() {
                let problem = format!("{} is not an instant of RFC 3339", object_reader::quote(&text));
                errors.add("expires_at", problem);
            }
            instant.map(|instant| Timestamp::from_millis(instant.timestamp_millis())).ok()
        });
        match (to, kind, content, errors.into_result()) {
            (Some(to), Some(kind), Some(content), Ok(())) => {
                let content = content.into_given();
                Ok(Self { to, kind, content, url_signed_in, truncate, expires_at })
            }
            (_, _, _, Err(errors)) => Err(errors),
            // Whatever is missing here has already added its error.
            _ => Err(Vec::new()),
        }
    }

    /// Returns a hash of the request that does not depend on the layout of its JSON.
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

/// Returns the same value with the keys of every object in order.
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

fn read_recipients(mut object: ObjectReader, errors: &mut FieldErrors) -> RequestedRecipients {
    let to = RequestedRecipients {
        users: object.take_texts("users", errors),
        units: object.take_texts("units", errors),
        tags: object.take_texts("tags", errors),
        all: object.take_flag("all", false, errors),
    };
    object.refuse_unknown_fields(errors);
    to
}

/// A content that WeCom accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValidatedContent {
    /// WeCom's own object of the kind, as JSON: the exact bytes that are sent.
    pub content: String,
    /// The links in it that are ours.
    pub links: Vec<WrappedLink>,
    /// The texts that were cut, such as `content.title`.
    pub truncated: Vec<String>,
    /// Whether no other message can have an equal content, because it has a link of ours or a
    /// `task_id`.
    pub is_unique: bool,
}

/// Reads the content of `request`, wraps the links that `hosts` permits, and checks WeCom's limits.
///
/// # Errors
/// Everything that is wrong with the content.
pub(crate) fn validate_content(
    request: &MessageRequest,
    hosts: &Hosts,
) -> Result<ValidatedContent, Vec<FieldError>> {
    let mut reader = ContentReader {
        wrapping: request.url_signed_in.then(|| LinkWrapper::new(hosts)),
        truncates: request.truncate,
        truncated: Vec::new(),
        links: Vec::new(),
        errors: FieldErrors::default(),
    };
    let made = kinds::read_content(
        request.kind,
        ObjectReader::at_path("content", request.content.clone()),
        &mut reader,
    );
    reader.errors.into_result()?;
    let has_task = made.contains_key("task_id");
    let content = Value::Object(made).to_string();
    // A link behind the place where a text was cut is gone.
    let mut links = reader.links;
    links.retain(|link| content.contains(&link.id));
    let is_unique = has_task || !links.is_empty();
    Ok(ValidatedContent { content, links, truncated: reader.truncated, is_unique })
}

/// Returns the `body` of a message: a hash of its kind and content. Messages with equal bodies may
/// share a call.
pub fn body_hash(kind: MessageKind, content: &str) -> String {
    hex::encode(sha256(format!("{}\n{content}", kind.as_str()).as_bytes()))
}

/// The longest `task_id` of a card (document 90236).
const MAX_TASK_ID_BYTES: usize = 128;

/// Whether a content of [`validate_content`] has a `task_id`. WeCom takes each one once (42014).
pub(crate) fn has_task_id(content: &str) -> bool {
    parse_task_id(content).is_some()
}

/// Returns the same content with a `task_id` of its own that ends in `tail`; `None` if it has none.
pub(crate) fn with_own_task_id(content: &str, tail: &str) -> Option<String> {
    let (mut card, task) = parse_task_id(content)?;
    let end = task.floor_char_boundary(MAX_TASK_ID_BYTES.saturating_sub(tail.len() + 1));
    let own = format!("{}-{tail}", task.get(..end).unwrap_or_default());
    card.insert("task_id".to_owned(), Value::String(own));
    Some(Value::Object(card).to_string())
}

fn parse_task_id(content: &str) -> Option<(Map<String, Value>, String)> {
    // Most contents have none: they need not be parsed.
    let card: Map<String, Value> =
        content.contains("\"task_id\"").then(|| serde_json::from_str(content).ok())??;
    let task = card.get("task_id")?.as_str()?.to_owned();
    Some((card, task))
}

/// The state of reading a content.
struct ContentReader<'a> {
    /// `None` if links stay as they are.
    wrapping: Option<LinkWrapper<'a>>,
    /// Whether texts that are too long are cut.
    truncates: bool,
    truncated: Vec<String>,
    links: Vec<WrappedLink>,
    errors: FieldErrors,
}
