//! How a session ends.
//!
//! | from | when | to |
//! |---|---|---|
//! | – | a sign-in or a ticket begins it | living |
//! | living | something of [`SessionEndReason`] happens | ended; the row says when and why |
//! | living | `expires_at` has come, or nobody used it for `session.idle` | over; the row says nothing |
//!
//! Nothing leads back, and the first reason stays: a statement that ends sessions changes living
//! ones only.

use crate::db::types::column_enum;
use crate::directory::PersonStatus;

column_enum! {
    /// Why a session ended before its time.
    pub enum SessionEndReason {
        /// The person signed out, here or on another host of the same sign-in.
        SignedOut = "signed_out",
        /// Another sign-in took its place in the same browser.
        Replaced = "replaced",
        /// An administrator or an application ended it.
        Revoked = "revoked",
        /// Somebody edited the directory so that the person may not sign in.
        Directory = "directory",
        /// The person's userid changed, and the token names the old one.
        Renamed = "renamed",
        /// WeCom says that the person is disabled.
        Disabled = "disabled",
        /// WeCom says that the person is not activated.
        Inactive = "inactive",
        /// WeCom says that the person is gone.
        Left = "left",
    }
}

impl SessionEndReason {
    /// Returns why sessions end when a person gets this status, or `None` if they go on.
    pub(crate) const fn from_status(status: PersonStatus) -> Option<Self> {
        match status {
            PersonStatus::Active => None,
            PersonStatus::Disabled => Some(Self::Disabled),
            PersonStatus::Inactive => Some(Self::Inactive),
            PersonStatus::Left => Some(Self::Left),
        }
    }
}
