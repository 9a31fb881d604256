//! Suggests the zone of the IANA database to somebody who wrote another name for the time.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::suggestion;

/// Names of China's time, in lower case, without white space, `_`, `-` and `/`.
const CHINA_NAMES: &[&str] = &[
    "beijing",
    "asiabeijing",
    "chinabeijing",
    "peking",
    "asiapeking",
    "北京",
    "北京时间",
    "上海",
    "中国",
    "东八区",
    "东8区",
    "cst",
    "cct",
    "bjt",
    "china",
    "chinatime",
    "chinastandardtime",
    "asiachina",
    "chinashanghai",
    "cn",
    "zhcn",
    "asiaguangzhou",
    "guangzhou",
    "asiashenzhen",
    "shenzhen",
    "shanghaitime",
    "beijingtime",
];

/// Windows names of other zones where Chinese companies have offices.
const WINDOWS_ZONES: &[(&str, Tz)] = &[
    ("taipeistandardtime", Tz::Asia__Taipei),
    ("singaporestandardtime", Tz::Asia__Singapore),
    ("tokyostandardtime", Tz::Asia__Tokyo),
    ("koreastandardtime", Tz::Asia__Seoul),
];

/// Parses the name of a zone in the IANA database.
///
/// # Errors
/// What to write instead; completes "must be …".
pub(super) fn parse_time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        let zone = suggest_zone(text);
        format!("a zone of the IANA database; write \"{zone}\"")
    })
}

/// Returns the zone that was probably meant by `Etc/GMT+8`: by POSIX that is eight hours *behind*
/// UTC, west of Greenwich.
pub(super) fn suggest_eastern_zone(zone: Tz) -> Option<&'static str> {
    let hours = zone.name().strip_prefix("Etc/GMT+")?.parse().ok().filter(|hours| *hours > 0)?;
    Some(zone_east_of_greenwich(hours).map_or("Asia/Shanghai", Tz::name))
}

fn suggest_zone(text: &str) -> &'static str {
    let folded: String =
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '/')).collect();
    let folded = folded.to_lowercase();
    // Whoever writes nothing, or a Chinese name, means China's time.
    if folded.is_empty() || CHINA_NAMES.contains(&folded.as_str()) {
        return Tz::Asia__Shanghai.name();
    }
    if let Some((_, zone)) = WINDOWS_ZONES.iter().find(|(name, _)| *name == folded) {
        return zone.name();
    }
    if let Some(zone) = parse_offset(text).and_then(zone_east_of_greenwich) {
        return zone.name();
    }
    let city = |zone: &&Tz| {
        zone.name().rsplit('/').next().is_some_and(|city| city.replace('_', "").eq_ignore_ascii_case(&folded))
    };
    if let Some(zone) = TZ_VARIANTS.iter().find(city) {
        return zone.name();
    }
    let names = TZ_VARIANTS.iter().map(|zone| zone.name());
    suggestion::find_nearest(text, names).unwrap_or(Tz::Asia__Shanghai.name())
}

/// Parses the whole hours of `GMT+8`, `UTC +08:00`, `UTC8`, `+8` or `Z+8`, east of Greenwich only.
fn parse_offset(text: &str) -> Option<u8> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let rest = ["ETC/GMT", "GMT", "UTC", "Z"].iter().find_map(|prefix| text.strip_prefix(prefix));
    let signed = rest.unwrap_or(&text);
    let number = signed.strip_prefix(['+', '＋']).or_else(|| rest.map(|_| signed))?;
    let (hours, minutes) = match number.split_once([':', '：']) {
        Some((hours, minutes)) => (hours, minutes),
        None if number.len() == 4 => number.split_at_checked(2)?,
        None => (number, "00"),
    };
    (minutes == "00").then(|| hours.parse().ok()).flatten()
}

/// Returns the zone of an offset; for eight hours it is China's.
fn zone_east_of_greenwich(hours: u8) -> Option<Tz> {
    match hours {
        8 => Some(Tz::Asia__Shanghai),
        // POSIX counts the hours westwards.
        1..=14 => format!("Etc/GMT-{hours}").parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_means_china_is_told_shanghai() {
        for text in [
            "Asia/Beijing",
            "Beijing",
            "beijing",
            "北京",
            "北京时间",
            "GMT+8",
            "gmt+8",
            "GMT+08:00",
            "UTC+8",
            "UTC+08:00",
            "UTC +8",
            "UTC8",
            "UTC+0800",
            "+8",
            "+08:00",
            "CST",
            "China Standard Time",
            "China_Standard_Time",
            "China",
            "Asia/Peking",
            "Shanghai",
            "shanghai",
            "Asia/Shanghi",
            "东八区",
            "",
        ] {
            let found = parse_time_zone(text).expect_err(text);
            assert_eq!(found, "a zone of the IANA database; write \"Asia/Shanghai\"", "{text}");
        }
        for good in ["Asia/Shanghai", "PRC", "Asia/Chongqing", "Etc/GMT-8"] {
            assert!(parse_time_zone(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn other_zones_are_found_by_city_offset_and_nearest_name() {
        for (text, want) in [
            ("Tokyo", "Asia/Tokyo"),
            ("Tokyo Standard Time", "Asia/Tokyo"),
            ("Hong Kong", "Asia/Hong_Kong"),
            ("GMT+9", "Etc/GMT-9"),
            ("UTC+7", "Etc/GMT-7"),
            ("Europe/Berln", "Europe/Berlin"),
        ] {
            assert_eq!(suggest_zone(text), want, "{text}");
        }
    }

    #[test]
    fn posix_signs_are_known_as_the_trap_they_are() {
        assert_eq!(suggest_eastern_zone(Tz::Etc__GMTPlus8), Some("Asia/Shanghai"));
        assert_eq!(suggest_eastern_zone(Tz::Etc__GMTMinus8), None);
        assert_eq!(suggest_eastern_zone(Tz::Etc__GMTPlus0), None);
        assert_eq!(suggest_eastern_zone(Tz::America__New_York), None);
    }
}
