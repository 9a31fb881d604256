//! The address book (通讯录): departments, members and tags.

/// A department (部门).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedDepartment {
    /// 1 is the root.
    pub id: i64,
    pub name: String,
    /// If empty, no answer has the field.
    pub name_en: String,
    /// The id of the department above; 0 for the root.
    pub parent: i64,
    /// A larger order comes first.
    pub order: u32,
    /// Userids.
    pub leaders: Vec<String>,
}

impl SimulatedDepartment {
    /// Creates a department below `parent`, without leaders.
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

    /// Sets the English name.
    #[must_use]
    pub fn with_name_en(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name_en);
        self
    }

    /// Sets the order among the siblings; a larger one comes first.
    #[must_use]
    pub fn with_order(mut self, order: u32) -> Self {
        self.order = order;
        self
    }

    /// Sets the leaders. [`SimulatedMember::leads`] is a separate list.
    #[must_use]
    pub fn with_leaders<'a>(mut self, leaders: impl IntoIterator<Item = &'a str>) -> Self {
        self.leaders = leaders.into_iter().map(str::to_owned).collect();
        self
    }
}

/// 激活状态, with the numbers of `user/get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedStatus {
    /// 已激活
    Active = 1,
    /// 已禁用
    Disabled = 2,
    /// 未激活
    NotActivated = 4,
    /// 退出企业
    Left = 5,
}

impl SimulatedStatus {
    /// Returns the number in `user/get`.
    pub const fn number(self) -> i64 {
        self as i64
    }
}

/// An extension attribute (扩展属性) of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimulatedAttribute {
    /// Type 0.
    Text { name: String, value: String },
    /// Type 1.
    Web {
        name: String,
        url: String,
        /// The text of the link.
        title: String,
    },
}

/// A member (成员).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedMember {
    /// 账号, unique regardless of case.
    pub userid: String,
    /// 姓名
    pub name: String,
    pub departments: Vec<i64>,
    /// 部门内排序, parallel to [`SimulatedMember::departments`]; a larger order comes first, a
    /// missing one is 0.
    pub orders: Vec<u32>,
    /// 主部门; `None` stands for the first department.
    pub main_department: Option<i64>,
    /// The departments that the member leads.
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
    /// "1" male, "2" female, "0" unknown; a string in WeCom's JSON.
    pub gender: String,
    /// 直属上级, as userids.
    pub direct_leaders: Vec<String>,
    /// 扩展属性
    pub attributes: Vec<SimulatedAttribute>,
    /// Whether the member has a basic licence (基础接口许可), without which no message arrives.
    pub licensed: bool,
}

impl SimulatedMember {
    /// Creates an active member of the root department with no other fields.
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

    /// Returns the main department: the one that was set, else the first.
    pub fn main(&self) -> Option<i64> {
        self.main_department.or_else(|| self.departments.first().copied())
    }

    /// Returns each department with its order.
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

    /// Sets the departments. The first is the main one unless [`SimulatedMember::with_main`] says
    /// otherwise.
    #[must_use]
    pub fn with_departments(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.departments = departments.into_iter().collect();
        self
    }

    /// Sets the order in each department, parallel to the departments.
    #[must_use]
    pub fn with_order(mut self, orders: impl IntoIterator<Item = u32>) -> Self {
        self.orders = orders.into_iter().collect();
        self
    }

    /// Sets the main department.
    #[must_use]
    pub fn with_main(mut self, department: i64) -> Self {
        self.main_department = Some(department);
        self
    }

    /// Sets the departments that the member leads. [`SimulatedDepartment::leaders`] is a separate
    /// list.
    #[must_use]
    pub fn with_leads(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.leads = departments.into_iter().collect();
        self
    }

    /// Sets the direct superiors.
    #[must_use]
    pub fn with_superiors<'a>(mut self, userids: impl IntoIterator<Item = &'a str>) -> Self {
        self.direct_leaders = userids.into_iter().map(str::to_owned).collect();
        self
    }

    #[must_use]
    pub fn with_status(mut self, status: SimulatedStatus) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn with_mobile(mut self, mobile: &str) -> Self {
        mobile.clone_into(&mut self.mobile);
        self
    }

    /// Adds an extension attribute of type text.
    #[must_use]
    pub fn with_text(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(SimulatedAttribute::Text { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// Adds an extension attribute of type web.
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
    /// 0 or more.
    pub id: i64,
    pub name: String,
    /// Userids of the members with the tag.
    pub users: Vec<String>,
    /// Departments with the tag, each for everybody at and below it.
    pub departments: Vec<i64>,
}

impl SimulatedTag {
    /// Creates a tag without members.
    pub fn new(id: i64, name: &str) -> Self {
        Self { id, name: name.to_owned(), users: Vec::new(), departments: Vec::new() }
    }

    /// Sets the members.
    #[must_use]
    pub fn with_users<'a>(mut self, users: impl IntoIterator<Item = &'a str>) -> Self {
        self.users = users.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the departments.
    #[must_use]
    pub fn with_departments(mut self, departments: impl IntoIterator<Item = i64>) -> Self {
        self.departments = departments.into_iter().collect();
        self
    }
}
