//! API clients, authenticated by HTTP Basic `id:secret` (RFC 7617).
//!
//! A secret is 32 random bytes that `gongpai api-client add` made, so a single SHA-256 is enough to
//! store it. In return, a secret that does not look like 32 random bytes is refused, whatever hash
//! is configured for it.

use std::fmt::Display;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ApiState;
use crate::audit::{Actor, AuditEntry, AuditEvent};
use crate::base::id::ClientId;
use crate::base::secret::{constant_time_eq, sha256};
use crate::config::Scope;
use crate::http::client_ip::Peer;
use crate::http::middleware::RequestId;
use crate::http::problem::Problem;
use crate::http::words::Code;

/// An API client whose secret was verified.
#[derive(Debug, Clone)]
pub(super) struct AuthenticatedClient {
    pub(super) id: ClientId,
    scopes: Vec<Scope>,
    /// The address that it calls from.
    pub(super) address: Option<IpAddr>,
    pub(super) request_id: RequestId,
}

impl AuthenticatedClient {
    /// Says in the audit trail what this client did.
    pub(super) fn audit_entry(&self, event: AuditEvent, deed: String) -> AuditEntry {
        AuditEntry {
            address: self.address,
            request_id: self.request_id.as_str().to_owned(),
            ..AuditEntry::of_deed(Actor::Client(self.id.clone()), event, deed)
        }
    }

    /// Returns an error response if the client lacks `scope`.
    pub(super) fn require_scope(&self, scope: Scope) -> Result<(), Response> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let problem = Problem::new(Code::ForbiddenScope, &self.request_id);
        Err(problem.with_detail(format!("the scope {} is missing", scope.as_str())).into_response())
    }

    /// Returns a problem document.
    pub(super) fn problem(&self, code: Code) -> Response {
        Problem::new(code, &self.request_id).into_response()
    }

    /// Returns 400 with what has to be corrected.
    pub(super) fn bad_request(&self, why: String) -> Response {
        Problem::new(Code::BadRequest, &self.request_id).with_detail(why).into_response()
    }

    /// Returns 404.
    pub(super) fn not_found(&self) -> Response {
        self.problem(Code::NotFound)
    }

    /// Returns 503, and logs what could not be done and why.
    pub(super) fn unavailable(&self, what: &'static str, error: &dyn Display) -> Response {
        tracing::error!(%error, "{what}");
        self.problem(Code::StoreUnavailable)
    }
}

impl FromRequestParts<ApiState> for AuthenticatedClient {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Response> {
        let Ok(request_id) = RequestId::from_request_parts(parts, api).await;
        let peer = parts.extensions.get::<Peer>().copied();
        let address = peer.and_then(|p| api.0.settings.trusted_proxies.client(p, &parts.headers));
        // Before any limit: the guesses of somebody at the same address must not shut out a client
        // with the right secret.
        let known = basic_credentials(&parts.headers).and_then(|(id, secret)| find_client(api, &id, &secret));
        let Some((id, scopes)) = known else {
            if parts.headers.contains_key(AUTHORIZATION)
                && let Some(retry) = address.and_then(|a| api.0.wrong_credentials.try_take(a).err())
            {
                return Err(Problem::new(Code::TooMany, &request_id)
                    .with_retry_after(retry.0)
                    .into_response());
            }
            let mut response = Problem::new(Code::Unauthorized, &request_id).into_response();
            let challenge = HeaderValue::from_static("Basic realm=\"gongpai\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return Err(response);
        };
        Ok(Self { id, scopes, address, request_id })
    }
}

/// Returns id and secret of the only Authorization header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(decode_base64(encoded.trim())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Returns the client with this id and secret. An unknown id costs as much time as a wrong secret.
fn find_client(api: &ApiState, id: &str, secret: &str) -> Option<(ClientId, Vec<Scope>)> {
    let presented = sha256(secret.as_bytes());
    let client = api.0.settings.clients.iter().find(|c| c.id.as_str() == id);
    let expected = client.map_or([0; 32], |c| c.secret_sha256);
    let same = constant_time_eq(&presented, &expected);
    let client = client.filter(|_| same && is_32_bytes(secret))?;
    Some((client.id.clone(), client.scopes.clone()))
}

/// Returns whether a secret is 32 bytes in base64 or hex. Anything shorter was chosen by a person.
fn is_32_bytes(secret: &str) -> bool {
    hex::decode(secret).is_ok_and(|b| b.len() == 32) || decode_base64(secret).is_some_and(|b| b.len() == 32)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_bytes_count_as_a_secret() {
        assert!(is_32_bytes(&crate::base::secret::random_token::<32>()));
        assert!(is_32_bytes(&"ab".repeat(32)));
        for chosen in ["", "hunter2", "correct horse battery staple", &"a".repeat(31), &"ab".repeat(31)] {
            assert!(!is_32_bytes(chosen), "{chosen}");
        }
    }

    #[test]
    fn credentials_are_read_from_exactly_one_basic_header() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "bAsIc b2E6czplY3JldA==".parse().unwrap());
        assert_eq!(basic_credentials(&headers), Some(("oa".into(), "s:ecret".into())));
        headers.append(AUTHORIZATION, "Basic b2E6cw==".parse().unwrap());
        assert_eq!(basic_credentials(&headers), None);
    }
}
