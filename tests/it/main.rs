//! The integration tests, in one binary: it is linked once.
//!
//! A test starts what it needs (its own database, the gateway, nginx, a browser) with [`support`]
//! and leaves nothing behind. `tests/run` chooses the database engine.

#[cfg(test)]
mod api;
#[cfg(test)]
mod api_contract;
#[cfg(test)]
mod attempts;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod callback;
#[cfg(test)]
mod challenges;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod chromium_fragments;
#[cfg(test)]
mod chromium_pages;
#[cfg(test)]
mod chromium_signing_in;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_messages;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod delivering;
#[cfg(test)]
mod delivering_turns;
#[cfg(test)]
mod delivery_histories;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod directory_api;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod hand_off;
#[cfg(test)]
mod held_messages;
#[cfg(test)]
mod hostile_checks;
#[cfg(test)]
mod hot_statements;
#[cfg(test)]
mod local_entries;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod lost_answers;
#[cfg(test)]
mod message_cards;
#[cfg(test)]
mod message_flow;
#[cfg(test)]
mod message_links;
#[cfg(test)]
mod message_show;
#[cfg(test)]
mod message_status;
#[cfg(test)]
mod messages_api;
#[cfg(test)]
mod odd_userids;
#[cfg(test)]
mod old_schema;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod planted_cookies;
#[cfg(test)]
mod readings;
#[cfg(test)]
mod redirect_targets;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod replicas_sync;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod running;
#[cfg(test)]
mod running_messages;
#[cfg(test)]
mod running_reload;
#[cfg(test)]
mod running_sync;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod signing_in;
#[cfg(test)]
mod snippets;
#[cfg(test)]
mod snippets_edges;
#[cfg(test)]
mod snippets_own_host;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync_queue;
#[cfg(test)]
mod sync_runs;
#[cfg(test)]
mod syncing;
#[cfg(test)]
mod time;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod trouble_messages;
#[cfg(test)]
mod verify_files;
#[cfg(test)]
mod worker_steps;
