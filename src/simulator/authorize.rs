//! `/connect/oauth2/authorize`: sign-in inside WeCom (doc 91022).

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::Url;

use super::Simulator;
use super::page::{Consent, Notice, respond};
use super::phone::{Hand, in_hand};
use super::redirect::{answered, registered};
use super::state::Inside;
use super::world::{App, Who, World};

/// A request that keeps every rule.
struct Asked<'w> {
    app: &'w App,
    redirect: Url,
    state: Option<&'w str>,
    private: bool,
}

/// What the in-app browser does next.
enum Next {
    Go(String),
    Show(Notice),
    Ask(Consent),
}

/// Answers like the in-app browser: at once and without a page, unless something is wrong.
pub(super) async fn authorize(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    match sim.inside(|inside| next(inside, &query, &headers)) {
        Next::Go(url) => redirect(&url),
        Next::Show(notice) => notice.into_response(),
        Next::Ask(consent) => respond(&consent),
    }
}

/// A 302 that no cache keeps.
pub(super) fn redirect(url: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, url), (header::CACHE_CONTROL, "no-store")]).into_response()
}

fn next(inside: &mut Inside, query: &HashMap<String, String>, headers: &HeaderMap) -> Next {
    let name = match in_hand(headers, inside.world) {
        Hand::NotWeCom => {
            return Next::Show(Notice::error(
                0,
                "请在微信客户端打开链接",
                "该页面只能在企业微信或微信内打开。",
            ));
        }
        Hand::Nobody => return Next::Show(Notice::error(0, "未登录企业微信", "这部手机上没有登录的成员。")),
        Hand::Cancels => None,
        Hand::Person(name) => Some(name),
    };
    let asked = match check(inside.world, query) {
        Ok(asked) => asked,
        Err(notice) => return Next::Show(notice),
    };
    let declined = asked.private && query.get("decision").is_some_and(|d| d == "cancel");
    let Some(name) = name.filter(|_| !declined) else {
        return Next::Go(answered(&asked.redirect, None, asked.state));
    };
    let who = inside.world.who(&name);
    if asked.private {
        let visible = match &who {
            Who::Member(u) => {
                inside.world.member(u).is_some_and(|m| inside.world.member_is_visible(asked.app, m))
            }
            Who::Outsider { .. } => false,
        };
        if !visible {
            return Next::Show(Notice::error(0, "无权限访问", "你不在该应用的可见范围内。"));
        }
        if query.get("decision").is_none_or(|d| d != "allow") {
            return Next::Ask(Consent::new(&asked.app.name, query));
        }
    }
    let code = inside.grants.issue_code(who, asked.app.agent_id, asked.private, inside.now);
    Next::Go(answered(&asked.redirect, Some(&code), asked.state))
}

fn check<'w>(world: &'w World, query: &'w HashMap<String, String>) -> Result<Asked<'w>, Notice> {
    let bad = |what: &str, why: &str| Notice::error(40035, &format!("{what} 参数错误"), why);
    let get = |name: &str| query.get(name).map(String::as_str).filter(|v| !v.is_empty());
    if get("appid") != Some(world.corp_id.as_str()) {
        return Err(Notice::error(40013, "appid 参数错误", "appid 应为企业的 CorpID。"));
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
    let unknown = || Notice::error(40056, "agentid 参数错误", "应用不存在。");
    let named = match get("agentid") {
        Some(id) => Some(id.parse().ok().and_then(|id| world.app_of(id)).ok_or_else(unknown)?),
        None if private => return Err(unknown()),
        None => None,
    };
    // without an agentid it is the application that has registered the domain
    let candidates: Vec<&App> = named.map_or_else(|| world.apps().collect(), |app| vec![app]);
    let by = |app: &&App| registered(uri, &app.trusted_domains.iter().collect::<Vec<_>>());
    let app = candidates.iter().copied().find(|a| by(a).is_ok()).unwrap_or(named.unwrap_or(&world.app));
    let redirect = by(&app)?;
    if !app.enabled {
        return Err(Notice::error(50003, "应用已停用", "请联系管理员在「应用管理」中启用。"));
    }
    Ok(Asked { app, redirect, state, private })
}
