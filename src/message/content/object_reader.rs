//! Reads one object of a request: its fields are taken out one by one, and what remains is unknown.
//!
//! A field that is `null` counts as not given, and so does an optional text that is empty: WeCom
//! reads both in this way.

use serde_json::{Map, Number, Value};

use super::limit::LengthLimit;
use super::markup::Markup;
use super::{ContentReader, FieldError};

/// How many unknown fields of one object are named.
const MAX_NAMED_FIELDS: usize = 10;

/// How much of a given text an error repeats.
const MAX_QUOTED_CHARS: usize = 64;

/// The longest text in which links are searched for.
///
/// A text that fits WeCom's limits after its links were wrapped is far shorter, and a hostile text
/// could make the search quadratic in its length.
pub(super) const MAX_SCANNED_BYTES: usize = 8 * 1024;

/// WeCom's limit of every URL.
const URL_LIMIT: LengthLimit = LengthLimit::Bytes(2048);

/// Why cards with buttons are refused.
pub(super) const NEEDS_CALLBACKS: &str =
    "is not in this version: it needs callbacks, which WeCom would send to us";

/// Collects everything that is wrong.
#[derive(Debug, Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), problem: problem.into() });
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Succeeds if nothing was wrong.
    pub(super) fn into_result(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// Quotes a given text for an error: shortened, and on one line.
pub(super) fn quote(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{short}{dots}"))
}

/// Whether a field must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requirement {
    Required,
    Optional,
}

/// An object that is being read, and the object that is made from it.
#[derive(Debug)]
pub(super) struct ObjectReader {
    /// The path in the request, such as `content.articles[0]`; empty for the whole request.
    path: String,
    given: Map<String, Value>,
    made: Map<String, Value>,
}

impl ObjectReader {
    pub(super) fn from_request(given: Map<String, Value>) -> Self {
        Self::at_path("", given)
    }

    pub(super) fn at_path(path: impl Into<String>, given: Map<String, Value>) -> Self {
        Self { path: path.into(), given, made: Map::new() }
    }

    /// Returns what was not taken out.
    pub(super) fn into_given(self) -> Map<String, Value> {
        self.given
    }

    /// Returns the path of a field.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Returns the path of the object itself.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a field has been read and is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.made.contains_key(name)
    }

    /// Whether an object that has been read has this field.
    pub(super) fn has_within(&self, name: &str, field: &str) -> bool {
        self.made.get(name).is_some_and(|object| object.get(field).is_some())
    }

    /// Returns a text that has been read.
    pub(super) fn made_text(&self, name: &str) -> Option<&str> {
        self.made.get(name).and_then(Value::as_str)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.given.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn take_object(
        &mut self,
        name: &str,
        required: bool,
        errors: &mut FieldErrors,
    ) -> Option<Self> {
        match self.take(name) {
            Some(Value::Object(object)) => Some(Self::at_path(self.path_of(name), object)),
            Some(_) => {
                errors.add(self.path_of(name), "is no object");
                None
            }
            None => {
                if required {
                    errors.add(self.path_of(name), "is missing");
                }
                None
            }
        }
    }

    /// Takes out a text as it was given.
    pub(super) fn take_text(
        &mut self,
        name: &str,
        required: bool,
        errors: &mut FieldErrors,
    ) -> Option<String> {
        match self.take(name) {
            Some(Value::String(text)) if text.contains('\0') => {
                errors.add(self.path_of(name), "contains a NUL");
            }
            Some(Value::String(text)) => return Some(text),
            Some(_) => errors.add(self.path_of(name), "is no text"),
            None if required => errors.add(self.path_of(name), "is missing"),
            None => {}
        }
        None
    }

    pub(super) fn take_texts(&mut self, name: &str, errors: &mut FieldErrors) -> Vec<String> {
        let mut texts = Vec::new();
        match self.take(name) {
            Some(Value::Array(list)) => {
                for item in list {
                    match item {
                        Value::String(text) if !text.contains('\0') => texts.push(text),
                        _ => {
                            errors.add(self.path_of(name), "is no list of texts");
                            break;
                        }
                    }
                }
            }
            Some(_) => errors.add(self.path_of(name), "is no list of texts"),
            None => {}
        }
        texts
    }

    pub(super) fn take_flag(&mut self, name: &str, usual: bool, errors: &mut FieldErrors) -> bool {
        match self.take(name) {
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                errors.add(self.path_of(name), "is neither true nor false");
                usual
            }
            None => usual,
        }
    }

    /// Adds an error for every field that has not been taken out.
    pub(super) fn refuse_unknown_fields(&self, errors: &mut FieldErrors) {
        for name in self.given.keys().take(MAX_NAMED_FIELDS) {
            let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_QUOTED_CHARS).collect();
            errors.add(self.path_of(&name), "is an unknown field");
        }
        if let Some(more) = self.given.len().checked_sub(MAX_NAMED_FIELDS).filter(|more| *more > 0) {
            let whole = if self.path.is_empty() { "the request" } else { &self.path };
            errors.add(whole, format!("has {more} more unknown fields"));
        }
    }

    /// Reads a text and checks its limit. Wrapped links count with their new length.
    pub(super) fn text(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        reader: &mut ContentReader<'_>,
    ) {
        self.marked_up(name, need, limit, Markup::None, reader);
    }

    /// Reads a text that may contain links.
    pub(super) fn marked_up(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        markup: Markup,
        reader: &mut ContentReader<'_>,
    ) {
        let Some(mut text) = self.take_filled_text(name, need, reader) else { return };
        let mut shortened = None;
        // Cut before links are searched for. It must still exceed its limit afterwards: see below.
        if text.len() > MAX_SCANNED_BYTES {
            shortened = limit.exceeded_by(&text);
            if !reader.truncates {
                reader.errors.add(self.path_of(name), shortened.unwrap_or_else(|| "is too long".to_owned()));
                return;
            }
            text.truncate(text.floor_char_boundary(MAX_SCANNED_BYTES));
        }
        let text = match &reader.wrapping {
            Some(wrapping) => wrapping.wrap_text(&text, markup, &mut reader.links),
            None => text,
        };
        let kept = match (limit.exceeded_by(&text), shortened) {
            (None, None) => text,
            // The cut would be at a place where nobody has looked for a link.
            (None, Some(problem)) => return reader.errors.add(self.path_of(name), problem),
            (Some(problem), _) => {
                let cut = if reader.truncates { limit.cut(&text, markup) } else { "" };
                if cut.trim().is_empty() {
                    let why = if reader.truncates {
                        ", and a link or tag in it leaves no place to cut"
                    } else {
                        ""
                    };
                    reader.errors.add(self.path_of(name), format!("{problem}{why}"));
                    return;
                }
                reader.truncated.push(self.path_of(name));
                cut.to_owned()
            }
        };
        self.made.insert(name.to_owned(), Value::String(kept));
    }

    /// Reads a text that must not be cut, such as an id or a path.
    pub(super) fn id(
        &mut self,
        name: &str,
        need: Requirement,
        limit: LengthLimit,
        reader: &mut ContentReader<'_>,
    ) {
        let Some(text) = self.take_filled_text(name, need, reader) else { return };
        if let Some(problem) = limit.exceeded_by(&text) {
            reader.errors.add(self.path_of(name), problem);
        } else if text.chars().any(char::is_control) {
            reader.errors.add(self.path_of(name), "contains a control character");
        } else {
            self.made.insert(name.to_owned(), Value::String(text));
        }
    }

    /// Reads a URL that a person opens.
    pub(super) fn link(&mut self, name: &str, need: Requirement, reader: &mut ContentReader<'_>) {
        let Some(given) = self.take_filled_text(name, need, reader) else { return };
        let url = match &reader.wrapping {
            Some(wrapping) => wrapping.wrap_url(&given, &mut reader.links),
            None => given,
        };
        self.keep_url(name, url, reader);
    }

    /// Reads the URL of a picture. It is never wrapped, because WeCom itself fetches it.
    pub(super) fn picture(&mut self, name: &str, need: Requirement, reader: &mut ContentReader<'_>) {
        if let Some(url) = self.take_filled_text(name, need, reader) {
            self.keep_url(name, url, reader);
        }
    }

    fn keep_url(&mut self, name: &str, url: String, reader: &mut ContentReader<'_>) {
        let lower = url.get(..8).unwrap_or(&url).to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        if rest.is_none() || url::Url::parse(&url).is_err() || url.chars().any(char::is_control) {
            reader.errors.add(self.path_of(name), "is no URL that begins with http:// or https://");
        } else if let Some(problem) = URL_LIMIT.exceeded_by(&url) {
            reader.errors.add(self.path_of(name), problem);
        } else {
            self.made.insert(name.to_owned(), Value::String(url));
        }
    }

    /// Takes out a text that is not blank.
    fn take_filled_text(
        &mut self,
        name: &str,
        need: Requirement,
        reader: &mut ContentReader<'_>,
    ) -> Option<String> {
        let given = self.take_text(name, need == Requirement::Required, &mut reader.errors)?;
        // JSON writes them as \uXXXX, which WeCom refuses (40033).
        if given.chars().any(|c| c < ' ' && !matches!(c, '\n' | '\r' | '\t')) {
            reader.errors.add(self.path_of(name), "contains a control character");
            return None;
        }
        if !given.trim().is_empty() {
            return Some(given);
        }
        if need == Requirement::Required {
            reader.errors.add(self.path_of(name), "is empty");
        }
        None
    }

    /// Reads one of a few numbers. A missing one means `usual` and is left out.
    pub(super) fn choice(
        &mut self,
        name: &str,
        known: &[u64],
        usual: Option<u64>,
        reader: &mut ContentReader<'_>,
    ) -> Option<u64> {
        let Some(value) = self.take(name) else {
            if usual.is_none() {
                reader.errors.add(self.path_of(name), "is missing");
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
                reader.errors.add(self.path_of(name), format!("is none of {known}"));
                None
            }
        }
    }

    pub(super) fn number(&mut self, name: &str, least: f64, most: f64, reader: &mut ContentReader<'_>) {
        let Some(value) = self.take(name) else { return };
        let number = value.as_f64().filter(|number| (least..=most).contains(number));
        match number.and_then(Number::from_f64) {
            Some(number) => drop(self.made.insert(name.to_owned(), Value::Number(number))),
            None => reader.errors.add(self.path_of(name), format!("is no number from {least} to {most}")),
        }
    }

    /// Reads an object with `read`; leaves it out if it is empty.
    pub(super) fn nested(
        &mut self,
        name: &str,
        reader: &mut ContentReader<'_>,
        read: impl FnOnce(&mut Self, &mut ContentReader<'_>),
    ) {
        if let Some(object) = self.take_object(name, false, &mut reader.errors) {
            let made = object.finish(reader, read);
            if !made.is_empty() {
                self.made.insert(name.to_owned(), Value::Object(made));
            }
        }
    }

    /// Reads a list of `least` to `most` objects, each with `read`.
    pub(super) fn list(
        &mut self,
        name: &str,
        (least, most): (usize, usize),
        reader: &mut ContentReader<'_>,
        read: impl Fn(&mut Self, &mut ContentReader<'_>),
    ) {
        let at = self.path_of(name);
        let list = match self.take(name) {
            Some(Value::Array(list)) => list,
            Some(_) => return reader.errors.add(at, "is no list"),
            None if least > 0 => return reader.errors.add(at, "is missing"),
            None => return,
        };
        if list.len() > most || list.len() < least {
            reader.errors.add(at, format!("{} entries, {least} to {most} are possible", list.len()));
            return;
        }
        let mut made = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            match item {
                Value::Object(object) => {
                    made.push(Value::Object(Self::at_path(at, object).finish(reader, &read)));
                }
                _ => reader.errors.add(at, "is no object"),
            }
        }
        if !made.is_empty() {
            self.made.insert(name.to_owned(), Value::Array(made));
        }
    }

    /// Reads the whole object with `read`, refuses what remains, and returns what was made.
    pub(super) fn finish(
        mut self,
        reader: &mut ContentReader<'_>,
        read: impl FnOnce(&mut Self, &mut ContentReader<'_>),
    ) -> Map<String, Value> {
        read(&mut self, reader);
        self.refuse_unknown_fields(&mut reader.errors);
        self.made
    }

    /// Refuses a field that is known but not supported in this version.
    pub(super) fn not_in_this_version(&mut self, name: &str, reader: &mut ContentReader<'_>) {
        if self.take(name).is_some() {
            reader.errors.add(self.path_of(name), NEEDS_CALLBACKS);
        }
    }

    /// Inserts a text that was read elsewhere.
    pub(super) fn insert_text(&mut self, name: &str, text: &str) {
        self.made.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}
