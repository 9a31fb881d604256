//! Statements on hot paths use the indexes that were made for them, on the engine of this run.

use std::collections::BTreeMap;

use gongpai::testing::db::feed;
use gongpai::testing::db::hot_statement::HotStatement;
use gongpai::testing::{audit, directory, message, session, sso, sync};

use crate::support::explain::{find_unmet, list_requirements, replace_index, shorten_index};
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

#[tokio::test]
async fn every_hot_statement_searches_its_indexes() {
    let replica = MessageReplica::new().await;
    let requirements = list_requirements(&list_statements());
    let unmet = find_unmet(&replica.db, &requirements).await;
    assert!(unmet.is_empty(), "{}", unmet.join("\n\n"));
}

#[tokio::test]
async fn an_index_that_loses_a_column_is_missed() {
    let replica = MessageReplica::new().await;
    let mut indexes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for requirement in list_requirements(&list_statements()) {
        if !requirement.columns.is_empty() && !requirement.index.ends_with("_pkey") {
            indexes.entry(requirement.index.clone()).or_default().push(requirement);
        }
    }
    assert!(indexes.len() > 10, "{:?}", indexes.keys());
    for (index, requirements) in indexes {
        let definition = shorten_index(&replica.db, &index, &requirements).await;
        let unmet = find_unmet(&replica.db, &requirements).await;
        assert!(!unmet.is_empty(), "{definition} had a column more than these statements need");
        replace_index(&replica.db, &index, &definition).await;
    }
    let unmet = find_unmet(&replica.db, &list_requirements(&list_statements())).await;
    assert!(unmet.is_empty(), "{}", unmet.join("\n\n"));
}
