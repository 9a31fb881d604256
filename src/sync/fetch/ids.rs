//! Reads by ids: the contacts secret lists who exists, the application's secret reads details.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::caller::concerns_everything;
use super::convert::{is_valid_userid, own_department_id};
use super::members::FetchedMembers;
use super::notes::describe_error;
use super::units::FetchedUnits;
use super::{FetchRun, FetchStop, FetchedParts};
use crate::base::id::UserId;
use crate::sync::remote::Completeness;
use crate::sync::state::FetchPart;
use crate::wecom::{SecretKind, wire};

/// WeCom's maximum (document 96067).
const PAGE_ROWS: u32 = 10_000;

/// How often the list is begun again after 50100.
const MAX_LIST_RESTARTS: usize = 3;

/// Unknown members that no department shows are queried singly, up to this many.
const MAX_STRANGER_QUERIES: usize = 1_000;

/// The complete list of ids.
#[derive(Debug, Default)]
struct MemberIdList {
    /// Folded userid to the userid as WeCom writes it and all the member's departments, visible or
    /// not.
    members: HashMap<String, (UserId, BTreeSet<u32>)>,
    /// Userids of rows that cannot be understood.
    broken: Vec<Option<String>>,
}

impl MemberIdList {
    fn add_page(&mut self, page: wire::LenientList<wire::DepartmentMember>) {
        self.broken.extend(page.broken);
        for row in page.items {
            let Some(department) = own_department_id(&row.department) else { continue };
            match row.userid {
                Some(id) if is_valid_userid(&id) => {
                    let id = UserId::new(id);
                    self.members
                        .entry(id.folded())
                        .or_insert_with(|| (id, BTreeSet::new()))
                        .1
                        .insert(department);
                }
                // A service provider's id identifies nobody here.
                other => self.broken.push(other),
            }
        }
    }
}

impl FetchRun<'_> {
    /// Reads ids with the contacts secret, departments and details with the application's.
    pub(super) async fn read_by_ids(&mut self) -> Result<FetchedParts, FetchStop> {
        let units = self.read_units(SecretKind::App).await?;
        self.compare_departments(&units).await?;
        let mut members = FetchedMembers::default();
        // Without the list of ids nobody leaves, but the visible departments are still brought up
        // to date.
        let Some(mut ids) = self.read_ids().await? else {
            self.read_department_members(SecretKind::App, &units.list, &mut members).await?;
            let complete = Completeness { units: units.complete, ..Completeness::default() };
            return Ok(FetchedParts { units, members, complete });
        };
        for name in std::mem::take(&mut ids.broken) {
            members.add_broken(name.as_deref(), &mut self.notes);
        }
        let visible: HashSet<u32> = units.list.iter().map(|unit| unit.id).collect();
        // Updates read lists too: the list of ids does not say who was disabled.
        self.read_department_members(SecretKind::App, &units.list, &mut members).await?;
        let shown = members.count();
        for (folded, (_, departments)) in &ids.members {
            // Their list failed, but the list of ids proves that they exist.
            if departments.iter().any(|id| members.unread.contains(id)) {
                members.present.insert(folded.clone());
            }
        }
        self.read_unlisted(&ids, &visible, &mut members).await;
        let complete = self.completeness(&units, &members, shown);
        Ok(FetchedParts { units, members, complete })
    }

    /// Notes how many departments the application cannot see.
    async fn compare_departments(&mut self, units: &FetchedUnits) -> Result<(), FetchStop> {
        let nodes = self
            .caller
            .call("department/simplelist", |client, deadline| async move {
                client.department_nodes(SecretKind::Contacts, deadline).await
            })
            .await;
        match nodes {
            Ok(nodes) => {
                let visible: HashSet<u32> = units.list.iter().map(|unit| unit.id).collect();
                let hidden = nodes.items.iter().filter(|node| !visible.contains(&node.id)).count();
                if hidden > 0 {
                    self.notes.add(
                        "fetch.departments_not_visible",
                        format!(
                            "The application's visible range does not cover {hidden} departments of the company; they are \
                             not units here. It is changed at 「应用管理 → 应用 → 可见范围」.",
                        ),
                    );
                }
                Ok(())
            }
            Err(error) if error.code() == Some(48002) => Err(FetchStop::AppSecret),
            Err(error) if concerns_everything(&error) => {
                Err(FetchStop::failed(FetchPart::CompanyDepartments, SecretKind::Contacts, error))
            }
            Err(error) => {
                self.note_unread("fetch.nodes_unread", "The company's list of departments was", &error);
                Ok(())
            }
        }
    }

    /// Reads the complete list of ids; `None` if it cannot be read to its end.
    async fn read_ids(&mut self) -> Result<Option<MemberIdList>, FetchStop> {
        for _ in 0..=MAX_LIST_RESTARTS {
            let mut ids = MemberIdList::default();
            let mut cursor: Option<String> = None;
            let mut passed = HashSet::new();
            loop {
                let page = self.caller.call("user/list_id", |client, deadline| {
                    let cursor = cursor.clone();
                    async move { client.member_ids(cursor.as_deref(), PAGE_ROWS, deadline).await }
                });
                let page = match page.await {
                    Ok(page) => page,
                    Err(error) => match error.code() {
                        // The cursor has expired or is invalid: begin again.
                        Some(50100) => break,
                        Some(48002) => return Err(FetchStop::AppSecret),
                        _ if concerns_everything(&error) => {
                            return Err(FetchStop::failed(FetchPart::MemberIds, SecretKind::Contacts, error));
                        }
                        _ => {
                            self.notes.add(
                                "fetch.ids_unread",
                                format!(
                                    "The list of ids was not read; nobody leaves in this run. {}",
                                    describe_error(&error)
                                ),
                            );
                            return Ok(None);
                        }
                    },
                };
                ids.add_page(page.dept_user);
                match page.next_cursor {
                    None => return Ok(self.accept_ids(ids)),
                    // A cursor that comes twice would never end.
                    Some(next) if passed.insert(next.clone()) => cursor = Some(next),
                    Some(_) => {
                        self.notes.add(
                            "fetch.ids_unread",
                            "The list of ids goes round in circles (a cursor came twice); nobody leaves in this run.",
                        );
                        return Ok(None);
                    }
                }
            }
        }
        self.notes.add(
            "fetch.ids_unread",
            "The list of ids was not read to its end, because WeCom kept refusing its cursor (50100); nobody leaves in \
             this run.",
        );
        Ok(None)
    }

    /// Returns `None` for an empty list if we know members: then it is not believed.
    fn accept_ids(&mut self, ids: MemberIdList) -> Option<MemberIdList> {
        if !ids.members.is_empty() || self.known.persons.is_empty() {
            return Some(ids);
        }
        self.notes.add(
            "fetch.empty",
            format!(
                "The list of ids is empty, and {} members are known; nobody leaves.",
                self.known.persons.len()
            ),
        );
        None
    }

    /// Queries members in the list of ids that no department showed.
    async fn read_unlisted(
        &mut self,
        ids: &MemberIdList,
        visible: &HashSet<u32>,
        members: &mut FetchedMembers,
    ) {
        let mut known: Vec<UserId> = ids
            .members
            .iter()
            .filter(|(folded, _)| self.known.persons.contains_key(*folded) && !members.has(folded))
            .map(|(_, (id, _))| id.clone())
            .collect();
        known.sort_unstable();
        let asked: HashSet<String> = known.iter().map(UserId::folded).collect();
        let mut hidden = 0;
        if Self::is_few_enough_to_query(known.len()) {
            hidden += self.read_singly(SecretKind::App, known, members).await.len();
        } else {
            // They exist, because the complete list names them; only their details are unknown.
            members.present.extend(known.iter().map(UserId::folded));
            self.notes.add(
                "fetch.details_unread",
                format!(
                    "The details of {} members were not read: they are in no department that the application sees, and too \
                     many to be asked for one by one. These persons stay as they are.",
                    known.len()
                ),
            );
        }
        hidden += self.read_strangers(ids, &asked, visible, members).await;
        self.note_hidden(hidden);
        self.read_left(ids, members).await;
    }

    /// Queries unknown members that nothing showed, those in visible departments first. Returns how
    /// many of them the application cannot see.
    async fn read_strangers(
        &mut self,
        ids: &MemberIdList,
        asked: &HashSet<String>,
        visible: &HashSet<u32>,
        members: &mut FetchedMembers,
    ) -> usize {
        let mut strangers: Vec<(bool, UserId)> = ids
            .members
            .iter()
            .filter(|(folded, _)| {
                !self.known.persons.contains_key(*folded) && !members.has(folded) && !asked.contains(*folded)
            })
            .map(|(_, (id, departments))| (!departments.iter().any(|id| visible.contains(id)), id.clone()))
            .collect();
        // Sorts `false` first: members of visible departments are the likelier ones.
        strangers.sort_unstable();
        let more = strangers.len().saturating_sub(MAX_STRANGER_QUERIES);
        if more > 0 {
            self.notes.add(
                "fetch.not_asked",
                format!(
                    "{more} more members of the company are in no department that the application sees; they were not \
                     asked for. Its range is changed at 「应用管理 → 应用 → 可见范围」.",
                ),
            );
        }
        let strangers = strangers.into_iter().take(MAX_STRANGER_QUERIES).map(|(_, id)| id).collect();
        self.read_singly(SecretKind::App, strangers, members).await.len()
    }

    /// Queries known members that are not in the list of ids, before they count as gone.
    async fn read_left(&mut self, ids: &MemberIdList, members: &mut FetchedMembers) {
        let mut left: Vec<UserId> = self
            .known
            .persons
            .keys()
            .filter(|folded| !ids.members.contains_key(*folded) && !members.has(folded))
            .map(|folded| UserId::new(folded.as_str()))
            .collect();
        if !Self::is_few_enough_to_query(left.len()) {
            self.note_many_missing(left.len(), members);
            return;
        }
        left.sort_unstable();
        self.read_singly(SecretKind::App, left, members).await;
    }

    fn note_hidden(&mut self, count: usize) {
        if count > 0 {
            self.notes.add(
                "fetch.not_visible",
                format!(
                    "The application's visible range does not cover {count} members of the company; they are not persons \
                     here and cannot sign in. It is changed at 「应用管理 → 应用 → 可见范围」.",
                ),
            );
        }
    }
}
