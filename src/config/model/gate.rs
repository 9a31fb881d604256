//! `[gate]` and `[[rules]]`.

use std::time::Duration;

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Whether Remote-Groups has unit paths or unit ids.
    pub groups: GroupFormat,
    /// Whether `Gongpai-Assertion` is sent too.
    pub assertion: bool,
    /// The rule for hosts without rules.
    pub default: DefaultRule,
    /// How long checks go on from memory without the database.
    pub stale_after: Duration,
    /// How often WeCom is asked again about each person with a session.
    pub recheck: Duration,
    /// Paths of public_url's host whose application has an OAuth callback of its own. Only their
    /// form has been checked.
    pub code_paths: Vec<String>,
}

/// `gate.groups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupFormat {
    /// Unit paths.
    Paths,
    /// Unit ids.
    Ids,
}

/// `gate.default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRule {
    /// Allows any active member.
    Members,
    /// Allows nobody.
    Deny,
}

/// One `[[rules]]` entry as written.
#[derive(Debug, Clone)]
pub struct RuleText {
    /// `finance.example.com`, `*.x.com`, with `:port` if it matters.
    pub host: String,
    /// `/admin/**`; empty for every path.
    pub path: String,
    /// Whether the application distinguishes letter case in paths.
    pub case_sensitive: bool,
    /// Names, or `["*"]` for every method.
    pub methods: Vec<String>,
    /// `unit:…`, `tag:…`, `user:…`, `leader:…`, `members`, `anyone`.
    pub allow: Vec<String>,
}
