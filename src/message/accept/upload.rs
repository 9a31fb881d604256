//! Files for messages: checked here as far as possible, then uploaded to WeCom.

use bytes::Bytes;

use crate::message::Messages;
use crate::message::content::FieldError;
use crate::wecom::{self, Deadline, MediaKind, Upload, UploadedMedia};

/// The largest image and the largest file (WeCom document 90253).
const MAX_IMAGE_BYTES: usize = 10 * 1024 * 1024;
const MAX_FILE_BYTES: usize = 20 * 1024 * 1024;

/// WeCom refuses a file that is not longer than this.
const TOO_SMALL_BYTES: usize = 5;

/// The longest file name, as file systems allow it.
const MAX_FILE_NAME_BYTES: usize = 255;

pub(crate) const fn max_media_bytes(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Image => MAX_IMAGE_BYTES,
        MediaKind::File => MAX_FILE_BYTES,
    }
}

/// Returns everything that is wrong with a file.
pub(crate) fn validate_media(kind: MediaKind, file_name: &str, bytes: &[u8]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut add = |field: &str, problem: String| {
        errors.push(FieldError { field: field.to_owned(), problem });
    };
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\');
    if file_name.trim().is_empty() || matches!(file_name, "." | "..") {
        add("media.filename", "is missing".to_owned());
    } else if file_name.chars().any(odd) {
        add("media.filename", "contains a control character or a path separator".to_owned());
    } else if file_name.len() > MAX_FILE_NAME_BYTES {
        add("media.filename", format!("{} bytes, at most {MAX_FILE_NAME_BYTES}", file_name.len()));
    }
    if bytes.len() <= TOO_SMALL_BYTES {
        add("media", format!("{} bytes, at least {}", bytes.len(), TOO_SMALL_BYTES + 1));
    } else if bytes.len() > max_media_bytes(kind) {
        add("media", format!("{} bytes, at most {}", bytes.len(), max_media_bytes(kind)));
    } else if kind == MediaKind::Image && detect_image_type(bytes).is_none() {
        add("media", "is neither a JPG nor a PNG".to_owned());
    }
    errors
}

/// Detects the type of an image by its first bytes; its name does not matter.
fn detect_image_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else {
        None
    }
}

impl Messages {
    /// Returns why nothing is accepted and sent, if so.
    pub fn unavailable(&self) -> Option<&str> {
        self.0.settings.unavailable.as_deref()
    }

    /// Uploads a file, which [`validate_media`] accepted, to WeCom. Nothing of it is kept here.
    ///
    /// # Errors
    /// As [`wecom::WecomClient::upload_media`].
    pub async fn upload(
        &self,
        kind: MediaKind,
        file_name: &str,
        bytes: Bytes,
        deadline: Deadline,
    ) -> Result<UploadedMedia, wecom::WecomError> {
        let content_type = detect_image_type(&bytes).filter(|_| kind == MediaKind::Image);
        let content_type = content_type.unwrap_or("application/octet-stream");
        let upload = Upload { kind, file_name, content_type, bytes };
        self.0.client.upload_media(upload, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_problems(kind: MediaKind, name: &str, bytes: &[u8]) -> Vec<String> {
        validate_media(kind, name, bytes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_image_is_what_its_bytes_say() {
        let png = b"\x89PNG\r\n\x1a\n....";
        assert!(find_problems(MediaKind::Image, "图.txt", png).is_empty());
        assert!(find_problems(MediaKind::Image, "a.jpg", b"\xff\xd8\xff\xe0..").is_empty());
        assert_eq!(
            find_problems(MediaKind::Image, "a.png", b"GIF89a.."),
            ["media: is neither a JPG nor a PNG"]
        );
        assert!(find_problems(MediaKind::File, "a.png", b"GIF89a..").is_empty());
    }

    #[test]
    fn sizes_are_wecoms() {
        assert_eq!(find_problems(MediaKind::File, "a", b"12345"), ["media: 5 bytes, at least 6"]);
        assert!(find_problems(MediaKind::File, "a", &vec![0; MAX_FILE_BYTES]).is_empty());
        assert_eq!(
            find_problems(MediaKind::File, "a", &vec![0; MAX_FILE_BYTES + 1]),
            ["media: 20971521 bytes, at most 20971520"]
        );
        assert_eq!(
            find_problems(MediaKind::Image, "a", &vec![0; MAX_IMAGE_BYTES + 1]),
            ["media: 10485761 bytes, at most 10485760"]
        );
    }

    #[test]
    fn a_name_is_a_name_and_no_path() {
        for bad in ["", " ", "..", "a/b", "..\\b", "a\nb", "a\u{0}", &"字".repeat(86)] {
            assert_eq!(find_problems(MediaKind::File, bad, b"123456").len(), 1, "{bad:?}");
        }
        assert!(find_problems(MediaKind::File, "报表 2026-11 \"终\".xlsx", b"123456").is_empty());
    }
}
