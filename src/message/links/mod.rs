//! `/sso/m/{id}`: opens a link of a message signed in, for its recipients only ([design: signed-in
//! links](crate::design#signed-in-links)).
//!
//! The link alone is not enough. It opens only in a browser where a recipient is signed in. Nobody
//! else learns where it leads or what the message said. An unknown id gets the same answer as an
//! expired one, so that nobody can find out which ids exist. The target is checked again at every
//! opening, because a host may no longer be ours.

pub(super) mod store;

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
use store::{LinkAudience, LinkRow};

use super::Messages;

/// The longest id that is looked up; ours are shorter.
const MAX_LINK_ID_BYTES: usize = 64;

/// The state of the handler. Cheap to clone.
#[derive(Debug, Clone)]
struct MessageLinks(Arc<MessageLinksInner>);

#[derive(Debug)]
struct MessageLinksInner {
    corp: CorpId,
    db: Db,
    sessions: Sessions,
    site: Site,
    /// Limits how often a refusal is written to the audit trail.
    refusals: RefusalLimiter,
}

impl FromRef<MessageLinks> for Site {
    fn from_ref(links: &MessageLinks) -> Self {
        links.0.site.clone()
    }
}

/// Returns the routes of both paths, which every host has.
pub(crate) fn routes(
    messages: &Messages,
    sessions: Sessions,
    site: Site,
    refusals: RefusalLimiter,
) -> Router {
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

/// `GET /sso/m/{id}`: 302 to the target for a recipient, 302 to the sign-in for a browser that is
/// not signed in, 403 for anybody else, 410 for an expired link.
async fn open_link(
    State(links): State<MessageLinks>,
    id: Result<Path<String>, PathRejection>,
    method: Method,
    request: BrowserRequest,
) -> Response {
    // A path that is not UTF-8 is no id. An empty id is never found.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let answer = links.open(&id, &method, &request).await;
    answer.unwrap_or_else(|why| links.refuse(&id, &request, why))
}

/// Why a link does not open.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    /// There is none, it has expired, its message was recalled, or its target is no longer ours.
    #[error("the link has expired")]
    Expired,
    /// The message was for somebody else.
    #[error("the link is for somebody else")]
    NotForThisPerson,
    #[error("sessions cannot be checked")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}

impl MessageLinks {
    async fn open(&self, id: &str, method: &Method, request: &BrowserRequest) -> Result<Response, LinkError> {
        let now = request.view.at;
        let link = self.find(id).await?.filter(|link| link.expires_at > now && !link.is_recalled());
        let link = link.ok_or(LinkError::Expired)?;
        let session = match self.0.sessions.check(&request.headers, &request.origin).await {
            Ok(session) => session,
            // No redirect to the sign-in: a browser that is signed in would be sent round in
            // circles.
            Err(SessionError::Unavailable) => return Err(LinkError::Unavailable),
            Err(_) => return Ok(redirect_to_sign_in(request, &request.path(&format!("m/{id}")), "")),
        };
        let person = &session.person;
        let audience = store::find_audience(&self.0.db, &link.message_id, person).await?;
        // Inside WeCom the account is switched in the app, and only WeCom knows the current one. So
        // WeCom is asked once. That is needless only if the session belongs to the one person who
        // can see the message on a phone.
        if audience != LinkAudience::OnlyThisPerson && is_in_wecom(request) && !request.query.flag("again") {
            return Ok(self.ask_again(id, request));
        }
        if audience == LinkAudience::OnlyOthers {
            self.record(id, &link, person, request).await;
            return Err(LinkError::NotForThisPerson);
        }
        let hosts = &self.0.site.hosts;
        let target = ReturnTo::parse(&link.target, hosts.public(), hosts).map_err(|_| LinkError::Expired)?;
        // HEAD only asks where the link leads.
        if link.opened_at.is_none() && *method != Method::HEAD {
            // The reader of the message neither waits for a busy database nor fails with it.
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

    /// Asks WeCom who is using the browser now.
    ///
    /// Always on the host of `public_url`: only a sign-in that begins there asks WeCom although
    /// somebody is signed in.
    fn ask_again(&self, id: &str, request: &BrowserRequest) -> Response {
        let origin = if request.on_public { String::new() } else { self.0.site.hosts.public().to_string() };
        redirect_to_sign_in(request, &format!("/sso/m/{id}?again=1"), &origin)
    }

    fn refuse(&self, id: &str, request: &BrowserRequest, why: LinkError) -> Response {
        let code = match why {
            LinkError::Expired => Code::MessageExpired,
            LinkError::NotForThisPerson => Code::MessageNotForYou,
            LinkError::Unavailable | LinkError::Store(_) => Code::StoreUnavailable,
        };
        let mut failure = Failure::new(code);
        if code == Code::StoreUnavailable {
            let again = request.path(&format!("m/{}", percent_encode(id)));
            failure.since = Some(self.0.sessions.replica().refreshed_at());
            if !request.query.flag("a") {
                failure.auto_retry = Some(format!("{again}?a=1"));
            }
            failure.retry = Some(again);
        } else {
            // The landing page: a sign-in without a target leads there.
            failure.retry = Some(request.path("login"));
        }
        if let LinkError::Store(error) = why {
            failure.cause = Some(Arc::new(error));
        }
        self.0.site.pages.answer(&request.view, &failure, &request.headers)
    }

    /// Writes to the audit trail that somebody tried a link of others. The page is the same whether
    /// that succeeds or not.
    async fn record(
        &self,
        id: &str,
        link: &LinkRow,
        person: &session::SessionPerson,
        request: &BrowserRequest,
    ) {
        let now = request.view.at;
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::Message,
            actor: audit::Actor::System,
            person: Some(person.id.clone()),
            userid: person.userid.as_str().to_owned(),
            address: request.address,
            host: request.origin.authority(),
            decision: audit::AuditDecision::Refused,
            detail: format!("{}; message {}", Code::MessageNotForYou.as_str(), link.message_id),
            request_id: request.view.request_id.to_string(),
        };
        let Some(entry) = self.0.refusals.limit(entry, id, now) else { return };
        if let Err(error) = audit::store::insert_entries(&self.0.db, &self.0.corp, &[entry], now).await {
            tracing::error!(%error, "A refused link of a message could not be written to the audit trail");
        }
    }
}

/// Whether the link was opened inside WeCom: by the User-Agent, or because of `entrance=app` as at
/// the sign-in.
fn is_in_wecom(request: &BrowserRequest) -> bool {
    request.browser == BrowserKind::WeCom || request.query.single("entrance") == Ok(Some("app"))
}

/// Redirects to the ordinary sign-in, silent inside WeCom, with the link as its target.
///
/// It begins at `origin`, or on the requested host if that is empty.
fn redirect_to_sign_in(request: &BrowserRequest, link: &str, origin: &str) -> Response {
    let login = if origin.is_empty() { request.path("login") } else { format!("{origin}/sso/login") };
    let entrance =
        if is_in_wecom(request) && request.browser != BrowserKind::WeCom { "&entrance=app" } else { "" };
    redirect(&format!("{login}?rd={}{entrance}", percent_encode(link)), &[])
}
