//! Redirects, with cookies.

use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::cookie::SetCookie;

/// Makes a redirect that is not cached and that tells no other host where the browser came from.
pub(crate) fn redirect(to: &str, cookies: &[SetCookie]) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::from_str(to) {
        Ok(location) => {
            headers.insert(LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    add_cookies(&mut response, cookies);
    response
}

/// Adds a Set-Cookie for each cookie; one that no header can carry is left out.
pub(crate) fn add_cookies(response: &mut Response, cookies: &[SetCookie]) {
    for header in cookies.iter().filter_map(SetCookie::header) {
        response.headers_mut().append(SET_COOKIE, header);
    }
}
