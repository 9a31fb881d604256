//! What the integration tests, the benchmarks and the demo use of the gateway, re-exported. It adds
//! nothing of its own and is no interface: it changes with the code.
//!
//! An item stands here under its own path: `gongpai::testing::session::Sessions` is
//! `crate::session::Sessions`. A test that needs one more adds it; what none needs any longer goes.

pub mod api {
    pub mod openapi {
        pub use crate::api::openapi::build_document;
    }
}
pub mod app {
    pub use crate::app::{App, BuildError, RuntimeParts};
    pub mod retention {
        pub use crate::app::retention::delete_old_rows;
    }
}
pub mod audit {
    pub use crate::audit::{Actor, AuditDecision, AuditEntry, AuditEvent, AuditRow};
    pub mod store {
        pub use crate::audit::store::{HOT_STATEMENTS, insert_entries, list_rows};
    }
}
pub mod base {
    pub mod clock {
        pub use crate::base::clock::{Clock, Timestamp};
    }
    pub mod id {
        pub use crate::base::id::{
            CallId, ClientId, ConflictId, CorpId, MessageId, PersonId, RunId, Sid, TagId, UnitId, UserId,
        };
    }
    pub mod seal {
        pub use crate::base::seal::{SealPurpose, Sealer};
    }
    pub mod secret {
        pub use crate::base::secret::{Secret, random_token, sha256_hex};
    }
    pub mod text_map {
        pub use crate::base::text_map::TextMap;
    }
}
pub mod cli {
    pub use crate::cli::CommandLine;
    pub mod conflicts {
        pub use crate::cli::conflicts::{list_conflicts, resolve_conflict};
    }
    pub mod directory {
        pub use crate::cli::directory::{export_persons, import_persons};
    }
    pub mod rules {
        pub use crate::cli::rules::{UseridSelection, accept_userids};
    }
    pub mod snippet {
        pub use crate::cli::snippet::{NginxArgs, WorkbenchArgs, render_nginx, render_workbench_url};
    }
}
pub mod config {
    pub use crate::config::{
        Config, ConfigSources, DEFAULT_TOML, LinkField, ListenAddress, load_root_secret,
    };
}
pub mod db {
    pub use crate::db::{DatabaseLocation, DatabaseOpenError, Db};
    pub mod hot_statement {
        pub use crate::db::hot_statement::HotStatement;
    }
    pub mod feed {
        pub use crate::db::feed::{FeedKind, FeedTransaction, HOT_STATEMENTS, list_entries_after};
    }
}
pub mod directory {
    pub use crate::directory::{
        EntrySource, MemberProfile, Membership, Person, PersonDetails, PersonStatus, Tag, Unit,
        hot_statements,
    };
    pub mod bindings {
        pub use crate::directory::bindings::BindingMatch;
        pub mod store {
            pub use crate::directory::bindings::store::load_bindings;
        }
    }
    pub mod changes {
        pub use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
        pub mod store {
            pub use crate::directory::changes::store::{insert_directory_change, reserve_batch};
        }
    }
    pub mod chart {
        pub use crate::directory::chart::{Chart, ChartReference};
    }
    pub mod listing {
        pub use crate::directory::listing::{DirectoryChange, Feed};
        pub mod store {
            pub use crate::directory::listing::store::read_changes;
        }
    }
    pub mod row {
        pub use crate::directory::row::{OPEN_UNTIL, format_memberships, to_json};
    }
    pub mod store {
        pub use crate::directory::store::{
            ensure_chart, find_person, find_person_by_userid, load_chart, published_version,
            record_active_member,
        };
    }
}
pub mod doctor {
    pub use crate::doctor::{DoctorFinding, DoctorSubject, FindingLevel, examine};
}
pub mod gate {
    pub mod proxy {
        pub use crate::gate::proxy::{PROXIES, ProxyProtocol};
        pub mod client_headers {
            pub use crate::gate::proxy::client_headers::{
                CLEARED_HEADERS, FORWARDED_HEADERS, IDENTITY_HEADERS, list_spellings,
            };
        }
    }
}
pub mod http {
    pub mod cookie {
        pub use crate::http::cookie::parse_cookies;
    }
    pub mod language {
        pub use crate::http::language::Language;
    }
    pub mod words {
        pub use crate::http::words::Code;
    }
}
pub mod keys {
    pub use crate::keys::SigningKeys;
    pub mod store {
        pub use crate::keys::store::list_keys;
    }
}
pub mod manual {
    pub use crate::manual::{INDEX, TOPICS, find_page, language_folder, list_names, list_topics};
    pub mod markdown {
        pub use crate::manual::markdown::{list_headings, parse_markdown, read_title_and_summary};
    }
    pub mod routes {
        pub use crate::manual::routes::routes;
    }
}
pub mod message {
    pub use crate::message::{
        DeliveryCounts, MessageKind, MessageStatus, MessageTargets, Messages, Worker, WorkerStep,
        hot_statements,
    };
    pub mod accept {
        pub use crate::message::accept::Sender;
    }
    pub mod commands {
        pub use crate::message::commands::{CommandError, Requester};
    }
    pub mod content {
        pub use crate::message::content::{MessageRequest, RequestedRecipients, body_hash};
    }
    pub mod deliver {
        pub mod recall {
            pub mod store {
                pub use crate::message::deliver::recall::store::finish_recalled_messages;
            }
        }
    }
    pub mod state {
        pub use crate::message::state::{FailureReason, HoldReason, RecipientTally};
    }
    pub mod store {
        pub use crate::message::store::finish_messages;
    }
    pub mod views {
        pub use crate::message::views::{MessageFilter, MessageView};
    }
}
pub mod observe {
    pub mod telemetry {
        pub use crate::observe::telemetry::start_logging;
    }
}
pub mod session {
    pub use crate::session::{Amr, SessionEndReason};
    pub mod store {
        pub use crate::session::store::{NewSession, SessionsToEnd, end_sessions, hot_statements, insert};
    }
}
pub mod sso {
    pub mod store {
        pub use crate::sso::store::hot_statements;
    }
}
pub mod supervisor {
    pub use crate::supervisor::Supervisor;
    pub mod listen {
        pub use crate::supervisor::listen::{Listener, serve_routes};
    }
}
pub mod sync {
    pub use crate::sync::{SyncService, hot_statements};
    pub mod apply {
        pub use crate::sync::apply::{
            ApplyError, ApplyOptions, ApplyResult, ApplyTarget, Counts, PauseHook, RaisedConflict,
            RunEndWriter, RunFence, Tally, apply_plan,
        };
        pub mod baseline {
            pub use crate::sync::apply::baseline::{load_known_directory, load_local_directory};
        }
        pub mod cleanup {
            pub use crate::sync::apply::cleanup::{
                HealCounts, delete_changes_before, purge_left_persons, remove_leftovers,
            };
        }
    }
    pub mod fetch {
        pub use crate::sync::fetch::FetchPace;
    }
    pub mod plan {
        pub use crate::sync::plan::{
            ExcessiveRemovals, LocalDirectory, PlannedPersonChange, SyncPlan, SyncPolicy, make_plan,
        };
    }
    pub mod progress {
        pub use crate::sync::progress::{ProgressSnapshot, SyncProgress};
    }
    pub mod queue {
        pub use crate::sync::queue::{RUN_LEASE, RUN_RETENTION, SyncRequest, SyncRun, SyncRunEnd};
        pub mod store {
            pub use crate::sync::queue::store::delete_runs_before;
        }
    }
    pub mod remote {
        pub use crate::sync::remote::{
            Completeness, FetchMode, RemoteDirectory, RemoteMembership, RemotePerson, RemoteTag, RemoteUnit,
        };
    }
    pub mod run {
        pub use crate::sync::run::WorkResult;
    }
    pub mod state {
        pub use crate::sync::state::{InterveningChange, SyncCause, SyncKind, SyncRunReason, SyncRunStatus};
    }
}
pub mod wecom {
    pub use crate::wecom::WecomClient;
}
