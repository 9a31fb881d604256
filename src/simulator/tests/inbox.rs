//! The inbox on the phone.

use super::*;

async fn read_inbox_page(b: &SimulatorBench) -> String {
    let r = b.get("/phone/inbox", DESKTOP_USER_AGENT).await;
    assert_eq!(r.status(), StatusCode::OK);
    r.text().await.unwrap()
}

#[tokio::test]
async fn the_inbox_shows_every_kind() {
    let b = SimulatorBench::start().await;
    let image = b.upload("image", "图.png", b"\x89PNG\r\n\x1a\n0000").await["media_id"].clone();
    let file = b.upload("file", "月报.pdf", b"%PDF-1.7").await["media_id"].clone();
    let send = async |kind: &str, content: Value| {
        assert_eq!(
            b.refusal(json!({"touser": "zhangsan", "msgtype": kind, kind: content})).await,
            0,
            "{kind}"
        );
        read_inbox_page(&b).await
    };
    let p =
        send("text", json!({"content": "请<a href=\"https://oa.example.com/?a=1&b=2\">处理</a><script>"}))
            .await;
    assert!(p.contains("href=\"https://oa.example.com/?a=1&#38;b=2\" target=\"_blank\""), "{p}");
    assert!(p.contains("&#60;script&#62;") && !p.contains("<script>"));
    let p =
        send("markdown", json!({"content": "# 题\n> **粗** <font color=\"warning\">红</font> <img src=x>"}))
            .await;
    assert!(p.contains("<p class=\"h1\">") && p.contains("<span class=\" warning\">红</span>"), "{p}");
    assert!(!p.contains("<img src=x>"));
    let p = send(
        "textcard",
        json!({"title": "领奖通知", "description": "<div class=\"gray\">今天</div>", "url": "https://oa.example.com/c", "btntxt": "去领"}),
    )
    .await;
    assert!(p.contains("<p class=\"gray\">") && p.contains("href=\"https://oa.example.com/c\""), "{p}");
    assert!(p.contains(">去领</a>"));
    let p = send("news", json!({"articles": [{"title": "新闻一", "url": "https://oa.example.com/n", "picurl": "https://oa.example.com/n.png"}]})).await;
    assert!(p.contains("src=\"https://oa.example.com/n.png\"") && p.contains(">新闻一</a>"), "{p}");
    let p = send("image", json!({"media_id": image})).await;
    assert!(p.contains(&format!("src=\"/phone/media/{}\"", image.as_str().unwrap())), "{p}");
    let p = send("file", json!({"media_id": file})).await;
    assert!(p.contains("download=\"月报.pdf\"") && p.contains("8 B"), "{p}");
    let p = send(
        "template_card",
        json!({
            "card_type": "text_notice", "source": {"desc": "办公平台", "desc_color": 2},
            "main_title": {"title": "待办", "desc": "请处理"}, "emphasis_content": {"title": "100", "desc": "件"},
            "quote_area": {"type": 1, "url": "https://oa.example.com/q", "title": "引用", "quote_text": "原文"},
            "sub_title_text": "说明", "horizontal_content_list": [
                {"keyname": "申请人", "type": 3, "userid": "lisi"}, {"keyname": "附件", "value": "月报.pdf", "type": 2, "media_id": file},
            ],
            "jump_list": [{"type": 1, "title": "更多", "url": "https://oa.example.com/j"}],
            "card_action": {"type": 1, "url": "https://oa.example.com/t"},
        }),
    )
    .await;
    for part in [
        "source red",
        ">待办</h2>",
        "emphasis\">100",
        "引用</a>",
        "<dd>李四</dd>",
        ">更多</a>",
        "href=\"https://oa.example.com/t\"",
    ] {
        assert!(p.contains(part), "{part}: {p}");
    }
    let p = send(
        "template_card",
        json!({
            "card_type": "news_notice", "main_title": {"title": "公告"},
            "card_image": {"url": "https://oa.example.com/i.png"}, "vertical_content_list": [{"title": "一", "desc": "二"}],
            "card_action": {"type": 1, "url": "https://oa.example.com/g"},
        }),
    )
    .await;
    assert!(
        p.contains("class=\"wide\" src=\"https://oa.example.com/i.png\"")
            && p.contains("<strong>一</strong>"),
        "{p}"
    );
}

#[tokio::test]
async fn a_badge_counts_what_nobody_has_looked_at() {
    let b = SimulatorBench::start().await;
    let unread = async || b.get("/phone/unread", DESKTOP_USER_AGENT).await.json::<Value>().await.unwrap();
    assert_eq!(unread().await["unread"], 0);
    let [first, _] =
        [b.send(text_message("zhangsan", "一")).await, b.send(text_message("zhangsan", "二")).await];
    let state = unread().await;
    assert_eq!(state["unread"], 2);
    let phone = b.get("/phone", DESKTOP_USER_AGENT).await.text().await.unwrap();
    assert!(phone.contains("data-unread><span>2</span>") && phone.contains("二"), "{phone}");
    assert!(
        read_inbox_page(&b).await.contains(&format!("data-inbox=\"{}\"", state["version"].as_str().unwrap()))
    );
    assert_eq!(unread().await["unread"], 0);
    b.recall(&b.app_token().await, &first["msgid"]).await;
    assert_ne!(unread().await["version"], state["version"]);
    let p = read_inbox_page(&b).await;
    assert!(p.contains("撤回了一条消息") && !p.contains(">一<"), "{p}");
}

#[tokio::test]
async fn the_inbox_is_of_whoever_holds_the_phone_and_old_letters_are_further_up() {
    let b = SimulatorBench::start().await;
    b.sim.limit(|l| l.messages_per_minute = None);
    for n in 1..=60 {
        b.send(text_message("lisi", &format!("第{n}条"))).await;
    }
    assert!(read_inbox_page(&b).await.contains("还没有消息"));
    b.sim.set_phone_member("lisi");
    let p = read_inbox_page(&b).await;
    assert!(p.contains(">第60条<") && p.contains(">第11条<") && !p.contains(">第10条<"), "{p}");
    assert!(p.contains("/phone/inbox?before=10"));
    let p = b.get("/phone/inbox?before=10", DESKTOP_USER_AGENT).await.text().await.unwrap();
    assert!(p.contains(">第10条<") && p.contains(">第1条<") && !p.contains("data-inbox"), "{p}");
}

#[tokio::test]
async fn the_inbox_in_json_is_what_a_test_reads_from_another_process() {
    let b = SimulatorBench::start().await;
    let mut body = text_message("lisi", "你好");
    body["safe"] = json!(1);
    let msgid = b.send(body).await["msgid"].clone();
    let got: Value = b.get("/phone/inbox.json?userid=LiSi", "test").await.json().await.unwrap();
    let at = b.sim.inbox("lisi")[0].at_ms;
    assert_eq!(
        got,
        json!([{
            "msgid": msgid, "agentid": 1_000_002, "app": "办公平台", "msgtype": "text",
            "content": {"content": "你好"}, "safe": 1, "at": at,
        }])
    );
    let got: Value = b.get("/phone/inbox.json", "test").await.json().await.unwrap();
    assert_eq!(got, json!([]), "without a userid it is the holder's");
}
