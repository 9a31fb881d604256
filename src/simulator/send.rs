//! `message/send` and `message/recall` (docs 90236, 94867).

use std::time::Duration;

use serde_json::{Value, json};

use super::addressee::{Address, Addressees};
use super::api::{Call, Caller, Refusal, refused};
use super::content::{Against, Content, flag};
use super::post::{INTERVAL_MAX, Parcel, Repeats};
use super::random;
use super::reader::FORBIDDEN;
use super::state::Inside;
use super::world::App;

/// `duplicate_check_interval` of a request that names none.
const INTERVAL: Duration = Duration::from_secs(1800);

/// Rights first, then the address, then what the message says: whoever calls with an empty address learns
/// whether it may send.
pub(super) fn send(inside: &mut Inside, caller: Caller, call: &Call) -> Result<Value, Refusal> {
    let app = application(caller)?;
    let request = call.json()?;
    own(app, &request)?;
    let address = Address::read(&request)?;
    let repeats = repeats(&request)?;
    flag(&request, "enable_id_trans")?;
    let content = Content::read(&request, Against { app, medias: inside.medias, now: inside.now })?;
    let found = address.resolve(inside.view, app);
    if !found.any_valid {
        let mut answer = refused(&Refusal(81013, "user & party & tag all invalid"), call.from);
        name_invalid(&mut answer, &found);
        return Ok(answer);
    }
    let limits = &inside.world.limits;
    let day_most = limits.recipients_per_account.map(|n| n.saturating_mul(inside.world.account_limit));
    let msgid = random::text(32);
    let mut answer = json!({"errcode": 0, "errmsg": "ok"});
    name_invalid(&mut answer, &found);
    if inside.world.empty_invaliduser && found.invalid_users.is_empty() {
        put(&mut answer, "invaliduser", "");
    }
    put(&mut answer, "msgid", &msgid);
    if content.answers {
        put(&mut answer, "response_code", &random::text(43));
    }
    let members = found.members;
    let parcel = Parcel { agent_id: app.agent_id, request: &request, content, members, repeats };
    inside.post.send(msgid, parcel, limits, day_most, (inside.began, inside.now))?;
    Ok(answer)
}

/// Only the application that sent a message takes it back.
pub(super) fn recall(inside: &mut Inside, caller: Caller, call: &Call) -> Result<Value, Refusal> {
    let app = application(caller)?;
    let request = call.json()?;
    let msgid = request.get("msgid").and_then(Value::as_str).unwrap_or_default();
    inside.post.recall(app.agent_id, msgid, inside.now)?;
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn application(caller: Caller<'_>) -> Result<&App, Refusal> {
    match caller {
        Caller::App(app) => Ok(app),
        Caller::Contacts { .. } => Err(FORBIDDEN),
    }
}

/// # Errors
/// 41011 without an `agentid`, 40056 if it is no number, 301002 if it is another application's.
fn own(app: &App, request: &Value) -> Result<(), Refusal> {
    match request.get("agentid") {
        None | Some(Value::Null) => Err(Refusal(41011, "missing agentid")),
        Some(id) => match id.as_i64() {
            None => Err(Refusal(40056, "invalid agentid")),
            Some(id) if id == app.agent_id => Ok(()),
            Some(_) => Err(Refusal(301_002, "not allow operate another agent with this accesstoken")),
        },
    }
}

fn repeats(request: &Value) -> Result<Repeats, Refusal> {
    let interval = match request.get("duplicate_check_interval") {
        None | Some(Value::Null) => INTERVAL,
        Some(seconds) => (seconds.as_u64().map(Duration::from_secs))
            .filter(|i| !i.is_zero() && *i <= INTERVAL_MAX)
            .ok_or(Refusal(40035, "invalid parameter, duplicate_check_interval"))?,
    };
    Ok(Repeats { checked: flag(request, "enable_duplicate_check")?, interval })
}

/// A field with nobody in it is left out.
fn name_invalid(answer: &mut Value, found: &Addressees) {
    let lists = [
        ("invaliduser", &found.invalid_users),
        ("invalidparty", &found.invalid_parties),
        ("invalidtag", &found.invalid_tags),
        ("unlicenseduser", &found.unlicensed),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        put(answer, name, &list.join("|"));
    }
}

fn put(answer: &mut Value, name: &str, value: &str) {
    if let Value::Object(fields) = answer {
        fields.insert(name.to_owned(), json!(value));
    }
}
