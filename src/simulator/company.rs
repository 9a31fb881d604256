//! The default company: small, Chinese, and with every kind of person that matters for a sign-in.

use std::collections::BTreeSet;

use super::limit::SimulatedLimits;
use super::people::{SimulatedDepartment, SimulatedMember, SimulatedStatus, SimulatedTag};
use super::world::{
    ContactsAssistant, LinkedMember, Outsider, PhoneHolder, SimulatedApp, VisibleScope, World,
};

impl Default for World {
    /// 示例科技: 张三 (`zhangsan`) and colleagues, among them `zhouba` (disabled), `wujiu` (not
    /// activated) and `zhengshi` (invisible to the application); also an external contact and a
    /// member of a linked corporation.
    fn default() -> Self {
        let mut app = SimulatedApp::new(1_000_002, "办公平台", "simulator-app-secret");
        app.visible.hidden.insert("zhengshi".to_owned());
        Self {
            corp_id: "ww0123456789abcdef".to_owned(),
            corp_name: "示例科技".to_owned(),
            app,
            more_apps: Vec::new(),
            contacts: ContactsAssistant {
                secret: "simulator-contacts-secret".to_owned(),
                trusted_ips: None,
                reads_details: false,
            },
            departments: departments(),
            members: members(),
            tags: vec![
                SimulatedTag::new(1, "管理层").with_users(["zhangsan", "lisi", "zhaoliu"]),
                SimulatedTag::new(2, "技术人员").with_users(["sunqi"]).with_departments([3]),
            ],
            outsiders: vec![Outsider {
                openid: "oSimulatorCustomer000000000A".to_owned(),
                external_userid: Some("wmSimulatorCustomer0000000000000A".to_owned()),
                name: "客户小陈".to_owned(),
            }],
            linked: vec![LinkedMember {
                userid: "wwfedcba9876543210/liwei".to_owned(),
                name: "李伟（合作公司）".to_owned(),
            }],
            phone: PhoneHolder::Person("zhangsan".to_owned()),
            exact_code_errors: false,
            expired_token_errcode: 42001,
            revoked_token_errcode: 40014,
            wrong_secrets_before_block: 30,
            account_limit: 1000,
            empty_invaliduser: false,
            limits: SimulatedLimits::default(),
        }
    }
}

impl World {
    /// Adds `count` generated members (`member0001` 王伟 …), spread over the departments below the
    /// root.
    pub fn populate(&mut self, count: usize) {
        const FAMILY: [&str; 12] = ["王", "李", "张", "刘", "陈", "杨", "黄", "赵", "周", "吴", "徐", "孙"];
        const GIVEN: [&str; 11] = ["伟", "芳", "娜", "敏", "静", "磊", "强", "洋", "艳", "勇", "杰"];
        let homes: Vec<i64> = self.departments.iter().filter(|d| d.parent != 0).map(|d| d.id).collect();
        let people = FAMILY.iter().cycle().zip(GIVEN.iter().cycle()).zip(homes.iter().cycle());
        // 12 and 11 have no common divisor, so 132 names come before the first repeats.
        for (n, ((family, given), home)) in people.take(count).enumerate() {
            let n = n + 1;
            let mut m = SimulatedMember::new(&format!("member{n:04}"), &format!("{family}{given}"))
                .with_departments([*home]);
            m.position = "专员".to_owned();
            m.mobile = format!("138{n:08}");
            self.members.push(m);
        }
        self.allow_all();
    }
}

impl World {
    /// Raises 账号上限 to the number of members: a corporation has no more members than accounts.
    pub(super) fn allow_all(&mut self) {
        self.account_limit = self.account_limit.max(u64::try_from(self.members.len()).unwrap_or(u64::MAX));
    }
}

impl SimulatedApp {
    /// Creates a self-built application of today, visible to the whole corporation, without any
    /// domain.
    pub fn new(agent_id: i64, name: &str, secret: &str) -> Self {
        Self {
            agent_id,
            name: name.to_owned(),
            secret: secret.to_owned(),
            home_url: String::new(),
            link_query: String::new(),
            trusted_domains: Vec::new(),
            callback_domains: Vec::new(),
            callback_url: String::new(),
            trusted_ips: None,
            enabled: true,
            legacy_fields: false,
            visible: VisibleScope { departments: BTreeSet::from([1]), ..VisibleScope::default() },
        }
    }
}

fn departments() -> Vec<SimulatedDepartment> {
    let mut list = vec![
        SimulatedDepartment::new(1, "示例科技", 0),
        SimulatedDepartment::new(2, "财务部", 1),
        SimulatedDepartment::new(3, "研发部", 1),
        SimulatedDepartment::new(4, "前端组", 3),
        SimulatedDepartment::new(5, "后端组", 3),
        SimulatedDepartment::new(6, "销售部", 1),
        SimulatedDepartment::new(7, "行政人事部", 1),
    ];
    for d in &mut list {
        let leader = match d.id {
            2 => "lisi",
            3 => "zhangsan",
            6 => "zhaoliu",
            _ => continue,
        };
        d.leaders.push(leader.to_owned());
    }
    list
}

fn members() -> Vec<SimulatedMember> {
    let table: [(&str, &str, &[i64], SimulatedStatus, &str); 8] = [
        ("zhangsan", "张三", &[5, 3], SimulatedStatus::Active, "研发经理"),
        ("lisi", "李四", &[2], SimulatedStatus::Active, "财务主管"),
        ("wangwu", "王五", &[4], SimulatedStatus::Active, "前端工程师"),
        ("zhaoliu", "赵六", &[6], SimulatedStatus::Active, "销售总监"),
        ("sunqi", "孙七", &[7, 2], SimulatedStatus::Active, "人事专员"),
        ("zhouba", "周八", &[6], SimulatedStatus::Disabled, "销售代表"),
        ("wujiu", "吴九", &[5], SimulatedStatus::NotActivated, "实习生"),
        ("zhengshi", "郑十", &[7], SimulatedStatus::Active, "顾问"),
    ];
    let leaders = departments();
    table
        .iter()
        .zip(1..)
        .map(|((userid, name, within, status, position), n)| {
            let mut m = SimulatedMember::new(userid, name)
                .with_departments(within.iter().copied())
                .with_status(*status);
            m.position = (*position).to_owned();
            m.mobile = format!("1380000{n:04}");
            m.email = format!("{userid}@example.com");
            m.biz_mail = format!("{userid}@example.wecom.work");
            m.leads = within
                .iter()
                .copied()
                .filter(|id| leaders.iter().any(|d| d.id == *id && d.leaders.iter().any(|l| l == userid)))
                .collect();
            m
        })
        .collect()
}
