//! One access token for each secret.
//!
//! * *Single-fetch.* However many callers need a token at once, one fetches it and all share the
//!   result, also a failure. A caller that gives up breaks nothing: another one takes over.
//! * *Renewed early*, by one caller, while the others use the old token. WeCom returns the same
//!   token as long as it is valid (document 91039), so early renewal only avoids calls in progress
//!   at the moment of expiry; the safety net is the renewal after 40014/42001.
//! * *Hard back-off.* About 2000 bad gettoken in an hour ban the calling address for an hour, for
//!   every application behind it (document 90313, 45009). After a refusal nobody asks for 1 minute,
//!   then 2, 4, 8, 10.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::timeout_at;

use super::call_class::CallClass;
use super::errcode::needs_back_off;
use super::error::{GETTOKEN_API, WecomError, WecomRefusal};
use super::exchange::{CallParameter, Exchange, WecomRequest};
use super::retry::retry_while_busy;
use super::{Deadline, SecretKind, WecomSettings, lenient_json};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::CorpId;
use crate::base::secret::{ExposeSecret as _, Secret};

/// How long before its end a token is renewed, or a tenth of its life if that is less. Otherwise
/// WeCom, which returns the same token until it ends, would be asked with every call.
const RENEWAL_LEAD: Duration = Duration::from_secs(300);
/// The lifetime of a token whose answer does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(7200);
/// The bounds of a stated lifetime. A shorter one would cost a gettoken for each call.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);
/// The pause after an early renewal that failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// The pause after even a fresh token was refused, before a refusal renews it again.
const FUTILE_PAUSE: Duration = Duration::from_secs(60);
const MIN_BACK_OFF: Duration = Duration::from_secs(60);
const MAX_BACK_OFF: Duration = Duration::from_secs(600);

/// An access token with its generation, the number of tokens so far.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    text: Secret,
    generation: u64,
}

impl AccessToken {
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The tokens of one corporation.
#[derive(Debug)]
pub(super) struct AccessTokens {
    corp_id: CorpId,
    clock: Clock,
    app: Option<SecretSlot>,
    contacts: Option<SecretSlot>,
}

#[derive(Debug)]
struct SecretSlot {
    kind: SecretKind,
    secret: Secret,
    state: Mutex<TokenState>,
}

type SharedFetch = OnceCell<Result<AccessToken, WecomError>>;

#[derive(Debug, Default)]
struct TokenState {
    held: Option<CurrentToken>,
    generation: u64,
    /// Weak, so that a fetch ends with the last caller that waits for it; the next caller begins a
    /// new one.
    fetch: Weak<SharedFetch>,
    back_off: Option<BackOff>,
    no_renewal_before: Option<Timestamp>,
    futile_until: Option<Timestamp>,
}

#[derive(Debug)]
struct CurrentToken {
    token: AccessToken,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

#[derive(Debug)]
struct BackOff {
    until: Timestamp,
    length: Duration,
    cause: WecomRefusal,
}

/// What a caller that needs a token does next.
enum TokenPlan {
    Use(AccessToken),
    Renew { current: AccessToken, fetch: Arc<SharedFetch> },
    Await(Arc<SharedFetch>),
    Refuse(WecomError),
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    expires_in: Option<i64>,
}

impl AccessTokens {
    pub(super) fn new(settings: &WecomSettings, clock: Clock) -> Self {
        let slot = |kind, secret: &Option<Secret>| {
            let secret = secret.clone()?;
            Some(SecretSlot { kind, secret, state: Mutex::default() })
        };
        Self {
            corp_id: settings.corp_id.clone(),
            clock,
            app: slot(SecretKind::App, &settings.app_secret),
            contacts: slot(SecretKind::Contacts, &settings.contacts_secret),
        }
    }

    fn slot(&self, which: SecretKind) -> Result<&SecretSlot, WecomError> {
        let slot = match which {
            SecretKind::App => &self.app,
            SecretKind::Contacts => &self.contacts,
        };
        slot.as_ref().ok_or(WecomError::NoSecret(which))
    }

    /// Returns a token for a call. It is fetched only if there is none or it is about to end.
    pub(super) async fn get(
        &self,
        which: SecretKind,
        exchange: &Exchange,
        deadline: Deadline,
    ) -> Result<AccessToken, WecomError> {
        let slot = self.slot(which)?;
        let plan = slot.state.lock().plan(self.clock.now());
        match plan {
            TokenPlan::Use(token) => Ok(token),
            TokenPlan::Refuse(error) => Err(error),
            TokenPlan::Await(fetch) => {
                timeout_at(deadline.instant(), self.join_fetch(&fetch, slot, exchange))
                    .await
                    .unwrap_or(Err(WecomError::Timeout { api: GETTOKEN_API, sent: false }))
            }
            TokenPlan::Renew { current, fetch } => {
                // Only this caller waits for the renewal, and briefly: the old token still works.
                let patience = deadline.within(exchange.limits.renewal);
                let renewed = timeout_at(patience.instant(), self.join_fetch(&fetch, slot, exchange))
                    .await
                    .unwrap_or(Err(WecomError::Timeout { api: GETTOKEN_API, sent: false }));
                Ok(renewed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "An access token was not renewed early; the old one still serves");
                    slot.state.lock().no_renewal_before = Some(self.clock.now().plus(RENEWAL_PAUSE));
                    current
                }))
            }
        }
    }

    /// Forgets `refused` if it is still the current token. Returns whether another one may be
    /// fetched: not if the last one was refused while fresh.
    pub(super) fn discard(&self, which: SecretKind, refused: &AccessToken) -> bool {
        let Ok(slot) = self.slot(which) else { return false };
        let now = self.clock.now();
        let mut state = slot.state.lock();
        if state.generation == refused.generation {
            // Another generation means that somebody has renewed the token since: that one is worth
            // a try.
            if state.futile_until.is_some_and(|until| is_pending(until, now, FUTILE_PAUSE)) {
                return false;
            }
            state.held = None;
        }
        true
    }

    /// Records that `refused` was refused although it was fresh. Such a token must not cost a
    /// gettoken for each call.
    pub(super) fn note_futile(&self, which: SecretKind, refused: &AccessToken) {
        let Ok(slot) = self.slot(which) else { return };
        let mut state = slot.state.lock();
        if state.generation == refused.generation {
            state.futile_until = Some(self.clock.now().plus(FUTILE_PAUSE));
        }
    }

    /// Ends the pause after refusals. If WeCom refuses again, the next pause is longer all the
    /// same.
    pub(super) fn end_back_off(&self, which: SecretKind) {
        let Ok(slot) = self.slot(which) else { return };
        let mut state = slot.state.lock();
        if let Some(back_off) = &mut state.back_off {
            back_off.until = self.clock.now();
        }
        state.futile_until = None;
    }

    async fn join_fetch(
        &self,
        fetch: &SharedFetch,
        slot: &SecretSlot,
        exchange: &Exchange,
    ) -> Result<AccessToken, WecomError> {
        fetch.get_or_init(|| self.fetch(slot, exchange)).await.clone()
    }

    /// Fetches a token. It has its own time limit and not the caller's, because others wait for the
    /// same answer.
    async fn fetch(&self, slot: &SecretSlot, exchange: &Exchange) -> Result<AccessToken, WecomError> {
        let asked_at = self.clock.now();
        let deadline = Deadline::after(exchange.limits.exchange);
        let query = [
            CallParameter::open("corpid", self.corp_id.as_str()),
            CallParameter::hidden("corpsecret", slot.secret.expose_secret()),
        ];
        let request = WecomRequest { api: GETTOKEN_API, query: &query, body: None, class: CallClass::Person };
        let answer = retry_while_busy(deadline, || exchange.send::<TokenAnswer>(request, None, deadline))
            .await
            .and_then(|answer| {
                // An empty token would be refused with every call.
                if answer.access_token.expose_secret().trim().is_empty() {
                    return Err(WecomError::Unreadable {
                        api: GETTOKEN_API,
                        status: 200,
                        why: "it has no token".to_owned(),
                    });
                }
                Ok(answer)
            });
        exchange.metrics.record_token_fetch(slot.kind, answer.as_ref().err());
        let mut state = slot.state.lock();
        match answer {
            Ok(answer) => Ok(state.keep(answer, asked_at)),
            Err(error) => {
                if let WecomError::Refused(refusal) = &error
                    && needs_back_off(refusal.code)
                {
                    state.back_off(refusal, self.clock.now());
                }
                Err(error)
            }
        }
    }
}

/// Whether `until` is still to come. An instant more than `longest` away was set before the clock
/// was set back.
fn is_pending(until: Timestamp, now: Timestamp, longest: Duration) -> bool {
    now < until && until.since(now) <= longest
}

impl TokenState {
    fn plan(&mut self, now: Timestamp) -> TokenPlan {
        let back_off = self.back_off.as_ref().filter(|b| is_pending(b.until, now, MAX_BACK_OFF));
        if let Some(held) = self.held.as_ref().filter(|held| now < held.expires_at) {
            let paused = self.no_renewal_before.is_some_and(|until| is_pending(until, now, RENEWAL_PAUSE));
            // During a back-off a valid token is used to its end: renewing it early may earn the
            // next refusal.
            if now < held.renew_at || paused || back_off.is_some() || self.fetch_under_way().is_some() {
                return TokenPlan::Use(held.token.clone());
            }
            return TokenPlan::Renew { current: held.token.clone(), fetch: self.begin_fetch() };
        }
        if let Some(back_off) = back_off {
            let cause = Box::new(back_off.cause.clone());
            return TokenPlan::Refuse(WecomError::BackingOff { until: back_off.until, cause });
        }
        TokenPlan::Await(self.fetch_under_way().unwrap_or_else(|| self.begin_fetch()))
    }

    /// Returns the fetch in progress. A finished one is for those who waited for it: its failure is
    /// not shared with later callers.
    fn fetch_under_way(&self) -> Option<Arc<SharedFetch>> {
        self.fetch.upgrade().filter(|fetch| !fetch.initialized())
    }

    fn begin_fetch(&mut self) -> Arc<SharedFetch> {
        let fetch = Arc::new(SharedFetch::new());
        self.fetch = Arc::downgrade(&fetch);
        fetch
    }

    fn keep(&mut self, answer: TokenAnswer, asked_at: Timestamp) -> AccessToken {
        let life = match answer.expires_in.map(u64::try_from) {
            None => DEFAULT_LIFETIME,
            Some(seconds) => Duration::from_secs(seconds.unwrap_or(0)),
        };
        let life = life.clamp(MIN_LIFETIME, MAX_LIFETIME);
        self.generation += 1;
        let token = AccessToken { text: answer.access_token, generation: self.generation };
        // Counted from before the request, so that a slow answer shortens the life and never
        // extends it.
        self.held = Some(CurrentToken {
            token: token.clone(),
            renew_at: asked_at.plus(life.saturating_sub(RENEWAL_LEAD.min(life / 10))),
            expires_at: asked_at.plus(life),
        });
        self.back_off = None;
        self.no_renewal_before = None;
        token
    }

    fn back_off(&mut self, cause: &WecomRefusal, now: Timestamp) {
        let length = self.back_off.as_ref().map_or(MIN_BACK_OFF, |b| (b.length * 2).min(MAX_BACK_OFF));
        let until = now.plus(length);
        tracing::warn!(
            wecom.errcode = cause.code,
            until = %until.rfc3339(),
            "WeCom refused an access token ({cause}); the next one is asked for at {}",
            until.rfc3339(),
        );
        self.back_off = Some(BackOff { until, length, cause: cause.clone() });
    }
}

/// Returns the length of the token in an answer of gettoken and the lifetime it states.
#[cfg(test)]
pub(super) fn read_token_answer(body: &[u8]) -> Option<(usize, Option<i64>)> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    Some((answer.access_token.expose_secret().len(), answer.expires_in))
}
