//! The domain file as WeCom gets it: through public_url, its 16 characters and nothing else.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::finding::{Finding, Level, same};
use super::web::{Page, Web};
use super::words::Row;
use crate::config::{Config, VerifyFile, verify_files};

/// How long all of them together may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(config: &Config, web: &Web) -> Vec<Finding> {
    let mut findings: Vec<_> = malformed(config)
        .iter()
        .map(|name| Finding::new(Row::VerifyFileName, &[same("name", name)]))
        .collect();
    let files = verify_files(config);
    if files.is_empty() && findings.is_empty() {
        return vec![Finding::new(Row::VerifyFileNone, &[])];
    }
    let due = Instant::now() + PATIENCE;
    for file in files {
        let url = format!("{}/{}", config.hosts.public(), file.file_name());
        let answer = match timeout_at(due, web.get(&url)).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        };
        findings.push(judge(&url, &file, &answer));
    }
    findings
}

fn judge(url: &str, file: &VerifyFile, answer: &Result<Page, String>) -> Finding {
    let wrong = |zh: &str, en: &str| Finding::new(Row::VerifyFileWrong, &[same("url", url), ("why", zh, en)]);
    let page = match answer {
        Ok(page) => page,
        // From here; WeCom may have another way.
        Err(why) => return wrong(why, why).at(Level::Warn),
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
        Finding::new(Row::VerifyFileOk, &[same("url", url)])
    }
}

/// Files of `data_dir` that look like one and are not served because their names are not WeCom's.
fn malformed(config: &Config) -> Vec<String> {
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

    fn of(status: u16, content_type: &str, body: &str) -> Finding {
        let file = VerifyFile::parse("WW_verify_AbCdEf0123456789.txt").unwrap();
        let page = Page { status, content_type: content_type.to_owned(), body: body.as_bytes().to_vec() };
        judge("https://oa.example.com/x", &file, &Ok(page))
    }

    #[test]
    fn only_the_bare_token_as_plain_text_passes() {
        assert_eq!(of(200, "text/plain", "AbCdEf0123456789").level, Level::Ok);
        for (status, content_type, body, why) in [
            (200, "text/html", "AbCdEf0123456789", "the type"),
            (200, "text/plain", "AbCdEf0123456789\n", "16 characters"),
            (200, "text/plain", "<html>", "16 characters"),
            (404, "text/plain", "AbCdEf0123456789", "HTTP 404"),
            (302, "text/plain", "AbCdEf0123456789", "a redirect"),
        ] {
            let finding = of(status, content_type, body);
            assert_eq!(finding.level, Level::Broken, "{why}");
            assert!(finding.why.en.contains(why), "{why}: {}", finding.why.en);
        }
    }

    #[test]
    fn what_cannot_be_reached_from_here_is_a_warning_only() {
        let file = VerifyFile::parse("WW_verify_AbCdEf0123456789.txt").unwrap();
        assert_eq!(judge("https://x/", &file, &Err("refused".to_owned())).level, Level::Warn);
    }
}
