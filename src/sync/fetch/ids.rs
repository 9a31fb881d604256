//! The way by ids: who there is from the 通讯录同步 secret, details from the application's.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::caller::concerns_everything;
use super::convert::{is_userid, own};
use super::members::Members;
use super::notes::because;
use super::units::Units;
use super::{Read, Run, Stop};
use crate::base::id::UserId;
use crate::sync::remote::Complete;
use crate::wecom::{SecretKind, wire};

/// The most rows a page may have (document 96067).
const ROWS_A_PAGE: u32 = 10_000;

/// The list is begun anew at most this often after 50100.
const RESTARTS: usize = 3;

/// Members unknown to us whom no department shows are asked for singly, up to this many.
const STRANGERS_ASKED: usize = 1_000;

/// The complete list of ids.
#[derive(Debug, Default)]
struct Ids {
    /// Folded userid → the userid as WeCom writes it, and every department of the member, visible or not.
    members: HashMap<String, (UserId, BTreeSet<u32>)>,
    /// Userids of rows that cannot be understood.
    broken: Vec<Option<String>>,
}

impl Ids {
    fn page(&mut self, page: wire::Sifted<wire::DepartmentMember>) {
        self.broken.extend(page.broken);
        for row in page.items {
            let Some(department) = own(&row.department) else { continue };
            match row.userid {
                Some(id) if is_userid(&id) => {
                    let id = UserId::new(id);
                    self.members
                        .entry(id.folded())
                        .or_insert_with(|| (id, BTreeSet::new()))
                        .1
                        .insert(department);
                }
                // A service provider's id names nobody here.
                other => self.broken.push(other),
            }
        }
    }
}

impl Run<'_> {
    /// Ids with the 通讯录同步 secret, departments and details with the application's.
    pub(super) async fn by_ids(&mut self) -> Result<Read, Stop> {
        let units = self.units(SecretKind::App).await?;
        self.compare_departments(&units).await?;
        let mut members = Members::default();
        let Some(mut ids) = self.ids().await? else {
            self.lists(SecretKind::App, &units.list, &mut members).await?;
            let complete = Complete { units: units.complete, ..Complete::default() };
            return Ok(Read { units, members, complete });
        };
        for name in std::mem::take(&mut ids.broken) {
            members.broken(name.as_deref(), &mut self.notes);
        }
        let visible: HashSet<u32> = units.list.iter().map(|unit| unit.id).collect();
        // An update, too: the list of ids does not say who was disabled.
        self.lists(SecretKind::App, &units.list, &mut members).await?;
        let shown = members.count();
        for (folded, (_, departments)) in &ids.members {
            if departments.iter().any(|id| members.unread.contains(id)) {
                members.present.insert(folded.clone());
            }
        }
        self.stragglers(&ids, &visible, &mut members).await;
        let complete = self.completeness(&units, &members, shown);
        Ok(Read { units, members, complete })
    }

    /// Tells how many departments the application cannot see.
    async fn compare_departments(&mut self, units: &Units) -> Result<(), Stop> {
        let nodes = self
            .caller
            .one("department/simplelist", |client, deadline| async move {
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
            Err(error) if error.code() == Some(48002) => Err(Stop::Applications),
            Err(error) if concerns_everything(&error) => {
                Err(Stop::failed("the company's list of departments", SecretKind::Contacts, error))
            }
            Err(error) => {
                self.note_unread("fetch.nodes_unread", "The company's list of departments was", &error);
                Ok(())
            }
        }
    }

    /// The complete list of ids; `None` if it cannot be read to its end.
    async fn ids(&mut self) -> Result<Option<Ids>, Stop> {
        for _ in 0..=RESTARTS {
            let mut ids = Ids::default();
            let mut cursor: Option<String> = None;
            let mut passed = HashSet::new();
            loop {
                let page = self.caller.one("user/list_id", |client, deadline| {
                    let cursor = cursor.clone();
                    async move { client.member_ids(cursor.as_deref(), ROWS_A_PAGE, deadline).await }
                });
                let page = match page.await {
                    Ok(page) => page,
                    Err(error) => match error.code() {
                        // The cursor is too old or was never one; from the beginning.
                        Some(50100) => break,
                        Some(48002) => return Err(Stop::Applications),
                        _ if concerns_everything(&error) => {
                            return Err(Stop::failed("the list of ids", SecretKind::Contacts, error));
                        }
                        _ => {
                            self.notes.add(
                                "fetch.ids_unread",
                                format!(
                                    "The list of ids was not read; nobody leaves in this run. {}",
                                    because(&error)
                                ),
                            );
                            return Ok(None);
                        }
                    },
                };
                ids.page(page.dept_user);
                match page.next_cursor {
                    None => return Ok(self.believe(ids)),
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

    /// An empty list is not believed where we know better.
    fn believe(&mut self, ids: Ids) -> Option<Ids> {
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

    /// Whoever the list of ids has and no department showed.
    async fn stragglers(&mut self, ids: &Ids, visible: &HashSet<u32>, members: &mut Members) {
        let mut known: Vec<UserId> = ids
            .members
            .iter()
            .filter(|(folded, _)| self.known.persons.contains_key(*folded) && !members.has(folded))
            .map(|(_, (id, _))| id.clone())
            .collect();
        known.sort_unstable();
        let asked: HashSet<String> = known.iter().map(UserId::folded).collect();
        let mut hidden = 0;
        if Self::asks(known.len()) {
            hidden += self.singly(SecretKind::App, known, members).await.len();
        } else {
            // The complete list has them: that they are there is certain, only their details are not.
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
        hidden += self.strangers(ids, &asked, visible, members).await;
        self.note_hidden(hidden);
        self.left(ids, members).await;
    }

    /// Asks for members unknown to us who are in nothing that was read, those in visible departments first. How many
    /// of them the application cannot see.
    async fn strangers(
        &mut self,
        ids: &Ids,
        asked: &HashSet<String>,
        visible: &HashSet<u32>,
        members: &mut Members,
    ) -> usize {
        let mut strangers: Vec<(bool, UserId)> = ids
            .members
            .iter()
            .filter(|(folded, _)| {
                !self.known.persons.contains_key(*folded) && !members.has(folded) && !asked.contains(*folded)
            })
            .map(|(_, (id, departments))| (!departments.iter().any(|id| visible.contains(id)), id.clone()))
            .collect();
        strangers.sort_unstable();
        let more = strangers.len().saturating_sub(STRANGERS_ASKED);
        if more > 0 {
            self.notes.add(
                "fetch.not_asked",
                format!(
                    "{more} more members of the company are in no department that the application sees; they were not \
                     asked for. Its range is changed at 「应用管理 → 应用 → 可见范围」.",
                ),
            );
        }
        let strangers = strangers.into_iter().take(STRANGERS_ASKED).map(|(_, id)| id).collect();
        self.singly(SecretKind::App, strangers, members).await.len()
    }

    /// Members whom we know and the list of ids does not have: asked for before they count as gone.
    async fn left(&mut self, ids: &Ids, members: &mut Members) {
        let mut left: Vec<UserId> = self
            .known
            .persons
            .keys()
            .filter(|folded| !ids.members.contains_key(*folded) && !members.has(folded))
            .map(|folded| UserId::new(folded.as_str()))
            .collect();
        if !Self::asks(left.len()) {
            self.too_many_missing(left.len(), members);
            return;
        }
        left.sort_unstable();
        self.singly(SecretKind::App, left, members).await;
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
