//! An organisation written straight to the tables: departments, members and tags as a test wants
//! them, without a WeCom.

use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::{CorpId, PersonId, TagId, UnitId, UserId};
use gongpai::testing::db::Db;
use gongpai::testing::db::feed::{FeedKind, FeedTransaction};
use gongpai::testing::directory::row::{OPEN_UNTIL, format_memberships, to_json};
use gongpai::testing::directory::{EntrySource, Membership, Person, PersonDetails, PersonStatus, Tag, Unit};
use sqlx::Row as _;

use super::app::TestApp;

/// A department of WeCom; `parent` 0 puts it at the top.
pub(crate) fn department(corp: &CorpId, id: u32, name: &str, parent: u32) -> Unit {
    Unit {
        id: UnitId::from_department(corp, id),
        wecom_id: Some(id),
        source: EntrySource::Wecom,
        parent: (parent != 0).then(|| UnitId::from_department(corp, parent)),
        name: name.to_owned(),
        name_en: String::new(),
        order: 100 - id % 100,
        leaders: Vec::new(),
    }
}

pub(crate) fn local_unit(id: &str, name: &str, parent: Option<&UnitId>) -> Unit {
    Unit {
        id: UnitId::new(id),
        wecom_id: None,
        source: EntrySource::Local,
        parent: parent.cloned(),
        name: name.to_owned(),
        name_en: String::new(),
        order: 0,
        leaders: Vec::new(),
    }
}

/// Returns the id of the `n`th person; ids sort by `n`.
pub(crate) fn person_id(n: u32) -> PersonId {
    PersonId::new(format!("019a0000-0000-7000-8000-{n:012}"))
}

/// An active member of the departments `units`; the first one is the main unit.
pub(crate) fn member(corp: &CorpId, n: u32, userid: &str, name: &str, units: &[u32]) -> Person {
    let unit = |id: &u32| UnitId::from_department(corp, *id);
    Person {
        id: person_id(n),
        userid: UserId::new(userid),
        name: name.to_owned(),
        email: String::new(),
        source: EntrySource::Wecom,
        status: PersonStatus::Active,
        left_at: None,
        main_unit: units.first().map(unit),
        memberships: units.iter().map(|id| Membership { unit: unit(id), order: n, leader: false }).collect(),
        details: PersonDetails::default(),
        fingerprint: String::new(),
    }
}

pub(crate) fn tag(corp: &CorpId, id: u32, name: &str, users: &[&str], units: &[u32]) -> Tag {
    Tag {
        id: TagId::from_tag(corp, id),
        wecom_id: Some(id),
        name: name.to_owned(),
        users: users.iter().map(|user| UserId::new(*user)).collect(),
        units: units.iter().map(|id| UnitId::from_department(corp, *id)).collect(),
    }
}

/// Units, persons and tags to be written.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChartRows {
    pub(crate) units: Vec<Unit>,
    pub(crate) persons: Vec<Person>,
    pub(crate) tags: Vec<Tag>,
}

impl ChartRows {
    /// A company of five units, five persons and two tags that together use every field.
    pub(crate) fn example(corp: &CorpId) -> Self {
        let mut units = vec![
            department(corp, 1, "示例科技", 0),
            department(corp, 2, "研发部", 1),
            department(corp, 3, "前端/移动组", 2),
            department(corp, 4, "财务部", 1),
            local_unit("019a0000-0000-7000-9000-000000000001", "项目组", None),
        ];
        units[1].leaders = vec![UserId::new("ZhangSan")];
        let project = units[4].id.clone();

        let mut persons = vec![
            member(corp, 1, "ZhangSan", "张三", &[2, 3]),
            member(corp, 2, "lisi", "李四", &[4]),
            member(corp, 3, "wangwu", "王五", &[3]),
            member(corp, 4, "zhaoliu", "赵六", &[4]),
            member(corp, 5, "guest", "访客", &[]),
        ];
        persons[0].memberships[0].leader = true;
        persons[0].memberships.push(Membership { unit: project, order: 7, leader: false });
        persons[0].email = "zhangsan@example.com".to_owned();
        persons[0].details = PersonDetails {
            position: "工程师".to_owned(),
            mobile: "13800000000".to_owned(),
            alias: "老张".to_owned(),
            telephone: "020-123456".to_owned(),
            direct_leaders: vec![UserId::new("lisi")],
            attributes: [("工号".to_owned(), "0007".to_owned()), ("爱好".to_owned(), "围棋".to_owned())]
                .into(),
        };
        persons[2].status = PersonStatus::Disabled;
        persons[3].status = PersonStatus::Left;
        persons[4].source = EntrySource::Local;
        let tags = vec![tag(corp, 1, "党员", &["lisi"], &[]), tag(corp, 2, "夜班", &["ZhangSan"], &[2])];
        Self { units, persons, tags }
    }

    /// Writes the rows, valid from version `since` on. With the published version they are visible
    /// at once and replicas are told; with the next one they wait for its publication.
    pub(crate) async fn write(&self, t: &TestApp, since: i64) {
        let corp = &t.app.config.wecom.corp_id;
        let mut change =
            FeedTransaction::begin(&t.app.db, corp, t.app.clock.now()).await.expect("a transaction");
        let now = change.now().millis();
        for unit in &self.units {
            sqlx::query(
                "INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, \
                   sort, leaders, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(unit.id.as_str())
            .bind(corp.as_str())
            .bind(since)
            .bind(OPEN_UNTIL)
            .bind(unit.wecom_id.map(i64::from))
            .bind(unit.source.as_str())
            .bind(unit.parent.as_ref().map(|id| id.as_str().to_owned()))
            .bind(&unit.name)
            .bind(&unit.name_en)
            .bind(i64::from(unit.order))
            .bind(to_json(&unit.leaders).expect("JSON"))
            .bind(now)
            .execute(change.tx())
            .await
            .expect("a unit");
        }
        for person in &self.persons {
            sqlx::query(
                "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) \
                 VALUES ($1, $2, $3, $4, 0, $4) ON CONFLICT (id) DO NOTHING",
            )
            .bind(person.id.as_str())
            .bind(corp.as_str())
            .bind(person.userid.as_str())
            .bind(now)
            .execute(change.tx())
            .await
            .expect("a person");
            sqlx::query(
                "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, \
                   left_at, main_unit, memberships, detail, said, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            )
            .bind(person.id.as_str())
            .bind(corp.as_str())
            .bind(since)
            .bind(OPEN_UNTIL)
            .bind(person.userid.as_str())
            .bind(&person.name)
            .bind(&person.email)
            .bind(person.source.as_str())
            .bind(person.status.as_str())
            .bind(person.left_at.map(Timestamp::millis))
            .bind(person.main_unit.as_ref().map(|id| id.as_str().to_owned()))
            .bind(format_memberships(&person.memberships).expect("JSON"))
            .bind(to_json(&person.details).expect("JSON"))
            .bind(&person.fingerprint)
            .bind(now)
            .execute(change.tx())
            .await
            .expect("what is known of a person");
        }
        for tag in &self.tags {
            sqlx::query(
                "INSERT INTO tag_rows (id, corp_id, since, until, wecom_id, name, users, units, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(tag.id.as_str())
            .bind(corp.as_str())
            .bind(since)
            .bind(OPEN_UNTIL)
            .bind(tag.wecom_id.map(i64::from))
            .bind(&tag.name)
            .bind(to_json(&tag.users).expect("JSON"))
            .bind(to_json(&tag.units).expect("JSON"))
            .bind(now)
            .execute(change.tx())
            .await
            .expect("a tag");
        }
        change.announce(FeedKind::Chart, since.to_string());
        change.commit().await.expect("written");
    }
}

pub(crate) async fn published_version(t: &TestApp) -> i64 {
    read_published_version(&t.app.db).await
}

/// Reads the published version of the only corporation in the database.
pub(crate) async fn read_published_version(db: &Db) -> i64 {
    sqlx::query("SELECT version FROM charts").fetch_one(db.pool()).await.expect("a chart").get(0)
}

/// Starts a gateway with [`ChartRows::example`] published.
pub(crate) async fn app_with_example_chart() -> TestApp {
    let t = TestApp::start().await;
    ChartRows::example(&t.app.config.wecom.corp_id).write(&t, published_version(&t).await).await;
    t
}

/// What somebody changes in the chart, or in its change feed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChartEdit<'a> {
    RenameEverybody(&'a str),
    /// From the first name to the second.
    RenamePerson(&'a str, &'a str),
    /// The department of this number ends with a version.
    EndDepartment(u32, i64),
    /// The person's row ends with a version.
    EndPerson(&'a PersonId, i64),
    Publish(i64),
    /// The first entry of each batch of changes is deleted, as retention does in between.
    ForgetFirstChanges,
}

impl ChartEdit<'_> {
    fn statement(&self) -> String {
        match self {
            Self::RenameEverybody(name) => {
                format!("UPDATE person_rows SET name = '{name}', updated_at = updated_at + 1")
            }
            Self::RenamePerson(from, to) => {
                format!("UPDATE person_rows SET name = '{to}' WHERE name = '{from}'")
            }
            Self::EndDepartment(number, version) => {
                format!("UPDATE unit_rows SET until = {version} WHERE wecom_id = {number}")
            }
            Self::EndPerson(id, version) => {
                format!("UPDATE person_rows SET until = {version} WHERE person_id = '{id}'")
            }
            Self::Publish(version) => format!("UPDATE charts SET version = {version}"),
            Self::ForgetFirstChanges => "DELETE FROM directory_changes WHERE n = 0".to_owned(),
        }
    }
}

/// Changes the chart in a transaction that replicas are told of, like an edit by hand.
pub(crate) async fn edit_chart(t: &TestApp, edit: &ChartEdit<'_>) {
    let sql = edit.statement();
    let corp = &t.app.config.wecom.corp_id;
    let mut change = FeedTransaction::begin(&t.app.db, corp, t.app.clock.now()).await.expect("a transaction");
    let done = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(change.tx()).await;
    done.unwrap_or_else(|e| panic!("{sql}: {e}"));
    change.announce(FeedKind::Chart, "");
    change.commit().await.expect("written");
}
