//! Answers one access check: from a proxy's question, and the session if there is one, to a response
//! in the form that this proxy understands. The session itself is looked up by the caller.

pub(super) mod respond;

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::base::clock::{Clock, Timestamp};
use crate::base::host::{Hosts, Origin};
use crate::base::id::{PersonId, Sid, UserId};
use crate::config::GroupFormat;
use crate::http::client_ip::{Peer, TrustedProxies};
use crate::session::identity::IdentityHeaders;
use crate::session::{SessionError, SignedInSession};

use super::code_removal::{CodePaths, remove_code};
use super::metrics::GateMetrics;
use super::proxy::ProxyProtocol;
use super::request::{CheckRefusal, OriginCache, OriginalRequest};
use super::rules::{AccessRequest, AccessRules, Decision, ResolvedRules, decide_access};
use respond::{AllowedCheck, CheckResponse, StoppedCheck};

/// The shortest time between two log entries of one kind of warning.
const WARNING_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);
/// The longest URL an audit row keeps, in characters.
const MAX_AUDIT_URL_CHARS: usize = 512;

/// A request that was denied to a signed-in person, as the audit trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub at: Timestamp,
    pub sid: Sid,
    pub person: PersonId,
    /// The person's userid at that time.
    pub userid: UserId,
    /// The URL of the denied request, without its query.
    pub url: String,
    /// Empty if the proxy did not tell.
    pub method: String,
    /// The rule that decided: its number (the first rule is 1) and its text.
    pub rule: Option<(usize, String)>,
    pub reason: String,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// The parts from which a gate is built.
#[derive(Debug)]
pub struct GateParts {
    pub hosts: Hosts,
    pub rules: AccessRules,
    /// The proxies whose headers are believed.
    pub trusted: TrustedProxies,
    /// `gate.assertion`: whether `Gongpai-Assertion` is sent.
    pub assertion: bool,
    /// Dates the denials and limits the warnings.
    pub clock: Clock,
    pub metrics: GateMetrics,
    /// Receives denials. The gate never waits for it: what does not fit into the queue is counted
    /// as dropped.
    pub denials: mpsc::Sender<Denial>,
    /// `gate.groups`: whether `Remote-Groups` holds paths or ids.
    pub groups: GroupFormat,
    /// `gate.code_paths`: where an application receives OAuth codes of its own.
    pub code_paths: CodePaths,
    /// Receives first matches of userids. The gate never waits for it: the next check of the same
    /// person sends a dropped one again.
    pub first_matches: mpsc::Sender<FirstMatch>,
}

/// The first time that a `user:` element of a rule matched somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstMatch {
    pub userid: UserId,
    /// The person that the userid means from now on.
    pub person: PersonId,
}

/// A check as a proxy sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReceivedCheck<'c> {
    pub(super) proxy: &'c ProxyProtocol,
    /// The other end of the connection; a check without one is refused.
    pub(super) peer: Option<Peer>,
    pub(super) parts: &'c Parts,
}

/// The parts of the gate that need no session.
#[derive(Debug)]
pub(super) struct Checker {
    origins: OriginCache,
    rules: Arc<AccessRules>,
    trusted: TrustedProxies,
    assertion: bool,
    clock: Clock,
    metrics: GateMetrics,
    denials: mpsc::Sender<Denial>,
    groups: GroupFormat,
    code_paths: CodePaths,
    first_matches: mpsc::Sender<FirstMatch>,
    untrusted_warnings: WarningThrottle,
    unknown_host_warnings: WarningThrottle,
}

impl Checker {
    pub(super) fn new(parts: GateParts) -> Self {
        Self {
            origins: OriginCache::new(parts.hosts),
            rules: Arc::new(parts.rules),
            trusted: parts.trusted,
            assertion: parts.assertion,
            clock: parts.clock,
            metrics: parts.metrics,
            denials: parts.denials,
            groups: parts.groups,
            code_paths: parts.code_paths,
            first_matches: parts.first_matches,
            untrusted_warnings: WarningThrottle::default(),
            unknown_host_warnings: WarningThrottle::default(),
        }
    }

    pub(super) const fn rules(&self) -> &Arc<AccessRules> {
        &self.rules
    }

    /// Reads the original request. Only a trusted proxy is believed.
    ///
    /// # Errors
    /// [`CheckRefusal`].
    pub(super) fn read_original<'c>(
        &self,
        check: ReceivedCheck<'c>,
    ) -> Result<OriginalRequest<'c>, CheckRefusal> {
        if !check.peer.is_some_and(|peer| self.trusted.trusts(peer)) {
            return Err(CheckRefusal::UntrustedProxy);
        }
        (check.proxy.read_original)(&self.origins, check.parts)
    }

    /// Builds the answer to a check that no rule is asked about. Counts it, and logs it now and
    /// then.
    pub(super) fn refuse(&self, check: ReceivedCheck<'_>, refusal: CheckRefusal) -> CheckResponse {
        match &refusal {
            CheckRefusal::UntrustedProxy => {
                self.metrics.untrusted_proxy.inc();
                if let Some(unlogged) = self.untrusted_warnings.due(self.clock.now()) {
                    let peer = match check.peer {
                        Some(Peer::Ip(ip)) => ip.to_string(),
                        Some(Peer::Unix) | None => "an unknown peer".to_owned(),
                    };
                    tracing::warn!(
                        peer = %peer,
                        unlogged,
                        "Refused an access check from {peer}: add it to server.trusted_proxies if it is your proxy"
                    );
                }
            }
            CheckRefusal::UnknownHost { host } => {
                self.metrics.unknown_host.inc();
                if let Some(unlogged) = self.unknown_host_warnings.due(self.clock.now()) {
                    tracing::warn!(
                        host = ?host,
                        unlogged,
                        "Refused an access check for {host:?}: neither public_url's host, nor in login.redirect_hosts, \
                         nor below session.cookie_domain"
                    );
                }
            }
            CheckRefusal::Malformed => {
                self.metrics.malformed.inc();
            }
        }
        (check.proxy.stop)(&StoppedCheck::Refused(refusal)).into_response()
    }

    /// Builds the answer to a check once the session is known. `assertion` is called only if an
    /// assertion is sent.
    pub(super) fn answer(
        &self,
        check: ReceivedCheck<'_>,
        original: &OriginalRequest<'_>,
        session: Result<&SignedInSession, SessionError>,
        resolved: &ResolvedRules,
        assertion: impl FnOnce(&SignedInSession, &Origin) -> Option<String>,
    ) -> CheckResponse {
        let (hosts, headers) = (self.origins.hosts(), &check.parts.headers);
        let allow = |identity: Option<&IdentityHeaders>, assertion: Option<&str>| {
            (check.proxy.allow)(&AllowedCheck::new(identity, assertion, headers)).into_response()
        };
        let stop = |stopped| (check.proxy.stop)(&stopped).into_response();
        // This comes before the decision: even an allowed request must not carry a WeCom code to
        // the application.
        if let Some(clean) = remove_code(&original.origin, hosts.public(), &original.target, &self.code_paths)
        {
            self.metrics.sign_in.inc();
            let clean = OriginalRequest { target: clean.into(), ..original.clone() };
            return stop(StoppedCheck::sign_in("gate.unauthenticated", &clean, headers, hosts));
        }
        let session = match session {
            Ok(session) => Some(session),
            // Neither memory nor the database can say whether the session still exists, so nothing
            // passes.
            Err(SessionError::Unavailable) => {
                self.metrics.unavailable.inc();
                return stop(StoppedCheck::sign_in("store.unavailable", original, headers, hosts));
            }
            Err(
                SessionError::Absent | SessionError::Duplicate | SessionError::Invalid | SessionError::Ended,
            ) => None,
        };
        let request =
            AccessRequest { origin: &original.origin, target: &original.target, method: original.method };
        let person = session.map(|s| &*s.person);
        match decide_access(resolved, &request, person) {
            Decision::Allow { grant, is_first_match, .. } => {
                if grant.is_none() { &self.metrics.public } else { &self.metrics.allowed }.inc();
                if let (true, Some(person)) = (is_first_match, person) {
                    let first = FirstMatch { userid: person.userid.clone(), person: person.id.clone() };
                    // A full or closed queue loses nothing: the next check of this person sends it
                    // again.
                    drop(self.first_matches.try_send(first));
                }
                let signed = self
                    .assertion
                    .then(|| session.and_then(|s| assertion(s, &original.origin)).unwrap_or_default());
                let Some(person) = person else { return allow(None, signed.as_deref()) };
                let chart = resolved.chart();
                // The headers are built once for each chart and setting, and kept beside the
                // person.
                let identity = || {
                    respond::build_identity(
                        person,
                        &respond::encode_person_groups(person, chart, self.groups),
                    )
                };
                person.identity.get_or_make(chart, self.groups, identity, |identity| {
                    allow(Some(identity), signed.as_deref())
                })
            }
            Decision::SignIn { .. } => {
                self.metrics.sign_in.inc();
                stop(StoppedCheck::sign_in("gate.unauthenticated", original, headers, hosts))
            }
            Decision::Deny { rule, reason } => {
                self.metrics.denied.inc();
                if let Some(session) = session {
                    self.report_denial(Denial {
                        at: self.clock.now(),
                        sid: session.sid.clone(),
                        person: session.person.id.clone(),
                        userid: session.person.userid.clone(),
                        url: build_audit_url(original),
                        method: original.method.unwrap_or_default().to_owned(),
                        rule: rule.map(|r| (r.number(), r.to_string())),
                        reason: reason.to_string(),
                        client: check.peer.and_then(|peer| self.trusted.client(peer, headers)),
                    });
                }
                stop(StoppedCheck::denied(session.is_some(), original, headers, hosts))
            }
        }
    }

    /// Sends a denial to the audit trail, or counts it if the queue is full.
    fn report_denial(&self, denial: Denial) {
        if self.denials.try_send(denial).is_err() {
            self.metrics.audit_dropped.inc();
        }
    }
}

/// Returns the URL without its query, which may hold what no audit row should.
fn build_audit_url(original: &OriginalRequest<'_>) -> String {
    let path = original.target.split('?').next().unwrap_or_default();
    format!("{}{path}", original.origin).chars().take(MAX_AUDIT_URL_CHARS).collect()
}

/// Limits one kind of warning to one per [`WARNING_INTERVAL`] and counts those it held back.
#[derive(Debug, Default)]
struct WarningThrottle {
    last: Mutex<Option<(Timestamp, u64)>>,
}

impl WarningThrottle {
    /// Returns how many warnings were held back since the last one; `None` while the interval is
    /// not over.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let mut last = self.last.lock();
        match &mut *last {
            Some((at, held)) if now.since(*at) < WARNING_INTERVAL => {
                *held += 1;
                None
            }
            other => {
                let held = other.map_or(0, |(_, held)| held);
                *other = Some((now, 0));
                Some(held)
            }
        }
    }
}

#[cfg(test)]
mod tests;
