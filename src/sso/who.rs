//! From a code to a person: `getuserinfo`, then `user/get` unless the directory knows the person well enough; and what WeCom's answers mean for a person.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::id::UserId;
use crate::directory::{Detail, Found, Person, Source, Status};
use crate::sso::error::Refused;
use crate::wecom::{AttributeValue, Client, Deadline, Error, Identity, Member, MemberStatus};

/// For so long a run that read everything vouches for the persons it found active (DESIGN §4.2, Who).
const VOUCHED: Duration = Duration::from_secs(24 * 3600);

/// The member that a code stands for.
///
/// # Errors
/// [`Refused`] for everybody but a member of this corporation.
pub async fn identify(client: &Client, code: &str, deadline: Deadline) -> Result<UserId, Refused> {
    match client.identity(code, deadline).await {
        Ok(Identity::Member(userid)) => Ok(userid),
        Ok(Identity::LinkedCorp) => Err(Refused::LinkedCorp),
        Ok(Identity::Outsider) => Err(Refused::NotMember),
        Err(error) => Err(Refused::WeCom(error)),
    }
}

/// Asks WeCom about a member, and whether it may be let in.
///
/// # Errors
/// [`Refused`] for everybody but an active member whom the application may see.
pub async fn ask(client: &Client, userid: &UserId, deadline: Deadline) -> Result<Found, Refused> {
    client.member(userid, deadline).await.map_err(Refused::WeCom).and_then(found)
}

/// What the directory says of a member, if WeCom need not be asked: active, as a run read it, and the last run that
/// read everything is younger than a day.
pub fn vouched_for(person: Person, complete_at: Option<Timestamp>, now: Timestamp) -> Option<Found> {
    let young = complete_at.is_some_and(|at| at <= now && now.since(at) < VOUCHED);
    let active = (person.source, person.status) == (Source::Wecom, Status::Active);
    (young && active && !person.said.is_empty()).then(|| Found {
        employee_number: person.detail.employee_number().to_owned(),
        userid: person.userid,
        name: person.name,
        email: person.email,
        mobile: person.detail.mobile,
    })
}

/// What the directory keeps of a member, if the member is active.
///
/// # Errors
/// [`Refused`] by status; every status but 1 keeps out.
pub fn found(member: Member) -> Result<Found, Refused> {
    match member.status {
        MemberStatus::Active => {
            let email = member.biz_mail.or(member.email).unwrap_or_default();
            let mobile = member.mobile.unwrap_or_default();
            let attributes = member.attributes.into_iter().filter_map(|a| match a.value {
                AttributeValue::Text(text) => Some((a.name, text)),
                AttributeValue::Web { .. } | AttributeValue::MiniProgram { .. } => None,
            });
            let detail = Detail { attributes: attributes.collect(), ..Detail::default() };
            // As a run keeps it, so that neither takes the other's word for a change; PostgreSQL's text holds no NUL.
            let storable =
                |text: String| text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
            Ok(Found {
                userid: member.userid,
                name: storable(member.name),
                email: storable(email),
                mobile: storable(mobile),
                employee_number: detail.employee_number().to_owned(),
            })
        }
        MemberStatus::Disabled => Err(Refused::Disabled),
        MemberStatus::NotActivated => Err(Refused::NotActivated),
        MemberStatus::Left => Err(Refused::Left),
        MemberStatus::Unknown(status) => Err(Refused::UnknownStatus(status)),
    }
}

/// The status to write down for a person of whom WeCom said this; `None` where the answer says nothing about
/// the person (WeCom busy, unreachable, misconfigured).
pub fn status_said(refused: &Refused) -> Option<Status> {
    match refused {
        Refused::Disabled => Some(Status::Disabled),
        Refused::NotActivated => Some(Status::Inactive),
        Refused::Left => Some(Status::Left),
        Refused::WeCom(error) => not_there(error).then_some(Status::Left),
        Refused::UnknownStatus(_) => Some(Status::Inactive),
        Refused::NotMember | Refused::LinkedCorp => None,
    }
}

/// 60111 and 60011: not found, left, or out of the visible range; WeCom does not say which (document 90196).
/// Other errcodes of that family are about the question and not about the person.
fn not_there(error: &Error) -> bool {
    !matches!(error, Error::BackingOff { .. }) && matches!(error.code(), Some(60111 | 60011))
}
