//! Gongpai (工牌): one binary between WeCom (企业微信) and a company's own applications.
//!
//! An employee taps an icon on the WeCom workbench, or scans a QR code in a desktop browser, and the application
//! behind nginx knows who it is. This page is the map of the source; the README is for whoever runs it.
//! What is promised, and why, is in [`design`], where to add what in [`contributing`].
//!
//! # The rooms, in reading order
//!
//! Start with [`sso`], [`session`] and [`gate`]: they are the product, and after them every other file looks
//! familiar. Each file opens by saying what it is for.
//!
//! | room | floor | is about |
//! |---|---|---|
//! | [`base`] | 0 | words without I/O: time, ids, secrets, hosts, and [`base::url::ReturnTo`], the only redirect target |
//! | [`wecom`] | 1 | WeCom's dialect: tokens, errcodes, who a code stands for; knows nothing about us |
//! | [`sso`] | 3 | becoming signed in: start, callback, hand-over to another host, sign-out, asking again |
//! | [`session`] | 2 | being signed in: the row, the token that names it, the memory that every check reads |
//! | [`gate`] | 3 | may this person open this page: rules and nginx's `auth_request` |
//! | [`directory`] | 2 | who exists: units, persons, tags in versions that are published at once; local entries; conflicts |
//! | [`sync`] | 3 | WeCom's organisation chart becomes ours: fetch, plan, apply, when |
//! | [`message`] | 3 | messages: accepted once, delivered by WeCom, opened signed in |
//! | [`audit`] | 2 | who did what, when, from where, and what was decided |
//! | [`http`] | 1 | what slices share of HTTP: visits, cookies, proxies, rate limits, pages and their words |
//! | [`config`] | 1 | from layers of text to checked values; `default.toml` documents every key |
//! | [`db`] | 1 | SQLite or PostgreSQL by one SQL text; the feed by which replicas hear of each other's changes |
//! | [`api`] | 3 | `/api/v1` for applications |
//! | [`oidc`] | 3 | the published keys |
//! | [`doctor`] | 3 | what is wrong with an installation, and the console page or key that mends it |
//! | [`observe`] | 3 | logs, health, metrics |
//! | [`app`] | 4 | every long-lived part, every URL, every repeated step |
//! | [`supervisor`] | 4 | the only place that spawns, and how everything ends |
//! | [`cli`] | 4 | one file a command |
//! | [`simulator`] | beside | a WeCom to hold in the hand, for tests and the demo; shares nothing with [`wecom`] |
//!
//! Templates are in `static/pages`, migrations in `src/db/migrations`, integration tests in `tests/it`, the
//! programs besides `gongpai` in `src/bin`.
//!
//! # Signing in
//!
//! ```text
//! GET /sso/login?rd=…                         sso::start::login
//!   Sso::target     rd, judged by ReturnTo::parse                  base::url    else a page, never a redirect
//!   Sso::begin      signed in already: straight on; after a sign-out: a button; another host: handed over
//!   AttemptCookie   16 random bytes in this browser                sso::attempt
//!   StateSealer     attempt, target and cookie, sealed into state  sso::state
//!   302             Client::authorize_url, or the scan page        wecom::oauth
//!         … WeCom …
//! GET /sso/callback?code&state                sso::callback::callback
//!   Back::read      opens the state, finds the attempt's cookie
//!   store::claim    the first callback of an attempt goes on, a second one waits for its outcome
//!   who::identify   code → userid → person, active and ours        sso::who → wecom
//!   Sso::sign_in    person, session, attempt and audit in one transaction → feed → every replica
//!   Sso::go_on      session cookie, 302 to the target; to another host with a ticket      sso::finish
//! ```
//!
//! Every way this can fail is a variant of [`sso::error::SsoError`], and every page a row of [`http::words`].
//!
//! # A check
//!
//! ```text
//! GET /auth/nginx                             gate::check_nginx
//!   TrustedProxies::trusts   is it our proxy that asks             http::client_ip
//!   Origins::nginx           one X-Original-URL, one method        gate::request
//!   Sessions::check          cookie → BLAKE3 → memory; the database only for a token not seen before   session
//!   rules::decide            pure: host, canonical path, method, person → Decision                     gate::rules
//!   respond                  200 with identity headers, 401 with the way to sign in, 403               gate::respond
//! ```
//!
//! # A run
//!
//! ```text
//! Schedule, API, gongpai sync                 sync::queue::Queue::request     one runs, one waits, across replicas
//!   clear::heal     what a crash left behind goes                             sync::apply::clear
//!   Fetcher::fetch  everything first, politely; it knows whether it read all  sync::fetch → wecom
//!   plan            pure: who is who, what changes, what goes                 sync::plan
//!   apply           rows of the next version, unseen, 500 a transaction       sync::apply::stage
//!   publish         one transaction: version, userids, sessions, report      sync::apply::publish → feed
//! every replica     units, tags and changed persons, replaced together        session::follow
//!   InForce         what each rule means in that chart                        gate::rules
//! ```
//!
//! # A message
//!
//! ```text
//! POST /api/v1/messages, gongpai send         api::messages, cli::send
//!   Messages::accept  judged completely, links wrapped                        message::content
//!   Desk::write       one transaction for all who ask at the same time        message::accept      202: durable from here
//! the worker        expand, plan, claim, send, settle: each finds by rows what is to be done     message::deliver → wecom
//! GET /sso/m/{id}   signed in, a recipient, judged by ReturnTo::parse again   message::links       302 to the target
//! ```
//!
//! [`message`] tells what is promised, and where each step is.
//!
//! [`gate::explain()`] asks the same [`gate::rules::decide`], for the page of somebody refused and for the command.
//!
//! # A reload
//!
//! ```text
//! SIGHUP                  supervisor::Hangups → app::reload::Reloader, one after the other
//!   Reading::of           everything is read again                               config
//!   RunningConfig::compare   what takes effect, what waits for a restart; a mistake refuses the whole   config::reload
//!   App::reconfigured     a second app on the same database, sessions and queues: rules compiled, pages read
//!   CurrentApp::replace   both listeners and the jobs go on with it; requests under way end with the first one
//! ```
//!
//! # Rules of the house
//!
//! `tests/architecture` and clippy enforce them.
//!
//! 1. Imports point down the floors; rooms of one floor do not know each other. Nothing imports [`simulator`] but the
//!    two programs that are made of it.
//! 2. SQL stands in a `store.rs` or in [`db`]; one write transaction a use case, and no network inside it.
//! 3. Time comes from [`base::clock::Clock`], tasks from [`supervisor`], the environment from [`config`].
//! 4. Rules are plain functions without axum; a handler extracts, calls one, and answers.
//! 5. What fails fails closed: no `unwrap`, no `.ok()` where security decides, one enum of causes a slice.

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
