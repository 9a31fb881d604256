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
pub mod manual;
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
