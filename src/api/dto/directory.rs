//! Units, persons and tags, as everybody reads them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::words::{EntrySourceWord, PersonStatusWord};
use crate::base::id::{PersonId, TagId, UnitId, UserId};
use crate::directory::chart::PlacedUnit;
use crate::directory::{Membership, Person, Tag};

/// A unit: a department of WeCom's, or one made by hand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unit)]
pub(crate) struct UnitDto {
    /// Our id; it stays when the unit is renamed or moved.
    #[schema(value_type = String)]
    id: UnitId,
    /// The department's id in WeCom; null for a local unit. The root is 1.
    #[schema(required, format = Int64)]
    wecom_id: Option<u32>,
    name: String,
    /// Our id of the unit above; null on the top floor.
    #[schema(value_type = Option<String>, required)]
    parent_id: Option<UnitId>,
    /// The names from below the root, joined by `/`; a `/` in a name is `∕` here. The root's path is `/`.
    path: String,
    /// The sort number among its siblings; larger comes first.
    #[schema(format = Int64)]
    order: u32,
    source: EntrySourceWord,
    /// Userids of those who lead it.
    #[schema(value_type = Vec<String>)]
    leaders: Vec<UserId>,
}

/// A person, also one who left.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub(crate) struct PersonDto {
    /// Our id; it stays when the userid changes.
    #[schema(value_type = String)]
    id: PersonId,
    /// As WeCom writes it; compared without regard to case.
    #[schema(value_type = String)]
    userid: UserId,
    name: String,
    status: PersonStatusWord,
    source: EntrySourceWord,
    /// Our id of the main unit (主部门); null if it is not visible.
    #[schema(value_type = Option<String>, required)]
    main_unit: Option<UnitId>,
    memberships: Vec<MembershipDto>,
    /// Userids of the direct leaders (直属上级).
    #[schema(value_type = Vec<String>)]
    direct_leaders: Vec<UserId>,
    /// Empty if unknown, as the fields after it.
    position: String,
    mobile: String,
    email: String,
    alias: String,
    /// Extension attributes: name and text.
    attributes: BTreeMap<String, String>,
}

/// A person in a unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
struct MembershipDto {
    #[schema(value_type = String)]
    unit_id: UnitId,
    /// The person's sort number in the unit; larger comes first.
    #[schema(format = Int64)]
    order: u32,
    /// Whether the person leads it.
    leader: bool,
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tag)]
pub(crate) struct TagDto {
    /// Our id.
    #[schema(value_type = String)]
    id: TagId,
    /// The tag's id in WeCom.
    #[schema(required, format = Int64)]
    wecom_id: Option<u32>,
    name: String,
    /// Userids of those who have it directly.
    #[schema(value_type = Vec<String>)]
    users: Vec<UserId>,
    /// Our ids of units that have it, with everybody in them and below.
    #[schema(value_type = Vec<String>)]
    units: Vec<UnitId>,
}

impl From<&PlacedUnit> for UnitDto {
    fn from(placed: &PlacedUnit) -> Self {
        let unit = &placed.unit;
        Self {
            id: unit.id.clone(),
            wecom_id: unit.wecom_id,
            name: unit.name.clone(),
            parent_id: unit.parent.clone(),
            path: placed.path.as_ref().to_owned(),
            order: unit.order,
            source: unit.source.into(),
            leaders: unit.leaders.clone(),
        }
    }
}

impl From<Person> for PersonDto {
    fn from(person: Person) -> Self {
        let detail = person.details;
        Self {
            id: person.id,
            userid: person.userid,
            name: person.name,
            status: person.status.into(),
            source: person.source.into(),
            main_unit: person.main_unit,
            memberships: person.memberships.into_iter().map(MembershipDto::from).collect(),
            direct_leaders: detail.direct_leaders,
            position: detail.position,
            mobile: detail.mobile,
            email: person.email,
            alias: detail.alias,
            attributes: detail.attributes.into(),
        }
    }
}

impl From<Membership> for MembershipDto {
    fn from(of: Membership) -> Self {
        Self { unit_id: of.unit, order: of.order, leader: of.leader }
    }
}

impl From<&Tag> for TagDto {
    fn from(tag: &Tag) -> Self {
        Self {
            id: tag.id.clone(),
            wecom_id: tag.wecom_id,
            name: tag.name.clone(),
            users: tag.users.clone(),
            units: tag.units.clone(),
        }
    }
}
