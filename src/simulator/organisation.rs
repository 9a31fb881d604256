//! The pages on which somebody edits the organisation while the simulator runs: `/organisation` and below.
//!
//! A corporation of up to [`WHOLE_MEMBERS`] members is shown whole, as a tree with everybody in it; of a larger one
//! only the way to the chosen department, what is directly below, and who is in it.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::index::View;
use super::page::{Notice, Page, remark, respond};
use super::people::{Member, Status, Tag};
use super::{MARKER, Simulator};

/// Up to so many members everybody is in the tree.
pub(super) const WHOLE_MEMBERS: usize = 500;
/// Up to so many departments they are offered as a list to choose from; beyond, their numbers are typed.
const WHOLE_DEPARTMENTS: usize = 300;
/// The deepest indent that leaves room for a name on a narrow phone.
const INDENT_MAX: usize = 6;
/// So many members of one department are shown.
const SHOWN: usize = 500;

/// Every status with its name on the pages.
pub(super) const STATUSES: [(Status, &str); 4] = [
    (Status::Active, "已激活"),
    (Status::Disabled, "已禁用"),
    (Status::NotActivated, "未激活"),
    (Status::Left, "已离职"),
];

/// Somebody in a list.
#[derive(Debug)]
struct Person {
    userid: String,
    name: String,
    position: String,
    remark: &'static str,
    leads: bool,
}

impl Person {
    fn of(view: View, member: &Member, department: i64) -> Self {
        Self {
            userid: member.userid.clone(),
            name: member.name.clone(),
            position: member.position.clone(),
            remark: remark(view, member),
            leads: member.leads.contains(&department),
        }
    }
}

/// A department of the tree. Rows come from top to bottom; the template closes as many lists as `closes` says.
#[derive(Debug)]
struct Row {
    id: i64,
    name: String,
    count: usize,
    chosen: bool,
    people: Vec<Person>,
    opens: bool,
    ends: bool,
    closes: usize,
}

/// A department to choose.
#[derive(Debug)]
struct Choice {
    id: i64,
    name: String,
    /// One wide space for each level, up to [`INDENT_MAX`].
    indent: String,
    chosen: bool,
}

/// The tree, and the chosen department.
#[derive(Debug, Template)]
#[template(path = "simulator/organisation.html", config = "static/askama.toml")]
struct OrganisationPage {
    marker: &'static str,
    corp: String,
    members: usize,
    departments: usize,
    whole: bool,
    tree: Vec<Row>,
    id: i64,
    name: String,
    name_en: String,
    parent: i64,
    order: u32,
    parents: Vec<Choice>,
    people: Vec<Person>,
    not_shown: usize,
    unplaced: Vec<Person>,
    tags: Vec<Tag>,
}

impl Page for OrganisationPage {}

/// One member to change, or a new one.
#[derive(Debug, Template)]
#[template(path = "simulator/member.html", config = "static/askama.toml")]
struct MemberPage {
    marker: &'static str,
    is_new: bool,
    member: Member,
    superiors: String,
    statuses: Vec<(i64, &'static str, bool)>,
    /// Empty in a large corporation, where the numbers are typed.
    places: Vec<Choice>,
    places_text: String,
    leads: Vec<Choice>,
    leads_text: String,
    main: i64,
    back: i64,
}

impl Page for MemberPage {}

/// One tag to change, or a new one.
#[derive(Debug, Template)]
#[template(path = "simulator/tag.html", config = "static/askama.toml")]
struct TagPage {
    marker: &'static str,
    is_new: bool,
    id: i64,
    name: String,
    users: String,
    places: Vec<Choice>,
    places_text: String,
}

impl Page for TagPage {}

/// `/organisation?department=ID`; the root without one.
pub(super) async fn organisation(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let asked = query.get("department").map_or("1", String::as_str);
    let page = sim.inside(|i| OrganisationPage::new(i.view, asked.trim().parse().ok()?));
    page.map_or_else(|| missing("没有这个部门", "部门可能已被删除。"), |p| respond(&p))
}

/// `/organisation/member?userid=`, or `?department=ID` for somebody new there.
pub(super) async fn member(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let page = sim.inside(|i| match query.get("userid") {
        Some(userid) => i.view.member(userid.trim()).map(|m| MemberPage::new(i.view, m.clone(), false)),
        None => {
            let home = query.get("department").and_then(|d| d.parse().ok()).unwrap_or(1);
            Some(MemberPage::new(i.view, Member::new("", "").within([home]), true))
        }
    });
    page.map_or_else(|| missing("没有这个成员", "账号可能有误，或成员已被删除。"), |p| respond(&p))
}

/// `/organisation/tag?id=ID`, or a new one without.
pub(super) async fn tag(
    State(sim): State<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let page = sim.inside(|i| match query.get("id") {
        Some(id) => {
            let tag = i.world.tags.iter().find(|t| t.id.to_string() == id.as_str())?;
            Some(TagPage::new(i.view, tag, false))
        }
        None => {
            let next = i.world.tags.iter().map(|t| t.id).max().unwrap_or(0) + 1;
            Some(TagPage::new(i.view, &Tag::new(next, ""), true))
        }
    });
    page.map_or_else(|| missing("没有这个标签", "标签可能已被删除。"), |p| respond(&p))
}

fn missing(title: &str, text: &str) -> Response {
    (StatusCode::NOT_FOUND, Notice::error(0, title, text)).into_response()
}

impl OrganisationPage {
    fn new(view: View, chosen: i64) -> Option<Self> {
        let world = view.world;
        let department = view.department(chosen)?;
        let whole = world.members.len() <= WHOLE_MEMBERS && world.departments.len() <= WHOLE_DEPARTMENTS;
        let people: Vec<Person> =
            view.members_in(chosen).take(SHOWN).map(|m| Person::of(view, m, chosen)).collect();
        // whoever is in no list of the API can still be found at the root
        let nowhere = |m: &&Member| {
            m.status == Status::Left || m.departments.iter().all(|d| view.department(*d).is_none())
        };
        let unplaced: Vec<Person> = match department.parent {
            0 => world.members.iter().filter(nowhere).take(SHOWN).map(|m| Person::of(view, m, 0)).collect(),
            _ => Vec::new(),
        };
        let below: HashSet<i64> = view.subtree(chosen).iter().map(|d| d.id).collect();
        Some(Self {
            marker: MARKER,
            corp: world.corp_name.clone(),
            members: world.members.len(),
            departments: world.departments.len(),
            whole,
            tree: tree(view, chosen, whole),
            id: chosen,
            name: department.name.clone(),
            name_en: department.name_en.clone(),
            parent: department.parent,
            order: department.order,
            parents: choices(view, &[department.parent])
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
    fn new(view: View, member: Member, is_new: bool) -> Self {
        let back = member.departments.iter().copied().find(|d| view.department(*d).is_some()).unwrap_or(1);
        Self {
            marker: MARKER,
            is_new,
            superiors: member.direct_leaders.join(" "),
            statuses: STATUSES.iter().map(|(s, name)| (s.number(), *name, *s == member.status)).collect(),
            places: choices(view, &member.departments),
            places_text: numbers(&member.departments),
            leads: choices(view, &member.leads),
            leads_text: numbers(&member.leads),
            main: member.main().unwrap_or(1),
            back,
            member,
        }
    }
}

impl TagPage {
    fn new(view: View, tag: &Tag, is_new: bool) -> Self {
        Self {
            marker: MARKER,
            is_new,
            id: tag.id,
            name: tag.name.clone(),
            users: tag.users.join(" "),
            places: choices(view, &tag.departments),
            places_text: numbers(&tag.departments),
        }
    }
}

fn numbers(list: &[i64]) -> String {
    list.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

/// Every department to choose from, those of `chosen` chosen; none in a large corporation.
fn choices(view: View, chosen: &[i64]) -> Vec<Choice> {
    if view.world.departments.len() > WHOLE_DEPARTMENTS {
        return Vec::new();
    }
    let list = walk(view, |_| true);
    let choice = |(id, depth): (i64, usize)| Choice {
        id,
        name: view.department(id).map(|d| d.name.clone()).unwrap_or_default(),
        indent: "\u{3000}".repeat(depth.min(INDENT_MAX)),
        chosen: chosen.contains(&id),
    };
    list.into_iter().map(choice).collect()
}

/// The departments from top to bottom with their depth, going below those that `enter` lets in.
fn walk(view: View, enter: impl Fn(i64) -> bool) -> Vec<(i64, usize)> {
    let known = |id: i64| view.department(id).is_some();
    let departments = || view.world.departments.iter().rev();
    let tops = departments().filter(|d| d.parent == 0 || !known(d.parent));
    // at the bottom everybody, for whoever lies in a circle and so below no top
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

/// The tree: all of it, or the way to the chosen department and what is directly below.
fn tree(view: View, chosen: i64, whole: bool) -> Vec<Row> {
    let mut way = HashSet::new();
    let mut at = view.department(chosen);
    while let Some(d) = at.filter(|d| way.insert(d.id)) {
        at = view.department(d.parent);
    }
    let mut list = walk(view, |id| whole || way.contains(&id));
    if !whole {
        let shown = |id: i64| {
            way.contains(&id) || view.department(id).is_some_and(|d| d.parent == chosen || d.parent == 0)
        };
        list.retain(|(id, _)| shown(*id));
    }
    let next = list.iter().skip(1).map(|(_, depth)| *depth).chain([0]);
    let before = std::iter::once(0).chain(list.iter().map(|(_, depth)| *depth));
    let around: Vec<(usize, usize)> = before.zip(next).collect();
    let row = |((id, depth), (before, next)): ((i64, usize), (usize, usize))| {
        let d = view.department(id)?;
        let people = view.members_in(id).filter(|_| whole).map(|m| Person::of(view, m, id)).collect();
        Some(Row {
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
