//! Text from outside that people read: characters in it that forge lines, turn the direction of
//! writing, or hide.
//!
//! Each place decides what replaces them: pages drop them, logs put blanks, a terminal shows their
//! numbers.

/// Whether `c` begins another line or controls a terminal.
pub(crate) fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether `c` turns the direction of writing, so that a text looks like another one (UAX #9).
pub(crate) const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether `c` is invisible, so that two texts look the same: Default_Ignorable_Code_Point without
/// the two variation selectors that belong to emoji, and interlinear annotations.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` belongs to a script written from right to left (the blocks in which UAX #9 has the
/// classes R and AL).
const fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Returns a text of WeCom's as we keep it: without control characters, which pages do not show and
/// of which PostgreSQL refuses NUL, and without blanks at both ends.
pub(crate) fn clean_text(text: String) -> String {
    if !text.contains(char::is_control) && text.trim().len() == text.len() {
        return text;
    }
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    visible.trim().to_owned()
}

/// Replaces each character that forges a log line or turns its direction with a blank.
pub(crate) fn blank_misleading(text: &str) -> String {
    text.chars().map(|c| if breaks_line(c) || turns_direction(c) { ' ' } else { c }).collect()
}

/// Returns `text` as a terminal may show it, on one line. Nothing in it controls the terminal, and
/// invisible marks are shown as their number (`\u{202e}`). Words from right to left are isolated,
/// so that they do not move the text beside them.
pub(crate) fn escape_for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}' | '\u{2029}' => out.extend(c.escape_unicode()),
            c if breaks_line(c) => out.push('\u{fffd}'),
            c if turns_direction(c) || is_invisible(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    if out.chars().any(is_right_to_left) { format!("\u{2068}{out}\u{2069}") } else { out }
}

/// Returns `json` with the characters that a terminal must not get written as JSON's own escapes:
/// the same value for a program. JSON has such characters inside strings only.
pub(crate) fn escape_json_for_terminal(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c == '\n' || !(breaks_line(c) || turns_direction(c) || is_invisible(c)) {
            out.push(c);
            continue;
        }
        // JSON escapes are UTF-16 units: a character above U+FFFF needs two.
        for unit in c.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of every kind that forges, turns or hides.
    const MISLEADING_MARKS: &str = "\u{202e}\u{2066}\u{2069}\u{200f}\u{200e}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}\
                         \u{2028}\u{2029}\u{e0041}\u{1b}\u{9b}\r\n\0";

    #[test]
    fn on_a_terminal_a_mark_is_shown_and_does_nothing() {
        let shown = escape_for_terminal(&format!("张三{MISLEADING_MARKS}x"));
        assert!(!shown.chars().any(|c| MISLEADING_MARKS.contains(c)), "{shown:?}");
        assert!(shown.starts_with("张三\\u{202e}\\u{2066}") && shown.contains("\\u{200b}"), "{shown:?}");
        assert!(shown.ends_with("\\u{e0041}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}x"), "{shown:?}");
        for plain in ["", "李四 (财务部) – é 🙂 ❤\u{fe0f}", "ｌｉｓｉ　"] {
            assert_eq!(escape_for_terminal(plain), plain);
        }
    }

    #[test]
    fn words_from_right_to_left_stay_among_themselves() {
        assert_eq!(escape_for_terminal("שלום 12"), "\u{2068}שלום 12\u{2069}");
        // Closing marks in the text do not let it out: they are shown.
        assert_eq!(escape_for_terminal("ם\u{2069}ש"), "\u{2068}ם\\u{2069}ש\u{2069}");
    }

    #[test]
    fn json_means_the_same_and_does_nothing_to_a_terminal() {
        let value =
            serde_json::json!({ "name": format!("张三{MISLEADING_MARKS}"), "\u{202e}": ["\\\u{200b}\"", 1] });
        for json in [value.to_string(), format!("{value:#}")] {
            let escaped = escape_json_for_terminal(&json);
            assert!(!escaped.chars().any(|c| c != '\n' && MISLEADING_MARKS.contains(c)), "{escaped:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
        assert_eq!(escape_json_for_terminal("{\n  \"a\": \"李四\"\n}"), "{\n  \"a\": \"李四\"\n}");
    }

    #[test]
    fn in_a_log_there_is_a_blank_for_each() {
        assert_eq!(blank_misleading("a\r\nb\u{202e}c\u{2028}d"), "a  b c d");
    }
}
