//! Text and links from outside, made safe for a page.

use crate::base::text::{breaks_line, turns_direction};

/// The limit of one text from outside, because a page is one screen.
const MAX_TEXT_CHARS: usize = 300;

/// Returns `text` on one line, without control characters and without marks that turn the direction
/// of writing (they let a name or a rule look like another), cut to a length that fits the page.
///
/// The template escapes HTML.
pub(super) fn clean_for_page(text: &str) -> String {
    let mut out: String = text
        .chars()
        .filter(|c| !turns_direction(*c))
        .map(|c| if breaks_line(c) { ' ' } else { c })
        .take(MAX_TEXT_CHARS + 1)
        .collect();
    if let Some((at, _)) = out.char_indices().nth(MAX_TEXT_CHARS) {
        out.truncate(at);
        out.push('…');
    }
    out.trim().to_owned()
}

/// Whether a link may lead there: a path on this host, http(s), or WeCom's own scheme; never
/// `javascript:`. `ReturnTo` judges the exact target; this only keeps a mistake from becoming a
/// script.
pub(super) fn is_safe_href(href: &str) -> bool {
    let path = href.starts_with('/') && !href.starts_with("//") && !href.starts_with("/\\");
    let known = ["https://", "http://", "wxwork://"].iter().any(|scheme| href.starts_with(scheme));
    (path || known) && !href.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_30_control_characters_and_direction_marks_do_not_reach_a_page() {
        assert_eq!(clean_for_page("a\r\nSet-Cookie: x\u{1b}[31mred\0"), "a  Set-Cookie: x [31mred");
        assert_eq!(clean_for_page("admin\u{202e}nimda"), "adminnimda");
        assert_eq!(clean_for_page("张三 <b>"), "张三 <b>");
    }

    #[test]
    fn a_text_longer_than_the_page_is_cut_on_a_character() {
        let long = clean_for_page(&"字".repeat(5000));
        assert_eq!(long.chars().count(), MAX_TEXT_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn case_35_no_link_leads_to_a_script_or_quietly_to_another_host() {
        for good in ["/", "/sso/login?rd=%2F", "https://a.example/x", "wxwork://launch"] {
            assert!(is_safe_href(good), "{good}");
        }
        for bad in
            ["", "javascript:alert(1)", "JavaScript:x", "data:text/html,x", "//evil", "/\\evil", "x", "/a\nb"]
        {
            assert!(!is_safe_href(bad), "{bad:?}");
        }
    }
}
