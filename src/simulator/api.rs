//! `/cgi-bin/*`: the server API, with WeCom's envelope, errcodes and the rights of each secret.
//!
//! Every answer is written by hand from the examples in WeCom's documents (numbers in the
//! comments). A field that the client misreads can therefore not be misread here in the same way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::call::{SimulatedCall, SimulatedRefusal, refusal_answer};
use super::fault::InjectedFault;
use super::grant::{BadCode, BadToken, MAX_CODE_BYTES, TOKEN_LIFETIME, TokenHolder};
use super::media::BAD_MEDIA;
use super::reader::{ContactReader, SimulatedCaller};
use super::state::SimulatorContext;
use super::world::CodeBearer;
use super::{ReceivedCall, Simulator, agent, contact, fault, media_api, random, send, tag};

/// The largest body of a call.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// The largest upload. It exceeds WeCom's limit, so that a file that is too large gets 45001.
const MAX_UPLOAD_BYTES: usize = 32 * 1024 * 1024;
/// How much of an upload [`ReceivedCall`] keeps.
const KEPT_UPLOAD_BYTES: usize = 1024;

/// Handles every API path.
pub(super) async fn handle_call(
    State(sim): State<Simulator>,
    Path(api): Path<String>,
    request: Request,
) -> Response {
    let from = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        // An IPv4 caller of an IPv6 socket counts under its IPv4 address.
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |c| c.0.ip().to_canonical());
    let (head, body) = request.into_parts();
    let is_upload = api == "media/upload";
    let Ok(body) = to_bytes(body, if is_upload { MAX_UPLOAD_BYTES } else { MAX_BODY_BYTES }).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let kept = if is_upload { KEPT_UPLOAD_BYTES } else { body.len() };
    let mut in_flight = sim.record_call(ReceivedCall {
        api: api.clone(),
        method: head.method.to_string(),
        query: pairs.clone(),
        body: String::from_utf8_lossy(body.get(..kept).unwrap_or(&body)).into_owned(),
        from,
    });
    let content_type =
        head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let call =
        SimulatedCall { method: head.method, query: pairs.into_iter().collect(), content_type, body, from };
    let answer = answer_call(&sim, &api, &call, in_flight.refusal.take()).await;
    sim.wait_while_held(&api).await;
    // The call counts as running until its answer is complete.
    drop(in_flight);
    answer
}

/// Answers a call: first an injected fault, then a refusal by a limit, then, after the latency, the
/// API itself.
async fn answer_call(
    sim: &Simulator,
    api: &str,
    call: &SimulatedCall,
    limited: Option<SimulatedRefusal>,
) -> Response {
    let (fault, latency) = {
        let mut state = sim.inner.state.lock();
        (state.faults.take(api, call), state.world.limits.latency.get(api))
    };
    if fault.is_none()
        && let Some(refusal) = limited
    {
        return fault::json_answer(&refusal_answer(&refusal, call.from));
    }
    // Only now, so that a call refused by a limit is answered at once.
    if let Some(latency) = latency {
        tokio::time::sleep(latency).await;
    }
    if let Some(fault) = &fault
        && let Some(instead) = fault.instead().await
    {
        return instead;
    }
    if api == "media/get"
        && let Some(file) = sim.with_world(|context| read_media(context, call))
    {
        return match fault {
            Some(InjectedFault::HavingActed(then)) => then.instead().await.unwrap_or(file),
            _ => file,
        };
    }
    let result = sim.with_world(|context| dispatch_call(context, api, call));
    let answer = match result {
        Some(Ok(answer)) => answer,
        Some(Err(refusal)) => refusal_answer(&refusal, call.from),
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    match fault {
        None => fault::json_answer(&answer),
        Some(InjectedFault::HavingActed(then)) => then.instead().await.unwrap_or_else(|| then.spoil(&answer)),
        Some(fault) => fault.spoil(&answer),
    }
}

/// Returns a medium, the only answer that is not JSON. [`dispatch_call`] answers refusals.
fn read_media(context: &mut SimulatorContext, call: &SimulatedCall) -> Option<Response> {
    authenticate_caller(context, call).ok()?;
    media_api::get_media(context, call).ok().map(|m| m.answer(false))
}

/// Returns `None` for an unknown path.
fn dispatch_call(
    context: &mut SimulatorContext,
    api: &str,
    call: &SimulatedCall,
) -> Option<Result<Value, SimulatedRefusal>> {
    let read = |what: fn(ContactReader, &SimulatedCall) -> Result<Value, SimulatedRefusal>| {
        let caller = authenticate_caller(context, call)?;
        let answer = what(ContactReader::new(context.view, caller)?, call)?;
        context.world.limits.fits(api, &answer).map(|()| answer)
    };
    let result = match api {
        _ if context.grants.is_blocked(call.from, context.now) => {
            Err(SimulatedRefusal(45009, "api freq out of limit"))
        }
        "gettoken" => get_token(context, call),
        "auth/getuserinfo" => get_user_info(context, call).map(|i| i.answer(FieldSpelling::Current)),
        "user/getuserinfo" => get_user_info(context, call).map(|i| i.answer(FieldSpelling::Legacy)),
        "user/get" => read(contact::user_get),
        "user/list" => read(contact::user_list),
        "user/simplelist" => read(contact::user_simplelist),
        "user/list_id" => read(contact::user_list_id),
        "department/list" => read(contact::department_list),
        "department/simplelist" => read(contact::department_simplelist),
        "department/get" => read(contact::department_get),
        "tag/list" => read(tag::list_tags),
        "tag/get" => read(tag::get_tag),
        "agent/get" => read(agent::get_agent),
        "message/send" => {
            authenticate_caller(context, call).and_then(|who| send::send_message(context, who, call))
        }
        "message/recall" => {
            authenticate_caller(context, call).and_then(|who| send::recall_message(context, who, call))
        }
        "media/upload" => {
            authenticate_caller(context, call).and_then(|_| media_api::upload_media(context, call))
        }
        // A success was answered by `read_media`; only refusals get here.
        "media/get" => authenticate_caller(context, call)
            .and_then(|_| Err(media_api::get_media(context, call).err().unwrap_or(BAD_MEDIA))),
        _ => return None,
    };
    Some(result)
}

/// Doc 91039. The caller's address is not checked here: 60020 comes with the first call that uses
/// the token.
fn get_token(context: &mut SimulatorContext, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    let corp_id = call.param("corpid").ok_or(SimulatedRefusal(41002, "corpid missing"))?;
    let secret = call.param("corpsecret").ok_or(SimulatedRefusal(41004, "corpsecret missing"))?;
    if corp_id != context.world.corp_id {
        return Err(SimulatedRefusal(40013, "invalid corpid"));
    }
    let contacts = (TokenHolder::Contacts, context.world.contacts.secret.as_str(), true);
    let mut holders = context
        .world
        .apps()
        .map(|a| (TokenHolder::App(a.agent_id), a.secret.as_str(), a.enabled))
        .chain(std::iter::once(contacts));
    let Some((holder, secret, enabled)) = holders.find(|(_, s, _)| *s == secret) else {
        context.grants.count_wrong_secret(call.from, context.world.wrong_secrets_before_block, context.now);
        // No secret has other characters: it was copied wrongly, or is another corporation's.
        let shaped = secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        return Err(if shaped {
            SimulatedRefusal(40001, "invalid credential")
        } else {
            SimulatedRefusal(40091, "invalid secret")
        });
    };
    if !enabled {
        return Err(SimulatedRefusal(50003, "app disabled"));
    }
    let token = context.grants.token(holder, secret, context.now);
    Ok(json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": TOKEN_LIFETIME.as_secs()}))
}

/// Checks the token, then the address, then whether the application is enabled. Every call except
/// gettoken passes here.
fn authenticate_caller<'w>(
    context: &SimulatorContext<'w>,
    call: &SimulatedCall,
) -> Result<SimulatedCaller<'w>, SimulatedRefusal> {
    let world = context.world;
    let invalid = SimulatedRefusal(40014, "invalid access_token");
    let token = call.param("access_token").ok_or(SimulatedRefusal(41001, "access_token missing"))?;
    let holder = context.grants.check_token(token, context.now).map_err(|e| match e {
        BadToken::Expired => SimulatedRefusal(world.expired_token_errcode, "access_token expired"),
        BadToken::Unknown => SimulatedRefusal(world.revoked_token_errcode, "invalid access_token"),
    })?;
    let (caller, trusted, enabled) = match holder {
        TokenHolder::App(id) => {
            let app = world.find_app(id).ok_or(invalid)?;
            (SimulatedCaller::App(app), &app.trusted_ips, app.enabled)
        }
        TokenHolder::Contacts => {
            let c = &world.contacts;
            (SimulatedCaller::Contacts { reads_details: c.reads_details }, &c.trusted_ips, true)
        }
    };
    if trusted.as_ref().is_some_and(|list| !list.contains(&call.from)) {
        return Err(SimulatedRefusal(60020, "not allow to access from your ip"));
    }
    if !enabled {
        return Err(SimulatedRefusal(50003, "app disabled"));
    }
    Ok(caller)
}

/// The field names of the two endpoints (doc 91023 and its predecessor).
#[derive(Clone, Copy)]
enum FieldSpelling {
    Current,
    Legacy,
}

struct CodeIdentity {
    who: CodeBearer,
    ticket: Option<String>,
}

impl CodeIdentity {
    fn answer(&self, spelling: FieldSpelling) -> Value {
        let mut answer = json!({"errcode": 0, "errmsg": "ok"});
        let mut set = |current: &str, legacy: &str, value: Value| {
            let name = match spelling {
                FieldSpelling::Current => current,
                FieldSpelling::Legacy => legacy,
            };
            // An empty name means that this spelling does not have the field.
            if let (Value::Object(fields), false) = (&mut answer, name.is_empty()) {
                fields.insert(name.to_owned(), value);
            }
        };
        match &self.who {
            CodeBearer::Member(userid) => set("userid", "UserId", json!(userid)),
            CodeBearer::Outsider { openid, .. } => set("openid", "OpenId", json!(openid)),
        }
        set("", "DeviceId", json!("SIMULATOR00000000000000000000001"));
        if let CodeBearer::Outsider { external_userid: Some(id), .. } = &self.who {
            set("external_userid", "external_userid", json!(id));
        }
        if let Some(ticket) = &self.ticket {
            set("user_ticket", "user_ticket", json!(ticket));
            set("", "expires_in", json!(7200));
        }
        answer
    }
}

/// Doc 91023. It answers for every member, whether visible to the application or not.
fn get_user_info(
    context: &mut SimulatorContext,
    call: &SimulatedCall,
) -> Result<CodeIdentity, SimulatedRefusal> {
    let SimulatedCaller::App(app) = authenticate_caller(context, call)? else {
        return Err(SimulatedRefusal(
            50001,
            "redirect_url is not registered, the contacts secret cannot consume a code",
        ));
    };
    let code = call.param("code").ok_or(SimulatedRefusal(41008, "missing code"))?;
    let exact = context.world.exact_code_errors;
    // WeCom refuses what it cannot have issued without looking it up.
    let redeemed = if code.len() > MAX_CODE_BYTES {
        Err(BadCode::Unknown)
    } else {
        context.grants.redeem(code, app.agent_id, context.now)
    };
    let code = redeemed.map_err(|e| match e {
        BadCode::OtherAgent => {
            SimulatedRefusal(50001, "redirect_url is not registered, the code is of another agent")
        }
        BadCode::Used if exact => SimulatedRefusal(42022, "code has been used"),
        BadCode::Expired if exact => SimulatedRefusal(42003, "code expired"),
        BadCode::Unknown | BadCode::Used | BadCode::Expired => SimulatedRefusal(40029, "invalid code"),
    })?;
    let visible = match &code.who {
        CodeBearer::Member(userid) => context
            .view
            .member(userid)
            .is_some_and(|m| context.view.range(app.agent_id).is_some_and(|r| r.has_member(m))),
        CodeBearer::Outsider { .. } => false,
    };
    let ticket = (code.private && visible).then(|| random::random_text(86));
    Ok(CodeIdentity { who: code.who, ticket })
}
