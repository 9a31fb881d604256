//! Gongpai (工牌): one binary between WeCom (企业微信) and a company's own applications.
//!
//! An employee taps an icon on the WeCom workbench, or scans a QR code in a desktop browser, and
//! the application behind nginx knows who it is. The README and `static/docs` are for whoever runs
//! the gateway. For whoever changes it:
//!
//! | page | says |
//! |---|---|
//! | [`architecture`] | the map: rooms, floors, owners of tables, and a walk through a sign-in, a check, a synchronisation, a message and a reload |
//! | [`design`] | what is promised, and why |
//! | [`contributing`] | where to add what; how to name, comment, test and commit it |
//!
//! A room is a folder of `src`. Start with [`sso`], [`session`] and [`gate`]: they are the product,
//! and the other rooms are built in the same way. Each file opens by saying what it is for.
//!
//! Public is what the programs need: [`cli`] for `gongpai`, [`simulator`] for its own program. What
//! the tests, the benchmarks and the demo use besides is re-exported by [`testing`].

mod api;
mod app;
mod audit;
mod base;
pub mod cli;
mod config;
mod db;
mod directory;
mod doctor;
mod gate;
mod http;
mod keys;
mod manual;
mod message;
mod observe;
mod oidc;
mod replica;
mod session;
pub mod simulator;
mod sso;
mod supervisor;
mod sync;
pub mod testing;
mod wecom;

#[doc = include_str!("docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("docs/contributing.md")]
pub mod contributing {}

#[doc = include_str!("docs/design.md")]
pub mod design {}
