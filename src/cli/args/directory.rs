//! The command line of `gongpai directory` and `gongpai rules`.

use clap::{ArgGroup, Subcommand};

use super::parse_userid;

/// `gongpai directory …`
#[derive(Debug, Clone, Subcommand)]
pub enum DirectoryCommand {
    /// Make and change local persons from a table (CSV in UTF-8)
    ///
    /// The first line names the columns: userid, name, mobile, email, employee_number, position,
    /// units, status, or 账号, 姓名, 手机, 邮箱, 工号, 职务, 部门, 状态. Units are paths:
    /// 研发部/前端组;销售部. Local units that are missing are made. A column that is not there
    /// changes nothing, an empty cell empties the field, a line that is not there removes nobody,
    /// and members of WeCom's are refused. If anything is wrong, all of it is said and nothing is
    /// written. What is right is written in transactions of 500 rows: one that fails leaves those
    /// before it written, and the same command again writes the rest.
    #[command(
        after_help = "Examples:\n  gongpai directory import outside.csv --dry-run\n  gongpai directory import outside.csv"
    )]
    Import {
        /// The file; - is standard input
        file: String,
        /// Print what would be made and changed, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write local persons as a table that import reads (CSV in UTF-8, which Excel opens)
    ///
    /// Cells that a spreadsheet would calculate begin with an apostrophe, which import takes off
    /// again.
    #[command(
        after_help = "Examples:\n  gongpai directory export local.csv\n  gongpai directory export - --all > everybody.csv"
    )]
    Export {
        /// The file; - is standard output
        file: String,
        /// Everybody, WeCom's members, too
        #[arg(long)]
        all: bool,
    },
    /// Decide whether two persons are one
    #[command(after_help = "Example:\n  gongpai directory conflicts list", subcommand_required = true)]
    Conflicts {
        /// Which.
        #[command(subcommand)]
        command: ConflictsCommand,
    },
}

/// `gongpai directory conflicts …`
#[derive(Debug, Clone, Subcommand)]
pub enum ConflictsCommand {
    /// List persons who could be somebody who is known already
    #[command(after_help = "Example:\n  gongpai directory conflicts list --json")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Say that they are one, or that they are two
    ///
    /// One: the person keeps the id of the candidate, which applications know, and everything that
    /// WeCom says of the new one. Both are signed out. This cannot be undone.
    #[command(
        group = ArgGroup::new("answer").required(true).multiple(false),
        after_help = "Examples:\n  gongpai directory conflicts resolve 0193… --person 0192…\n  gongpai directory conflicts resolve 0193… --separate"
    )]
    Resolve {
        /// The conflict's id, as `conflicts list` prints it
        id: String,
        /// They are one: this candidate, by its id
        #[arg(long, value_name = "ID", group = "answer")]
        person: Option<String>,
        /// They are two; nobody asks again
        #[arg(long, group = "answer")]
        separate: bool,
    },
}

/// `gongpai rules …`
#[derive(Debug, Clone, Subcommand)]
pub enum RulesCommand {
    /// Let user: rules mean whoever has the userid now
    ///
    /// A userid in a rule means the person that the rule matched first. Whoever gets the userid
    /// later matches nothing, until this is called. Without a userid it lists those that now are
    /// somebody else's. Exit code 1 if a userid that is named is not one of them; nothing is
    /// accepted then.
    #[command(after_help = "Examples:\n  gongpai rules accept\n  gongpai rules accept lisi wangwu")]
    Accept {
        /// The userids
        #[arg(value_name = "USERID", value_parser = parse_userid)]
        userids: Vec<String>,
        /// Every userid that is somebody else's now
        #[arg(long, conflicts_with = "userids")]
        all: bool,
    },
}
