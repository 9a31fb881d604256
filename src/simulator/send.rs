//! `message/send` and `message/recall` (docs 90236, 94867).

use std::time::Duration;

use serde_json::{Value, json};

use super::addressee::{Address, Addressees};
use super::call::{SimulatedCall, SimulatedRefusal, refusal_answer};
use super::content::CheckedContent;
use super::content_fields::{ContentContext, parse_flag};
use super::mailbox::{DuplicateCheck, MAX_DUPLICATE_INTERVAL, ValidSend};
use super::random;
use super::reader::{FORBIDDEN, SimulatedCaller};
use super::state::SimulatorContext;
use super::world::SimulatedApp;

/// Used if a request has no `duplicate_check_interval`.
const DEFAULT_DUPLICATE_INTERVAL: Duration = Duration::from_secs(1800);

/// Sends a message.
///
/// Rights come first, then the address, then the content. A call with an empty address therefore
/// learns whether it may send, and sends nothing; `gongpai doctor` relies on this.
pub(super) fn send_message(
    context: &mut SimulatorContext,
    caller: SimulatedCaller,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    let app = require_app(caller)?;
    let request = call.json()?;
    check_agent_id(app, &request)?;
    let address = Address::parse(&request)?;
    let repeats = parse_duplicate_check(&request)?;
    parse_flag(&request, "enable_id_trans")?;
    let content =
        CheckedContent::parse(&request, ContentContext { app, medias: context.medias, now: context.now })?;
    // After the content is checked: a bad content is refused even if nobody is reached.
    let found = address.resolve(context.view, app);
    if !found.any_valid {
        let mut answer =
            refusal_answer(&SimulatedRefusal(81013, "user & party & tag all invalid"), call.from);
        add_invalid_recipients(&mut answer, &found);
        return Ok(answer);
    }
    let limits = &context.world.limits;
    let day_most = limits.recipients_per_account.map(|n| n.saturating_mul(context.world.account_limit));
    let msgid = random::random_text(32);
    let mut answer = json!({"errcode": 0, "errmsg": "ok"});
    add_invalid_recipients(&mut answer, &found);
    if context.world.empty_invaliduser && found.invalid_users.is_empty() {
        set_field(&mut answer, "invaliduser", "");
    }
    set_field(&mut answer, "msgid", &msgid);
    if content.answers {
        set_field(&mut answer, "response_code", &random::random_text(43));
    }
    let members = found.members;
    let valid = ValidSend { agent_id: app.agent_id, request: &request, content, members, repeats };
    context.mailboxes.send(msgid, valid, limits, day_most, (context.began, context.now))?;
    Ok(answer)
}

/// Recalls a message. Only the application that sent it may do so.
pub(super) fn recall_message(
    context: &mut SimulatorContext,
    caller: SimulatedCaller,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    let app = require_app(caller)?;
    let request = call.json()?;
    let msgid = request.get("msgid").and_then(Value::as_str).unwrap_or_default();
    context.mailboxes.recall(app.agent_id, msgid, context.now)?;
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn require_app(caller: SimulatedCaller<'_>) -> Result<&SimulatedApp, SimulatedRefusal> {
    match caller {
        SimulatedCaller::App(app) => Ok(app),
        SimulatedCaller::Contacts { .. } => Err(FORBIDDEN),
    }
}

/// Checks that `agentid` is the caller's.
///
/// # Errors
/// 41011 if it is missing, 40056 if it is no number, 301002 if it is another application's.
fn check_agent_id(app: &SimulatedApp, request: &Value) -> Result<(), SimulatedRefusal> {
    match request.get("agentid") {
        None | Some(Value::Null) => Err(SimulatedRefusal(41011, "missing agentid")),
        Some(id) => match id.as_i64() {
            None => Err(SimulatedRefusal(40056, "invalid agentid")),
            Some(id) if id == app.agent_id => Ok(()),
            Some(_) => {
                Err(SimulatedRefusal(301_002, "not allow operate another agent with this accesstoken"))
            }
        },
    }
}

fn parse_duplicate_check(request: &Value) -> Result<DuplicateCheck, SimulatedRefusal> {
    let interval = match request.get("duplicate_check_interval") {
        None | Some(Value::Null) => DEFAULT_DUPLICATE_INTERVAL,
        Some(seconds) => (seconds.as_u64().map(Duration::from_secs))
            .filter(|i| !i.is_zero() && *i <= MAX_DUPLICATE_INTERVAL)
            .ok_or(SimulatedRefusal(40035, "invalid parameter, duplicate_check_interval"))?,
    };
    Ok(DuplicateCheck { checked: parse_flag(request, "enable_duplicate_check")?, interval })
}

/// Adds the invalid recipients to an answer. Empty lists are left out.
fn add_invalid_recipients(answer: &mut Value, found: &Addressees) {
    let lists = [
        ("invaliduser", &found.invalid_users),
        ("invalidparty", &found.invalid_parties),
        ("invalidtag", &found.invalid_tags),
        ("unlicenseduser", &found.unlicensed),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        set_field(answer, name, &list.join("|"));
    }
}

fn set_field(answer: &mut Value, name: &str, value: &str) {
    if let Value::Object(fields) = answer {
        fields.insert(name.to_owned(), json!(value));
    }
}
