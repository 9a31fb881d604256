//! Sessions as the API lists and ends them.

use serde::Serialize;
use utoipa::ToSchema;

use super::words::AmrWord;
use crate::base::clock::Timestamp;
use crate::base::id::{Sid, UserId};
use crate::session::store::SessionRow;

/// One living session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionDto {
    #[schema(value_type = String)]
    sid: Sid,
    #[schema(value_type = String)]
    userid: UserId,
    name: String,
    /// The host that it is signed in on.
    host: String,
    /// How the person signed in (RFC 8176).
    #[schema(inline, value_type = Vec<AmrWord>)]
    amr: [AmrWord; 1],
    #[schema(value_type = String, format = DateTime)]
    auth_time: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// From where.
    address: String,
    user_agent: String,
}

impl From<SessionRow> for SessionDto {
    fn from(row: SessionRow) -> Self {
        Self {
            sid: row.sid,
            userid: row.person.userid,
            name: row.person.name,
            host: row.audience,
            amr: [row.amr.into()],
            auth_time: row.auth_time,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            address: row.address,
            user_agent: row.user_agent,
        }
    }
}

/// How many sessions a call ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ended)]
pub(crate) struct EndedSessionsDto {
    pub(crate) ended: u64,
}
