//! One corporation as its administrator set it up in WeCom's console: applications and who may see them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::index::VisibleRange;
use super::limit::SimulatedLimits;
use super::people::{SimulatedDepartment, SimulatedMember, SimulatedTag};

/// The whole corporation. [`World::default`] is a small Chinese company to try things with.
#[derive(Debug, Clone)]
pub struct World {
    /// 企业ID, 18 characters in WeCom.
    pub corp_id: String,
    /// What the phone shows above the workbench.
    pub corp_name: String,
    /// The self-built application under test.
    pub app: SimulatedApp,
    /// Further applications of the same corporation, with agent ids and secrets of their own.
    pub more_apps: Vec<SimulatedApp>,
    /// The 通讯录同步 assistant.
    pub contacts: ContactsAssistant,
    /// Departments in any order; the root has id 1 and parent 0.
    pub departments: Vec<SimulatedDepartment>,
    /// Members of the corporation, those who left (status 5) included; those are in no list of the API.
    pub members: Vec<SimulatedMember>,
    /// Tags, each readable by every secret.
    pub tags: Vec<SimulatedTag>,
    /// Users of 微信 who are no members, known by an openid.
    pub outsiders: Vec<Outsider>,
    /// Members of linked corporations.
    pub linked: Vec<LinkedMember>,
    /// Who holds the phone when neither a cookie nor a header says so.
    pub phone: PhoneHolder,
    /// Say 42022 to a used and 42003 to an expired code; otherwise 40029 to both, as WeCom mostly does.
    pub exact_code_errors: bool,
    /// What an expired token gets: 42001, or 40014 as some report.
    pub expired_token_errcode: i64,
    /// What an unknown or revoked token gets: 40014, or 42001.
    pub revoked_token_errcode: i64,
    /// So many wrong secrets within an hour block their address for an hour. WeCom publishes no figure.
    pub wrong_secrets_before_block: u32,
    /// 账号上限: an application reaches [`Limits::recipients_per_account`] times as many members in a day.
    pub account_limit: u64,
    /// `message/send` answers `"invaliduser":""` when nobody was invalid, as it did once; otherwise without the
    /// field.
    pub empty_invaliduser: bool,
    /// What WeCom refuses to a caller that asks too much. Only the limits of messages are on until it is set.
    pub limits: SimulatedLimits,
}

/// A self-built application (自建应用).
#[derive(Debug, Clone)]
pub struct SimulatedApp {
    /// 应用 `AgentId`.
    pub agent_id: i64,
    /// Its name on the workbench.
    pub name: String,
    /// Its Secret. Changing it leaves tokens that were given out for the old one alone.
    pub secret: String,
    /// 应用主页, opened by a tap on the icon; empty: no icon.
    pub home_url: String,
    /// What the phone appends to the query of links to [`App::trusted_domains`] that it opens from a message, `entrance=app`:
    /// by it a browser that is not WeCom's own says that it stands for it. WeCom appends nothing; empty: nothing.
    pub link_query: String,
    /// 网页授权可信域名, each `host` or `host:port`, compared exactly.
    pub trusted_domains: Vec<String>,
    /// 企业微信授权登录 → 授权回调域, `host` or `host:port`; the scan page takes these and the trusted domains.
    pub callback_domains: Vec<String>,
    /// 接收消息服务器URL, which interactive cards need; empty: none. Nothing is ever sent to it.
    pub callback_url: String,
    /// 企业可信IP; `None`: any address may call.
    pub trusted_ips: Option<Vec<IpAddr>>,
    /// Whether the administrator has it switched on.
    pub enabled: bool,
    /// An application from before 2022-06-20, which still receives mobile, mail, avatar and the like.
    pub legacy_fields: bool,
    /// 可见范围.
    pub visible: VisibleScope,
}

/// The 通讯录同步 assistant: reads ids of everybody, details of nobody, and signs no one in.
#[derive(Debug, Clone)]
pub struct ContactsAssistant {
    /// Its Secret.
    pub secret: String,
    /// 企业可信IP of its own; `None`: any address may call.
    pub trusted_ips: Option<Vec<IpAddr>>,
    /// Its addresses were entered before 2022-08-15, so details are readable too; otherwise 48009.
    pub reads_details: bool,
}

/// 可见范围: who may see an application.
#[derive(Debug, Clone, Default)]
pub struct VisibleScope {
    /// Departments, each with everything below it.
    pub departments: BTreeSet<i64>,
    /// Single members by userid. One without a visible department is answered by `user/get` and `tag/get` only.
    pub members: BTreeSet<String>,
    /// Tags: their members, and their departments with everything below.
    pub tags: BTreeSet<i64>,
    /// Members taken out again although a department of theirs is in. The console has no such list; it stands
    /// for choosing the range anew.
    pub hidden: BTreeSet<String>,
}

/// Somebody on 微信 who is no member; perhaps a customer.
#[derive(Debug, Clone)]
pub struct Outsider {
    /// Unique within the corporation.
    pub openid: String,
    /// Only for a customer whose follow-up member is visible to the application.
    pub external_userid: Option<String>,
    /// What the phone page calls them.
    pub name: String,
}

/// A member of a linked corporation (互联企业).
#[derive(Debug, Clone)]
pub struct LinkedMember {
    /// `CorpId/userid`, as WeCom answers it.
    pub userid: String,
    /// What the phone page calls them.
    pub name: String,
}

/// Who holds the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhoneHolder {
    /// A userid, an openid or `CorpId/userid`.
    Person(String),
    /// Somebody who always declines.
    Cancels,
    /// Nobody is signed in to WeCom on it.
    Nobody,
}

/// Whom a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeBearer {
    /// A userid; for a linked corporation `CorpId/userid`.
    Member(String),
    /// No member.
    Outsider {
        /// Unique within the corporation.
        openid: String,
        /// Only of a customer.
        external_userid: Option<String>,
    },
}

impl World {
    /// Every application, the one under test first.
    pub fn apps(&self) -> impl Iterator<Item = &SimulatedApp> {
        std::iter::once(&self.app).chain(&self.more_apps)
    }

    /// The application with that agent id.
    pub fn find_app(&self, agent_id: i64) -> Option<&SimulatedApp> {
        self.apps().find(|a| a.agent_id == agent_id)
    }

    /// The member with that userid, whatever the case of its letters.
    pub fn member(&self, userid: &str) -> Option<&SimulatedMember> {
        self.members.iter().find(|m| m.userid.eq_ignore_ascii_case(userid))
    }

    /// The same to change it.
    pub fn member_mut(&mut self, userid: &str) -> Option<&mut SimulatedMember> {
        self.members.iter_mut().find(|m| m.userid.eq_ignore_ascii_case(userid))
    }

    /// Whom a userid, an openid or a `CorpId/userid` names. A name nobody bears is taken for a userid, so that
    /// a code can also stand for somebody who is gone.
    pub fn resolve_person(&self, name: &str) -> CodeBearer {
        if let Some(o) = self.outsiders.iter().find(|o| o.openid == name) {
            return CodeBearer::Outsider {
                openid: o.openid.clone(),
                external_userid: o.external_userid.clone(),
            };
        }
        CodeBearer::Member(self.member(name).map_or_else(|| name.to_owned(), |m| m.userid.clone()))
    }

    /// The name a person goes by, if the world has the person.
    pub fn name_of(&self, who: &str) -> Option<&str> {
        let member = self.member(who).map(|m| m.name.as_str());
        let outsider = || self.outsiders.iter().find(|o| o.openid == who).map(|o| o.name.as_str());
        let linked = || self.linked.iter().find(|l| l.userid == who).map(|l| l.name.as_str());
        member.or_else(outsider).or_else(linked)
    }

    /// Whether the member is in the application's visible range. Works the whole range out each time.
    pub fn member_is_visible(&self, app: &SimulatedApp, member: &SimulatedMember) -> bool {
        VisibleRange::from_app(self, app).has_member(member)
    }
}
