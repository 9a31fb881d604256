//! One access token for each secret.
//!
//! * *Single-flight.* However many callers need a token at once, one asks; all share its answer, also a
//!   failure. A caller that gives up breaks nothing: another one takes over.
//! * *Renewed early*, by one caller, while the others go on with the old token. WeCom returns the same token
//!   as long as it is valid (document 91039), so early renewal only avoids calls in flight at the moment of
//!   expiry; the safety net is the renewal after 40014/42001.
//! * *Hard back-off.* About 2000 bad gettoken in an hour ban the calling address for an hour, for every
//!   application behind it (document 90313, 45009). A refusal stops asking for 1 minute, then 2, 4, 8, 10.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::timeout_at;

use super::client::persist;
use super::error::{Error, Family, Refusal};
use super::exchange::{Exchange, Param, Request};
use super::lane::Lane;
use super::{Deadline, SecretKind, Settings, loose};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::CorpId;
use crate::base::secret::{ExposeSecret as _, Secret};

pub(super) const API: &str = "gettoken";

/// How long before its end a token is renewed; a tenth of its life where that is less, so that the same token
/// handed out again shortly before its end is not asked for with every call.
const EARLY: Duration = Duration::from_secs(300);
/// The usual life of a token, taken where an answer does not say.
const USUAL_LIFE: Duration = Duration::from_secs(7200);
/// No token is taken to live shorter, which would be one gettoken a call, or longer.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// After an early renewal failed, until it is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// After even a fresh token was refused, until a refusal renews it again.
const FUTILE_PAUSE: Duration = Duration::from_secs(60);
const FIRST_BACK_OFF: Duration = Duration::from_secs(60);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);

/// An access token, and which one of those we had.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Secret,
    generation: u64,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The tokens of one corporation.
#[derive(Debug)]
pub(super) struct Tokens {
    corp_id: CorpId,
    clock: Clock,
    app: Option<Slot>,
    contacts: Option<Slot>,
}

/// The token of one secret.
#[derive(Debug)]
struct Slot {
    kind: SecretKind,
    secret: Secret,
    state: Mutex<State>,
}

type Flight = OnceCell<Result<Token, Error>>;

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    generation: u64,
    /// Weak: a flight whose every passenger left is over, and the next caller begins a new one.
    flight: Weak<Flight>,
    back_off: Option<BackOff>,
    no_renewal_before: Option<Timestamp>,
    futile_until: Option<Timestamp>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

#[derive(Debug)]
struct BackOff {
    until: Timestamp,
    length: Duration,
    cause: Refusal,
}

/// What a caller does next.
enum Plan {
    Use(Token),
    Renew { current: Token, flight: Arc<Flight> },
    Await(Arc<Flight>),
    Refuse(Error),
}

#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    #[serde(default, deserialize_with = "loose::optional_integer")]
    expires_in: Option<i64>,
}

impl Tokens {
    pub(super) fn new(settings: &Settings, clock: Clock) -> Self {
        let slot = |kind, secret: &Option<Secret>| {
            let secret = secret.clone()?;
            Some(Slot { kind, secret, state: Mutex::default() })
        };
        Self {
            corp_id: settings.corp_id.clone(),
            clock,
            app: slot(SecretKind::App, &settings.app_secret),
            contacts: slot(SecretKind::Contacts, &settings.contacts_secret),
        }
    }

    fn slot(&self, which: SecretKind) -> Result<&Slot, Error> {
        let slot = match which {
            SecretKind::App => &self.app,
            SecretKind::Contacts => &self.contacts,
        };
        slot.as_ref().ok_or(Error::NoSecret(which))
    }

    /// A token to go out with, asked for only if there is none or it is about to end.
    pub(super) async fn get(
        &self,
        which: SecretKind,
        exchange: &Exchange,
        deadline: Deadline,
    ) -> Result<Token, Error> {
        let slot = self.slot(which)?;
        let plan = slot.state.lock().plan(self.clock.now());
        match plan {
            Plan::Use(token) => Ok(token),
            Plan::Refuse(error) => Err(error),
            Plan::Await(flight) => timeout_at(deadline.instant(), self.board(&flight, slot, exchange))
                .await
                .unwrap_or(Err(Error::Timeout { api: API, sent: false })),
            Plan::Renew { current, flight } => {
                let patience = deadline.within(exchange.limits.renewal);
                let renewed = timeout_at(patience.instant(), self.board(&flight, slot, exchange))
                    .await
                    .unwrap_or(Err(Error::Timeout { api: API, sent: false }));
                Ok(renewed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "An access token was not renewed early; the old one still serves");
                    slot.state.lock().no_renewal_before = Some(self.clock.now().plus(RENEWAL_PAUSE));
                    current
                }))
            }
        }
    }

    /// Forgets `refused` if it is still the token in use. Whether another one may be asked for: not if the
    /// last one was refused as freshly as that.
    pub(super) fn discard(&self, which: SecretKind, refused: &Token) -> bool {
        let Ok(slot) = self.slot(which) else { return false };
        let now = self.clock.now();
        let mut state = slot.state.lock();
        if state.generation == refused.generation {
            if state.futile_until.is_some_and(|until| pending(until, now, FUTILE_PAUSE)) {
                return false;
            }
            state.held = None;
        }
        true
    }

    /// Notes that `refused` was refused although it was fresh: a token that WeCom hands out and does not take
    /// must not cost a gettoken with every call.
    pub(super) fn note_futile(&self, which: SecretKind, refused: &Token) {
        let Ok(slot) = self.slot(which) else { return };
        let mut state = slot.state.lock();
        if state.generation == refused.generation {
            state.futile_until = Some(self.clock.now().plus(FUTILE_PAUSE));
        }
    }

    /// Ends the pause after refusals. Should WeCom refuse again, the next one is longer all the same.
    pub(super) fn end_back_off(&self, which: SecretKind) {
        let Ok(slot) = self.slot(which) else { return };
        let mut state = slot.state.lock();
        if let Some(back_off) = &mut state.back_off {
            back_off.until = self.clock.now();
        }
        state.futile_until = None;
    }

    async fn board(&self, flight: &Flight, slot: &Slot, exchange: &Exchange) -> Result<Token, Error> {
        flight.get_or_init(|| self.fetch(slot, exchange)).await.clone()
    }

    /// Asks for a token. Limited by itself and not by the caller: others wait for the same answer.
    async fn fetch(&self, slot: &Slot, exchange: &Exchange) -> Result<Token, Error> {
        let asked_at = self.clock.now();
        let deadline = Deadline::after(exchange.limits.exchange);
        let query = [
            Param::open("corpid", self.corp_id.as_str()),
            Param::hidden("corpsecret", slot.secret.expose_secret()),
        ];
        let request = Request { api: API, query: &query, body: None, lane: Lane::Person };
        let answer =
            persist(deadline, || exchange.send::<Answer>(request, None, deadline)).await.and_then(|answer| {
                if answer.access_token.expose_secret().trim().is_empty() {
                    return Err(Error::Unreadable {
                        api: API,
                        status: 200,
                        why: "it has no token".to_owned(),
                    });
                }
                Ok(answer)
            });
        exchange.metrics.token(slot.kind, answer.as_ref().err());
        let mut state = slot.state.lock();
        match answer {
            Ok(answer) => Ok(state.keep(answer, asked_at)),
            Err(error) => {
                if let Error::Refused(refusal) = &error
                    && stops_asking(refusal.code)
                {
                    state.back_off(refusal, self.clock.now());
                }
                Err(error)
            }
        }
    }
}

/// Whether asking again soon after this refusal of gettoken is useless or dangerous. An unknown errcode is
/// taken for a wrong secret; −1 and 45033 pass by themselves, and 60020 is mended in a minute and bans nobody.
fn stops_asking(code: i64) -> bool {
    code != 60020 && code != 45033 && Family::of(code) != Family::Retry
}

/// Whether `until` is still to come. A point further away than `longest` was set before the clock went back.
fn pending(until: Timestamp, now: Timestamp, longest: Duration) -> bool {
    now < until && until.since(now) <= longest
}

impl State {
    fn plan(&mut self, now: Timestamp) -> Plan {
        let back_off = self.back_off.as_ref().filter(|b| pending(b.until, now, LONGEST_BACK_OFF));
        if let Some(held) = self.held.as_ref().filter(|held| now < held.expires_at) {
            let paused = self.no_renewal_before.is_some_and(|until| pending(until, now, RENEWAL_PAUSE));
            if now < held.renew_at || paused || back_off.is_some() || self.flying().is_some() {
                return Plan::Use(held.token.clone());
            }
            return Plan::Renew { current: held.token.clone(), flight: self.take_off() };
        }
        if let Some(back_off) = back_off {
            let cause = Box::new(back_off.cause.clone());
            return Plan::Refuse(Error::BackingOff { until: back_off.until, cause });
        }
        Plan::Await(self.flying().unwrap_or_else(|| self.take_off()))
    }

    /// The flight under way. One that has landed is not: its failure is for those who waited for it.
    fn flying(&self) -> Option<Arc<Flight>> {
        self.flight.upgrade().filter(|flight| !flight.initialized())
    }

    fn take_off(&mut self) -> Arc<Flight> {
        let flight = Arc::new(Flight::new());
        self.flight = Arc::downgrade(&flight);
        flight
    }

    fn keep(&mut self, answer: Answer, asked_at: Timestamp) -> Token {
        let life = match answer.expires_in.map(u64::try_from) {
            None => USUAL_LIFE,
            Some(seconds) => Duration::from_secs(seconds.unwrap_or(0)),
        };
        let life = life.clamp(SHORTEST_LIFE, LONGEST_LIFE);
        self.generation += 1;
        let token = Token { text: answer.access_token, generation: self.generation };
        self.held = Some(Held {
            token: token.clone(),
            renew_at: asked_at.plus(life.saturating_sub(EARLY.min(life / 10))),
            expires_at: asked_at.plus(life),
        });
        self.back_off = None;
        self.no_renewal_before = None;
        token
    }

    fn back_off(&mut self, cause: &Refusal, now: Timestamp) {
        let length = self.back_off.as_ref().map_or(FIRST_BACK_OFF, |b| (b.length * 2).min(LONGEST_BACK_OFF));
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

/// The length of the token in an answer of gettoken and the life it states.
#[cfg(test)]
pub(super) fn read(body: &[u8]) -> Option<(usize, Option<i64>)> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    Some((answer.access_token.expose_secret().len(), answer.expires_in))
}
