//! What `message/send` accepts, whom it reaches, and what it drops.

use super::*;

/// Starts a company with another application, a callback URL and a member without a licence.
async fn start_bench() -> SimulatorBench {
    let b = SimulatorBench::start().await;
    b.sim.change(|w| {
        w.more_apps.push(SimulatedApp::new(1_000_003, "别的应用", "other-secret"));
        w.app.callback_url = "https://oa.example.com/callback".into();
        w.members.push(SimulatedMember::new("Guest", "访客").with_departments([1]));
    });
    b.sim.change_member("guest", |m| m.licensed = false);
    b
}

#[tokio::test]
async fn rights_are_judged_before_recipients() {
    let b = start_bench().await;
    let empty = json!({"touser": "", "agentid": 1_000_002});
    let send = async |token: &str, body: &Value| {
        b.call(&format!("message/send?access_token={token}"), body).await["errcode"].as_i64().unwrap()
    };
    let (app, contacts) = (b.app_token().await, b.contacts_token().await);
    assert_eq!(send(&app, &empty).await, 82001);
    assert_eq!(send("wrong", &empty).await, 40014);
    assert_eq!(send(&contacts, &empty).await, 48002);
    assert_eq!(send(&app, &json!({"touser": ""})).await, 41011);
    assert_eq!(send(&app, &json!({"touser": "", "agentid": "x"})).await, 40056);
    assert_eq!(send(&app, &json!({"touser": "", "agentid": 1_000_003})).await, 301_002);
    b.sim.set_trusted_ips(Some(Vec::new()));
    assert_eq!(send(&app, &empty).await, 60020);
    b.sim.set_trusted_ips(None);
    b.sim.change_app(|a| a.enabled = false);
    assert_eq!(send(&app, &empty).await, 50003);
    assert_eq!(b.sim.sent_count(), 0);
}

#[tokio::test]
async fn a_member_addressed_three_times_has_one_copy() {
    let b = start_bench().await;
    let answer = b
        .send(json!({
            "touser": "ZhangSan|zhangsan", "toparty": "3|3", "totag": "1",
            "msgtype": "text", "text": {"content": "你好"},
        }))
        .await;
    assert_eq!((&answer["errcode"], answer.get("invaliduser")), (&json!(0), None));
    // Department 3 with 4 and 5 below it, and lisi and zhaoliu of the tag.
    for userid in ["zhangsan", "wangwu", "wujiu", "lisi", "zhaoliu"] {
        assert_eq!(b.texts(userid), ["你好"], "{userid}");
    }
    let sent = b.sim.sent().remove(0);
    assert_eq!(sent.delivered.len(), 5);
    assert_eq!((&sent.request["toparty"], json!(sent.msgid)), (&json!("3|3"), answer["msgid"].clone()));
}

#[tokio::test]
async fn everybody_is_the_visible_range() {
    let b = start_bench().await;
    assert_eq!(
        b.refusal(json!({"touser": "@all", "toparty": "99", "msgtype": "text", "text": {"content": "x"}}))
            .await,
        0
    );
    let mut got = b.sim.sent().remove(0).delivered;
    got.sort_unstable();
    assert_eq!(got, ["lisi", "sunqi", "wangwu", "wujiu", "zhangsan", "zhaoliu", "zhouba"]);
    assert!(b.sim.inbox("zhengshi").is_empty(), "hidden from the application");
    b.sim.set_visible([], ["lisi"]);
    assert_eq!(b.refusal(text_message("@all", "y")).await, 0);
    assert_eq!(b.sim.sent().remove(1).delivered, ["lisi"]);
}

#[tokio::test]
async fn a_tag_stands_for_its_members_and_the_departments_it_is_on() {
    let b = start_bench().await;
    assert_eq!(b.refusal(json!({"totag": "2", "msgtype": "text", "text": {"content": "x"}})).await, 0);
    let mut got = b.sim.sent().remove(0).delivered;
    got.sort_unstable();
    assert_eq!(got, ["sunqi", "wangwu", "wujiu", "zhangsan"]);
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_in_lower_case_and_the_others_get_it() {
    let b = start_bench().await;
    b.sim.set_status("sunqi", SimulatedStatus::Left);
    let answer = b
        .send(json!({
            "touser": "LiSi|Nobody|ZHENGSHI|sunqi|guest", "toparty": "99|2", "totag": "77|1",
            "msgtype": "template_card", "template_card": button_card("t-1"),
        }))
        .await;
    assert_eq!(field_kinds(&answer), field_kinds(&read_fixture("message_send_partial.json")));
    assert_eq!(answer["invaliduser"], "nobody|zhengshi|sunqi");
    assert_eq!((&answer["invalidparty"], &answer["invalidtag"]), (&json!("99"), &json!("77")));
    assert_eq!(answer["unlicenseduser"], "guest");
    assert_eq!(b.sim.inbox("LISI").len(), 1);
    assert!(b.sim.inbox("guest").is_empty());
}

#[tokio::test]
async fn a_call_that_reaches_nobody_is_81013_and_names_them() {
    let b = start_bench().await;
    let answer = b.send(text_message("ADMIN", "x")).await;
    assert_eq!(field_kinds(&answer), field_kinds(&read_fixture("err_81013_message_send.json")));
    assert_eq!((&answer["errcode"], &answer["invaliduser"]), (&json!(81013), &json!("admin")));
    assert_eq!(b.refusal(text_message("guest", "x")).await, 81013);
    assert_eq!(b.sim.sent_count(), 0);
    b.sim.change(|w| w.empty_invaliduser = true);
    let answer = b.send(text_message("lisi", "x")).await;
    let old = read_fixture("moco_message_send.json");
    assert!(old.as_object().unwrap().iter().all(|(name, value)| answer.get(name) == Some(value)), "{answer}");
}

#[tokio::test]
async fn a_list_of_recipients_has_an_end() {
    let b = start_bench().await;
    let many = |n: usize| (0..n).map(|i| (i + 1).to_string()).collect::<Vec<_>>().join("|");
    let to = |name: &str, n| json!({name: many(n), "msgtype": "text", "text": {"content": "x"}});
    assert_eq!(b.refusal(to("touser", 1001)).await, 40032);
    assert_eq!(b.refusal(to("touser", 1000)).await, 81013);
    assert_eq!(b.refusal(to("toparty", 101)).await, 82002);
    assert_eq!(b.refusal(to("toparty", 100)).await, 0);
    assert_eq!(b.refusal(to("totag", 101)).await, 82003);
    assert_eq!(b.refusal(to("totag", 100)).await, 0);
    assert_eq!(b.refusal(json!({"touser": ["lisi"], "msgtype": "text"})).await, 40035);
    assert_eq!(b.refusal(json!({"touser": "|", "msgtype": "text"})).await, 82001);
}

#[tokio::test]
async fn disabled_and_not_activated_members_are_reached_without_a_word() {
    let b = start_bench().await;
    let answer = b.send(text_message("zhouba|wujiu", "x")).await;
    assert_eq!((&answer["errcode"], answer.get("invaliduser")), (&json!(0), None));
    assert_eq!((b.texts("zhouba"), b.texts("wujiu")), (vec!["x".to_owned()], vec!["x".to_owned()]));
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_between_characters() {
    let b = start_bench().await;
    assert_eq!(b.refusal(text_message("lisi", &"字".repeat(1000))).await, 0);
    assert_eq!(b.texts("lisi"), ["字".repeat(682)]);
    let card = json!({
        "title": "题".repeat(50), "description": "述".repeat(200), "url": "https://oa.example.com", "btntxt": "一二三四五",
    });
    assert_eq!(b.refusal(json!({"touser": "lisi", "msgtype": "textcard", "textcard": card})).await, 0);
    let got = b.sim.inbox("lisi").remove(1).content;
    assert_eq!(got["title"], "题".repeat(42));
    assert_eq!((&got["description"], &got["btntxt"]), (&json!("述".repeat(170)), &json!("一二三四")));
    let markdown = json!({"content": "字".repeat(683)});
    let body = json!({"touser": "lisi", "msgtype": "markdown", "markdown": markdown});
    assert_eq!(b.refusal(body).await, 45002, "markdown is refused, not cut");
}

#[tokio::test]
async fn every_kind_refuses_what_is_missing_or_wrong() {
    let b = start_bench().await;
    let url = "https://oa.example.com/a";
    let long = format!("https://oa.example.com/{}", "a".repeat(2048));
    let article = json!({"title": "题", "url": url});
    let cases = [
        ("poem", json!({}), 40008),
        ("text", json!({"content": ""}), 44004),
        ("markdown", json!({}), 44004),
        ("image", json!({"media_id": "unknown"}), 40007),
        ("file", json!({}), 40007),
        ("textcard", json!({"description": "d", "url": url}), 41016),
        ("textcard", json!({"title": "t", "url": url}), 41033),
        ("textcard", json!({"title": "t", "description": "d"}), 41010),
        ("textcard", json!({"title": "t", "description": "d", "url": "oa.example.com"}), 45034),
        ("textcard", json!({"title": "t", "description": "d", "url": long}), 40039),
        ("textcard", json!({"title": "t", "description": "d", "url": url}), 0),
        ("news", json!({"articles": []}), 45008),
        ("news", json!({"articles": vec![article.clone(); 9]}), 45008),
        ("news", json!({"articles": [{"url": url}]}), 41016),
        ("news", json!({"articles": [{"title": "t"}]}), 41010),
        ("news", json!({"articles": [{"title": "t", "appid": "wx1", "pagepath": "p"}]}), 0),
        ("news", json!({"articles": vec![article; 8]}), 0),
        ("template_card", json!({}), 40063),
        ("template_card", json!({"card_type": "poster"}), 42031),
    ];
    for (kind, content, want) in cases {
        let body = json!({"touser": "lisi", "msgtype": kind, kind: content});
        assert_eq!(b.refusal(body.clone()).await, want, "{body}");
    }
    let body = json!({"touser": "lisi", "msgtype": "news", "safe": 1, "news": {"articles": []}});
    assert_eq!(b.refusal(body).await, 40074);
    for (name, value) in [
        ("safe", json!(3)),
        ("enable_duplicate_check", json!("1")),
        ("duplicate_check_interval", json!(14401)),
    ] {
        let mut body = text_message("lisi", "x");
        body[name] = value;
        assert_eq!(b.refusal(body).await, 40035, "{name}");
    }
}

/// Returns a card message with these fields changed; `null` removes one.
fn card_message(base: Value, more: &Value) -> Value {
    let mut fields = base;
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    json!({"touser": "lisi", "msgtype": "template_card", "template_card": fields})
}

fn text_notice() -> Value {
    json!({
        "card_type": "text_notice", "main_title": {"title": "待办", "desc": "请处理"},
        "card_action": {"type": 1, "url": "https://oa.example.com/todo"},
    })
}

fn news_notice() -> Value {
    json!({
        "card_type": "news_notice", "main_title": {"title": "公告"},
        "card_image": {"url": "https://oa.example.com/a.png", "aspect_ratio": 2.25},
        "card_action": {"type": 1, "url": "https://oa.example.com/news"},
    })
}

fn button_card(task: &str) -> Value {
    json!({
        "card_type": "button_interaction", "main_title": {"title": "审批"}, "task_id": task,
        "button_list": [{"text": "同意", "style": 1, "key": "ok"}],
    })
}

#[tokio::test]
async fn a_card_is_refused_by_the_field_that_is_wrong() {
    let b = start_bench().await;
    let row = |r: Value| json!({"horizontal_content_list": [r]});
    let jump = |r: Value| json!({"jump_list": [r]});
    let option = json!([{"id": "1", "text": "一"}]);
    let submit = json!({"text": "提交", "key": "k"});
    let vote = json!({
        "card_type": "vote_interaction", "task_id": "v", "submit_button": submit,
        "checkbox": {"question_key": "q", "option_list": option},
    });
    let multiple = json!({
        "card_type": "multiple_interaction", "task_id": "m", "main_title": {"title": "选"}, "submit_button": submit,
        "select_list": [{"question_key": "q", "option_list": option}],
    });
    let menu = |list: Value| json!({"task_id": "menu", "action_menu": {"action_list": list}});
    let cases = [
        (text_notice(), json!({}), 0),
        (text_notice(), json!({"main_title": null}), 42033),
        (text_notice(), json!({"main_title": null, "sub_title_text": "说明"}), 0),
        (text_notice(), json!({"main_title": {"title": "题".repeat(37)}}), 40058),
        (text_notice(), json!({"sub_title_text": "述".repeat(161)}), 40058),
        (text_notice(), json!({"card_action": null}), 42045),
        (text_notice(), json!({"card_action": {"type": 0}}), 42045),
        (text_notice(), json!({"card_action": {"type": 1}}), 42028),
        (text_notice(), json!({"card_action": {"type": 1, "url": "oa.example.com"}}), 45034),
        (text_notice(), json!({"card_action": {"type": 2}}), 42030),
        (text_notice(), json!({"task_id": "空"}), 42014),
        (text_notice(), row(json!({"value": "v"})), 42027),
        (text_notice(), row(json!({"keyname": "k", "type": 1})), 42028),
        (text_notice(), row(json!({"keyname": "k", "type": 2})), 42029),
        (text_notice(), row(json!({"keyname": "k", "type": 2, "media_id": "unknown"})), 40007),
        (text_notice(), row(json!({"keyname": "k", "type": 3})), 42050),
        (text_notice(), row(json!({"keyname": "六个字的名称"})), 40058),
        (text_notice(), json!({"horizontal_content_list": vec![json!({"keyname": "k"}); 7]}), 42035),
        (text_notice(), json!({"horizontal_content_list": vec![json!({"keyname": "k"}); 6]}), 0),
        (text_notice(), jump(json!({"type": 1, "url": "https://a.example"})), 42033),
        (text_notice(), jump(json!({"type": 1, "title": "看"})), 42028),
        (text_notice(), json!({"jump_list": vec![json!({"title": "看"}); 4]}), 42042),
        (news_notice(), json!({}), 0),
        (news_notice(), json!({"main_title": null}), 42033),
        (news_notice(), json!({"card_image": null}), 42044),
        (news_notice(), json!({"card_image": {"url": "https://a.example/a.png", "aspect_ratio": 3}}), 42044),
        (
            news_notice(),
            json!({"card_image": null, "image_text_area": {"image_url": "https://a.example/a.png"}}),
            0,
        ),
        (news_notice(), json!({"vertical_content_list": vec![json!({"title": "t"}); 5]}), 42036),
        (news_notice(), json!({"vertical_content_list": [{"desc": "d"}]}), 42033),
        (button_card("a"), json!({}), 0),
        (button_card("a"), json!({"task_id": null}), 42014),
        (button_card("b"), json!({"button_list": []}), 42038),
        (button_card("b"), json!({"button_list": [{"text": "好"}]}), 42039),
        (button_card("b"), json!({"button_list": [{"text": "好", "type": 1}]}), 42028),
        (vote.clone(), json!({}), 0),
        (vote.clone(), json!({"checkbox": {"question_key": "q", "option_list": []}}), 42037),
        (vote.clone(), json!({"checkbox": {"option_list": option}}), 42043),
        (vote.clone(), json!({"submit_button": null}), 42049),
        (vote, json!({"submit_button": {"text": "交"}}), 42046),
        (multiple.clone(), json!({}), 0),
        (multiple.clone(), json!({"select_list": []}), 42047),
        (multiple, json!({"select_list": [{"question_key": "q", "option_list": [{"text": "一"}]}]}), 42040),
        (text_notice(), menu(json!([{"text": "一", "key": "k"}, {"text": "二", "key": "k"}])), 42051),
        (text_notice(), menu(json!([{"text": "一", "key": "k"}])), 0),
    ];
    for (base, more, want) in cases {
        let body = card_message(base, &more);
        assert_eq!(b.refusal(body.clone()).await, want, "{body}");
    }
}

#[tokio::test]
async fn interactive_cards_need_a_callback_url_and_answer_with_a_response_code() {
    let b = start_bench().await;
    let menu = json!({"task_id": "t-2", "action_menu": {"action_list": [{"text": "不再提醒", "key": "k"}]}});
    for body in [card_message(button_card("t-1"), &json!({})), card_message(text_notice(), &menu)] {
        b.sim.change_app(|a| a.callback_url.clear());
        assert_eq!(b.refusal(body.clone()).await, 43012);
        b.sim.change_app(|a| a.callback_url = "https://oa.example.com/callback".into());
        assert!(b.send(body).await["response_code"].is_string());
    }
    assert!(b.send(card_message(text_notice(), &json!({}))).await.get("response_code").is_none());
}

#[tokio::test]
async fn a_task_is_used_once_in_an_application() {
    let b = start_bench().await;
    assert_eq!(b.refusal(card_message(text_notice(), &json!({"task_id": "t"}))).await, 0);
    assert_eq!(
        b.refusal(card_message(text_notice(), &json!({"task_id": "t", "sub_title_text": "新"}))).await,
        42014
    );
    b.sim.limit(|l| l.task_ids_used_once = false);
    assert_eq!(
        b.refusal(card_message(text_notice(), &json!({"task_id": "t", "sub_title_text": "新"}))).await,
        0
    );
}

#[tokio::test]
async fn an_escaped_character_is_refused_and_an_escaped_backslash_is_not() {
    let b = start_bench().await;
    let url = format!("{}/cgi-bin/message/send?access_token={}", b.sim.url(), b.app_token().await);
    let send = async |content: &str| {
        let body = format!(
            r#"{{"touser":"lisi","agentid":1000002,"msgtype":"text","text":{{"content":"{content}"}}}}"#
        );
        b.http.post(&url).body(body).send().await.unwrap().json::<Value>().await.unwrap()["errcode"].clone()
    };
    assert_eq!(send(r"\u4f60").await, 40033);
    assert_eq!(send(r"C:\\users").await, 0);
    assert_eq!(b.texts("lisi"), [r"C:\users"]);
}

#[tokio::test]
async fn the_thirty_first_message_of_a_minute_is_dropped_in_silence() {
    let b = start_bench().await;
    for n in 0..31 {
        assert_eq!(b.refusal(text_message("lisi|wangwu", &n.to_string())).await, 0);
    }
    assert_eq!((b.texts("lisi").len(), b.texts("wangwu").len()), (30, 30));
    let dropped: Vec<_> =
        b.sim.dropped().into_iter().map(|d| (d.userid, d.request["text"]["content"].clone())).collect();
    assert_eq!(dropped, [("lisi".to_owned(), json!("30")), ("wangwu".to_owned(), json!("30"))]);
    let other = b.token_of("other-secret").await;
    let mut body = text_message("lisi", "x");
    body["agentid"] = json!(1_000_003);
    b.call(&format!("message/send?access_token={other}"), &body).await;
    assert_eq!(b.texts("lisi").len(), 31, "another application has a limit of its own");
    b.sim.advance(Duration::from_mins(1));
    b.send(text_message("lisi", "later")).await;
    assert_eq!(b.texts("lisi").last().unwrap(), "later");
}

#[tokio::test]
async fn the_limit_of_the_hour_holds_when_that_of_the_minute_does_not() {
    let b = start_bench().await;
    b.sim.limit(|l| (l.messages_per_minute, l.messages_per_hour) = (None, Some(3)));
    for n in 0..4 {
        b.send(text_message("lisi", &n.to_string())).await;
        b.sim.advance(Duration::from_mins(2));
    }
    assert_eq!((b.texts("lisi").len(), b.sim.dropped().len()), (3, 1));
    b.sim.advance(Duration::from_hours(1));
    b.send(text_message("lisi", "later")).await;
    assert_eq!(b.texts("lisi").len(), 4);
}

#[tokio::test]
async fn the_days_recipients_come_to_an_end_and_begin_anew_the_next_day() {
    let b = start_bench().await;
    b.sim.change(|w| w.account_limit = 1);
    b.sim.limit(|l| l.recipients_per_account = Some(3));
    assert_eq!(b.refusal(text_message("lisi|wangwu", "1")).await, 0);
    assert_eq!(b.refusal(text_message("lisi|wangwu", "2")).await, 45009);
    assert_eq!(b.refusal(text_message("lisi", "3")).await, 0);
    assert_eq!(b.refusal(text_message("lisi", "4")).await, 45009);
    b.sim.advance(Duration::from_hours(24));
    assert_eq!(b.refusal(text_message("lisi", "5")).await, 0);
    assert_eq!(b.texts("lisi"), ["1", "3", "5"]);
}

#[tokio::test]
async fn messages_are_not_among_the_calls_that_are_counted_by_the_minute() {
    let b = start_bench().await;
    let token = b.app_token().await;
    b.sim.limit(|l| l.calls_per_minute.set("*", 0));
    let send =
        async || b.call(&format!("message/send?access_token={token}"), &text_message("lisi", "x")).await;
    assert_eq!(send().await["errcode"], 41011);
    b.sim.limit(|l| l.calls_per_minute.set("message/send", 1));
    assert_eq!(send().await["errcode"], 45009);
}

fn checked_message(content: &str, interval: u64) -> Value {
    let mut body = text_message("lisi", content);
    body["enable_duplicate_check"] = json!(1);
    body["duplicate_check_interval"] = json!(interval);
    body
}

#[tokio::test]
async fn an_identical_request_within_the_interval_reaches_nobody_again() {
    let b = start_bench().await;
    b.sim.limit(|l| l.equal_bodies_swallowed = false);
    let first = b.send(checked_message("x", 60)).await;
    let mut turned = json!({"duplicate_check_interval": 60, "agentid": 1_000_002});
    let rest = checked_message("x", 60);
    turned.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let again = b.send(turned).await;
    assert_eq!(again["errcode"], 0);
    assert!(again["msgid"].is_string() && again["msgid"] != first["msgid"]);
    assert_eq!(b.texts("lisi"), ["x"]);
    assert_eq!(b.sim.suppressed().len(), 1);
    assert!(b.sim.sent()[1].suppressed);
    b.send(checked_message("x", 61)).await;
    assert_eq!(b.texts("lisi").len(), 2, "a request that differs is another one");
    b.sim.advance(Duration::from_secs(60));
    b.send(checked_message("x", 60)).await;
    assert_eq!(b.texts("lisi").len(), 3, "the interval is over");
    b.send(text_message("lisi", "x")).await;
    b.send(text_message("lisi", "x")).await;
    assert_eq!(b.texts("lisi").len(), 5, "without the check nothing is compared");
}

#[tokio::test]
async fn an_equal_body_is_swallowed_for_the_member_who_has_it() {
    let b = start_bench().await;
    b.send(text_message("lisi", "x")).await;
    let mut both = checked_message("x", 60);
    both["touser"] = json!("lisi|wangwu");
    assert_eq!(b.refusal(both).await, 0);
    assert_eq!((b.texts("lisi").len(), b.texts("wangwu").len()), (1, 1));
    let swallowed = b.sim.suppressed();
    assert_eq!((swallowed.len(), swallowed[0].userid.as_str()), (1, "lisi"));
    assert!(!b.sim.sent()[1].suppressed);
    b.sim.advance(Duration::from_secs(60));
    b.send(checked_message("x", 59)).await;
    assert_eq!(b.texts("lisi").len(), 2);
}

#[tokio::test]
async fn a_recalled_message_is_gone_and_only_its_application_takes_it_back_within_a_day() {
    let b = start_bench().await;
    let (token, other) = (b.app_token().await, b.token_of("other-secret").await);
    let [first, second] =
        [b.send(text_message("lisi|wangwu", "1")).await, b.send(text_message("lisi", "2")).await];
    assert_eq!(b.recall(&other, &first["msgid"]).await["errcode"], 40058);
    assert_eq!(b.recall(&token, &json!("unknown")).await["errcode"], 40058);
    assert_eq!(b.recall(&token, &first["msgid"]).await, json!({"errcode": 0, "errmsg": "ok"}));
    assert_eq!((b.texts("lisi"), b.texts("wangwu").len()), (vec!["2".to_owned()], 0));
    assert_eq!(b.sim.recalled().len(), 1);
    b.sim.advance(Duration::from_hours(24));
    let token = b.app_token().await;
    assert_eq!(b.recall(&token, &second["msgid"]).await["errcode"], 42052);
    assert_eq!(b.texts("lisi"), ["2"]);
}

#[tokio::test]
async fn wecom_may_act_and_then_go_wrong() {
    let b = start_bench().await;
    let token = b.app_token().await;
    let url = format!("{}/cgi-bin/message/send?access_token={token}", b.sim.url());
    let send = |content: &str, limit: Duration| {
        let mut body = text_message("lisi", content);
        body["agentid"] = json!(1_000_002);
        b.http.post(&url).body(body.to_string()).timeout(limit).send()
    };
    let long = Duration::from_secs(20);
    let next = |fault: InjectedFault| b.sim.fail_next("message/send", fault.having_acted());
    next(InjectedFault::Hang);
    assert!(send("hang", Duration::from_secs(1)).await.unwrap_err().is_timeout());
    next(InjectedFault::Close);
    assert!(!send("close", long).await.unwrap_err().is_timeout());
    next(InjectedFault::Html502);
    assert_eq!(send("html", long).await.unwrap().status(), 502);
    next(InjectedFault::Errcode(-1, "system busy".into()));
    assert_eq!(send("busy", long).await.unwrap().json::<Value>().await.unwrap()["errcode"], -1);
    next(InjectedFault::Slow(Duration::from_secs(5)));
    assert!(send("slow", Duration::from_secs(1)).await.unwrap_err().is_timeout());
    next(InjectedFault::Slow(Duration::from_millis(50)));
    assert_eq!(send("late", long).await.unwrap().json::<Value>().await.unwrap()["errcode"], 0);
    next(InjectedFault::Truncated);
    assert!(send("half", long).await.unwrap().json::<Value>().await.is_err());
    assert_eq!(b.texts("lisi"), ["hang", "close", "html", "busy", "slow", "late", "half"]);
    b.sim.fail(
        FaultTarget::for_api("message/send").with("touser", "lisi"),
        Some(1),
        InjectedFault::Status500,
    );
    assert_eq!(send("before", long).await.unwrap().status(), 500);
    assert_eq!(b.texts("lisi").len(), 7, "without having acted nothing is sent");
}

/// Measures time and memory: `cargo nextest run --run-ignored only hundred_thousand_sends`.
#[test]
#[ignore = "takes a while"]
fn a_hundred_thousand_sends_are_remembered() {
    let mut w = World::default();
    w.populate(1000);
    let sim = Simulator::new(w);
    sim.limit(|l| l.recipients_per_account = None);
    let began = Instant::now();
    for n in 0..100_000 {
        let mut body =
            text_message(&format!("member{:04}", n % 1000 + 1), &format!("第 {n} 条：{}", "内容".repeat(50)));
        body["agentid"] = json!(1_000_002);
        body["enable_duplicate_check"] = json!(1);
        let call = call::SimulatedCall {
            method: axum::http::Method::POST,
            query: std::collections::HashMap::new(),
            content_type: None,
            body: body.to_string().into(),
            from: [127, 0, 0, 1].into(),
        };
        let answer = sim.with_world(|i| {
            let world = i.world;
            send::send_message(i, reader::SimulatedCaller::App(&world.app), &call).unwrap()
        });
        assert_eq!(answer["errcode"], 0);
        if n % 10_000 == 0 {
            sim.advance(Duration::from_mins(1));
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find(|l| l.starts_with("VmRSS"));
    eprintln!("{:?}, {memory:?}, dropped {}", began.elapsed(), sim.dropped().len());
    assert_eq!((sim.sent_count(), sim.dropped().len()), (100_000, 0));
}
