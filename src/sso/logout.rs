//! `/sso/logout`: ends everything that the sign-in led to, on every host.

use axum::extract::State as AxumState;
use axum::response::Response;

use super::error::SsoError;
use super::target::{self, Target};
use super::{Sso, marker};
use crate::audit;
use crate::db::feed::Change;
use crate::http::redirect::{add_cookies, redirect};
use crate::http::visit::Visit;
use crate::session::NotSignedIn;
use crate::session::store::{self as session_store, Which};

/// `GET,POST /sso/logout?rd=`. Signs out first and judges the target then: a bad one must not keep anybody in.
pub async fn logout(AxumState(sso): AxumState<Sso>, visit: Visit) -> Response {
    if let Err(error) = sso.sign_out(&visit).await {
        return sso.fail(&visit, None, error);
    }
    let mut cookies = sso.clear_session_cookies(&visit);
    cookies.push(marker::signed_out(visit.secure()));
    let mut response = match sso.after_logout(&visit) {
        Ok(Some(target)) => redirect(target.page().as_str(), &[]),
        Ok(None) => {
            let again = format!("{}?again=1", visit.path("login"));
            sso.pages().signed_out(&visit.view, &again)
        }
        Err(error) => sso.fail(&visit, None, error),
    };
    add_cookies(&mut response, &cookies);
    response
}

impl Sso {
    fn after_logout(&self, visit: &Visit) -> Result<Option<Target>, SsoError> {
        let Some(rd) = visit.query.one("rd")? else { return Ok(None) };
        let page = target::page(Some(rd), &self.0.settings.landing, &visit.origin, self.hosts())?;
        Ok(Some(Target::of_page(page, &visit.origin)))
    }

    /// Ends what every cookie of the session's name began: of two nobody can say which one is meant.
    async fn sign_out(&self, visit: &Visit) -> Result<(), SsoError> {
        let checked = self.0.sessions.check(&visit.headers, &visit.origin).await;
        let sessions = match checked {
            Ok(session) => vec![session],
            Err(NotSignedIn::Unavailable) => return Err(SsoError::Stale),
            Err(NotSignedIn::Two) => self.0.sessions.every(&visit.headers, &visit.origin).await,
            Err(_) => return Ok(()),
        };
        let now = self.0.clock.now();
        for session in sessions {
            let mut change = Change::begin(&self.0.db, &self.0.settings.corp, now).await?;
            let ended =
                session_store::end(&mut change, &Which::Family(&session.family), "signed out").await?;
            let entry = audit::Entry {
                event: audit::Event::SignOut,
                person: Some(session.person.id.clone()),
                userid: session.person.userid.as_str().to_owned(),
                address: visit.address,
                host: visit.origin.authority(),
                decision: "done",
                detail: format!("{ended} sessions"),
                request_id: visit.view.request_id.as_str().to_owned(),
            };
            audit::store::insert(change.tx(), &self.0.settings.corp, &entry, now).await?;
            change.commit().await?;
        }
        // This replica need not wait for the feed.
        self.0.sessions.refresh().await.map_err(|_| SsoError::Stale)
    }
}
