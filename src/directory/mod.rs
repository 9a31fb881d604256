//! Who exists: persons of WeCom's, and later units, memberships and tags.
//!
//! A person's id is ours (UUID v7) and stays when the userid changes. Until the organisation chart is read,
//! a person enters here by signing in, and `user/get` says who it is.

pub mod store;

use crate::base::id::{PersonId, UserId};

/// What WeCom said about a member, as far as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As WeCom writes it.
    pub userid: UserId,
    /// 姓名.
    pub name: String,
    /// Empty if the secret may not see it; an empty one never replaces a known one.
    pub email: String,
}

/// A person's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// May sign in.
    Active,
    /// 已禁用 (WeCom status 2).
    Disabled,
    /// 未激活 (WeCom status 4).
    Inactive,
    /// No longer in the corporation, or not visible to us (60111, 60011, WeCom status 5).
    Left,
}

impl Status {
    /// As the table and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Inactive => "inactive",
            Self::Left => "left",
        }
    }

    /// Reads the table's word; anything unknown counts as left, so that it admits nobody.
    pub fn parse(text: &str) -> Self {
        [Self::Active, Self::Disabled, Self::Inactive]
            .into_iter()
            .find(|s| s.as_str() == text)
            .unwrap_or(Self::Left)
    }
}

/// A person whose status is to be asked of WeCom again.
#[derive(Debug, Clone)]
pub struct Due {
    /// Our id.
    pub id: PersonId,
    /// Whom to ask for.
    pub userid: UserId,
}
