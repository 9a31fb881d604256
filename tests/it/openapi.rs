//! The OpenAPI document: complete, consistent with the router, and valid.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use gongpai::testing::api::openapi::build_document;
use gongpai::testing::base::secret::sha256_hex;
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{basic_auth, new_request, problem, send_request};
use crate::support::app::{API_SECRET, TestApp};

/// Returns every operation: method, path, and its description in the document.
pub(crate) fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let method = method.to_uppercase().parse().expect("a method");
            found.push((method, path.clone(), operation.clone()));
        }
    }
    found
}

/// Returns the scope that an operation declares.
pub(crate) fn required_scope(operation: &Value) -> Option<&str> {
    operation.pointer("/security/0/basic/0").and_then(Value::as_str)
}

/// Returns a path with a value in the place of each parameter.
pub(crate) fn fill_path(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

fn visit_values<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(at, value);
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| visit_values(value, &format!("{at}/{key}"), visit));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| visit_values(value, &format!("{at}/{n}"), visit));
        }
        _ => {}
    }
}

#[test]
fn the_document_is_this_one() {
    let mut document = build_document().unwrap();
    assert_eq!(document["info"]["version"].take(), env!("CARGO_PKG_VERSION"));
    insta::assert_json_snapshot!("openapi", document);
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let t = TestApp::start().await;
    let page = send_request(new_request(&t, Method::GET, "/api/v1/openapi.json")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("application/json")));
    assert_eq!(page.json::<Value>(), build_document().unwrap());
}

#[test]
fn the_document_is_a_valid_one() {
    let document = build_document().unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    visit_values(&document, "", &mut |at, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{at}: {reference}"));
            assert!(document.pointer(pointer).is_some(), "{at}: {reference} leads nowhere");
        }
    });
    let mut names = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{place}: no operationId"));
        assert!(names.insert(name.to_owned()), "{place}: {name} twice");
        assert!(operation["summary"].is_string(), "{place}: no summary");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place}: no good answer");
        for (status, response) in responses {
            let response = match response.get("$ref").and_then(Value::as_str) {
                Some(reference) => document.pointer(&reference[1..]).unwrap(),
                None => response,
            };
            assert!(
                response["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{place} {status}: no description"
            );
            let content = response["content"].as_object();
            let of = |kind: &str| content.is_some_and(|c| c.len() == 1 && c[kind]["schema"].is_object());
            match status.as_bytes()[0] {
                b'2' if status != "204" => assert!(of("application/json"), "{place} {status}"),
                b'2' | b'3' => assert!(content.is_none(), "{place} {status}"),
                _ => assert!(of("application/problem+json"), "{place} {status}"),
            }
        }
        // The path parameters are those in the braces of the path.
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: Vec<_> =
            parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
        let braces: Vec<_> = path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, braces, "{place}");
        for parameter in &parameters {
            assert!(parameter["schema"].is_object(), "{place}: {parameter}");
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{place}: {parameter}");
        }
    }
}

/// Configures a client for each scope.
fn client_toml() -> String {
    let hash = sha256_hex(API_SECRET);
    ["sessions", "directory:read", "directory:write", "messages"]
        .map(|scope| {
            let id = scope.replace(':', "-");
            format!("[[api_clients]]\nid = {id:?}\nsecret_hash = \"sha256:{hash}\"\nscopes = [{scope:?}]\n")
        })
        .concat()
}

#[tokio::test]
async fn every_path_of_the_document_is_answered_and_needs_exactly_the_scope_that_it_says() {
    let t = TestApp::with(&client_toml()).await;
    let document = build_document().unwrap();
    for (method, path, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let url = fill_path(&path);
        let page = send_request(new_request(&t, method.clone(), &url)).await;
        let Some(scope) = required_scope(&operation) else {
            assert_eq!((&*path, page.status.as_u16()), ("/api/v1/openapi.json", 200), "only that is open");
            continue;
        };
        // An unrouted path would be 404, an unrouted method 405.
        assert_eq!(problem(&page), (401, "api.unauthorized".to_owned()), "{place}");
        assert!(operation["description"].as_str().unwrap().contains(&format!("`{scope}`")), "{place}");
        for client in ["sessions", "directory:read", "directory:write", "messages"] {
            let credentials = basic_auth(&client.replace(':', "-"));
            let page =
                send_request(new_request(&t, method.clone(), &url).header("authorization", &credentials))
                    .await;
            if client == scope {
                assert!(![401, 403, 405].contains(&page.status.as_u16()), "{place}: {}", page.text());
                let said = operation["responses"].get(page.status.as_str());
                assert!(said.is_some(), "{place} answered {}: {}", page.status, page.text());
            } else {
                assert_eq!(problem(&page), (403, "api.forbidden_scope".to_owned()), "{place} as {client}");
            }
        }
    }
}

/// Whatever `routes!` routes is documented, so nothing else may route.
#[test]
fn every_route_of_the_api_is_in_the_document() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut handlers = 0;
    let mut open = vec![std::path::PathBuf::from(folder)];
    while let Some(at) = open.pop() {
        if at.is_dir() {
            open.extend(std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&at).unwrap();
        for other in [".route(", ".nest(", ".fallback", ".route_service(", ".nest_service("] {
            assert!(!text.contains(other), "{}: `{other}` is not documented, routes!() is", at.display());
        }
        handlers += text.matches("#[utoipa::path(").count();
    }
    assert_eq!(operations(&build_document().unwrap()).len(), handlers, "a handler without a route");
}

/// Makes every object schema refuse keys that it does not describe.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if keys.get("properties").is_some_and(Value::is_object)
                && !keys.contains_key("additionalProperties")
            {
                keys.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            keys.values_mut().for_each(close_objects);
        }
        Value::Array(items) => items.iter_mut().for_each(close_objects),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A document in whose schemas every key must be described. A response may gain keys in a later
/// version, so the real one leaves its objects open.
pub(crate) struct ClosedDocument {
    document: Value,
    /// By where the schema stands: to build one takes longer than to use it.
    validators: RefCell<HashMap<String, Rc<Validator>>>,
}

impl ClosedDocument {
    pub(crate) fn new(mut document: Value) -> Self {
        close_objects(&mut document);
        Self { document, validators: RefCell::default() }
    }

    /// Asserts that `value` is as the schema at `pointer` says.
    pub(crate) fn assert_matches(&self, pointer: &str, value: &Value, what: &str) {
        let known = self.validators.borrow().get(pointer).cloned();
        let validator = known.unwrap_or_else(|| {
            let built = Rc::new(self.build_validator(pointer));
            self.validators.borrow_mut().insert(pointer.to_owned(), Rc::clone(&built));
            built
        });
        let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}");
    }

    fn build_validator(&self, pointer: &str) -> Validator {
        let mut root = json!({ "components": self.document["components"], "paths": self.document["paths"] });
        // The braces of a path are no characters of a fragment.
        root["$ref"] = format!("#{}", pointer.replace('{', "%7B").replace('}', "%7D")).into();
        jsonschema::options().should_validate_formats(true).build(&root).expect("a schema")
    }
}
