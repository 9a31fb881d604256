//! Tells who is signed in: as JSON for pages, and as a page at `/` where no application has that
//! path.

use axum::Json;
use axum::extract::State as AxumState;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::Sso;
use super::error::SsoError;
use crate::base::clock::Timestamp;
use crate::http::browser_request::BrowserRequest;
use crate::http::problem::Problem;
use crate::http::redirect::redirect;
use crate::http::words::Code;
use crate::session::SessionError;

/// The body of `GET /sso/session` ([design: API shapes](crate::design#api-shapes)).
#[derive(Debug, Serialize)]
struct SessionAnswer<'a> {
    userid: &'a str,
    name: &'a str,
    sub: &'a str,
    units: Vec<SessionUnit<'a>>,
    amr: [&'static str; 1],
    expires_at: Timestamp,
}

/// A unit of the person.
#[derive(Debug, Serialize)]
struct SessionUnit<'a> {
    id: &'a str,
    path: &'a str,
}

/// Handles `GET /sso/session`: tells who is signed in, or answers 401.
pub(crate) async fn handle_session(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    let chart = sso.0.sessions.replica().chart();
    let mut response = match sso.0.sessions.check(&request.headers, &request.origin).await {
        Ok(session) => Json(SessionAnswer {
            userid: session.person.userid.as_str(),
            name: &session.person.name,
            sub: session.person.id.as_str(),
            units: session
                .person
                .memberships
                .iter()
                .filter_map(|place| chart.unit(&place.unit))
                .map(|placed| SessionUnit { id: placed.unit.id.as_str(), path: &placed.path })
                .collect(),
            amr: [session.amr.as_str()],
            expires_at: session.expires_at,
        })
        .into_response(),
        Err(SessionError::Unavailable) => {
            Problem::new(Code::StoreUnavailable, &request.view.request_id).into_response()
        }
        Err(_) => Problem::new(Code::Unauthorized, &request.view.request_id)
            .with_detail("nobody is signed in")
            .into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A cache must not show one person's answer to another.
    response.headers_mut().insert(VARY, HeaderValue::from_static("Cookie"));
    response
}

/// Handles `GET /`: shows "signed in as NAME", and sends everybody else to sign in.
pub(crate) async fn handle_home(AxumState(sso): AxumState<Sso>, request: BrowserRequest) -> Response {
    match sso.0.sessions.check(&request.headers, &request.origin).await {
        Ok(session) => {
            let out = request.path("logout");
            sso.pages().home(&request.view, &session.person.name, session.person.userid.as_str(), &out)
        }
        // Do not send to sign in: a person who is signed in would go in circles.
        Err(SessionError::Unavailable) => sso.fail(&request, None, SsoError::Stale),
        Err(_) => redirect(&format!("{}?rd=%2F", request.path("login")), &[]),
    }
}
