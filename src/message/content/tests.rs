//! Which contents are accepted, what is wrong with others, and which links become ours.

use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::limit::LengthLimit;
use super::links::LinkWrapper;
use super::markup::Markup;
use super::object_reader::MAX_SCANNED_BYTES;
use super::*;
use crate::base::host::{AllowedHost, Origin, Scheme};
use crate::base::url::ReturnTo;

fn hosts() -> Hosts {
    let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
    Hosts::new(public, vec![AllowedHost::parse("app.example.com").unwrap()], ".corp.example", false)
}

fn text_request(kind: MessageKind, content: Value) -> MessageRequest {
    let Value::Object(content) = content else { panic!("{content} is no object") };
    MessageRequest {
        to: RequestedRecipients::default(),
        kind,
        content,
        url_signed_in: true,
        truncate: false,
        expires_at: None,
    }
}

fn validate(kind: MessageKind, content: Value) -> ValidatedContent {
    validate_content(&text_request(kind, content), &hosts()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Returns what is wrong with a content, as it is shown.
fn find_problems(kind: MessageKind, content: Value) -> Vec<String> {
    let errors = validate_content(&text_request(kind, content), &hosts()).expect_err("something is wrong");
    errors.iter().map(ToString::to_string).collect()
}

fn cut_content(kind: MessageKind, content: Value) -> (Value, Vec<String>) {
    let request = MessageRequest { truncate: true, ..text_request(kind, content) };
    let validated = validate_content(&request, &hosts()).unwrap_or_else(|errors| panic!("{errors:?}"));
    (serde_json::from_str(&validated.content).unwrap(), validated.truncated)
}

/// Returns the text with `{1}`, `{2}` … in place of our links, and their targets.
fn wrap(text: &str, markup: Markup) -> (String, Vec<String>) {
    let hosts = hosts();
    let mut links = Vec::new();
    let mut text = LinkWrapper::new(&hosts).wrap_text(text, markup, &mut links);
    for (number, link) in (1..).zip(&links) {
        let ours = format!("https://oa.example.com/sso/m/{}", link.id);
        assert_eq!(text.matches(&ours).count(), 1, "{text}");
        assert!(link.id.len() == 22 && link.id.bytes().all(|b| b.is_ascii_alphanumeric()), "{}", link.id);
        text = text.replace(&ours, &format!("{{{number}}}"));
    }
    (text, links.into_iter().map(|link| link.target).collect())
}

#[test]
fn a_request_says_everything_that_is_wrong_with_it() {
    let Value::Object(request) = json!({
        "to": {"users": "zhangsan", "everybody": true}, "kind": "voice", "content": [], "expires_at": "tomorrow",
        "url_signed_in": 1, "titel": "x",
    }) else {
        panic!()
    };
    let errors = MessageRequest::parse(request).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "to.users: is no list of texts",
            "to.everybody: is an unknown field",
            "content: is no object",
            "url_signed_in: is neither true nor false",
            "titel: is an unknown field",
            "kind: \"voice\" is none of text, markdown, textcard, news, template_card, image, file",
            "expires_at: \"tomorrow\" is not an instant of RFC 3339",
        ]
    );
    let missing: Vec<String> =
        MessageRequest::parse(Map::new()).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["to: is missing", "kind: is missing", "content: is missing"]);
}

#[test]
fn the_same_request_laid_out_differently_has_the_same_hash() {
    let read = |text: &str| MessageRequest::parse(serde_json::from_str(text).unwrap()).unwrap().hash();
    let one = read(r#"{"to":{"users":["a"]},"kind":"textcard","content":{"title":"t","url":"u"}}"#);
    let other = r#"{"kind":"textcard","truncate":false,"to":{"all":false,"users":["a"],"tags":null},
        "content":{"url":"u","title":"t"},"expires_at":null}"#;
    assert_eq!(one, read(other));
    for different in [
        r#"{"to":{"users":["b"]},"kind":"textcard","content":{"title":"t","url":"u"}}"#,
        r#"{"to":{"units":["a"]},"kind":"textcard","content":{"title":"t","url":"u"}}"#,
        r#"{"to":{"users":["a"]},"kind":"text","content":{"title":"t","url":"u"}}"#,
        r#"{"to":{"users":["a"]},"kind":"textcard","content":{"title":"u","url":"t"}}"#,
        r#"{"to":{"users":["a"]},"kind":"textcard","content":{"title":"t","url":"u"},"truncate":true}"#,
    ] {
        assert_ne!(one, read(different), "{different}");
    }
}

#[test]
fn contents_are_written_anew_and_what_is_empty_is_left_out() {
    let text = validate(MessageKind::Text, json!({"content": "你好\n\"x\""}));
    assert_eq!(text.content, r#"{"content":"你好\n\"x\""}"#);
    assert!(!text.is_unique && text.links.is_empty() && text.truncated.is_empty());
    let card = validate(
        MessageKind::Textcard,
        json!({"url": "https://elsewhere.example/", "description": "d", "btntxt": "", "title": "t"}),
    );
    assert_eq!(card.content, r#"{"title":"t","description":"d","url":"https://elsewhere.example/"}"#);
    assert_eq!(validate(MessageKind::Image, json!({"media_id": "3a_-"})).content, r#"{"media_id":"3a_-"}"#);
}

#[test]
fn limits_are_bytes_or_characters_as_wecom_counts() {
    validate(MessageKind::Text, json!({"content": "a".repeat(2048)}));
    validate(MessageKind::Markdown, json!({"content": format!("{}ab", "字".repeat(682))}));
    assert_eq!(
        find_problems(MessageKind::Text, json!({"content": "字".repeat(683)})),
        ["content.content: 2049 bytes, at most 2048"]
    );
    let card = |title: &str, description: &str, url: &str, btntxt: &str| json!({"title": title, "description": description, "url": url, "btntxt": btntxt});
    let url = |length: usize| format!("https://e.example/{}", "p".repeat(length - 18));
    validate(MessageKind::Textcard, card(&"t".repeat(128), &"d".repeat(512), &url(2048), "查看详情"));
    assert_eq!(
        find_problems(
            MessageKind::Textcard,
            card(&"t".repeat(129), &"d".repeat(513), &url(2049), "查看更多吧")
        ),
        [
            "content.title: 129 bytes, at most 128",
            "content.description: 513 bytes, at most 512",
            "content.url: 2049 bytes, at most 2048",
            "content.btntxt: 5 characters, at most 4",
        ]
    );
    let article = |title: &str| json!({"title": title, "url": "https://e.example"});
    validate(MessageKind::News, json!({"articles": vec![article("t"); 8]}));
    assert_eq!(
        find_problems(MessageKind::News, json!({"articles": vec![article("t"); 9]})),
        ["content.articles: 9 entries, 1 to 8 are possible"]
    );
    assert_eq!(
        find_problems(MessageKind::News, json!({"articles": [article("ok"), article(&"t".repeat(140))]})),
        ["content.articles[1].title: 140 bytes, at most 128"]
    );
}

#[test]
fn what_is_missing_empty_or_misspelt_is_named() {
    assert_eq!(find_problems(MessageKind::Text, json!({})), ["content.content: is missing"]);
    assert_eq!(find_problems(MessageKind::Text, json!({"content": " \n"})), ["content.content: is empty"]);
    assert_eq!(find_problems(MessageKind::Text, json!({"content": 5})), ["content.content: is no text"]);
    assert_eq!(
        find_problems(MessageKind::Text, json!({"content": "a\u{0}"})),
        ["content.content: contains a NUL"]
    );
    assert_eq!(
        find_problems(MessageKind::Text, json!({"content": "a", "safe": 1})),
        ["content.safe: is an unknown field"]
    );
    assert_eq!(
        find_problems(
            MessageKind::Textcard,
            json!({"title": "t", "desciption": "d", "url": "app.example.com"})
        ),
        [
            "content.description: is missing",
            "content.url: is no URL that begins with http:// or https://",
            "content.desciption: is an unknown field",
        ]
    );
    assert_eq!(
        find_problems(MessageKind::News, json!({"articles": []})),
        ["content.articles: 0 entries, 1 to 8 are possible"]
    );
    assert_eq!(
        find_problems(
            MessageKind::News,
            json!({"articles": [{"title": "t"}, {"title": "t", "appid": "a"}, 5]})
        ),
        [
            "content.articles[0].url: is missing, and so are appid and pagepath",
            "content.articles[1]: appid and pagepath belong together",
            "content.articles[2]: is no object",
        ]
    );
    validate(MessageKind::News, json!({"articles": [{"title": "t", "appid": "a", "pagepath": "p"}]}));
    assert_eq!(find_problems(MessageKind::File, json!({"media_id": ""})), ["content.media_id: is empty"]);
}

#[test]
fn a_text_notice_has_every_part_of_the_reference() {
    let card = json!({
        "card_type": "text_notice",
        "source": {"icon_url": "https://app.example.com/i.png", "desc": "企业微信", "desc_color": 1},
        "main_title": {"title": "标题", "desc": "描述"},
        "emphasis_content": {"title": "100", "desc": "数据"},
        "quote_area": {"type": 1, "url": "https://app.example.com/q", "title": "引用", "quote_text": "文"},
        "sub_title_text": "下载",
        "horizontal_content_list": [
            {"keyname": "邀请人", "value": "张三"},
            {"type": 1, "keyname": "网址", "value": "看", "url": "https://app.example.com/h"},
            {"type": 2, "keyname": "附件", "value": "a.xlsx", "media_id": "m"},
            {"type": 3, "keyname": "员工", "value": "看", "userid": "zhangsan"},
        ],
        "jump_list": [{"type": 1, "title": "网", "url": "https://app.example.com/j"},
                      {"type": 2, "title": "小", "appid": "wx", "pagepath": "/p"}, {"title": "无"}],
        "card_action": {"type": 1, "url": "https://app.example.com/c"},
        "task_id": "t-1_@",
    });
    let made = validate(MessageKind::TemplateCard, card);
    assert!(made.is_unique);
    let targets: Vec<&str> = made.links.iter().map(|link| link.target.as_str()).collect();
    let path = |path: &str| format!("https://app.example.com/{path}");
    assert_eq!(targets, [path("q"), path("h"), path("j"), path("c")]);
    let mut content = made.content;
    for link in &made.links {
        content = content.replace(&format!("https://oa.example.com/sso/m/{}", link.id), "OURS");
    }
    let content: Value = serde_json::from_str(&content).unwrap();
    assert_eq!(content["source"]["icon_url"], "https://app.example.com/i.png", "a picture is never wrapped");
    assert_eq!(content["card_action"], json!({"type": 1, "url": "OURS"}));
    assert_eq!(
        content["horizontal_content_list"][3],
        json!({"type": 3, "keyname": "员工", "value": "看", "userid": "zhangsan"})
    );
    let without =
        json!({"card_type": "text_notice", "sub_title_text": "x", "card_action": {"type": 2, "appid": "a"}});
    assert!(!validate(MessageKind::TemplateCard, without).is_unique);
}

#[test]
fn a_news_notice_needs_a_picture_and_a_title() {
    let action = json!({"type": 1, "url": "https://e.example"});
    let good = json!({
        "card_type": "news_notice", "main_title": {"title": "t"},
        "card_image": {"url": "https://e.example/p.png", "aspect_ratio": 1.5},
        "image_text_area": {"type": 1, "url": "https://e.example", "title": "t", "desc": "d",
                            "image_url": "https://e.example/p.png"},
        "vertical_content_list": [{"title": "t", "desc": "d"}],
        "card_action": action,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&validate(MessageKind::TemplateCard, good.clone()).content).unwrap(),
        good
    );
    assert_eq!(
        find_problems(MessageKind::TemplateCard, json!({"card_type": "news_notice", "card_action": action})),
        ["content.main_title.title: is missing", "content.card_image: is missing, and so is image_text_area",]
    );
}

#[test]
fn what_a_card_lacks_or_has_too_much_of_is_named() {
    assert_eq!(
        find_problems(MessageKind::TemplateCard, json!({"card_type": "text_notice"})),
        ["content.main_title.title: is missing, and so is sub_title_text", "content.card_action: is missing",]
    );
    assert_eq!(
        find_problems(
            MessageKind::TemplateCard,
            json!({
                "card_type": "text_notice", "main_title": {"title": "题".repeat(37), "desc": "述".repeat(45)},
                "source": {"desc_color": 4, "desc": "源".repeat(21)},
                "emphasis_content": {"title": "强".repeat(15), "desc": "调".repeat(23)},
                "sub_title_text": "副".repeat(161),
                "quote_area": {"type": 1},
                "horizontal_content_list": [{"type": 3, "keyname": "六个字的键名", "value": "值".repeat(31)},
                                            {"type": 2, "keyname": "k"}],
                "jump_list": [{"title": ""}, {"type": 2, "title": "跳".repeat(19)}, {"title": "x"}, {"title": "y"}],
                "card_action": {"type": 0, "url": "x"},
                "task_id": "a b",
            })
        ),
        [
            "content.source.desc: 21 characters, at most 20",
            "content.source.desc_color: is none of 0, 1, 2, 3",
            "content.main_title.title: 37 characters, at most 36",
            "content.main_title.desc: 45 characters, at most 44",
            "content.emphasis_content.title: 15 characters, at most 14",
            "content.emphasis_content.desc: 23 characters, at most 22",
            "content.sub_title_text: 161 characters, at most 160",
            "content.quote_area.url: is missing",
            "content.horizontal_content_list[0].keyname: 6 characters, at most 5",
            "content.horizontal_content_list[0].value: 31 characters, at most 30",
            "content.horizontal_content_list[0].userid: is missing",
            "content.horizontal_content_list[1].value: is missing",
            "content.horizontal_content_list[1].media_id: is missing",
            "content.jump_list: 4 entries, 0 to 3 are possible",
            "content.card_action.type: is none of 1, 2",
            "content.card_action.url: is no URL that begins with http:// or https://",
            "content.task_id: has other characters than 0-9, A-Z, a-z, _, - and @",
        ]
    );
}

#[test]
fn what_needs_callbacks_is_not_in_this_version() {
    for card_type in ["button_interaction", "vote_interaction", "multiple_interaction"] {
        let said = find_problems(MessageKind::TemplateCard, json!({"card_type": card_type, "task_id": "t"}));
        assert!(
            said[0].starts_with(&format!("content.card_type: {card_type} is not in this version")),
            "{said:?}"
        );
    }
    let card = json!({"card_type": "text_notice", "main_title": {"title": "t"}, "action_menu": {"desc": "d"},
                      "card_action": {"type": 1, "url": "https://e.example"}});
    assert_eq!(
        find_problems(MessageKind::TemplateCard, card),
        [format!("content.action_menu: {}", object_reader::NEEDS_CALLBACKS)]
    );
}

#[test]
fn texts_are_cut_where_that_was_asked_for_and_urls_never() {
    let long = json!({"title": "题".repeat(50), "description": "d".repeat(600), "url": "https://e.example"});
    let (made, truncated) = cut_content(MessageKind::Textcard, long);
    assert_eq!(truncated, ["content.title", "content.description"]);
    assert_eq!(
        (made["title"].as_str().unwrap(), made["description"].as_str().unwrap().len()),
        ("题".repeat(42).as_str(), 512)
    );
    let url = format!("https://e.example/{}", "p".repeat(2048));
    let request = MessageRequest {
        truncate: true,
        ..text_request(MessageKind::Textcard, json!({"title": "t", "description": "d", "url": url}))
    };
    assert_eq!(
        validate_content(&request, &hosts()).unwrap_err()[0].to_string(),
        "content.url: 2066 bytes, at most 2048"
    );
    let inside = format!("{}<a href=\"https://e.example\">text</a> and more", "字".repeat(680));
    assert_eq!(cut_content(MessageKind::Text, json!({"content": inside})).0["content"], "字".repeat(680));
    let inside = format!("{}[text](https://e.example) and more", "字".repeat(680));
    assert_eq!(cut_content(MessageKind::Markdown, json!({"content": inside})).0["content"], "字".repeat(680));
}

#[test]
fn a_link_that_is_cut_off_is_no_link_of_the_message() {
    let text = format!("{}<a href=\"https://app.example.com/\">x</a>", "a".repeat(2040));
    let request =
        MessageRequest { truncate: true, ..text_request(MessageKind::Text, json!({"content": text})) };
    let validated = validate_content(&request, &hosts()).unwrap();
    assert!(validated.links.is_empty() && !validated.is_unique, "{validated:?}");
    let link = format!("<a href=\"https://e.example\">{}</a>", "x".repeat(2048));
    let request =
        MessageRequest { content: Map::from_iter([("content".to_owned(), link.into())]), ..request };
    let said = validate_content(&request, &hosts()).unwrap_err()[0].to_string();
    assert!(said.ends_with("leaves no place to cut"), "{said}");
}

#[test]
fn a_url_counts_as_what_it_has_become() {
    let url = format!("https://app.example.com/{}", "p".repeat(4000));
    let card = validate(MessageKind::Textcard, json!({"title": "t", "description": "d", "url": url}));
    assert_eq!(card.links[0].target, url, "WeCom sees the short one");
    let link = "<a href=\"https://app.example.com/\">x</a>";
    let text = link.repeat(2048 / link.len());
    assert!(find_problems(MessageKind::Text, json!({"content": text}))[0].contains("bytes, at most 2048"));
    let plain =
        MessageRequest { url_signed_in: false, ..text_request(MessageKind::Text, json!({"content": text})) };
    let kept = validate_content(&plain, &hosts()).unwrap();
    assert_eq!(
        (kept.links.len(), serde_json::from_str::<Value>(&kept.content).unwrap()["content"].as_str()),
        (0, Some(text.as_str()))
    );
}

#[test]
fn links_to_our_hosts_are_wrapped_and_no_others() {
    for (text, made, targets) in [
        (
            r#"见<a href="https://app.example.com/a?x=1&amp;y=2#z">此</a>。"#,
            r#"见<a href="{1}">此</a>。"#,
            vec!["https://app.example.com/a?x=1&y=2#z"],
        ),
        (
            r"<A class=x HREF='HTTPS://OA.EXAMPLE.COM'>甲</A>",
            r"<A class=x HREF='{1}'>甲</A>",
            vec!["https://oa.example.com/"],
        ),
        (
            r"<a href=https://wiki.corp.example/待办>x</a>",
            r"<a href={1}>x</a>",
            vec!["https://wiki.corp.example/%E5%BE%85%E5%8A%9E"],
        ),
        (
            r#"<a title="a>b" href="https://app.example.com/">x</a><a href="https://app.example.com/">y"#,
            r#"<a title="a>b" href="{1}">x</a><a href="{2}">y"#,
            vec!["https://app.example.com/", "https://app.example.com/"],
        ),
        (
            r#"<a href="https://app.example.com&#46;evil.example/">x</a>"#,
            r#"<a href="https://app.example.com&#46;evil.example/">x</a>"#,
            vec![],
        ),
        (
            r#"<a href="/sso/">x</a><a href="https://e.example">y</a><a name=q>z</a>"#,
            r#"<a href="/sso/">x</a><a href="https://e.example">y</a><a name=q>z</a>"#,
            vec![],
        ),
        (
            r#"<a href="https://oa.example.com/sso/m/abc">x</a><a href="https://app.example.com/_gongpai/m/abc">y</a>"#,
            r#"<a href="https://oa.example.com/sso/m/abc">x</a><a href="https://app.example.com/_gongpai/m/abc">y</a>"#,
            vec![],
        ),
        (
            r#"若 a<b 见 <a href="https://app.example.com/?t=采购 申请">此</a>，<a href="https://app.example.com/sso/m/1">彼</a>"#,
            r#"若 a<b 见 <a href="{1}">此</a>，<a href="{2}">彼</a>"#,
            vec![
                "https://app.example.com/?t=%E9%87%87%E8%B4%AD%20%E7%94%B3%E8%AF%B7",
                "https://app.example.com/sso/m/1",
            ],
        ),
        (
            r#"<abbr href="https://app.example.com/">x</abbr> https://app.example.com/ <a href="https://app.example.com/"#,
            r#"<abbr href="https://app.example.com/">x</abbr> https://app.example.com/ <a href="https://app.example.com/"#,
            vec![],
        ),
    ] {
        assert_eq!(
            wrap(text, Markup::Html),
            (made.to_owned(), targets.into_iter().map(str::to_owned).collect())
        );
    }
}

#[test]
fn markdown_links_are_wrapped_where_they_are_links() {
    for (text, made, count) in [
        ("**待办**：[请假](https://app.example.com/a_(b)?c=d)。", "**待办**：[请假]({1})。", 1),
        (
            "[a [b]](<https://app.example.com/>) [c](https://app.example.com/ \"t\")",
            "[a [b]](<{1}>) [c]({2} \"t\")",
            2,
        ),
        (r"\[a](https://app.example.com/)", r"\[a](https://app.example.com/)", 0),
        (
            "`[a](https://app.example.com/)` ``[`](https://app.example.com/)`` [b](https://app.example.com/)",
            "`[a](https://app.example.com/)` ``[`](https://app.example.com/)`` [b]({1})",
            1,
        ),
        ("请审批![打开](https://app.example.com/p)", "请审批![打开]({1})", 1),
        ("`a\n\n[b](https://app.example.com/) `", "`a\n\n[b]({1}) `", 1),
        (
            "[a](https://e.example/) [b](https://app.example.com",
            "[a](https://e.example/) [b](https://app.example.com",
            0,
        ),
        ("` [a](https://app.example.com/)", "` [a]({1})", 1),
    ] {
        let (text, targets) = wrap(text, Markup::Markdown);
        assert_eq!((text.as_str(), targets.len()), (made, count));
    }
}

/// Every line of the open-redirect payloads, as the URL of a link.
#[test]
fn no_text_that_is_far_too_long_is_searched_for_links() {
    for kind in [MessageKind::Text, MessageKind::Markdown] {
        for piece in
            ["<a", "<a ", "[", "`", "<a href=\"https://app.example.com/\">", "[a](https://app.example.com/) "]
        {
            let content = json!({"content": piece.repeat(1_000_000 / piece.len())});
            assert!(find_problems(kind, content.clone())[0].contains("at most 2048"), "{piece}");
            let request = MessageRequest { truncate: true, ..text_request(kind, content) };
            if let Ok(validated) = validate_content(&request, &hosts()) {
                assert!(
                    validated.content.len() < 3000 && validated.truncated == ["content.content"],
                    "{piece}"
                );
            }
        }
    }
    for (kind, link) in [
        (MessageKind::Text, "<a href=\"https://app.example.com/\">a</a>"),
        (MessageKind::Markdown, "[a](https://app.example.com/) "),
    ] {
        let text = link.repeat(1_000_000 / link.len());
        assert_eq!(count_found_links(kind, &text, false), 0, "{link}");
        let found = count_found_links(kind, &text, true);
        assert!((1..=MAX_SCANNED_BYTES / link.len() + 1).contains(&found), "{link}: {found}");
    }
}

/// Returns how many links are found in a text, whether or not they are kept.
fn count_found_links(kind: MessageKind, text: &str, truncates: bool) -> usize {
    let request = text_request(kind, json!({"content": text}));
    let hosts = hosts();
    let mut reader = ContentReader {
        wrapping: Some(LinkWrapper::new(&hosts)),
        truncates,
        truncated: Vec::new(),
        links: Vec::new(),
        errors: FieldErrors::default(),
    };
    kinds::read_content(kind, ObjectReader::at_path("content", request.content), &mut reader);
    reader.links.len()
}

#[test]
fn a_target_that_no_proxy_takes_in_a_header_is_not_wrapped() {
    let url = format!("https://app.example.com/?q={}", "x".repeat(5000));
    let found = find_problems(MessageKind::Textcard, json!({"title": "t", "description": "d", "url": url}));
    assert!(found[0].contains("content.url") && found[0].contains("at most 2048"), "{found:?}");
}

#[test]
fn no_payload_becomes_a_link_to_another_host() {
    let payloads = include_str!("../../../tests/data/security/open_redirect_payloads.txt");
    let mut count = 0;
    for line in payloads.lines().filter(|line| !line.starts_with('#')) {
        let texts = [
            (format!("<a href=\"{line}\">x</a>"), Markup::Html),
            (format!("<a href={line}>x</a>"), Markup::Html),
            (format!("[x]({line})"), Markup::Markdown),
        ];
        for (text, markup) in texts {
            for target in wrap(&text, markup).1 {
                let host = Url::parse(&target).unwrap().host_str().unwrap().to_owned();
                assert!(matches!(&*host, "oa.example.com" | "app.example.com"), "{line} → {target}");
            }
        }
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// Generates texts from the pieces that matter.
fn text_pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z字😀é \n]{0,12}",
        Just("<a href=\"https://app.example.com/x\">待办</a>".to_owned()),
        Just("<A HREF='https://e.example/?a=1&amp;b=2'>x</A>".to_owned()),
        Just("[待办](https://app.example.com/y)".to_owned()),
        Just("[x](https://e.example)".to_owned()),
        Just("<div class=\"gray\">".to_owned()),
        prop::sample::select(vec![
            "<", ">", "<a ", "\"", "'", "[", "](", ")", "`", "\\", "&", "!", "</a>", "href="
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn markups() -> impl Strategy<Value = Markup> {
    prop::sample::select(vec![Markup::None, Markup::Html, Markup::Markdown])
}

proptest! {
    #[test]
    fn a_cut_text_is_a_beginning_within_the_limit_and_ends_in_no_link(
        text in text_pieces(), markup in markups(), most in 0_usize..300, chars: bool,
    ) {
        let limit = if chars { LengthLimit::Chars(most) } else { LengthLimit::Bytes(most) };
        let cut = limit.cut(&text, markup);
        prop_assert!(text.starts_with(cut));
        prop_assert_eq!(limit.exceeded_by(cut), None);
        for span in markup.unbreakable_spans(&text) {
            prop_assert!(cut.len() <= span.start || cut.len() >= span.end, "{:?} in {:?}", span, text);
        }
        if limit.exceeded_by(&text).is_none() {
            prop_assert_eq!(cut, &text);
        }
    }

    #[test]
    fn wrapping_changes_nothing_but_links_to_our_hosts(text in text_pieces(), markup in markups()) {
        let hosts = hosts();
        let mut links = Vec::new();
        let made = LinkWrapper::new(&hosts).wrap_text(&text, markup, &mut links);
        let (mut rest, mut left) = (made.as_str(), text.as_str());
        for link in &links {
            let target = ReturnTo::parse(&link.target, hosts.public(), &hosts).unwrap();
            prop_assert_eq!(target.as_str(), &link.target);
            let (before, after) = rest.split_once(&format!("https://oa.example.com/sso/m/{}", link.id)).unwrap();
            prop_assert!(left.starts_with(before), "{:?} became {:?}", text, made);
            // The URL was replaced if the rest of the text goes on as before.
            let url = left[before.len()..].find("https://app.example.com/").unwrap();
            prop_assert_eq!(url, 0);
            let next = after.chars().next().map_or(left.len(), |next| left[before.len()..].find(next).unwrap() + before.len());
            (rest, left) = (after, &left[next..]);
        }
        prop_assert_eq!(rest, left);
        let again = LinkWrapper::new(&hosts).wrap_text(&made, markup, &mut links);
        prop_assert_eq!(again, made, "wrapped links are not wrapped again");
    }

    #[test]
    fn whatever_a_text_contains_is_read_to_its_end(text in "\\PC{0,200}", markup in markups()) {
        for span in markup.unbreakable_spans(&text) {
            prop_assert!(text.get(span).is_some());
        }
    }
}

#[test]
fn a_task_id_of_a_call_s_own_ends_in_the_tail_and_is_never_too_long() {
    let card = |task: &str| {
        format!(r#"{{"card_type":"text_notice","task_id":"{task}","card_action":{{"type":1}}}}"#)
    };
    assert_eq!(with_own_task_id(&card("t-1"), "0a1b").unwrap(), card("t-1-0a1b"));
    let long = "x".repeat(128);
    let own = with_own_task_id(&card(&long), "0a1b2c3d4e5f").unwrap();
    assert_eq!(own, card(&format!("{}-0a1b2c3d4e5f", "x".repeat(115))));
    assert!(has_task_id(&card("t")));
    for without in [r#"{"content":"\"task_id\""}"#, r#"{"content":"task_id"}"#, r#"{"a":{"task_id":"t"}}"#] {
        assert!(!has_task_id(without) && with_own_task_id(without, "0").is_none(), "{without}");
    }
}
