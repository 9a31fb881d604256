//! Who and what the address book (通讯录) holds: departments, members, tags.

/// A department (部门).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedDepartment {
    /// The id; 1 is the root.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its English name; empty: none, and no answer carries the field.
    pub name_en: String,
    /// The id of the department above; 0 for the root.
    pub parent: i64,
    /// Larger comes first.
    pub order: u32,
    /// Userids of its leaders.
    pub leaders: Vec<String>,
}

impl SimulatedDepartment {
    /// A department below `parent`, without leaders.
    pub fn new(id: i64, name: &str, parent: i64) -> Self {
        Self {
            id,
            name: name.to_owned(),
            name_en: String::new(),
            parent,
            order: 100_000_000,
            leaders: Vec::new(),
        }
    }

    /// The same department with an English name.
    #[must_use]
    pub fn with_name_en(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name_en);
        self
    }

    /// The same department at that place among its siblings; larger comes first.
    #[must_use]
    pub fn with_order(mut self, order: u32) -> Self {
        self.order = order;
        self
    }

    /// The same department with these leaders. A member's own [`Member::leads`] is a list of its own.
    #[must_use]
    pub fn with_leaders<'a>(mut self, leaders: impl IntoIterator<Item = &'a str>) -> Self {
        self.leaders = leaders.into_iter().map(str::to_owned).collect();
        self
    }
}

/// 激活状态, as `user/get` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedStatus {
    /// 1 已激活
    Active = 1,
    /// 2 已禁用
    Disabled = 2,
    /// 4 未激活
    NotActivated = 4,
    /// 5 退出企业
    Left = 5,
}

impl SimulatedStatus {
    /// The number in `user/get`.
    pub const fn number(self) -> i64 {
        self as i64
    }
}

/// An extension attribute (扩展属性) of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimulatedAttribute {
    /// Type 0.
    Text {
        /// What the administrator called it.
        name: String,
        /// What it says.
        value: String,
    },
    /// Type 1.
    Web {
        /// What the administrator called it.
        name: String,
        /// Where it leads.
        url: String,
        /// What the link reads.
        title: String,
    },
}

/// A member (成员).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedMember {
    /// 账号; unique without regard to case.
    pub userid: String,
    /// 姓名
    pub name: String,
    /// Departments.
    pub departments: Vec<i64>,
    /// 部门内排序, parallel to [`Member::departments`], larger first; what is missing at the end is 0.
    pub orders: Vec<u32>,
    /// 主部门; `None`: the first department.
    pub main_department: Option<i64>,
    /// Which of them the member leads.
    pub leads: Vec<i64>,
    /// 激活状态
    pub status: SimulatedStatus,
    /// 职务
    pub position: String,
    /// 别名
    pub alias: String,
    /// 手机
    pub mobile: String,
    /// 邮箱
    pub email: String,
    /// 企业邮箱
    pub biz_mail: String,
    /// 座机
    pub telephone: String,
    /// "1" male, "2" female, "0" not said; a string in WeCom's JSON.
    pub gender: String,
    /// 直属上级, userids.
    pub direct_leaders: Vec<String>,
    /// 扩展属性
    pub attributes: Vec<SimulatedAttribute>,
    /// Has a basic licence (基础接口许可), without which no message arrives.
    pub licensed: bool,
}

impl SimulatedMember {
    /// An active member of the root department with nothing else filled in.
    pub fn new(userid: &str, name: &str) -> Self {
        Self {
            userid: userid.to_owned(),
            name: name.to_owned(),
            departments: vec![1],
            orders: Vec::new(),
            main_department: None,
            leads: Vec::new(),
            status: SimulatedStatus::Active,
            position: String::new(),
            alias: String::new(),
            mobile: String::new(),
            email: String::new(),
            biz_mail: String::new(),
            telephone: String::new(),
            gender: "0".to_owned(),
            direct_leaders: Vec::new(),
            attributes: Vec::new(),
            licensed: true,
        }
    }

    /// The main department: the one that was set, else the first.
    pub fn main(&self) -> Option<i64> {
        self.main_department.or_else(|| self.departments.first().copied())
    }

    /// The order in each department, `(department, order)`.
    pub fn placements(&self) -> impl Iterator<Item = (i64, u32)> {
        let orders = self.orders.iter().copied().chain(std::iter::repeat(0));
        self.departments.iter().copied().zip(orders)
    }

    pub(super) fn move_to(&mut self, departments: Vec<i64>) {
        self.leads.retain(|d| departments.contains(d));
        self.departments = departments;
        self.orders.clear();
        self.main_department = None;
    }

    /// The same member in these departments. The first is the main one unless [`Member::with_main`] says
    /// otherwise.
    #[must_use]
    pub fn with_departments(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.departments = departments.into_iter().collect();
        self
    }

    /// The same member at these places among the members of its departments, in their sequence.
    #[must_use]
    pub fn with_order(mut self, orders: impl IntoIterator<Item = u32>) -> Self {
        self.orders = orders.into_iter().collect();
        self
    }

    /// The same member with that main department.
    #[must_use]
    pub fn with_main(mut self, department: i64) -> Self {
        self.main_department = Some(department);
        self
    }

    /// The same member as leader of these of its departments. [`Department::leaders`] is a list of its own.
    #[must_use]
    pub fn with_leads(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.leads = departments.into_iter().collect();
        self
    }

    /// The same member with these direct superiors.
    #[must_use]
    pub fn with_superiors<'a>(mut self, userids: impl IntoIterator<Item = &'a str>) -> Self {
        self.direct_leaders = userids.into_iter().map(str::to_owned).collect();
        self
    }

    /// The same member with that status.
    #[must_use]
    pub fn with_status(mut self, status: SimulatedStatus) -> Self {
        self.status = status;
        self
    }

    /// The same member with that position.
    #[must_use]
    pub fn with_position(mut self, position: &str) -> Self {
        position.clone_into(&mut self.position);
        self
    }

    /// The same member with that mobile number.
    #[must_use]
    pub fn with_mobile(mut self, mobile: &str) -> Self {
        mobile.clone_into(&mut self.mobile);
        self
    }

    /// The same member with that mail address.
    #[must_use]
    pub fn with_email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.email);
        self
    }

    /// The same member with one more extension attribute of the kind text.
    #[must_use]
    pub fn with_text(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(SimulatedAttribute::Text { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// The same member with one more extension attribute of the kind web.
    #[must_use]
    pub fn with_web(mut self, name: &str, url: &str, title: &str) -> Self {
        let (name, url, title) = (name.to_owned(), url.to_owned(), title.to_owned());
        self.attributes.push(SimulatedAttribute::Web { name, url, title });
        self
    }
}

/// A tag (标签).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedTag {
    /// The id, 0 or more.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Userids of the members who bear it themselves.
    pub users: Vec<String>,
    /// Departments that bear it, each standing for everybody at and below it.
    pub departments: Vec<i64>,
}

impl SimulatedTag {
    /// A tag nobody bears.
    pub fn new(id: i64, name: &str) -> Self {
        Self { id, name: name.to_owned(), users: Vec::new(), departments: Vec::new() }
    }

    /// The same tag on these members.
    #[must_use]
    pub fn with_users<'a>(mut self, users: impl IntoIterator<Item = &'a str>) -> Self {
        self.users = users.into_iter().map(str::to_owned).collect();
        self
    }

    /// The same tag on these departments.
    #[must_use]
    pub fn with_departments(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.departments = departments.into_iter().collect();
        self
    }
}
