//! `WW_verify_*.txt`: it proves the domain to this corporation and to no other.

use reqwest::Method;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::BrowserRequest;

const CONFIGURED_FILE: &str = "WW_verify_AbCdEf0123456789.txt";
const FOLDER_FILE: &str = "WW_verify_ZyXwVu9876543210.txt";

async fn start_with_both_files() -> TestApp {
    let t = TestApp::with(&format!("[wecom]\nverify_files = [\"{CONFIGURED_FILE}\"]")).await;
    std::fs::write(t.data_dir().join(FOLDER_FILE), "whatever it says").unwrap();
    t
}

#[tokio::test]
async fn a_configured_name_and_one_in_data_dir_answer_their_token() {
    let t = start_with_both_files().await;
    for (file, token) in [(CONFIGURED_FILE, "AbCdEf0123456789"), (FOLDER_FILE, "ZyXwVu9876543210")] {
        for host in [PUBLIC_URL, APP_URL] {
            let page = t.desktop().get(format!("{host}/{file}")).await;
            assert_eq!((page.status.as_u16(), page.text().as_str()), (200, token), "no redirect, no newline");
            assert!(page.header("content-type").unwrap().starts_with("text/plain"));
            assert!(page.headers.get("set-cookie").is_none());
        }
        let head =
            t.desktop().send(BrowserRequest::bare(Method::HEAD, &format!("{PUBLIC_URL}/{file}"))).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        let post =
            t.desktop().send(BrowserRequest::bare(Method::POST, &format!("{PUBLIC_URL}/{file}"))).await;
        assert!(post.status.is_client_error(), "{}", post.status);
    }
}

#[tokio::test]
async fn no_other_name_is_answered() {
    let t = start_with_both_files().await;
    std::fs::write(t.data_dir().join("secret.txt"), "x").unwrap();
    for name in [
        "WW_verify_AAAAAAAAAAAAAAAA.txt",
        "WW_verify_abcdef0123456789.txt",
        "ww_verify_AbCdEf0123456789.txt",
        "WW_verify_AbCdEf0123456789.TXT",
        "WW_verify_AbCdEf0123456789",
        "WW_verify_AbCdEf0123456789.txt/",
        "WW_verify_AbCdEf012345678.txt",
        "WW_verify_AbCdEf01234567890.txt",
        "WW_verify_../../../etc/pa.txt",
        "WW_verify_..%2f..%2fsecret.txt",
        "x/WW_verify_AbCdEf0123456789.txt",
        "secret.txt",
        "secret",
        "gongpai.db",
        "..%2fsecret.txt",
    ] {
        let page = t.desktop().get(format!("{PUBLIC_URL}/{name}")).await;
        assert_eq!(page.status, 404, "{name}");
        assert!(page.text().contains("404") || page.text().contains("not_found"), "{name}: {}", page.text());
    }
}
