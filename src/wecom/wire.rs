//! Answers of the calls around directory, messages and JS-SDK, as WeCom writes them.
//!
//! In a list that a fetch reads one broken record does not cost the others ([`Sifted`]). Each type names its call and document. All are read through the same envelope as every answer, so none of
//! them repeats `errcode` and `errmsg`.

use serde::Deserialize;

pub use super::lenient_list::LenientList;
use super::{DepartmentId, Member, lenient_json};

/// `user/list` (90201): every detail of a department's members; linked corporations' members too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberList {
    /// A member of several departments occurs in each.
    pub userlist: LenientList<Member>,
}

/// `user/simplelist` (90200): names only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberNameList {
    /// The members.
    pub userlist: LenientList<MemberName>,
}

/// A member in `user/simplelist` and `tag/get`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberName {
    /// The userid.
    pub userid: String,
    /// The name; empty where WeCom hides it.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub name: String,
    /// The departments; not in `tag/get`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub department: Vec<DepartmentId>,
}

/// `user/list_id` (96067): a page of the complete list of ids, for the 通讯录同步 secret only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemberIdPage {
    /// For the next page; `None` on the last one.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub next_cursor: Option<String>,
    /// One row for each member in each department.
    pub dept_user: LenientList<DepartmentMember>,
}

/// A row of `user/list_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepartmentMember {
    /// The userid; service providers get `open_userid` instead.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub userid: Option<String>,
    /// The userid as service providers see it.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub open_userid: Option<String>,
    /// The department.
    pub department: DepartmentId,
}

/// `department/simplelist` (95350): every department's id and place, without names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DepartmentNodeList {
    /// The key is WeCom's.
    pub department_id: LenientList<DepartmentNode>,
}

/// A department without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct DepartmentNode {
    /// The root is 1.
    #[serde(deserialize_with = "lenient_json::number")]
    pub id: u32,
    /// 0 for the root.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub parentid: u32,
    /// Larger comes first.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub order: u32,
}

/// `tag/list` (90216): the tags that the token may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagList {
    /// The tags, without who has them.
    pub taglist: LenientList<TagName>,
}

/// A tag in `tag/list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagName {
    /// Its id.
    #[serde(deserialize_with = "lenient_json::number")]
    pub tagid: u32,
    /// Its name.
    #[serde(default, deserialize_with = "lenient_json::text")]
    pub tagname: String,
}

/// `department/create` (90205).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreatedDepartment {
    /// The new department's id.
    #[serde(deserialize_with = "lenient_json::number")]
    pub id: u32,
}

/// `tag/get` (90213): who has a tag, as far as the application may see.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagHolders {
    /// Its name; older answers have none.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub tagname: Option<String>,
    /// Members who have it themselves.
    #[serde(default)]
    pub userlist: LenientList<MemberName>,
    /// Departments that have it; their members are not in `userlist`.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub partylist: Vec<DepartmentId>,
}

/// `message/send` (90236). WeCom answers errcode 0 also if it reached only some of the recipients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SentMessage {
    /// Needed to recall it; the linked-corporation call has none.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub msgid: Option<String>,
    /// Not reached. WeCom writes these in lower case whatever was sent.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invaliduser: Vec<String>,
    /// Departments not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidparty: Vec<String>,
    /// Tags not reached.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub invalidtag: Vec<String>,
    /// Not reached for want of a licence.
    #[serde(default, deserialize_with = "lenient_json::piped")]
    pub unlicenseduser: Vec<String>,
    /// Needed to update a card, for 72 hours and once.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub response_code: Option<String>,
}

/// `get_jsapi_ticket`, `ticket/get` (90506): what JS-SDK signatures are made with.
#[derive(Clone, Deserialize)]
pub struct JsapiTicket {
    /// Secret: whoever has it signs for our domains.
    pub ticket: crate::base::secret::Secret,
    /// Seconds, normally 7200.
    #[serde(deserialize_with = "lenient_json::number")]
    pub expires_in: u32,
}

impl std::fmt::Debug for JsapiTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsapiTicket").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// `export/get_result` (94854).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Export {
    /// 0 waiting, 1 running, 2 done, 3 failed.
    #[serde(deserialize_with = "lenient_json::number")]
    pub status: u32,
    /// The files once it is done.
    #[serde(default, deserialize_with = "lenient_json::null_as_default")]
    pub data_list: Vec<ExportFile>,
}

/// One encrypted file of an export.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExportFile {
    /// Where it is for two hours.
    pub url: String,
    /// Bytes, encrypted.
    pub size: u64,
    /// Of the encrypted bytes, hex.
    pub md5: String,
}

/// `export/*`, `batch/*`: a job that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// To ask for its result with.
    pub jobid: String,
}

/// `batch/getresult` (90983).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobProgress {
    /// 1 waiting, 2 running, 3 done.
    #[serde(deserialize_with = "lenient_json::number")]
    pub status: u32,
    /// `replace_user`, `sync_user`, `replace_party`.
    #[serde(default, rename = "type", deserialize_with = "lenient_json::text")]
    pub kind: String,
    /// Rows in the job.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub total: u32,
    /// Done, in percent.
    #[serde(default, deserialize_with = "lenient_json::number_or_zero")]
    pub percentage: u32,
}

/// `getcallbackip`, `get_api_domain_ip` (92520).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Addresses {
    /// Addresses of WeCom's servers, some as networks. They change; a hint, never an authentication.
    pub ip_list: Vec<String>,
}

/// `user/convert_to_openid` (90202).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConvertedOpenid {
    /// The member's openid in the corporation.
    pub openid: String,
    /// Only in old answers.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub appid: Option<String>,
}

/// `service/get_login_info` (90245): an administrator who signs in at a service provider. Not used by a
/// company's own application; read so that a mistaken address is named and not guessed at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoginInfo {
    /// Who signed in.
    pub user_info: LoginUser,
    /// In which corporation.
    pub corp_info: LoginCorp,
}

/// Who signed in at a service provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoginUser {
    /// The userid; absent for administrators who are no members.
    #[serde(default, deserialize_with = "lenient_json::optional_text")]
    pub userid: Option<String>,
}

/// The corporation somebody signed in from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoginCorp {
    /// 企业ID.
    pub corpid: String,
}
