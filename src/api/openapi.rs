//! `/api/v1/openapi.json`: the OpenAPI 3.1 document, generated from the handlers.
//!
//! A handler declares its path, parameters, responses and scope in `#[utoipa::path]` and is routed
//! by that. What holds for all handlers is added here, so that none can forget it: problem
//! documents, ETags, and the scope in words.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;

use crate::http::middleware::RequestId;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::words::Code;

pub(super) type Object = Map<String, Value>;

/// The serialized document, made at the first request.
static DOCUMENT: LazyLock<Result<Bytes, serde_json::Error>> =
    LazyLock::new(|| Ok(serde_json::to_vec(&build_document()?)?.into()));

/// The problem responses that any call may give: status, component name and meaning.
const PROBLEM_RESPONSES: &[(&str, &str, &str)] = &[
    ("400", "BadRequest", "A parameter or the body is not as this document says; `detail` names it."),
    ("401", "Unauthorized", "The client's id and secret are missing or wrong."),
    ("403", "Forbidden", "The client does not have the scope."),
    ("404", "NotFound", "There is no such object."),
    ("409", "Conflict", "It contradicts what there is; `code` says how."),
    ("410", "Gone", "It is no longer kept."),
    ("412", "PreconditionFailed", "It is not what `If-Match` names: somebody changed it."),
    ("413", "TooLarge", "The body is larger than 1 MB, of an upload 21 MB."),
    (
        "422",
        "Invalid",
        "The message is not as this document or WeCom wants it; `detail` names everything, not the first thing only.",
    ),
    ("429", "TooMany", "Too many wrong credentials from this address; `Retry-After` says when to try again."),
    ("503", "Unavailable", "The database does not answer; `Retry-After` says when to try again."),
];

/// The statuses that every call with credentials may answer.
const COMMON_STATUSES: &[&str] = &["400", "401", "403", "429", "503"];

/// This document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "get_openapi", tag = "meta",
    responses((status = 200, content_type = "application/json", body = Object), (status = 304)),
)]
pub(super) async fn get_openapi(request_id: RequestId) -> Response {
    match &*DOCUMENT {
        Ok(bytes) => ([(CONTENT_TYPE, "application/json")], bytes.clone()).into_response(),
        Err(error) => {
            tracing::error!(%error, "The OpenAPI document could not be made");
            Problem::new(Code::Internal, &request_id).into_response()
        }
    }
}

/// Builds the document.
///
/// # Errors
/// Never for what handlers can say of themselves.
pub fn build_document() -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(super::router().merge(super::upload_router()).into_openapi())?;
    let Some(root) = document.as_object_mut() else { return Ok(document) };
    root.insert(
        "info".to_owned(),
        json!({
            "title": "Gongpai (工牌)",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "For applications: the organisation chart of WeCom (企业微信), messages to its members, and who is signed in. \
                A client is made with `gongpai api-client add` and sends its id and secret as HTTP Basic. \
                Instants are RFC 3339, lists are read page by page: `cursor` is the `next_cursor` of the page before.",
        }),
    );
    edit_object(root, "paths", |paths| {
        for path in paths.values_mut().filter_map(Value::as_object_mut) {
            path.values_mut().filter_map(Value::as_object_mut).for_each(complete_operation);
        }
    });
    let problem = serde_json::to_value(ProblemDocument::schema())?;
    edit_object(root, "components", |components| {
        edit_object(components, "schemas", |schemas| {
            schemas.insert("Problem".to_owned(), problem);
            schemas.iter_mut().for_each(refer_page_items);
        });
        edit_object(components, "responses", |responses| {
            for (_, name, meaning) in PROBLEM_RESPONSES {
                let schema = json!({ "$ref": "#/components/schemas/Problem" });
                let content = json!({ "application/problem+json": { "schema": schema } });
                responses.insert((*name).to_owned(), json!({ "description": meaning, "content": content }));
            }
        });
        let basic =
            json!({ "type": "http", "scheme": "basic", "description": "The client's id and secret." });
        edit_object(components, "securitySchemes", |schemes| drop(schemes.insert("basic".to_owned(), basic)));
    });
    Ok(document)
}

/// Makes a page refer to the schema of its items, instead of repeating that schema.
fn refer_page_items((name, schema): (&String, &mut Value)) {
    if let Some(of) = name.strip_prefix("Page_")
        && let Some(items) = schema.pointer_mut("/properties/items/items")
    {
        *items = json!({ "$ref": format!("#/components/schemas/{of}") });
    }
}

/// Adds to an operation what its handler does not say.
fn complete_operation(operation: &mut Object) {
    let scope = operation.get("security").and_then(|s| s.pointer("/0/basic/0")).and_then(Value::as_str);
    let scope = scope.map(|scope| format!("Scope: `{scope}`."));
    let takes_body = operation.contains_key("requestBody");
    if let Some(scope) = &scope {
        let said =
            operation.get("description").and_then(Value::as_str).map(|said| format!("{said}\n\n{scope}"));
        operation.insert("description".to_owned(), said.unwrap_or_else(|| scope.clone()).into());
    }
    let (mut read, mut changed) = (false, false);
    edit_object(operation, "responses", |responses| {
        let always = COMMON_STATUSES.iter().filter(|_| scope.is_some()).chain(takes_body.then_some(&"413"));
        for status in always {
            responses.entry(*status).or_insert(Value::Null);
        }
        for (status, response) in responses.iter_mut() {
            match PROBLEM_RESPONSES.iter().find(|(known, ..)| known == status) {
                Some((_, name, _)) => *response = json!({ "$ref": format!("#/components/responses/{name}") }),
                None => describe_response(status, response),
            }
        }
        responses.sort_keys();
        (read, changed) = (responses.contains_key("304"), responses.contains_key("412"));
        if let Some(good) =
            responses.get_mut("200").and_then(Value::as_object_mut).filter(|_| read || changed)
        {
            edit_object(good, "headers", |headers| {
                let text = json!({ "type": "string" });
                headers.insert("ETag".to_owned(), json!({ "description": "A strong one.", "schema": text }));
            });
        }
    });
    if read {
        add_header_parameter(
            operation,
            "If-None-Match",
            "The ETag of the answer that the caller has: 304 if it still holds.",
        );
    }
    if changed {
        add_header_parameter(
            operation,
            "If-Match",
            "The ETag of the entry that the caller knows: 412 if it is another one by now.",
        );
    }
}

/// Describes a status where the handler does not.
fn describe_response(status: &str, response: &mut Value) {
    let words = match status {
        "304" => "What the caller has still holds.",
        _ => "Done.",
    };
    if let Some(response) = response.as_object_mut()
        && response.get("description").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        response.insert("description".to_owned(), words.into());
    }
}

/// Adds the parameter for a header that takes an ETag.
fn add_header_parameter(operation: &mut Object, header: &str, description: &str) {
    let parameter = json!({
        "name": header, "in": "header", "required": false, "schema": { "type": "string" },
        "description": description,
    });
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.push(parameter);
    }
}

/// Edits the object `name` inside `outer`, creating it if needed.
fn edit_object(outer: &mut Object, name: &str, change: impl FnOnce(&mut Object)) {
    if let Value::Object(inner) = outer.entry(name).or_insert_with(|| json!({})) {
        change(inner);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
    use crate::directory::conflicts::ConflictKind;
    use crate::directory::{EntrySource, PersonStatus};
    use crate::message::views::DeliveryStatus;
    use crate::message::{MessageKind, MessageStatus};
    use crate::session::Amr;
    use crate::sync::state::{SyncKind, SyncRunStatus};
    use crate::wecom::MediaKind;

    /// Collects the lists of words below `value`, by where they stand.
    fn collect_words(value: &Value, at: &str, found: &mut BTreeMap<String, Vec<String>>) {
        match value {
            Value::Object(keys) => {
                if let Some(words) = keys.get("enum").and_then(Value::as_array) {
                    let words = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    found.insert(at.to_owned(), words);
                }
                keys.iter().for_each(|(key, value)| {
                    collect_words(value, &format!("{at}/{}", key.replace('/', "~1")), found);
                });
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(n, value)| collect_words(value, &format!("{at}/{n}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    macro_rules! words {
        ($enum:ty) => {
            <$enum>::ALL.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>()
        };
    }

    #[test]
    fn documented_words_are_those_of_the_enums_and_stand_nowhere_else() {
        let mut found = BTreeMap::new();
        collect_words(&build_document().unwrap(), "", &mut found);
        let part = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let expected = [
            ("/components/schemas/Source", words!(EntrySource)),
            ("/components/schemas/Status", words!(PersonStatus)),
            (
                "/components/schemas/PersonChange/properties/status/oneOf/0",
                part(
                    &[PersonStatus::Active, PersonStatus::Disabled, PersonStatus::Inactive]
                        .map(PersonStatus::as_str),
                ),
            ),
            ("/components/schemas/Change/properties/kind", words!(DirectoryEntity)),
            ("/components/schemas/Change/properties/change", words!(DirectoryChangeKind)),
            ("/components/schemas/Conflict/properties/kind", words!(ConflictKind)),
            ("/components/schemas/RunConflict/properties/kind", words!(ConflictKind)),
            ("/components/schemas/Resolved/properties/state", part(&["merged", "separate"])),
            ("/components/schemas/RunKind", words!(SyncKind)),
            ("/components/schemas/Run/properties/kind", words!(SyncKind)),
            ("/components/schemas/Run/properties/status", words!(SyncRunStatus)),
            ("/components/schemas/MessageOrder/properties/kind", words!(MessageKind)),
            ("/components/schemas/Message/properties/status", words!(MessageStatus)),
            (
                "/components/schemas/AcceptedMessage/properties/status",
                part(&[MessageStatus::Accepted.as_str()]),
            ),
            ("/components/schemas/MessageRecipient/properties/status", words!(DeliveryStatus)),
            ("/components/schemas/Session/properties/amr/items", words!(Amr)),
            ("/paths/~1api~1v1~1media/post/parameters/0/schema", words!(MediaKind)),
            ("/paths/~1api~1v1~1directory~1persons/get/parameters/3/schema", words!(PersonStatus)),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(at, words)| (at.to_owned(), words)).collect();
        assert_eq!(found, expected);
    }
}
