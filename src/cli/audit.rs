//! `gongpai audit`: who did what, when, from where, and what was decided.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone as _};
use chrono_tz::Tz;

use super::rows;
use super::sessions::local;
use crate::audit::store;
use crate::base::clock::{Clock, Timestamp};
use crate::config::Sources;

const PAGE: i64 = 500;

/// Prints the rows since `since`, oldest first.
///
/// # Errors
/// If the configuration or `since` is not accepted, or the database fails.
pub async fn print(
    sources: &Sources,
    user: Option<&str>,
    since: &str,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = rows::load(sources)?;
    let since = instant(since, Clock::System.now(), config.time_zone)?;
    let db = rows::database(&config).await?;
    let mut after = String::new();
    loop {
        let page = store::list(&db, &config.wecom.corp_id, user, since, &after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (_, row) in &page {
            if as_json {
                writeln!(out, "{}", serde_json::to_string(row)?)?;
            } else {
                writeln!(
                    out,
                    "{}  {:<10} {:<8} {:<16} {:<16} {}  {}",
                    local(row.at, config.time_zone),
                    row.event,
                    row.decision,
                    or_dash(&row.userid),
                    or_dash(&row.address),
                    or_dash(&row.host),
                    row.detail.escape_debug()
                )?;
            }
        }
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Reads `24h`, `7d`, `30m`, a day, or an RFC 3339 instant.
fn instant(text: &str, now: Timestamp, zone: Tz) -> anyhow::Result<Timestamp> {
    let ago = |unit: char, seconds: u64| {
        let count = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        Some(now.minus(Duration::from_secs(count.checked_mul(seconds)?)))
    };
    if let Some(at) = ago('m', 60).or_else(|| ago('h', 3600)).or_else(|| ago('d', 24 * 3600)) {
        return Ok(at);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_millis(at.timestamp_millis()));
    }
    if let Ok(day) = text.parse::<NaiveDate>()
        && let Some(midnight) = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest()
    {
        return Ok(Timestamp::from_millis(midnight.timestamp_millis()));
    }
    bail!(
        "--since {text:?} is neither 24h, 7d, a day such as 2026-11-22, nor an instant such as 2026-11-22T08:00:00+08:00"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_ago_a_day_here_or_an_instant() {
        let now = Timestamp::from_millis(1_795_334_400_000);
        let read = |text| instant(text, now, Tz::Asia__Shanghai).map(Timestamp::rfc3339);
        assert_eq!(read("24h").unwrap(), "2026-11-21T08:00:00.000Z");
        assert_eq!(read("7d").unwrap(), "2026-11-15T08:00:00.000Z");
        assert_eq!(read("2026-11-22").unwrap(), "2026-11-21T16:00:00.000Z");
        assert_eq!(read("2026-11-22T08:00:00+08:00").unwrap(), "2026-11-22T00:00:00.000Z");
        for bad in ["", "yesterday", "h", "-1h", "99999999999999999999d"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
