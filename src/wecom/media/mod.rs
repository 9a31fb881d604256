//! Files for messages (`media/upload`, document 90253).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::call_class::CallClass;
use super::exchange::{CallParameter, RequestBody, WecomRequest};
use super::{Deadline, SecretKind, WecomClient, WecomError, lenient_json};
use crate::base::clock::Timestamp;
use crate::base::secret::random_bytes;

const UPLOAD_API: &str = "media/upload";

/// How long WeCom keeps an uploaded file, from [`UploadedMedia::created_at`]; afterwards its id is
/// refused with 40007.
pub(crate) const MEDIA_LIFETIME: Duration = Duration::from_secs(3 * 86_400);

/// The kind of an upload. Each kind of message takes ids of its own kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// JPG or PNG, up to 10 MB.
    Image,
    /// Anything of more than 5 bytes, up to 20 MB.
    File,
}

impl MediaKind {
    pub const ALL: [Self; 2] = [Self::Image, Self::File];

    /// Returns the word that WeCom uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::File => "file",
        }
    }
}

/// A file to upload. WeCom limits its size: 40006, 40009, 45001.
#[derive(Clone)]
pub struct Upload<'a> {
    pub kind: MediaKind,
    /// The name that recipients see. Quotes, backslashes, slashes and control characters are sent
    /// as `_`.
    pub file_name: &'a str,
    /// The media type; sent as `application/octet-stream` if it is not one.
    pub content_type: &'a str,
    pub bytes: Bytes,
}

impl fmt::Debug for Upload<'_> {
    /// Shows the length in place of the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("kind", &self.kind)
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// A file that WeCom has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedMedia {
    /// The id for messages, valid for every application of the company.
    pub media_id: String,
    /// When WeCom received it; the id is valid for [`MEDIA_LIFETIME`] from then.
    pub created_at: Timestamp,
}

#[derive(Deserialize)]
struct UploadAnswer {
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    media_id: Option<String>,
    /// Seconds since 1970.
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    created_at: Option<i64>,
}

impl WecomClient {
    /// Uploads a file for messages (`media/upload`, POST) with the application's token; at most two
    /// at once, up to 60 s each.
    ///
    /// Uploading a file twice makes two ids and does no harm. If the answer has no time, the Date
    /// header of the answer counts.
    pub async fn upload_media(
        &self,
        upload: Upload<'_>,
        deadline: Deadline,
    ) -> Result<UploadedMedia, WecomError> {
        let boundary = format!("gongpai-{}", hex::encode(random_bytes::<16>()));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let bytes = Bytes::from(build_form(&upload, &boundary));
        let query = [CallParameter::open("type", upload.kind.as_str())];
        let body = RequestBody::Bytes { content_type: &content_type, bytes: &bytes };
        let request =
            WecomRequest { api: UPLOAD_API, query: &query, body: Some(body), class: CallClass::Upload };
        let UploadAnswer { media_id, created_at } = self.call(SecretKind::App, request, deadline).await?;
        let unreadable =
            |why: &str| WecomError::Unreadable { api: UPLOAD_API, status: 200, why: why.to_owned() };
        let media_id = media_id.ok_or_else(|| unreadable("it has no media_id"))?;
        let created_at = created_at
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| seconds.checked_mul(1000))
            .map(Timestamp::from_millis)
            // The Date header of this answer has just been recorded.
            .or_else(|| self.exchange().server_time())
            .ok_or_else(|| unreadable("it has no date"))?;
        Ok(UploadedMedia { media_id, created_at })
    }
}

/// Builds the form with its one part, `media`. The name is raw UTF-8 in `filename`, because WeCom
/// shows that and does not read `filename*`.
fn build_form(upload: &Upload<'_>, boundary: &str) -> Vec<u8> {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"media\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
        escape_file_name(upload.file_name),
        valid_content_type(upload.content_type),
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let mut form = Vec::with_capacity(head.len() + upload.bytes.len() + tail.len());
    form.extend_from_slice(head.as_bytes());
    form.extend_from_slice(&upload.bytes);
    form.extend_from_slice(tail.as_bytes());
    form
}

fn escape_file_name(name: &str) -> String {
    let harmless = |c: char| if c.is_control() || matches!(c, '"' | '\\' | '/') { '_' } else { c };
    let name: String = name.trim().chars().map(harmless).collect();
    if name.is_empty() { "file".to_owned() } else { name }
}

/// Returns `type/subtype` and perhaps parameters, or the media type of bytes.
fn valid_content_type(text: &str) -> &str {
    let text = text.trim();
    let is_one = text.contains('/') && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if is_one { text } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests;
