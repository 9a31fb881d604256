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
use utoipa::{PartialSchema as _, ToSchema};

use crate::http::middleware::RequestId;
use crate::http::problem::Problem;
use crate::http::words::Code;

pub(super) type Object = Map<String, Value>;

/// The serialized document, made at the first request.
static DOCUMENT: LazyLock<Result<Bytes, serde_json::Error>> =
    LazyLock::new(|| Ok(serde_json::to_vec(&build_document()?)?.into()));

/// A failure (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes http::problem in the document")]
struct ProblemSchema {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: String,
    /// The status in words.
    title: String,
    status: u16,
    /// What went wrong. Codes are stable: `api.bad_request`.
    code: String,
    /// What can be mended, in English; not with a 5xx.
    #[schema(value_type = String, required = false)]
    detail: Option<String>,
    /// Under which the log has the rest.
    request_id: String,
}

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
    let problem = serde_json::to_value(ProblemSchema::schema())?;
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
