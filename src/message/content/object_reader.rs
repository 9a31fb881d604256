//! One object of a request: its fields are taken out one by one, and what is left over is unknown.
//!
//! A field that is `null` counts as not given, and so does an optional text that is empty: WeCom reads both so.

use serde_json::{Map, Number, Value};

use super::limit::LengthLimit;
use super::markup::Markup;
use super::{ContentReader, FieldError};

/// So many unknown fields of one object are named.
const MAX_NAMED_FIELDS: usize = 10;

/// So much of a text that somebody sent is repeated.
const MAX_QUOTED_CHARS: usize = 64;

/// No text of which links are looked for is longer, in bytes: what fits WeCom's limits once links are wrapped is shorter by
/// far, and looking for links in a text takes as long as its length squared, if somebody means ill.
const MAX_SCANNED_BYTES: usize = 8 * 1024;

/// WeCom's limit of every URL.
const URL_LIMIT: LengthLimit = LengthLimit::Bytes(2048);

/// Everything that is wrong so far.
#[derive(Debug, Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// One more.
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), problem: problem.into() });
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there were none.
    pub(super) fn into_result(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A text of somebody's in a finding, not too long and on one line.
pub(super) fn quote(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{short}{dots}"))
}

/// Whether a text has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requirement {
    Required,
    Optional,
}

/// An object that is being read, and what is made of it.
#[derive(Debug)]
pub(super) struct ObjectReader {
    /// `content.articles[0]`; empty for the whole request.
    path: String,
    given: Map<String, Value>,
    made: Map<String, Value>,
}

impl ObjectReader {
    /// The whole request.
    pub(super) fn from_request(given: Map<String, Value>) -> Self {
        Self::at_path("", given)
    }

    /// The object at `path`.
    pub(super) fn at_path(path: impl Into<String>, given: Map<String, Value>) -> Self {
        Self { path: path.into(), given, made: Map::new() }
    }

    /// What was not taken out.
    pub(super) fn into_given(self) -> Map<String, Value> {
        self.given
    }

    /// Where a field stands.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Where the object itself stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a field has been read and is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.made.contains_key(name)
    }

    /// Whether an object that has been read has that field.
    pub(super) fn has_within(&self, name: &str, field: &str) -> bool {
        self.made.get(name).is_some_and(|object| object.get(field).is_some())
    }

    /// A text that has been read.
    pub(super) fn made_text(&self, name: &str) -> Option<&str> {
        self.made.get(name).and_then(Value::as_str)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.given.shift_remove(name).filter(|value| !value.is_null())
    }

    /// An object.
    pub(super) fn take_object(
        &mut self,
        name: &str,
        required: bool,
        findings: &mut FieldErrors,
    ) -> Option<Self> {
        match self.take(name) {
            Some(Value::Object(object)) => Some(Self::at_path(self.path_of(name), object)),
            Some(_) => {
                findings.add(self.path_of(name), "is no object");
                None
            }
            None => {
                if required {
                    findings.add(self.path_of(name), "is missing");
                }
                None
            }
        }
    }

    /// A text as it was given.
    pub(super) fn take_text(
        &mut self,
        name: &str,
        required: bool,
        findings: &mut FieldErrors,
    ) -> Option<String> {
        match self.take(name) {
            Some(Value::String(text)) if text.contains('\0') => {
                findings.add(self.path_of(name), "contains a NUL")
            }
            Some(Value::String(text)) => return Some(text),
            Some(_) => findings.add(self.path_of(name), "is no text"),
            None if required => findings.add(self.path_of(name), "is missing"),
            None => {}
        }
        None
    }

    /// A list of texts.
    pub(super) fn take_texts(&mut self, name: &str, findings: &mut FieldErrors) -> Vec<String> {
        let mut texts = Vec::new();
        match self.take(name) {
            Some(Value::Array(list)) => {
                for item in list {
                    match item {
                        Value::String(text) if !text.contains('\0') => texts.push(text),
                        _ => {
                            findings.add(self.path_of(name), "is no list of texts");
                            break;
                        }
                    }
                }
            }
            Some(_) => findings.add(self.path_of(name), "is no list of texts"),
            None => {}
        }
        texts
    }

    /// `true` or `false`.
    pub(super) fn take_flag(&mut self, name: &str, usual: bool, findings: &mut FieldErrors) -> bool {
        match self.take(name) {
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                findings.add(self.path_of(name), "is neither true nor false");
                usual
            }
            None => usual,
        }
    }

    /// Refuses what has not been taken out.
    pub(super) fn refuse_unknown_fields(&self, findings: &mut FieldErrors) {
        for name in self.given.keys().take(MAX_NAMED_FIELDS) {
            let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_QUOTED_CHARS).collect();
            findings.add(self.path_of(&name), "is an unknown field");
        }
        if let Some(more) = self.given.len().checked_sub(MAX_NAMED_FIELDS).filter(|more| *more > 0) {
            let whole = if self.path.is_empty() { "the request" } else { &self.path };
            findings.add(whole, format!("has {more} more unknown fields"));
        }
    }

    /// Reads a text, held against its limit; wrapped links count as what they have become.
    pub(super) fn text(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        desk: &mut ContentReader<'_>,
    ) {
        self.marked_up(name, need, limit, Markup::None, desk);
    }

    /// Reads a text in which links may stand.
    pub(super) fn marked_up(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        markup: Markup,
        desk: &mut ContentReader<'_>,
    ) {
        let Some(mut text) = self.take_filled_text(name, need, desk) else { return };
        let mut shortened = None;
        if text.len() > MAX_SCANNED_BYTES {
            shortened = limit.exceeded_by(&text);
            if !desk.truncates {
                desk.errors.add(self.path_of(name), shortened.unwrap_or_else(|| "is too long".to_owned()));
                return;
            }
            text.truncate(text.floor_char_boundary(MAX_SCANNED_BYTES));
        }
        let text = match &desk.wrapping {
            Some(wrapping) => wrapping.wrap_text(&text, markup, &mut desk.links),
            None => text,
        };
        let kept = match (limit.exceeded_by(&text), shortened) {
            (None, None) => text,
            // It would end where nobody looked whether a link does.
            (None, Some(problem)) => return desk.errors.add(self.path_of(name), problem),
            (Some(problem), _) => {
                let cut = if desk.truncates { limit.cut(&text, markup) } else { "" };
                if cut.trim().is_empty() {
                    let why =
                        if desk.truncates { ", and a link or tag in it leaves no place to cut" } else { "" };
                    desk.errors.add(self.path_of(name), format!("{problem}{why}"));
                    return;
                }
                desk.truncated.push(self.path_of(name));
                cut.to_owned()
            }
        };
        self.made.insert(name.to_owned(), Value::String(kept));
    }

    /// Reads a text that is passed on as it is, or refused: an id, a path.
    pub(super) fn id(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        desk: &mut ContentReader<'_>,
    ) {
        let Some(text) = self.take_filled_text(name, need, desk) else { return };
        if let Some(problem) = limit.exceeded_by(&text) {
            desk.errors.add(self.path_of(name), problem);
        } else if text.chars().any(char::is_control) {
            desk.errors.add(self.path_of(name), "contains a control character");
        } else {
            self.made.insert(name.to_owned(), Value::String(text));
        }
    }

    /// Reads a URL that a person opens.
    pub(super) fn link(&mut self, name: &str, need: Requirement, desk: &mut ContentReader<'_>) {
        let Some(given) = self.take_filled_text(name, need, desk) else { return };
        let url = match &desk.wrapping {
            Some(wrapping) => wrapping.wrap_url(&given, &mut desk.links),
            None => given,
        };
        self.keep_url(name, url, desk);
    }

    /// Reads the URL of a picture, which is never wrapped: WeCom itself fetches it.
    pub(super) fn picture(&mut self, name: &str, need: Requirement, desk: &mut ContentReader<'_>) {
        if let Some(url) = self.take_filled_text(name, need, desk) {
            self.keep_url(name, url, desk);
        }
    }

    fn keep_url(&mut self, name: &str, url: String, desk: &mut ContentReader<'_>) {
        let lower = url.get(..8).unwrap_or(&url).to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        if rest.is_none() || url::Url::parse(&url).is_err() || url.chars().any(char::is_control) {
            desk.errors.add(self.path_of(name), "is no URL that begins with http:// or https://");
        } else if let Some(problem) = URL_LIMIT.exceeded_by(&url) {
            desk.errors.add(self.path_of(name), problem);
        } else {
            self.made.insert(name.to_owned(), Value::String(url));
        }
    }

    /// A text that is there and not blank.
    fn take_filled_text(
        &mut self,
        name: &str,
        need: Requirement,
        desk: &mut ContentReader<'_>,
    ) -> Option<String> {
        let given = self.take_text(name, need == Requirement::Required, &mut desk.errors)?;
        // JSON writes them as \uXXXX, which WeCom refuses (40033).
        if given.chars().any(|c| c < ' ' && !matches!(c, '\n' | '\r' | '\t')) {
            desk.errors.add(self.path_of(name), "contains a control character");
            return None;
        }
        if !given.trim().is_empty() {
            return Some(given);
        }
        if need == Requirement::Required {
            desk.errors.add(self.path_of(name), "is empty");
        }
        None
    }

    /// Reads one of a few numbers. What is not given is `usual`, and left out.
    pub(super) fn choice(
        &mut self,
        name: &str,
        known: &[u64],
        usual: Option<u64>,
        desk: &mut ContentReader<'_>,
    ) -> Option<u64> {
        let Some(value) = self.take(name) else {
            if usual.is_none() {
                desk.errors.add(self.path_of(name), "is missing");
            }
            return usual;
        };
        match value.as_u64().filter(|number| known.contains(number)) {
            Some(number) => {
                self.made.insert(name.to_owned(), Value::Number(number.into()));
                Some(number)
            }
            None => {
                let known = known.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                desk.errors.add(self.path_of(name), format!("is none of {known}"));
                None
            }
        }
    }

    /// Reads a number from `least` to `most`.
    pub(super) fn number(&mut self, name: &str, least: f64, most: f64, desk: &mut ContentReader<'_>) {
        let Some(value) = self.take(name) else { return };
        let number = value.as_f64().filter(|number| (least..=most).contains(number));
        match number.and_then(Number::from_f64) {
            Some(number) => drop(self.made.insert(name.to_owned(), Value::Number(number))),
            None => desk.errors.add(self.path_of(name), format!("is no number from {least} to {most}")),
        }
    }

    /// Reads an object by `how`; one that has nothing in it is left out.
    pub(super) fn nested(
        &mut self,
        name: &str,
        desk: &mut ContentReader<'_>,
        how: impl FnOnce(&mut Self, &mut ContentReader<'_>),
    ) {
        if let Some(part) = self.take_object(name, false, &mut desk.errors) {
            let made = part.finish(desk, how);
            if !made.is_empty() {
                self.made.insert(name.to_owned(), Value::Object(made));
            }
        }
    }

    /// Reads a list of `least` to `most` objects, each by `how`.
    pub(super) fn list(
        &mut self,
        name: &str,
        (least, most): (usize, usize),
        desk: &mut ContentReader<'_>,
        how: impl Fn(&mut Self, &mut ContentReader<'_>),
    ) {
        let at = self.path_of(name);
        let list = match self.take(name) {
            Some(Value::Array(list)) => list,
            Some(_) => return desk.errors.add(at, "is no list"),
            None if least > 0 => return desk.errors.add(at, "is missing"),
            None => return,
        };
        if list.len() > most || list.len() < least {
            desk.errors.add(at, format!("{} entries, {least} to {most} are possible", list.len()));
            return;
        }
        let mut made = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            match item {
                Value::Object(object) => {
                    made.push(Value::Object(Self::at_path(at, object).finish(desk, &how)));
                }
                _ => desk.errors.add(at, "is no object"),
            }
        }
        if !made.is_empty() {
            self.made.insert(name.to_owned(), Value::Array(made));
        }
    }

    /// Reads all of it by `how`, refuses what is left over, and hands back what was made.
    pub(super) fn finish(
        mut self,
        desk: &mut ContentReader<'_>,
        how: impl FnOnce(&mut Self, &mut ContentReader<'_>),
    ) -> Map<String, Value> {
        how(&mut self, desk);
        self.refuse_unknown_fields(&mut desk.errors);
        self.made
    }

    /// Refuses a field that is known but not in this version.
    pub(super) fn not_in_this_version(&mut self, name: &str, desk: &mut ContentReader<'_>) {
        if self.take(name).is_some() {
            desk.errors.add(self.path_of(name), super::card::NEEDS_CALLBACKS);
        }
    }

    /// Puts in what was worked out elsewhere.
    pub(super) fn insert_text(&mut self, name: &str, text: &str) {
        self.made.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}
