//! The API of tags (标签).
//!
//! WeCom does not document in full which tags a secret sees. Here every secret sees every tag, with
//! the members and departments of its range.

use serde_json::{Map, Value, json};

use super::call::{SimulatedCall, SimulatedRefusal};
use super::contact::ok_answer;
use super::people::{SimulatedMember, SimulatedStatus};
use super::reader::ContactReader;

/// Doc 90216.
#[expect(clippy::unnecessary_wraps, reason = "every API has this shape")]
pub(super) fn list_tags(reader: ContactReader, _: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    let tags = reader.view.world.tags.iter();
    let list: Vec<Value> = tags.map(|t| json!({"tagid": t.id, "tagname": t.name})).collect();
    Ok(ok_answer(json!({"taglist": list})))
}

/// Doc 90213. Departments are listed, not resolved to their members.
pub(super) fn get_tag(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    let unknown = || SimulatedRefusal(40068, "invalid tagid");
    let id: i64 = call.param("tagid").and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
    let tag = reader.view.world.tags.iter().find(|t| t.id == id).ok_or_else(unknown)?;
    let named = reader.reads_details().is_ok();
    let member = |m: &SimulatedMember| {
        let mut fields = Map::from_iter([("userid".to_owned(), json!(m.userid))]);
        if named {
            fields.insert("name".to_owned(), json!(m.name));
        }
        Value::Object(fields)
    };
    let users = tag.users.iter().filter_map(|u| reader.view.member(u));
    let users = users.filter(|m| m.status != SimulatedStatus::Left && reader.sees_member(m));
    let parties = tag.departments.iter().filter(|d| reader.sees_department(**d));
    Ok(ok_answer(json!({
        "tagname": tag.name,
        "userlist": users.map(member).collect::<Vec<_>>(),
        "partylist": parties.collect::<Vec<_>>(),
    })))
}
