//! Uploaded files.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::words::MediaKindWord;
use crate::base::clock::Timestamp;

/// The parameters of an upload.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "QueryParams reads them")]
pub(crate) struct MediaParams {
    /// What it is sent as.
    #[param(inline)]
    r#type: MediaKindWord,
}

/// A file.
#[derive(ToSchema)]
#[schema(as = Media)]
#[expect(dead_code, reason = "axum's Multipart reads it")]
pub(crate) struct MediaSchema {
    /// More than 5 bytes, at most 20 MB; of an image at most 10 MB, JPG or PNG. Recipients see its file name.
    #[schema(content_media_type = "application/octet-stream")]
    media: String,
}

/// A file that WeCom has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadedMedia)]
pub(crate) struct UploadedMediaDto {
    /// What messages of that kind name it by.
    pub(crate) media_id: String,
    /// Until when WeCom keeps it: three days.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}
