//! Schedules: Quartz expressions, seconds first, as O2OA writes them (`10 0/10 * * * ?`).

use chrono::TimeZone as _;
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use super::clock::Timestamp;
use super::quartz;

/// The end of every message about an expression.
const EXPRESSION_FORM: &str = "second minute hour day month weekday, and perhaps a year: \"10 0/10 * * * ?\"";

/// A Quartz expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    /// The schedule fires when the first of them does.
    crons: Vec<Cron>,
    zone: Tz,
}

impl Schedule {
    /// Parses an expression of six or seven fields as Quartz 2.3.2 does: `*`, lists, ranges (also
    /// across the end: `22-2`), steps, names, `?`, `L`, `L-3`, `W`, `#`; Sunday is 1.
    ///
    /// # Errors
    /// What is wrong, to follow "must be …" or "is not …"; also if the schedule never fires.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, String> {
        let fields = text.split_whitespace().count();
        if !matches!(fields, 6 | 7) {
            let hint = if fields == 5 {
                let minutes = text.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("; with the second it may be \"0 {minutes}\"")
            } else {
                String::new()
            };
            return Err(format!("has {fields} fields, and these are six: {EXPRESSION_FORM}{hint}"));
        }
        let patterns = quartz::translate_expression(text)
            .map_err(|why| format!("cannot be read ({why}): {EXPRESSION_FORM}"))?;
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .alternative_weekdays(true)
            .dom_and_dow(true)
            .build();
        let crons = patterns.iter().map(|pattern| parser.parse(pattern)).collect::<Result<Vec<_>, _>>();
        let crons = crons.map_err(|error| format!("cannot be read ({error}): {EXPRESSION_FORM}"))?;
        let schedule = Self { text: text.trim().to_owned(), crons, zone };
        // 31 February parses well.
        if schedule.next_after(Timestamp::from_millis(0)).is_none() {
            return Err("names a day that never comes".to_owned());
        }
        Ok(schedule)
    }

    /// Returns the first instant after `at` at which it fires, a whole second; `None` if it never
    /// fires again.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = self.zone.timestamp_opt(at.seconds(), 0).single()?;
        let next = |cron: &Cron| cron.find_next_occurrence(&from, false).ok();
        let earliest = self.crons.iter().filter_map(next).min()?;
        Some(Timestamp::from_millis(earliest.timestamp_millis()))
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use chrono_tz::Asia::Shanghai;

    use super::*;

    const QUARTZ_CASES: &str = include_str!("../../tests/data/cases/quartz.tsv");

    fn parse_instant(text: &str) -> Timestamp {
        Timestamp::from_millis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    /// Returns the first `n` instants after `start` in Shanghai.
    fn list_firings(expression: &str, start: &str, n: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, Shanghai).unwrap_or_else(|e| panic!("{expression}: {e}"));
        let mut from = parse_instant(start);
        let mut next = || {
            from = schedule.next_after(from)?;
            let local = Shanghai.timestamp_millis_opt(from.millis()).unwrap();
            Some(local.format("%a %m-%d %H:%M:%S").to_string())
        };
        (0..n).map_while(|_| next()).collect()
    }

    #[test]
    fn an_expression_means_what_quartz_means_by_it() {
        for (expression, want) in [
            ("10 0/10 * * * ?", &["Sun 11-22 08:50:10", "Sun 11-22 09:00:10", "Sun 11-22 09:10:10"][..]),
            ("10 45 8,12 * * ?", &["Sun 11-22 08:45:10", "Sun 11-22 12:45:10", "Mon 11-23 08:45:10"]),
            ("10 45 8,12 * * ? 2027", &["Fri 01-01 08:45:10"]),
            ("0 15 10 ? * 1", &["Sun 11-22 10:15:00", "Sun 11-29 10:15:00"]),
            ("0 0 2 ? * 2-6", &["Mon 11-23 02:00:00", "Tue 11-24 02:00:00"]),
            ("0 0 2 ? * MON-FRI", &["Mon 11-23 02:00:00"]),
            ("0 0 2 L * ?", &["Mon 11-30 02:00:00"]),
            ("0 0 2 LW * ?", &["Mon 11-30 02:00:00"]),
            ("0 0 2 15W * ?", &["Tue 12-15 02:00:00"]),
            ("0 0 2 ? * 6L", &["Fri 11-27 02:00:00"]),
            ("0 0 2 ? * 6#3", &["Fri 12-18 02:00:00"]),
        ] {
            assert_eq!(
                list_firings(expression, "2026-11-22T08:41:30+08:00", want.len()),
                want,
                "{expression}"
            );
        }
    }

    #[test]
    fn verdict_and_times_are_those_of_quartz() {
        let mut seen = 0;
        for line in QUARTZ_CASES.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let mut column = || columns.next().unwrap_or_else(|| panic!("{line}"));
            let (verdict, expression, times) = (column(), column(), column());
            match verdict {
                "accepted" => {
                    let want: Vec<_> = times.split(" | ").collect();
                    assert_eq!(
                        list_firings(expression, "2026-11-30T12:41:30+08:00", 3),
                        want,
                        "{expression}"
                    );
                }
                _ => drop(Schedule::parse(expression, Shanghai).expect_err(expression)),
            }
            seen += 1;
        }
        assert_eq!(seen, 15);
    }

    #[test]
    fn a_day_counted_from_the_end_knows_leap_years() {
        let februaries = list_firings("0 0 2 L-3 2 ?", "2026-11-30T12:41:30+08:00", 3);
        assert_eq!(februaries, ["Thu 02-25 02:00:00", "Sat 02-26 02:00:00", "Sun 02-25 02:00:00"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_form() {
        for bad in ["0 0 2 * * *", "0 0/90 * * * ?", "*/5 * * * *", "* *", "99 * * * * ?", "@daily", "", "x"]
        {
            let error = Schedule::parse(bad, Shanghai).expect_err(bad);
            assert!(error.contains("10 0/10 * * * ?"), "{bad}: {error}");
        }
        let five = Schedule::parse("*/5 * * * *", Shanghai).unwrap_err();
        assert!(five.contains("\"0 */5 * * * *\""), "{five}");
        assert_eq!(Schedule::parse("0 0 0 30 2 ?", Shanghai).unwrap_err(), "names a day that never comes");
    }

    #[test]
    fn the_next_instant_is_after_the_given_one_whatever_its_milliseconds() {
        let schedule = Schedule::parse("10 0/10 * * * ?", Shanghai).unwrap();
        let (this, next) =
            (parse_instant("2026-11-22T08:50:10+08:00"), parse_instant("2026-11-22T09:00:10+08:00"));
        let just = std::time::Duration::from_millis(1);
        assert_eq!(schedule.next_after(this.minus(just)), Some(this));
        assert_eq!(schedule.next_after(this), Some(next));
        assert_eq!(schedule.next_after(this.plus(just)), Some(next));
    }

    #[test]
    fn the_years_of_an_expression_end() {
        let schedule = Schedule::parse("0 0 0 1 1 ? 2020", Shanghai).unwrap();
        assert_eq!(schedule.next_after(parse_instant("2026-11-22T00:00:00Z")), None);
    }
}
