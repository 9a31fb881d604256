//! Rows as a run, a clock, a fault or time itself leaves them. A test says what happened and does
//! not know the tables.

use gongpai::testing::db::Db;
use gongpai::testing::directory::row::OPEN_UNTIL;
use sqlx::{AnyConnection, AssertSqlSafe};

/// Runs one statement in a transaction of its own.
async fn write(db: &Db, statement: &str) {
    let mut tx = db.write().await.expect("a transaction");
    write_in(&mut tx, statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    tx.commit().await.expect("committed");
}

async fn write_in(tx: &mut AnyConnection, statement: &str) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(tx).await.map(drop)
}

// --- persons -----------------------------------------------------------------------------------

/// Selects a person by our id or by the userid of the row.
fn is_person(who: &str) -> String {
    format!("(person_id = '{who}' OR userid = '{who}')")
}

/// Lets a person have left, with or without the instant.
pub(crate) async fn mark_person_left(db: &Db, who: &str, left_at: Option<i64>) {
    let at = left_at.map_or_else(|| "left_at".to_owned(), |at| at.to_string());
    let sql = format!("UPDATE person_rows SET status = 'left', left_at = {at} WHERE {}", is_person(who));
    write(db, &sql).await;
}

pub(crate) async fn rename_person(db: &Db, who: &str, name: &str) {
    write(db, &format!("UPDATE person_rows SET name = '{name}' WHERE {}", is_person(who))).await;
}

/// Writes memberships as the table has them: `[[unit, order, leader], …]`, or what nobody can read.
pub(crate) async fn set_memberships(db: &Db, who: &str, memberships: &str) {
    let sql = format!("UPDATE person_rows SET memberships = '{memberships}' WHERE {}", is_person(who));
    write(db, &sql).await;
}

/// Writes the main unit and the details as a run leaves them that has just read the person.
pub(crate) async fn set_person_details(db: &Db, who: &str, main_unit: &str, detail: &str) {
    let sql = format!(
        "UPDATE person_rows SET main_unit = '{main_unit}', detail = '{detail}', said = 'as read' WHERE {}",
        is_person(who)
    );
    write(db, &sql).await;
}

/// Lets the row of a person be what WeCom said when a run last read it.
pub(crate) async fn mark_person_read(db: &Db, who: &str) {
    write(db, &format!("UPDATE person_rows SET said = 'as read' WHERE {}", is_person(who))).await;
}

/// Makes a member of WeCom's a local person.
pub(crate) async fn make_local(db: &Db, who: &str) {
    write(db, &format!("UPDATE person_rows SET source = 'local' WHERE {}", is_person(who))).await;
}

/// Lets the row of a person end with a version, as a run does that prepares the next one.
pub(crate) async fn end_person_row(db: &Db, who: &str, version: i64) {
    write(db, &format!("UPDATE person_rows SET until = {version} WHERE {}", is_person(who))).await;
}

/// Lets the row of a person go on.
pub(crate) async fn reopen_person_row(db: &Db, who: &str) {
    write(db, &format!("UPDATE person_rows SET until = {OPEN_UNTIL} WHERE {}", is_person(who))).await;
}

/// Inserts a row that takes the key which the present row of a person would get when it ends with
/// `version`.
pub(crate) async fn block_end_of_person_row(db: &Db, corp: &str, person: &str, version: i64) {
    let sql = format!(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, memberships, \
         detail, said, updated_at) VALUES ('{person}', '{corp}', {version}, {version}, '', '', '', '', '', '', '', '', 0)"
    );
    write(db, &sql).await;
}

/// Inserts a person's identity without any row.
pub(crate) async fn insert_identity(
    db: &Db,
    corp: &str,
    id: &str,
    userid: &str,
    at: i64,
) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    let sql = format!(
        "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) \
         VALUES ('{id}', '{corp}', '{userid}', {at}, 0, {at})"
    );
    write_in(&mut tx, &sql).await?;
    tx.commit().await
}

/// Inserts the row of an active member that begins with version `since`.
pub(crate) async fn insert_member_row(
    db: &Db,
    corp: &str,
    id: &str,
    (userid, name): (&str, &str),
    memberships: &str,
    since: i64,
) {
    let sql = format!(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, memberships, \
         detail, said, updated_at) VALUES ('{id}', '{corp}', {since}, {OPEN_UNTIL}, '{userid}', '{name}', '', 'wecom', \
         'active', '{memberships}', '{{}}', '', 0)"
    );
    write(db, &sql).await;
}

// --- the chart and its runs --------------------------------------------------------------------

/// Pretends that a run read everything at that instant; 0: that none did yet.
pub(crate) async fn mark_chart_complete(db: &Db, at: i64) {
    write(db, &format!("UPDATE charts SET complete_at = {at}")).await;
}

pub(crate) async fn set_chart_version(db: &Db, version: i64) {
    write(db, &format!("UPDATE charts SET version = {version}")).await;
}

/// A row of `sync_runs`.
#[derive(Debug, Clone)]
pub(crate) struct RunFixture<'a> {
    pub(crate) id: &'a str,
    pub(crate) status: &'a str,
    pub(crate) complete: bool,
    pub(crate) dry_run: bool,
    pub(crate) counts: String,
    pub(crate) holder: &'a str,
    pub(crate) lease_until: i64,
    pub(crate) requested_at: i64,
}

impl<'a> RunFixture<'a> {
    /// A run of everything that was asked for at the command line and that `holder` works on.
    pub(crate) fn running(id: &'a str, holder: &'a str, lease_until: i64) -> Self {
        Self {
            id,
            status: "running",
            complete: false,
            dry_run: false,
            counts: "{}".to_owned(),
            holder,
            lease_until,
            requested_at: 0,
        }
    }

    pub(crate) async fn write(&self, db: &Db, corp: &str) {
        let Self { id, status, counts, holder, lease_until, requested_at, .. } = self;
        let (complete, dry_run) = (i64::from(self.complete), i64::from(self.dry_run));
        let sql = format!(
            "INSERT INTO sync_runs (id, corp_id, kind, cause, dry_run, forced, status, complete, counts, progress, report, \
             reason, holder, lease_until, requested_at, started_at) VALUES ('{id}', '{corp}', 'full', 'command', {dry_run}, \
             0, '{status}', {complete}, '{counts}', NULL, '{{}}', NULL, '{holder}', {lease_until}, {requested_at}, 0)"
        );
        write(db, &sql).await;
    }
}

/// Writes the report of a run.
pub(crate) async fn write_run_report(tx: &mut AnyConnection, run: &str, report: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE sync_runs SET report = $2 WHERE id = $1")
        .bind(run.to_owned())
        .bind(report.to_owned())
        .execute(tx)
        .await
        .map(drop)
}

/// Gives every run to another process, in that state.
pub(crate) async fn give_runs_to(db: &Db, holder: &str, status: &str) {
    write(db, &format!("UPDATE sync_runs SET holder = '{holder}', status = '{status}'")).await;
}

/// Lets the leases of all runs be over.
pub(crate) async fn expire_run_leases(db: &Db) {
    write(db, "UPDATE sync_runs SET lease_until = 0").await;
}

/// Lets the lease of a run be over that is worked on by a process with another number than this.
pub(crate) async fn expire_run_leases_of_others(db: &Db, process: u32) {
    let sql = format!(
        "UPDATE sync_runs SET lease_until = 0 WHERE status = 'running' AND holder NOT LIKE '{process} %'"
    );
    write(db, &sql).await;
}

/// Lets a newer version have written a column of every run, with a word that this one does not know.
pub(crate) async fn write_newer_word(db: &Db, column: &str, word: &str) {
    write(db, &format!("UPDATE sync_runs SET {column} = '{word}'")).await;
}

/// Lets every run have been refused because its process was killed.
pub(crate) async fn refuse_runs_as_killed(db: &Db) {
    write(db, "UPDATE sync_runs SET status = 'refused', reason = '{\"code\":\"process_killed\"}'").await;
}

/// Lets every schedule have fired last at that instant.
pub(crate) async fn set_schedule_instants(db: &Db, at: i64) {
    write(db, &format!("UPDATE schedules SET last_at = {at}")).await;
}

/// Lets a schedule have fired last at that instant.
pub(crate) async fn insert_schedule(db: &Db, corp: &str, name: &str, at: i64) {
    write(db, &format!("INSERT INTO schedules (corp_id, name, last_at) VALUES ('{corp}', '{name}', {at}) ON CONFLICT DO NOTHING")).await;
}

/// Inserts a batch of two changes of a unit, and its publication.
pub(crate) async fn insert_published_changes(db: &Db, corp: &str, batch: i64, id: &str, at: i64) {
    for n in 0..2 {
        let sql = format!(
            "INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) \
             VALUES ({batch}, {n}, '{corp}', 'unit', '{id}', 'updated')"
        );
        write(db, &sql).await;
    }
    let first = batch * 2;
    let sql = format!(
        "INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES ({first}, {batch}, '{corp}', 2, {at})"
    );
    write(db, &sql).await;
}

// --- decisions ---------------------------------------------------------------------------------

/// A row of `conflicts`.
#[derive(Debug, Clone)]
pub(crate) struct ConflictFixture<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) person: &'a str,
    pub(crate) candidates: &'a [&'a str],
    /// `open`, or how it was closed.
    pub(crate) state: &'a str,
    pub(crate) closed_at: Option<i64>,
}

impl<'a> ConflictFixture<'a> {
    pub(crate) const fn open(id: &'a str, kind: &'a str, person: &'a str, candidates: &'a [&'a str]) -> Self {
        Self { id, kind, person, candidates, state: "open", closed_at: None }
    }

    pub(crate) async fn write(&self, db: &Db, corp: &str) {
        let Self { id, kind, person, state, .. } = self;
        let candidates = serde_json::to_string(self.candidates).expect("JSON");
        let closed_at = self.closed_at.map_or_else(|| "NULL".to_owned(), |at| at.to_string());
        let sql = format!(
            "INSERT INTO conflicts (id, corp_id, kind, person_id, candidates, state, created_at, closed_at) \
             VALUES ('{id}', '{corp}', '{kind}', '{person}', '{candidates}', '{state}', 1795334400000, {closed_at})"
        );
        write(db, &sql).await;
    }
}

/// Binds a userid in rules to a person.
pub(crate) async fn insert_binding(db: &Db, corp: &str, userid: &str, person: &str) {
    let sql = format!(
        "INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ('{corp}', '{userid}', '{person}', 0)"
    );
    write(db, &sql).await;
}

// --- sign-in -----------------------------------------------------------------------------------

/// A row of `sessions`.
#[derive(Debug, Clone)]
pub(crate) struct SessionFixture<'a> {
    pub(crate) sid: &'a str,
    pub(crate) person: &'a str,
    pub(crate) audience: &'a str,
    /// When the person signed in, and when the session was last used.
    pub(crate) began_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) ended_at: Option<i64>,
}

impl SessionFixture<'_> {
    pub(crate) async fn write(&self, db: &Db, corp: &str) {
        let Self { sid, person, audience, began_at, expires_at, .. } = self;
        let ended_at = self.ended_at.map_or_else(|| "NULL".to_owned(), |at| at.to_string());
        let sql = format!(
            "INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
             expires_at, ended_at, address, user_agent) VALUES ('{sid}', '{corp}', '{person}', '{sid}', '{audience}', \
             'wecom-app', {began_at}, {began_at}, {began_at}, {expires_at}, {ended_at}, '', '')"
        );
        write(db, &sql).await;
    }
}

/// Lets every session have ended at that instant.
pub(crate) async fn end_all_sessions(db: &Db, at: i64) {
    write(db, &format!("UPDATE sessions SET ended_at = {at}")).await;
}

/// Deletes every session, as retention does in time.
pub(crate) async fn delete_all_sessions(db: &Db) {
    write(db, "DELETE FROM sessions").await;
}

pub(crate) async fn insert_ticket(db: &Db, corp: &str, hash: &str, sid: &str, expires_at: i64) {
    let sql = format!(
        "INSERT INTO tickets (hash, corp_id, sid, host, cookie_hash, target, started_at, expires_at) \
         VALUES ('{hash}', '{corp}', '{sid}', 'h', 'c', 't', 0, {expires_at})"
    );
    write(db, &sql).await;
}

pub(crate) async fn insert_attempt(db: &Db, corp: &str, id: &str, claimed_at: i64) {
    let sql = format!(
        "INSERT INTO attempts (id, corp_id, code_hash, claimed_at) VALUES ('{id}', '{corp}', 'c', {claimed_at})"
    );
    write(db, &sql).await;
}

/// Writes the public half of every signing key.
pub(crate) async fn set_public_keys(db: &Db, jwk: &str) {
    let written =
        sqlx::query("UPDATE signing_keys SET jwk = $1").bind(jwk.to_owned()).execute(db.pool()).await;
    written.expect("a key");
}

// --- the feed and the audit trail --------------------------------------------------------------

pub(crate) async fn insert_feed_entry(db: &Db, corp: &str, seq: i64, id: &str, at: i64) {
    let sql = format!(
        "INSERT INTO feed (seq, corp_id, kind, id, at) VALUES ({seq}, '{corp}', 'session', '{id}', {at})"
    );
    write(db, &sql).await;
}

/// Holds the counter of messages until the transaction ends.
pub(crate) async fn hold_message_counter(tx: &mut AnyConnection) {
    write_in(tx, "UPDATE feed_counter SET seq = seq WHERE name = 'message'").await.expect("held");
}

pub(crate) async fn insert_audit_row(db: &Db, corp: &str, id: &str, at: i64) {
    let sql = format!(
        "INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) \
         VALUES ('{id}', '{corp}', {at}, 'gate', '', '', '', '', '', '', '')"
    );
    write(db, &sql).await;
}

// --- messages ----------------------------------------------------------------------------------

/// Lets the database refuse messages whose content has the word "boom".
pub(crate) async fn refuse_messages_with_boom(db: &Db) {
    let refuse = if db.engine() == "sqlite" {
        "CREATE TRIGGER boom BEFORE INSERT ON messages WHEN NEW.content LIKE '%boom%' \
         BEGIN SELECT RAISE(ABORT, 'boom'); END"
    } else {
        "CREATE INDEX boom ON messages ((1 / CASE WHEN content LIKE '%boom%' THEN 0 ELSE 1 END))"
    };
    write(db, refuse).await;
}
