//! What the gate knows about each kind of proxy: one value, in one file of its own.
//!
//! A proxy asks about a request before it passes it on. Kinds of proxies differ in the path they
//! ask at, in the headers that describe the original request, and in the answers they understand;
//! the decision is the same. So a [`ProxyProtocol`] only translates, and whatever it says, it
//! cannot turn a refusal into a 2xx: that takes an [`AllowedCheck`], which only the check itself
//! makes, and a [`StopResponse`] has no such status. Nor can it leave an identity header out of a
//! 2xx, because an [`AllowResponse`] only takes more.
//!
//! A new kind of proxy is a file beside [`nginx`](mod@nginx), an entry in [`PROXIES`], a snippet in
//! `cli::snippet` and a row in `tests/it/hostile_checks.rs`.

pub(crate) mod client_headers;
mod nginx;

use axum::http::request::Parts;

use super::check::respond::{AllowResponse, AllowedCheck, StopResponse, StoppedCheck};
use super::request::{CheckRefusal, OriginCache, OriginalRequest};

pub(crate) use nginx::NGINX;

/// Every kind of proxy that the gate can answer.
pub static PROXIES: &[&ProxyProtocol] = &[&NGINX];

/// One kind of proxy: how it asks, and which answers it understands.
#[derive(Debug)]
pub struct ProxyProtocol {
    /// The name, as in `gongpai snippet NAME`.
    pub name: &'static str,
    /// The route of its checks on the public listener, in axum's notation.
    pub route: &'static str,
    /// The headers that describe the original request: one family, and no other is read. Whatever a
    /// client sends under these names, the proxy overwrites.
    pub request_headers: &'static [&'static str],
    /// The headers of a 2xx that say who it is. The proxy sets each of them on the request that it
    /// passes on, in place of the client's own.
    pub identity_headers: &'static [&'static str],
    pub(super) read_original: ReadOriginal,
    pub(super) allow: for<'c> fn(&AllowedCheck<'c>) -> AllowResponse,
    pub(super) stop: fn(&StoppedCheck) -> StopResponse,
}

/// Reads the original request from a check that a trusted proxy sent.
pub(super) type ReadOriginal =
    for<'h> fn(&OriginCache, &'h Parts) -> Result<OriginalRequest<'h>, CheckRefusal>;

#[cfg(test)]
mod tests;
