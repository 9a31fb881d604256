//! From a code to a person: `getuserinfo`, then `user/get`; and what WeCom's answers mean for a person.

use crate::base::id::UserId;
use crate::directory::{Detail, Found, Status};
use crate::sso::error::Refused;
use crate::wecom::{AttributeValue, Client, Deadline, Error, Identity, Member, MemberStatus};

/// Asks WeCom whose code it is, and whether that person may be let in.
///
/// # Errors
/// [`Refused`] for everybody but an active member of this corporation whom the application may see; with the
/// userid, if WeCom named one.
pub async fn identify(
    client: &Client,
    code: &str,
    deadline: Deadline,
) -> Result<Found, (Refused, Option<UserId>)> {
    let userid = match client.identity(code, deadline).await {
        Ok(Identity::Member(userid)) => userid,
        Ok(Identity::LinkedCorp) => return Err((Refused::LinkedCorp, None)),
        Ok(Identity::Outsider) => return Err((Refused::NotMember, None)),
        Err(error) => return Err((Refused::WeCom(error), None)),
    };
    match client.member(&userid, deadline).await {
        Ok(member) => found(member).map_err(|refused| (refused, Some(userid))),
        Err(error) => Err((Refused::WeCom(error), Some(userid))),
    }
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
            // PostgreSQL's text holds no NUL, and nobody's name needs one to sign in.
            let storable = |text: String| if text.contains('\0') { text.replace('\0', "") } else { text };
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
