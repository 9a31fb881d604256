//! Reads departments.

use std::collections::HashSet;

use super::convert::keep_valid_userids;
use super::notes::describe_error;
use super::{FetchRun, FetchStop};
use crate::base::text::clean_text;
use crate::sync::progress::SyncStep;
use crate::sync::remote::RemoteUnit;
use crate::sync::state::FetchPart;
use crate::wecom::{Department, SecretKind, WecomError};

/// The departments that a secret may see.
#[derive(Debug)]
pub(super) struct FetchedUnits {
    /// Each department once.
    pub(super) list: Vec<RemoteUnit>,
    /// Whether these are all visible departments.
    pub(super) complete: bool,
}

const DEPARTMENT_LIST_API: &str = "department/list";

impl FetchRun<'_> {
    /// Reads every department that `which` may see: in one call, or one by one if the answer is too
    /// large for WeCom.
    pub(super) async fn read_units(&mut self, which: SecretKind) -> Result<FetchedUnits, FetchStop> {
        self.progress.begin(SyncStep::Departments, 1);
        let list =
            self.caller
                .call(DEPARTMENT_LIST_API, |client, deadline| async move {
                    client.departments(which, deadline).await
                })
                .await;
        let (list, broken) = match list {
            Ok(list) => (list.items, list.broken),
            Err(error) if error.code() == Some(45029) => self.read_units_singly(which).await?,
            Err(error) => return Err(departments_stop(which, error)),
        };
        self.progress.advance();
        // Departments of linked corporations are not ours; their ids look like `LINKEDID/1`.
        let broken: Vec<_> =
            broken.into_iter().filter(|id| id.as_ref().is_none_or(|id| !id.contains('/'))).collect();
        for id in &broken {
            let which = id.as_deref().unwrap_or("without an id");
            self.notes.add(
                "fetch.department_broken",
                format!(
                    "The record of a department ({}) cannot be understood; it stays as it is.",
                    clean_text(which.to_owned())
                ),
            );
        }
        let empty = list.is_empty() && !self.known.units.is_empty();
        if empty {
            self.notes.add(
                "fetch.empty",
                format!(
                    "WeCom showed no department, and {} are known; nothing is removed. Look at \
                     「应用管理 → 应用 → 可见范围」.",
                    self.known.units.len(),
                ),
            );
        }
        Ok(FetchedUnits { complete: broken.is_empty() && !empty, list: self.convert_departments(list) })
    }

    /// Reads `department/simplelist`, then `department/get` for each id. Ids that were not read
    /// count as broken.
    async fn read_units_singly(
        &mut self,
        which: SecretKind,
    ) -> Result<(Vec<Department>, Vec<Option<String>>), FetchStop> {
        let nodes = self
            .caller
            .call("department/simplelist", |client, deadline| async move {
                client.department_nodes(which, deadline).await
            })
            .await
            .map_err(|error| departments_stop(which, error))?;
        let mut broken = nodes.broken;
        let ids: Vec<u32> = nodes.items.into_iter().map(|node| node.id).collect();
        self.progress.begin(SyncStep::Departments, ids.len());
        let (mut list, mut unread) = (Vec::with_capacity(ids.len()), Vec::new());
        let progress = self.progress;
        self.caller
            .call_each(
                "department/get",
                ids,
                |client, id, deadline| async move { client.department(which, id, deadline).await },
                |id, result| {
                    progress.advance();
                    match result {
                        Ok(department) => list.push(department),
                        Err(error) => unread.push((id, error)),
                    }
                },
            )
            .await;
        // Not a single department could be read: that is no partial success.
        if let (true, Some((_, error))) = (list.is_empty(), unread.first()) {
            return Err(departments_stop(which, error.clone()));
        }
        for (id, error) in unread {
            self.note_unread("fetch.department_unread", &format!("Department {id} was"), &error);
            broken.push(Some(id.to_string()));
        }
        Ok((list, broken))
    }

    fn convert_departments(&mut self, list: Vec<Department>) -> Vec<RemoteUnit> {
        let mut seen = HashSet::new();
        let mut units = Vec::with_capacity(list.len());
        for department in list {
            let Department { id, name, name_en, parentid, order, leaders } = department;
            if !seen.insert(id) {
                self.notes.add(
                    "fetch.department_twice",
                    format!("WeCom listed department {id} twice; the first record counts."),
                );
                continue;
            }
            let name = Some(clean_text(name))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| self.fallback_name(id));
            units.push(RemoteUnit {
                id,
                parent: parentid,
                name,
                name_en: clean_text(name_en.unwrap_or_default()),
                order,
                leaders: keep_valid_userids(leaders),
            });
        }
        units
    }

    /// Returns a name where WeCom shows none: the known one, else the id.
    fn fallback_name(&mut self, id: u32) -> String {
        let known = self.known.units.get(&id).map(|unit| unit.name.clone()).filter(|name| !name.is_empty());
        self.notes.add(
            "fetch.department_nameless",
            match &known {
                Some(name) => format!("WeCom shows no name of department {id}; it stays 「{name}」."),
                None => format!("WeCom shows no name of department {id}; its id stands in."),
            },
        );
        known.unwrap_or_else(|| id.to_string())
    }

    pub(super) fn note_members_unread(&mut self, id: u32, units: &[RemoteUnit], error: &WecomError) {
        let name = units.iter().find(|unit| unit.id == id).map_or("", |unit| unit.name.as_str());
        self.notes.add(
            "fetch.department_unread",
            format!(
                "The members of department {id} 「{name}」 were not read; nobody leaves because of it. {}",
                describe_error(error)
            ),
        );
    }
}

/// Builds the stop for a failed list of departments. Without it a fetch cannot continue, except in
/// the mode that the answer suggests.
fn departments_stop(which: SecretKind, error: WecomError) -> FetchStop {
    let learnt = if which == SecretKind::Contacts { FetchStop::from_contacts_error(&error) } else { None };
    learnt.unwrap_or_else(|| FetchStop::failed(FetchPart::Departments, which, error))
}
