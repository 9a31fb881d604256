//! Texts of WeCom's as we keep them: on one line, without anything that cannot be seen or stored.

/// `text` without control characters (PostgreSQL refuses NUL) and without blanks around it.
pub(super) fn clean_text(text: String) -> String {
    if !text.contains(char::is_control) && text.trim().len() == text.len() {
        return text;
    }
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    visible.trim().to_owned()
}
