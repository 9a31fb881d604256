//! `/sso/m/{id}`: a link of a message, opened signed in, by the recipients only (DESIGN §6).
//!
//! Whoever has the link has nothing: it leads on only in a browser in which a recipient is signed in, and nobody else
//! learns where it leads or what the message said. An id that never was answers as one that has expired, so that asking
//! tells nobody which ids there are. The target is judged again at every opening: a host may have ceased to be ours.

mod store;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;

use crate::audit::{self, RefusalLimiter};
use crate::base::id::CorpId;
use crate::base::url::{ReturnTo, percent_encode};
use crate::db::Db;
use crate::http::browser::BrowserKind;
use crate::http::browser_request::{BrowserRequest, Site};
use crate::http::failure::Failure;
use crate::http::redirect::redirect;
use crate::http::words::Code;
use crate::session::{self, SessionError, Sessions};
use store::{Audience, LinkRow, OpenState};

use super::Messages;

/// The longest id; ours are shorter.
const MAX_LINK_ID_BYTES: usize = 64;

/// What links need. Cheap to clone.
#[derive(Debug, Clone)]
struct MessageLinks(Arc<MessageLinksInner>);

#[derive(Debug)]
struct MessageLinksInner {
    corp: CorpId,
    db: Db,
    sessions: Sessions,
    site: Site,
    /// Which refusals are written into the audit trail.
    refusals: RefusalLimiter,
}

impl FromRef<MessageLinks> for Site {
    fn from_ref(links: &MessageLinks) -> Self {
        links.0.site.clone()
    }
}

/// The links' path under both its names, on every host.
pub fn routes(messages: &Messages, sessions: Sessions, site: Site, refusals: RefusalLimiter) -> Router {
    let links = MessageLinks(Arc::new(MessageLinksInner {
        corp: messages.0.settings.corp.clone(),
        db: messages.0.db.clone(),
        sessions,
        site,
        refusals,
    }));
    Router::new()
        .route("/sso/m/{id}", get(open_link))
        .route("/_gongpai/m/{id}", get(open_link))
        .with_state(links)
}

/// `GET /sso/m/{id}`: 302 to the target for a recipient, 302 to the sign-in for whoever is not signed in, 403 for
/// anybody else, 410 once it has expired.
async fn open_link(
    State(links): State<MessageLinks>,
    id: Result<Path<String>, PathRejection>,
    method: Method,
    visit: BrowserRequest,
) -> Response {
    // What is no text is no id, and nobody's link has an empty one.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let answer = links.open(&id, &method, &visit).await;
    answer.unwrap_or_else(|why| links.refuse(&id, &visit, why))
}

/// Why a link does not open.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    /// There is none, it has expired, its message was recalled, or its target is no longer ours.
    #[error("the link has expired")]
    Expired,
    /// It is somebody else's.
    #[error("the link is for somebody else")]
    NotForThisPerson,
    /// Sessions cannot be checked.
    #[error("sessions cannot be checked")]
    Unavailable,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}

impl MessageLinks {
    async fn open(&self, id: &str, method: &Method, visit: &BrowserRequest) -> Result<Response, LinkError> {
        let now = visit.view.at;
        let link = self.find(id).await?.filter(|link| link.expires_at > now && !link.recalled);
        let link = link.ok_or(LinkError::Expired)?;
        let session = match self.0.sessions.check(&visit.headers, &visit.origin).await {
            Ok(session) => session,
            // Not a sign-in: somebody who is in would be sent round in circles.
            Err(SessionError::Unavailable) => return Err(LinkError::Unavailable),
            Err(_) => return Ok(redirect_to_sign_in(visit, &visit.path(&format!("m/{id}")), "")),
        };
        let person = &session.person;
        let is_for = store::find_audience(&self.0.db, &link.message, person).await?;
        // Inside WeCom accounts are switched in the app: only WeCom knows who it is now, and is asked once. Only where the
        // session is of the one person whose phone shows the message there is nothing to ask.
        if is_for != Audience::OnlyThisPerson && is_in_wecom(visit) && !visit.query.flag("again") {
            return Ok(self.ask_again(id, visit));
        }
        if is_for == Audience::OnlyOthers {
            self.record(id, &link, person, visit).await;
            return Err(LinkError::NotForThisPerson);
        }
        let hosts = &self.0.site.hosts;
        let target = ReturnTo::parse(&link.target, hosts.public(), hosts).map_err(|_| LinkError::Expired)?;
        if link.opened == OpenState::Unopened && *method != Method::HEAD {
            // Whoever reads the message does not wait for a busy database, nor fail with it.
            if let Err(error) = store::mark_opened(&self.0.db, &self.0.corp, id, now).await {
                tracing::warn!(%error, "It could not be written that a message's link was opened");
            }
        }
        Ok(redirect(&target.location(), &[]))
    }

    async fn find(&self, id: &str) -> sqlx::Result<Option<LinkRow>> {
        let ours = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if id.len() > MAX_LINK_ID_BYTES || !id.bytes().all(ours) {
            return Ok(None);
        }
        store::find_link(&self.0.db, &self.0.corp, id).await
    }

    /// WeCom is asked who it is now. On public_url's host always: only a sign-in that begins there asks although
    /// somebody is signed in.
    fn ask_again(&self, id: &str, visit: &BrowserRequest) -> Response {
        let origin = if visit.on_public { String::new() } else { self.0.site.hosts.public().to_string() };
        redirect_to_sign_in(visit, &format!("/sso/m/{id}?again=1"), &origin)
    }

    fn refuse(&self, id: &str, visit: &BrowserRequest, why: LinkError) -> Response {
        let code = match why {
            LinkError::Expired => Code::MessageExpired,
            LinkError::NotForThisPerson => Code::MessageNotForYou,
            LinkError::Unavailable | LinkError::Store(_) => Code::StoreUnavailable,
        };
        let mut failure = Failure::new(code);
        if code == Code::StoreUnavailable {
            let again = visit.path(&format!("m/{}", percent_encode(id)));
            failure.since = Some(self.0.sessions.refreshed_at());
            if !visit.query.flag("a") {
                failure.auto_retry = Some(format!("{again}?a=1"));
            }
            failure.retry = Some(again);
        } else {
            // Where a sign-in without a target leads: the landing page.
            failure.retry = Some(visit.path("login"));
        }
        if let LinkError::Store(error) = why {
            failure.cause = Some(Arc::new(error));
        }
        self.0.site.pages.answer(&visit.view, &failure, &visit.headers)
    }

    /// Writes that somebody tried a link that is not theirs. The page is the same whether that succeeds or not.
    async fn record(
        &self,
        id: &str,
        link: &LinkRow,
        person: &session::SessionPerson,
        visit: &BrowserRequest,
    ) {
        let now = visit.view.at;
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::Message,
            person: Some(person.id.clone()),
            userid: person.userid.as_str().to_owned(),
            address: visit.address,
            host: visit.origin.authority(),
            decision: "refused",
            detail: format!("{}; message {}", Code::MessageNotForYou.as_str(), link.message),
            request_id: visit.view.request_id.to_string(),
        };
        let Some(entry) = self.0.refusals.limit(entry, id, now) else { return };
        if let Err(error) = audit::store::insert_entries(&self.0.db, &self.0.corp, &[entry], now).await {
            tracing::error!(%error, "A refused link of a message could not be written to the audit trail");
        }
    }
}

/// Whether the link was opened inside WeCom: by the User-Agent, or where `entrance=app` says so, as at the sign-in.
fn is_in_wecom(visit: &BrowserRequest) -> bool {
    visit.browser == BrowserKind::WeCom || visit.query.single("entrance") == Ok(Some("app"))
}

/// The ordinary sign-in, silent inside WeCom, and back to the link; at `origin`, or on the requesting host.
fn redirect_to_sign_in(visit: &BrowserRequest, link: &str, origin: &str) -> Response {
    let login = if origin.is_empty() { visit.path("login") } else { format!("{origin}/sso/login") };
    let entrance =
        if is_in_wecom(visit) && visit.browser != BrowserKind::WeCom { "&entrance=app" } else { "" };
    redirect(&format!("{login}?rd={}{entrance}", percent_encode(link)), &[])
}
