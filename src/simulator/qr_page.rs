//! `/wwlogin/sso/login`: the page with the QR code and its progress (docs 98152, 98171).

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Simulator;
use super::page::{QrPage, RefusalPage, render_page};
use super::redirect::check_redirect;
use super::scan::ScanProgress;
use super::state::SimulatorState;

/// Shows the page with the QR code, in a frame of another site or alone.
pub(super) async fn show_qr_page(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match open_scan(&sim, &query) {
        Ok(panel) => render_page(&panel),
        Err(notice) => notice.framed().into_response(),
    }
}

fn open_scan(sim: &Simulator, query: &HashMap<String, String>) -> Result<QrPage, RefusalPage> {
    let get = |name: &str| query.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let bad = |what: &str| {
        RefusalPage::error(40035, &format!("{what} 参数错误"), "请检查登录链接的参数及其 URL 编码。")
    };
    let now = sim.inner.clock.now();
    let SimulatorState { world, scans, .. } = &mut *sim.inner.state.lock();
    if get("appid") != Some(world.corp_id.as_str()) {
        return Err(RefusalPage::error(40013, "appid 参数错误", "appid 应为企业的 CorpID。"));
    }
    if !matches!(get("login_type"), None | Some("CorpApp")) {
        return Err(bad("login_type"));
    }
    let app = get("agentid").and_then(|id| id.parse().ok()).and_then(|id| world.find_app(id));
    let app = app.ok_or_else(|| RefusalPage::error(40056, "agentid 参数错误", "应用不存在。"))?;
    let own_frame = match get("redirect_type") {
        None | Some("top") => false,
        Some("self") => true,
        // `callback` needs the official script, which is not simulated.
        Some(_) => return Err(bad("redirect_type")),
    };
    let english = match get("lang") {
        None | Some("zh") => false,
        Some("en") => true,
        Some(_) => return Err(bad("lang")),
    };
    let domains: Vec<&String> = app.trusted_domains.iter().chain(&app.callback_domains).collect();
    let uri = get("redirect_uri").ok_or_else(|| bad("redirect_uri"))?;
    let redirect = check_redirect(uri, &domains).ok_or_else(RefusalPage::unregistered_redirect)?;
    if !app.enabled {
        return Err(RefusalPage::error(50003, "应用已停用", "请联系管理员在「应用管理」中启用。"));
    }
    let scan = scans.add(app.agent_id, redirect, get("state").map(str::to_owned), now);
    Ok(QrPage::new(&scan, &app.name, own_frame, english))
}

/// Answers the progress of a scan: `{"status","redirect"}`. The page polls it every second.
pub(super) async fn answer_status(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let now = sim.inner.clock.now();
    let key = query.get("scan").map(String::as_str).unwrap_or_default();
    let progress = sim.inner.state.lock().scans.progress(key, now).map_or(ScanProgress::Expired, |(_, p)| p);
    let answer = json!({"status": progress.word(), "redirect": progress.url()});
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}
