//! The API of members and departments, restricted to what each secret may see.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::call::{SimulatedCall, SimulatedRefusal};
use super::people::{SimulatedAttribute, SimulatedDepartment, SimulatedMember, SimulatedStatus};
use super::reader::{ContactReader, FORBIDDEN, OUT_OF_RANGE, SimulatedCaller};

/// The largest page of `user/list_id` (doc 96067).
const MAX_PAGE_ROWS: u64 = 10_000;

/// Returns a successful answer with these fields.
pub(super) fn ok_answer(fields: Value) -> Value {
    let mut answer = json!({"errcode": 0, "errmsg": "ok"});
    if let (Value::Object(all), Value::Object(more)) = (&mut answer, fields) {
        all.extend(more);
    }
    answer
}

/// Doc 90196.
pub(super) fn user_get(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    reader.reads_details()?;
    let userid = call.param("userid").ok_or(SimulatedRefusal(41009, "missing userid"))?;
    let charset = |b: u8| b.is_ascii_alphanumeric() || b"_-@.".contains(&b);
    let odd = userid.len() > 64 || !userid.bytes().all(charset);
    // Old corporations have members whose userids WeCom would not accept today.
    let unknown = if odd {
        SimulatedRefusal(40003, "invalid userid")
    } else {
        SimulatedRefusal(60111, "userid not found")
    };
    let member = reader.view.member(userid).ok_or(unknown)?;
    if !reader.sees_member(member) {
        return Err(OUT_OF_RANGE);
    }
    Ok(ok_answer(member_fields(reader, member)))
}

/// Doc 90201: the members directly in `department_id`, with details.
pub(super) fn user_list(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    let members = list_requested_members(reader, call)?;
    let list: Vec<Value> = members.into_iter().map(|m| member_fields(reader, m)).collect();
    Ok(ok_answer(json!({"userlist": list})))
}

/// Doc 90200: the same with names only. `open_userid` is only for applications of service
/// providers.
pub(super) fn user_simplelist(
    reader: ContactReader,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    let brief = |m: &SimulatedMember| {
        let seen: Vec<i64> = m.departments.iter().copied().filter(|d| reader.sees_department(*d)).collect();
        json!({"userid": m.userid, "name": m.name, "department": seen})
    };
    let list: Vec<Value> = list_requested_members(reader, call)?.into_iter().map(brief).collect();
    Ok(ok_answer(json!({"userlist": list})))
}

/// Returns the members directly in `department_id`.
///
/// `fetch_child=1` adds those below, without duplicates. It is no longer documented, but clients
/// still send it.
fn list_requested_members<'w>(
    reader: ContactReader<'w>,
    call: &SimulatedCall,
) -> Result<Vec<&'w SimulatedMember>, SimulatedRefusal> {
    reader.reads_details()?;
    let id = call.param("department_id").ok_or(SimulatedRefusal(40058, "missing department_id"))?;
    let department = reader.department(id, SimulatedRefusal(60003, "department not found"))?;
    let departments = if call.param("fetch_child") == Some("1") {
        reader.view.subtree(department.id)
    } else {
        vec![department]
    };
    let mut met = HashSet::new();
    let members: Vec<&SimulatedMember> = departments
        .iter()
        .flat_map(|d| reader.view.members_in(d.id))
        .filter(|m| reader.sees_member(m) && met.insert(m.userid.as_str()))
        .collect();
    reader.view.world.limits.rows_fit(members.len())?;
    Ok(members)
}

/// Returns a member as `user/get` and `user/list` write it.
fn member_fields(reader: ContactReader, m: &SimulatedMember) -> Value {
    let seen: Vec<(i64, u32)> = m.placements().filter(|(d, _)| reader.sees_department(*d)).collect();
    let above: Vec<&String> = m.direct_leaders.iter().filter(|l| reader.sees_userid(l)).collect();
    let mut fields = json!({
        "userid": m.userid,
        "name": m.name,
        "department": seen.iter().map(|(d, _)| *d).collect::<Vec<_>>(),
        "order": seen.iter().map(|(_, order)| *order).collect::<Vec<_>>(),
        "position": m.position,
        "is_leader_in_dept": seen.iter().map(|(d, _)| i64::from(m.leads.contains(d))).collect::<Vec<_>>(),
        "direct_leader": above,
        "telephone": m.telephone,
        "alias": m.alias,
        "status": m.status.number(),
        "extattr": {"attrs": m.attributes.iter().map(attribute_json).collect::<Vec<_>>()},
        "external_profile": {"external_attr": []},
    });
    let Value::Object(more) = &mut fields else { return fields };
    if let Some(main) = m.main() {
        more.insert("main_department".to_owned(), json!(main));
    }
    if reader.reads_sensitive_fields() {
        add_sensitive_fields(more, m);
    }
    fields
}

fn attribute_json(attribute: &SimulatedAttribute) -> Value {
    match attribute {
        SimulatedAttribute::Text { name, value } => {
            json!({"type": 0, "name": name, "text": {"value": value}})
        }
        SimulatedAttribute::Web { name, url, title } => {
            json!({"type": 1, "name": name, "web": {"url": url, "title": title}})
        }
    }
}

/// Adds the fields that applications no longer receive since 2022-06-20 (docs 96255, 96260).
fn add_sensitive_fields(fields: &mut Map<String, Value>, m: &SimulatedMember) {
    let avatar = |size: u16| format!("https://wework.qpic.cn/wwpic/simulator/{size}");
    let mut set = |name: &str, value: String| fields.insert(name.to_owned(), Value::String(value));
    set("mobile", m.mobile.clone());
    set("gender", m.gender.clone());
    set("email", m.email.clone());
    set("biz_mail", m.biz_mail.clone());
    set("avatar", avatar(0));
    set("thumb_avatar", avatar(100));
    set("qr_code", "https://open.work.weixin.qq.com/wwopen/userQRCode?vcode=simulator".to_owned());
    set("address", String::new());
}

/// Returns the visible departments: all, or those at and below `id`.
fn list_requested_departments<'w>(
    reader: ContactReader<'w>,
    call: &SimulatedCall,
) -> Result<Vec<&'w SimulatedDepartment>, SimulatedRefusal> {
    let all = match call.param("id") {
        Some(id) => {
            reader.view.subtree(reader.department(id, SimulatedRefusal(60123, "invalid party id"))?.id)
        }
        None => reader.view.world.departments.iter().collect(),
    };
    Ok(all.into_iter().filter(|d| reader.sees_department(d.id)).collect())
}

fn department_fields(reader: ContactReader, d: &SimulatedDepartment) -> Value {
    let leaders: Vec<&String> = d.leaders.iter().filter(|l| reader.sees_userid(l)).collect();
    let mut fields = json!({"id": d.id, "name": d.name});
    let Value::Object(more) = &mut fields else { return fields };
    if !d.name_en.is_empty() {
        more.insert("name_en".to_owned(), json!(d.name_en));
    }
    more.insert("department_leader".to_owned(), json!(leaders));
    more.insert("parentid".to_owned(), json!(d.parent));
    more.insert("order".to_owned(), json!(d.order));
    fields
}

/// Doc 90208.
pub(super) fn department_list(
    reader: ContactReader,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    reader.reads_details()?;
    let departments = list_requested_departments(reader, call)?;
    let list: Vec<Value> = departments.into_iter().map(|d| department_fields(reader, d)).collect();
    Ok(ok_answer(json!({"department": list})))
}

/// Doc 95351.
pub(super) fn department_get(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    reader.reads_details()?;
    let id = call.param("id").ok_or(SimulatedRefusal(40058, "missing id"))?;
    let department = reader.department(id, SimulatedRefusal(60123, "invalid party id"))?;
    Ok(ok_answer(json!({"department": department_fields(reader, department)})))
}

/// Doc 95350.
pub(super) fn department_simplelist(
    reader: ContactReader,
    call: &SimulatedCall,
) -> Result<Value, SimulatedRefusal> {
    let brief = |d: &SimulatedDepartment| json!({"id": d.id, "parentid": d.parent, "order": d.order});
    let list: Vec<Value> = list_requested_departments(reader, call)?.into_iter().map(brief).collect();
    Ok(ok_answer(json!({"department_id": list})))
}

/// Doc 96067: one row for each member and department. Only 通讯录同步 may read it.
pub(super) fn user_list_id(reader: ContactReader, call: &SimulatedCall) -> Result<Value, SimulatedRefusal> {
    if matches!(reader.caller, SimulatedCaller::App(_)) {
        return Err(FORBIDDEN);
    }
    let body = call.json()?;
    let limit = body.get("limit").map_or(Some(MAX_PAGE_ROWS), Value::as_u64);
    let limit = limit
        .filter(|l| (1..=MAX_PAGE_ROWS).contains(l))
        .and_then(|l| usize::try_from(l).ok())
        .ok_or(SimulatedRefusal(40058, "invalid limit"))?;
    // The cursor is a row number here; clients must treat it as opaque.
    let start = match body.get("cursor").and_then(Value::as_str) {
        None | Some("") => 0,
        Some(cursor) => cursor
            .strip_prefix("row-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or(SimulatedRefusal(50100, "invalid cursor"))?,
    };
    let members = reader.view.world.members.iter().filter(|m| m.status != SimulatedStatus::Left);
    let mut rows = members.flat_map(|m| m.departments.iter().map(move |d| (m, *d))).skip(start);
    let page: Vec<Value> =
        rows.by_ref().take(limit).map(|(m, d)| json!({"userid": m.userid, "department": d})).collect();
    let next = if rows.next().is_some() { format!("row-{}", start + page.len()) } else { String::new() };
    Ok(ok_answer(json!({"next_cursor": next, "dept_user": page})))
}
