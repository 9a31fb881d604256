//! Tests of the layers that every request passes.

use std::io;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use parking_lot::Mutex;
use tower::ServiceExt as _;

use super::*;
use crate::base::clock::Timestamp;
use crate::http::page::PageSettings;
use crate::http::problem::Problem;

fn test_router() -> Router {
    let ordinary = Router::new()
        .route("/", get(|id: RequestId| async move { id.to_string() }))
        .route("/number", get(|_: Query<Vec<(String, u8)>>| async {}))
        .route("/echo", post(|body: String| async { body }))
        .route("/boom", get(async || -> &'static str { panic!("at line 7\n\u{1b}[31m") }))
        .route(
            "/broken",
            get(async |id: RequestId| {
                let report = FailureReport {
                    cause: Some(Arc::new(io::Error::other("disk\nfull"))),
                    ..FailureReport::new(Code::Internal)
                };
                Problem::new(Code::Internal, &id).with_report(report)
            }),
        );
    let api = Router::new()
        .route("/api/v1/boom", get(async || -> &'static str { panic!("x") }))
        .route("/api/v1/echo", post(|body: String| async { body }));
    let uploads = Router::new()
        .route("/api/v1/keep", post(|body: String| async { body }).layer(DefaultBodyLimit::disable()));
    let checks = Router::new()
        .route("/auth/nginx", get(async || StatusCode::OK))
        .route("/auth/boom", get(async || -> StatusCode { panic!("secretive") }));
    let parts = MiddlewareParts {
        pages: PageRenderer::new(PageSettings::default()),
        clock: Clock::fixed(Timestamp::from_millis(1_795_334_400_000)),
        time_zone: chrono_tz::UTC,
        proxies: TrustedProxies(vec!["127.0.0.0/8".parse().unwrap()]),
    };
    build_public_router(PublicRoutes { ordinary, api, uploads, checks }, parts)
}

fn build_request(method: &str, uri: &str, peer: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(Peer::Ip(peer.parse().unwrap()));
    request
}

async fn get_with(uri: &str, peer: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    send(build_request("GET", uri, peer, headers, Body::empty())).await
}

async fn send(request: Request) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = test_router().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, MAX_UPLOAD_BODY_BYTES).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// A writer that collects the log.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the log at `level` while `uri` is requested.
async fn capture_log(level: tracing::Level, uri: &str, headers: &[(&str, &str)]) -> String {
    let log = CapturedLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    get_with(uri, "127.0.0.1", headers).await;
    drop(guard);
    let bytes = log.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_trusted_proxys_id_is_taken_over_and_anybody_elses_is_not() {
    let given = &[("x-request-id", "edge-42")];
    let (_, headers, body) = get_with("/", "127.0.0.1", given).await;
    assert_eq!((headers["x-request-id"].to_str().unwrap(), body.as_str()), ("edge-42", "edge-42"));
    let (_, headers, body) = get_with("/", "203.0.113.7", given).await;
    assert_eq!(headers["x-request-id"], body.as_str());
    assert_eq!(body.len(), 16);
    let (_, headers, _) = get_with("/", "127.0.0.1", &[("x-request-id", "<b>")]).await;
    assert_eq!(headers["x-request-id"].len(), 16);
    let (_, headers, _) = get_with("/auth/nginx", "127.0.0.1", given).await;
    assert_eq!(headers["x-request-id"], "edge-42");
}

#[tokio::test]
async fn ordinary_answers_are_not_kept_sniffed_or_told_to_others_unless_a_handler_says_so() {
    let (_, headers, _) = get_with("/", "127.0.0.1", &[]).await;
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_panic_is_a_500_page_for_people_and_a_problem_for_programs() {
    let (status, headers, body) = get_with("/boom", "127.0.0.1", &[("accept", "text/html")]).await;
    assert_eq!(status, 500);
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(
        body.contains(headers["x-request-id"].to_str().unwrap()) && !body.contains("at line 7"),
        "{body}"
    );
    let (status, headers, body) = get_with("/api/v1/boom", "127.0.0.1", &[]).await;
    assert_eq!(
        (status.as_u16(), headers["content-type"].to_str().unwrap()),
        (500, "application/problem+json")
    );
    assert!(body.contains("\"code\":\"internal\""), "{body}");
}

#[tokio::test]
async fn case_11_a_panic_in_a_check_is_a_refusal() {
    let (status, _, body) = get_with("/auth/boom", "127.0.0.1", &[]).await;
    assert_eq!((status.as_u16(), body.as_str()), (403, ""));
}

#[tokio::test]
async fn what_axum_refuses_by_itself_gets_a_code_and_a_request_id_too() {
    for (uri, status, code) in [
        ("/nothing", 404, "request.not_found"),
        ("/echo", 405, "request.method_not_allowed"),
        ("/number?a=999", 400, "request.invalid"),
        ("/api/v1/nothing", 404, "api.not_found"),
    ] {
        let (is, headers, body) = get_with(uri, "127.0.0.1", &[("accept", "application/json")]).await;
        assert_eq!(is, status, "{uri}");
        assert_eq!(headers["content-type"], "application/problem+json", "{uri}");
        assert!(
            body.contains(code) && body.contains(headers["x-request-id"].to_str().unwrap()),
            "{uri}: {body}"
        );
    }
    let (_, headers, body) = get_with("/echo", "127.0.0.1", &[]).await;
    assert_eq!(headers["allow"], "POST");
    assert!(body.starts_with("<!doctype html>"), "{body}");
}

#[tokio::test]
async fn a_body_over_the_limit_of_its_route_is_refused_with_or_without_its_length_in_the_header() {
    assert_eq!((MAX_BODY_BYTES, MAX_API_BODY_BYTES, MAX_UPLOAD_BODY_BYTES), (64 << 10, 1 << 20, 21 << 20));
    for (path, most) in [
        ("/echo", MAX_BODY_BYTES),
        ("/api/v1/echo", MAX_API_BODY_BYTES),
        ("/api/v1/keep", MAX_UPLOAD_BODY_BYTES),
    ] {
        let fits = build_request("POST", path, "127.0.0.1", &[], Body::from("x".repeat(most)));
        assert_eq!(send(fits).await.0, 200, "{path}");
        let declared = most + 1;
        let length = declared.to_string();
        let long = Body::from("x".repeat(declared));
        let (status, _, body) =
            send(build_request("POST", path, "127.0.0.1", &[("content-length", &length)], long)).await;
        assert_eq!(status, 413, "{path}");
        assert!(body.contains("request.too_large"), "{path}: {body}");
        let chunked = Body::from("x".repeat(declared));
        let (status, _, body) = send(build_request("POST", path, "127.0.0.1", &[], chunked)).await;
        assert_eq!(status, 413, "{path}");
        assert!(body.contains("request.too_large"), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_post_from_another_site_is_refused_and_one_from_a_program_is_not() {
    let post = |headers| send(build_request("POST", "/echo", "127.0.0.1", headers, Body::from("x")));
    let (status, _, body) = post(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]).await;
    assert_eq!(status, 403);
    assert!(body.contains("request.cross_site"), "{body}");
    assert_eq!(post(&[("origin", "https://evil.example"), ("host", "oa.example.com")]).await.0, 403);
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]).await.0, 200);
    assert_eq!(post(&[]).await.0, 200);
}

#[tokio::test]
async fn a_request_is_one_line_with_its_route_and_id_and_never_its_query() {
    let headers = [("x-request-id", "edge-42"), ("x-forwarded-for", "198.51.100.7")];
    let log = capture_log(tracing::Level::INFO, "/?code=S3CRET", &headers).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    for part in ["edge-42", "GET / answered 200", "198.51.100.7", "duration_ms="] {
        assert!(log.contains(part), "no {part}: {log}");
    }
    let unknown = capture_log(tracing::Level::INFO, "/S3CRET/x?code=S3CRET", &[]).await;
    assert!(
        unknown.contains("request.not_found") && !unknown.contains("S3CRET") && !log.contains("S3CRET"),
        "{unknown}"
    );
}

#[tokio::test]
async fn checks_are_logged_at_debug_only() {
    assert_eq!(capture_log(tracing::Level::INFO, "/auth/nginx", &[]).await, "");
    let log = capture_log(tracing::Level::DEBUG, "/auth/nginx?x=S3CRET", &[]).await;
    assert!(log.contains("Check answered 200") && !log.contains("S3CRET"), "{log}");
}

#[tokio::test]
async fn case_30_a_failure_is_logged_once_with_its_cause_on_one_line() {
    let log = capture_log(tracing::Level::INFO, "/broken", &[]).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("ERROR") && log.contains("disk\\nfull") && log.contains("internal"), "{log}");
    let panic = capture_log(tracing::Level::INFO, "/boom", &[]).await;
    assert!(panic.contains("at line 7\\n") && !panic.contains('\u{1b}'), "{panic}");
}
