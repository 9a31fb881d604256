//! Statements on hot paths use the indexes that were made for them, on the engine of this run.

use gongpai::testing::db::Db;
use gongpai::testing::db::feed;
use gongpai::testing::db::hot_statement::HotStatement;
use gongpai::testing::{audit, directory, message, session, sso, sync};

use crate::support::explain::find_unused_indexes;
use crate::support::message_damage::drop_index_of_due_calls;
use crate::support::post::MessageReplica;

/// The statements of every room that has any.
fn list_statements() -> Vec<HotStatement> {
    [
        feed::HOT_STATEMENTS.to_vec(),
        audit::store::HOT_STATEMENTS.to_vec(),
        directory::hot_statements(),
        message::hot_statements(),
        session::store::hot_statements(),
        sso::store::hot_statements(),
        sync::hot_statements(),
    ]
    .concat()
}

async fn list_findings(db: &Db) -> Vec<String> {
    let mut findings = Vec::new();
    for statement in list_statements() {
        findings.extend(find_unused_indexes(db, &statement).await);
    }
    findings
}

#[tokio::test]
async fn every_hot_statement_uses_its_indexes_and_a_lost_one_is_found() {
    let replica = MessageReplica::new().await;
    let findings = list_findings(&replica.db).await;
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    drop_index_of_due_calls(&replica.db).await;
    let lost = list_findings(&replica.db).await;
    assert!(lost.iter().any(|finding| finding.starts_with("find_due_calls: message_calls_due")), "{lost:?}");
}
