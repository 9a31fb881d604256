//! Cleans WeCom's texts before we keep them: one line, only characters that can be seen and stored.

/// Removes control characters, which pages do not show and of which PostgreSQL refuses NUL, and
/// blanks at both ends.
pub(super) fn clean_text(text: String) -> String {
    if !text.contains(char::is_control) && text.trim().len() == text.len() {
        return text;
    }
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    visible.trim().to_owned()
}
