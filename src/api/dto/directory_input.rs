//! Units and persons, as callers write them.
//!
//! A change contains what becomes different (RFC 7396): an absent field stays, and null empties a
//! field where it is allowed. It is merged into the entry as it is, in the shape of these types, and
//! the result is read again. A new entry is a change of nothing in which some fields are required.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::words::InputStatusWord;
use crate::base::id::UserId;
use crate::directory::PersonStatus;
use crate::directory::edit::{MemberInput, MembershipInput, PersonInput, UnitInput};

/// What becomes different of a unit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UnitChange)]
pub(crate) struct UnitInputDto {
    /// Without control characters, and without spaces around it.
    #[schema(required = false, min_length = 1, max_length = 128)]
    name: String,
    /// The unit above, by our id or `wecom:ID`; null: on the top floor.
    #[serde(default)]
    parent_id: Option<String>,
    /// The sort number among its siblings; larger comes first. Null: 0.
    #[serde(default)]
    #[schema(value_type = Option<u32>, format = Int64)]
    order: u32,
    /// Userids of those who lead it.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    leaders: Vec<UserId>,
}

/// What becomes different of a local person. Who is not `active` any more is signed out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonChange)]
pub(crate) struct PersonInputDto {
    /// In use by nobody else, without regard to case.
    #[schema(value_type = String, required = false, pattern = "^[0-9A-Za-z][0-9A-Za-z_.@-]{0,63}$")]
    userid: UserId,
    /// Without control characters, and without spaces around it.
    #[schema(required = false, min_length = 1, max_length = 128)]
    name: String,
    /// Null: `active`.
    #[serde(default = "default_status")]
    #[schema(inline, value_type = Option<InputStatusWord>)]
    status: String,
    /// All of them: a list replaces the list before.
    #[serde(default)]
    #[schema(value_type = Option<Vec<MembershipInputDto>>, max_items = 100)]
    memberships: Vec<MembershipInputDto>,
    /// The main unit, by our id or `wecom:ID`: one of the memberships.
    #[serde(default)]
    main_unit: Option<String>,
    /// Userids of the direct leaders (直属上级).
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 5)]
    direct_leaders: Vec<UserId>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    position: String,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    mobile: String,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    email: String,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    alias: String,
    /// At most 100 extension attributes, names of up to 128 and values of up to 1024 characters; one that is null goes,
    /// one that is not named stays.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    attributes: BTreeMap<String, String>,
}

/// What becomes different of a member of WeCom's: only the places in local units.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange)]
pub(crate) struct MemberInputDto {
    /// All memberships in local units; those in WeCom's stay as they are.
    #[schema(max_items = 100)]
    local_memberships: Vec<MembershipInputDto>,
}

/// A place in a unit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MembershipInput)]
pub(crate) struct MembershipInputDto {
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

fn default_status() -> String {
    PersonStatus::Active.as_str().to_owned()
}

impl From<UnitInput> for UnitInputDto {
    fn from(input: UnitInput) -> Self {
        let UnitInput { name, parent_id, order, leaders } = input;
        Self { name, parent_id, order, leaders }
    }
}

impl From<UnitInputDto> for UnitInput {
    fn from(dto: UnitInputDto) -> Self {
        let UnitInputDto { name, parent_id, order, leaders } = dto;
        Self { name, parent_id, order, leaders }
    }
}

impl From<PersonInput> for PersonInputDto {
    fn from(input: PersonInput) -> Self {
        Self {
            userid: input.userid,
            name: input.name,
            status: input.status,
            memberships: input.memberships.into_iter().map(Into::into).collect(),
            main_unit: input.main_unit,
            direct_leaders: input.direct_leaders,
            position: input.position,
            mobile: input.mobile,
            email: input.email,
            alias: input.alias,
            attributes: input.attributes,
        }
    }
}

impl From<PersonInputDto> for PersonInput {
    fn from(dto: PersonInputDto) -> Self {
        Self {
            userid: dto.userid,
            name: dto.name,
            status: dto.status,
            memberships: dto.memberships.into_iter().map(Into::into).collect(),
            main_unit: dto.main_unit,
            direct_leaders: dto.direct_leaders,
            position: dto.position,
            mobile: dto.mobile,
            email: dto.email,
            alias: dto.alias,
            attributes: dto.attributes,
        }
    }
}

impl From<MembershipInput> for MembershipInputDto {
    fn from(input: MembershipInput) -> Self {
        let MembershipInput { unit_id, order, leader } = input;
        Self { unit_id, order, leader }
    }
}

impl From<MembershipInputDto> for MembershipInput {
    fn from(dto: MembershipInputDto) -> Self {
        let MembershipInputDto { unit_id, order, leader } = dto;
        Self { unit_id, order, leader }
    }
}

impl From<MemberInputDto> for MemberInput {
    fn from(dto: MemberInputDto) -> Self {
        Self { local_memberships: dto.local_memberships.into_iter().map(Into::into).collect() }
    }
}

/// The schema of a new unit: a change in which the name is required.
pub(crate) struct NewUnitSchema;

/// The schema of a new person: a change in which userid and name are required.
pub(crate) struct NewPersonSchema;

/// The schema of a change of any person: of a local one or of a member of WeCom's.
pub(crate) struct AnyPersonChangeSchema;

impl PartialSchema for NewUnitSchema {
    fn schema() -> RefOr<Schema> {
        require_fields::<UnitInputDto>("A new unit.", &["name"])
    }
}

impl ToSchema for NewUnitSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewUnit")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schema::<UnitInputDto>(schemas);
    }
}

impl PartialSchema for NewPersonSchema {
    fn schema() -> RefOr<Schema> {
        require_fields::<PersonInputDto>("A new local person.", &["userid", "name"])
    }
}

impl ToSchema for NewPersonSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewPerson")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schema::<PersonInputDto>(schemas);
    }
}

impl PartialSchema for AnyPersonChangeSchema {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some("Of a local person one, of a member of WeCom's the other."))
            .item(Ref::from_schema_name(PersonInputDto::name()))
            .item(Ref::from_schema_name(MemberInputDto::name()))
            .into()
    }
}

impl ToSchema for AnyPersonChangeSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("AnyPersonChange")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schema::<PersonInputDto>(schemas);
        add_schema::<MemberInputDto>(schemas);
    }
}

/// Returns the schema of `T` with the fields of `required` required.
fn require_fields<T: ToSchema>(description: &str, required: &[&str]) -> RefOr<Schema> {
    let needs = required.iter().fold(ObjectBuilder::new(), |object, field| object.required(*field));
    let change = Ref::from_schema_name(T::name());
    AllOfBuilder::new().description(Some(description)).item(change).item(needs).into()
}

/// Adds a schema and those that it refers to.
fn add_schema<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
