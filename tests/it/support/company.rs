//! A company in the simulator, its changes, and the chart they must lead to: computed from WeCom's
//! side alone and compared with what the API shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gongpai::simulator::{
    SimulatedAttribute, SimulatedDepartment, SimulatedMember, SimulatedStatus, SimulatedTag, World,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::serve::ServeProcess;

/// Every unit, person and tag from WeCom that a chart shows, with WeCom's numbers.
pub(crate) type ExpectedChart = BTreeMap<String, Value>;

/// The employee number: unique, and kept by everybody.
const EMPLOYEE_NUMBER: &str = "工号";

/// Separates a name from the round in which it was given.
const ROUND_MARK: char = '·';

/// A random generator that gives the same numbers for the same seed (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// Takes the seed from `GONGPAI_TEST_SEED`, otherwise a random one, and prints it.
    pub(crate) fn new() -> Self {
        let given = std::env::var_os("GONGPAI_TEST_SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let mut bytes = [0; 8];
            aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
            u64::from_ne_bytes(bytes)
        });
        println!("GONGPAI_TEST_SEED={seed}");
        Self(seed | 1)
    }

    /// Returns a number below `sides`.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(drawn).expect("64 bits") % sides.max(1)
    }
}

/// Computes the chart that must come of `world`. The application sees everybody but the hidden
/// members, with mobile and mail.
pub(crate) fn expected_chart(world: &World) -> ExpectedChart {
    assert_eq!(
        world.app.visible.departments,
        BTreeSet::from([1]),
        "or the range is not so easily worked out"
    );
    assert!(world.app.legacy_fields, "or mobile and mail are not to be seen");
    let mut chart = ExpectedChart::new();
    let by_id: HashMap<i64, &SimulatedDepartment> = world.departments.iter().map(|d| (d.id, d)).collect();
    for d in &world.departments {
        let mut names = Vec::new();
        let mut at = Some(d);
        while let Some(here) = at.filter(|here| here.id != 1) {
            names.push(here.name.replace('/', "∕"));
            at = by_id.get(&here.parent).copied();
        }
        names.reverse();
        let path = if d.id == 1 { "/".to_owned() } else { names.join("/") };
        let parent = Some(d.parent).filter(|parent| *parent != 0);
        let unit = json!({"name": d.name, "path": path, "parent": parent, "order": d.order, "leaders": sorted(&d.leaders)});
        assert!(chart.insert(format!("unit {}", d.id), unit).is_none());
    }
    for m in world.members.iter().filter(|m| !world.app.visible.hidden.contains(&m.userid)) {
        let mut memberships: Vec<_> =
            m.placements().map(|(d, order)| (d, order, m.leads.contains(&d))).collect();
        memberships.sort_unstable();
        let status = match m.status {
            SimulatedStatus::Active => "active",
            SimulatedStatus::Disabled => "disabled",
            SimulatedStatus::NotActivated => "inactive",
            SimulatedStatus::Left => continue,
        };
        let attributes: BTreeMap<&str, &str> = m.attributes.iter().map(name_and_value).collect();
        let email = if m.biz_mail.is_empty() { &m.email } else { &m.biz_mail };
        let person = json!({
            "name": m.name, "status": status, "main": m.main(), "memberships": memberships,
            "direct_leaders": sorted(&m.direct_leaders), "position": m.position, "mobile": m.mobile, "email": email,
            "alias": m.alias, "attributes": attributes,
        });
        assert!(chart.insert(format!("person {}", m.userid), person).is_none());
    }
    for tag in &world.tags {
        let mut units = tag.departments.clone();
        units.sort_unstable();
        let shown = json!({"name": tag.name, "users": sorted(&tag.users), "units": units});
        assert!(chart.insert(format!("tag {}", tag.id), shown).is_none());
    }
    chart
}

fn name_and_value(attribute: &SimulatedAttribute) -> (&str, &str) {
    match attribute {
        SimulatedAttribute::Text { name, value } => (name, value),
        SimulatedAttribute::Web { name, url, .. } => (name, url),
    }
}

fn sorted(list: &[String]) -> Vec<&String> {
    let mut list: Vec<_> = list.iter().collect();
    list.sort();
    list
}

/// What the API shows.
pub(crate) struct ApiView {
    /// Entries from WeCom, without persons who left.
    pub(crate) chart: ExpectedChart,
    /// Our ids by employee number, including persons who left.
    pub(crate) ids: BTreeMap<String, String>,
}

/// Reads everything that the API of `serve` shows.
pub(crate) async fn read_api_view(serve: &ServeProcess) -> ApiView {
    let mut chart = ExpectedChart::new();
    let mut ids = BTreeMap::new();
    let units = serve.list("/directory/units").await;
    let numbers: HashMap<&str, &Value> =
        units.iter().map(|u| (u["id"].as_str().expect("an id"), &u["wecom_id"])).collect();
    let number = |id: &Value| id.as_str().map_or(Value::Null, |id| numbers[id].clone());
    let texts = |list: &Value| {
        let mut list: Vec<String> = serde_json::from_value(list.clone()).expect("texts");
        list.sort();
        list
    };
    for u in units.iter().filter(|u| u["source"] == "wecom") {
        let unit = json!({"name": u["name"], "path": u["path"], "parent": number(&u["parent_id"]), "order": u["order"],
                          "leaders": texts(&u["leaders"])});
        assert!(chart.insert(format!("unit {}", u["wecom_id"]), unit).is_none(), "twice: {u}");
    }
    let mut owners = BTreeSet::new();
    for p in serve.list("/directory/persons").await.iter().filter(|p| p["source"] == "wecom") {
        let id = p["id"].as_str().expect("an id").to_owned();
        assert!(owners.insert(id.clone()), "twice: {p}");
        if let Some(employee) = p["attributes"][EMPLOYEE_NUMBER].as_str() {
            let before = ids.insert(employee.to_owned(), id);
            assert!(before.is_none(), "two persons are {employee}: {before:?} and {p}");
        }
        if p["status"] == "left" {
            assert_eq!(p["memberships"], json!([]), "{p}");
            continue;
        }
        let places = p["memberships"].as_array().expect("a list").iter();
        let mut memberships: Vec<(i64, u64, bool)> = places
            .map(|m| {
                let (order, leader) = (m["order"].as_u64(), m["leader"].as_bool());
                (
                    number(&m["unit_id"]).as_i64().expect("a department"),
                    order.expect("one"),
                    leader.expect("one"),
                )
            })
            .collect();
        memberships.sort_unstable();
        let person = json!({
            "name": p["name"], "status": p["status"], "main": number(&p["main_unit"]), "memberships": memberships,
            "direct_leaders": texts(&p["direct_leaders"]), "position": p["position"], "mobile": p["mobile"],
            "email": p["email"], "alias": p["alias"], "attributes": p["attributes"],
        });
        let key = format!("person {}", p["userid"].as_str().expect("a userid"));
        assert!(chart.insert(key, person).is_none(), "twice: {p}");
    }
    for t in serve.list("/directory/tags").await.iter().filter(|t| !t["wecom_id"].is_null()) {
        let ids = t["units"].as_array().expect("a list").iter();
        let mut units: Vec<i64> = ids.map(|id| number(id).as_i64().expect("a department")).collect();
        units.sort_unstable();
        let tag = json!({"name": t["name"], "users": texts(&t["users"]), "units": units});
        assert!(chart.insert(format!("tag {}", t["wecom_id"]), tag).is_none(), "twice: {t}");
    }
    ApiView { chart, ids }
}

/// Describes the first differences between two charts, and how many there are; empty if they are
/// equal.
pub(crate) fn describe_differences(is: &ExpectedChart, want: &ExpectedChart) -> String {
    let keys: BTreeSet<&String> = is.keys().chain(want.keys()).collect();
    let differ: Vec<_> = keys.into_iter().filter(|key| is.get(*key) != want.get(*key)).collect();
    let told = differ
        .iter()
        .take(5)
        .map(|key| format!("\n{key}: {:?}\n instead of {:?}", is.get(*key), want.get(*key)));
    if differ.is_empty() {
        String::new()
    } else {
        format!("{} differ:{}", differ.len(), told.collect::<String>())
    }
}

/// Changes a company, and knows whom to spare and which numbers are free.
pub(crate) struct CompanyChanges {
    /// The members before this position are never moved, renamed or removed.
    spared: usize,
    round: u32,
    next_number: usize,
    next_department: i64,
    /// Userids given up since the last publication.
    given_up: Vec<String>,
    /// Userids that nobody had in the last publication.
    free: Vec<String>,
}

impl CompanyChanges {
    /// Fills the company with invented members, all visible to the application.
    pub(crate) fn populate(world: &mut World, members: usize, departments: usize) -> Self {
        let spared = world.members.len();
        world.app.legacy_fields = true;
        world.populate_large(members, departments, 7);
        let next_department = world.departments.iter().map(|d| d.id).max().unwrap_or(0) + 1;
        let mut changes = Self {
            spared,
            round: 0,
            next_number: members + 1,
            next_department,
            given_up: Vec::new(),
            free: Vec::new(),
        };
        changes.mark_round(world);
        changes
    }

    /// Notes that the chart now shows the company, so that given-up userids may go to others. One
    /// that changed hands between two publications would stay with its person, because a userid
    /// outweighs every key.
    pub(crate) fn mark_published(&mut self) {
        self.free.append(&mut self.given_up);
    }

    /// Appends the round to the name of every department, member and tag, so that everything
    /// changes.
    pub(crate) fn mark_round(&mut self, world: &mut World) {
        self.round += 1;
        let (departments, members, tags) = (&mut world.departments, &mut world.members, &mut world.tags);
        let names =
            departments.iter_mut().map(|d| &mut d.name).chain(members.iter_mut().map(|m| &mut m.name));
        for name in names.chain(tags.iter_mut().map(|t| &mut t.name)) {
            let bare = name.split(ROUND_MARK).next().unwrap_or_default();
            *name = format!("{bare}{ROUND_MARK}{}", self.round);
        }
    }

    /// Makes a day's changes of a personnel department, and a new round.
    pub(crate) fn change_company(&mut self, world: &mut World, dice: &mut Dice) {
        self.change_departments(world, dice);
        for _ in 0..40 {
            let member = self.draw_member(world, dice);
            let new = world.departments[dice.below(world.departments.len())].id;
            Self::set_departments(world, member, vec![new]);
        }
        for _ in 0..2 {
            let member = self.draw_member(world, dice);
            self.rename(world, member);
        }
        for _ in 0..3 {
            let member = self.draw_member(world, dice);
            self.remove(world, member);
        }
        for n in 0..4 {
            // A userid may come back with somebody else.
            let userid = if n == 0 { self.free.pop() } else { None };
            self.join(world, dice, userid);
        }
        for status in [SimulatedStatus::Active, SimulatedStatus::Disabled, SimulatedStatus::NotActivated] {
            let member = self.draw_member(world, dice);
            world.members[member].status = status;
        }
        self.change_tags(world, dice);
        self.mark_round(world);
    }

    fn draw_member(&self, world: &World, dice: &mut Dice) -> usize {
        self.spared + dice.below(world.members.len() - self.spared)
    }

    fn change_departments(&mut self, world: &mut World, dice: &mut Dice) {
        let id = self.next_department;
        self.next_department += 1;
        world.departments.push(
            SimulatedDepartment::new(id, &format!("新设{id}"), 1)
                .with_order(u32::try_from(dice.below(1000)).expect("small")),
        );
        let parents: BTreeSet<i64> = world.departments.iter().map(|d| d.parent).collect();
        let leaves: Vec<i64> = world
            .departments
            .iter()
            .map(|d| d.id)
            .filter(|d| *d > 1000 && *d != id && !parents.contains(d))
            .collect();
        let (moved, gone) = (leaves[dice.below(leaves.len())], leaves[dice.below(leaves.len())]);
        for d in world.departments.iter_mut().filter(|d| d.id == moved) {
            (d.parent, d.name) = (id, format!("迁来{moved}"));
        }
        // Only sometimes a department is dissolved: the changes of many unpublished runs together
        // must not exceed the limit.
        if moved == gone || !self.round.is_multiple_of(4) {
            return;
        }
        world.departments.retain(|d| d.id != gone);
        world.tags.iter_mut().for_each(|t| t.departments.retain(|d| *d != gone));
        for member in 0..world.members.len() {
            if world.members[member].departments.contains(&gone) {
                let mut left = world.members[member].departments.clone();
                left.retain(|d| *d != gone);
                if left.is_empty() {
                    left.push(1);
                }
                Self::set_departments(world, member, left);
            }
        }
    }

    fn set_departments(world: &mut World, member: usize, departments: Vec<i64>) {
        let m = &mut world.members[member];
        (m.departments, m.orders, m.main_department) = (departments, Vec::new(), None);
        m.leads.clear();
        let userid = m.userid.clone();
        world.departments.iter_mut().for_each(|d| d.leaders.retain(|l| *l != userid));
    }

    fn rename(&mut self, world: &mut World, member: usize) {
        self.next_number += 1;
        let new = format!("Renamed.{}", self.next_number);
        let old = std::mem::replace(&mut world.members[member].userid, new.clone());
        let lists = world.departments.iter_mut().map(|d| &mut d.leaders);
        let lists = lists.chain(world.members.iter_mut().map(|m| &mut m.direct_leaders));
        for list in lists.chain(world.tags.iter_mut().map(|t| &mut t.users)) {
            list.iter_mut().filter(|userid| **userid == old).for_each(|userid| userid.clone_from(&new));
        }
        self.given_up.push(old);
    }

    fn remove(&mut self, world: &mut World, member: usize) {
        let gone = world.members.remove(member).userid;
        let lists = world.departments.iter_mut().map(|d| &mut d.leaders);
        let lists = lists.chain(world.members.iter_mut().map(|m| &mut m.direct_leaders));
        for list in lists.chain(world.tags.iter_mut().map(|t| &mut t.users)) {
            list.retain(|userid| *userid != gone);
        }
        self.given_up.push(gone);
    }

    fn join(&mut self, world: &mut World, dice: &mut Dice, userid: Option<String>) {
        let n = self.next_number;
        self.next_number += 1;
        let home = world.departments[dice.below(world.departments.len())].id;
        let userid = userid.unwrap_or_else(|| format!("joiner{n}"));
        let mut m = SimulatedMember::new(&userid, "新人")
            .with_departments([home])
            .with_text(EMPLOYEE_NUMBER, &format!("G{n:06}"));
        m.mobile = format!("13{n:09}");
        m.biz_mail = format!("joiner{n}@example.wecom.work");
        world.members.push(m);
    }

    fn change_tags(&mut self, world: &mut World, dice: &mut Dice) {
        let users: Vec<String> =
            (0..10).map(|_| self.draw_member(world, dice)).map(|m| world.members[m].userid.clone()).collect();
        let users: BTreeSet<&str> = users.iter().map(String::as_str).collect();
        let home = world.departments[dice.below(world.departments.len())].id;
        let id = i64::from(100 + self.round);
        world.tags.retain(|t| t.id < 100 || t.id + 3 > id);
        world
            .tags
            .push(SimulatedTag::new(id, &format!("标签{id}")).with_users(users).with_departments([home]));
        if let Some(tag) = world.tags.iter_mut().find(|t| t.id == 2) {
            tag.departments = vec![home];
        }
    }
}

impl ServeProcess {
    /// Calls the API as client `oa`; returns the status and the body.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Vec<u8>) {
        let ask =
            super::browser::BrowserRequest::bare(method, &format!("http://{}/api/v1{path}", self.public));
        let mut ask =
            ask.header("accept", "application/json").header("authorization", &super::api::basic_auth("oa"));
        if let Some(body) = body {
            ask = ask.json(&body.to_string());
        }
        let page = super::browser::Browser::new("an application").send(ask).await;
        (page.status.as_u16(), page.body)
    }

    /// Calls the API and returns its JSON; the answer must have `status`.
    pub(crate) async fn call_expecting(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> Value {
        let (is, body) = self.call(method, path, body).await;
        assert_eq!(is, status, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Reads every item of a list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self
                .call_expecting(Method::GET, &format!("{path}?limit=1000&cursor={cursor}"), None, 200)
                .await;
            items.append(page["items"].as_array_mut().expect("items"));
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return items,
            }
        }
    }

    /// Requests a full run; returns its id.
    pub(crate) async fn request_run(&self) -> String {
        let answer = self.call_expecting(Method::POST, "/directory/sync", Some(&json!({})), 202).await;
        answer["run_id"].as_str().expect("a run").to_owned()
    }

    /// Waits for the end of the run, which must be done and complete.
    pub(crate) async fn wait_until_done(&self, run: &str) -> Value {
        let path = format!("/directory/sync/{run}");
        let give_up = std::time::Instant::now() + std::time::Duration::from_secs(90);
        loop {
            let run = self.call_expecting(Method::GET, &path, None, 200).await;
            if !matches!(run["status"].as_str(), Some("queued" | "running")) {
                assert_eq!((&run["status"], &run["complete"]), (&json!("done"), &json!(true)), "{run:#}");
                return run;
            }
            assert!(std::time::Instant::now() < give_up, "the run does not end: {run}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
