//! Parses durations, rates, shares and addresses. Each error completes "must be …".

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::model::{ListenAddress, RateConfig};

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The longest duration. A longer one is a typing mistake.
const MAX_DURATION_SECONDS: u64 = 3650 * DAY;

/// Parses `"90s"`, `"10m"`, `"12h"` or `"180d"`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "a number and a unit, \"90s\", \"10m\", \"12h\" or \"180d\", of ten years at most";
    let (number, unit) = split_leading_digits(text).ok_or(FORM)?;
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(FORM),
    };
    let seconds = number.checked_mul(unit).filter(|s| *s <= MAX_DURATION_SECONDS).ok_or(FORM)?;
    Ok(Duration::from_secs(seconds))
}

/// Parses a duration that is not zero.
pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, &'static str> {
    let duration = parse_duration(text)?;
    if duration.is_zero() { Err("longer than \"0s\"") } else { Ok(duration) }
}

/// Parses `"50/s burst 2000"`, `"30/min"` or `"100/h"`. Without a burst, as many requests may come
/// at once as in a period.
pub(super) fn parse_rate(text: &str) -> Result<RateConfig, &'static str> {
    const FORM: &str =
        "a rate, \"50/s\", \"30/min\" or \"100/h\", optionally with \" burst 2000\", above zero";
    let (rate, burst) = match text.split_once("burst") {
        Some((rate, burst)) => (rate.trim(), Some(burst.trim())),
        None => (text.trim(), None),
    };
    let (count, per) = rate.split_once('/').ok_or(FORM)?;
    let above_zero = |text: &str| text.trim().parse::<u32>().ok().filter(|n| *n > 0).ok_or(FORM);
    let count = above_zero(count)?;
    let per = match per.trim() {
        "s" => SECOND,
        "min" => MINUTE,
        "h" => HOUR,
        _ => return Err(FORM),
    };
    let burst = burst.map_or(Ok(count), above_zero)?;
    Ok(RateConfig { count, per: Duration::from_secs(per), burst })
}

/// Parses `"10%"` or `"0.25%"`, a share between 0 and 100, into hundredths of a percent.
pub(super) fn parse_share(text: &str) -> Result<u32, &'static str> {
    const FORM: &str = "a share between \"0%\" and \"100%\", with two decimals at most";
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.strip_suffix('%').ok_or(FORM)?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return Err(FORM);
    }
    let hundredths = format!("{whole}{decimals:0<2}").parse::<u32>().map_err(|_| FORM)?;
    if hundredths <= 10_000 { Ok(hundredths) } else { Err(FORM) }
}

/// Parses `"127.0.0.1:8080"`, `"[::1]:8080"`, `"localhost:8080"` or `"unix:/run/gongpai.sock"`.
pub(super) fn parse_listen_address(text: &str) -> Result<ListenAddress, &'static str> {
    const FORM: &str = "an address with a port, \"127.0.0.1:8080\", or \"unix:/run/gongpai.sock\"";
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() { Err(FORM) } else { Ok(ListenAddress::Unix(PathBuf::from(path))) };
    }
    // Other programs take this for every interface; here that must be written.
    if text.starts_with(':') {
        return Err("an address with a port; for every interface write \"0.0.0.0:8080\" or \"[::]:8080\"");
    }
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse::<SocketAddr>().map(ListenAddress::Tcp).map_err(|_| FORM)
}

/// Parses `"10.0.0.0/8"`, or a single address.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn split_leading_digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("12h"), Ok(43_200));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("180d"), Ok(15_552_000));
        assert_eq!(seconds("0s"), Ok(0));
        for bad in
            ["", "12", "h", "-1s", "1.5h", "12 hours", "1h30m", "9999d", "99999999999999999999s", "１s"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_positive_duration("0s").is_err());
    }

    #[test]
    fn a_rate_bursts_as_high_as_its_count_unless_it_says_more() {
        let parts = |text| parse_rate(text).map(|r| (r.count, r.per.as_secs(), r.burst));
        assert_eq!(parts("50/s burst 2000"), Ok((50, 1, 2000)));
        assert_eq!(parts("30/min"), Ok((30, 60, 30)));
        assert_eq!(parts("7 / h"), Ok((7, 3600, 7)));
        for bad in
            ["", "50", "50/", "/s", "0/s", "50/day", "50/s burst", "50/s burst 0", "50/s burst x", "-1/s"]
        {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_counted_in_hundredths_of_a_percent() {
        for (text, want) in
            [("10%", 1000), ("0%", 0), ("100%", 10_000), ("1.5%", 150), ("0.05%", 5), ("2 %", 200)]
        {
            assert_eq!(parse_share(text), Ok(want), "{text}");
        }
        for bad in
            ["", "%", "10", "101%", "100.01%", "1.555%", ".5%", "1.%", "-1%", "+1%", "99999999999%", "１%"]
        {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_listener_is_an_address_with_a_port_or_a_socket_file() {
        assert_eq!(parse_listen_address("localhost:80"), parse_listen_address("127.0.0.1:80"));
        assert_eq!(parse_listen_address("unix:/run/g.sock"), Ok(ListenAddress::Unix("/run/g.sock".into())));
        for bad in ["", "8080", ":8080", "127.0.0.1", "oa.example.com:80", "unix:", "127.0.0.1:99999"] {
            assert!(parse_listen_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_plain_address_is_a_network_of_one() {
        assert_eq!(parse_network("10.0.0.1"), "10.0.0.1/32".parse().ok());
        assert_eq!(parse_network("::1"), "::1/128".parse().ok());
        assert_eq!(parse_network("10.0.0.0/33"), None);
    }
}
