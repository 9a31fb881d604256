//! Reads WeCom's directory: everything first, politely, and with a record of what was not read.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | [`Fetcher`]: chooses the mode, and the steps that all modes share |
//! | `units` | departments |
//! | `members` | members, by department and singly |
//! | `ids` | the mode that begins with the complete list of ids |
//! | `tags` | tags |
//! | `convert` | WeCom's members as our persons |
//! | `caller`, `limiter`, [`pace`](FetchPace) | calls in passes, at most ten in parallel, with the pauses that WeCom asks for |
//! | `notes` | notes for the administrator |
//!
//! # The three modes
//!
//! The 通讯录同步 (contacts) secret sees the whole company. From addresses registered before
//! 2022-08-15 it reads details ([`FetchMode::Contacts`]). From other addresses WeCom answers 48009
//! to such calls: the secret gives ids only, and names and details are read with the application's
//! secret ([`FetchMode::Ids`]). Without the contacts secret, the application's secret reads what
//! the application may see, department by department ([`FetchMode::Visible`]). A member whom the
//! application cannot see is no person of ours: such a member could not sign in either. (Documents
//! 96067, 96255, 96260.)
//!
//! A member may be visible singly without any visible department, and is then in no list. So known
//! members that no list showed are queried one by one before they count as gone.

mod caller;
mod convert;
mod ids;
mod limiter;
mod members;
mod notes;
mod pace;
mod tags;
#[cfg(test)]
mod tests;
mod units;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::pace::FetchPace;

use self::caller::{ApiCaller, concerns_everything};
use self::members::FetchedMembers;
use self::notes::{FetchNotes, describe_error};
use self::units::FetchedUnits;
use super::progress::SyncProgress;
use super::remote::{Completeness, FetchMode, RemoteDirectory};
use super::state::{FetchPart, SyncKind};
use crate::base::clock::{Clock, Timestamp};
use crate::wecom::{SecretKind, WecomClient, WecomError};

/// Reads WeCom's directory. Cheap to clone; clones share what was learnt about the contacts secret.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: WecomClient,
    clock: Clock,
    pace: FetchPace,
    contacts_access: Arc<Mutex<Option<ContactsAccess>>>,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchRequest<'a> {
    /// How thoroughly. [`SyncKind::Full`] also tests again what the contacts secret may do.
    pub kind: SyncKind,
    pub known: &'a KnownDirectory,
    /// Whether an administrator said that everybody who is missing is gone.
    pub force: bool,
}

/// What we already know of WeCom's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownDirectory {
    /// Persons from WeCom who have not left: folded userid to department ids.
    pub persons: HashMap<String, BTreeSet<u32>>,
    /// Departments by id.
    pub units: HashMap<u32, KnownUnit>,
}

/// A department that we already know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownUnit {
    /// The id of the department above; 0 for the root.
    pub parent: u32,
    /// Departments with a larger value come first.
    pub order: u32,
    pub name: String,
}

/// Why nothing useful was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} cannot be read with wecom.{secret}: {cause}")]
pub(crate) struct FetchError {
    /// What was to be read.
    pub part: FetchPart,
    pub secret: SecretKind,
    pub cause: WecomError,
}

/// What the contacts secret turned out to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContactsAccess {
    /// It reads details.
    Details,
    /// It answered 48009 at this time: ids only.
    IdsOnly(Timestamp),
    /// It answered 48002 at this time: it is an application's secret.
    AppSecret(Timestamp),
}

/// Why a mode ends early.
#[derive(Debug)]
enum FetchStop {
    /// The contacts secret answered 48009: continue by ids.
    IdsOnly,
    /// The contacts secret answered 48002: continue with the application's secret alone.
    AppSecret,
    /// Nothing useful can be read.
    Failed(FetchError),
}

impl FetchStop {
    fn failed(part: FetchPart, secret: SecretKind, cause: WecomError) -> Self {
        Self::Failed(FetchError { part, secret, cause })
    }

    /// Returns what an error of a call with the contacts secret says about that secret.
    fn from_contacts_error(error: &WecomError) -> Option<Self> {
        match error.code() {
            Some(48009) => Some(Self::IdsOnly),
            Some(48002) => Some(Self::AppSecret),
            _ => None,
        }
    }
}

/// What a mode read.
#[derive(Debug)]
struct FetchedParts {
    units: FetchedUnits,
    members: FetchedMembers,
    complete: Completeness,
}

#[derive(Debug)]
struct FetchRun<'a> {
    caller: ApiCaller,
    kind: SyncKind,
    known: &'a KnownDirectory,
    force: bool,
    progress: &'a SyncProgress,
    notes: FetchNotes,
}

impl Fetcher {
    /// Creates a fetcher. `clock` only dates what is learnt about the contacts secret.
    pub(crate) fn new(client: WecomClient, clock: Clock, pace: FetchPace) -> Self {
        Self { client, clock, pace, contacts_access: Arc::default() }
    }

    /// Reads departments, members and tags. What could not be read is recorded in
    /// [`RemoteDirectory::completeness`], and the notes say why.
    ///
    /// # Errors
    /// Only if nothing useful was read: no secret, a refused one (also 60020), or no list of
    /// departments.
    pub(crate) async fn fetch(
        &self,
        ask: FetchRequest<'_>,
        progress: &SyncProgress,
    ) -> Result<RemoteDirectory, FetchError> {
        let mut run = FetchRun {
            caller: ApiCaller::new(self.client.clone(), self.pace),
            kind: ask.kind,
            known: ask.known,
            force: ask.force,
            progress,
            notes: FetchNotes::default(),
        };
        let mut way = self.initial_mode(&mut run);
        let read = loop {
            let read = match way {
                FetchMode::Contacts => run.read_by_departments(SecretKind::Contacts).await,
                FetchMode::Ids => run.read_by_ids().await,
                FetchMode::Visible => run.read_by_departments(SecretKind::App).await,
            };
            match read {
                Ok(read) => break read,
                Err(FetchStop::Failed(error)) => return Err(error),
                Err(FetchStop::IdsOnly) => {
                    way = self.remember_access(ContactsAccess::IdsOnly(self.clock.now()), &mut run);
                }
                Err(FetchStop::AppSecret) => {
                    way = self.remember_access(ContactsAccess::AppSecret(self.clock.now()), &mut run);
                }
            }
        };
        if way == FetchMode::Contacts {
            *self.contacts_access.lock() = Some(ContactsAccess::Details);
        }
        let tags = run.read_tags().await;
        let FetchedParts { units, members, complete } = read;
        let (persons, present) = members.finish();
        Ok(RemoteDirectory {
            units: units.list,
            persons,
            present,
            tags,
            completeness: complete,
            notes: run.notes.finish(),
            mode: way,
        })
    }

    /// Returns the mode to begin with: as configured, and as remembered unless a full run tests it
    /// again.
    fn initial_mode(&self, run: &mut FetchRun<'_>) -> FetchMode {
        if !self.client.has_secret(SecretKind::Contacts) {
            return FetchMode::Visible;
        }
        if self.client.secrets_are_equal() {
            run.notes.add(
                "fetch.secrets_are_one",
                "wecom.contacts_secret is the application's secret; only what the application may see is read. Its own \
                 secret is at 「安全与管理 → 管理工具 → 通讯录同步」; without it, remove the key.",
            );
            return FetchMode::Visible;
        }
        let learnt = *self.contacts_access.lock();
        match learnt.filter(|_| run.kind == SyncKind::Update) {
            None | Some(ContactsAccess::Details) => FetchMode::Contacts,
            Some(learnt) => note_access(learnt, run),
        }
    }

    fn remember_access(&self, learnt: ContactsAccess, run: &mut FetchRun<'_>) -> FetchMode {
        *self.contacts_access.lock() = Some(learnt);
        note_access(learnt, run)
    }
}

/// Returns the mode for this access, and notes why it is used.
fn note_access(learnt: ContactsAccess, run: &mut FetchRun<'_>) -> FetchMode {
    match learnt {
        ContactsAccess::Details => FetchMode::Contacts,
        ContactsAccess::IdsOnly(at) => {
            run.notes.add(
                "fetch.ids_only",
                format!(
                    "The 通讯录同步 secret gives ids only (48009 at {}), as it does for every address entered since \
                     2022-08-15; names and details are read with the application's secret. The next full run asks again.",
                    at.rfc3339(),
                ),
            );
            FetchMode::Ids
        }
        ContactsAccess::AppSecret(at) => {
            run.notes.add(
                "fetch.contacts_secret_wrong",
                format!(
                    "wecom.contacts_secret is an application's secret (48002 at {}); only what the application may see \
                     is read. Copy the secret of 「安全与管理 → 管理工具 → 通讯录同步」. The next full run asks again.",
                    at.rfc3339(),
                ),
            );
            FetchMode::Visible
        }
    }
}

impl FetchRun<'_> {
    /// Reads departments, then the members of each, all with one secret.
    async fn read_by_departments(&mut self, which: SecretKind) -> Result<FetchedParts, FetchStop> {
        let units = self.read_units(which).await?;
        // Before members are read: with an application's secret the way changes.
        if which == SecretKind::Contacts {
            self.check_contacts().await?;
        }
        let mut members = FetchedMembers::default();
        self.read_department_members(which, &units.list, &mut members).await?;
        let shown = members.count();
        self.read_missing(which, &mut members).await;
        let complete = self.completeness(&units, &members, shown);
        Ok(FetchedParts { units, members, complete })
    }

    /// Checks that the contacts secret is not an application's. An application's secret reads
    /// departments too, but only those it may see, and they must not pass for all. Only the
    /// contacts secret lists ids (document 96067).
    async fn check_contacts(&self) -> Result<(), FetchStop> {
        let probe = self.caller.call("user/list_id", |client, deadline| async move {
            client.member_ids(None, 1, deadline).await
        });
        match probe.await {
            Err(error) if error.code() == Some(48002) => Err(FetchStop::AppSecret),
            Err(error) if concerns_everything(&error) && error.code() != Some(48001) => {
                Err(FetchStop::failed(FetchPart::MemberIds, SecretKind::Contacts, error))
            }
            // Private editions lack this call, and answer in many ways.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Judges how much was read by department; `shown` counts the members that lists showed.
    ///
    /// An empty answer is normally believed. If we know members, something is wrong with what the
    /// secret may see, and nobody may leave because of it.
    fn completeness(&mut self, units: &FetchedUnits, members: &FetchedMembers, shown: usize) -> Completeness {
        let listed: HashSet<u32> = units.list.iter().map(|unit| unit.id).collect();
        let expected = || self.known.persons.values().flatten().any(|id| listed.contains(id));
        let nobody = members.count() == 0 || (shown == 0 && expected());
        if nobody && members.read_all() && !self.known.persons.is_empty() {
            self.notes.add(
                "fetch.empty",
                format!(
                    "WeCom showed no member, and {} are known; nothing is removed. Look at 「应用管理 → 应用 → 可见范围」.",
                    self.known.persons.len(),
                ),
            );
            return Completeness::default();
        }
        let persons = units.complete && members.read_all();
        Completeness { units: units.complete, persons, details: persons && members.details_of_all() }
    }

    /// Notes that `what` was not read because of `error`.
    fn note_unread(&mut self, code: &'static str, what: &str, error: &WecomError) {
        self.notes.add(code, format!("{what} not read: {}", describe_error(error)));
    }
}
