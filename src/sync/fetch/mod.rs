//! Reads WeCom's directory: everything first, politely, and knowing what was not read.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | [`Fetcher`]: which way to read, and the way that all ways share |
//! | `units` | departments |
//! | `members` | members by department, and singly |
//! | `ids` | the way by the complete list of ids |
//! | `tags` | tags |
//! | `convert` | a member in WeCom's words becomes a person in ours |
//! | `caller`, `gate`, [`pace`](Pace) | calls in passes, at most ten at once, with the pauses that WeCom asks for |
//! | [`progress`](Progress), `notes` | how far it is; what the administrator should know |
//!
//! # The three ways
//!
//! The 通讯录同步 secret sees the whole company. From addresses entered before 2022-08-15 it reads details
//! ([`Way::Contacts`]); from others it answers 48009 to those calls and gives ids only, and names and details come
//! with the application's secret ([`Way::Ids`]). Without it, the application's secret reads what the application may
//! see, department by department ([`Way::Visible`]). Whoever the application cannot see is no person of ours: such a
//! member could not sign in either. (Documents 96067, 96255, 96260.)
//!
//! A member who is visible singly, and not by a department, is in no list. So members we know and no list showed are
//! asked for one by one before they count as gone.

mod caller;
mod convert;
mod ids;
mod limiter;
mod members;
mod notes;
mod pace;
mod progress;
mod tags;
#[cfg(test)]
mod tests;
mod units;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::pace::FetchPace;
pub use self::progress::{FetchPhase, FetchProgress};

use self::caller::{ApiCaller, concerns_everything};
use self::members::FetchedMembers;
use self::notes::{FetchNotes, describe_error};
use self::units::FetchedUnits;
use super::remote::{Completeness, FetchMode, RemoteDirectory, SyncKind};
use crate::base::clock::{Clock, Timestamp};
use crate::wecom::errcode::{self, ErrcodeText};
use crate::wecom::{SecretKind, WecomClient, WecomError};

/// Reads WeCom's directory. Cheap to clone; clones share what was learnt about the 通讯录同步 secret.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: WecomClient,
    clock: Clock,
    pace: FetchPace,
    contacts_access: Arc<Mutex<Option<ContactsAccess>>>,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// How thoroughly. [`Kind::Full`] also asks again what the 通讯录同步 secret may do.
    pub kind: SyncKind,
    /// What is known already.
    pub known: &'a KnownDirectory,
    /// Whether an administrator said that whoever is missing is gone, however many.
    pub force: bool,
}

/// What is known of WeCom's directory already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownDirectory {
    /// WeCom's persons that are not left: folded userid → ids of the departments the person is in.
    pub persons: HashMap<String, BTreeSet<u32>>,
    /// WeCom's departments by id.
    pub units: HashMap<u32, KnownUnit>,
}

/// A department that is known already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownUnit {
    /// The id above; 0 for the root.
    pub parent: u32,
    /// Larger comes first.
    pub order: u32,
    /// Its name.
    pub name: String,
}

/// Why nothing useful was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} cannot be read with wecom.{secret}: {cause}")]
pub struct FetchError {
    /// What was to be read.
    pub part: &'static str,
    /// With which secret.
    pub secret: SecretKind,
    /// What WeCom said, or why it said nothing.
    pub cause: WecomError,
}

impl FetchError {
    /// What the errcode means and what mends it, where there is one and it is known.
    pub fn meaning(&self) -> Option<ErrcodeText> {
        self.cause.code().and_then(errcode::explain_errcode)
    }
}

/// What the 通讯录同步 secret turned out to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContactsAccess {
    /// It reads details.
    Details,
    /// It answered 48009 then: ids only.
    IdsOnly(Timestamp),
    /// It answered 48002 then: it is an application's.
    AppSecret(Timestamp),
}

/// Why a way ends early.
#[derive(Debug)]
enum FetchStop {
    /// The 通讯录同步 secret answered 48009: go on by ids.
    IdsOnly,
    /// It answered 48002: go on with the application's alone.
    AppSecret,
    /// Nothing useful can be read.
    Failed(FetchError),
}

impl FetchStop {
    fn failed(part: &'static str, secret: SecretKind, cause: WecomError) -> Self {
        Self::Failed(FetchError { part, secret, cause })
    }

    /// What an answer to a call with the 通讯录同步 secret says about that secret.
    fn from_contacts_error(error: &WecomError) -> Option<Self> {
        match error.code() {
            Some(48009) => Some(Self::IdsOnly),
            Some(48002) => Some(Self::AppSecret),
            _ => None,
        }
    }
}

/// What a way read.
#[derive(Debug)]
struct FetchedParts {
    units: FetchedUnits,
    members: FetchedMembers,
    complete: Completeness,
}

/// One fetch.
#[derive(Debug)]
struct FetchRun<'a> {
    caller: ApiCaller,
    kind: SyncKind,
    known: &'a KnownDirectory,
    force: bool,
    progress: &'a FetchProgress,
    notes: FetchNotes,
}

impl Fetcher {
    /// One that has asked nothing yet. `clock` only dates what is learnt about the 通讯录同步 secret.
    pub fn new(client: WecomClient, clock: Clock) -> Self {
        Self::with_pace(client, clock, FetchPace::PRODUCTION)
    }

    /// As [`new`](Self::new), at another pace.
    pub fn with_pace(client: WecomClient, clock: Clock, pace: FetchPace) -> Self {
        Self { client, clock, pace, contacts_access: Arc::default() }
    }

    /// Reads departments, members and tags. However much could not be read, the answer says so
    /// ([`Remote::complete`]) and its notes say why.
    ///
    /// # Errors
    /// Only where nothing useful was read: no secret, one that is refused (also 60020), or no list of departments.
    pub async fn fetch(
        &self,
        ask: FetchRequest<'_>,
        progress: &FetchProgress,
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
                    way = self.remember_access(ContactsAccess::IdsOnly(self.clock.now()), &mut run)
                }
                Err(FetchStop::AppSecret) => {
                    way = self.remember_access(ContactsAccess::AppSecret(self.clock.now()), &mut run)
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

    /// The way to begin with: by what is configured, and by what is remembered unless everything is asked anew.
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

/// The way that follows from what was learnt, and a note that says so.
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
    /// Departments, then the members of each, with one secret for everything.
    async fn read_by_departments(&mut self, which: SecretKind) -> Result<FetchedParts, FetchStop> {
        let units = self.read_units(which).await?;
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

    /// An application's secret reads departments too, those that it may see, and they must not pass for all. Only the
    /// 通讯录同步 secret lists ids (document 96067).
    async fn check_contacts(&self) -> Result<(), FetchStop> {
        let probe = self.caller.call("user/list_id", |client, deadline| async move {
            client.member_ids(None, 1, deadline).await
        });
        match probe.await {
            Err(error) if error.code() == Some(48002) => Err(FetchStop::AppSecret),
            Err(error) if concerns_everything(&error) && error.code() != Some(48001) => {
                Err(FetchStop::failed("the list of ids", SecretKind::Contacts, error))
            }
            // Private editions have no such call; they say so in many ways.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// How much was read by department. `shown`: how many members the lists of departments showed.
    ///
    /// An empty answer is believed as data, and not where we know better: then something is wrong with what the
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
