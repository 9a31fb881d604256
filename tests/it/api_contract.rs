//! The contract of the API: every call of the document is made against the real router, and every
//! answer must be what the document says, down to the last key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use gongpai::simulator::SimulatedMember;
use gongpai::testing::api::openapi::build_document;
use reqwest::Method;
use serde_json::{Value, json};

use crate::openapi::{ClosedDocument, fill_path, operations, required_scope};
use crate::support::api::{basic_auth, new_request, problem, send_request};
use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::browser::Page;
use crate::support::chart::app_with_example_chart;
use crate::support::eventually;
use crate::support::sending::{MULTIPART_TYPE, sender_clients, upload_form};

/// The calls of the design's table of shapes that are the API's, as method and path.
const DESIGNED_CALLS: &[(&str, &str)] = &[
    ("POST", "/api/v1/messages"),
    ("GET", "/api/v1/messages/{id}"),
    ("POST", "/api/v1/messages/{id}/recall"),
    ("GET", "/api/v1/directory/units"),
    ("GET", "/api/v1/directory/persons"),
    ("GET", "/api/v1/directory/tags"),
    ("GET", "/api/v1/directory/units/{id}"),
    ("GET", "/api/v1/directory/persons/{id}"),
    ("POST", "/api/v1/directory/units"),
    ("PATCH", "/api/v1/directory/units/{id}"),
    ("DELETE", "/api/v1/directory/units/{id}"),
    ("POST", "/api/v1/directory/persons"),
    ("PATCH", "/api/v1/directory/persons/{id}"),
    ("DELETE", "/api/v1/directory/persons/{id}"),
    ("POST", "/api/v1/directory/sync"),
    ("GET", "/api/v1/directory/sync/{run_id}"),
    ("GET", "/api/v1/directory/conflicts"),
    ("POST", "/api/v1/directory/conflicts/{id}/resolve"),
    ("POST", "/api/v1/media"),
    ("GET", "/api/v1/directory/changes"),
    ("GET", "/api/v1/sessions"),
    ("DELETE", "/api/v1/sessions/{sid}"),
    ("DELETE", "/api/v1/sessions"),
];

/// Statuses of a document that this suite does not bring about: only a limit of time and a database
/// that is away give them.
const UNSEEN_STATUSES: [&str; 2] = ["429", "503"];

/// The answers that were seen: operation and status.
type SeenAnswers = RefCell<BTreeSet<(String, String)>>;

/// A gateway whose every answer is compared with the document.
struct Contract<'s> {
    t: TestApp,
    document: Value,
    operations: Vec<(Method, String, Value)>,
    closed: ClosedDocument,
    seen: &'s SeenAnswers,
}

/// A body of a call.
enum Body<'b> {
    Nothing,
    Json(&'b Value),
    File(Vec<u8>),
}

impl<'s> Contract<'s> {
    fn new(t: TestApp, seen: &'s SeenAnswers) -> Self {
        let document = build_document().expect("a document");
        let (operations, closed) = (operations(&document), ClosedDocument::new(document.clone()));
        Self { t, document, operations, closed, seen }
    }

    /// Returns the template of a path, and the operation.
    fn operation(&self, method: &Method, path: &str) -> (&str, &Value) {
        let path = path.split('?').next().unwrap_or_default();
        let fits = |template: &str| {
            let (parts, given) = (template.split('/'), path.split('/'));
            template.split('/').count() == path.split('/').count()
                && parts.zip(given).all(|(part, given)| part.starts_with('{') || part == given)
        };
        let found = self.operations.iter().find(|(m, template, _)| m == method && fits(template));
        let (_, template, operation) = found.unwrap_or_else(|| panic!("{method} {path} is not documented"));
        (template, operation)
    }

    /// Makes a call of the client `oa` with more headers, and compares status and body with the
    /// document.
    async fn send(&self, method: Method, path: &str, body: Body<'_>, headers: &[(&str, &str)]) -> Page {
        let (template, operation) = self.operation(&method, path);
        let place = format!("{method} {path}");
        let mut ask = new_request(&self.t, method.clone(), path);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            ask = ask.header("authorization", &basic_auth("oa"));
        }
        let sent = match body {
            Body::Nothing => None,
            Body::Json(json) => {
                ask = ask.json(&json.to_string());
                Some(json)
            }
            Body::File(form) => {
                ask = ask.header("content-type", MULTIPART_TYPE).body(form);
                None
            }
        };
        // An empty value stands for a call without the header.
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            ask = ask.header(name, value);
        }
        let page = send_request(ask).await;
        let at = format!("/paths/{}/{}", template.replace('/', "~1"), method.as_str().to_lowercase());
        self.compare_answer(&format!("{at}/responses/{}", page.status.as_u16()), &page, &place);
        if let (Some(sent), true) = (sent, page.status.is_success()) {
            let pointer = format!("{at}/requestBody/content/application~1json/schema");
            self.closed.assert_matches(&pointer, sent, &format!("the body of {place}"));
        }
        let name = operation["operationId"].as_str().expect("an operationId").to_owned();
        self.seen.borrow_mut().insert((name, page.status.as_str().to_owned()));
        page
    }

    /// Compares an answer with the response at `pointer`.
    fn compare_answer(&self, pointer: &str, page: &Page, place: &str) {
        let status = page.status;
        let said = self.document.pointer(pointer);
        let said = said
            .unwrap_or_else(|| panic!("{place} answered {status}, which is not documented: {}", page.text()));
        let (pointer, said) = match said["$ref"].as_str() {
            Some(reference) => (&reference[1..], self.document.pointer(&reference[1..]).expect("a response")),
            None => (pointer, said),
        };
        match said["content"].as_object().and_then(|content| content.keys().next()) {
            None => assert!(page.body.is_empty(), "{place}: {status} has a body: {}", page.text()),
            Some(kind) => {
                assert_eq!(page.header("content-type"), Some(kind.as_str()), "{place}: {status}");
                let schema = format!("{pointer}/content/{}/schema", kind.replace('/', "~1"));
                self.closed.assert_matches(&schema, &page.json(), &format!("{place}: {status}"));
            }
        }
        for header in said["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(page.header(&header.to_lowercase()).is_some(), "{place}: {status} without {header}");
        }
    }

    /// Makes a call that must be answered with `status`, and returns the JSON, null if there is none.
    async fn expect(&self, status: u16, method: Method, path: &str, body: Option<&Value>) -> Value {
        let page = self.send(method.clone(), path, body.map_or(Body::Nothing, Body::Json), &[]).await;
        assert_eq!(page.status, status, "{method} {path}: {}", page.text());
        if page.body.is_empty() { Value::Null } else { page.json() }
    }

    async fn get(&self, path: &str) -> Value {
        self.expect(200, Method::GET, path, None).await
    }

    /// Reads something that has an ETag twice, the second time with the ETag.
    async fn get_twice(&self, path: &str) -> Value {
        let page = self.send(Method::GET, path, Body::Nothing, &[]).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        let etag = page.header("etag").unwrap_or_else(|| panic!("{path} has no ETag"));
        let again = self.send(Method::GET, path, Body::Nothing, &[("if-none-match", etag)]).await;
        assert_eq!(again.status, 304, "{path}");
        page.json()
    }

    /// Reads a list that must not be empty, and one entry of it by its id.
    async fn get_list_and_entry(&self, path: &str) -> Vec<Value> {
        let mut list = self.get_twice(path).await;
        let items = list["items"].as_array_mut().expect("items").split_off(0);
        assert!(!items.is_empty(), "{path}: an empty list shows nothing");
        let id = text_at(&items[0], "id");
        assert_eq!(self.get_twice(&format!("{path}/{id}")).await, items[0]);
        self.expect(404, Method::GET, &format!("{path}/none"), None).await;
        items
    }

    /// Makes a change that is refused while it names another state of the entry.
    async fn change_with_etag(&self, status: u16, method: Method, path: &str, body: Option<&Value>) -> Value {
        let json = || body.map_or(Body::Nothing, Body::Json);
        let other = self.send(method.clone(), path, json(), &[("if-match", "\"another\"")]).await;
        assert_eq!(other.status, 412, "{method} {path}: {}", other.text());
        self.expect(status, method, path, body).await
    }
}

fn text_at(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

#[tokio::test]
async fn every_call_is_made_and_every_answer_is_what_the_document_says() {
    let seen = SeenAnswers::default();
    read_the_directory(&Contract::new(app_with_example_chart().await, &seen)).await;
    let link = "[directory]\nlink_by = [\"userid\", \"mobile\"]";
    let contract = Contract::new(TestApp::with(&sender_clients(link)).await, &seen);
    let (unit, person) = edit_local_entries(&contract).await;
    synchronise(&contract, &unit, &person).await;
    follow_changes(&contract).await;
    send_messages(&contract, &unit).await;
    upload_files(&contract).await;
    end_sessions(&contract).await;
    misuse_every_call(&contract).await;
    let disabled = sender_clients("[wecom]\nmessage_enable = false\n");
    refuse_without_messages(&Contract::new(TestApp::with(&disabled).await, &seen)).await;

    let mut missing = Vec::new();
    for (method, path, operation) in &contract.operations {
        let name = text_at(operation, "operationId");
        for status in operation["responses"].as_object().expect("responses").keys() {
            let is_seen = seen.borrow().contains(&(name.clone(), status.clone()));
            if !is_seen && !UNSEEN_STATUSES.contains(&status.as_str()) {
                missing.push(format!("{method} {path}: {status}"));
            }
        }
    }
    assert!(missing.is_empty(), "documented and never seen: {missing:#?}");
}

async fn read_the_directory(contract: &Contract<'_>) {
    let units = contract.get_list_and_entry("/api/v1/directory/units").await;
    let persons = contract.get_list_and_entry("/api/v1/directory/persons").await;
    contract.get_list_and_entry("/api/v1/directory/tags").await;
    assert!(units.iter().any(|unit| unit["parent_id"].is_null() && unit["wecom_id"].is_null()));
    assert!(persons.iter().any(|person| person["memberships"][0].is_object()), "nobody is in a unit");
    for path in [
        "/api/v1/directory/units?path=/&limit=1&cursor=",
        "/api/v1/directory/persons?status=active&unit=wecom:3&limit=1&cursor=",
        "/api/v1/directory/persons?userid=ZHANGSAN",
    ] {
        contract.get(path).await;
    }
    let page = contract.get("/api/v1/directory/persons?limit=1").await;
    contract.get(&format!("/api/v1/directory/persons?cursor={}", text_at(&page, "next_cursor"))).await;
}

/// Makes, changes and removes local entries. Returns the ids of a unit and of a person in it, with
/// the mobile number of a member of WeCom's.
async fn edit_local_entries(contract: &Contract<'_>) -> (String, String) {
    let (units, persons) = ("/api/v1/directory/units", "/api/v1/directory/persons");
    let unit = json!({"name": "项目组", "parent_id": null, "order": 3, "leaders": ["lisi"]});
    let made = contract.expect(201, Method::POST, units, Some(&unit)).await;
    let unit_id = text_at(&made, "id");
    contract.expect(409, Method::POST, units, Some(&unit)).await;
    let unit_path = format!("{units}/{unit_id}");
    contract
        .change_with_etag(200, Method::PATCH, &unit_path, Some(&json!({"order": 4, "leaders": null})))
        .await;
    let nothing = json!({});
    contract.expect(404, Method::PATCH, &format!("{units}/none"), Some(&nothing)).await;

    let person = json!({
        "userid": "boss", "name": "老板", "status": "active",
        "memberships": [{"unit_id": unit_id, "order": 1, "leader": true}], "main_unit": unit_id,
        "direct_leaders": ["boss"], "position": "顾问", "mobile": "13800000002", "email": "boss@example.com",
        "alias": "b", "attributes": {"楼": "1"},
    });
    let made = contract.expect(201, Method::POST, persons, Some(&person)).await;
    let person_id = text_at(&made, "id");
    contract.expect(409, Method::POST, persons, Some(&person)).await;
    let person_path = format!("{persons}/{person_id}");
    let change = json!({"position": null, "status": null, "attributes": {"楼": null, "车": "A"}});
    contract.change_with_etag(200, Method::PATCH, &person_path, Some(&change)).await;
    contract.expect(404, Method::PATCH, &format!("{persons}/none"), Some(&nothing)).await;

    contract.expect(409, Method::DELETE, &unit_path, None).await;
    let spare = contract.expect(201, Method::POST, units, Some(&json!({"name": "临时"}))).await;
    let spare = format!("{units}/{}", text_at(&spare, "id"));
    contract.change_with_etag(204, Method::DELETE, &spare, None).await;
    contract.expect(404, Method::DELETE, &spare, None).await;
    let spare = json!({"userid": "spare", "name": "备用"});
    let spare = contract.expect(201, Method::POST, persons, Some(&spare)).await;
    let spare = format!("{persons}/{}", text_at(&spare, "id"));
    contract.change_with_etag(204, Method::DELETE, &spare, None).await;
    contract.expect(404, Method::DELETE, &spare, None).await;
    (unit_id, person_id)
}

/// Runs a synchronisation that raises a conflict about `person`, and decides it.
async fn synchronise(contract: &Contract<'_>, unit: &str, person: &str) {
    let wecom = &contract.t.wecom;
    wecom.change_app(|app| app.legacy_fields = true);
    wecom.change_member("lisi", |member| member.mobile = String::new());
    wecom.add_member(
        SimulatedMember::new("mallory", "马洛里").with_departments([2]).with_mobile("13800000002"),
    );
    let order = json!({"kind": "full", "dry_run": false, "force": false});
    let queued = contract.expect(202, Method::POST, "/api/v1/directory/sync", Some(&order)).await;
    let path = format!("/api/v1/directory/sync/{}", text_at(&queued, "run_id"));
    let run = eventually("the run ends", async || {
        let run = contract.get(&path).await;
        (run["status"] == "done").then_some(run)
    })
    .await;
    assert_eq!(run["conflicts"].as_array().map(Vec::len), Some(1), "{run:#}");
    assert_eq!(contract.get_list_and_entry("/api/v1/directory/sync").await, [run]);
    contract.t.app.sessions.refresh().await.expect("the database answers");

    let department = contract.get("/api/v1/directory/units/wecom:2").await;
    let path = format!("/api/v1/directory/units/{}", text_at(&department, "id"));
    contract.expect(409, Method::PATCH, &path, Some(&json!({"name": "x"}))).await;
    contract.expect(409, Method::DELETE, &path, None).await;
    let member = contract.get("/api/v1/directory/persons?userid=lisi").await;
    let path = format!("/api/v1/directory/persons/{}", text_at(&member["items"][0], "id"));
    contract.expect(409, Method::PATCH, &path, Some(&json!({"name": "x"}))).await;
    contract.expect(409, Method::DELETE, &path, None).await;
    let place = json!({"local_memberships": [{"unit_id": unit}]});
    contract.expect(200, Method::PATCH, &path, Some(&place)).await;

    let conflicts = contract.get_twice("/api/v1/directory/conflicts").await;
    let conflict = &conflicts["items"][0];
    assert_eq!((&conflict["candidates"], &conflict["people"][0]["id"]), (&json!([person]), &json!(person)));
    let path = format!("/api/v1/directory/conflicts/{}/resolve", text_at(conflict, "id"));
    let answer = json!({"person_id": person});
    contract.expect(404, Method::POST, "/api/v1/directory/conflicts/none/resolve", Some(&answer)).await;
    contract.expect(200, Method::POST, &path, Some(&answer)).await;
    contract.expect(409, Method::POST, &path, Some(&answer)).await;
}

async fn follow_changes(contract: &Contract<'_>) {
    let path = "/api/v1/directory/changes";
    let part = contract.get_twice(&format!("{path}?limit=2&since=")).await;
    assert_eq!(part["items"].as_array().map(Vec::len), Some(2));
    contract.get(&format!("{path}?since={}", text_at(&part, "next_cursor"))).await;
    contract.expect(410, Method::GET, &format!("{path}?since=1000000"), None).await;
}

async fn send_messages(contract: &Contract<'_>, unit: &str) {
    let path = "/api/v1/messages";
    // WeCom refuses somebody who left after the run.
    contract.t.wecom.remove_member("zhaoliu");
    let in_an_hour = contract.t.app.clock.now().plus(Duration::from_secs(3600)).millis();
    let in_an_hour = chrono::DateTime::from_timestamp_millis(in_an_hour).expect("an instant").to_rfc3339();
    let order = json!({
        "to": {"users": ["zhangsan"], "units": [unit, "wecom:2"], "tags": [], "all": false},
        "kind": "textcard",
        "content": {"title": "长".repeat(200), "description": "d", "url": "https://example.com/", "btntxt": "看"},
        "url_signed_in": true, "truncate": true, "expires_at": in_an_hour,
    });
    let sent = contract.send(Method::POST, path, Body::Json(&order), &[("idempotency-key", "k")]).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let sent: Value = sent.json();
    assert_eq!(sent["truncated"], json!(["content.title"]));
    let text = json!({"to": {"users": ["zhangsan", "zhaoliu"]}, "kind": "text", "content": {"content": "x"}});
    let other = contract.send(Method::POST, path, Body::Json(&text), &[("idempotency-key", "k")]).await;
    assert_eq!(other.status, 409);
    contract.expect(422, Method::POST, path, Some(&json!({"to": {}, "kind": "voice", "content": {}}))).await;
    let message = format!("{path}/{}", text_at(&sent, "id"));
    contract.get(&message).await;
    contract.expect(404, Method::GET, &format!("{path}/none"), None).await;
    let nothing = json!({});
    contract.expect(404, Method::POST, &format!("{path}/none/recall"), Some(&nothing)).await;
    let sent = contract.expect(202, Method::POST, path, Some(&text)).await;
    let message = format!("{path}/{}", text_at(&sent, "id"));
    let shown = eventually("the message has ended", async || {
        contract.t.app.clock.advance(Duration::from_secs(1));
        let shown = contract.get(&message).await;
        let is_open = shown["status"] == "accepted" || shown["status"] == "sending";
        (!is_open).then_some(shown)
    })
    .await;
    assert_eq!(shown["status"], "partly_failed", "{shown:#}");
    let recall = format!("{message}/recall");
    contract.expect(202, Method::POST, &recall, Some(&nothing)).await;
    eventually("the message is recalled", async || {
        contract.t.app.clock.advance(Duration::from_secs(1));
        let page = contract.send(Method::POST, &recall, Body::Json(&nothing), &[]).await;
        (page.status == 409).then_some(())
    })
    .await;
}

async fn upload_files(contract: &Contract<'_>) {
    for (kind, name, bytes, status) in [
        ("file", "a.txt", b"123456".as_slice(), 200),
        ("image", "a.png", b"\x89PNG\r\n\x1a\n12345", 200),
        ("file", "a.txt", b"12345", 422),
        ("voice", "a.amr", b"123456", 400),
    ] {
        let form = upload_form("media", name, bytes);
        let page =
            contract.send(Method::POST, &format!("/api/v1/media?type={kind}"), Body::File(form), &[]).await;
        assert_eq!(page.status, status, "{kind} {name}: {}", page.text());
    }
}

async fn end_sessions(contract: &Contract<'_>) {
    let path = "/api/v1/sessions";
    contract.t.signed_in("zhangsan").await;
    contract.t.signed_in("sunqi").await;
    contract.get(&format!("{path}?userid=ZhangSan&limit=1&cursor=")).await;
    let list = contract.get(path).await;
    let ended = contract.expect(200, Method::DELETE, &format!("{path}?userid=ZhangSan"), None).await;
    assert_eq!(ended["ended"], 1);
    let other = list["items"].as_array().expect("items").iter().find(|session| session["userid"] == "sunqi");
    let one = format!("{path}/{}", text_at(other.expect("a session"), "sid"));
    contract.expect(200, Method::DELETE, &one, None).await;
    contract.expect(404, Method::DELETE, &one, None).await;
}

/// Makes every call without credentials, without its scope, and with what the document does not have.
async fn misuse_every_call(contract: &Contract<'_>) {
    contract.get_twice("/api/v1/openapi.json").await;
    for (method, path, operation) in &contract.operations {
        let Some(scope) = required_scope(operation) else { continue };
        let url = fill_path(path);
        let nobody = contract.send(method.clone(), &url, Body::Nothing, &[("authorization", "")]).await;
        assert_eq!(nobody.status, 401, "{method} {path}");
        let other = if scope == "sessions" { "crm" } else { "ro" };
        let other = [("authorization", &*basic_auth(other))];
        let page = contract.send(method.clone(), &url, Body::Nothing, &other).await;
        assert_eq!(problem(&page), (403, "api.forbidden_scope".to_owned()), "{method} {path}");
        // Bytes that are no text, a parameter that is unknown, and a body that is no object.
        let odd = if url == *path { format!("{url}?surprise=1") } else { url.replace("/x", "/%ff") };
        let page = contract.send(method.clone(), &odd, Body::Json(&json!([])), &[]).await;
        assert_eq!(page.status, 400, "{method} {odd}: {}", page.text());
        if operation["requestBody"].is_object() {
            let large = if path.ends_with("/media") { 22 << 20 } else { 1 << 20 };
            let page = contract.send(method.clone(), &url, Body::File(vec![b' '; large + 1]), &[]).await;
            assert_eq!(page.status, 413, "{method} {path}");
        }
    }
}

async fn refuse_without_messages(contract: &Contract<'_>) {
    let text = json!({"to": {"users": ["zhangsan"]}, "kind": "text", "content": {"content": "x"}});
    contract.expect(409, Method::POST, "/api/v1/messages", Some(&text)).await;
    let form = Body::File(upload_form("media", "a.txt", b"123456"));
    assert_eq!(contract.send(Method::POST, "/api/v1/media?type=file", form, &[]).await.status, 409);
}

#[test]
fn every_call_of_the_design_is_in_the_document() {
    let document = build_document().expect("a document");
    let documented: Vec<(String, String)> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method.as_str().to_owned(), path))
        .collect();
    for (method, path) in DESIGNED_CALLS {
        let is_documented = documented.iter().any(|(m, p)| m == method && p == path);
        assert!(is_documented, "{method} {path}");
    }
}

#[tokio::test]
async fn who_is_signed_in_has_the_shape_of_the_design() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let mut phone = t.signed_in("zhangsan").await;
    let schema = json!({"session": {
        "type": "object",
        "required": ["userid", "name", "sub", "units", "amr", "expires_at"],
        "properties": {
            "userid": {"type": "string"}, "name": {"type": "string"}, "sub": {"type": "string"},
            "units": {"type": "array", "minItems": 1, "items": {
                "type": "object", "required": ["id", "path"],
                "properties": {"id": {"type": "string"}, "path": {"type": "string"}},
            }},
            "amr": {"type": "array", "items": {"enum": ["wecom-app", "wecom-qr"]}},
            "expires_at": {"type": "string", "format": "date-time"},
        },
    }});
    let closed = ClosedDocument::new(json!({"components": {"schemas": schema}, "paths": {}}));
    for path in ["/sso/session", "/_gongpai/session"] {
        let page = phone.fetch(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, 200, "{path}");
        closed.assert_matches("/components/schemas/session", &page.json(), path);
    }
    let nobody = t.desktop().fetch(format!("{PUBLIC_URL}/sso/session")).await;
    assert_eq!(problem(&nobody), (401, "api.unauthorized".to_owned()));
    let closed = ClosedDocument::new(build_document().expect("a document"));
    closed.assert_matches("/components/schemas/Problem", &nobody.json(), "nobody");
}
