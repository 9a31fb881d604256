//! `/connect/oauth2/authorize`: sign-in inside WeCom (doc 91022).

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::Url;

use super::Simulator;
use super::page::{ConsentPage, RefusalPage, render_page};
use super::phone::{PhoneUser, identify_phone_user};
use super::redirect::{build_callback_url, check_redirect};
use super::state::SimulatorContext;
use super::world::{CodeBearer, SimulatedApp, World};

/// A request that passed every check.
struct ValidAuthorizeRequest<'w> {
    app: &'w SimulatedApp,
    redirect: Url,
    state: Option<&'w str>,
    private: bool,
}

enum BrowserAction {
    Go(String),
    Show(RefusalPage),
    Ask(ConsentPage),
}

/// Answers like the in-app browser: a redirect without a page, unless something is wrong.
pub(super) async fn handle_authorize(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    match sim.with_world(|context| decide_action(context, &query, &headers)) {
        BrowserAction::Go(url) => redirect_to(&url),
        BrowserAction::Show(notice) => notice.into_response(),
        BrowserAction::Ask(consent) => render_page(&consent),
    }
}

/// Returns a 302 that is not cached.
pub(super) fn redirect_to(url: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, url), (header::CACHE_CONTROL, "no-store")]).into_response()
}

fn decide_action(
    context: &mut SimulatorContext,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> BrowserAction {
    let name = match identify_phone_user(headers, context.world) {
        PhoneUser::NotWeCom => {
            return BrowserAction::Show(RefusalPage::error(
                0,
                "请在微信客户端打开链接",
                "该页面只能在企业微信或微信内打开。",
            ));
        }
        PhoneUser::Nobody => {
            return BrowserAction::Show(RefusalPage::error(
                0,
                "未登录企业微信",
                "这部手机上没有登录的成员。",
            ));
        }
        PhoneUser::Cancels => None,
        PhoneUser::Person(name) => Some(name),
    };
    let request = match check_request(context.world, query) {
        Ok(request) => request,
        Err(notice) => return BrowserAction::Show(notice),
    };
    let declined = request.private && query.get("decision").is_some_and(|d| d == "cancel");
    // Who declines comes back without a code: that is no error of WeCom's.
    let Some(name) = name.filter(|_| !declined) else {
        return BrowserAction::Go(build_callback_url(&request.redirect, None, request.state));
    };
    let who = context.world.resolve_person(&name);
    if request.private {
        let visible = match &who {
            CodeBearer::Member(u) => {
                context.world.member(u).is_some_and(|m| context.world.member_is_visible(request.app, m))
            }
            CodeBearer::Outsider { .. } => false,
        };
        if !visible {
            return BrowserAction::Show(RefusalPage::error(0, "无权限访问", "你不在该应用的可见范围内。"));
        }
        if query.get("decision").is_none_or(|d| d != "allow") {
            return BrowserAction::Ask(ConsentPage::new(&request.app.name, query));
        }
    }
    let code = context.grants.issue_code(who, request.app.agent_id, request.private, context.now);
    BrowserAction::Go(build_callback_url(&request.redirect, Some(&code), request.state))
}

fn check_request<'w>(
    world: &'w World,
    query: &'w HashMap<String, String>,
) -> Result<ValidAuthorizeRequest<'w>, RefusalPage> {
    let bad = |what: &str, why: &str| RefusalPage::error(40035, &format!("{what} 参数错误"), why);
    let get = |name: &str| query.get(name).map(String::as_str).filter(|v| !v.is_empty());
    if get("appid") != Some(world.corp_id.as_str()) {
        return Err(RefusalPage::error(40013, "appid 参数错误", "appid 应为企业的 CorpID。"));
    }
    if get("response_type") != Some("code") {
        return Err(bad("response_type", "response_type 应为 code。"));
    }
    let private = match get("scope") {
        Some("snsapi_base" | "snsapi_userinfo") => false,
        Some("snsapi_privateinfo") => true,
        _ => return Err(bad("scope", "scope 应为 snsapi_base 或 snsapi_privateinfo。")),
    };
    let state = get("state");
    if state.is_some_and(|s| s.len() > 128 || !s.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err(bad("state", "state 只能包含 a-zA-Z0-9，长度不超过 128 字节。"));
    }
    let uri = get("redirect_uri").ok_or_else(|| bad("redirect_uri", "缺少 redirect_uri。"))?;
    let unknown = || RefusalPage::error(40056, "agentid 参数错误", "应用不存在。");
    let named = match get("agentid") {
        Some(id) => Some(id.parse().ok().and_then(|id| world.find_app(id)).ok_or_else(unknown)?),
        None if private => return Err(unknown()),
        None => None,
    };
    // Without an agentid, WeCom chooses the application that has registered the domain.
    let candidates: Vec<&SimulatedApp> = named.map_or_else(|| world.apps().collect(), |app| vec![app]);
    let by = |app: &&SimulatedApp| check_redirect(uri, &app.trusted_domains.iter().collect::<Vec<_>>());
    let app = candidates.iter().copied().find(|a| by(a).is_some()).unwrap_or(named.unwrap_or(&world.app));
    let redirect = by(&app).ok_or_else(RefusalPage::unregistered_redirect)?;
    if !app.enabled {
        return Err(RefusalPage::error(50003, "应用已停用", "请联系管理员在「应用管理」中启用。"));
    }
    Ok(ValidAuthorizeRequest { app, redirect, state, private })
}
