//! How requests are combined.

use super::*;
use crate::sync::state::SyncKind;

#[test]
fn two_requests_become_one_that_does_what_both_asked_for() {
    let (update, full) = ((SyncKind::Update, false), (SyncKind::Full, false));
    let forced = (SyncKind::Update, true);
    assert_eq!(combine_requests(update, update), update);
    assert_eq!(combine_requests(update, full), full);
    assert_eq!(combine_requests(full, update), full);
    assert_eq!(combine_requests(full, forced), (SyncKind::Full, true));
    assert_eq!(combine_requests(forced, update), forced);
}
