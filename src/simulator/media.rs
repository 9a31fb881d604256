//! Temporary media (临时素材, docs 90253, 90254): uploads, which are valid for three days.

use std::collections::HashMap;
use std::time::Duration;

use super::call::SimulatedRefusal;
use super::random;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(super) const BAD_MEDIA: SimulatedRefusal = SimulatedRefusal(40007, "invalid media_id");

/// How long a `media_id` is valid.
const MEDIA_LIFETIME: Duration = Duration::from_hours(72);
/// A file must be larger than this.
pub(super) const MIN_MEDIA_BYTES: usize = 5;
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

    pub(super) const fn max_bytes(self) -> usize {
        match self {
            Self::Image | Self::Video => 10 * MEGABYTE,
            Self::Voice => 2 * MEGABYTE,
            Self::File => 20 * MEGABYTE,
        }
    }

    /// Returns the content type, or `None` if the bytes are not of this kind. An image is JPG or
    /// PNG, a voice AMR, a video MP4.
    pub(super) fn content_type(self, bytes: &[u8]) -> Option<&'static str> {
        match self {
            Self::Image if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
            Self::Image if bytes.starts_with(b"\xff\xd8\xff") => Some("image/jpeg"),
            Self::Voice if bytes.starts_with(b"#!AMR") => Some("audio/amr"),
            // ISO base media: the type stands behind the size of the first box.
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
    pub(super) uploaded: Duration,
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

    pub(super) fn add(&mut self, medium: StoredMedia) -> String {
        let now = medium.uploaded;
        // Expired uploads would pile up in a long run.
        self.0.retain(|_, m| now.saturating_sub(m.uploaded) < MEDIA_LIFETIME);
        let id = random::random_text(64);
        self.0.insert(id.clone(), medium);
        id
    }
}

impl StoredMedia {
    /// Serves the bytes as a download under their name, or inline if `inline` is set and they are a
    /// picture.
    pub(super) fn answer(&self, inline: bool) -> Response {
        let inline = inline && self.kind == UploadKind::Image;
        let how = if inline { "inline" } else { "attachment" };
        let name = urlencoding::encode(&self.name);
        // RFC 6266: `filename*` carries the encoding; `filename` is for clients without it.
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
