//! Checks WeCom's directory: how these secrets read it, which fields they show, and how much of the
//! company.
//!
//! It makes a handful of calls that read, one after the other, and only with secrets that were
//! found to be of the right kind.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::level::FindingLevel;
use super::secrets::UsableSecrets;
use super::words::FindingKind;
use crate::config::LinkField;
use crate::wecom::{Deadline, DepartmentId, ErrorFamily, Member, SecretKind, WecomClient, WecomError};

/// The time limit for all calls together.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(15);

/// Up to this many departments, all their members are counted. Of more departments, this many are
/// searched for a member whose fields can be read.
const MAX_COUNTED_DEPARTMENTS: usize = 10;

/// The largest page of ids that WeCom returns (document 96067).
const ID_PAGE_SIZE: u32 = 10_000;

/// The number of pages of ids that are read. The size of a larger company is reported as "at
/// least".
const MAX_ID_PAGES: usize = 5;

/// How departments and members are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DirectoryAccess {
    /// The 通讯录同步 secret reads everything.
    Contacts,
    /// The 通讯录同步 secret reads ids, and the application's secret reads the details that it may see.
    Ids,
    /// The application's secret reads what it may see.
    Visible,
}

/// What was read from the visible departments.
#[derive(Debug, Default)]
struct VisibleMembers {
    members: HashSet<String>,
    fields: BTreeSet<MemberField>,
    /// Whether every visible department was read.
    all: bool,
}

/// The fields that runs read from a member besides the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MemberField {
    Mobile,
    Email,
    Position,
    Alias,
    Attributes,
}

impl MemberField {
    const ALL: [Self; 5] = [Self::Mobile, Self::Email, Self::Position, Self::Alias, Self::Attributes];

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Mobile => ("手机", "mobile"),
            Self::Email => ("邮箱", "email"),
            Self::Position => ("职务", "position"),
            Self::Alias => ("别名", "alias"),
            Self::Attributes => ("扩展属性", "extension attributes"),
        }
    }

    fn is_in(self, member: &Member) -> bool {
        match self {
            Self::Mobile => member.mobile.is_some(),
            Self::Email => member.email.is_some() || member.biz_mail.is_some(),
            Self::Position => member.position.is_some(),
            Self::Alias => member.alias.is_some(),
            Self::Attributes => !member.attributes.is_empty(),
        }
    }
}

pub(super) async fn check_directory(subject: &DoctorSubject, usable: UsableSecrets) -> Vec<DoctorFinding> {
    let (Ok(client), true) = (&subject.client, usable.app) else { return Vec::new() };
    let deadline = Deadline::after(DIRECTORY_TIMEOUT);
    let mut findings = Vec::new();
    let way = if usable.contacts {
        find_access(client, deadline, &mut findings).await
    } else {
        DirectoryAccess::Visible
    };
    findings.push(match way {
        DirectoryAccess::Contacts => DoctorFinding::new(FindingKind::DirectoryContacts, &[]),
        DirectoryAccess::Ids => DoctorFinding::new(FindingKind::DirectoryIds, &[]),
        DirectoryAccess::Visible => DoctorFinding::new(FindingKind::DirectoryVisible, &[]),
    });
    let nodes = match client.department_nodes(SecretKind::App, deadline).await {
        Ok(nodes) => nodes,
        Err(error) => {
            findings.push(unread_finding(SecretKind::App, &error));
            return findings;
        }
    };
    if nodes.items.is_empty() && nodes.broken.is_empty() {
        findings.push(DoctorFinding::new(FindingKind::DirectoryRangeEmpty, &[]));
        return findings;
    }
    let visible: Vec<u32> = nodes.items.iter().map(|node| node.id).collect();
    let seen = match read_members(client, SecretKind::App, &visible, deadline).await {
        Ok(seen) => seen,
        Err(error) => {
            findings.push(unread_finding(SecretKind::App, &error));
            return findings;
        }
    };
    let whole =
        if usable.contacts { measure_company(client, &visible, deadline).await.map(Some) } else { Ok(None) };
    match whole {
        Ok(Some(company)) => findings.push(company.finding()),
        Ok(None) => findings.push(range_finding(&visible, &seen)),
        Err(error) => {
            findings.extend([unread_finding(SecretKind::Contacts, &error), range_finding(&visible, &seen)]);
        }
    }
    findings.push(fields_finding(&seen));
    // Where the 通讯录同步 secret reads the details, a run has them whatever the application may see.
    if way != DirectoryAccess::Contacts {
        findings.extend(link_by_finding(&subject.config.directory.link_by, &seen));
    }
    findings
}

/// Finds out what the 通讯录同步 secret reads.
async fn find_access(
    client: &WecomClient,
    deadline: Deadline,
    findings: &mut Vec<DoctorFinding>,
) -> DirectoryAccess {
    match client.departments(SecretKind::Contacts, deadline).await {
        Ok(_) => DirectoryAccess::Contacts,
        Err(error) if error.code() == Some(48009) => DirectoryAccess::Ids,
        Err(error) => {
            if error.code() != Some(48002) {
                findings.push(unread_finding(SecretKind::Contacts, &error));
            }
            DirectoryAccess::Visible
        }
    }
}

/// Reads members of the departments: of all if they are few, otherwise of the first ones until a
/// member is found.
async fn read_members(
    client: &WecomClient,
    which: SecretKind,
    departments: &[u32],
    deadline: Deadline,
) -> Result<VisibleMembers, WecomError> {
    let few = departments.len() <= MAX_COUNTED_DEPARTMENTS;
    let mut seen = VisibleMembers { all: few, ..VisibleMembers::default() };
    for department in departments.iter().take(MAX_COUNTED_DEPARTMENTS) {
        match client.members_of(which, *department, deadline).await {
            Ok(list) => {
                for member in &list.items {
                    seen.members.insert(member.userid.folded());
                    seen.fields.extend(MemberField::ALL.into_iter().filter(|field| field.is_in(member)));
                }
            }
            // The department is too large for one answer, or has just left the range: another one
            // will do.
            Err(error) if matches!(error.code(), Some(45029 | 60011 | 60003)) => seen.all = false,
            Err(error) => return Err(error),
        }
        if !few && !seen.members.is_empty() {
            return Ok(seen);
        }
    }
    Ok(seen)
}

fn range_finding(visible: &[u32], seen: &VisibleMembers) -> DoctorFinding {
    let units = visible.len().to_string();
    let members = seen.members.len().to_string();
    if seen.all {
        DoctorFinding::new(
            FindingKind::DirectoryRangeCounted,
            &[untranslated("units", &units), untranslated("members", &members)],
        )
    } else {
        DoctorFinding::new(FindingKind::DirectoryRange, &[untranslated("units", &units)])
    }
}

/// The size of the company, and how much of it is visible.
#[derive(Debug)]
struct CompanySize {
    visible_units: usize,
    units: usize,
    visible_members: usize,
    members: usize,
    /// Whether there are more members than were read.
    more: bool,
}

impl CompanySize {
    fn finding(&self) -> DoctorFinding {
        let (seen, units) = (self.visible_units.to_string(), self.units.to_string());
        let (some, members) = (self.visible_members.to_string(), self.members.to_string());
        let (zh, en) = if self.more { ("至少 ", "at least ") } else { ("", "") };
        let values = [
            untranslated("seen", &seen),
            untranslated("units", &units),
            untranslated("some", &some),
            untranslated("members", &members),
            ("least", zh, en),
        ];
        // Every member is in a department, so whoever sees all departments sees everybody.
        let kind = if self.visible_units >= self.units {
            FindingKind::DirectoryRangeWhole
        } else {
            FindingKind::DirectoryRangePart
        };
        DoctorFinding::new(kind, &values)
    }
}

/// Measures the company with the 通讯录同步 secret.
async fn measure_company(
    client: &WecomClient,
    visible: &[u32],
    deadline: Deadline,
) -> Result<CompanySize, WecomError> {
    let visible: HashSet<u32> = visible.iter().copied().collect();
    let nodes = client.department_nodes(SecretKind::Contacts, deadline).await?;
    let units: HashSet<u32> = nodes.items.iter().map(|node| node.id).collect();
    let (mut members, mut some) = (HashSet::new(), HashSet::new());
    let (mut cursor, mut more) = (None, true);
    for _ in 0..MAX_ID_PAGES {
        let page = client.member_ids(cursor.as_deref(), ID_PAGE_SIZE, deadline).await?;
        for one in page.dept_user.items {
            let Some(userid) = one.userid.or(one.open_userid) else { continue };
            if matches!(one.department, DepartmentId::Own(id) if visible.contains(&id)) {
                some.insert(userid.clone());
            }
            members.insert(userid);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            more = false;
            break;
        }
    }
    Ok(CompanySize {
        visible_units: units.intersection(&visible).count(),
        units: units.len(),
        visible_members: some.len(),
        members: members.len(),
        more,
    })
}

/// Joins the names of fields in both languages, or says "none".
fn join_names(fields: impl Iterator<Item = MemberField>) -> (String, String) {
    let (zh, en): (Vec<_>, Vec<_>) = fields.map(MemberField::names).unzip();
    if zh.is_empty() { ("无".to_owned(), "none".to_owned()) } else { (zh.join("、"), en.join(", ")) }
}

fn fields_finding(seen: &VisibleMembers) -> DoctorFinding {
    if seen.members.is_empty() {
        return DoctorFinding::new(FindingKind::DirectoryFieldsUnknown, &[]);
    }
    let (zh, en) = join_names(seen.fields.iter().copied());
    let (no_zh, no_en) =
        join_names(MemberField::ALL.into_iter().filter(|field| !seen.fields.contains(field)));
    DoctorFinding::new(FindingKind::DirectoryFields, &[("fields", &zh, &en), ("unseen", &no_zh, &no_en)])
}

/// Reports the fields of `directory.link_by` that no member was seen to have.
fn link_by_finding(link_by: &[LinkField], seen: &VisibleMembers) -> Option<DoctorFinding> {
    let hidden = |by: &LinkField| match by {
        LinkField::Mobile => !seen.fields.contains(&MemberField::Mobile),
        LinkField::Email => !seen.fields.contains(&MemberField::Email),
        LinkField::Userid | LinkField::EmployeeNumber => false,
    };
    let blind: Vec<_> = link_by.iter().filter(|by| hidden(by)).map(|by| by.as_str()).collect();
    if blind.is_empty() || seen.members.is_empty() {
        return None;
    }
    let fields = blind.join(", ");
    // The default names every field, and persons are still recognised by the others.
    let level = if blind.len() == link_by.len() { FindingLevel::Warn } else { FindingLevel::Ok };
    Some(
        DoctorFinding::new(FindingKind::DirectoryLinkBy, &[untranslated("fields", &fields)])
            .with_level(level),
    )
}

fn unread_finding(which: SecretKind, error: &WecomError) -> DoctorFinding {
    let (key, why) = (format!("wecom.{which}"), error.to_string());
    let passes = matches!(error.family(), ErrorFamily::Busy | ErrorFamily::Retry | ErrorFamily::Upstream);
    let level = if which == SecretKind::App && !passes { FindingLevel::Broken } else { FindingLevel::Warn };
    DoctorFinding::new(FindingKind::DirectoryUnread, &[untranslated("key", &key), untranslated("why", &why)])
        .with_level(level)
}
