//! The forms of the organisation's pages. Each form is checked as WeCom's console would, applied to
//! the world, and leads back to its page.

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::Simulator;
use super::organisation::STATUS_NAMES;
use super::page::RefusalPage;
use super::people::{SimulatedDepartment, SimulatedMember, SimulatedTag};
use super::world::World;

/// The fields of a form. A name may occur more than once.
pub(super) type FormFields = Vec<(String, String)>;

/// Why a form is refused: a title and a sentence.
#[derive(Debug)]
pub(super) struct FormProblem(&'static str, &'static str);

/// The page to show after the change.
type EditResult = Result<String, FormProblem>;

const NO_DEPARTMENT: FormProblem = FormProblem("没有这个部门", "请返回后重新选择部门。");
const NO_MEMBER: FormProblem = FormProblem("没有这个成员", "账号可能有误，或成员已被删除。");
const NO_NAME: FormProblem = FormProblem("名称不能为空", "请返回后填写名称。");
const UNKNOWN_ACT: FormProblem = FormProblem("无法识别的操作", "请返回后重试。");

fn field_values<'f>(fields: &'f FormFields, name: &str) -> impl Iterator<Item = &'f str> {
    fields.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.trim())
}

fn field_value<'f>(fields: &'f FormFields, name: &str) -> &'f str {
    field_values(fields, name).next().unwrap_or_default()
}

/// Splits a field at whitespace, commas and semicolons.
fn split_words(fields: &FormFields, name: &str) -> Vec<String> {
    let parts = |c: char| c.is_whitespace() || ",，、;；".contains(c);
    let words = field_values(fields, name).flat_map(|v| v.split(parts)).filter(|w| !w.is_empty());
    words.map(str::to_owned).collect()
}

fn parse_number<T: std::str::FromStr>(text: &str) -> Result<T, FormProblem> {
    text.parse().map_err(|_| FormProblem("数字有误", "请返回后填写正确的数字。"))
}

/// Returns the departments of a field, without duplicates.
///
/// Fails if one does not exist.
fn parse_departments(world: &World, fields: &FormFields, name: &str) -> Result<Vec<i64>, FormProblem> {
    let mut list = Vec::new();
    for word in split_words(fields, name) {
        let id: i64 = parse_number(&word)?;
        if !has_department(world, id) {
            return Err(NO_DEPARTMENT);
        }
        if !list.contains(&id) {
            list.push(id);
        }
    }
    Ok(list)
}

fn has_department(world: &World, id: i64) -> bool {
    world.departments.iter().any(|d| d.id == id)
}

fn department_path(department: i64) -> String {
    format!("/organisation?department={department}#department")
}

fn answer_edit(done: EditResult) -> Response {
    match done {
        Ok(to) => Redirect::to(&to).into_response(),
        Err(FormProblem(title, text)) => {
            (StatusCode::BAD_REQUEST, RefusalPage::error(0, title, text)).into_response()
        }
    }
}

/// Saves, adds or deletes a member, as the field `act` says.
pub(super) async fn edit_member(State(sim): State<Simulator>, Form(fields): Form<FormFields>) -> Response {
    answer_edit(sim.change(|w| change_member(w, &fields)))
}

fn change_member(world: &mut World, fields: &FormFields) -> EditResult {
    let userid = field_value(fields, "userid");
    if field_value(fields, "act") == "add" {
        return add_member(world, userid, fields);
    }
    let there = world.member(userid).ok_or(NO_MEMBER)?.clone();
    let home = there.main().filter(|d| has_department(world, *d)).unwrap_or(1);
    match field_value(fields, "act") {
        "save" => save_member(world, there, fields),
        "delete" => {
            world.members.retain(|m| m.userid != there.userid);
            // The console also removes a deleted member from leaders, tags and superiors.
            let gone = |u: &String| !u.eq_ignore_ascii_case(&there.userid);
            world.departments.iter_mut().for_each(|d| d.leaders.retain(gone));
            world.tags.iter_mut().for_each(|t| t.users.retain(gone));
            world.members.iter_mut().for_each(|m| m.direct_leaders.retain(gone));
            Ok(department_path(home))
        }
        _ => Err(UNKNOWN_ACT),
    }
}

fn add_member(world: &mut World, userid: &str, fields: &FormFields) -> EditResult {
    let charset = |b: u8| b.is_ascii_alphanumeric() || b"_-@.".contains(&b);
    let first = userid.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !first || userid.len() > 64 || !userid.bytes().all(charset) {
        return Err(FormProblem(
            "账号格式不正确",
            "账号须为 1 至 64 个字母、数字或 _ - @ . 字符，且以字母或数字开头。",
        ));
    }
    if world.member(userid).is_some() {
        return Err(FormProblem("账号已存在", "账号不区分大小写，请返回后换一个账号。"));
    }
    save_member(world, SimulatedMember::new(userid, "").with_departments([]), fields)
}

/// Saves a member. Everything is checked before anything changes.
fn save_member(world: &mut World, mut m: SimulatedMember, fields: &FormFields) -> EditResult {
    let departments = parse_departments(world, fields, "department")?;
    let leads = parse_departments(world, fields, "leads")?;
    let first = *departments.first().ok_or(FormProblem("请选择部门", "成员至少属于一个部门。"))?;
    let text = |name: &str| field_value(fields, name).to_owned();
    let status: i64 = parse_number(field_value(fields, "status"))?;
    let (status, _) = STATUS_NAMES
        .into_iter()
        .find(|(s, _)| s.number() == status)
        .ok_or(FormProblem("状态有误", "请返回后重新选择状态。"))?;
    if text("name").is_empty() {
        return Err(NO_NAME);
    }
    let main = match field_value(fields, "main") {
        "" => first,
        main => parse_number(main)?,
    };
    (m.name, m.position, m.alias) = (text("name"), text("position"), text("alias"));
    (m.mobile, m.email, m.telephone) = (text("mobile"), text("email"), text("telephone"));
    m.status = status;
    m.direct_leaders = split_words(fields, "superiors");
    m.leads = leads.into_iter().filter(|d| departments.contains(d)).collect();
    m.main_department = Some(if departments.contains(&main) { main } else { first });
    // A department that stays keeps its position and its order.
    let mut placed: Vec<(i64, u32)> = m.placements().filter(|(d, _)| departments.contains(d)).collect();
    for d in departments {
        if placed.iter().all(|(there, _)| *there != d) {
            placed.push((d, 0));
        }
    }
    (m.departments, m.orders) = placed.into_iter().unzip();
    // The department's own list of leaders follows the member's.
    for d in &mut world.departments {
        d.leaders.retain(|l| !l.eq_ignore_ascii_case(&m.userid) || m.leads.contains(&d.id));
        if m.leads.contains(&d.id) && !d.leaders.iter().any(|l| l.eq_ignore_ascii_case(&m.userid)) {
            d.leaders.push(m.userid.clone());
        }
    }
    let to = department_path(m.main().unwrap_or(1));
    match world.member_mut(&m.userid) {
        Some(there) => *there = m,
        None => world.members.push(m),
    }
    Ok(to)
}

/// Saves, adds or deletes a department, as the field `act` says.
pub(super) async fn edit_department(
    State(sim): State<Simulator>,
    Form(fields): Form<FormFields>,
) -> Response {
    answer_edit(sim.change(|w| change_department(w, &fields)))
}

fn change_department(world: &mut World, fields: &FormFields) -> EditResult {
    let name = field_value(fields, "name").to_owned();
    let parent = || parse_number::<i64>(field_value(fields, "parent"));
    match field_value(fields, "act") {
        "add" => {
            let parent = parent()?;
            if !has_department(world, parent) {
                return Err(NO_DEPARTMENT);
            }
            if name.is_empty() {
                return Err(NO_NAME);
            }
            let id = world.departments.iter().map(|d| d.id).max().unwrap_or(0) + 1;
            world.departments.push(SimulatedDepartment::new(id, &name, parent));
            Ok(department_path(id))
        }
        "save" => {
            let id: i64 = parse_number(field_value(fields, "id"))?;
            let order = parse_number(field_value(fields, "order"))?;
            let now = world.departments.iter().find(|d| d.id == id).ok_or(NO_DEPARTMENT)?.parent;
            // The form of the root has no such field, because the root cannot move.
            let parent = if now == 0 { 0 } else { parent()? };
            if name.is_empty() {
                return Err(NO_NAME);
            }
            if parent != now && !has_department(world, parent) {
                return Err(NO_DEPARTMENT);
            }
            if parent != now && lies_below(world, parent, id) {
                return Err(FormProblem("不能移到自己的下级部门", "请返回后选择其他上级部门。"));
            }
            if let Some(d) = world.departments.iter_mut().find(|d| d.id == id) {
                (d.name, d.name_en) = (name, field_value(fields, "name_en").to_owned());
                (d.parent, d.order) = (parent, order);
            }
            Ok(department_path(id))
        }
        "delete" => {
            let id: i64 = parse_number(field_value(fields, "id"))?;
            let parent = world.departments.iter().find(|d| d.id == id).ok_or(NO_DEPARTMENT)?.parent;
            if parent == 0 {
                return Err(FormProblem("不能删除根部门", "根部门就是企业本身。"));
            }
            if world.departments.iter().any(|d| d.parent == id) {
                return Err(FormProblem("部门下还有子部门", "请先移走或删除子部门。"));
            }
            if world.members.iter().any(|m| m.departments.contains(&id)) {
                return Err(FormProblem("部门下还有成员", "请先把成员移到其他部门。"));
            }
            world.departments.retain(|d| d.id != id);
            world.tags.iter_mut().for_each(|t| t.departments.retain(|d| *d != id));
            Ok(department_path(if has_department(world, parent) { parent } else { 1 }))
        }
        _ => Err(UNKNOWN_ACT),
    }
}

/// Tells whether `id` is `above` or lies anywhere below it.
fn lies_below(world: &World, id: i64, above: i64) -> bool {
    let parent = |id: &i64| world.departments.iter().find(|d| d.id == *id).map(|d| d.parent);
    // The departments may form a circle, so the walk has a limit.
    std::iter::successors(Some(id), parent).take(world.departments.len() + 1).any(|d| d == above)
}

/// Saves, adds or deletes a tag, as the field `act` says.
pub(super) async fn edit_tag(State(sim): State<Simulator>, Form(fields): Form<FormFields>) -> Response {
    answer_edit(sim.change(|w| change_tag(w, &fields)))
}

fn change_tag(world: &mut World, fields: &FormFields) -> EditResult {
    let id: i64 = parse_number(field_value(fields, "id"))?;
    let there = world.tags.iter().position(|t| t.id == id);
    let act = field_value(fields, "act");
    match (act, there) {
        ("delete", Some(_)) => world.tags.retain(|t| t.id != id),
        ("save" | "delete", None) => return Err(FormProblem("没有这个标签", "标签可能已被删除。")),
        ("add", Some(_)) => return Err(FormProblem("标签编号已存在", "请返回后换一个编号。")),
        ("add" | "save", _) => {
            let name = field_value(fields, "name").to_owned();
            if name.is_empty() {
                return Err(NO_NAME);
            }
            let departments = parse_departments(world, fields, "department")?;
            let named = split_words(fields, "users");
            let users: Option<Vec<String>> =
                named.iter().map(|u| Some(world.member(u)?.userid.clone())).collect();
            let tag = SimulatedTag { id, name, users: users.ok_or(NO_MEMBER)?, departments };
            match there.and_then(|at| world.tags.get_mut(at)) {
                Some(there) => *there = tag,
                None => world.tags.push(tag),
            }
        }
        _ => return Err(UNKNOWN_ACT),
    }
    Ok("/organisation#tags".to_owned())
}
