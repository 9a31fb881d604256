//! What people read about a run: why it was refused or failed, in both languages.

use super::plan::ExcessiveRemovals;
use super::state::{FetchPart, InterveningChange, SyncRunReason};
use crate::http::language::BilingualText;
use crate::wecom::errcode;

impl SyncRunReason {
    /// Returns what happened and, where it is known, what mends it.
    pub fn text(&self) -> BilingualText {
        match self {
            Self::ProcessKilled => BilingualText::fixed(
                "负责这次同步的进程中途消失，没有发布任何内容。",
                "The process that worked on it ended without a word; nothing of it was published.",
            ),
            Self::ProcessStopped => BilingualText::fixed(
                "进程已停止，由排队中的那次同步接手。",
                "The process stopped; the run that waited does its work.",
            ),
            Self::Interrupted => BilingualText::fixed(
                "在命令行被中断，没有发布任何内容。",
                "It was interrupted at the command line; nothing of it was published.",
            ),
            Self::WecomDisabled => BilingualText::fixed(
                "wecom.enable 为 false：不向企业微信发送任何请求。",
                "wecom.enable is false: WeCom is asked for nothing.",
            ),
            Self::KeyMissing { key } => BilingualText::new(
                format!("{key} 为空，没有它就读不到企业微信的通讯录。"),
                format!("{key} is empty, and without it WeCom's directory cannot be read."),
            ),
            Self::Unread { part, secret, errcode, error } => describe_unread(*part, secret, *errcode, error),
            Self::ExcessiveRemovals(excess) => describe_excess(excess),
            Self::Overtaken(change) => {
                let zh = match change {
                    InterveningChange::Merged(userid) => format!("人员 {userid} 被合并到另一人"),
                    InterveningChange::Returned(userid) => format!("人员 {userid} 又回来了"),
                    InterveningChange::SignedIn(userid) => format!("有人以 {userid} 登录"),
                };
                BilingualText::new(
                    format!("写入期间{zh}；下次同步会处理。"),
                    format!("{change} while the run wrote; the next run brings it"),
                )
            }
            Self::PlannerFailed { error } => BilingualText::new(
                format!("无法生成同步计划：{error}"),
                format!("the plan could not be made: {error}"),
            ),
            Self::DatabaseFailed { error } => {
                BilingualText::new(format!("数据库出错：{error}"), format!("the database failed: {error}"))
            }
            Self::Unknown { text } => BilingualText::new(
                format!("较新版本写入的原因：{text}"),
                format!("a newer version gave the reason: {text}"),
            ),
        }
    }
}

fn describe_unread(part: FetchPart, secret: &str, code: Option<i64>, error: &str) -> BilingualText {
    let part_zh = match part {
        FetchPart::Departments => "部门列表",
        FetchPart::CompanyDepartments => "全公司的部门列表",
        FetchPart::MemberIds => "成员 ID 列表",
    };
    let (zh, en) = (
        format!("用 {secret} 读不到{part_zh}：{error}"),
        format!("{part} cannot be read with {secret}: {error}"),
    );
    // Errors of our own are whole sentences already; WeCom's need their meaning and remedy.
    let Some(meaning) = code.and_then(errcode::explain_errcode) else { return BilingualText::new(zh, en) };
    let page = meaning.console;
    let (page_zh, page_en) =
        page.map_or_else(Default::default, |page| (format!("（{page}）"), format!(" ({page})")));
    BilingualText::new(
        format!("{zh}。{}{}{page_zh}", meaning.zh, meaning.remedy_zh),
        format!("{en}. {} {}{page_en}", meaning.en, meaning.remedy_en),
    )
}

fn describe_excess(excess: &ExcessiveRemovals) -> BilingualText {
    let ExcessiveRemovals { removals: gone, max_persons, max_units } = excess;
    BilingualText::new(
        format!(
            "这次同步会让 {} 人中的 {} 人离开、删除 {} 个部门中的 {} 个，超过 directory.max_removals 允许的数量（{max_persons} 人、\
             {max_units} 个部门）；如果企业微信的数据没错，请加 --force 重新运行。",
            gone.of_persons, gone.persons, gone.of_units, gone.units
        ),
        format!("The run {excess}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use crate::sync::plan::Removals;

    #[test]
    fn a_reason_names_its_values_in_both_languages() {
        let removals = Removals { persons: 41, of_persons: 97, units: 5, of_units: 53 };
        let unread = |errcode| SyncRunReason::Unread {
            part: FetchPart::Departments,
            secret: "wecom.app_secret".to_owned(),
            errcode,
            error: "WeCom refused".to_owned(),
        };
        for (reason, values) in [
            (SyncRunReason::KeyMissing { key: "wecom.corp_id".to_owned() }, vec!["wecom.corp_id"]),
            (unread(None), vec!["wecom.app_secret", "WeCom refused"]),
            (unread(Some(40001)), vec!["wecom.app_secret", "WeCom refused", "「应用管理"]),
            (
                SyncRunReason::ExcessiveRemovals(ExcessiveRemovals {
                    removals,
                    max_persons: 10,
                    max_units: 6,
                }),
                vec!["41", "97", "5", "53", "10", "6", "directory.max_removals", "--force"],
            ),
            (SyncRunReason::Overtaken(InterveningChange::Returned(UserId::new("ann"))), vec!["ann"]),
            (SyncRunReason::PlannerFailed { error: "boom".to_owned() }, vec!["boom"]),
            (SyncRunReason::DatabaseFailed { error: "disk full".to_owned() }, vec!["disk full"]),
        ] {
            let BilingualText { zh, en } = reason.text();
            for value in values {
                assert!(zh.contains(value) && en.contains(value), "{value}: {zh} / {en}");
            }
        }
    }
}
