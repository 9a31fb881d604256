//! The statements of sessions that run with every sign-in, sign-out or unknown token.

use super::end::{END_FAMILY, END_INACTIVE, END_ONE, END_PERSON};
use super::tickets::{FIND_TICKET, REDEEM_TICKET};
use super::{FIND_SESSION, HOLD_SESSION, WRITE_LAST_SEEN};
use crate::db::hot_statement::HotStatement;

/// Returns the statements on the paths of sessions and tickets.
pub fn hot_statements() -> Vec<HotStatement> {
    vec![
        HotStatement { name: "find_session", sql: FIND_SESSION, indexes: &["sessions_pkey (sid)"] },
        HotStatement { name: "hold_session", sql: HOLD_SESSION, indexes: &["sessions_pkey (sid)"] },
        HotStatement { name: "write_last_seen", sql: WRITE_LAST_SEEN, indexes: &["sessions_pkey (sid)"] },
        HotStatement { name: "end_one", sql: END_ONE, indexes: &["sessions_pkey (sid)"] },
        HotStatement { name: "end_family", sql: END_FAMILY, indexes: &["sessions_family (family)"] },
        HotStatement { name: "end_person", sql: END_PERSON, indexes: &["sessions_person (person_id)"] },
        HotStatement { name: "end_inactive", sql: END_INACTIVE, indexes: &["person_rows_inactive"] },
        HotStatement { name: "find_ticket", sql: FIND_TICKET, indexes: &["tickets_pkey"] },
        HotStatement { name: "redeem_ticket", sql: REDEEM_TICKET, indexes: &["tickets_pkey"] },
    ]
}
