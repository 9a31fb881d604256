//! Gongpai (工牌): one binary between WeCom (企业微信) and a company's own applications.
//!
//! An employee taps an icon on the WeCom workbench, or scans a QR code in a desktop browser, and
//! the application behind nginx knows who it is. This page is the map of the source. The README is
//! for whoever runs the gateway. [`design`] says what is promised and why, [`contributing`] where
//! to add what.
//!
//! # The rooms, in reading order
//!
//! A room is a folder of `src`. Start with [`sso`], [`session`] and [`gate`]: they are the product,
//! and the other rooms are built in the same way. Each file opens by saying what it is for.
//!
//! Rooms stand on floors. A room imports only from lower floors; a few named exceptions and the
//! floors themselves are in `tests/architecture.rs`.
//!
//! | room | floor | what it does |
//! |---|---|---|
//! | [`base`] | 0 | defines types that need no I/O: time, ids, secrets, hosts, and [`base::url::ReturnTo`], the only type of a redirect target |
//! | [`config`] | 1 | turns layers of text into checked values; `default.toml` documents every key |
//! | [`db`] | 1 | runs one SQL text on SQLite and PostgreSQL; has the feed by which replicas learn of each other's changes |
//! | [`wecom`] | 1 | calls WeCom's API: tokens, errcodes, codes, members, messages; knows nothing about the rest of the gateway |
//! | [`http`] | 1 | has what all rooms share of HTTP: requests of browsers, cookies, proxies, rate limits, pages and their words |
//! | [`audit`] | 2 | records who did what, when, from where, and the decision |
//! | [`directory`] | 3 | keeps units, persons and tags in versions that are published at once; local entries; conflicts |
//! | [`session`] | 4 | keeps sessions: the row, the token that names it, and the memory that every check reads |
//! | [`sso`] | 5 | signs people in and out: start, callback, hand-over to another host, recheck |
//! | [`gate`] | 5 | decides whether a person may open a page: rules, and nginx's `auth_request` |
//! | [`sync`] | 5 | copies WeCom's organisation chart: fetch, plan, apply, on schedule |
//! | [`message`] | 5 | accepts messages once, delivers them through WeCom, and opens their links signed in |
//! | [`api`] | 5 | serves `/api/v1` to applications |
//! | [`oidc`] | 5 | publishes the public keys |
//! | [`doctor`] | 5 | finds what is wrong with an installation, and names the console page or key that solves it |
//! | [`observe`] | 5 | has logs, health and metrics |
//! | [`app`] | 6 | puts everything together: every long-lived part, every URL, every repeated job |
//! | [`supervisor`] | 6 | spawns all tasks, and ends them |
//! | [`cli`] | 6 | has one file for each command |
//! | [`simulator`] | beside | simulates WeCom for tests and the demo; shares no code with [`wecom`] |
//!
//! Templates are in `static/pages`, migrations in `src/db/migrations`, integration tests in
//! `tests/it`, and the programs besides `gongpai` in `src/bin`.
//!
//! # Signing in
//!
//! ```text
//! GET /sso/login?rd=…                    sso::start::handle_login
//!   Sso::requested_target   rd, validated by ReturnTo::parse (base::url); else a page, never a redirect
//!   Sso::begin              signed in: go straight on; after a sign-out: a button; another host: hand over
//!   AttemptCookie           16 random bytes in this browser             sso::attempt_cookie
//!   StateSealer             attempt, target and cookie, sealed          sso::state
//!   302                     WecomClient::authorize_url, or the scan page   wecom::oauth
//!         … WeCom …
//! GET /sso/callback?code&state           sso::callback::handle_callback
//!   CallbackQuery           opens the state, finds the attempt's cookie   sso::callback_query
//!   store::claim_attempt    the first callback goes on, a second one waits for its result
//!   identify_member         code → userid → active member of this corporation   sso::member_lookup → wecom
//!   Sso::sign_in            person, session, attempt and audit in one transaction → feed → every replica
//!   redirect_signed_in      session cookie, 302 to the target; to another host with a ticket   sso::ticket
//! ```
//!
//! Every cause of a failure is a variant of [`sso::error::SsoError`], and every page a row of
//! [`http::words`].
//!
//! # A check
//!
//! ```text
//! GET /auth/nginx                        gate::check_nginx
//!   TrustedProxies::trusts      does our proxy ask?                     http::client_ip
//!   OriginCache::nginx_request  one X-Original-URL, one method          gate::request
//!   Sessions::check             cookie → BLAKE3 → memory; the database only for an unknown token   session
//!   rules::decide_access        pure: host, readings of the path, method, person → Decision   gate::rules
//!   respond                     200 with identity headers, 401 with the way to sign in, 403   gate::respond
//! ```
//!
//! [`gate::explain_decision`] asks the same [`gate::rules::decide_access`], for the page of a denied person
//! and for `gongpai explain`.
//!
//! # A synchronisation
//!
//! ```text
//! schedule, API, gongpai sync            SyncQueue::request   one runs, one waits, across replicas   sync::queue
//!   remove_leftovers    removes what a crash left behind                sync::apply::cleanup
//!   Fetcher::fetch      reads everything first, politely, and knows whether it is complete   sync::fetch → wecom
//!   make_plan           pure: who is who, what changes, what goes       sync::plan
//!   apply_plan          writes rows of the next version, unseen, 500 in a transaction   sync::apply::stage
//!   publish             one transaction: version, userids, sessions, report   sync::apply::publish → feed
//! every replica         replaces units, tags and changed persons together   session::refresh
//!   ResolvedRules       resolves each rule in that chart                gate::rules
//! ```
//!
//! # A message
//!
//! ```text
//! POST /api/v1/messages, gongpai send    api::messages, cli::send
//!   Messages::accept    validates it completely, wraps its links        message::content
//!   GroupCommit         one transaction for all that arrive together    message::accept   202: durable from here
//! the worker            expand, plan, claim, send, settle: each step finds its work in rows   message::deliver → wecom
//! GET /sso/m/{id}       signed in, a recipient, validated by ReturnTo::parse again   message::links   302 to the target
//! ```
//!
//! [`message`] says what is promised and where each step is.
//!
//! # A reload
//!
//! ```text
//! SIGHUP                     supervisor::Hangups → app::reload::Reloader, one after the other
//!   ConfigReading::from_sources   reads everything again                config
//!   RunningConfig::compare   what takes effect, what needs a restart; a mistake refuses everything   config::reload
//!   App::reconfigured        a second app on the same database, sessions and queues: rules compiled, pages read
//!   CurrentApp::replace      listeners and jobs go on with it; running requests end with the first one
//! ```
//!
//! # Rules of the house
//!
//! `tests/architecture.rs` and clippy enforce them.
//!
//! 1. Imports point down the floors; rooms on one floor do not know each other. Only the two
//!    programs that contain it import [`simulator`].
//! 2. SQL stands in a `store.rs` or in [`db`]. A use case has one write transaction, with no call
//!    to the network inside it.
//! 3. Time comes from [`base::clock::Clock`], tasks from [`supervisor`], the environment from
//!    [`config`].
//! 4. Rules are plain functions without axum. A handler extracts, calls one of them, and answers.
//! 5. A failure never opens anything: no `unwrap`, no `.ok()` where security decides, and one enum
//!    of causes for each room.

pub mod api;
pub mod app;
pub mod audit;
pub mod base;
pub mod cli;
pub mod config;
pub mod db;
pub mod directory;
pub mod doctor;
pub mod gate;
pub mod http;
pub mod message;
pub mod observe;
pub mod oidc;
pub mod session;
pub mod simulator;
pub mod sso;
pub mod supervisor;
pub mod sync;
pub mod wecom;

#[doc = include_str!("docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("docs/contributing.md")]
pub mod contributing {}

#[doc = include_str!("docs/design.md")]
pub mod design {}
