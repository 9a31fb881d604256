//! The part of the API that reads an application: its name and its visible range (可见范围).

use serde_json::{Value, json};

use super::api::{Call, Caller, Refusal};
use super::contact::ok;
use super::reader::{FORBIDDEN, Reader};

/// Doc 90227. Only the application's own secret reads it.
pub(super) fn get(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    let Caller::App(app) = reader.caller else { return Err(FORBIDDEN) };
    let id = call.param("agentid").ok_or(Refusal(41011, "missing agentid"))?;
    let id: i64 = id.parse().map_err(|_| Refusal(40056, "invalid agentid"))?;
    if id != app.agent_id {
        return Err(Refusal(301_002, "not allow operate another agent with this accesstoken"));
    }
    let users: Vec<Value> = app.visible.members.iter().map(|u| json!({"userid": u})).collect();
    Ok(ok(json!({
        "agentid": app.agent_id,
        "name": app.name,
        "square_logo_url": "https://wework.qpic.cn/wwpic/simulator/0",
        "description": "",
        "allow_userinfos": {"user": users},
        "allow_partys": {"partyid": app.visible.departments},
        "allow_tags": {"tagid": app.visible.tags},
        "close": i32::from(!app.enabled),
        "redirect_domain": app.trusted_domains.first().map_or("", String::as_str),
        "report_location_flag": 0,
        "isreportenter": 0,
        "home_url": app.home_url,
    })))
}
