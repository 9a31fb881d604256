//! The pages that edit the organisation while the simulator runs: `/organisation` and below.
//!
//! A corporation of up to [`MAX_TREE_MEMBERS`] members is shown as one tree. Of a larger one, the
//! page shows the path to the chosen department, the departments directly below, and the members in
//! it.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::index::WorldView;
use super::page::{MAX_TREE_MEMBERS, RefusalPage, SimulatorPage, member_remark, render_page};
use super::people::{SimulatedMember, SimulatedStatus, SimulatedTag};
use super::{MARKER, Simulator};

/// The largest number of departments in a list to choose from. With more, their numbers are typed.
const MAX_LISTED_DEPARTMENTS: usize = 300;
/// The deepest indent that leaves room for a name on a narrow phone.
const MAX_INDENT_LEVELS: usize = 6;
/// The largest number of members that are shown of one department.
const MAX_SHOWN_MEMBERS: usize = 500;

/// Every status with its name on the pages.
pub(super) const STATUS_NAMES: [(SimulatedStatus, &str); 4] = [
    (SimulatedStatus::Active, "已激活"),
    (SimulatedStatus::Disabled, "已禁用"),
    (SimulatedStatus::NotActivated, "未激活"),
    (SimulatedStatus::Left, "已离职"),
];

/// A member in a list.
#[derive(Debug)]
struct ListedPerson {
    userid: String,
    name: String,
    position: String,
    remark: &'static str,
    leads: bool,
}

impl ListedPerson {
    fn from_member(view: WorldView, member: &SimulatedMember, department: i64) -> Self {
        Self {
            userid: member.userid.clone(),
            name: member.name.clone(),
            position: member.position.clone(),
            remark: member_remark(view, member),
            leads: member.leads.contains(&department),
        }
    }
}

/// A department of the tree. Rows are rendered from top to bottom; the template closes `closes`
/// lists after a row.
#[derive(Debug)]
struct TreeRow {
    id: i64,
    name: String,
    count: usize,
    chosen: bool,
    people: Vec<ListedPerson>,
    opens: bool,
    ends: bool,
    closes: usize,
}

/// A department in a list to choose from.
#[derive(Debug)]
struct DepartmentChoice {
    id: i64,
    name: String,
    /// One wide space for each level, up to [`MAX_INDENT_LEVELS`].
    indent: String,
    chosen: bool,
}

/// The tree and the chosen department.
#[derive(Debug, Template)]
#[template(path = "simulator/organisation.html", config = "static/askama.toml")]
struct OrganisationPage {
    marker: &'static str,
    corp: String,
    members: usize,
    departments: usize,
    whole: bool,
    tree: Vec<TreeRow>,
    id: i64,
    name: String,
    name_en: String,
    parent: i64,
    order: u32,
    parents: Vec<DepartmentChoice>,
    people: Vec<ListedPerson>,
    not_shown: usize,
    unplaced: Vec<ListedPerson>,
    tags: Vec<SimulatedTag>,
}

impl SimulatorPage for OrganisationPage {}

/// The form of a member or of a new one.
#[derive(Debug, Template)]
#[template(path = "simulator/member.html", config = "static/askama.toml")]
struct MemberPage {
    marker: &'static str,
    is_new: bool,
    member: SimulatedMember,
    superiors: String,
    statuses: Vec<(i64, &'static str, bool)>,
    /// Empty in a large corporation, where the numbers are typed.
    places: Vec<DepartmentChoice>,
    places_text: String,
    leads: Vec<DepartmentChoice>,
    leads_text: String,
    main: i64,
    back: i64,
}

impl SimulatorPage for MemberPage {}

/// The form of a tag or of a new one.
#[derive(Debug, Template)]
#[template(path = "simulator/tag.html", config = "static/askama.toml")]
struct TagPage {
    marker: &'static str,
    is_new: bool,
    id: i64,
    name: String,
    users: String,
    places: Vec<DepartmentChoice>,
    places_text: String,
}

impl SimulatorPage for TagPage {}

/// Shows `/organisation?department=ID`; the root without one.
pub(super) async fn show_organisation(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let chosen = query.get("department").map_or("1", String::as_str);
    let page = sim.with_world(|i| OrganisationPage::new(i.view, chosen.trim().parse().ok()?));
    page.map_or_else(|| not_found_page("没有这个部门", "部门可能已被删除。"), |p| render_page(&p))
}

/// Shows `/organisation/member?userid=`, or `?department=ID` for a new member there.
pub(super) async fn show_member(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let page = sim.with_world(|i| match query.get("userid") {
        Some(userid) => i.view.member(userid.trim()).map(|m| MemberPage::new(i.view, m.clone(), false)),
        None => {
            let home = query.get("department").and_then(|d| d.parse().ok()).unwrap_or(1);
            Some(MemberPage::new(i.view, SimulatedMember::new("", "").with_departments([home]), true))
        }
    });
    page.map_or_else(|| not_found_page("没有这个成员", "账号可能有误，或成员已被删除。"), |p| render_page(&p))
}

/// Shows `/organisation/tag?id=ID`, or the form of a new tag.
pub(super) async fn show_tag(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let page = sim.with_world(|i| match query.get("id") {
        Some(id) => {
            let tag = i.world.tags.iter().find(|t| t.id.to_string() == id.as_str())?;
            Some(TagPage::new(i.view, tag, false))
        }
        None => {
            let next = i.world.tags.iter().map(|t| t.id).max().unwrap_or(0) + 1;
            Some(TagPage::new(i.view, &SimulatedTag::new(next, ""), true))
        }
    });
    page.map_or_else(|| not_found_page("没有这个标签", "标签可能已被删除。"), |p| render_page(&p))
}

fn not_found_page(title: &str, text: &str) -> Response {
    (StatusCode::NOT_FOUND, RefusalPage::error(0, title, text)).into_response()
}

impl OrganisationPage {
    fn new(view: WorldView, chosen: i64) -> Option<Self> {
        let world = view.world;
        let department = view.department(chosen)?;
        let whole =
            world.members.len() <= MAX_TREE_MEMBERS && world.departments.len() <= MAX_LISTED_DEPARTMENTS;
        let people: Vec<ListedPerson> = view
            .members_in(chosen)
            .take(MAX_SHOWN_MEMBERS)
            .map(|m| ListedPerson::from_member(view, m, chosen))
            .collect();
        // Members who are in no list of the API can still be found at the root.
        let nowhere = |m: &&SimulatedMember| {
            m.status == SimulatedStatus::Left || m.departments.iter().all(|d| view.department(*d).is_none())
        };
        let unplaced: Vec<ListedPerson> = match department.parent {
            0 => world
                .members
                .iter()
                .filter(nowhere)
                .take(MAX_SHOWN_MEMBERS)
                .map(|m| ListedPerson::from_member(view, m, 0))
                .collect(),
            _ => Vec::new(),
        };
        let below: HashSet<i64> = view.subtree(chosen).iter().map(|d| d.id).collect();
        Some(Self {
            marker: MARKER,
            corp: world.corp_name.clone(),
            members: world.members.len(),
            departments: world.departments.len(),
            whole,
            tree: build_tree(view, chosen, whole),
            id: chosen,
            name: department.name.clone(),
            name_en: department.name_en.clone(),
            parent: department.parent,
            order: department.order,
            parents: list_choices(view, &[department.parent])
                .into_iter()
                .filter(|c| !below.contains(&c.id))
                .collect(),
            not_shown: view.members_in(chosen).count().saturating_sub(people.len()),
            people,
            unplaced,
            tags: world.tags.clone(),
        })
    }
}

impl MemberPage {
    fn new(view: WorldView, member: SimulatedMember, is_new: bool) -> Self {
        let back = member.departments.iter().copied().find(|d| view.department(*d).is_some()).unwrap_or(1);
        Self {
            marker: MARKER,
            is_new,
            superiors: member.direct_leaders.join(" "),
            statuses: STATUS_NAMES.iter().map(|(s, name)| (s.number(), *name, *s == member.status)).collect(),
            places: list_choices(view, &member.departments),
            places_text: join_numbers(&member.departments),
            leads: list_choices(view, &member.leads),
            leads_text: join_numbers(&member.leads),
            main: member.main().unwrap_or(1),
            back,
            member,
        }
    }
}

impl TagPage {
    fn new(view: WorldView, tag: &SimulatedTag, is_new: bool) -> Self {
        Self {
            marker: MARKER,
            is_new,
            id: tag.id,
            name: tag.name.clone(),
            users: tag.users.join(" "),
            places: list_choices(view, &tag.departments),
            places_text: join_numbers(&tag.departments),
        }
    }
}

fn join_numbers(list: &[i64]) -> String {
    list.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

/// Returns every department to choose from; none in a large corporation.
fn list_choices(view: WorldView, chosen: &[i64]) -> Vec<DepartmentChoice> {
    if view.world.departments.len() > MAX_LISTED_DEPARTMENTS {
        return Vec::new();
    }
    let list = walk_departments(view, |_| true);
    let choice = |(id, depth): (i64, usize)| DepartmentChoice {
        id,
        name: view.department(id).map(|d| d.name.clone()).unwrap_or_default(),
        indent: "\u{3000}".repeat(depth.min(MAX_INDENT_LEVELS)),
        chosen: chosen.contains(&id),
    };
    list.into_iter().map(choice).collect()
}

/// Returns the departments from top to bottom with their depth. Descends only where `enter` allows
/// it.
fn walk_departments(view: WorldView, enter: impl Fn(i64) -> bool) -> Vec<(i64, usize)> {
    let known = |id: i64| view.department(id).is_some();
    let departments = || view.world.departments.iter().rev();
    let tops = departments().filter(|d| d.parent == 0 || !known(d.parent));
    // All departments lie at the bottom of the stack, for those that form a circle and hang below
    // no top.
    let mut left: Vec<(i64, usize)> = departments().chain(tops).map(|d| (d.id, 0)).collect();
    let (mut found, mut met) = (Vec::new(), HashSet::new());
    while let Some((id, depth)) = left.pop() {
        if !met.insert(id) {
            continue;
        }
        found.push((id, depth));
        if enter(id) {
            left.extend(view.children(id).iter().rev().map(|d| (d.id, depth + 1)));
        }
    }
    found
}

/// Returns the rows of the tree: all, or the path to the chosen department and what is directly
/// below.
fn build_tree(view: WorldView, chosen: i64, whole: bool) -> Vec<TreeRow> {
    let mut way = HashSet::new();
    let mut at = view.department(chosen);
    // `insert` fails at the second visit, so a circle of parents ends the loop.
    while let Some(d) = at.filter(|d| way.insert(d.id)) {
        at = view.department(d.parent);
    }
    let mut list = walk_departments(view, |id| whole || way.contains(&id));
    if !whole {
        let shown = |id: i64| {
            way.contains(&id) || view.department(id).is_some_and(|d| d.parent == chosen || d.parent == 0)
        };
        list.retain(|(id, _)| shown(*id));
    }
    // A row opens and closes its list by the depth of the rows around it.
    let next = list.iter().skip(1).map(|(_, depth)| *depth).chain([0]);
    let before = std::iter::once(0).chain(list.iter().map(|(_, depth)| *depth));
    let around: Vec<(usize, usize)> = before.zip(next).collect();
    let row = |((id, depth), (before, next)): ((i64, usize), (usize, usize))| {
        let d = view.department(id)?;
        let people =
            view.members_in(id).filter(|_| whole).map(|m| ListedPerson::from_member(view, m, id)).collect();
        Some(TreeRow {
            id,
            name: d.name.clone(),
            count: view.members_in(id).count(),
            chosen: id == chosen,
            people,
            opens: depth > before,
            ends: next <= depth,
            closes: depth.saturating_sub(next),
        })
    };
    list.into_iter().zip(around).filter_map(row).collect()
}
