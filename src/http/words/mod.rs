//! The words of our pages, in Chinese and English.
//!
//! [`Code`] names what can go wrong; its table is in `codes.rs`. [`labels`] has the words of the
//! pages themselves. Codes are stable, because tickets and scripts quote them. Texts may improve.

mod codes;
pub(crate) mod labels;

use axum::http::StatusCode;

pub use codes::Code;

use super::language::BilingualText;

/// The kind of a failure. It decides the picture of its page and whether the page retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// This person is refused, however often they try.
    Refused,
    /// This attempt failed; another one may work.
    Attempt,
    /// WeCom or the database does not answer; it passes by itself.
    Trouble,
    /// Only an administrator can mend it.
    Setup,
    /// A message's link was opened by somebody else or too late.
    Message,
    /// A request that no link of ours makes.
    Request,
}

/// The one button of a failure page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureButton {
    /// The button 重试.
    Retry,
    /// 换个账号; not shown inside WeCom, where the account is the app's.
    SwitchAccount,
    /// The button 返回.
    Back,
    /// No button would help.
    None,
}

/// A row of the table of codes.
#[derive(Debug)]
pub struct CodeRow {
    /// The stable name, `signin.not_member`.
    pub name: &'static str,
    /// The status of the answer, page or JSON.
    pub status: StatusCode,
    pub kind: FailureKind,
    pub button: FailureButton,
    /// What happened, in one sentence.
    pub happened: BilingualText,
    /// What to do, in one sentence.
    pub advice: BilingualText,
    /// What the administrator needs to know. Names of console pages stand in 「」 as the console
    /// writes them, in both languages.
    pub admin: BilingualText,
}

impl Code {
    /// The stable name, `signin.not_member`.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Returns the status of the answer.
    pub fn status(self) -> StatusCode {
        self.row().status
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn is_chinese(c: char) -> bool {
        matches!(c, '\u{4e00}'..='\u{9fff}')
    }

    fn check_text(name: &str, text: &BilingualText) {
        assert!(text.zh.chars().any(is_chinese), "{name}: no Chinese in {:?}", text.zh);
        assert!(text.en.chars().any(|c| c.is_ascii_alphabetic()), "{name}: no English in {:?}", text.en);
        for s in [&text.zh, &text.en] {
            assert!(!s.contains(['!', '！', '亲']), "{name}: {s:?}");
            assert_eq!(s.trim(), s.as_ref(), "{name}");
        }
        // Chinese within English only as a name of WeCom's console, in its brackets.
        let mut inside = false;
        for c in text.en.chars() {
            match c {
                '「' => inside = true,
                '」' => inside = false,
                c => assert!(inside || !is_chinese(c), "{name}: Chinese in {:?}", text.en),
            }
        }
        assert!(!inside, "{name}: an open bracket in {:?}", text.en);
    }

    #[test]
    fn every_code_says_everything_in_both_languages() {
        for code in Code::ALL {
            let row = code.row();
            for text in [&row.happened, &row.advice, &row.admin] {
                check_text(row.name, text);
            }
            for text in [&row.happened, &row.advice] {
                assert!(
                    text.zh.ends_with('。') && text.en.ends_with('.'),
                    "{}: not a sentence: {text:?}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn every_label_is_in_both_languages() {
        for (name, text) in labels::ALL {
            check_text(name, text);
        }
    }

    #[test]
    fn codes_are_unique_and_of_the_form_area_dot_name() {
        let names: HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for name in names {
            assert!(
                name == "internal" || name.split_once('.').is_some_and(|(a, b)| part(a) && part(b)),
                "{name}"
            );
        }
    }

    #[test]
    fn refusals_are_403_attempts_400_and_what_others_must_mend_503() {
        for code in Code::ALL {
            let (row, is) = (code.row(), code.status().as_u16());
            let expected: &[u16] = match row.kind {
                FailureKind::Refused => &[403],
                FailureKind::Attempt if *code == Code::TooMany => &[429],
                FailureKind::Attempt => &[400],
                FailureKind::Trouble if *code == Code::Internal => &[500],
                FailureKind::Trouble | FailureKind::Setup => &[503],
                FailureKind::Message => &[403, 410],
                FailureKind::Request => &[400, 401, 403, 404, 405, 409, 410, 412, 413, 422],
            };
            assert!(expected.contains(&is), "{code}: {is}");
        }
    }

    #[test]
    fn the_words_page_of_the_design_is_complete() {
        for name in [
            "signin.not_member",
            "signin.linked_corp",
            "signin.disabled",
            "signin.left",
            "signin.not_activated",
            "signin.not_visible",
            "signin.code_used",
            "signin.cookies_blocked",
            "signin.cookies_refused",
            "signin.too_many_rounds",
            "signin.cancelled",
            "signin.bad_target",
            "signin.other_code",
            "signin.too_many",
            "signin.denied",
            "setup.wrong_agent",
            "setup.redirect_domain",
            "setup.trusted_ip",
            "setup.secret",
            "setup.corp_id",
            "setup.contacts_only",
            "setup.app_disabled",
            "wecom.disabled",
            "wecom.unreachable",
            "wecom.busy",
            "store.unavailable",
            "message.not_for_you",
            "message.expired",
            "gate.unknown_host",
            "gate.untrusted_proxy",
            "api.unauthorized",
            "api.forbidden_scope",
            "api.bad_request",
            "api.not_found",
            "directory.feed_gone",
            "request.not_found",
            "request.too_large",
            "internal",
        ] {
            assert!(Code::ALL.iter().any(|c| c.as_str() == name), "{name} is missing");
        }
    }
}
