//! What units, persons and tags look like to applications (DESIGN §4.1): these keys, in this order.
//!
//! One entry is always the same bytes while nothing of it changes, whichever call answers it; its ETag is made of them.

use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::base::id::{TagId, UnitId, UserId};
use crate::directory::chart::Placed;
use crate::directory::{Person, Tag};

/// A unit.
#[derive(Debug, Serialize)]
pub struct UnitShape<'a> {
    id: &'a UnitId,
    wecom_id: Option<u32>,
    name: &'a str,
    parent_id: Option<&'a UnitId>,
    path: &'a str,
    order: u32,
    source: &'static str,
    leaders: &'a [UserId],
}

impl<'a> From<&'a Placed> for UnitShape<'a> {
    fn from(placed: &'a Placed) -> Self {
        let unit = &placed.unit;
        Self {
            id: &unit.id,
            wecom_id: unit.wecom_id,
            name: &unit.name,
            parent_id: unit.parent.as_ref(),
            path: &placed.path,
            order: unit.order,
            source: unit.source.as_str(),
            leaders: &unit.leaders,
        }
    }
}

/// A person in a unit.
#[derive(Debug, Serialize)]
pub struct MembershipShape<'a> {
    unit_id: &'a UnitId,
    order: u32,
    leader: bool,
}

/// A person.
#[derive(Debug, Serialize)]
pub struct PersonShape<'a> {
    id: &'a str,
    userid: &'a UserId,
    name: &'a str,
    status: &'static str,
    source: &'static str,
    main_unit: Option<&'a UnitId>,
    memberships: Vec<MembershipShape<'a>>,
    direct_leaders: &'a [UserId],
    position: &'a str,
    mobile: &'a str,
    email: &'a str,
    alias: &'a str,
    attributes: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> From<&'a Person> for PersonShape<'a> {
    fn from(person: &'a Person) -> Self {
        let memberships = person.memberships.iter();
        Self {
            id: person.id.as_str(),
            userid: &person.userid,
            name: &person.name,
            status: person.status.as_str(),
            source: person.source.as_str(),
            main_unit: person.main_unit.as_ref(),
            memberships: memberships
                .map(|m| MembershipShape { unit_id: &m.unit, order: m.order, leader: m.leader })
                .collect(),
            direct_leaders: &person.detail.direct_leaders,
            position: &person.detail.position,
            mobile: &person.detail.mobile,
            email: &person.email,
            alias: &person.detail.alias,
            attributes: &person.detail.attributes,
        }
    }
}

/// A tag.
#[derive(Debug, Serialize)]
pub struct TagShape<'a> {
    id: &'a TagId,
    wecom_id: Option<u32>,
    name: &'a str,
    users: &'a [UserId],
    units: &'a [UnitId],
}

impl<'a> From<&'a Tag> for TagShape<'a> {
    fn from(tag: &'a Tag) -> Self {
        Self { id: &tag.id, wecom_id: tag.wecom_id, name: &tag.name, users: &tag.users, units: &tag.units }
    }
}

/// One entry as it goes out.
#[derive(Debug)]
pub struct Body {
    /// JSON.
    pub json: String,
    /// The strong ETag of these bytes, with its quotes.
    pub etag: String,
}

impl Body {
    /// Of a shape.
    ///
    /// # Errors
    /// Never for what a shape can hold.
    pub fn of(shape: &impl Serialize) -> serde_json::Result<Self> {
        let json = serde_json::to_string(shape)?;
        let etag = format!("\"{}\"", blake3::hash(json.as_bytes()).to_hex());
        Ok(Self { json, etag })
    }

    /// Whether an `If-Match` header means this entry as it is (RFC 9110 §13.1.1: weak tags never do).
    pub fn is_meant(&self, if_match: &str) -> bool {
        if_match.split(',').map(str::trim).any(|tag| tag == "*" || tag == self.etag)
    }

    /// The answer.
    pub fn respond(self, status: StatusCode) -> Response {
        let mut response = (status, self.json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Hex between quotes is always a header.
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(ETAG, etag);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_meant_by_itself_in_a_list_or_by_a_star_and_never_by_a_weak_one() {
        let body = Body::of(&1).unwrap();
        let etag = body.etag.clone();
        for meant in [etag.clone(), "*".into(), format!("\"x\", {etag}")] {
            assert!(body.is_meant(&meant), "{meant}");
        }
        for other in [format!("W/{etag}"), "\"x\"".into(), String::new(), etag.trim_matches('"').into()] {
            assert!(!body.is_meant(&other), "{other}");
        }
    }
}
