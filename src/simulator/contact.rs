//! The part of the API that reads members and departments, cut to what each secret may see.

use serde_json::{Value, json};

use super::api::{Call, Caller, Refusal};
use super::world::{App, Department, Member, Status, World};

/// What 通讯录同步 gets for details since 2022-08-15.
const IDS_ONLY: Refusal = Refusal(48009, "api forbidden for contact assistant");
const OUT_OF_RANGE: Refusal = Refusal(60011, "no privilege to access/modify contact/party/agent");
/// The most rows `user/list_id` gives at once (doc 96067).
const PAGE_MAX: u64 = 10_000;

impl Caller<'_> {
    fn sees_department(&self, world: &World, id: i64) -> bool {
        match self {
            Self::App(app) => world.department_is_visible(app, id),
            Self::Contacts { .. } => true,
        }
    }

    fn sees_member(&self, world: &World, member: &Member) -> bool {
        match self {
            Self::App(app) => world.member_is_visible(app, member),
            Self::Contacts { .. } => true,
        }
    }

    fn sees_userid(&self, world: &World, userid: &str) -> bool {
        world.member(userid).is_some_and(|m| self.sees_member(world, m))
    }

    fn reads_details(&self) -> Result<(), Refusal> {
        match self {
            Self::App(_) | Self::Contacts { reads_details: true } => Ok(()),
            Self::Contacts { reads_details: false } => Err(IDS_ONLY),
        }
    }
}

/// Doc 90196.
pub(super) fn user_get(world: &World, caller: &Caller, call: &Call) -> Result<Value, Refusal> {
    caller.reads_details()?;
    let userid = call.param("userid").ok_or(Refusal(41009, "missing userid"))?;
    let charset = |b: u8| b.is_ascii_alphanumeric() || b"_-@.".contains(&b);
    if userid.len() > 64 || !userid.bytes().all(charset) {
        return Err(Refusal(40003, "invalid userid"));
    }
    let member = world.member(userid).ok_or(Refusal(60111, "userid not found"))?;
    if !caller.sees_member(world, member) {
        return Err(OUT_OF_RANGE);
    }
    Ok(member_answer(world, caller, member))
}

fn member_answer(world: &World, caller: &Caller, m: &Member) -> Value {
    let seen: Vec<i64> =
        m.departments.iter().copied().filter(|d| caller.sees_department(world, *d)).collect();
    let leads: Vec<i64> = seen.iter().map(|d| i64::from(m.leads.contains(d))).collect();
    let above: Vec<&String> = m.direct_leaders.iter().filter(|l| caller.sees_userid(world, l)).collect();
    let attributes: Vec<Value> = m
        .attributes
        .iter()
        .map(|(name, value)| json!({"type": 0, "name": name, "text": {"value": value}}))
        .collect();
    let mut answer = json!({
        "errcode": 0,
        "errmsg": "ok",
        "userid": m.userid,
        "name": m.name,
        "department": seen,
        "order": vec![0; seen.len()],
        "position": m.position,
        "is_leader_in_dept": leads,
        "direct_leader": above,
        "telephone": m.telephone,
        "alias": m.alias,
        "status": m.status.number(),
        "extattr": {"attrs": attributes},
        "external_profile": {"external_attr": []},
    });
    let Value::Object(fields) = &mut answer else { return answer };
    if let Some(main) = m.departments.first() {
        fields.insert("main_department".to_owned(), json!(main));
    }
    if matches!(caller, Caller::App(App { legacy_fields: true, .. }) | Caller::Contacts { .. }) {
        let before_2022 = json!({
            "mobile": m.mobile,
            "gender": m.gender,
            "email": m.email,
            "biz_mail": m.biz_mail,
            "avatar": "https://wework.qpic.cn/wwpic/simulator/0",
            "thumb_avatar": "https://wework.qpic.cn/wwpic/simulator/100",
            "qr_code": "https://open.work.weixin.qq.com/wwopen/userQRCode?vcode=simulator",
            "address": "",
        });
        if let Value::Object(more) = before_2022 {
            fields.extend(more);
        }
    }
    answer
}

/// The departments asked for: all the caller sees, or those at and below `id`.
fn asked<'w>(world: &'w World, caller: &Caller, call: &Call) -> Result<Vec<&'w Department>, Refusal> {
    let seen = world.departments.iter().filter(|d| caller.sees_department(world, d.id));
    let Some(id) = call.param("id") else { return Ok(seen.collect()) };
    let id: i64 = id.parse().map_err(|_| Refusal(40035, "invalid parameter"))?;
    if !world.departments.iter().any(|d| d.id == id) {
        return Err(Refusal(60123, "invalid party id"));
    }
    if !caller.sees_department(world, id) {
        return Err(OUT_OF_RANGE);
    }
    Ok(seen.filter(|d| world.lies_below(d.id, id)).collect())
}

/// Doc 90208.
pub(super) fn department_list(world: &World, caller: &Caller, call: &Call) -> Result<Value, Refusal> {
    caller.reads_details()?;
    let departments: Vec<Value> = asked(world, caller, call)?
        .into_iter()
        .map(|d| {
            let leaders: Vec<&String> = d.leaders.iter().filter(|l| caller.sees_userid(world, l)).collect();
            json!({
                "id": d.id, "name": d.name, "parentid": d.parent, "order": d.order,
                "department_leader": leaders,
            })
        })
        .collect();
    Ok(json!({"errcode": 0, "errmsg": "ok", "department": departments}))
}

/// Doc 95350.
pub(super) fn department_simplelist(world: &World, caller: &Caller, call: &Call) -> Result<Value, Refusal> {
    let departments: Vec<Value> = asked(world, caller, call)?
        .into_iter()
        .map(|d| json!({"id": d.id, "parentid": d.parent, "order": d.order}))
        .collect();
    Ok(json!({"errcode": 0, "errmsg": "ok", "department_id": departments}))
}

/// Doc 96067: one row for each member and department; only for 通讯录同步.
pub(super) fn user_list_id(world: &World, caller: &Caller, call: &Call) -> Result<Value, Refusal> {
    if matches!(caller, Caller::App(_)) {
        return Err(Refusal(48002, "api forbidden"));
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
    let mut rows = world
        .members
        .iter()
        .filter(|m| m.status != Status::Left)
        .flat_map(|m| m.departments.iter().map(|d| json!({"userid": m.userid, "department": d})))
        .skip(start);
    let page: Vec<Value> = rows.by_ref().take(limit).collect();
    let next = if rows.next().is_some() { format!("row-{}", start + page.len()) } else { String::new() };
    Ok(json!({"errcode": 0, "errmsg": "ok", "next_cursor": next, "dept_user": page}))
}
