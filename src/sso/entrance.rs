//! `entrance=`: the entrance that the caller of a start asks for.

use super::sealed_state::Entrance;

/// Parses `entrance=app|qr`; `None` for anything else.
pub(crate) fn parse_entrance(text: Option<&str>) -> Option<Entrance> {
    match text {
        Some("app") => Some(Entrance::App),
        Some("qr") => Some(Entrance::Qr),
        _ => None,
    }
}

/// Returns the value that `entrance=` has for it.
pub(crate) const fn entrance_name(entrance: Entrance) -> &'static str {
    match entrance {
        Entrance::App => "app",
        Entrance::Qr => "qr",
    }
}
