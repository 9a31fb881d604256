//! Reads members by department and singly.

use std::collections::{HashMap, HashSet};

use super::convert::{SkipReason, convert_member, is_valid_userid};
use super::notes::{FetchNotes, describe_error};
use super::{FetchRun, FetchStop};
use crate::base::id::UserId;
use crate::base::text::clean_text;
use crate::sync::progress::SyncStep;
use crate::sync::remote::{RemotePerson, RemoteUnit};
use crate::wecom::{LenientList, Member, SecretKind, WecomError};

/// Known members that no list shows are queried singly, up to this many.
const MAX_MISSING_QUERIES: usize = 2_000;

/// The members read so far.
#[derive(Debug, Default)]
pub(super) struct FetchedMembers {
    persons: Vec<RemotePerson>,
    /// Folded userids of `persons`.
    seen: HashSet<String>,
    /// Folded userids of members that exist but whose details were not read.
    pub(super) present: HashSet<String>,
    /// Those of `present` whose userids are invalid; their details are never read.
    invalid_userids: HashSet<String>,
    /// Departments whose members were not read.
    pub(super) unread: HashSet<u32>,
    /// Whether a broken record did not even contain a userid.
    pub(super) has_nameless_record: bool,
    /// Whether more members were missing than are queried, so that nobody knows who is gone.
    has_unasked_members: bool,
    /// Userids that a note mentions already.
    noted: HashSet<String>,
}

impl FetchedMembers {
    /// Returns how many members were read with details.
    pub(super) fn count(&self) -> usize {
        self.persons.len()
    }

    /// Returns whether the member was read or is known to exist.
    pub(super) fn has(&self, folded: &str) -> bool {
        self.seen.contains(folded) || self.present.contains(folded)
    }

    /// Returns whether no member can have been missed.
    pub(super) fn read_all(&self) -> bool {
        self.unread.is_empty() && !self.has_nameless_record && !self.has_unasked_members
    }

    /// Returns whether the details of every member were read.
    pub(super) fn details_of_all(&self) -> bool {
        self.present.iter().all(|id| self.seen.contains(id) || self.invalid_userids.contains(id))
    }

    /// Returns the persons, and the folded userids of members that exist besides them.
    pub(super) fn finish(mut self) -> (Vec<RemotePerson>, HashSet<String>) {
        self.present.retain(|id| !self.seen.contains(id));
        (self.persons, self.present)
    }

    /// Adds a member; a second record of the same member is ignored.
    pub(super) fn add(&mut self, member: Member, notes: &mut FetchNotes) {
        let folded = member.userid.folded();
        if self.seen.contains(&folded) {
            return;
        }
        match convert_member(member) {
            Ok(person) => {
                self.seen.insert(folded);
                self.persons.push(person);
            }
            Err(skipped) => self.skip(&folded, skipped, notes),
        }
    }

    fn skip(&mut self, folded: &str, skipped: SkipReason, notes: &mut FetchNotes) {
        if matches!(skipped, SkipReason::Userid) {
            // The member exists: a person who signed in with this userid must not leave because of
            // the bad record.
            self.present.insert(folded.to_owned());
            self.invalid_userids.insert(folded.to_owned());
        }
        if !self.noted.insert(folded.to_owned()) {
            return;
        }
        match skipped {
            // Members of linked corporations; the application was opened to them on purpose.
            SkipReason::Linked => {}
            SkipReason::Userid => notes.add(
                "fetch.userid_invalid",
                format!("The userid {:?} can stand for nobody (a blank, |, @all, or signs that do not show); the member is left out.", clean_text(folded.to_owned())),
            ),
        }
    }

    fn add_page(&mut self, page: LenientList<Member>, notes: &mut FetchNotes) {
        for member in page.items {
            self.add(member, notes);
        }
        for name in page.broken {
            self.add_broken(name.as_deref(), notes);
        }
    }

    /// Adds a record that cannot be understood; its member exists.
    pub(super) fn add_broken(&mut self, name: Option<&str>, notes: &mut FetchNotes) {
        match name {
            // Only ids of linked corporations contain a slash.
            Some(name) if name.contains('/') => self.skip(name, SkipReason::Linked, notes),
            Some(name) if is_valid_userid(name) => {
                let folded = UserId::new(name).folded();
                if self.noted.insert(folded.clone()) {
                    notes.add(
                        "fetch.member_broken",
                        format!(
                            "The record of the member {name} cannot be understood; the person stays as it is."
                        ),
                    );
                }
                self.present.insert(folded);
            }
            Some(name) => self.skip(&name.to_lowercase(), SkipReason::Userid, notes),
            None => {
                self.has_nameless_record = true;
                notes.add(
                    "fetch.member_nameless",
                    "A member's record cannot be understood and has no userid; nobody leaves in this run.",
                );
            }
        }
    }
}

/// Returns whether WeCom says that the member is not there for us: gone, or outside the visible
/// range.
pub(super) fn is_gone_error(error: &WecomError) -> bool {
    matches!(error.code(), Some(60011 | 60111))
}

impl FetchRun<'_> {
    /// Reads the members of each of `units`, with details.
    pub(super) async fn read_department_members(
        &mut self,
        which: SecretKind,
        units: &[RemoteUnit],
        members: &mut FetchedMembers,
    ) -> Result<(), FetchStop> {
        let ids: Vec<u32> = units.iter().map(|unit| unit.id).collect();
        self.progress.begin(SyncStep::Members, ids.len());
        let (mut large, mut unread) = (Vec::new(), Vec::new());
        let Self { caller, notes, progress, .. } = self;
        caller
            .call_each(
                "user/list",
                ids,
                |client, id, deadline| async move { client.members_of(which, id, deadline).await },
                |id, result| {
                    progress.advance();
                    match result {
                        Ok(page) => members.add_page(page, notes),
                        Err(error) if error.code() == Some(45029) => large.push(id),
                        Err(error) => unread.push((id, error)),
                    }
                },
            )
            .await;
        if which == SecretKind::Contacts
            && let Some(stop) = unread.iter().find_map(|(_, error)| FetchStop::from_contacts_error(error))
        {
            return Err(stop);
        }
        if !large.is_empty() {
            self.read_large_departments(which, large, members, &mut unread).await;
        }
        unread.sort_unstable_by_key(|(id, _)| *id);
        for (id, error) in unread {
            members.unread.insert(id);
            self.note_members_unread(id, units, &error);
        }
        Ok(())
    }

    /// Reads departments whose list is too large for WeCom (45029): first names, then details of
    /// everybody whom no other list showed.
    async fn read_large_departments(
        &mut self,
        which: SecretKind,
        large: Vec<u32>,
        members: &mut FetchedMembers,
        unread: &mut Vec<(u32, WecomError)>,
    ) {
        self.notes.add(
            "fetch.department_split",
            format!("WeCom's answer is too large for departments {large:?} (45029); their members were read one by one."),
        );
        let mut named: HashMap<String, UserId> = HashMap::new();
        let Self { caller, notes, .. } = self;
        caller
            .call_each(
                "user/simplelist",
                large,
                |client, id, deadline| async move { client.member_names_of(which, id, deadline).await },
                |id, result| match result {
                    Ok(page) => {
                        let ids = page.items.into_iter().map(|name| Some(name.userid)).chain(page.broken);
                        for id in ids {
                            match id.map(UserId::new) {
                                Some(id) if is_valid_userid(id.as_str()) => {
                                    named.entry(id.folded()).or_insert(id);
                                }
                                other => members.add_broken(other.as_ref().map(UserId::as_str), notes),
                            }
                        }
                    }
                    Err(error) => unread.push((id, error)),
                },
            )
            .await;
        let mut ids: Vec<UserId> = named
            .into_iter()
            .filter(|(folded, _)| !members.seen.contains(folded))
            .map(|(_, id)| id)
            .collect();
        ids.sort_unstable();
        self.read_singly(which, ids, members).await;
    }

    /// Queries each of `ids`; returns those that are not there for us.
    pub(super) async fn read_singly(
        &mut self,
        which: SecretKind,
        ids: Vec<UserId>,
        members: &mut FetchedMembers,
    ) -> Vec<UserId> {
        let mut gone = Vec::new();
        if ids.is_empty() {
            return gone;
        }
        self.progress.begin(SyncStep::Details, ids.len());
        let (mut failed, mut why) = (0_usize, None);
        let Self { caller, notes, progress, .. } = self;
        caller
            .call_each(
                "user/get",
                ids,
                |client, id, deadline| async move { client.listed_member(which, &id, deadline).await },
                |id, result| {
                    progress.advance();
                    match result {
                        Ok(member) => members.add(member, notes),
                        Err(error) if is_gone_error(&error) => gone.push(id),
                        Err(error) => {
                            failed += 1;
                            why.get_or_insert(error);
                            members.present.insert(id.folded());
                        }
                    }
                },
            )
            .await;
        if let Some(error) = why {
            self.notes.add(
                "fetch.details_unread",
                format!(
                    "The details of {failed} members were not read; these persons stay as they are. {}",
                    describe_error(&error)
                ),
            );
        }
        gone
    }

    /// Queries known members that no list showed: members who are visible only singly are in no
    /// list.
    pub(super) async fn read_missing(&mut self, which: SecretKind, members: &mut FetchedMembers) {
        let known = &self.known.persons;
        let mut missing: Vec<UserId> = known
            .iter()
            .filter(|(folded, units)| {
                // A member of a department that was not read is missing because of us, not because
                // of WeCom.
                !members.has(folded) && !units.iter().any(|id| members.unread.contains(id))
            })
            .map(|(folded, _)| UserId::new(folded.as_str()))
            .collect();
        if missing.len() > MAX_MISSING_QUERIES {
            self.note_many_missing(missing.len(), members);
            return;
        }
        missing.sort_unstable();
        self.read_singly(which, missing, members).await;
    }

    /// Notes that more members are missing than are queried. Nobody leaves because of it, unless an
    /// administrator forced the run.
    pub(super) fn note_many_missing(&mut self, count: usize, members: &mut FetchedMembers) {
        members.has_unasked_members |= !self.force;
        let so = if self.force { "they count as gone" } else { "nobody leaves in this run" };
        self.notes.add(
            "fetch.many_missing",
            format!(
                "{count} members who are known are in no list, more than are asked for one by one ({MAX_MISSING_QUERIES}); \
                 {so}. Is 「应用管理 → 应用 → 可见范围」 as it should be? If they are gone, run gongpai sync --force.",
            ),
        );
    }

    pub(super) fn is_few_enough_to_query(count: usize) -> bool {
        count <= MAX_MISSING_QUERIES
    }
}
