//! The demo as somebody sees it who tries Gongpai for the first time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::support::browser::{DESKTOP, PHONE};
use crate::support::process::{Output, Process, Program};
use crate::support::webdriver::{Chromium, Viewport};

/// A running demo with its own folder for temporary files.
struct Demo {
    process: Process,
    temporary: tempfile::TempDir,
    url: String,
}

impl Demo {
    async fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut process = Program::demo().env("TMPDIR", temporary.path()).start();
        let line = process.line_with("http://").await;
        process.line_with("Ctrl-C").await;
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { process, temporary, url }
    }

    fn left_behind(&self) -> Vec<String> {
        list_names(self.temporary.path())
    }
}

fn list_names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Hands the phone to a member, opens the application from the workbench and goes on in the new
/// window.
async fn open_as(chromium: &Chromium, member: &str) {
    chromium.click(&format!("#member option[value={member}]")).await;
    chromium.click(".switch button").await;
    chromium.find(&format!("#member option[value={member}][selected]")).await;
    let known = chromium.windows().await;
    chromium.click(".icons a").await;
    chromium.switch_to_new(&known).await;
}

#[tokio::test]
async fn chromium_signs_in_by_a_tap_on_the_icon_and_the_application_shows_who_it_is() {
    let demo = Demo::start().await;
    let chromium = Chromium::start(Viewport::Phone, PHONE).await;
    chromium.goto(&demo.url).await;
    let phone = chromium.windows().await.remove(0);
    chromium.screenshot("demo-1-phone").await;
    open_as(&chromium, "lisi").await;
    let page = chromium.text_with("李四").await;
    assert!(page.contains("lisi") && !page.contains("gongpai="), "{page}");
    assert_eq!(chromium.url().await.path(), "/");
    chromium.screenshot("demo-2-application").await;

    chromium.click("nav a[href='/boss']").await;
    chromium.text_with("您没有访问该页面的权限").await;
    chromium.screenshot("demo-3-denied").await;

    chromium.switch_to(&phone).await;
    open_as(&chromium, "zhangsan").await;
    chromium.text_with("张三").await;
    chromium.click("nav a[href='/boss']").await;
    chromium.text_with("只有您").await;
    chromium.screenshot("demo-4-allowed").await;

    chromium.switch_to(&phone).await;
    open_as(&chromium, "zhouba").await;
    chromium.text_with("已被禁用").await;
    chromium.screenshot("demo-5-refused").await;
}

#[tokio::test]
async fn chromium_signs_in_on_a_desktop_by_a_code_that_the_phone_page_confirms() {
    let demo = Demo::start().await;
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    chromium.goto(&demo.url).await;
    chromium.screenshot("demo-desktop-1-phone").await;
    let phone = chromium.windows().await.remove(0);
    open_as(&chromium, "wangwu").await;
    let application = chromium.text_with("王五").await;
    assert!(application.contains("wangwu"), "{application}");
    chromium.screenshot("demo-desktop-2-application").await;
    let window = chromium.windows().await.into_iter().find(|window| *window != phone).unwrap();

    chromium.click("nav a[href*=logout]").await;
    chromium.click("a[href*='again=1']").await;
    chromium.find("iframe").await;
    chromium.screenshot("demo-desktop-3-scan").await;
    chromium.switch_to(&phone).await;
    chromium.click("button[value=confirm]").await;
    chromium.screenshot("demo-desktop-4-confirmed").await;
    chromium.switch_to(&window).await;
    chromium.text_with("王五").await;
}

/// Reloads the page 付款 until it contains `part`. The demo synchronises every few seconds.
async fn wait_until_finance_says(chromium: &Chromium, url: &Url, part: &str) {
    let begun = std::time::Instant::now();
    loop {
        chromium.goto(url).await;
        let page = chromium.find("body").await;
        let page = chromium.text(&page).await;
        if page.contains(part) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no {part} in {page}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn chromium_is_refused_within_seconds_after_a_move_to_another_department() {
    let mut demo = Demo::start().await;
    for (viewport, agent, name) in
        [(Viewport::Phone, PHONE, "phone"), (Viewport::Desktop, DESKTOP, "desktop")]
    {
        let shot = |step: &str| format!("demo-moved-{name}-{step}");
        let chromium = Chromium::start(viewport, agent).await;
        chromium.goto(&demo.url).await;
        let phone = chromium.windows().await.remove(0);
        open_as(&chromium, "lisi").await;
        let application = chromium.windows().await.into_iter().find(|w| *w != phone).unwrap();
        chromium.text_with("李四").await;
        let finance = chromium.url().await.join("/finance").unwrap();
        // The first synchronisation may still run.
        wait_until_finance_says(&chromium, &finance, "您在财务部").await;
        chromium.screenshot(&shot("1-allowed")).await;

        chromium.switch_to(&phone).await;
        chromium.goto(demo.url.replace("/phone", "/organisation")).await;
        chromium.screenshot(&shot("2-organisation")).await;
        chromium.type_into("#find", "lisi").await;
        chromium.click(".find button").await;
        chromium.find("button[value=save]").await;
        chromium.screenshot(&shot("3-member")).await;
        move_to_department(&chromium, 3).await;
        chromium.screenshot(&shot("4-moved")).await;

        chromium.switch_to(&application).await;
        wait_until_finance_says(&chromium, &finance, "您没有访问该页面的权限").await;
        chromium.screenshot(&shot("5-refused")).await;

        chromium.switch_to(&phone).await;
        chromium.goto(demo.url.replace("/phone", "/organisation/member?userid=lisi")).await;
        move_to_department(&chromium, 2).await;
        chromium.switch_to(&application).await;
        wait_until_finance_says(&chromium, &finance, "您在财务部").await;
    }
    assert_eq!(demo.process.text(Output::Stderr), "");
    assert!(demo.process.stop().await.success());
}

/// Moves the member to just this department on the member's page.
async fn move_to_department(chromium: &Chromium, department: u32) {
    let ticked = "return [...document.querySelectorAll('[name=department]:checked')].map(box => box.value)";
    for id in chromium.script(ticked, serde_json::json!([])).await.as_array().unwrap() {
        chromium.click(&format!("[name=department][value='{}']", id.as_str().unwrap())).await;
    }
    chromium.click(&format!("[name=department][value='{department}']")).await;
    chromium.click(&format!("#main option[value='{department}']")).await;
    chromium.click("button[value=save]").await;
    chromium.url_with("the organisation", |url| url.path() == "/organisation").await;
}

#[tokio::test]
async fn the_sample_application_is_not_reached_without_the_gates_yes() {
    let demo = Demo::start().await;
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let phone = client.get(&demo.url).send().await.unwrap().text().await.unwrap();
    let (before, _) = phone.split_once("/sso/login").expect("the icon's link");
    let application = before.rsplit('"').next().unwrap();
    let ask = |accept: &'static str| {
        let request = client.get(format!("{application}/boss?x=1")).header("accept", accept);
        request.header("remote-user", "zhangsan").send()
    };
    let call = ask("application/json").await.unwrap();
    assert_eq!(call.status(), 401);
    let navigation = ask("text/html").await.unwrap();
    assert_eq!(navigation.status(), 302);
    let location = navigation.headers()["location"].to_str().unwrap();
    let wanted = urlencoding::encode(&format!("{application}/boss?x=1")).into_owned();
    assert_eq!(location, format!("{application}/_gongpai/login?rd={wanted}"));
}

#[tokio::test]
async fn the_demo_prints_one_url_and_how_to_end_it() {
    let demo = Demo::start().await;
    let said = demo.process.text(Output::Stdout);
    assert_eq!(said.matches("http://").count(), 1, "{said}");
    assert!(said.contains("Ctrl-C"), "{said}");
    assert_eq!(demo.process.text(Output::Stderr), "");
}

#[tokio::test]
async fn the_demo_ends_at_once_and_leaves_nothing_behind() {
    let mut demo = Demo::start().await;
    assert_eq!(demo.left_behind().len(), 1, "its folder is where temporary files are");
    let status = demo.process.stop().await;
    assert!(status.success(), "{status}");
    assert_eq!(demo.left_behind(), [""; 0]);
    assert_eq!(demo.process.text(Output::Stderr), "");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_nothing_is_left_behind() {
    let demo = Demo::start().await;
    let port = demo.url.trim_end_matches("/phone").rsplit(':').next().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let second = Program::demo().args(["--port", port]).env("TMPDIR", temporary.path()).run().await;
    assert_eq!(second.code(), Some(1));
    assert!(second.stderr.contains(port) && second.stderr.contains("--port"), "{}", second.stderr);
    assert_eq!(list_names(temporary.path()), [""; 0]);
}

#[tokio::test]
async fn chromium_receives_a_todo_and_one_tap_opens_it_signed_in_for_its_addressee_only() {
    let mut demo = Demo::start().await;
    for (viewport, agent, name) in
        [(Viewport::Phone, PHONE, "phone"), (Viewport::Desktop, DESKTOP, "desktop")]
    {
        let shot = |step: &str| format!("demo-todo-{name}-{step}");
        let chromium = Chromium::start(viewport, agent).await;
        chromium.goto(&demo.url).await;
        let phone = chromium.windows().await.remove(0);
        open_as(&chromium, "zhangsan").await;
        chromium.text_with("张三").await;
        chromium.click("nav a[href='/todo']").await;
        chromium.click("select[name=to] option[value=lisi]").await;
        chromium.screenshot(&shot("1-write")).await;
        chromium.click("form button").await;
        chromium.text_with("已交给网关").await;
        chromium.screenshot(&shot("2-accepted")).await;

        // On the recipient's phone; the browser still has 张三's session.
        chromium.switch_to(&phone).await;
        chromium.click("#member option[value=lisi]").await;
        chromium.click(".switch button").await;
        chromium.find("#member option[value=lisi][selected]").await;
        chromium.click("a[href='/phone/inbox']").await;
        chromium.find("ol li:last-child a.whole").await;
        chromium.screenshot(&shot("3-inbox")).await;
        let known = chromium.windows().await;
        chromium.click("ol li:last-child a.whole").await;
        chromium.switch_to_new(&known).await;
        let opened = chromium.text_with("您已登录为 李四").await;
        assert!(opened.contains("差旅报销待审批"), "{opened}");
        assert!(chromium.url().await.path().starts_with("/todo/"));
        chromium.screenshot(&shot("4-opened")).await;
        chromium.click("form button").await;
        chromium.text_with("已处理").await;

        // Somebody else has the same link, because 李四 forwarded it.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let inbox = demo.url.replace("/phone", "/phone/inbox.json?userid=lisi");
        let letters: serde_json::Value = client.get(inbox).send().await.unwrap().json().await.unwrap();
        let link = letters.as_array().unwrap().last().unwrap()["content"]["url"].as_str().unwrap().to_owned();
        assert!(link.contains("/sso/m/"), "{link}");
        chromium.switch_to(&phone).await;
        chromium.goto(&demo.url).await;
        open_as(&chromium, "wangwu").await;
        chromium.text_with("王五").await;
        chromium.goto(&link).await;
        let refused = chromium.text_with("这条消息不是发给您的").await;
        assert!(!refused.contains("李四") && !refused.contains("报销"), "{refused}");
        chromium.screenshot(&shot("5-somebody-else")).await;
    }
    assert_eq!(demo.process.text(Output::Stderr), "");
    assert!(demo.process.stop().await.success());
}
