//! Checks of single fields that messages and template cards share (doc 90236).

use std::time::Duration;

use serde_json::{Map, Value};

use super::call::SimulatedRefusal;
use super::media::{BAD_MEDIA, MediaStore, UploadKind};
use super::world::SimulatedApp;

const MAX_URL_BYTES: usize = 2048;

/// What a content is checked against.
#[derive(Clone, Copy)]
pub(super) struct ContentContext<'w> {
    pub(super) app: &'w SimulatedApp,
    pub(super) medias: &'w MediaStore,
    pub(super) now: Duration,
}

impl ContentContext<'_> {
    /// Checks the `media_id` of a content.
    ///
    /// # Errors
    /// 40007 unless it exists, has that kind and is younger than three days.
    pub(super) fn check_media(
        &self,
        fields: &Map<String, Value>,
        kind: &str,
    ) -> Result<(), SimulatedRefusal> {
        let kind = UploadKind::from_name(kind).ok_or(BAD_MEDIA)?;
        let id = text_field(fields, "media_id").ok_or(BAD_MEDIA)?;
        if self.medias.get(&id, self.now).is_some_and(|m| m.kind == kind) { Ok(()) } else { Err(BAD_MEDIA) }
    }
}

/// Checks a URL.
///
/// # Errors
/// 40039 for a URL that is too long, 45034 for one without `http://` or `https://`.
pub(super) fn check_link(url: &str) -> Result<(), SimulatedRefusal> {
    if url.len() > MAX_URL_BYTES {
        return Err(SimulatedRefusal(40039, "invalid url size"));
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => Ok(()),
        _ => Err(SimulatedRefusal(45034, "url must have a protocol header")),
    }
}

/// Returns a text that is not empty.
pub(super) fn text_field(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// Parses a switch, 0 or 1.
///
/// # Errors
/// 40035 for anything else.
pub(super) fn parse_flag(body: &Value, name: &str) -> Result<bool, SimulatedRefusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(n) if n.as_i64() == Some(0) => Ok(false),
        Some(n) if n.as_i64() == Some(1) => Ok(true),
        Some(_) => Err(SimulatedRefusal(40035, "invalid parameter, a switch is 0 or 1")),
    }
}

/// Truncates to at most `bytes`, between two characters.
pub(super) fn truncate_text(text: &str, bytes: usize) -> String {
    let mut text = text.to_owned();
    text.truncate(text.floor_char_boundary(bytes));
    text
}

pub(super) fn truncate_field(fields: &mut Map<String, Value>, name: &str, bytes: usize) {
    if let Some(there) = text_field(fields, name) {
        set_field(fields, name, truncate_text(&there, bytes));
    }
}

pub(super) fn set_field(fields: &mut Map<String, Value>, name: &str, value: String) {
    fields.insert(name.to_owned(), Value::String(value));
}
