//! `gongpai directory import|export`: local persons as a CSV table.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::{database, table};
use crate::audit::{self, Actor, AuditEntry, AuditEvent};
use crate::base::clock::Clock;
use crate::base::id::{CorpId, PersonId, UserId};
use crate::base::secret::random_token;
use crate::config::Config;
use crate::db::Db;
use crate::directory::changes::DirectoryTransaction;
use crate::directory::csv::{self, CsvFinding, CsvRecord, ImportPlan, PlannedPerson};
use crate::directory::edit::EditError;
use crate::directory::edit::store::{self, HeldPerson, ReservedUserid};
use crate::directory::{self, Person};

/// Rows that one transaction writes. Few, so that a sign-in never waits long for the lock.
const BATCH_ROWS: usize = 500;

/// Persons of one query.
const PAGE_ROWS: i64 = 1000;

/// Creates and changes local persons from a table.
///
/// Returns `false` and writes nothing if any row is wrong.
///
/// # Errors
/// If the file or the database cannot be read, or a transaction fails. Transactions before it stay
/// committed.
pub async fn import_persons(
    config: &Config,
    clock: &Clock,
    file: &str,
    dry_run: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let records = match csv::parse_table(&read_input(file)?) {
        Ok((records, format)) => {
            if !format.is_as_exported() {
                writeln!(out, "{format}")?;
            }
            records
        }
        Err(findings) => return report_findings(&findings, out),
    };
    let db = database::open_or_create(config).await?;
    let done = import_records(config, clock, &db, records, dry_run, out).await;
    db.close().await;
    done
}

fn read_input(file: &str) -> anyhow::Result<Vec<u8>> {
    if file != "-" {
        return std::fs::read(file).with_context(|| format!("cannot read {file}"));
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
    Ok(bytes)
}

/// Prints all findings.
fn report_findings(findings: &[CsvFinding], out: &mut dyn Write) -> anyhow::Result<bool> {
    for finding in findings {
        writeln!(out, "line {}: {}", finding.line, table::to_printable(&finding.what))?;
    }
    writeln!(out, "nothing was written")?;
    Ok(false)
}

async fn import_records(
    config: &Config,
    clock: &Clock,
    db: &Db,
    records: Vec<CsvRecord>,
    dry_run: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let corp = &config.wecom.corp_id;
    let before = load_known_persons(db, corp, &records).await?;
    let chart = directory::store::load_chart(db, corp).await?;
    let plan = match csv::plan_import(records, chart, &before) {
        Ok(plan) => plan,
        Err(findings) => return report_findings(&findings, out),
    };
    if dry_run {
        print_plan(&plan, out)?;
    } else {
        write_plan(db, corp, clock, &plan).await?;
    }
    let new = plan.persons.iter().filter(|planned| planned.id.is_none()).count();
    let changed = plan.persons.len().saturating_sub(new);
    let (units, same) = (plan.units.len(), plan.same);
    writeln!(out, "units: {units} new; persons: {new} new, {changed} changed, {same} as they were")?;
    if dry_run {
        writeln!(out, "this was a rehearsal: nothing was written")?;
    }
    writeln!(out, "nobody is removed by an import")?;
    Ok(true)
}

/// Returns the current holders of the userids in `records`, by folded userid.
async fn load_known_persons(
    db: &Db,
    corp: &CorpId,
    records: &[CsvRecord],
) -> anyhow::Result<HashMap<String, Person>> {
    let progress = new_progress_bar("reading", records.len());
    let mut known = HashMap::new();
    for record in records {
        // PostgreSQL's text cannot hold NUL. Such a userid is reported with its line later.
        if !record.userid.as_str().contains('\0')
            && let Some(person) = directory::store::find_person_by_userid(db, corp, &record.userid).await?
        {
            known.insert(person.userid.folded(), person);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(known)
}

/// Creates a progress bar, which shows only if standard error is a terminal.
fn new_progress_bar(what: &'static str, count: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX)).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Prints what an import would create and change.
fn print_plan(plan: &ImportPlan, out: &mut dyn Write) -> io::Result<()> {
    for path in &plan.units {
        writeln!(out, "+ unit {}", table::to_printable(path))?;
    }
    for planned in &plan.persons {
        let (userid, name) = (planned.person.userid.as_str(), planned.person.name.as_str());
        let (userid, name) = (table::to_printable(userid), table::to_printable(name));
        match planned.id {
            None => writeln!(out, "+ person {userid} {name}")?,
            Some(_) => writeln!(out, "~ person {userid} {name}: {}", planned.fields.join(", "))?,
        }
    }
    Ok(())
}

async fn write_plan(db: &Db, corp: &CorpId, clock: &Clock, plan: &ImportPlan) -> anyhow::Result<()> {
    let progress = new_progress_bar("writing", plan.units.len().saturating_add(plan.persons.len()));
    for paths in plan.units.chunks(BATCH_ROWS) {
        let made = create_units(db, corp, clock, paths).await;
        made.with_context(|| describe_partial_write(progress.position()))?;
        progress.inc(u64::try_from(paths.len()).unwrap_or(0));
    }
    for batch in plan.persons.chunks(BATCH_ROWS) {
        let written = write_persons(db, corp, clock, batch).await;
        written.with_context(|| describe_partial_write(progress.position()))?;
        progress.inc(u64::try_from(batch.len()).unwrap_or(0));
    }
    progress.finish_and_clear();
    Ok(())
}

fn describe_partial_write(written: u64) -> String {
    format!("{written} units and persons are written, the rest is not; the same command again goes on")
}

async fn create_units(db: &Db, corp: &CorpId, clock: &Clock, paths: &[String]) -> anyhow::Result<()> {
    let mut change = DirectoryTransaction::begin(db, corp, clock.now()).await?;
    let mut context = store::open_context(&mut change).await?;
    for path in paths {
        // Another writer may have created some of them since the plan was made.
        for (parent, name, _) in csv::missing_units(context.chart(), path).map_err(anyhow::Error::msg)? {
            let parent = parent.map(|parent| csv::find_unit(context.chart(), &parent)).transpose();
            let input = csv::new_unit(name, parent.map_err(anyhow::Error::msg)?.as_ref());
            let unit = store::create_unit(&mut change, &mut context, input).await;
            let unit = unit.with_context(|| path.clone())?.unit.id;
            audit_import(&mut change, None, &format!("created unit {unit}")).await?;
        }
    }
    change.commit().await?;
    Ok(())
}

/// The person that a row writes to.
enum ImportTarget {
    Held(Box<HeldPerson>),
    New(ReservedUserid),
}

async fn write_persons(db: &Db, corp: &CorpId, clock: &Clock, batch: &[PlannedPerson]) -> anyhow::Result<()> {
    let line = |planned: &PlannedPerson| format!("line {}: {}", planned.record.line, planned.record.userid);
    // A fixed order, so that two writers never wait for each other in a circle.
    let mut batch: Vec<&PlannedPerson> = batch.iter().collect();
    batch.sort_by_key(|planned| (planned.id.clone(), planned.record.userid.folded()));
    let mut change = DirectoryTransaction::begin(db, corp, clock.now()).await?;
    let mut held = Vec::new();
    for planned in batch {
        let whom = hold_or_reserve(&mut change, planned).await.with_context(|| line(planned))?;
        held.push((planned, whom));
    }
    let context = store::open_context(&mut change).await?;
    for (planned, whom) in held {
        let before = match &whom {
            ImportTarget::Held(held) => Some(&held.person),
            ImportTarget::New(_) => None,
        };
        let input = planned.record.person_input(before, context.chart());
        let input = input.map_err(anyhow::Error::msg).with_context(|| line(planned))?;
        let (done, deed) = match whom {
            ImportTarget::Held(held) => {
                (store::update_person(&mut change, &context, &held, input).await, "changed the person")
            }
            ImportTarget::New(new) => {
                (store::create_person(&mut change, &context, new, input).await, "created the person")
            }
        };
        let person = done.with_context(|| line(planned))?;
        audit_import(&mut change, Some((person.id, person.userid)), deed).await?;
    }
    change.commit().await?;
    Ok(())
}

async fn hold_or_reserve(
    change: &mut DirectoryTransaction,
    planned: &PlannedPerson,
) -> Result<ImportTarget, EditError> {
    match &planned.id {
        None => store::reserve_userid(change, &planned.record.userid).await.map(ImportTarget::New),
        Some(id) => {
            let held = store::hold_person(change, id, None).await?.ok_or(EditError::NotFound)?;
            Ok(ImportTarget::Held(Box::new(held)))
        }
    }
}

async fn audit_import(
    change: &mut DirectoryTransaction,
    whom: Option<(PersonId, UserId)>,
    deed: &str,
) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let entry = AuditEntry::of_deed(Actor::Import, AuditEvent::Directory, deed.to_owned()).about(whom);
    audit::store::insert_entry(change.tx(), &corp, &entry, now).await
}

/// Writes local persons, or everybody, as a table.
///
/// The file is readable by its owner only; `-` stands for `out`.
///
/// # Errors
/// If there is no database, it fails, or the file cannot be written.
pub async fn export_persons(
    config: &Config,
    file: &str,
    everybody: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let count = if file == "-" {
        write_csv(config, &db, everybody, out).await
    } else {
        write_new_file(config, &db, everybody, Path::new(file))
            .await
            .with_context(|| format!("cannot write {file}"))
    };
    db.close().await;
    let count = count?;
    if file != "-" {
        writeln!(out, "{count} {} written to {file}", if count == 1 { "person" } else { "persons" })?;
    }
    Ok(())
}

/// Writes a new file that only its owner can read, and renames it over `file`. An existing file may
/// have wider permissions, so it is never written to.
async fn write_new_file(config: &Config, db: &Db, everybody: bool, file: &Path) -> anyhow::Result<u64> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", random_token::<8>()));
    let beside = PathBuf::from(beside);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let mut target = BufWriter::new(opened);
    let written = match write_csv(config, db, everybody, &mut target).await {
        Ok(count) => {
            target.flush().and_then(|()| std::fs::rename(&beside, file)).map(|()| count).map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    if written.is_err() {
        // The partial file is useless. If it cannot be removed, the first error matters more.
        drop(std::fs::remove_file(&beside));
    }
    written
}

async fn write_csv(
    config: &Config,
    db: &Db,
    everybody: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u64> {
    let corp = &config.wecom.corp_id;
    let chart = directory::store::load_chart(db, corp).await?;
    csv::write_headings(out)?;
    let spinner = ProgressBar::new_spinner().with_message("writing");
    let (mut after, mut count) = (PersonId::new(""), 0_u64);
    loop {
        let page = csv::store::list_export_page(db, corp, everybody, &after, PAGE_ROWS).await?;
        let Some(last) = page.last() else { break };
        after = last.id.clone();
        for person in &page {
            csv::write_person(out, person, &chart)?;
            count = count.saturating_add(1);
        }
        spinner.set_position(count);
    }
    out.flush()?;
    spinner.finish_and_clear();
    Ok(count)
}
