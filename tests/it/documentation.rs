//! The admin listener serves the documentation, and what its pages need.

use reqwest::Client;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_admin_listener_serves_the_documentation_with_its_style_sheets() {
    let t = TestApp::start().await;
    let client = Client::builder().no_proxy().build().expect("an HTTP client");
    let address = format!("http://{}", t.admin);
    let index = client.get(format!("{address}/docs")).send().await.expect("an answer");
    assert_eq!((index.status().as_u16(), index.url().path()), (200, "/docs/"));
    let html = index.text().await.expect("HTML");
    let parts = html.split('"').filter(|part| part.starts_with("/_gongpai/assets/"));
    let assets: Vec<&str> = parts.collect();
    assert!(assets.iter().any(|asset| asset.contains("manual.css")), "{html}");
    for asset in assets {
        let answer = client.get(format!("{address}{asset}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{asset}");
    }
    // People who sign in have no use for it.
    let public = client.get(format!("http://{}/docs/", t.address)).send().await.expect("an answer");
    assert_eq!(public.status(), 404);
}
