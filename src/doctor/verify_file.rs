//! Checks that WeCom gets the domain verification file through public_url: its 16 characters and
//! nothing else.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::finding::{DoctorFinding, untranslated};
use super::level::FindingLevel;
use super::web::{WebClient, WebResponse};
use super::words::FindingKind;
use crate::config::{Config, VerifyFile, find_verify_files};

/// The time limit for all files together.
const FILES_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn check_verify_files(config: &Config, web: &WebClient) -> Vec<DoctorFinding> {
    let mut findings: Vec<_> = malformed_names(config)
        .iter()
        .map(|name| DoctorFinding::new(FindingKind::VerifyFileName, &[untranslated("name", name)]))
        .collect();
    let files = find_verify_files(config);
    if files.is_empty() && findings.is_empty() {
        return vec![DoctorFinding::new(FindingKind::VerifyFileNone, &[])];
    }
    let due = Instant::now() + FILES_TIMEOUT;
    for file in files {
        let url = format!("{}/{}", config.hosts.public(), file.file_name());
        let answer = match timeout_at(due, web.get(&url)).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        };
        findings.push(judge_answer(&url, &file, &answer));
    }
    findings
}

fn judge_answer(url: &str, file: &VerifyFile, answer: &Result<WebResponse, String>) -> DoctorFinding {
    let wrong = |zh: &str, en: &str| {
        DoctorFinding::new(FindingKind::VerifyFileWrong, &[untranslated("url", url), ("why", zh, en)])
    };
    let page = match answer {
        Ok(page) => page,
        // It is unreachable from here only; WeCom may come another way.
        Err(why) => return wrong(why, why).with_level(FindingLevel::Warn),
    };
    if (300..400).contains(&page.status) {
        wrong("回答的是跳转", "the answer is a redirect")
    } else if page.status != 200 {
        let why = format!("HTTP {}", page.status);
        wrong(&why, &why)
    } else if page.body != file.token().as_bytes() {
        wrong("内容不是文件名中的 16 个字符", "the body is not the 16 characters of the name")
    } else if page.content_type != "text/plain" {
        wrong("类型不是 text/plain", "the type is not text/plain")
    } else {
        DoctorFinding::new(FindingKind::VerifyFileOk, &[untranslated("url", url)])
    }
}

/// Returns the files of `data_dir` that look like verification files but are not served, because
/// WeCom does not use such names.
fn malformed_names(config: &Config) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(&config.data_dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| {
            name.to_ascii_lowercase().starts_with("ww_verify") && VerifyFile::parse(name).is_none()
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge_response(status: u16, content_type: &str, body: &str) -> DoctorFinding {
        let file = VerifyFile::parse("WW_verify_AbCdEf0123456789.txt").unwrap();
        let page =
            WebResponse { status, content_type: content_type.to_owned(), body: body.as_bytes().to_vec() };
        judge_answer("https://oa.example.com/x", &file, &Ok(page))
    }

    #[test]
    fn only_the_bare_token_as_plain_text_passes() {
        assert_eq!(judge_response(200, "text/plain", "AbCdEf0123456789").level, FindingLevel::Ok);
        for (status, content_type, body, why) in [
            (200, "text/html", "AbCdEf0123456789", "the type"),
            (200, "text/plain", "AbCdEf0123456789\n", "16 characters"),
            (200, "text/plain", "<html>", "16 characters"),
            (404, "text/plain", "AbCdEf0123456789", "HTTP 404"),
            (302, "text/plain", "AbCdEf0123456789", "a redirect"),
        ] {
            let finding = judge_response(status, content_type, body);
            assert_eq!(finding.level, FindingLevel::Broken, "{why}");
            assert!(finding.why.en.contains(why), "{why}: {}", finding.why.en);
        }
    }

    #[test]
    fn what_cannot_be_reached_from_here_is_a_warning_only() {
        let file = VerifyFile::parse("WW_verify_AbCdEf0123456789.txt").unwrap();
        assert_eq!(judge_answer("https://x/", &file, &Err("refused".to_owned())).level, FindingLevel::Warn);
    }
}
