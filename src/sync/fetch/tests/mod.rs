//! Tests: fetches from a WeCom that misbehaves.

mod ids;
mod missing;
mod pauses;
mod politeness;
mod tags;
mod trouble;
mod ways;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::base::id::{CorpId, UserId};
use crate::base::secret::Secret;
use crate::directory::PersonStatus;
use crate::wecom::server::{FakeWecom, ReceivedRequest, Reply};
use crate::wecom::{CodeOwner, Deadline, ErrorFamily, WecomSettings};

/// Milliseconds where production waits for minutes.
const TEST_PACE: FetchPace = FetchPace {
    call_timeout: Duration::from_millis(400),
    max_parallel_calls: 10,
    rate_limit_pause: Duration::from_millis(80),
    max_rate_limit_pauses: 3,
    crowd_pause: Duration::from_millis(5),
    max_crowd_retries: 4,
    answers_before_raise: 5,
    pass_pauses: [Duration::from_millis(5), Duration::from_millis(10)],
    max_silent_failures: 30,
};

const APP_SECRET: &str = "S3CRETapp";
const CONTACTS_SECRET: &str = "S3CRETcontacts";

/// A company: its members and departments, and what an application may see of them.
#[derive(Clone, Default)]
struct FakeCompany {
    /// id, parent, name.
    departments: Vec<(u32, u32, &'static str)>,
    /// userid, departments.
    members: Vec<(String, Vec<u32>)>,
    /// Members whom the application cannot see at all.
    hidden: Vec<&'static str>,
    /// Members whom the application sees singly, but in no list.
    single: Vec<&'static str>,
    /// Departments that the application cannot see.
    invisible_departments: Vec<u32>,
    /// Whether the contacts secret reads details.
    has_old_address: bool,
    /// id, name, members, departments.
    tags: Vec<(u32, &'static str, Vec<&'static str>, Vec<u32>)>,
}

type AnswerRule = dyn Fn(&ReceivedRequest, usize) -> Option<Reply> + Send + Sync;

impl FakeCompany {
    /// 公司 with 研发 and 市场; ann in both, bob and carl in one each.
    fn small() -> Self {
        Self {
            departments: vec![(1, 0, "公司"), (2, 1, "研发"), (3, 1, "市场")],
            members: vec![member("ann", &[2, 3]), member("Bob", &[2]), member("carl", &[3])],
            tags: vec![(7, "司机", vec!["ann"], vec![3])],
            ..Self::default()
        }
    }

    /// `count` departments below the root with a member each.
    fn wide(count: u32) -> Self {
        Self {
            departments: (1..=count).map(|id| (id, u32::from(id > 1), "部")).collect(),
            members: (1..=count).map(|id| member(&format!("m{id}"), &[id])).collect(),
            ..Self::default()
        }
    }

    /// Returns what a fetch knows if nothing changed since.
    fn known(&self) -> KnownDirectory {
        let persons =
            self.members.iter().filter(|(id, _)| !self.hidden.contains(&id.as_str())).map(|(id, list)| {
                (
                    id.to_lowercase(),
                    list.iter().copied().filter(|d| !self.invisible_departments.contains(d)).collect(),
                )
            });
        let units = self.departments.iter().filter(|(id, ..)| !self.invisible_departments.contains(id)).map(
            |(id, parent, name)| (*id, KnownUnit { parent: *parent, order: 0, name: (*name).to_owned() }),
        );
        KnownDirectory { persons: persons.collect(), units: units.collect() }
    }

    async fn serve(self) -> FakeWecom {
        self.serve_except(|_, _| None).await
    }

    /// Serves the company, except where `rule` answers; `rule` also gets the number of earlier
    /// requests with the same parameters.
    async fn serve_except(
        self,
        rule: impl Fn(&ReceivedRequest, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> FakeWecom {
        let rule: Box<AnswerRule> = Box::new(rule);
        let counts: Mutex<HashMap<String, usize>> = Mutex::default();
        FakeWecom::start(move |asked, _| {
            if asked.api == "gettoken" {
                let contacts = asked.param("corpsecret") == Some(CONTACTS_SECRET);
                return Reply::token(if contacts { "TC" } else { "TA" });
            }
            let key = format!("{} {:?} {}", asked.api, asked.query, asked.body);
            let before = {
                let mut counts = counts.lock();
                let count = counts.entry(key).or_default();
                *count += 1;
                *count - 1
            };
            rule(asked, before).unwrap_or_else(|| self.answer(asked))
        })
        .await
    }

    fn answer(&self, asked: &ReceivedRequest) -> Reply {
        let contacts = asked.param("access_token") == Some("TC");
        let number = |name| asked.param(name).and_then(|text| text.parse::<u32>().ok()).unwrap();
        let sees = |id: &u32| contacts || !self.invisible_departments.contains(id);
        let details = !matches!(asked.api.as_str(), "user/list_id" | "department/simplelist");
        if contacts && details && !self.has_old_address {
            return Reply::errcode(48009);
        }
        match asked.api.as_str() {
            "department/list" => {
                let list = self.departments.iter().filter(|d| sees(&d.0)).map(department);
                ok_reply(&json!({"department": list.collect::<Vec<_>>()}))
            }
            "department/simplelist" => {
                let list = self.departments.iter().filter(|d| sees(&d.0));
                let list = list.map(|(id, parent, _)| json!({"id": id, "parentid": parent, "order": 0}));
                ok_reply(&json!({"department_id": list.collect::<Vec<_>>()}))
            }
            "department/get" => {
                let id = number("id");
                match self.departments.iter().find(|d| d.0 == id && sees(&d.0)) {
                    Some(found) => ok_reply(&json!({"department": department(found)})),
                    None => Reply::errcode(60011),
                }
            }
            "user/list" | "user/simplelist" => {
                let id = number("department_id");
                if !sees(&id) {
                    return Reply::errcode(60011);
                }
                let list = self.members.iter().filter(|(user, list)| {
                    let user = user.as_str();
                    let shown = contacts || !(self.hidden.contains(&user) || self.single.contains(&user));
                    list.contains(&id) && shown
                });
                let full = asked.api == "user/list";
                let list = list.map(|(user, list)| {
                    if full { details_reply(user, list) } else { json!({"userid": user, "name": user}) }
                });
                ok_reply(&json!({"userlist": list.collect::<Vec<_>>()}))
            }
            "user/get" => {
                let id = asked.param("userid").unwrap().to_lowercase();
                let found = self.members.iter().find(|(user, _)| user.to_lowercase() == id);
                match found.filter(|(user, _)| contacts || !self.hidden.contains(&user.as_str())) {
                    Some((user, list)) => ok_reply(&details_reply(user, list)),
                    None => Reply::errcode(60111),
                }
            }
            "user/list_id" if !contacts => Reply::errcode(48002),
            "user/list_id" => {
                const ROWS: usize = 4;
                let body: Value = serde_json::from_str(&asked.body).unwrap();
                let from = body["cursor"].as_str().map_or(0, |cursor| cursor.parse::<usize>().unwrap());
                let rows: Vec<Value> = self
                    .members
                    .iter()
                    .flat_map(|(user, list)| {
                        list.iter().map(move |d| json!({"userid": user, "department": d}))
                    })
                    .collect();
                let next = if from + ROWS < rows.len() { (from + ROWS).to_string() } else { String::new() };
                let page: Vec<&Value> = rows.iter().skip(from).take(ROWS).collect();
                ok_reply(&json!({"next_cursor": next, "dept_user": page}))
            }
            "tag/list" => {
                let list = self.tags.iter().map(|(id, name, ..)| json!({"tagid": id, "tagname": name}));
                ok_reply(&json!({"taglist": list.collect::<Vec<_>>()}))
            }
            "tag/get" => {
                let id = number("tagid");
                let (_, name, users, parties) = self.tags.iter().find(|tag| tag.0 == id).unwrap();
                let users: Vec<Value> = users.iter().map(|user| json!({"userid": user})).collect();
                ok_reply(&json!({"tagname": name, "userlist": users, "partylist": parties}))
            }
            _ => Reply::errcode(40058),
        }
    }
}

fn member(id: &str, departments: &[u32]) -> (String, Vec<u32>) {
    (id.to_owned(), departments.to_vec())
}

fn department((id, parent, name): &(u32, u32, &'static str)) -> Value {
    json!({"id": id, "name": name, "parentid": parent, "order": 0, "department_leader": ["ann"]})
}

fn details_reply(user: &str, departments: &[u32]) -> Value {
    json!({"userid": user, "name": format!("名{user}"), "department": departments, "status": 1})
}

fn ok_reply(fields: &Value) -> Reply {
    let mut answer = json!({"errcode": 0, "errmsg": "ok"});
    answer.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Reply::Body(answer.to_string().into_bytes())
}

/// Returns whether this is `user/list` of the department.
fn is_list_of(asked: &ReceivedRequest, id: &str) -> bool {
    asked.api == "user/list" && asked.param("department_id") == Some(id)
}

fn count_lists(server: &FakeWecom, id: &str) -> usize {
    server.requests("user/list").iter().filter(|asked| is_list_of(asked, id)).count()
}

fn queried_userids(server: &FakeWecom) -> BTreeSet<String> {
    server.requests("user/get").iter().map(|asked| asked.param("userid").unwrap().to_owned()).collect()
}

fn test_client(server: &FakeWecom, app: Option<&str>, contacts: Option<&str>) -> WecomClient {
    client_at(server.url.clone(), app, contacts)
}

fn client_at(api_address: url::Url, app: Option<&str>, contacts: Option<&str>) -> WecomClient {
    let settings = WecomSettings {
        corp_id: CorpId::new("ww0000000000000001"),
        agent_id: 1_000_002,
        app_secret: app.map(Secret::from),
        contacts_secret: contacts.map(Secret::from),
        api_address,
        oauth2_address: "https://open.weixin.qq.com".parse().unwrap(),
        qr_connect_address: "https://login.work.weixin.qq.com".parse().unwrap(),
        proxy: None,
    };
    WecomClient::new(settings, test_clock()).unwrap()
}

fn test_clock() -> Clock {
    Clock::fixed(Timestamp::from_millis(1_795_334_400_000))
}

/// A fetcher with the application's secret alone.
fn app_secret_fetcher(server: &FakeWecom) -> Fetcher {
    Fetcher::new(test_client(server, Some(APP_SECRET), None), test_clock(), TEST_PACE)
}

/// As [`app_secret_fetcher`], with as much time for a call as in production.
fn patient_fetcher(server: &FakeWecom) -> Fetcher {
    let pace = FetchPace { call_timeout: Duration::from_secs(30), ..TEST_PACE };
    Fetcher::new(test_client(server, Some(APP_SECRET), None), test_clock(), pace)
}

/// A fetcher with both secrets.
fn both_secrets_fetcher(server: &FakeWecom) -> Fetcher {
    Fetcher::new(test_client(server, Some(APP_SECRET), Some(CONTACTS_SECRET)), test_clock(), TEST_PACE)
}

async fn fetch(
    fetcher: &Fetcher,
    kind: SyncKind,
    known: &KnownDirectory,
) -> Result<RemoteDirectory, FetchError> {
    let progress = SyncProgress::default();
    let fetch = fetcher.fetch(FetchRequest { kind, known, force: false }, &progress);
    tokio::time::timeout(Duration::from_secs(60), fetch).await.expect("a fetch ends")
}

async fn fetch_full(fetcher: &Fetcher, known: &KnownDirectory) -> RemoteDirectory {
    fetch(fetcher, SyncKind::Full, known).await.unwrap()
}

async fn fetch_update(fetcher: &Fetcher, known: &KnownDirectory) -> RemoteDirectory {
    fetch(fetcher, SyncKind::Update, known).await.unwrap()
}

fn userids_of(remote: &RemoteDirectory) -> BTreeSet<&str> {
    let people: BTreeSet<&str> = remote.persons.iter().map(|p| p.userid.as_str()).collect();
    assert_eq!(people.len(), remote.persons.len(), "each person once");
    people
}

fn present_userids(remote: &RemoteDirectory) -> BTreeSet<&str> {
    remote.present.iter().map(String::as_str).collect()
}

fn userid_set<const N: usize>(list: [&'static str; N]) -> BTreeSet<&'static str> {
    list.into()
}

fn has_note(remote: &RemoteDirectory, code: &str) -> bool {
    remote.notes.iter().any(|note| note.code == code)
}

fn note_text<'a>(remote: &'a RemoteDirectory, code: &str) -> &'a str {
    let found = remote.notes.iter().find(|note| note.code == code);
    found.map_or_else(|| panic!("no {code} in {:?}", remote.notes), |note| &note.text)
}

const ALL_COMPLETE: Completeness = Completeness { units: true, persons: true, details: true };
const ONLY_UNITS_COMPLETE: Completeness = Completeness { units: true, persons: false, details: false };
