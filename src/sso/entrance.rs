//! `entrance=`: which way in, where the caller says so.

use super::state::Entrance;

/// Reads `entrance=app|qr`; anything else is not said.
pub fn parse_entrance(text: Option<&str>) -> Option<Entrance> {
    match text {
        Some("app") => Some(Entrance::App),
        Some("qr") => Some(Entrance::Qr),
        _ => None,
    }
}

/// As `entrance=` writes it.
pub const fn entrance_name(entrance: Entrance) -> &'static str {
    match entrance {
        Entrance::App => "app",
        Entrance::Qr => "qr",
    }
}
