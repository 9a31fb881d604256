//! `gongpai audit`: prints the audit trail.

use std::io::Write;

use chrono::{NaiveTime, TimeZone as _};
use chrono_tz::Tz;

use super::args::StartTime;
use super::{database, table};
use crate::audit::{AuditRow, store};
use crate::base::clock::{Clock, Timestamp};
use crate::config::Config;

/// Rows of one query. Each page is printed before the next one is read.
const PAGE_ROWS: i64 = 500;

/// The options of `gongpai audit`.
#[derive(Debug, Clone)]
pub(crate) struct AuditQuery {
    pub user: Option<String>,
    pub since: StartTime,
    /// Print one JSON object a line.
    pub json: bool,
}

/// Prints the rows, oldest first.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub(crate) async fn print_audit_trail(
    config: &Config,
    clock: &Clock,
    query: &AuditQuery,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let (zone, since) = (config.time_zone, start_instant(query.since, clock.now(), config.time_zone));
    if !query.json {
        writeln!(
            out,
            "{}",
            format_line("TIME", ["EVENT", "USERID", "DECISION", "ADDRESS", "HOST", "DETAIL", "REQUEST"])
        )?;
    }
    let mut after = String::new();
    loop {
        let user = query.user.as_deref();
        let rows = store::list_rows(&db, &config.wecom.corp_id, user, since, &after, PAGE_ROWS).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.id);
        for row in &rows {
            if query.json {
                writeln!(out, "{}", table::to_json_line(row)?)?;
            } else {
                writeln!(out, "{}", format_row(row, zone))?;
            }
        }
    }
    db.close().await;
    Ok(())
}

fn format_row(row: &AuditRow, zone: Tz) -> String {
    let cells =
        [&row.event, &row.userid, &row.decision, &row.address, &row.host, &row.detail, &row.request_id];
    let cells = cells.map(|cell| table::to_printable(cell));
    format_line(&table::format_local_time(row.at, zone), cells.each_ref().map(String::as_str))
}

/// Formats a line with columns of a fixed width: the trail may be long, and is printed while it is
/// read.
fn format_line(time: &str, [event, userid, decision, address, host, detail, request]: [&str; 7]) -> String {
    let columns = [(time, 19), (event, 10), (userid, 16), (decision, 8), (address, 15), (host, 24)];
    let columns = columns.map(|(text, columns)| table::pad_to_width(text, columns));
    format!("{}  {detail}  {request}", columns.join("  "))
}

/// Returns the instant at which the period starts.
fn start_instant(since: StartTime, now: Timestamp, zone: Tz) -> Timestamp {
    match since {
        StartTime::Ago(span) => now.minus(span),
        StartTime::At(at) => at,
        StartTime::Day(day) => {
            let midnight = day.and_time(NaiveTime::MIN);
            // A clock change may skip midnight. The day then starts 24 hours before its midnight in
            // UTC: rather too early than too late.
            let first = zone.from_local_datetime(&midnight).earliest().map(|time| time.timestamp_millis());
            let utc = midnight.and_utc().timestamp_millis().saturating_sub(24 * 3600 * 1000);
            Timestamp::from_millis(first.unwrap_or(utc))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_of_the_zone() {
        let now = Timestamp::from_millis(1_795_334_400_000);
        let of = |since| start_instant(since, now, chrono_tz::Asia::Shanghai).rfc3339();
        let day = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        assert_eq!(of(StartTime::Day(day)), "2026-11-21T16:00:00.000Z");
        assert_eq!(of(StartTime::Ago(Duration::from_secs(3600))), "2026-11-22T07:00:00.000Z");
        assert_eq!(of(StartTime::At(now)), now.rfc3339());
    }
}
