//! `[directory]`.

use std::time::Duration;

/// `[directory]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// The fields by which WeCom's members are matched with local persons, in this order; each
    /// once.
    pub link_by: Vec<LinkField>,
    /// A synchronisation stops if it would remove a larger share. In hundredths of a percent: 10%
    /// is 1000.
    pub max_removals: u32,
    /// How long people who left are kept.
    pub purge_left_after: Duration,
}

/// A field by which a local person is recognised in WeCom: an element of `directory.link_by`.
///
/// Equal userids are the same person whatever the setting, because userids are unique (WeCom
/// document 90664). A mobile number or mail address, which members may write themselves, counts
/// only if the names agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkField {
    /// `userid`.
    Userid,
    /// `mobile`.
    Mobile,
    /// `email`.
    Email,
    /// `employee_number`: the extension attribute of that name, or 工号.
    EmployeeNumber,
}

impl LinkField {
    /// All fields.
    pub const ALL: [Self; 4] = [Self::Userid, Self::Mobile, Self::Email, Self::EmployeeNumber];

    /// Returns the name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Userid => "userid",
            Self::Mobile => "mobile",
            Self::Email => "email",
            Self::EmployeeNumber => "employee_number",
        }
    }

    /// Parses a name; `None` if it is unknown.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}
