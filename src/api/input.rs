//! The schemas of units and persons as callers write them, for the OpenAPI document only:
//! [`edit`](crate::directory::edit) parses them.
//!
//! A change contains what becomes different (RFC 7396): an absent field stays, and null empties a
//! field where it is allowed. A new entry is a change of nothing in which some fields are required.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What becomes different of a unit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UnitChange)]
#[expect(dead_code, reason = "it describes directory::edit::UnitInput in the document")]
pub(super) struct UnitChangeSchema {
    /// Without control characters, and without spaces around it.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128)]
    name: Option<String>,
    /// The unit above, by our id or `wecom:ID`; null: on the top floor.
    parent_id: Option<String>,
    /// The sort number among its siblings; larger comes first. Null: 0.
    #[schema(format = Int64)]
    order: Option<u32>,
    /// Userids of those who lead it.
    #[schema(max_items = 100)]
    leaders: Option<Vec<String>>,
}

/// What becomes different of a local person. Who is not `active` any more is signed out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonChange)]
#[expect(dead_code, reason = "it describes directory::edit::PersonInput in the document")]
pub(super) struct PersonChangeSchema {
    /// In use by nobody else, without regard to case.
    #[schema(value_type = String, required = false, pattern = "^[0-9A-Za-z][0-9A-Za-z_.@-]{0,63}$")]
    userid: Option<String>,
    /// Without control characters, and without spaces around it.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128)]
    name: Option<String>,
    /// Null: `active`.
    #[schema(inline)]
    status: Option<InputStatusSchema>,
    /// All of them: a list replaces the list before.
    #[schema(max_items = 100)]
    memberships: Option<Vec<MembershipInputSchema>>,
    /// The main unit, by our id or `wecom:ID`: one of the memberships.
    main_unit: Option<String>,
    /// Userids of the direct leaders (直属上级).
    #[schema(max_items = 5)]
    direct_leaders: Option<Vec<String>>,
    #[schema(max_length = 128)]
    position: Option<String>,
    #[schema(max_length = 128)]
    mobile: Option<String>,
    #[schema(max_length = 128)]
    email: Option<String>,
    #[schema(max_length = 128)]
    alias: Option<String>,
    /// At most 100 extension attributes, names of up to 128 and values of up to 1024 characters; one that is null goes,
    /// one that is not named stays.
    attributes: Option<BTreeMap<String, Option<String>>>,
}

/// What becomes different of a member of WeCom's: only the places in local units.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange)]
#[expect(dead_code, reason = "it describes directory::edit::MemberInput in the document")]
pub(super) struct MemberChangeSchema {
    /// All memberships in local units; those in WeCom's stay as they are.
    #[schema(max_items = 100)]
    local_memberships: Vec<MembershipInputSchema>,
}

/// Of a local person one, of a member of WeCom's the other.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = AnyPersonChange)]
#[expect(dead_code, reason = "it describes what a PATCH takes in the document")]
pub(super) enum AnyPersonChangeSchema {
    Local(Box<PersonChangeSchema>),
    Member(MemberChangeSchema),
}

/// A place in a unit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MembershipInput)]
#[expect(dead_code, reason = "it describes directory::edit::MembershipInput in the document")]
struct MembershipInputSchema {
    /// The unit, by our id or `wecom:ID`; each once.
    unit_id: String,
    /// The person's sort number in the unit; larger comes first.
    #[serde(default)]
    #[schema(format = Int64)]
    order: u32,
    /// Whether the person leads it.
    #[serde(default)]
    leader: bool,
}

/// Whoever left is removed instead.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InputStatus)]
enum InputStatusSchema {
    Active,
    Disabled,
    Inactive,
}

/// The schema of a new unit: a change in which the name is required.
pub(super) struct NewUnitSchema;

/// The schema of a new person: a change in which userid and name are required.
pub(super) struct NewPersonSchema;

impl PartialSchema for NewUnitSchema {
    fn schema() -> RefOr<Schema> {
        require_fields::<UnitChangeSchema>("A new unit.", &["name"])
    }
}

impl ToSchema for NewUnitSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewUnit")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((UnitChangeSchema::name().into_owned(), UnitChangeSchema::schema()));
        UnitChangeSchema::schemas(schemas);
    }
}

impl PartialSchema for NewPersonSchema {
    fn schema() -> RefOr<Schema> {
        require_fields::<PersonChangeSchema>("A new local person.", &["userid", "name"])
    }
}

impl ToSchema for NewPersonSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewPerson")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PersonChangeSchema::name().into_owned(), PersonChangeSchema::schema()));
        PersonChangeSchema::schemas(schemas);
    }
}

/// Returns the schema of `T` with the fields of `required` required.
fn require_fields<T: ToSchema>(description: &str, required: &[&str]) -> RefOr<Schema> {
    let needs = required.iter().fold(ObjectBuilder::new(), |object, field| object.required(*field));
    let change = Ref::from_schema_name(T::name());
    AllOfBuilder::new().description(Some(description)).item(change).item(needs).into()
}
