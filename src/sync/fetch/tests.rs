//! Tests: fetches from a WeCom that misbehaves.

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
    let progress = FetchProgress::default();
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

mod ways {
    use super::*;

    #[tokio::test]
    async fn the_applications_secret_alone_reads_its_visible_range() {
        let server = FakeCompany::small().serve().await;
        for kind in [SyncKind::Update, SyncKind::Full] {
            let remote = fetch(&app_secret_fetcher(&server), kind, &KnownDirectory::default()).await.unwrap();
            assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
            assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
            assert_eq!(
                remote.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(),
                ["公司", "研发", "市场"]
            );
            assert_eq!(remote.units[1].leaders, [UserId::new("ann")]);
            assert_eq!(remote.notes, []);
            let tags = remote.tags.unwrap();
            assert_eq!((tags[0].id, tags[0].name.as_str(), tags[0].units.as_slice()), (7, "司机", &[3][..]));
            assert_eq!(tags[0].users, [UserId::new("ann")]);
        }
    }

    #[tokio::test]
    async fn the_contacts_secret_from_an_old_address_reads_everything() {
        let company =
            FakeCompany { has_old_address: true, invisible_departments: vec![3], ..FakeCompany::small() };
        let known = company.known();
        let server = company.serve().await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &known).await;
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Contacts, ALL_COMPLETE));
        assert_eq!((remote.units.len(), userids_of(&remote)), (3, userid_set(["ann", "Bob", "carl"])));
        let tokens: BTreeSet<_> = server
            .requests("user/list")
            .iter()
            .map(|a| a.param("access_token").unwrap().to_owned())
            .collect();
        assert_eq!(tokens, BTreeSet::from(["TC".to_owned()]));
    }

    #[tokio::test]
    async fn from_a_new_address_the_contacts_secret_gives_ids_and_the_application_details() {
        let company = FakeCompany::small();
        let server = company.serve().await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Ids, ALL_COMPLETE));
        assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
        assert!(note_text(&remote, "fetch.ids_only").contains("48009"), "{:?}", remote.notes);
        assert!(server.request_count("user/list_id") >= 1);
    }

    #[tokio::test]
    async fn what_the_contacts_secret_may_do_is_asked_again_by_full_runs_only() {
        let company = FakeCompany::small();
        let known = company.known();
        let server = company.serve().await;
        let fetcher = both_secrets_fetcher(&server);
        let probes = || {
            let asked = server.requests("department/list");
            asked.iter().filter(|a| a.param("access_token") == Some("TC")).count()
        };
        for (kind, expected) in
            [(SyncKind::Update, 1), (SyncKind::Update, 1), (SyncKind::Full, 2), (SyncKind::Update, 2)]
        {
            let remote = fetch(&fetcher.clone(), kind, &known).await.unwrap();
            assert_eq!((remote.mode, probes()), (FetchMode::Ids, expected), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn an_applications_secret_as_contacts_secret_is_found_out() {
        // It reads departments as any application's secret does; only the list of ids reveals it.
        let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
        let server =
            company.serve_except(|a, _| (a.api == "user/list_id").then(|| Reply::errcode(48002))).await;
        let fetcher = both_secrets_fetcher(&server);
        let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
        assert!(note_text(&remote, "fetch.contacts_secret_wrong").contains("通讯录同步"));
        let before = server.request_count("user/list_id");
        assert_eq!(fetch_update(&fetcher, &KnownDirectory::default()).await.mode, FetchMode::Visible);
        assert_eq!(server.request_count("user/list_id"), before, "remembered");
    }

    #[tokio::test]
    async fn a_private_edition_without_the_list_of_ids_is_read_with_the_contacts_secret() {
        let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
        let server = company
            .serve_except(|a, _| {
                let missing = || Reply::Status(404, "text/html", b"<html>".to_vec());
                (a.api == "user/list_id").then(missing)
            })
            .await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (remote.mode, remote.completeness, server.request_count("user/list_id")),
            (FetchMode::Contacts, ALL_COMPLETE, 1)
        );
    }

    #[tokio::test]
    async fn one_secret_entered_twice_is_the_applications() {
        let server = FakeCompany::small().serve().await;
        let fetcher =
            Fetcher::new(test_client(&server, Some(APP_SECRET), Some(APP_SECRET)), test_clock(), TEST_PACE);
        let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
        assert!(has_note(&remote, "fetch.secrets_are_one"));
    }

    #[tokio::test]
    async fn a_contacts_secret_that_loses_its_right_halfway_goes_on_by_ids() {
        let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
        let server = company
            .serve_except(|a, _| {
                let contacts = a.param("access_token") == Some("TC");
                (contacts && a.api == "user/list").then(|| Reply::errcode(48009))
            })
            .await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Ids, ALL_COMPLETE));
        assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
    }

    #[tokio::test]
    async fn without_a_secret_or_departments_there_is_nothing() {
        let server = FakeCompany::small().serve().await;
        let fetcher = Fetcher::new(test_client(&server, None, None), test_clock(), TEST_PACE);
        let error = fetch(&fetcher, SyncKind::Full, &KnownDirectory::default()).await.unwrap_err();
        assert_eq!(error.cause, WecomError::NoSecret(SecretKind::App));

        for (code, family) in
            [(60020, ErrorFamily::Setup), (50003, ErrorFamily::Setup), (40013, ErrorFamily::Setup)]
        {
            let server = FakeCompany::small()
                .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::errcode(code)))
                .await;
            let error = fetch(&app_secret_fetcher(&server), SyncKind::Full, &KnownDirectory::default())
                .await
                .unwrap_err();
            assert_eq!((error.cause.code(), error.cause.family()), (Some(code), family));
            assert!(error.meaning().is_some() && error.to_string().contains("app_secret"), "{error}");
        }

        let server = FakeCompany::small().serve_except(|_, _| Some(Reply::Close)).await;
        let error = fetch(&app_secret_fetcher(&server), SyncKind::Full, &KnownDirectory::default())
            .await
            .unwrap_err();
        assert!(matches!(error.cause, WecomError::Unreachable { .. }), "{error}");
        assert_eq!(server.request_count("department/list"), 3);
    }

    #[tokio::test]
    async fn a_contacts_secret_that_is_refused_ends_the_fetch_and_does_not_shrink_the_company() {
        let server = FakeCompany::small()
            .serve_except(|a, _| (a.param("access_token") == Some("TC")).then(|| Reply::errcode(60020)))
            .await;
        let error = fetch(&both_secrets_fetcher(&server), SyncKind::Full, &KnownDirectory::default())
            .await
            .unwrap_err();
        assert_eq!((error.cause.code(), error.secret), (Some(60020), SecretKind::Contacts));
    }
}

mod ids {
    use super::*;

    #[tokio::test]
    async fn an_update_reads_every_department_and_so_sees_who_was_disabled() {
        let company = FakeCompany::small();
        let known = company.known();
        let disabled = r#"{"errcode":0,"userlist":[{"userid":"ann","department":[2,3],"status":1},
            {"userid":"Bob","department":[2],"status":2}]}"#;
        let server =
            company.serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(disabled))).await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!(
            (remote.completeness, userids_of(&remote)),
            (ALL_COMPLETE, userid_set(["ann", "Bob", "carl"]))
        );
        let bob = remote.persons.iter().find(|person| person.userid.as_str() == "Bob").unwrap();
        assert_eq!(bob.status, PersonStatus::Disabled);
        assert_eq!((server.request_count("user/list"), server.request_count("user/get")), (3, 0));
        assert!(remote.tags.is_some());
    }

    #[tokio::test]
    async fn departments_that_the_application_does_not_see_are_no_difference() {
        let mut company = FakeCompany { invisible_departments: vec![3], ..FakeCompany::small() };
        company.members[2].1 = vec![2, 3];
        let known = company.known();
        let server = company.serve().await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!(server.request_count("user/get"), 0);
        assert!(note_text(&remote, "fetch.departments_not_visible").contains("1 departments"));
        assert_eq!(remote.units.len(), 2);
    }

    #[tokio::test]
    async fn members_nobody_knows_are_read_by_department() {
        let company = FakeCompany {
            members: (0..5).map(|n| member(&format!("m{n}"), &[2])).collect(),
            ..FakeCompany::small()
        };
        let server = company.serve().await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.persons.len(), remote.completeness), (5, ALL_COMPLETE));
        assert_eq!((server.request_count("user/list"), server.request_count("user/get")), (3, 0));
    }

    #[tokio::test]
    async fn a_member_in_no_department_who_cannot_be_read_stays_as_it_is() {
        let company = FakeCompany { single: vec!["carl"], ..FakeCompany::small() };
        let known = company.known();
        let server = company.serve_except(|a, _| (a.api == "user/get").then(|| Reply::errcode(-7_777))).await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!(
            (userids_of(&remote), present_userids(&remote)),
            (userid_set(["ann", "Bob"]), userid_set(["carl"]))
        );
        assert!(remote.completeness.persons && has_note(&remote, "fetch.details_unread"));
    }

    #[tokio::test]
    async fn members_outside_the_visible_range_are_no_persons_and_singly_visible_ones_are() {
        let company = FakeCompany { hidden: vec!["Bob"], single: vec!["carl"], ..FakeCompany::small() };
        for known in [KnownDirectory::default(), company.known()] {
            let server = company.clone().serve().await;
            let remote = fetch_full(&both_secrets_fetcher(&server), &known).await;
            assert_eq!(
                (userids_of(&remote), remote.completeness),
                (userid_set(["ann", "carl"]), ALL_COMPLETE)
            );
            assert!(note_text(&remote, "fetch.not_visible").contains("cover 1 members"));
            assert!(note_text(&remote, "fetch.not_visible").contains("可见范围"));
        }
    }

    #[tokio::test]
    async fn no_more_than_a_thousand_strangers_are_asked_for() {
        let mut company = FakeCompany { invisible_departments: vec![3], ..FakeCompany::small() };
        company.members = vec![member("ann", &[2])];
        company.members.extend((0..1_010).map(|n| member(&format!("s{n:04}"), &[3])));
        let server = company.serve_except(|a, _| (a.api == "user/get").then(|| Reply::errcode(60111))).await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(server.request_count("user/get"), 1_000);
        assert!(note_text(&remote, "fetch.not_asked").contains("10 more"));
        assert!(note_text(&remote, "fetch.not_visible").contains("1000 members"));
        assert_eq!((userids_of(&remote), remote.completeness), (userid_set(["ann"]), ALL_COMPLETE));
    }

    #[tokio::test]
    async fn whoever_is_no_longer_in_the_list_is_asked_for_and_gone() {
        let company = FakeCompany::small();
        let mut known = company.known();
        known.persons.insert("dora".to_owned(), BTreeSet::from([2]));
        for kind in [SyncKind::Update, SyncKind::Full] {
            let server = company.clone().serve().await;
            let remote = fetch(&both_secrets_fetcher(&server), kind, &known).await.unwrap();
            assert!(remote.completeness.persons && !present_userids(&remote).contains("dora"));
            assert_eq!(queried_userids(&server), BTreeSet::from(["dora".to_owned()]), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_cursor_that_is_refused_begins_the_list_anew() {
        let company = FakeCompany::wide(10);
        let known = company.known();
        let server = company
            .serve_except(|a, before| {
                let late = a.body.contains("\"8\"") && before == 0;
                (a.api == "user/list_id" && late).then(|| Reply::errcode(50100))
            })
            .await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!((remote.persons.len(), remote.completeness.persons), (10, true));
        let first = server.requests("user/list_id").iter().filter(|a| !a.body.contains("cursor")).count();
        assert_eq!(first, 2);
    }

    #[tokio::test]
    async fn a_list_of_ids_that_has_no_end_removes_nobody() {
        let round = r#"{"errcode":0,"next_cursor":"x","dept_user":[{"userid":"ann","department":2}]}"#;
        for (code, answer) in [(50100, None), (0, Some(round)), (987_654, None)] {
            let company = FakeCompany::small();
            let known = company.known();
            let server = company
                .serve_except(move |a, _| {
                    let reply = || answer.map_or_else(|| Reply::errcode(code), Reply::json);
                    (a.api == "user/list_id").then(reply)
                })
                .await;
            let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
            assert_eq!((remote.completeness, remote.persons.len()), (ONLY_UNITS_COMPLETE, 3), "{code}");
            assert!(has_note(&remote, "fetch.ids_unread"), "{code}");
        }
    }

    #[tokio::test]
    async fn an_empty_list_of_ids_is_not_believed() {
        let company = FakeCompany::small();
        let known = company.known();
        let empty = r#"{"errcode":0,"next_cursor":"","dept_user":[]}"#;
        let server =
            company.serve_except(move |a, _| (a.api == "user/list_id").then(|| Reply::json(empty))).await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
        assert!(has_note(&remote, "fetch.empty"));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_understood_is_somebody() {
        let rows = r#"{"errcode":0,"dept_user":[{"userid":"ann","department":2},{"userid":"ann","department":3},
            {"userid":"Bob","department":2},{"userid":"carl","department":null}]}"#;
        let nameless = r#"{"errcode":0,"dept_user":[{"userid":"ann","department":2},{"open_userid":"wo","department":2}]}"#;
        for (answer, persons) in [(rows, true), (nameless, false)] {
            let company = FakeCompany::small();
            let known = company.known();
            let server = company
                .serve_except(move |a, _| (a.api == "user/list_id").then(|| Reply::json(answer)))
                .await;
            let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
            assert_eq!(remote.completeness.persons, persons);
            assert!(userids_of(&remote).contains("carl"));
        }
    }
}

mod missing {
    use super::*;

    #[tokio::test]
    async fn a_member_visible_singly_is_asked_for_and_somebody_who_left_is_gone() {
        let company = FakeCompany { single: vec!["carl"], ..FakeCompany::small() };
        let mut known = company.known();
        known.persons.insert("dora".to_owned(), BTreeSet::from([2]));
        let server = company.serve().await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(
            (userids_of(&remote), present_userids(&remote)),
            (userid_set(["ann", "Bob", "carl"]), userid_set([]))
        );
        assert_eq!(queried_userids(&server), ["carl", "dora"].map(str::to_owned).into());
        assert_eq!(remote.completeness, ALL_COMPLETE);
    }

    #[tokio::test]
    async fn a_missing_member_who_cannot_be_asked_for_is_not_gone() {
        let company = FakeCompany::small();
        let mut known = company.known();
        for id in ["d1", "d2", "d3", "d4"] {
            known.persons.insert(id.to_owned(), BTreeSet::from([2]));
        }
        let server = company
            .serve_except(|a, _| match (a.api.as_str(), a.param("userid")) {
                ("user/get", Some("d1")) => Some(Reply::errcode(40003)),
                ("user/get", Some("d2")) => Some(Reply::errcode(60021)),
                ("user/get", Some("d3")) => Some(Reply::errcode(60011)),
                ("user/get", Some("d4")) => Some(Reply::Close),
                _ => None,
            })
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(present_userids(&remote), userid_set(["d1", "d2", "d4"]));
        assert_eq!(remote.completeness, Completeness { details: false, ..ALL_COMPLETE });
    }

    #[tokio::test]
    async fn more_than_two_thousand_are_not_asked_for() {
        let company = FakeCompany::small();
        let mut known = company.known();
        known.persons.extend((0..2_001).map(|n| (format!("x{n}"), BTreeSet::new())));
        let server = company.serve().await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(server.request_count("user/get"), 0);
        assert!(note_text(&remote, "fetch.many_missing").contains("2001"));
        assert_eq!((remote.completeness.persons, remote.persons.len()), (false, 3), "nobody leaves by it");
        let ask = FetchRequest { kind: SyncKind::Full, known: &known, force: true };
        let remote = app_secret_fetcher(&server).fetch(ask, &FetchProgress::default()).await.unwrap();
        assert_eq!(remote.completeness, ALL_COMPLETE, "but where an administrator says so");
    }
}

/// Rules of politeness that are about time: calls without a network, in virtual time.
mod pauses {
    use std::cell::{Cell, RefCell};

    use tokio::time::sleep;

    use super::*;
    use crate::wecom::WecomRefusal;

    /// How long each call takes.
    const CALL_TIME: Duration = Duration::from_millis(10);

    fn caller_with(pace: FetchPace) -> ApiCaller {
        // Nothing listens there, and nothing is sent.
        ApiCaller::new(client_at("http://127.0.0.1:9".parse().unwrap(), Some(APP_SECRET), None), pace)
    }

    fn refusal(code: i64) -> WecomError {
        WecomError::Refused(WecomRefusal {
            api: "user/list",
            code,
            message: "refused by the test".to_owned(),
            from_ip: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_pauses_everybody_until_its_window_is_over() {
        let start = Instant::now();
        let begun: RefCell<Vec<(u32, Duration)>> = RefCell::default();
        let refused_at: Cell<Option<Duration>> = Cell::new(None);
        let call = |_: WecomClient, key: u32, _: Deadline| {
            let is_first = begun.borrow().iter().all(|(other, _)| *other != key);
            begun.borrow_mut().push((key, start.elapsed()));
            let refused_at = &refused_at;
            async move {
                sleep(CALL_TIME).await;
                if key == 15 && is_first {
                    refused_at.set(Some(start.elapsed()));
                    return Err(refusal(45009));
                }
                Ok(key)
            }
        };
        let mut answered = BTreeSet::new();
        let keys = (0..100).collect();
        caller_with(FetchPace::PRODUCTION)
            .call_each("user/list", keys, call, |key, result| {
                assert!(result.is_ok() && answered.insert(key), "{key}: {result:?}");
            })
            .await;
        let (begun, refused_at) = (begun.into_inner(), refused_at.get().unwrap());
        assert_eq!((answered.len(), begun.len()), (100, 101));
        let reopened_at = refused_at + FetchPace::PRODUCTION.rate_limit_pause;
        // Calls that began at the very instant of the refusal were let in before it.
        let early = begun.iter().filter(|(_, at)| *at > refused_at && *at < reopened_at).count();
        assert_eq!(early, 0, "{begun:?}");
        let again = begun.iter().rev().find(|(key, _)| *key == 15).map(|(_, at)| *at);
        assert!(again >= Some(reopened_at), "{again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_crowd_half_as_many_calls_run_in_parallel() {
        let pace = FetchPace { answers_before_raise: 1_000, ..FetchPace::PRODUCTION };
        let (begun, in_flight, most) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let call = |_: WecomClient, key: u32, _: Deadline| {
            begun.set(begun.get() + 1);
            // The first ten, which run in parallel, are too many.
            let is_crowded = begun.get() <= 10;
            let (in_flight, most) = (&in_flight, &most);
            async move {
                if is_crowded {
                    sleep(CALL_TIME).await;
                    return Err(refusal(45033));
                }
                in_flight.set(in_flight.get() + 1);
                most.set(most.get().max(in_flight.get()));
                sleep(CALL_TIME).await;
                in_flight.set(in_flight.get() - 1);
                Ok(key)
            }
        };
        let mut answered = 0;
        let take = |key, result: Result<u32, WecomError>| {
            assert_eq!(result, Ok(key));
            answered += 1;
        };
        caller_with(pace).call_each("user/list", (0..60).collect(), call, take).await;
        assert_eq!((answered, begun.get(), most.get()), (60, 70, 5));
    }
}

mod politeness {
    use super::*;

    #[tokio::test]
    async fn never_more_than_ten_calls_are_in_flight() {
        let late = Duration::from_millis(15);
        let server = FakeCompany::wide(60)
            .serve_except(move |a, _| {
                let empty = br#"{"errcode":0,"userlist":[]}"#.to_vec();
                (a.api == "user/list").then_some(Reply::Late(late, empty))
            })
            .await;
        fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((server.request_count("user/list"), server.most_at_once()), (60, 10));
    }

    #[tokio::test]
    async fn a_sign_in_passes_while_a_fetch_hangs() {
        let server = FakeCompany::wide(30)
            .serve_except(|a, _| match a.api.as_str() {
                "user/list" => Some(Reply::Hang),
                "auth/getuserinfo" => Some(Reply::json(r#"{"errcode":0,"userid":"m1"}"#)),
                _ => None,
            })
            .await;
        let client = test_client(&server, Some(APP_SECRET), None);
        let pace = FetchPace { call_timeout: Duration::from_secs(30), ..TEST_PACE };
        let fetcher = Fetcher::new(client.clone(), test_clock(), pace);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { fetch(&fetcher, SyncKind::Full, &KnownDirectory::default()).await });
        server.until_asked("user/list", 10).await;
        let began = Instant::now();
        for _ in 0..20 {
            let soon = Deadline::after(Duration::from_secs(5));
            assert_eq!(client.identity("C0DE", soon).await, Ok(CodeOwner::Member(UserId::new("m1"))));
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert_eq!(server.request_count("user/list"), 10);
    }

    #[tokio::test]
    async fn a_call_that_is_limited_once_is_made_again() {
        let server = FakeCompany::wide(100)
            .serve_except(|a, before| (is_list_of(a, "15") && before == 0).then(|| Reply::errcode(45009)))
            .await;
        let remote = fetch_full(&patient_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (remote.completeness, count_lists(&server, "15"), server.request_count("user/list")),
            (ALL_COMPLETE, 2, 101)
        );
    }

    #[tokio::test]
    async fn a_limit_that_stays_makes_its_part_unread_after_three_windows() {
        let server = FakeCompany::wide(40)
            .serve_except(|a, _| (a.api == "user/list").then(|| Reply::errcode(45009)))
            .await;
        let began = Instant::now();
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert!(began.elapsed() >= TEST_PACE.rate_limit_pause * 3);
        assert!(server.request_count("user/list") <= 40, "{}", server.request_count("user/list"));
        assert_eq!((remote.completeness, remote.units.len()), (ONLY_UNITS_COMPLETE, 40));
        assert!(note_text(&remote, "fetch.department_unread").contains("45009"));
        assert!(remote.tags.is_some(), "each API has its own limit");
    }

    #[tokio::test]
    async fn too_many_at_once_are_halved_until_wecom_is_content() {
        let load: Arc<Mutex<usize>> = Arc::default();
        let server = FakeCompany::wide(60)
            .serve_except(move |a, _| {
                if a.api != "user/list" {
                    return None;
                }
                // The first twelve lists are refused: ten at once, then what came after.
                let mut load = load.lock();
                *load += 1;
                (*load <= 12).then(|| Reply::errcode(45033))
            })
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 60));
    }

    #[tokio::test]
    async fn a_crowd_that_never_clears_is_unread() {
        let server =
            FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(45033))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
        assert_eq!(count_lists(&server, "2"), 2 * (1 + TEST_PACE.max_crowd_retries), "two passes");
    }

    #[tokio::test]
    async fn minus_one_is_asked_again_after_the_others_once() {
        for (busy, complete) in [(3, ALL_COMPLETE), (1_000, ONLY_UNITS_COMPLETE)] {
            let server = FakeCompany::small()
                .serve_except(move |a, before| {
                    (is_list_of(a, "2") && before < busy).then(|| Reply::errcode(-1))
                })
                .await;
            let remote = fetch_full(&patient_fetcher(&server), &KnownDirectory::default()).await;
            assert_eq!(remote.completeness, complete);
            assert_eq!(count_lists(&server, "2"), if busy == 3 { 4 } else { 6 });
            let order: Vec<String> = server
                .requests("user/list")
                .iter()
                .map(|a| a.param("department_id").unwrap().to_owned())
                .collect();
            assert_eq!(order.last().map(String::as_str), Some("2"), "others first: {order:?}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_refused_halfway_is_not_asked_with_again() {
        let server = FakeCompany::wide(200)
            .serve_except(|a, _| (a.api == "user/list").then(|| Reply::errcode(60020)))
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert!(server.request_count("user/list") <= 20, "{}", server.request_count("user/list"));
        assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
        assert!(remote.notes.len() < 30);
    }

    #[tokio::test]
    async fn a_wecom_that_is_away_is_not_asked_for_every_department() {
        let server =
            FakeCompany::wide(400).serve_except(|a, _| (a.api == "user/list").then_some(Reply::Close)).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert!(
            server.request_count("user/list") <= 3 * (TEST_PACE.max_silent_failures + 10),
            "{}",
            server.request_count("user/list")
        );
        assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
    }

    #[tokio::test]
    async fn progress_tells_phase_and_numbers() {
        let server =
            FakeCompany::wide(12).serve_except(|a, _| (a.api == "tag/list").then_some(Reply::Hang)).await;
        let fetcher = patient_fetcher(&server);
        let progress = Arc::new(FetchProgress::default());
        let shared = progress.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let known = KnownDirectory::default();
            let ask = FetchRequest { kind: SyncKind::Full, known: &known, force: false };
            fetcher.fetch(ask, &shared).await
        });
        server.until_asked("tag/list", 1).await;
        assert_eq!(progress.read(), (FetchPhase::Tags, 0, 1));
    }
}

mod trouble {
    use super::*;

    fn odd_replies() -> Vec<(&'static str, Reply)> {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"errcode\":0,\"userlist\":[".to_vec();
        vec![
            ("HTML", Reply::Body(b"<html><body>502</body></html>".to_vec())),
            ("502", Reply::Status(502, "text/html", b"<html>".to_vec())),
            ("truncated", Reply::Body(br#"{"errcode":0,"userlist":[{"userid":"ann""#.to_vec())),
            ("broken off", Reply::Raw(half)),
            ("hang", Reply::Hang),
            ("hang inside", Reply::HangInside),
            ("close", Reply::Close),
            ("empty", Reply::Body(Vec::new())),
            ("no list", Reply::json(r#"{"errcode":0}"#)),
        ]
    }

    #[tokio::test]
    async fn what_is_no_answer_is_asked_for_again_after_the_others() {
        for (name, reply) in odd_replies() {
            let server = FakeCompany::small()
                .serve_except(move |a, before| (is_list_of(a, "2") && before < 2).then(|| reply.clone()))
                .await;
            let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
            assert_eq!(
                (remote.completeness, remote.persons.len(), count_lists(&server, "2")),
                (ALL_COMPLETE, 3, 3),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn a_department_without_an_answer_is_unread_and_nobody_is_missed_for_it() {
        for (name, reply) in odd_replies() {
            let company = FakeCompany::small();
            let known = company.known();
            let server = company.serve_except(move |a, _| is_list_of(a, "2").then(|| reply.clone())).await;
            let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
            assert_eq!((remote.completeness, count_lists(&server, "2")), (ONLY_UNITS_COMPLETE, 3), "{name}");
            assert_eq!(userids_of(&remote), userid_set(["ann", "carl"]), "{name}");
            assert!(note_text(&remote, "fetch.department_unread").contains("2 「研发」"), "{name}");
            assert_eq!(
                server.request_count("user/get"),
                0,
                "{name}: bob is in the department that was not read"
            );
        }
    }

    #[tokio::test]
    async fn one_department_without_a_right_does_not_cost_the_others() {
        let server =
            FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(60011))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (remote.completeness, userids_of(&remote)),
            (ONLY_UNITS_COMPLETE, userid_set(["ann", "carl"]))
        );
        assert!(note_text(&remote, "fetch.department_unread").contains("60011"));
        assert_eq!(count_lists(&server, "2"), 1);
    }

    #[tokio::test]
    async fn a_list_that_is_too_large_is_split_and_nobody_is_asked_for_twice() {
        let server =
            FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(45029))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (remote.completeness, userids_of(&remote)),
            (ALL_COMPLETE, userid_set(["ann", "Bob", "carl"]))
        );
        assert_eq!(
            (server.request_count("user/simplelist"), queried_userids(&server)),
            (1, BTreeSet::from(["Bob".to_owned()]))
        );
        assert!(has_note(&remote, "fetch.department_split"));
    }

    #[tokio::test]
    async fn a_list_of_departments_that_is_too_large_is_split() {
        let company = FakeCompany::small();
        let server = company
            .clone()
            .serve_except(|a, _| (a.api == "department/list").then(|| Reply::errcode(45029)))
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.completeness, remote.units.len(), remote.persons.len()), (ALL_COMPLETE, 3, 3));

        let server = company
            .serve_except(|a, _| match (a.api.as_str(), a.param("id")) {
                ("department/list", _) => Some(Reply::errcode(45029)),
                ("department/get", Some("3")) => Some(Reply::errcode(60011)),
                _ => None,
            })
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!((remote.completeness, remote.units.len()), (Completeness::default(), 2));
        assert!(note_text(&remote, "fetch.department_unread").contains("Department 3"));
    }

    #[tokio::test]
    async fn an_empty_answer_is_not_believed_where_we_know_better() {
        let company = FakeCompany::small();
        let known = company.known();
        let departments = r#"{"errcode":0,"department":[]}"#;
        let server = company
            .clone()
            .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(departments)))
            .await;
        for fetcher in [app_secret_fetcher(&server), both_secrets_fetcher(&server)] {
            let remote = fetch_full(&fetcher, &known).await;
            assert_eq!(remote.completeness, Completeness::default());
            assert!(note_text(&remote, "fetch.empty").contains("no department"));
        }
        let first = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (first.completeness, first.persons.len()),
            (ALL_COMPLETE, 0),
            "for a new installation it is data"
        );

        let members = r#"{"errcode":0,"userlist":[]}"#;
        let server =
            company.serve_except(move |a, _| (a.api == "user/list").then(|| Reply::json(members))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(remote.completeness, Completeness::default());
        assert!(note_text(&remote, "fetch.empty").contains("no member"));
    }

    #[tokio::test]
    async fn an_application_that_sees_members_singly_only_reads_them() {
        let company = FakeCompany { departments: Vec::new(), ..FakeCompany::small() };
        let known = KnownDirectory { units: HashMap::new(), ..company.known() };
        let server = company.serve().await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 3));

        // An empty department beside them is no reason for doubt either.
        let mut company =
            FakeCompany { departments: vec![(9, 1, "空")], single: vec!["ann"], ..FakeCompany::default() };
        company.members = vec![member("ann", &[])];
        let known = company.known();
        let remote = fetch_full(&app_secret_fetcher(&company.serve().await), &known).await;
        assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 1));
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_understood_costs_itself_only() {
        let list = r#"{"errcode":0,"userlist":[{"userid":"ann","department":[2],"status":1},
            {"userid":"Bob","department":"all"},{"userid":"wwcorp/eve"},{"userid":"no blank"}]}"#;
        let company = FakeCompany::small();
        let known = company.known();
        let server =
            company.clone().serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(list))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(
            (userids_of(&remote), present_userids(&remote)),
            (userid_set(["ann", "carl"]), userid_set(["bob", "no blank"]))
        );
        assert_eq!(remote.completeness, Completeness { details: false, ..ALL_COMPLETE });
        assert!(note_text(&remote, "fetch.member_broken").contains("Bob"));
        assert!(note_text(&remote, "fetch.userid_invalid").contains("no blank"));

        let nameless = r#"{"errcode":0,"userlist":[{"userid":"Bob","status":1},{"name":"谁"}]}"#;
        let server =
            company.serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(nameless))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
        assert!(has_note(&remote, "fetch.member_nameless"));
    }

    #[tokio::test]
    async fn odd_departments_keep_their_names_and_are_units_once() {
        let list = r#"{"errcode":0,"department":[{"id":1,"name":" 公\u0000司 "},{"id":2,"name":"","parentid":1},
            {"id":2,"name":"又","parentid":1},{"id":3,"name":null,"parentid":1},{"id":"L/9","name":"外"}]}"#;
        let company = FakeCompany::small();
        let mut known = company.known();
        known.units.remove(&3);
        let server = company
            .clone()
            .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(list)))
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        let names: Vec<_> = remote.units.iter().map(|u| (u.id, u.name.as_str())).collect();
        assert_eq!(names, [(1, "公司"), (2, "研发"), (3, "3")]);
        assert!(
            has_note(&remote, "fetch.department_twice") && has_note(&remote, "fetch.department_nameless")
        );
        assert_eq!(remote.completeness, ALL_COMPLETE);

        let broken =
            r#"{"errcode":0,"department":[{"id":1,"name":"公司"},{"id":2,"name":"研发","parentid":-1}]}"#;
        let server =
            company.serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(broken))).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!((remote.completeness, remote.units.len()), (Completeness::default(), 1));
        assert!(note_text(&remote, "fetch.department_broken").contains("(2)"));
    }

    #[tokio::test]
    async fn a_department_of_twenty_thousand_is_read() {
        let filler = "x".repeat(420);
        let member = |n| {
            format!(r#"{{"userid":"m{n}","name":"成员","department":[1],"status":1,"avatar":"{filler}"}}"#)
        };
        let members: Vec<String> = (0..20_000).map(member).collect();
        let body = format!(r#"{{"errcode":0,"userlist":[{}]}}"#, members.join(",")).into_bytes();
        assert!(body.len() > 8 * 1024 * 1024);
        let company = FakeCompany { departments: vec![(1, 0, "公司")], ..FakeCompany::default() };
        let server =
            company.serve_except(move |a, _| is_list_of(a, "1").then(|| Reply::Body(body.clone()))).await;
        let fetcher = patient_fetcher(&server);
        let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
        assert_eq!((remote.persons.len(), remote.completeness), (20_000, ALL_COMPLETE));
        assert!(remote.persons.iter().all(|p| p.status == PersonStatus::Active));
    }
}

mod tags {
    use super::*;

    #[tokio::test]
    async fn tags_that_are_refused_or_unreadable_are_left_as_they_are() {
        for code in [48002, 60011, 60020, 987_654] {
            for api in ["tag/list", "tag/get"] {
                let server = FakeCompany::small()
                    .serve_except(move |a, _| (a.api == api).then(|| Reply::errcode(code)))
                    .await;
                let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
                assert_eq!((remote.tags.clone(), remote.completeness), (None, ALL_COMPLETE), "{api} {code}");
                assert!(note_text(&remote, "fetch.tags_unread").contains(&code.to_string()));
            }
        }
    }

    #[tokio::test]
    async fn a_tag_deleted_meanwhile_is_none_and_no_failure() {
        let mut company = FakeCompany::small();
        company.tags.push((8, "旧", vec![], vec![]));
        let server = company
            .serve_except(|a, _| {
                (a.api == "tag/get" && a.param("tagid") == Some("8")).then(|| Reply::errcode(40068))
            })
            .await;
        let tags = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags.unwrap();
        assert_eq!(tags.iter().map(|t| t.id).collect::<Vec<_>>(), [7]);
    }

    #[tokio::test]
    async fn an_update_reads_tags_only_where_they_are_few() {
        for (count, read) in [(200, true), (201, false)] {
            let mut company = FakeCompany::small();
            company.tags = (0..count).map(|id| (id, "标签", vec![], vec![])).collect();
            let server = company.serve().await;
            let remote = fetch_update(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
            assert_eq!(remote.tags.is_some(), read, "{count}");
            assert!(
                fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags.is_some()
            );
        }
    }

    #[tokio::test]
    async fn no_tags_is_an_answer() {
        let company = FakeCompany { tags: Vec::new(), ..FakeCompany::small() };
        let server = company.serve().await;
        assert_eq!(
            fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags,
            Some(Vec::new())
        );
    }
}
