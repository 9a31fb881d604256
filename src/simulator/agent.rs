//! The API of applications: name and visible range (可见范围).

use serde_json::{Value, json};

use super::call::{SimulatedCall, SimulatedRefusal};
use super::contact::ok_answer;
use super::reader::{ContactReader, FORBIDDEN, SimulatedCaller};

/// Doc 90227. Only the application's own secret may read it.
pub(super) fn get_agent(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    let SimulatedCaller::App(app) = reader.caller else { return Err(FORBIDDEN) };
    let id = call.param("agentid").ok_or(SimulatedRefusal(41011, "missing agentid"))?;
    let id: i64 = id.parse().map_err(|_| SimulatedRefusal(40056, "invalid agentid"))?;
    if id != app.agent_id {
        return Err(SimulatedRefusal(301_002, "not allow operate another agent with this accesstoken"));
    }
    let users: Vec<Value> = app.visible.members.iter().map(|u| json!({"userid": u})).collect();
    Ok(ok_answer(json!({
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
