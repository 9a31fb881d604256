//! Finds the member that a code belongs to: `getuserinfo`, then `user/get` unless the directory
//! knows the member well enough. Also maps WeCom's answers to a person's status.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::id::UserId;
use crate::base::text::clean_text;
use crate::directory::{EntrySource, MemberProfile, Person, PersonDetails, PersonStatus};
use crate::sso::error::SignInRefusal;
use crate::wecom::{AttributeValue, CodeOwner, Deadline, Member, MemberStatus, WecomClient, WecomError};

/// How long a complete synchronisation vouches for the persons it found active ([design: who it
/// is](crate::design#who-it-is)).
const MAX_VOUCHED_AGE: Duration = Duration::from_secs(24 * 3600);

/// Asks WeCom for the member that a code belongs to.
///
/// # Errors
/// [`SignInRefusal`] for everybody who is not a member of this corporation.
pub(crate) async fn identify_member(
    client: &WecomClient,
    code: &str,
    deadline: Deadline,
) -> Result<UserId, SignInRefusal> {
    match client.identity(code, deadline).await {
        Ok(CodeOwner::Member(userid)) => Ok(userid),
        Ok(CodeOwner::LinkedCorp) => Err(SignInRefusal::LinkedCorp),
        Ok(CodeOwner::Outsider) => Err(SignInRefusal::NotMember),
        Err(error) => Err(SignInRefusal::WeCom(error)),
    }
}

/// Asks WeCom about a member who wants to sign in.
///
/// # Errors
/// [`SignInRefusal`] for everybody who is not an active member visible to the application.
pub(crate) async fn fetch_member(
    client: &WecomClient,
    userid: &UserId,
    deadline: Deadline,
) -> Result<MemberProfile, SignInRefusal> {
    client.member(userid, deadline).await.map_err(SignInRefusal::WeCom).and_then(accept_member)
}

/// Returns what the directory knows of a member if WeCom need not be asked: the member is active
/// according to a synchronisation, and the last complete one is younger than a day.
pub(crate) fn find_vouched_member(
    person: Person,
    complete_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<MemberProfile> {
    let young = complete_at.is_some_and(|at| at <= now && now.since(at) < MAX_VOUCHED_AGE);
    let active = (person.source, person.status) == (EntrySource::Wecom, PersonStatus::Active);
    (young && active && !person.fingerprint.is_empty()).then(|| MemberProfile {
        employee_number: person.details.employee_number().to_owned(),
        userid: person.userid,
        name: person.name,
        email: person.email,
        mobile: person.details.mobile,
    })
}

/// Returns what the directory stores of a member who is active.
///
/// # Errors
/// [`SignInRefusal`] for every status except 1.
pub(crate) fn accept_member(member: Member) -> Result<MemberProfile, SignInRefusal> {
    match member.status {
        MemberStatus::Active => {
            // The mailbox that the company gives comes before a private address.
            let email = member.biz_mail.or(member.email).unwrap_or_default();
            let mobile = member.mobile.unwrap_or_default();
            let attributes = member.attributes.into_iter().filter_map(|a| match a.value {
                AttributeValue::Text(text) => Some((a.name, text)),
                AttributeValue::Web { .. } | AttributeValue::MiniProgram { .. } => None,
            });
            let detail = PersonDetails { attributes: attributes.collect(), ..PersonDetails::default() };
            // The same cleaning as in a synchronisation, so that neither takes the other's result
            // for a change.
            Ok(MemberProfile {
                userid: member.userid,
                name: clean_text(member.name),
                email: clean_text(email),
                mobile: clean_text(mobile),
                employee_number: detail.employee_number().to_owned(),
            })
        }
        MemberStatus::Disabled => Err(SignInRefusal::Disabled),
        MemberStatus::NotActivated => Err(SignInRefusal::NotActivated),
        MemberStatus::Left => Err(SignInRefusal::Left),
        MemberStatus::Unknown(status) => Err(SignInRefusal::UnknownStatus(status)),
    }
}

/// Returns the status to store after this refusal. `None` if the answer says nothing about the
/// person (WeCom is busy, unreachable or misconfigured).
pub(crate) fn status_from_refusal(refused: &SignInRefusal) -> Option<PersonStatus> {
    match refused {
        SignInRefusal::Disabled => Some(PersonStatus::Disabled),
        SignInRefusal::NotActivated => Some(PersonStatus::Inactive),
        SignInRefusal::Left => Some(PersonStatus::Left),
        SignInRefusal::WeCom(error) => is_not_found(error).then_some(PersonStatus::Left),
        // Only status 1 lets in, so an unknown one counts as inactive.
        SignInRefusal::UnknownStatus(_) => Some(PersonStatus::Inactive),
        SignInRefusal::NotMember | SignInRefusal::LinkedCorp => None,
    }
}

/// Returns whether WeCom does not know the member. Errcodes 60111 and 60011 mean not found, left,
/// or not visible; WeCom does not say which (document 90196). Other errcodes of that family are
/// about the call, not about the person.
fn is_not_found(error: &WecomError) -> bool {
    !matches!(error, WecomError::BackingOff { .. }) && matches!(error.code(), Some(60111 | 60011))
}
