//! `gongpai sync`: queues a run, works on it unless a gateway takes it first, and prints its
//! report.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{database, table};
use crate::api::dto::sync::RunDto;
use crate::base::clock::Clock;
use crate::base::id::RunId;
use crate::config::Config;
use crate::db::Db;
use crate::sync::SyncService;
use crate::sync::plan::ConflictKind;
use crate::sync::progress::{ProgressSnapshot, SyncProgress, SyncStep};
use crate::sync::queue::{SyncRequest, SyncRun, SyncRunEnd};
use crate::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};
use crate::wecom;

/// How often the progress is refreshed, of a run here or elsewhere.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Printed lines of changes. The API has all that are stored.
const MAX_CHANGE_LINES: usize = 20;

/// The options of `gongpai sync`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncOptions {
    /// Only report what would change.
    pub dry_run: bool,
    /// Ignore `directory.max_removals`.
    pub force: bool,
    /// Skip tags if there are many, as `sync_cron` does.
    pub update: bool,
    /// Print the run as the API shows it.
    pub json: bool,
}

/// Runs one synchronisation and prints its result.
///
/// Returns `false` (exit code 1) unless it read everything and was neither refused nor failed.
/// Progress goes to standard error: a bar on a terminal, otherwise a line for each step.
///
/// # Errors
/// If the database cannot be opened or created, or fails, or the run is interrupted. What an
/// interrupted run has written by then is never published.
pub(crate) async fn sync_directory(
    config: &Config,
    clock: &Clock,
    options: SyncOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let db = database::open_or_create(config).await?;
    let run = request_and_wait(config, clock, &db, options).await;
    db.close().await;
    let run = run?;
    if options.json {
        writeln!(out, "{}", table::to_json_line(&RunDto::from(run.clone()))?)?;
    } else {
        print_run(&run, out)?;
    }
    Ok(run.status == SyncRunStatus::Done && run.complete)
}

async fn request_and_wait(
    config: &Config,
    clock: &Clock,
    db: &Db,
    options: SyncOptions,
) -> anyhow::Result<SyncRun> {
    let client = wecom::WecomClient::new(config.into(), clock.clone())?;
    let sync = SyncService::new(config.into(), db.clone(), client, clock.clone());
    let request = SyncRequest {
        kind: if options.update { SyncKind::Update } else { SyncKind::Full },
        cause: SyncCause::CommandLine,
        dry_run: options.dry_run,
        force: options.force,
    };
    let id = sync.request(request).await.context("no run was asked for")?;
    let mut line = SyncProgressLine::new(io::stderr().is_terminal());
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be listened for")?;
    let run = wait_until_ended(&sync, &id, &mut interrupt, &mut line).await;
    line.clear();
    run
}

/// Works on the queue until this run has ended, here or elsewhere.
async fn wait_until_ended(
    sync: &SyncService,
    id: &RunId,
    interrupt: &mut Signal,
    line: &mut SyncProgressLine,
) -> anyhow::Result<SyncRun> {
    loop {
        // This may be an older run of the queue; ours comes after it.
        if let Some(run) = sync.queue().claim().await? {
            work_on_run(sync, &run, interrupt, line).await?;
        }
        let found = sync.find(id).await?;
        let Some(run) = found else { bail!("run {id} is no longer there") };
        if run.status.is_final() {
            return Ok(run);
        }
        // Another process works on this run or on one before it.
        line.show(
            &run.progress.map_or_else(|| describe_wait(&run), |progress| progress.to_string()),
            run.progress,
        );
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            _ = interrupt.recv() => bail!("interrupted; run {id} is left to a gateway that runs"),
        }
    }
}

fn describe_wait(run: &SyncRun) -> String {
    let words = match run.status {
        SyncRunStatus::Queued => "waiting for the run before it",
        SyncRunStatus::Running | SyncRunStatus::Done | SyncRunStatus::Refused | SyncRunStatus::Failed => {
            "a gateway works on it"
        }
    };
    words.to_owned()
}

/// Works on a run that was claimed here.
///
/// Ctrl-C ends the run for good: whoever stops a removal does not want a gateway to repeat it.
async fn work_on_run(
    sync: &SyncService,
    run: &SyncRun,
    interrupt: &mut Signal,
    line: &mut SyncProgressLine,
) -> anyhow::Result<()> {
    let progress = SyncProgress::default();
    let interrupted = tokio::select! {
        _ = sync.work(run, &progress) => false,
        never = watch_progress(&progress, line) => match never {},
        _ = interrupt.recv() => true,
    };
    if !interrupted {
        return Ok(());
    }
    line.clear();
    let end = SyncRunEnd::failed(SyncRunReason::Interrupted);
    let ours = sync.queue().end(&run.id, &end).await.context("how the run ended could not be written")?;
    // The run may have been published in the same moment; then it stays.
    if ours {
        bail!("interrupted: nothing was changed");
    }
    Ok(())
}

async fn watch_progress(progress: &SyncProgress, line: &mut SyncProgressLine) -> std::convert::Infallible {
    loop {
        let snapshot = progress.snapshot();
        line.show(&snapshot.to_string(), Some(snapshot));
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Shows progress on standard error.
struct SyncProgressLine {
    /// Only on a terminal.
    bar: Option<ProgressBar>,
    /// The last line that was printed, without a terminal.
    said: Option<(Option<SyncStep>, String)>,
}

impl SyncProgressLine {
    fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, said: None }
    }

    fn show(&mut self, text: &str, snapshot: Option<ProgressSnapshot>) {
        let Some(bar) = &self.bar else {
            // One line for each step, whatever its numbers.
            let step = snapshot.map(|s| s.step);
            let line = step.map_or_else(|| text.to_owned(), |step| step.as_str().to_owned());
            if self.said.as_ref() != Some(&(step, line.clone())) {
                // A closed standard error is no reason to stop.
                let _ = writeln!(io::stderr(), "{line}");
                self.said = Some((step, line));
            }
            return;
        };
        let counted = snapshot.filter(|s| s.total > 0);
        let template = if counted.is_some() { "{spinner} {wide_bar} {msg}" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_length(counted.map_or(0, |s| s.total));
        bar.set_position(counted.map_or(0, |s| s.done));
        bar.set_message(text.to_owned());
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints the run for people: counts, notes, the first changes, and how it ended.
fn print_run(run: &SyncRun, out: &mut dyn Write) -> io::Result<()> {
    let report = &run.report;
    if matches!(run.status, SyncRunStatus::Done | SyncRunStatus::Refused) {
        let mut counts = table::Table::new(&["", "CREATED", "UPDATED", "REMOVED"]);
        for (name, tally) in [
            ("units", run.counts.units),
            ("persons", run.counts.persons),
            ("memberships", run.counts.memberships),
            ("tags", report.tags),
        ] {
            let numbers = [tally.created, tally.updated, tally.removed].map(|n| n.to_string());
            counts.push(std::iter::once(name.to_owned()).chain(numbers));
        }
        if run.status == SyncRunStatus::Done || run.dry_run {
            counts.write(out)?;
        }
    }
    for note in &report.notes {
        writeln!(out, "note     {}: {}", note.code, table::to_printable(&note.text))?;
    }
    for skipped in &report.skipped {
        let what = if skipped.wecom.is_empty() { &skipped.id } else { &skipped.wecom };
        let (what, why) = (table::to_printable(what), table::to_printable(&skipped.reason));
        writeln!(out, "skipped  {} {what}: {why}", skipped.kind)?;
    }
    if report.more_skipped > 0 {
        writeln!(out, "skipped  and {} more", report.more_skipped)?;
    }
    for line in report.lines.iter().take(MAX_CHANGE_LINES) {
        writeln!(out, "change   {}", table::to_printable(line))?;
    }
    let told = u64::try_from(report.lines.len().min(MAX_CHANGE_LINES)).unwrap_or(u64::MAX);
    let kept = u64::try_from(report.lines.len()).unwrap_or(u64::MAX);
    let more = kept.saturating_add(report.more_lines).saturating_sub(told);
    if more > 0 {
        writeln!(out, "change   and {more} more")?;
    }
    for conflict in &report.conflicts {
        writeln!(
            out,
            "conflict {}: {} ({})",
            conflict.id,
            describe_conflict(conflict.kind),
            conflict.person_id
        )?;
    }
    writeln!(out, "{}", describe_outcome(run))
}

/// Says why a person has to decide.
const fn describe_conflict(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Ambiguous => "somebody could be one of several local persons",
        ConflictKind::Renamed => "somebody who joined looks like somebody who left",
        ConflictKind::Reused => "a userid came back after its holder had left",
    }
}

/// Returns the last line of the report.
fn describe_outcome(run: &SyncRun) -> String {
    let id = &run.id;
    let reason = || table::to_printable(&run.reason_text().unwrap_or_default());
    match run.status {
        SyncRunStatus::Done if run.dry_run => {
            format!("dry run {id}: nothing was changed{}", incomplete_suffix(run))
        }
        SyncRunStatus::Done => format!("run {id} is done{}", incomplete_suffix(run)),
        SyncRunStatus::Refused => format!("run {id} was refused, nothing was changed: {}", reason()),
        SyncRunStatus::Failed | SyncRunStatus::Queued | SyncRunStatus::Running => {
            format!("run {id} failed, nothing was changed: {}", reason())
        }
    }
}

const fn incomplete_suffix(run: &SyncRun) -> &'static str {
    if run.complete { "" } else { ", but not everything could be read, so nobody and nothing was removed" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::sync::plan::ExcessiveRemovals;
    use crate::sync::remote::ReportNote;
    use crate::sync::report::SyncReport;

    fn run(status: SyncRunStatus, complete: bool, reason: Option<SyncRunReason>) -> SyncRun {
        SyncRun {
            id: RunId::new("R"),
            kind: SyncKind::Full,
            cause: SyncCause::CommandLine,
            dry_run: false,
            force: false,
            status,
            complete,
            counts: Default::default(),
            progress: None,
            report: SyncReport::default(),
            reason,
            requested_at: Timestamp::from_millis(0),
            started_at: None,
            finished_at: None,
        }
    }

    fn printed(run: &SyncRun) -> String {
        let mut out = Vec::new();
        print_run(run, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_run_is_told_with_its_counts_notes_and_the_first_lines() {
        let mut run = run(SyncRunStatus::Done, true, None);
        run.counts.persons.created = 25;
        run.report.notes = vec![ReportNote::new("fetch.ids_only", "Only ids.\u{1b}")];
        run.report.lines = (0..25).map(|n| format!("person u{n} is new")).collect();
        run.report.more_lines = 3;
        let out = printed(&run);
        assert!(out.contains("persons      25       0        0\n"), "{out}");
        assert!(out.contains("note     fetch.ids_only: Only ids.\u{fffd}\n"), "{out}");
        assert!(out.contains("u19 is new\n") && !out.contains("u20 is new"), "{out}");
        assert!(out.contains("and 8 more\n") && out.ends_with("run R is done\n"), "{out}");
    }

    #[test]
    fn a_run_that_changed_nothing_says_so_and_why() {
        let excess = SyncRunReason::ExcessiveRemovals(ExcessiveRemovals::default());
        let out = printed(&run(SyncRunStatus::Refused, true, Some(excess)));
        assert!(out.starts_with("run R was refused, nothing was changed: The run would let 0 of 0"), "{out}");
        let failed = SyncRunReason::DatabaseFailed { error: "disk\u{1b} full".to_owned() };
        let out = printed(&run(SyncRunStatus::Failed, false, Some(failed)));
        assert_eq!(out, "run R failed, nothing was changed: the database failed: disk\u{fffd} full\n");
    }

    #[test]
    fn an_incomplete_run_says_that_nothing_was_removed() {
        assert!(printed(&run(SyncRunStatus::Done, false, None)).contains("not everything could be read"));
    }
}
