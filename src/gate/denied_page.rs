//! `/_gongpai/denied`: the page for a navigation that the gate denied. It decides again, by the
//! same function, and says why.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::GateState;
use super::explain::{AccessOutcome, explain_decision};
use crate::base::url::{ReturnTo, percent_encode};
use crate::http::browser_request::{BrowserRequest, Site};
use crate::http::failure::Failure;
use crate::http::words::Code;

#[derive(Debug, Clone)]
struct DeniedPageState {
    gate: GateState,
    site: Site,
}

impl FromRef<DeniedPageState> for Site {
    fn from_ref(state: &DeniedPageState) -> Self {
        state.site.clone()
    }
}

/// Builds the router of the page, which is served on every host.
pub(crate) fn routes(gate: GateState, site: Site) -> Router {
    Router::new().route("/_gongpai/denied", get(show_denied_page)).with_state(DeniedPageState { gate, site })
}

/// Answers 403 with the reason to a signed-in person, and sends everybody else to sign in.
///
/// If the decision has changed in the meantime, the page only offers a button back, so that the
/// browser does not go in circles.
async fn show_denied_page(State(state): State<DeniedPageState>, request: BrowserRequest) -> Response {
    let wanted = request.query.single("rd").ok().flatten().unwrap_or("/");
    let page = match ReturnTo::parse(wanted, &request.origin, &state.site.hosts) {
        Ok(page) => page,
        Err(why) => {
            return state.site.pages.answer(&request.view, &Failure::from_bad_target(why), &request.headers);
        }
    };
    let session = state.gate.sessions.check(&request.headers, &request.origin).await.ok();
    let Some(session) = session else {
        // A visitor who is not signed in gets no reasons: rules name people.
        let login = format!("{}?rd={}", request.path("login"), percent_encode(page.as_str()));
        return (StatusCode::FOUND, [(CACHE_CONTROL, "no-store"), (LOCATION, login.as_str())])
            .into_response();
    };
    let person = Some(&*session.person);
    let why =
        explain_decision(&state.gate.resolved_rules(), &state.site.hosts, page.as_str(), Some("GET"), person);
    let mut failure = Failure::new(Code::Denied);
    // The rule's number is enough for the administrator. Whom the rule allows is not shown to the
    // person.
    let rule = why.rule.map(|(number, _)| format!("rule {number}; ")).unwrap_or_default();
    failure.detail = Some(match why.outcome {
        AccessOutcome::Allowed | AccessOutcome::Public => format!("{rule}allowed by now"),
        AccessOutcome::SignIn | AccessOutcome::Denied => format!("{rule}{}", why.reason),
    });
    failure.retry = Some(page.as_str().to_owned());
    failure.switch_account = Some(format!("{}?rd={}", request.path("logout"), percent_encode(page.as_str())));
    state.site.pages.answer(&request.view, &failure, &request.headers)
}
