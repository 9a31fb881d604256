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
mod part;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::DateTime;
use serde_json::{Map, Value};

use self::links::Wrapping;
pub use self::links::{Link, is_wrapped};
use self::part::{Findings, Part};
use super::Kind;
use crate::base::clock::Timestamp;
use crate::base::host::Hosts;
use crate::base::secret::{sha256, sha256_hex};

/// One thing that is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: `content.articles[0].title`.
    pub field: String,
    /// What: `140 bytes, at most 128`.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// Whom a message is for, as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct To {
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
pub struct Order {
    /// Whom it is for.
    pub to: To,
    /// What it is.
    pub kind: Kind,
    /// WeCom's own object of that kind.
    pub content: Map<String, Value>,
    /// Whether links to our hosts open signed in.
    pub url_signed_in: bool,
    /// Whether texts that are too long are cut rather than refused.
    pub truncate: bool,
    /// When it is no longer worth sending.
    pub expires_at: Option<Timestamp>,
}

impl Order {
    /// Reads a request. Every field but `to`, `kind` and `content` may be missing or `null`.
    ///
    /// # Errors
    /// Everything that is no such request: fields that are missing, of another type, or unknown.
    pub fn read(request: Map<String, Value>) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::default();
        let mut part = Part::whole(request);
        let to = part.object("to", true, &mut findings).map(|to| read_to(to, &mut findings));
        let kind = part.given_text("kind", true, &mut findings);
        let content = part.object("content", true, &mut findings);
        let url_signed_in = part.flag("url_signed_in", true, &mut findings);
        let truncate = part.flag("truncate", false, &mut findings);
        let expires_at = part.given_text("expires_at", false, &mut findings);
        part.nothing_else(&mut findings);
        let kind = kind.and_then(|word| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
            if kind.is_none() {
                let known = Kind::ALL.map(Kind::as_str).join(", ");
                findings.add("kind", format!("{} is none of {known}", part::quoted(&word)));
            }
            kind
        });
        let expires_at = expires_at.and_then(|text| {
            let instant = DateTime::parse_from_rfc3339(&text);
            if instant.is_err() {
                let problem = format!("{} is not an instant of RFC 3339", part::quoted(&text));
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
            "kind": self.kind.as_str(), "content": sorted(&Value::Object(self.content.clone())),
            "url_signed_in": self.url_signed_in, "truncate": self.truncate,
            "expires_at": self.expires_at.map(Timestamp::millis),
        });
        sha256_hex(&asked.to_string())
    }
}

/// The same value with the keys of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn read_to(mut part: Part, findings: &mut Findings) -> To {
    let to = To {
        users: part.texts("users", findings),
        units: part.texts("units", findings),
        tags: part.texts("tags", findings),
        all: part.flag("all", false, findings),
    };
    part.nothing_else(findings);
    to
}

/// A content that WeCom takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// WeCom's own object of the kind, as JSON: the exact bytes that are sent.
    pub content: String,
    /// The links in it that are ours.
    pub links: Vec<Link>,
    /// What was cut: `content.title`.
    pub truncated: Vec<String>,
    /// Whether no other message can have an equal content: a link of ours or a `task_id` is in it.
    pub is_unique: bool,
}

/// Reads the content of `order`, wraps the links in it that `hosts` permits, and holds it against WeCom's limits.
///
/// # Errors
/// Everything that is wrong with it.
pub fn judge(order: &Order, hosts: &Hosts) -> Result<Judged, Vec<Finding>> {
    let mut desk = Desk {
        wrapping: order.url_signed_in.then(|| Wrapping::new(hosts)),
        cuts: order.truncate,
        truncated: Vec::new(),
        links: Vec::new(),
        findings: Findings::default(),
    };
    let made = kinds::read(order.kind, Part::named("content", order.content.clone()), &mut desk);
    desk.findings.into_result()?;
    let has_task = made.contains_key("task_id");
    let content = Value::Object(made).to_string();
    // A link behind the place where a text was cut is gone.
    let mut links = desk.links;
    links.retain(|link| content.contains(&link.id));
    let is_unique = has_task || !links.is_empty();
    Ok(Judged { content, links, truncated: desk.truncated, is_unique })
}

/// `body` of a message: a hash of its kind and content. Equal bodies may share a call.
pub fn body(kind: Kind, content: &str) -> String {
    hex::encode(sha256(format!("{}\n{content}", kind.as_str()).as_bytes()))
}

/// The longest `task_id` of a card, in bytes (document 90236).
const TASK_ID: usize = 128;

/// Whether a content, as [`judge`] made it, has a `task_id`: WeCom takes each once (42014).
pub fn has_task(content: &str) -> bool {
    task_of(content).is_some()
}

/// The same content with a `task_id` of its own that ends in `tail`; `None`: it has none.
pub fn with_own_task(content: &str, tail: &str) -> Option<String> {
    let (mut card, task) = task_of(content)?;
    let end = task.floor_char_boundary(TASK_ID.saturating_sub(tail.len() + 1));
    let own = format!("{}-{tail}", task.get(..end).unwrap_or_default());
    card.insert("task_id".to_owned(), Value::String(own));
    Some(Value::Object(card).to_string())
}

fn task_of(content: &str) -> Option<(Map<String, Value>, String)> {
    // Most contents have none, and need not be read.
    let card: Map<String, Value> =
        content.contains("\"task_id\"").then(|| serde_json::from_str(content).ok())??;
    let task = card.get("task_id")?.as_str()?.to_owned();
    Some((card, task))
}

/// What is collected while a content is read.
struct Desk<'a> {
    /// `None`: links stay as they are.
    wrapping: Option<Wrapping<'a>>,
    /// Whether texts are cut.
    cuts: bool,
    truncated: Vec<String>,
    links: Vec<Link>,
    findings: Findings,
}
