//! WeCom's directory: which way these secrets read it, which fields they show, and how much of the company.
//!
//! A handful of calls that read, one after the other, and only with secrets that were found to be what they should be:
//! a wrong one is never asked for again.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::Subject;
use super::finding::{Finding, Level, same};
use super::secrets::Usable;
use super::words::Row;
use crate::config::LinkBy;
use crate::wecom::{Client, Deadline, DepartmentId, Error, Family, Member, SecretKind};

/// How long all of this may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// With so few departments their members are counted; of more, so many are looked at for somebody to read fields of.
const FEW: usize = 10;

/// The longest page of ids that WeCom gives (document 96067).
const PAGE: u32 = 10_000;

/// So many pages of ids are read; a company of more is "more than".
const PAGES: usize = 5;

/// Which way the departments and members are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// 通讯录同步 reads everything.
    Contacts,
    /// 通讯录同步 gives ids, the application's secret what it sees of them.
    Ids,
    /// The application's secret alone.
    Visible,
}

/// What was read of the departments that are visible.
#[derive(Debug, Default)]
struct Seen {
    members: HashSet<String>,
    fields: BTreeSet<Field>,
    /// Whether every department was looked at.
    all: bool,
}

/// What runs want to know of a member beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Mobile,
    Email,
    Position,
    Alias,
    Attributes,
}

impl Field {
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

pub(super) async fn check(subject: &Subject, usable: Usable) -> Vec<Finding> {
    let (Ok(client), true) = (&subject.client, usable.app) else { return Vec::new() };
    let deadline = Deadline::after(PATIENCE);
    let mut findings = Vec::new();
    let way = if usable.contacts { way(client, deadline, &mut findings).await } else { Way::Visible };
    findings.push(match way {
        Way::Contacts => Finding::new(Row::DirectoryContacts, &[]),
        Way::Ids => Finding::new(Row::DirectoryIds, &[]),
        Way::Visible => Finding::new(Row::DirectoryVisible, &[]),
    });
    let nodes = match client.department_nodes(SecretKind::App, deadline).await {
        Ok(nodes) => nodes,
        Err(error) => {
            findings.push(unread(SecretKind::App, &error));
            return findings;
        }
    };
    if nodes.items.is_empty() && nodes.broken.is_empty() {
        findings.push(Finding::new(Row::DirectoryRangeEmpty, &[]));
        return findings;
    }
    let visible: Vec<u32> = nodes.items.iter().map(|node| node.id).collect();
    let seen = match look(client, SecretKind::App, &visible, deadline).await {
        Ok(seen) => seen,
        Err(error) => {
            findings.push(unread(SecretKind::App, &error));
            return findings;
        }
    };
    let whole = if usable.contacts { company(client, &visible, deadline).await.map(Some) } else { Ok(None) };
    match whole {
        Ok(Some(company)) => findings.push(company.finding()),
        Ok(None) => findings.push(range(&visible, &seen)),
        Err(error) => findings.extend([unread(SecretKind::Contacts, &error), range(&visible, &seen)]),
    }
    findings.push(fields(&seen));
    // Where 通讯录同步 reads the details, a run has them whatever the application may see.
    if way != Way::Contacts {
        findings.extend(linking(&subject.config.directory.link_by, &seen));
    }
    findings
}

/// What the 通讯录同步 secret reads.
async fn way(client: &Client, deadline: Deadline, findings: &mut Vec<Finding>) -> Way {
    match client.departments(SecretKind::Contacts, deadline).await {
        Ok(_) => Way::Contacts,
        Err(error) if error.code() == Some(48009) => Way::Ids,
        Err(error) => {
            if error.code() != Some(48002) {
                findings.push(unread(SecretKind::Contacts, &error));
            }
            Way::Visible
        }
    }
}

/// Members of the departments: of all, if there are few, else of the first ones until somebody is found.
async fn look(
    client: &Client,
    which: SecretKind,
    departments: &[u32],
    deadline: Deadline,
) -> Result<Seen, Error> {
    let few = departments.len() <= FEW;
    let mut seen = Seen { all: few, ..Seen::default() };
    for department in departments.iter().take(FEW) {
        match client.members_of(which, *department, deadline).await {
            Ok(list) => {
                for member in &list.items {
                    seen.members.insert(member.userid.folded());
                    seen.fields.extend(Field::ALL.into_iter().filter(|field| field.is_in(member)));
                }
            }
            // Too large for one answer, or out of the range since a moment ago: another one will do.
            Err(error) if matches!(error.code(), Some(45029 | 60011 | 60003)) => seen.all = false,
            Err(error) => return Err(error),
        }
        if !few && !seen.members.is_empty() {
            return Ok(seen);
        }
    }
    Ok(seen)
}

fn range(visible: &[u32], seen: &Seen) -> Finding {
    let units = visible.len().to_string();
    let members = seen.members.len().to_string();
    if seen.all {
        Finding::new(Row::DirectoryRangeCounted, &[same("units", &units), same("members", &members)])
    } else {
        Finding::new(Row::DirectoryRange, &[same("units", &units)])
    }
}

/// The whole company beside what of it is visible.
#[derive(Debug)]
struct Company {
    visible_units: usize,
    units: usize,
    visible_members: usize,
    members: usize,
    /// Whether there are more members than were read.
    more: bool,
}

impl Company {
    fn finding(&self) -> Finding {
        let (seen, units) = (self.visible_units.to_string(), self.units.to_string());
        let (some, members) = (self.visible_members.to_string(), self.members.to_string());
        let (zh, en) = if self.more { ("至少 ", "at least ") } else { ("", "") };
        let values = [
            same("seen", &seen),
            same("units", &units),
            same("some", &some),
            same("members", &members),
            ("least", zh, en),
        ];
        // Everybody is in a department, so whoever sees all of them sees everybody.
        let row =
            if self.visible_units >= self.units { Row::DirectoryRangeWhole } else { Row::DirectoryRangePart };
        Finding::new(row, &values)
    }
}

/// Asks the 通讯录同步 secret how large the company is.
async fn company(client: &Client, visible: &[u32], deadline: Deadline) -> Result<Company, Error> {
    let visible: HashSet<u32> = visible.iter().copied().collect();
    let nodes = client.department_nodes(SecretKind::Contacts, deadline).await?;
    let units: HashSet<u32> = nodes.items.iter().map(|node| node.id).collect();
    let (mut members, mut some) = (HashSet::new(), HashSet::new());
    let (mut cursor, mut more) = (None, true);
    for _ in 0..PAGES {
        let page = client.member_ids(cursor.as_deref(), PAGE, deadline).await?;
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
    Ok(Company {
        visible_units: units.intersection(&visible).count(),
        units: units.len(),
        visible_members: some.len(),
        members: members.len(),
        more,
    })
}

/// Names in both languages; "none" for none.
fn names(fields: impl Iterator<Item = Field>) -> (String, String) {
    let (zh, en): (Vec<_>, Vec<_>) = fields.map(Field::names).unzip();
    if zh.is_empty() { ("无".to_owned(), "none".to_owned()) } else { (zh.join("、"), en.join(", ")) }
}

fn fields(seen: &Seen) -> Finding {
    if seen.members.is_empty() {
        return Finding::new(Row::DirectoryFieldsUnknown, &[]);
    }
    let (zh, en) = names(seen.fields.iter().copied());
    let (no_zh, no_en) = names(Field::ALL.into_iter().filter(|field| !seen.fields.contains(field)));
    Finding::new(Row::DirectoryFields, &[("fields", &zh, &en), ("unseen", &no_zh, &no_en)])
}

/// The fields of `directory.link_by` that nobody was seen to have.
fn linking(link_by: &[LinkBy], seen: &Seen) -> Option<Finding> {
    let hidden = |by: &LinkBy| match by {
        LinkBy::Mobile => !seen.fields.contains(&Field::Mobile),
        LinkBy::Email => !seen.fields.contains(&Field::Email),
        LinkBy::Userid | LinkBy::EmployeeNumber => false,
    };
    let blind: Vec<_> = link_by.iter().filter(|by| hidden(by)).map(|by| by.as_str()).collect();
    if blind.is_empty() || seen.members.is_empty() {
        return None;
    }
    let fields = blind.join(", ");
    // The default names every field, and people are recognised by the others.
    let level = if blind.len() == link_by.len() { Level::Warn } else { Level::Ok };
    Some(Finding::new(Row::DirectoryLinkBy, &[same("fields", &fields)]).at(level))
}

fn unread(which: SecretKind, error: &Error) -> Finding {
    let (key, why) = (format!("wecom.{which}"), error.to_string());
    let passes = matches!(error.family(), Family::Busy | Family::Retry | Family::Upstream);
    let level = if which == SecretKind::App && !passes { Level::Broken } else { Level::Warn };
    Finding::new(Row::DirectoryUnread, &[same("key", &key), same("why", &why)]).at(level)
}
