//! Temporary media (临时素材, docs 90253, 90254): uploads, which are valid for three days.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::api::{SimulatedCall, SimulatedRefusal};
use super::content::BAD_MEDIA;
use super::state::SimulatorContext;
use super::{multipart, random};

/// How long a `media_id` is valid.
const MEDIA_LIFETIME: Duration = Duration::from_hours(72);
/// A file must be larger than this.
const MIN_MEDIA_BYTES: usize = 5;
const MEGABYTE: usize = 1024 * 1024;

/// The kinds of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadKind {
    Image,
    Voice,
    Video,
    File,
}

impl UploadKind {
    /// Returns the kind by its name in `type=` and `msgtype`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Image, Self::Voice, Self::Video, Self::File].into_iter().find(|k| k.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::File => "file",
        }
    }

    const fn max_bytes(self) -> usize {
        match self {
            Self::Image | Self::Video => 10 * MEGABYTE,
            Self::Voice => 2 * MEGABYTE,
            Self::File => 20 * MEGABYTE,
        }
    }

    /// Returns the content type, or `None` if the bytes are not of this kind. An image is JPG or
    /// PNG, a voice AMR, a video MP4.
    fn content_type(self, bytes: &[u8]) -> Option<&'static str> {
        match self {
            Self::Image if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
            Self::Image if bytes.starts_with(b"\xff\xd8\xff") => Some("image/jpeg"),
            Self::Voice if bytes.starts_with(b"#!AMR") => Some("audio/amr"),
            Self::Video if bytes.get(4..8) == Some(b"ftyp") => Some("video/mp4"),
            Self::File => Some("application/octet-stream"),
            Self::Image | Self::Voice | Self::Video => None,
        }
    }
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    pub id: String,
    /// `image`, `voice`, `video` or `file`.
    pub kind: String,
    /// The name that the phone shows.
    pub name: String,
    pub bytes: Bytes,
    /// In seconds since 1970, by the simulator's clock.
    pub created_at: u64,
}

#[derive(Debug)]
pub(super) struct StoredMedia {
    pub(super) kind: UploadKind,
    pub(super) name: String,
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
    uploaded: Duration,
}

/// The uploads of the last three days.
#[derive(Debug, Default)]
pub(super) struct MediaStore(HashMap<String, StoredMedia>);

impl MediaStore {
    /// Returns an upload that has not expired.
    pub(super) fn get(&self, id: &str, now: Duration) -> Option<&StoredMedia> {
        self.0.get(id).filter(|m| now.saturating_sub(m.uploaded) < MEDIA_LIFETIME)
    }

    /// Returns a copy of it for a test.
    pub(super) fn public(&self, id: &str, now: Duration, began: Duration) -> Option<Media> {
        self.get(id, now).map(|m| Media {
            id: id.to_owned(),
            kind: m.kind.name().to_owned(),
            name: m.name.clone(),
            bytes: m.bytes.clone(),
            created_at: (began + m.uploaded).as_secs(),
        })
    }

    fn add(&mut self, medium: StoredMedia) -> String {
        let now = medium.uploaded;
        self.0.retain(|_, m| now.saturating_sub(m.uploaded) < MEDIA_LIFETIME);
        let id = random::random_text(64);
        self.0.insert(id.clone(), medium);
        id
    }
}

/// Doc 90253. Every secret may upload; a `media_id` is valid for all applications of the
/// corporation.
pub(super) fn upload_media(
    context: &mut SimulatorContext,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    let kind = call
        .param("type")
        .and_then(UploadKind::from_name)
        .ok_or(SimulatedRefusal(40005, "invalid media type"))?;
    let empty = || SimulatedRefusal(44001, "empty media data");
    let parts = multipart::parse_parts(call.content_type.as_deref().unwrap_or_default(), &call.body);
    let parts = parts.ok_or_else(empty)?;
    let part = parts.into_iter().find(|p| p.name == "media").ok_or_else(empty)?;
    let name = part.filename.filter(|n| !n.is_empty()).ok_or_else(empty)?;
    if part.bytes.is_empty() {
        return Err(empty());
    }
    if part.bytes.len() <= MIN_MEDIA_BYTES {
        return Err(SimulatedRefusal(40006, "invalid media size"));
    }
    if part.bytes.len() > kind.max_bytes() {
        return Err(SimulatedRefusal(45001, "media size out of limit"));
    }
    let content_type =
        kind.content_type(part.bytes).ok_or(SimulatedRefusal(40004, "invalid media file type"))?;
    let created_at = (context.began + context.now).as_secs();
    let bytes = Bytes::copy_from_slice(part.bytes);
    let id = context.medias.add(StoredMedia { kind, name, content_type, bytes, uploaded: context.now });
    // Doc 90253: errmsg is empty, and created_at is a string.
    Ok(json!({
        "errcode": 0,
        "errmsg": "",
        "type": kind.name(),
        "media_id": id,
        "created_at": created_at.to_string(),
    }))
}

/// Doc 90254: the bytes themselves.
pub(super) fn get_media<'s>(
    context: &'s SimulatorContext,
    call: &SimulatedCall,
) -> Result<&'s StoredMedia, SimulatedRefusal> {
    let id = call.param("media_id").ok_or(SimulatedRefusal(41006, "missing media_id"))?;
    context.medias.get(id, context.now).ok_or(BAD_MEDIA)
}

impl StoredMedia {
    /// Serves the bytes as a download under their name, or inline if `inline` is set and they are a
    /// picture.
    pub(super) fn answer(&self, inline: bool) -> Response {
        let inline = inline && self.kind == UploadKind::Image;
        let how = if inline { "inline" } else { "attachment" };
        let name = urlencoding::encode(&self.name);
        let disposition = format!("{how}; filename=\"{name}\"; filename*=UTF-8''{name}");
        let headers = [
            (header::CONTENT_TYPE, self.content_type.to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        (headers, self.bytes.clone()).into_response()
    }
}
