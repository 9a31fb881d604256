//! The part of the API that reads members and departments, cut to what each secret may see.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::api::{Call, Caller, Refusal};
use super::people::{Attribute, Department, Member, Status};
use super::reader::{FORBIDDEN, OUT_OF_RANGE, Reader};

/// The most rows `user/list_id` gives at once (doc 96067).
const PAGE_MAX: u64 = 10_000;

/// An answer without error and with these fields.
pub(super) fn ok(fields: Value) -> Value {
    let mut answer = json!({"errcode": 0, "errmsg": "ok"});
    if let (Value::Object(all), Value::Object(more)) = (&mut answer, fields) {
        all.extend(more);
    }
    answer
}

/// Doc 90196.
pub(super) fn user_get(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    reader.reads_details()?;
    let userid = call.param("userid").ok_or(Refusal(41009, "missing userid"))?;
    let charset = |b: u8| b.is_ascii_alphanumeric() || b"_-@.".contains(&b);
    let odd = userid.len() > 64 || !userid.bytes().all(charset);
    // Old corporations have members whose userids nobody could be given today.
    let unknown = if odd { Refusal(40003, "invalid userid") } else { Refusal(60111, "userid not found") };
    let member = reader.view.member(userid).ok_or(unknown)?;
    if !reader.sees_member(member) {
        return Err(OUT_OF_RANGE);
    }
    Ok(ok(member_fields(reader, member)))
}

/// Doc 90201: everybody directly in `department_id`, with details.
pub(super) fn user_list(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    let members = members_asked(reader, call)?;
    let list: Vec<Value> = members.into_iter().map(|m| member_fields(reader, m)).collect();
    Ok(ok(json!({"userlist": list})))
}

/// Doc 90200: the same with names only. `open_userid` is only for the applications of service providers.
pub(super) fn user_simplelist(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    let brief = |m: &Member| {
        let seen: Vec<i64> = m.departments.iter().copied().filter(|d| reader.sees_department(*d)).collect();
        json!({"userid": m.userid, "name": m.name, "department": seen})
    };
    let list: Vec<Value> = members_asked(reader, call)?.into_iter().map(brief).collect();
    Ok(ok(json!({"userlist": list})))
}

/// The members directly in `department_id`; with `fetch_child=1`, which left the documents but is still sent,
/// those below as well, each once.
fn members_asked<'w>(reader: Reader<'w>, call: &Call) -> Result<Vec<&'w Member>, Refusal> {
    reader.reads_details()?;
    let id = call.param("department_id").ok_or(Refusal(40058, "missing department_id"))?;
    let asked = reader.department(id, Refusal(60003, "department not found"))?;
    let departments =
        if call.param("fetch_child") == Some("1") { reader.view.subtree(asked.id) } else { vec![asked] };
    let mut met = HashSet::new();
    let members: Vec<&Member> = departments
        .iter()
        .flat_map(|d| reader.view.members_in(d.id))
        .filter(|m| reader.sees_member(m) && met.insert(m.userid.as_str()))
        .collect();
    reader.view.world.limits.rows_fit(members.len())?;
    Ok(members)
}

/// A member as `user/get` and `user/list` write it.
fn member_fields(reader: Reader, m: &Member) -> Value {
    let seen: Vec<(i64, u32)> = m.placed().filter(|(d, _)| reader.sees_department(*d)).collect();
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
        "extattr": {"attrs": m.attributes.iter().map(attribute).collect::<Vec<_>>()},
        "external_profile": {"external_attr": []},
    });
    let Value::Object(more) = &mut fields else { return fields };
    if let Some(main) = m.main() {
        more.insert("main_department".to_owned(), json!(main));
    }
    if reader.reads_sensitive_fields() {
        sensitive(more, m);
    }
    fields
}

fn attribute(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text { name, value } => json!({"type": 0, "name": name, "text": {"value": value}}),
        Attribute::Web { name, url, title } => {
            json!({"type": 1, "name": name, "web": {"url": url, "title": title}})
        }
    }
}

/// What applications since 2022-06-20 no longer receive (docs 96255, 96260).
fn sensitive(fields: &mut Map<String, Value>, m: &Member) {
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

/// The departments asked for: all the caller sees, or those at and below `id`.
fn asked<'w>(reader: Reader<'w>, call: &Call) -> Result<Vec<&'w Department>, Refusal> {
    let all = match call.param("id") {
        Some(id) => reader.view.subtree(reader.department(id, Refusal(60123, "invalid party id"))?.id),
        None => reader.view.world.departments.iter().collect(),
    };
    Ok(all.into_iter().filter(|d| reader.sees_department(d.id)).collect())
}

fn department_fields(reader: Reader, d: &Department) -> Value {
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
pub(super) fn department_list(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    reader.reads_details()?;
    let departments = asked(reader, call)?;
    let list: Vec<Value> = departments.into_iter().map(|d| department_fields(reader, d)).collect();
    Ok(ok(json!({"department": list})))
}

/// Doc 95351.
pub(super) fn department_get(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    reader.reads_details()?;
    let id = call.param("id").ok_or(Refusal(40058, "missing id"))?;
    let department = reader.department(id, Refusal(60123, "invalid party id"))?;
    Ok(ok(json!({"department": department_fields(reader, department)})))
}

/// Doc 95350.
pub(super) fn department_simplelist(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    let brief = |d: &Department| json!({"id": d.id, "parentid": d.parent, "order": d.order});
    let list: Vec<Value> = asked(reader, call)?.into_iter().map(brief).collect();
    Ok(ok(json!({"department_id": list})))
}

/// Doc 96067: one row for each member and department; only for 通讯录同步.
pub(super) fn user_list_id(reader: Reader, call: &Call) -> Result<Value, Refusal> {
    if matches!(reader.caller, Caller::App(_)) {
        return Err(FORBIDDEN);
    }
    let body = call.json()?;
    let limit = body.get("limit").map_or(Some(PAGE_MAX), Value::as_u64);
    let limit = limit
        .filter(|l| (1..=PAGE_MAX).contains(l))
        .and_then(|l| usize::try_from(l).ok())
        .ok_or(Refusal(40058, "invalid limit"))?;
    let start = match body.get("cursor").and_then(Value::as_str) {
        None | Some("") => 0,
        Some(cursor) => cursor
            .strip_prefix("row-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or(Refusal(50100, "invalid cursor"))?,
    };
    let members = reader.view.world.members.iter().filter(|m| m.status != Status::Left);
    let mut rows = members.flat_map(|m| m.departments.iter().map(move |d| (m, *d))).skip(start);
    let page: Vec<Value> =
        rows.by_ref().take(limit).map(|(m, d)| json!({"userid": m.userid, "department": d})).collect();
    let next = if rows.next().is_some() { format!("row-{}", start + page.len()) } else { String::new() };
    Ok(ok(json!({"next_cursor": next, "dept_user": page})))
}
