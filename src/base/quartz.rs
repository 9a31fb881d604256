//! Translates Quartz expressions, as Quartz 2.3.2 reads them, into the smaller language of
//! `croner`, which has no ranges across the end (`22-2`, `FRI-MON`), no `L-3` and no lone `L` for
//! Saturday.
//!
//! Each field becomes a list of numbers; a day counted from the end of the month becomes one
//! pattern for each length of month. Parts of an expression that Quartz ignores are ignored here
//! too.

use std::collections::BTreeSet;

/// A field of an expression.
struct QuartzField {
    name: &'static str,
    first: u16,
    last: u16,
    /// The largest step that Quartz accepts.
    max_step: u16,
    /// The names of the values, from `first` on.
    names: &'static [&'static str],
}

const fn new_field(name: &'static str, first: u16, last: u16, max_step: u16) -> QuartzField {
    QuartzField { name, first, last, max_step, names: &[] }
}

const SECOND: QuartzField = new_field("the second", 0, 59, 59);
const MINUTE: QuartzField = new_field("the minute", 0, 59, 59);
const HOUR: QuartzField = new_field("the hour", 0, 23, 23);
const DAY: QuartzField = new_field("the day", 1, 31, 31);
const MONTH: QuartzField = QuartzField {
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ..new_field("the month", 1, 12, 12)
};
const WEEKDAY: QuartzField = QuartzField {
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ..new_field("the weekday", 1, 7, 7)
};
const YEAR: QuartzField = new_field("the year", 1970, 2199, u16::MAX);

/// The most days that may be counted back from the end of a month.
const MAX_DAYS_BEFORE_LAST: u16 = 30;

/// The values of a field, in order.
type FieldValues = BTreeSet<u16>;

/// The days of a month.
enum MonthDays {
    Listed(FieldValues),
    /// `15W`: the weekday nearest to that day, within the month.
    NearestWeekday(u16),
    /// `L`, `L-3`, `LW`, `L-3W`.
    BeforeLast {
        days: u16,
        nearest_weekday: bool,
    },
}

/// The days of a week.
enum Weekdays {
    Listed(FieldValues),
    /// `6L`: the last Friday of a month.
    Last(u16),
    /// `6#3`: the third Friday of a month.
    Nth(u16, u16),
}

/// Translates an expression of six or seven fields into patterns, of which the earliest time
/// counts. Sunday is 1 in both languages.
///
/// # Errors
/// What is wrong with which field, as a clause: "the hour …".
pub(super) fn translate_expression(text: &str) -> Result<Vec<String>, String> {
    let text = text.to_ascii_uppercase();
    let mut fields = text.split_whitespace();
    let mut next = || fields.next().unwrap_or("*");
    let (second, minute, hour, day, month, weekday, year) =
        (next(), next(), next(), next(), next(), next(), next());
    let time = [(&SECOND, second), (&MINUTE, minute), (&HOUR, hour)];
    let time = time.into_iter().map(|(field, text)| Ok(join_values(&field.values(text)?)));
    let time = time.collect::<Result<Vec<_>, String>>()?.join(" ");
    let days = if day == "?" { None } else { Some(parse_days(day)?) };
    let months = MONTH.values(month)?;
    let weekdays = if weekday == "?" { None } else { Some(parse_weekdays(weekday)?) };
    let years = if year == "*" { None } else { Some(YEAR.values(year)?) };
    let one = |day: &str, weekday: &str| {
        let years = years.as_ref().map_or_else(|| "*".to_owned(), join_values);
        vec![format!("{time} {day} {} {weekday} {years}", join_values(&months))]
    };
    match (days, weekdays) {
        (Some(_), Some(_)) => {
            Err("the day and the weekday are both given, of which Quartz takes one: write ? for the other"
                .to_owned())
        }
        (None, None) => Err("the day and the weekday are both ?, of which one must be given".to_owned()),
        (None, Some(Weekdays::Listed(values))) => Ok(one("*", &join_values(&values))),
        (None, Some(Weekdays::Last(weekday))) => Ok(one("*", &format!("{weekday}L"))),
        (None, Some(Weekdays::Nth(weekday, nth))) => Ok(one("*", &format!("{weekday}#{nth}"))),
        (Some(MonthDays::Listed(values)), None) => Ok(one(&join_values(&values), "*")),
        (Some(MonthDays::NearestWeekday(day)), None) => Ok(one(&format!("{day}W"), "*")),
        (Some(MonthDays::BeforeLast { days: 0, nearest_weekday: false }), None) => Ok(one("L", "*")),
        (Some(MonthDays::BeforeLast { days: 0, nearest_weekday: true }), None) => Ok(one("LW", "*")),
        (Some(MonthDays::BeforeLast { days, nearest_weekday }), None) => {
            let suffix = if nearest_weekday { "W" } else { "" };
            let patterns = MONTH_LENGTHS.iter().filter_map(|length| {
                let day = length.days.checked_sub(days).filter(|day| *day > 0)?;
                let months: FieldValues =
                    months.iter().copied().filter(|m| length.months.contains(m)).collect();
                let years = length.years(years.as_ref());
                let never = months.is_empty() || years.as_ref().is_some_and(BTreeSet::is_empty);
                let years = years.as_ref().map_or_else(|| "*".to_owned(), join_values);
                (!never).then(|| format!("{time} {day}{suffix} {} * {years}", join_values(&months)))
            });
            Ok(patterns.collect())
        }
    }
}

/// The months of one length.
struct MonthLength {
    days: u16,
    months: &'static [u16],
    /// Whether only leap years or only others count; `None` for all years.
    leap: Option<bool>,
}

const MONTH_LENGTHS: [MonthLength; 4] = [
    MonthLength { days: 31, months: &[1, 3, 5, 7, 8, 10, 12], leap: None },
    MonthLength { days: 30, months: &[4, 6, 9, 11], leap: None },
    MonthLength { days: 29, months: &[2], leap: Some(true) },
    MonthLength { days: 28, months: &[2], leap: Some(false) },
];

impl MonthLength {
    /// Returns those of `years` in which the months have this length; `None` for all years.
    fn years(&self, years: Option<&FieldValues>) -> Option<FieldValues> {
        let is_leap =
            |year: u16| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let Some(leap) = self.leap else { return years.cloned() };
        let fits = |year: &u16| is_leap(*year) == leap;
        Some(match years {
            Some(years) => years.iter().copied().filter(fits).collect(),
            None => (YEAR.first..=YEAR.last).filter(fits).collect(),
        })
    }
}

fn join_values(values: &FieldValues) -> String {
    values.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

/// Splits a list into its items; Quartz skips empty ones.
fn split_items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

fn parse_days(text: &str) -> Result<MonthDays, String> {
    if let Some(rest) = text.strip_prefix('L') {
        let (rest, nearest_weekday) = rest.strip_suffix('W').map_or((rest, false), |rest| (rest, true));
        let days = match rest.strip_prefix('-') {
            Some(days) => parse_number(days).filter(|days| *days <= MAX_DAYS_BEFORE_LAST),
            None => rest.is_empty().then_some(0),
        };
        let days = days.ok_or("the day with L is L, L-3, LW or L-3W, at most L-30, and no list")?;
        return Ok(MonthDays::BeforeLast { days, nearest_weekday });
    }
    if text.contains('L') {
        return Err("the day L stands alone, not in a list".to_owned());
    }
    let (mut values, mut nearest_weekday) = (FieldValues::new(), false);
    for item in split_items(text) {
        match item.strip_suffix('W') {
            Some(day) => {
                values.insert(DAY.value(day)?);
                nearest_weekday = true;
            }
            None => DAY.item(item, &mut values)?,
        }
    }
    match values.first() {
        None => Err(DAY.range()),
        // Of several days Quartz takes the first one.
        Some(first) if nearest_weekday => Ok(MonthDays::NearestWeekday(*first)),
        Some(_) => Ok(MonthDays::Listed(values)),
    }
}

fn parse_weekdays(text: &str) -> Result<Weekdays, String> {
    if text == "L" {
        return Ok(Weekdays::Listed(FieldValues::from([WEEKDAY.last])));
    }
    if let Some(weekday) = text.strip_suffix('L') {
        return WEEKDAY.value(weekday).map(Weekdays::Last);
    }
    if text.contains('L') {
        return Err("the weekday with L stands alone, not in a list".to_owned());
    }
    let (mut values, mut which) = (FieldValues::new(), None);
    for item in split_items(text) {
        let Some((weekday, nth)) = item.split_once('#') else {
            WEEKDAY.item(item, &mut values)?;
            continue;
        };
        values.insert(WEEKDAY.value(weekday)?);
        let nth = parse_number(nth).filter(|nth| (1..=5).contains(nth) && which.is_none());
        which = Some(nth.ok_or("the weekday has one # at most, and behind it 1 to 5")?);
    }
    match (values.first(), which) {
        (None, _) => Err(WEEKDAY.range()),
        // Of several days Quartz takes the first one.
        (Some(first), Some(nth)) => Ok(Weekdays::Nth(*first, nth)),
        (Some(_), None) => Ok(Weekdays::Listed(values)),
    }
}

impl QuartzField {
    /// Parses a list of items.
    fn values(&self, text: &str) -> Result<FieldValues, String> {
        let mut values = FieldValues::new();
        for item in split_items(text) {
            self.item(item, &mut values)?;
        }
        if values.is_empty() { Err(self.range()) } else { Ok(values) }
    }

    /// Parses one item: `*`, `*/5`, `7`, `0/10`, `22-2`, `8-18/2`, `FRI-MON`.
    fn item(&self, item: &str, values: &mut FieldValues) -> Result<(), String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (item, None),
        };
        if range == "*" || (range.is_empty() && step.is_some()) {
            self.check_step(step)?;
            let step = step.filter(|step| *step > 0).unwrap_or(1);
            values.extend((self.first..=self.last).step_by(step.into()));
            return Ok(());
        }
        let Some((start, end)) = range.split_once('-') else {
            let start = self.value(range)?;
            // Quartz reads no step behind a name.
            let step = step.filter(|step| *step > 0 && !is_name(range));
            self.check_step(step)?;
            let end = if step.is_some() { self.last } else { start };
            values.extend((start..=end).step_by(step.unwrap_or(1).into()));
            return Ok(());
        };
        if is_name(start) != is_name(end) {
            return Err(self.range());
        }
        let (start, mut end) = (self.value(start)?, self.value(end)?);
        let step = if is_name(range) { 1 } else { step.unwrap_or(1) };
        if step == 0 {
            values.insert(start);
            return Ok(());
        }
        let span = self.last.abs_diff(self.first).saturating_add(1);
        if end < start {
            if self.first == YEAR.first {
                return Err(format!("{} ends before it begins", self.name));
            }
            end = end.saturating_add(span);
        }
        let over = |value: u16| if value > self.last { value.saturating_sub(span) } else { value };
        values.extend((start..=end).step_by(step.into()).map(over));
        Ok(())
    }

    fn value(&self, text: &str) -> Result<u16, String> {
        if let Some(index) = self.names.iter().position(|name| *name == text) {
            return u16::try_from(index).map(|i| self.first.saturating_add(i)).map_err(|_| self.range());
        }
        let value = parse_number(text).filter(|value| (self.first..=self.last).contains(value));
        value.ok_or_else(|| self.range())
    }

    fn step(&self, text: &str) -> Result<u16, String> {
        parse_number(text).ok_or_else(|| format!("{} has a / without a number behind it", self.name))
    }

    fn check_step(&self, step: Option<u16>) -> Result<(), String> {
        match step {
            Some(step) if step > self.max_step => {
                Err(format!("{} has a step of more than {}", self.name, self.max_step))
            }
            _ => Ok(()),
        }
    }

    fn range(&self) -> String {
        let names = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        format!("{} is {} to {}{names}", self.name, self.first, self.last)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// A number in digits; `parse` alone would take a `+`.
fn parse_number(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_becomes_a_list_of_its_values() {
        for (text, want) in [
            ("10 0/20 22-2 ? NOV-FEB FRI-MON", "10 0,20,40 0,1,2,22,23 * 1,2,11,12 1,2,6,7 *"),
            (
                "55-5/5 */30 8-18/5 28-3 * ? 2027-2028",
                "0,5,55 0,30 8,13,18 1,2,3,28,29,30,31 1,2,3,4,5,6,7,8,9,10,11,12 * 2027,2028",
            ),
            ("0 0 2 ? 1 L", "0 0 2 * 1 7 *"),
            ("0 0 2 ? jan-mar/2 fri#3", "0 0 2 * 1,2,3 6#3 *"),
            ("0 0 0/0 20,15W 1 ?", "0 0 0 15W 1 * *"),
        ] {
            assert_eq!(translate_expression(text), Ok(vec![want.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_day_counted_from_the_end_is_one_pattern_for_each_length_of_month() {
        let of = |text: &str| translate_expression(text).unwrap();
        assert_eq!(
            of("0 0 2 L-3W JAN-APR ? 2027-2028"),
            [
                "0 0 2 28W 1,3 * 2027,2028",
                "0 0 2 27W 4 * 2027,2028",
                "0 0 2 26W 2 * 2028",
                "0 0 2 25W 2 * 2027"
            ]
        );
        assert_eq!(of("0 0 2 L-30 1-2 ?"), ["0 0 2 1 1 * *"], "no other month is that long");
        assert!(of("0 0 2 L-30 4 ?").is_empty());
    }

    #[test]
    fn what_quartz_refuses_is_refused_with_the_field() {
        for (bad, field) in [
            ("60 * * * * ?", "the second is 0 to 59"),
            ("* 0/60 * * * ?", "the minute has a step of more than 59"),
            ("* */90 * * * ?", "the minute has a step of more than 59"),
            ("* 0/ * * * ?", "the minute has a /"),
            ("* * 24 * * ?", "the hour is 0 to 23"),
            ("* * 1-24 * * ?", "the hour is 0 to 23"),
            ("* * 0/24 * * ?", "the hour has a step"),
            ("* * * 0 * ?", "the day is 1 to 31"),
            ("* * * L-31 * ?", "the day with L"),
            ("* * * L,15 * ?", "the day with L"),
            ("* * * 15,LW * ?", "the day L stands alone"),
            ("* * * +5 * ?", "the day is 1 to 31"),
            ("* * * * 13 ?", "the month is 1 to 12 or JAN to DEC"),
            ("* * * * JAN-3 ?", "the month is"),
            ("* * * ? * 0", "the weekday is 1 to 7 or SUN to SAT"),
            ("* * * ? * 2,6L", "the weekday is"),
            ("* * * ? * 6L,2", "the weekday with L stands alone"),
            ("* * * ? * 6#6", "the weekday has one #"),
            ("* * * ? * 6#1,6#2", "the weekday has one #"),
            ("* * * ? * ?", "the day and the weekday are both ?"),
            ("* * * * * *", "the day and the weekday are both given"),
            ("* * * L * 2", "the day and the weekday are both given"),
            ("? * * * * ?", "the second is"),
            ("* * L * * ?", "the hour is"),
            (", * * * * ?", "the second is"),
            ("* * * * * ? 2028-2027", "the year ends before it begins"),
        ] {
            let found = translate_expression(bad).expect_err(bad);
            assert!(found.starts_with(field), "{bad}: {found}");
        }
    }
}
