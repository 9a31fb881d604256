//! The files below `static/assets` that are compiled in, and their addresses.
//!
//! In debug builds they are read from the folder, so that a change shows without compiling.

use rust_embed::{EmbeddedFile, RustEmbed};

/// The path of assets on every host; application hosts proxy this one prefix to us.
pub(super) const ASSETS_PREFIX: &str = "/_gongpai/assets/";

/// The logo's name below [`ASSETS_PREFIX`].
pub(super) const LOGO_NAME: &str = "logo";

#[derive(RustEmbed)]
#[folder = "static/assets"]
struct EmbeddedAssets;

/// Returns the address of the asset `name` with its version, so that a browser may keep it for
/// ever.
pub(crate) fn asset_url(name: &str) -> String {
    let version = find_asset(name).map(|f| hash_version(&f.metadata.sha256_hash())).unwrap_or_default();
    format!("{ASSETS_PREFIX}{name}?v={version}")
}

/// Finds an asset. Only plain names reach the folder: segments of `[a-z0-9_-]` with dots inside.
pub(super) fn find_asset(path: &str) -> Option<EmbeddedFile> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && s.bytes().all(plain);
    if path.split('/').all(segment) { EmbeddedAssets::get(path) } else { None }
}

/// Returns the media type of the kinds of files that we have; others in the folder are not served.
pub(super) fn asset_content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return None,
    })
}

pub(super) fn hash_version(hash: &[u8; 32]) -> String {
    hex::encode(hash.get(..8).unwrap_or(hash))
}
