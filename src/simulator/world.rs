//! A corporation as its administrator configured it in WeCom's console: applications and their
//! visible ranges.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::limit::SimulatedLimits;
use super::people::{SimulatedDepartment, SimulatedMember, SimulatedTag};

/// A whole corporation. [`World::default`] is a small Chinese company.
#[derive(Debug, Clone)]
pub struct World {
    /// 企业ID, 18 characters in WeCom.
    pub corp_id: String,
    /// The name above the workbench.
    pub corp_name: String,
    /// The self-built application under test.
    pub app: SimulatedApp,
    /// Other applications of the corporation, with their own agent ids and secrets.
    pub more_apps: Vec<SimulatedApp>,
    /// The 通讯录同步 assistant.
    pub contacts: ContactsAssistant,
    /// In any order; the root has id 1 and parent 0.
    pub departments: Vec<SimulatedDepartment>,
    /// Members, including those who left (status 5), who are in no list of the API.
    pub members: Vec<SimulatedMember>,
    /// Every secret can read every tag.
    pub tags: Vec<SimulatedTag>,
    /// Users of 微信 who are not members, known by an openid.
    pub outsiders: Vec<Outsider>,
    /// Members of linked corporations.
    pub linked: Vec<LinkedMember>,
    /// Who holds the phone if neither a cookie nor a header says so.
    pub phone: PhoneHolder,
    /// Answer 42022 to a used and 42003 to an expired code, instead of 40029 to both, which is
    /// WeCom's usual answer.
    pub exact_code_errors: bool,
    /// The errcode of an expired token: 42001, or 40014 as some report.
    pub expired_token_errcode: i64,
    /// The errcode of an unknown or revoked token: 40014, or 42001.
    pub revoked_token_errcode: i64,
    /// Wrong secrets within an hour that are allowed before their address is blocked for an hour.
    /// WeCom publishes no figure.
    pub wrong_secrets_before_block: u32,
    /// 账号上限. An application reaches [`SimulatedLimits::recipients_per_account`] times as many
    /// members a day.
    pub account_limit: u64,
    /// Answer `"invaliduser":""` if nobody is invalid, as WeCom once did, instead of leaving the
    /// field out.
    pub empty_invaliduser: bool,
    /// The limits of a caller. Only those of messages are on by default.
    pub limits: SimulatedLimits,
}

/// A self-built application (自建应用).
#[derive(Debug, Clone)]
pub struct SimulatedApp {
    /// `AgentId`.
    pub agent_id: i64,
    /// The name on the workbench.
    pub name: String,
    /// Secret. Tokens of an old secret stay valid when it changes.
    pub secret: String,
    /// 应用主页, opened by a tap on the icon; without it there is no icon.
    pub home_url: String,
    /// A query that the phone adds to links to [`SimulatedApp::trusted_domains`], such as
    /// `entrance=app`.
    ///
    /// By it an ordinary browser tells the gateway that it plays WeCom's own. WeCom itself adds
    /// nothing.
    pub link_query: String,
    /// 网页授权可信域名, each `host` or `host:port`, compared exactly.
    pub trusted_domains: Vec<String>,
    /// 企业微信授权登录 → 授权回调域, `host` or `host:port`. The QR page accepts these and the
    /// trusted domains.
    pub callback_domains: Vec<String>,
    /// 接收消息服务器URL, which interactive cards need; may be empty. Nothing is sent to it.
    pub callback_url: String,
    /// 企业可信IP; `None` allows any address.
    pub trusted_ips: Option<Vec<IpAddr>>,
    /// Whether the administrator has enabled it.
    pub enabled: bool,
    /// The application was created before 2022-06-20 and still receives mobile, mail, avatar and so
    /// on.
    pub legacy_fields: bool,
    /// 可见范围.
    pub visible: VisibleScope,
}

/// The 通讯录同步 assistant. It reads the ids of everybody and the details of nobody, and cannot
/// sign anyone in.
#[derive(Debug, Clone)]
pub struct ContactsAssistant {
    pub secret: String,
    /// 企业可信IP of its own; `None` allows any address.
    pub trusted_ips: Option<Vec<IpAddr>>,
    /// Its addresses were entered before 2022-08-15, so it can read details too, instead of 48009.
    pub reads_details: bool,
}

/// 可见范围: who may see an application.
#[derive(Debug, Clone, Default)]
pub struct VisibleScope {
    /// Each with everything below it.
    pub departments: BTreeSet<i64>,
    /// Single members by userid. Without a visible department, only `user/get` and `tag/get` answer
    /// for them.
    pub members: BTreeSet<String>,
    /// The members of these tags, and their departments with everything below.
    pub tags: BTreeSet<i64>,
    /// Members who are excluded although a department of theirs is visible. The console has no such
    /// list; it stands for choosing the range anew.
    pub hidden: BTreeSet<String>,
}

/// A user of 微信 who is not a member; perhaps a customer.
#[derive(Debug, Clone)]
pub struct Outsider {
    pub openid: String,
    /// Only of a customer whose follow-up member is visible to the application.
    pub external_userid: Option<String>,
    /// The name on the phone page.
    pub name: String,
}

/// A member of a linked corporation (互联企业).
#[derive(Debug, Clone)]
pub struct LinkedMember {
    /// `CorpId/userid`, as WeCom answers it.
    pub userid: String,
    /// The name on the phone page.
    pub name: String,
}

/// Who holds the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneHolder {
    /// A userid, an openid or `CorpId/userid`.
    Person(String),
    /// A person who always declines.
    Cancels,
    /// Nobody is signed in to WeCom on the phone.
    Nobody,
}

/// The person that a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeBearer {
    /// A userid; of a linked corporation `CorpId/userid`.
    Member(String),
    /// A person who is not a member.
    Outsider {
        openid: String,
        /// Only of a customer.
        external_userid: Option<String>,
    },
}

impl World {
    /// Returns every application, the one under test first.
    pub fn apps(&self) -> impl Iterator<Item = &SimulatedApp> {
        std::iter::once(&self.app).chain(&self.more_apps)
    }

    /// Returns the application with that agent id.
    pub fn find_app(&self, agent_id: i64) -> Option<&SimulatedApp> {
        self.apps().find(|a| a.agent_id == agent_id)
    }

    /// Returns the member with that userid, ignoring case.
    pub fn member(&self, userid: &str) -> Option<&SimulatedMember> {
        self.members.iter().find(|m| m.userid.eq_ignore_ascii_case(userid))
    }

    /// Returns the member for changes.
    pub fn member_mut(&mut self, userid: &str) -> Option<&mut SimulatedMember> {
        self.members.iter_mut().find(|m| m.userid.eq_ignore_ascii_case(userid))
    }

    /// Returns the person that a userid, an openid or a `CorpId/userid` names.
    ///
    /// An unknown name counts as a userid, so that a code can also stand for a member who has been
    /// deleted.
    pub fn resolve_person(&self, name: &str) -> CodeBearer {
        if let Some(o) = self.outsiders.iter().find(|o| o.openid == name) {
            return CodeBearer::Outsider {
                openid: o.openid.clone(),
                external_userid: o.external_userid.clone(),
            };
        }
        CodeBearer::Member(self.member(name).map_or_else(|| name.to_owned(), |m| m.userid.clone()))
    }

    /// Returns the name of a person if the world has them.
    pub fn name_of(&self, who: &str) -> Option<&str> {
        let member = self.member(who).map(|m| m.name.as_str());
        let outsider = || self.outsiders.iter().find(|o| o.openid == who).map(|o| o.name.as_str());
        let linked = || self.linked.iter().find(|l| l.userid == who).map(|l| l.name.as_str());
        member.or_else(outsider).or_else(linked)
    }
}
