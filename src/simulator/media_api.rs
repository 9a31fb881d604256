//! The API of temporary media (临时素材, docs 90253, 90254): upload and download.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::call::{SimulatedCall, SimulatedRefusal};
use super::media::{BAD_MEDIA, MIN_MEDIA_BYTES, StoredMedia, UploadKind};
use super::multipart;
use super::state::SimulatorContext;

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
