//! The language of the terminal.

/// The variables that name it, the strongest first (POSIX, Base Definitions §8.2).
const LOCALE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_MESSAGES", "LANG"];

/// Returns the locale of messages, such as `zh_CN.UTF-8`; empty where none is set.
pub(crate) fn terminal_locale() -> String {
    let values = LOCALE_VARIABLES.iter().filter_map(std::env::var_os);
    values
        .map(|value| value.to_string_lossy().into_owned())
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}
