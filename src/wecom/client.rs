//! The client and its `call`, the one place that uses tokens and acts on errcodes.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::call_class::CallTimeouts;
use super::errcode::refuses_token;
use super::error::{WecomError, WecomSetupError};
use super::exchange::{Exchange, WecomRequest};
use super::retry::retry_while_busy;
use super::token::{AccessToken, AccessTokens};
use super::{Deadline, SecretKind, WecomMetrics, WecomSettings};
use crate::base::clock::Clock;
use crate::base::secret::ExposeSecret as _;

/// A client of one corporation's WeCom. Cheap to clone; clones share tokens, connections and
/// limits.
#[derive(Clone)]
pub struct WecomClient(Arc<WecomClientInner>);

struct WecomClientInner {
    settings: WecomSettings,
    exchange: Exchange,
    tokens: AccessTokens,
}

impl fmt::Debug for WecomClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WecomClient").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl WecomClient {
    /// Makes a client without calling WeCom. `clock` decides when a token has ended and when a
    /// back-off is over.
    pub fn new(settings: WecomSettings, clock: Clock) -> Result<Self, WecomSetupError> {
        Self::with_limits(settings, clock, CallTimeouts::PRODUCTION)
    }

    pub(super) fn with_limits(
        settings: WecomSettings,
        clock: Clock,
        limits: CallTimeouts,
    ) -> Result<Self, WecomSetupError> {
        let exchange = Exchange::new(&settings, limits)?;
        let tokens = AccessTokens::new(&settings, clock);
        Ok(Self(Arc::new(WecomClientInner { settings, exchange, tokens })))
    }

    /// Returns the metrics of every call of this client.
    pub fn metrics(&self) -> &WecomMetrics {
        &self.0.exchange.metrics
    }

    /// Ends the back-off of a secret, so that the next call asks for a token at once. For whoever
    /// has just mended the reason of the refusal.
    pub fn end_back_off(&self, which: SecretKind) {
        self.0.tokens.end_back_off(which);
    }

    /// Whether the secret is configured.
    pub fn has_secret(&self, which: SecretKind) -> bool {
        let WecomSettings { app_secret, contacts_secret, .. } = &self.0.settings;
        match which {
            SecretKind::App => app_secret.is_some(),
            SecretKind::Contacts => contacts_secret.is_some(),
        }
    }

    /// Whether the same secret is configured for both purposes.
    pub fn secrets_are_equal(&self) -> bool {
        let WecomSettings { app_secret, contacts_secret, .. } = &self.0.settings;
        match (app_secret, contacts_secret) {
            (Some(app), Some(contacts)) => app.expose_secret() == contacts.expose_secret(),
            _ => false,
        }
    }

    pub(super) fn settings(&self) -> &WecomSettings {
        &self.0.settings
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.0.exchange
    }

    /// Calls WeCom with the token of `which`.
    ///
    /// A refused token (40014, 42001, and 40001 because some servers answer it) is renewed once and
    /// the call is repeated once. That cannot use up a sign-in code: WeCom looks at the token
    /// first. −1 and 6000 are tried three times, except for messages, whose sender waits longer in
    /// between and records each try. After a transport failure nothing is repeated, because the
    /// call may have worked.
    pub(super) async fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        which: SecretKind,
        request: WecomRequest<'_>,
        deadline: Deadline,
    ) -> Result<T, WecomError> {
        let WecomClientInner { exchange, tokens, .. } = &*self.0;
        let token = tokens.get(which, exchange, deadline).await?;
        let first = call_with_token(exchange, request, &token, deadline).await;
        match first {
            // Falls through to the second attempt with a new token; anything else is the result.
            Err(error) if is_token_refusal(&error) && tokens.discard(which, &token) => {}
            result => return result,
        }
        let token = tokens.get(which, exchange, deadline).await?;
        let second = call_with_token(exchange, request, &token, deadline).await;
        if let Err(error) = &second
            && is_token_refusal(error)
        {
            tokens.note_futile(which, &token);
        }
        second
    }
}

/// Makes the call with this token.
async fn call_with_token<T: DeserializeOwned + Send + 'static>(
    exchange: &Exchange,
    request: WecomRequest<'_>,
    token: &AccessToken,
    deadline: Deadline,
) -> Result<T, WecomError> {
    let once = || exchange.send(request, Some(token.expose()), deadline);
    if request.class.retries_when_busy() { retry_while_busy(deadline, once).await } else { once().await }
}

fn is_token_refusal(error: &WecomError) -> bool {
    matches!(error, WecomError::Refused(refusal) if refuses_token(refusal.code))
}
