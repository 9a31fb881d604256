//! The pages that edit the organisation.

use super::*;

impl SimulatorBench {
    async fn page(&self, path: &str) -> String {
        let r = self.get(path, DESKTOP_USER_AGENT).await;
        assert_eq!(r.status(), StatusCode::OK, "{path}");
        r.text().await.unwrap()
    }

    /// Sends a form that is accepted; returns where it leads.
    async fn submit(&self, path: &str, form: &[(&str, &str)]) -> String {
        let r = self.post(path, form).await;
        assert_eq!(r.status(), StatusCode::SEE_OTHER, "{path} {form:?}");
        location(&r).to_owned()
    }

    /// Sends a form that is refused; returns the page's text.
    async fn refused(&self, path: &str, form: &[(&str, &str)]) -> String {
        let before = self.sim.world();
        let r = self.post(path, form).await;
        assert_eq!(r.status(), StatusCode::BAD_REQUEST, "{path} {form:?}");
        let (now, text) = (self.sim.world(), r.text().await.unwrap());
        assert_eq!(
            (before.members, before.departments, before.tags),
            (now.members, now.departments, now.tags)
        );
        text
    }
}

const MEMBER_PATH: &str = "/organisation/member";
const DEPARTMENT_PATH: &str = "/organisation/department";
const TAG_PATH: &str = "/organisation/tag";

#[tokio::test]
async fn a_small_corporation_is_a_tree_with_everybody_in_it() {
    let b = SimulatorBench::start().await;
    assert!(b.page("/phone").await.contains(r#"href="/organisation""#));
    let page = b.page("/organisation?department=3").await;
    for want in [
        "示例科技",
        "后端组",
        "吴九",
        "未激活",
        "郑十",
        "不在可见范围",
        "研发经理",
        "负责人",
        "技术人员",
        MARKER,
    ] {
        assert!(page.contains(want), "{want}\n{page}");
    }
    assert!(!page.contains("style=") && !page.contains("onclick="), "the policy forbids both");
    for tag in ["ul", "li", "section", "form", "div"] {
        let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
        let opened =
            page.matches(&open).count() - if tag == "li" { page.matches("<link").count() } else { 0 };
        assert_eq!(opened, page.matches(&close).count(), "{tag}");
    }
    for gone in
        ["/organisation?department=99", "/organisation/member?userid=nobody", "/organisation/tag?id=99"]
    {
        assert_eq!(b.get(gone, DESKTOP_USER_AGENT).await.status(), StatusCode::NOT_FOUND, "{gone}");
    }
}

#[tokio::test]
async fn what_is_in_a_name_does_not_become_html() {
    let b = SimulatorBench::start().await;
    b.sim.add_member(SimulatedMember::new("x", "<b>\"'&").with_departments([2]));
    assert!(b.sim.rename_department(2, "<script>alert(1)</script>"));
    for path in ["/organisation?department=2", "/organisation/member?userid=x", "/organisation/tag?id=1"] {
        let page = b.page(path).await;
        assert!(!page.contains("<b>") && !page.contains("<script>alert"), "{page}");
    }
}

#[tokio::test]
async fn a_member_is_added_moved_disabled_and_deleted() {
    let b = SimulatorBench::start().await;
    assert!(b.page("/organisation/member?department=4").await.contains(r#"value="4" checked"#));
    let mut form = vec![
        ("act", "add"),
        ("userid", "Qian.Duo"),
        ("name", "钱多"),
        ("status", "1"),
        ("department", "4"),
        ("department", "2"),
        ("main", "2"),
        ("leads", "2"),
        ("mobile", "13900000000"),
        ("superiors", "lisi，wangwu"),
    ];
    assert_eq!(b.submit(MEMBER_PATH, &form).await, "/organisation?department=2#department");
    let m = b.sim.world().member("qian.duo").unwrap().clone();
    assert_eq!(
        (m.departments.as_slice(), m.main(), m.leads.as_slice()),
        ([4, 2].as_slice(), Some(2), [2].as_slice())
    );
    assert_eq!(m.direct_leaders, ["lisi", "wangwu"]);
    assert!(b.sim.world().departments[1].leaders.contains(&"Qian.Duo".to_owned()));
    let token = b.app_token().await;
    assert_eq!(b.errcode(&format!("user/get?userid=qian.duo&access_token={token}")).await, 0);

    // 2 keeps its order, 4 goes, 6 is new; the lead goes with the department.
    assert!(b.sim.change_member("qian.duo", |m| m.orders = vec![5, 9]));
    form[0] = ("act", "save");
    form[3] = ("status", "2");
    form[4] = ("department", "6");
    form[7] = ("leads", "4");
    b.submit(MEMBER_PATH, &form).await;
    let m = b.sim.world().member("qian.duo").unwrap().clone();
    assert_eq!(
        (m.placements().collect::<Vec<_>>(), m.status),
        (vec![(2, 9), (6, 0)], SimulatedStatus::Disabled)
    );
    assert!(m.leads.is_empty() && !b.sim.world().departments[1].leaders.contains(&"Qian.Duo".to_owned()));
    assert!(b.page("/organisation?department=6").await.contains("已禁用"));

    b.sim.add_tag(SimulatedTag::new(1, "管理层").with_users(["qian.duo", "lisi"]));
    b.submit(MEMBER_PATH, &[("act", "delete"), ("userid", "qian.duo")]).await;
    let w = b.sim.world();
    assert!(w.member("qian.duo").is_none());
    assert_eq!(w.tags[0].users, ["lisi"]);
    assert_eq!(b.errcode(&format!("user/get?userid=qian.duo&access_token={token}")).await, 60111);
}

#[tokio::test]
async fn what_wecom_would_refuse_changes_nothing() {
    let b = SimulatorBench::start().await;
    let good = [("act", "add"), ("userid", "new"), ("name", "新"), ("status", "1"), ("department", "2")];
    for (field, value, want) in [
        (1, "ZhangSan", "账号已存在"),
        (1, "-x", "账号格式不正确"),
        (1, "", "账号格式不正确"),
        (1, "张三", "账号格式不正确"),
        (2, "  ", "名称不能为空"),
        (3, "3", "状态有误"),
        (4, "99", "没有这个部门"),
        (4, "二", "数字有误"),
        (4, "", "请选择部门"),
        (0, "save", "没有这个成员"),
        (0, "dance", "没有这个成员"),
    ] {
        let mut form = good;
        form[field].1 = value;
        let page = b.refused(MEMBER_PATH, &form).await;
        assert!(page.contains(want), "{value}: {page}");
    }
    for (form, want) in [
        ([("act", "save"), ("id", "3"), ("name", "研发"), ("parent", "5"), ("order", "1")], "自己的下级"),
        ([("act", "save"), ("id", "3"), ("name", "研发"), ("parent", "3"), ("order", "1")], "自己的下级"),
        ([("act", "save"), ("id", "3"), ("name", "研发"), ("parent", "1"), ("order", "-1")], "数字有误"),
        ([("act", "save"), ("id", "99"), ("name", "研发"), ("parent", "1"), ("order", "1")], "没有这个部门"),
        ([("act", "delete"), ("id", "1"), ("name", ""), ("parent", ""), ("order", "")], "根部门"),
        ([("act", "delete"), ("id", "3"), ("name", ""), ("parent", ""), ("order", "")], "子部门"),
        ([("act", "delete"), ("id", "4"), ("name", ""), ("parent", ""), ("order", "")], "还有成员"),
        ([("act", "add"), ("name", "x"), ("parent", "99"), ("id", ""), ("order", "")], "没有这个部门"),
        ([("act", ""), ("name", "x"), ("parent", "1"), ("id", "2"), ("order", "1")], "无法识别"),
    ] {
        let page = b.refused(DEPARTMENT_PATH, &form).await;
        assert!(page.contains(want), "{form:?}: {page}");
    }
    for (form, want) in [
        ([("act", "add"), ("id", "1"), ("name", "x"), ("users", "")], "编号已存在"),
        ([("act", "save"), ("id", "9"), ("name", "x"), ("users", "")], "没有这个标签"),
        ([("act", "save"), ("id", "1"), ("name", "x"), ("users", "lisi nobody")], "没有这个成员"),
        ([("act", "save"), ("id", "1"), ("name", ""), ("users", "lisi")], "名称不能为空"),
    ] {
        let page = b.refused(TAG_PATH, &form).await;
        assert!(page.contains(want), "{form:?}: {page}");
    }
}

#[tokio::test]
async fn a_department_is_added_renamed_moved_and_deleted() {
    let b = SimulatorBench::start().await;
    let to = b.submit(DEPARTMENT_PATH, &[("act", "add"), ("parent", "6"), ("name", "华东区")]).await;
    assert_eq!(to, "/organisation?department=8#department");
    let form = [
        ("act", "save"),
        ("id", "8"),
        ("name", "华南区"),
        ("name_en", "South"),
        ("parent", "3"),
        ("order", "4294967295"),
    ];
    b.submit(DEPARTMENT_PATH, &form).await;
    let token = b.app_token().await;
    let a = b.api(&format!("department/get?id=8&access_token={token}")).await;
    let want = json!({
        "id": 8, "name": "华南区", "name_en": "South", "department_leader": [], "parentid": 3,
        "order": 4_294_967_295_u32,
    });
    assert_eq!(a["department"], want);
    let root = [("act", "save"), ("id", "1"), ("name", "新示例"), ("order", "1")];
    b.submit(DEPARTMENT_PATH, &root).await;
    assert_eq!(b.sim.world().departments[0].parent, 0);
    assert_eq!(
        b.submit(DEPARTMENT_PATH, &[("act", "delete"), ("id", "8")]).await,
        "/organisation?department=3#department"
    );
    assert_eq!(b.errcode(&format!("department/get?id=8&access_token={token}")).await, 60123);
}

#[tokio::test]
async fn a_tag_is_added_changed_and_deleted() {
    let b = SimulatorBench::start().await;
    let form =
        [("act", "add"), ("id", "5"), ("name", "外勤"), ("users", "LISI\r\nwangwu"), ("department", "6")];
    assert_eq!(b.submit(TAG_PATH, &form).await, "/organisation#tags");
    assert_eq!(
        b.sim.world().tags[2],
        SimulatedTag::new(5, "外勤").with_users(["lisi", "wangwu"]).with_departments([6])
    );
    b.submit(TAG_PATH, &[("act", "save"), ("id", "5"), ("name", "出差"), ("users", "")]).await;
    assert_eq!(b.sim.world().tags[2], SimulatedTag::new(5, "出差"));
    b.submit(TAG_PATH, &[("act", "delete"), ("id", "5")]).await;
    assert_eq!(b.sim.world().tags.len(), 2);
}

#[tokio::test]
async fn a_large_corporation_shows_the_chosen_department_and_the_way_to_it() {
    let mut w = World::default();
    w.populate_large(2000, 400, 3);
    let deepest =
        w.departments.iter().rev().find(|d| w.departments.iter().all(|c| c.parent != d.id)).unwrap();
    let (id, parent) = (deepest.id, deepest.parent);
    let inside: Vec<String> =
        w.members.iter().filter(|m| m.departments.contains(&id)).map(|m| m.userid.clone()).collect();
    let b = SimulatorBench::with(w).await;
    let page = b.page(&format!("/organisation?department={id}")).await;
    assert!(!inside.is_empty() && inside.iter().all(|u| page.contains(&format!("userid={u}\""))));
    assert_eq!(page.matches("/organisation/member?userid=").count(), inside.len());
    assert!(page.contains(&format!("department={parent}#")) && page.contains("department=1#"));
    assert!(page.matches("#department\"").count() < 30);
    let form =
        [("act", "save"), ("userid", &inside[0]), ("name", "改名"), ("status", "1"), ("department", "2 3")];
    b.submit(MEMBER_PATH, &form).await;
    assert_eq!(b.sim.read(|w| w.member(&inside[0]).unwrap().departments.clone()), [2, 3]);
    let phone = b.page("/phone").await;
    assert!(phone.contains(r#"<input id="member""#) && !phone.contains("<option"));
    assert_eq!(b.submit("/phone/member", &[("member", &inside[0])]).await, "/phone");
}

#[tokio::test]
async fn whoever_left_and_departments_in_a_circle_are_still_on_the_page() {
    let b = SimulatorBench::start().await;
    assert!(b.sim.set_status("lisi", SimulatedStatus::Left) && b.sim.move_department(3, 4));
    b.sim.remove_department(6);
    let page = b.page("/organisation").await;
    for want in ["已离职", "lisi", "zhaoliu", "研发部", "后端组"] {
        assert!(page.contains(want), "{want}\n{page}");
    }
}
