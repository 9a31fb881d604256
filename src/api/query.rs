//! The parameters and bodies of calls, read strictly, and the pages that answer them.

use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::auth::AuthenticatedClient;

/// The maximum number of items on a page.
pub(super) const MAX_PAGE_SIZE: u16 = 1000;
const DEFAULT_PAGE_SIZE: u16 = 100;

/// The parameters of a list, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters in the document")]
pub(super) struct PagingParams {
    /// At most so many items; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next_cursor` of the page before; empty or missing: the first page.
    cursor: Option<String>,
}

/// The query parameters of a call.
#[derive(Debug)]
pub(super) struct QueryParams {
    values: Vec<(String, String)>,
    limit: u16,
}

impl QueryParams {
    /// Parses the query of a call. An empty value counts as absent.
    ///
    /// Refuses a name that is not in `allowed` or comes twice, a NUL, and an invalid limit: a
    /// misspelled filter must not return everything.
    pub(super) fn parse(
        raw: Option<&str>,
        allowed: &[&str],
        client: &AuthenticatedClient,
    ) -> Result<Self, Response> {
        let mut params = Self { values: Vec::new(), limit: DEFAULT_PAGE_SIZE };
        for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            // PostgreSQL's text cannot hold a NUL: nothing has this name, and the database is not
            // at fault.
            if value.contains('\0') {
                return Err(client.bad_request(format!("{name:?} is not a text")));
            }
            if !allowed.contains(&&*name) || params.get(&name).is_some() {
                return Err(client.bad_request(format!("unknown or double parameter {name:?}")));
            }
            if value.is_empty() {
                continue;
            }
            if name == "limit" {
                params.limit = match value.parse() {
                    Ok(limit @ 1..=MAX_PAGE_SIZE) => limit,
                    _ => return Err(client.bad_request(format!("limit is 1 to {MAX_PAGE_SIZE}"))),
                };
            }
            params.values.push((name.into_owned(), value.into_owned()));
        }
        Ok(params)
    }

    /// Returns a parameter that is present and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns `cursor`, empty for the first page.
    pub(super) fn cursor(&self) -> &str {
        self.get("cursor").unwrap_or_default()
    }

    /// Returns `limit`.
    pub(super) fn limit(&self) -> usize {
        usize::from(self.limit)
    }

    /// Returns the number of rows to read: one more than the limit, to see whether there is another
    /// page.
    pub(super) fn row_limit(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// Checks an id of the path. PostgreSQL's text cannot hold a NUL, so nothing has such an id.
pub(super) fn check_path_id(id: String, client: &AuthenticatedClient) -> Result<String, Response> {
    if id.contains('\0') { Err(client.not_found()) } else { Ok(id) }
}

/// Parses a body, a JSON object. An empty body counts as `{}`.
pub(super) fn parse_body<T: DeserializeOwned>(
    bytes: &[u8],
    client: &AuthenticatedClient,
) -> Result<T, Response> {
    let Some(object) = trim_to_object(bytes) else {
        return Err(client.bad_request("the body is no JSON object".to_owned()));
    };
    serde_json::from_slice(object).map_err(|error| client.bad_request(format!("the body: {error}")))
}

/// Returns the JSON object of a body without what may surround it: white space, and the byte order
/// mark that .NET and PowerShell write, which a reader may ignore (RFC 8259 §8.1).
///
/// serde would accept a list as an object without its keys, so anything else is refused.
fn trim_to_object(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match bytes.trim_ascii() {
        b"" => Some(b"{}"),
        object @ [b'{', ..] => Some(object),
        _ => None,
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct ItemPage<T> {
    items: Vec<T>,
    /// `cursor` of the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl<T> ItemPage<T> {
    /// Makes a page of `rows`, which are in order and one more than requested if there is another
    /// page. `id` returns the cursor of a row.
    pub(super) fn from_rows<R: Into<T>>(
        params: &QueryParams,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> String,
    ) -> Self {
        let more = rows.len() > params.limit();
        rows.truncate(params.limit());
        let next_cursor = rows.last().filter(|_| more).map(id);
        Self { items: rows.into_iter().map(R::into).collect(), next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_object_with_or_without_a_byte_order_mark() {
        for (body, object) in [
            (&b"{\"a\":1}"[..], Some(&b"{\"a\":1}"[..])),
            (b"\xef\xbb\xbf{\"a\":1}\r\n", Some(b"{\"a\":1}")),
            (b"\xef\xbb\xbf", Some(b"{}")),
            (b" \n", Some(b"{}")),
            (b"\xef\xbb\xbf[1]", None),
            (b"\xff\xfe{\0}\0", None),
        ] {
            assert_eq!(trim_to_object(body), object, "{body:?}");
        }
    }
}
