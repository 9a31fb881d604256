//! The pages that nginx itself shows when the gateway or the application is down.

use std::fmt::Write;

use super::template::fill_template;

const PAGE_TEMPLATE: &str = include_str!("nginx_page.html");

/// The texts of an error page that nginx itself shows.
pub(super) struct PageTexts {
    zh: &'static str,
    en: &'static str,
    code: &'static str,
}

pub(super) const GATEWAY_DOWN_TEXTS: PageTexts = PageTexts {
    zh: "登录网关暂时无法访问，请稍后再试。",
    en: "The sign-in gateway cannot be reached; please try again.",
    code: "gateway.down",
};

pub(super) const APPLICATION_DOWN_TEXTS: PageTexts = PageTexts {
    zh: "应用暂时没有响应，请稍后再试。",
    en: "The application does not answer; please try again.",
    code: "application.down",
};

/// Returns the page as one nginx parameter: at most 4096 bytes, and without quotes and dollar signs
/// except those of nginx variables.
pub(super) fn render_page(texts: &PageTexts, contact: &str) -> String {
    let contact = if contact.is_empty() {
        String::new()
    } else {
        format!("<p>找谁 <span lang=\"en\">Ask</span>: {}</p>", escape_html(contact))
    };
    let values = [("zh", texts.zh), ("en", texts.en), ("code", texts.code), ("contact", &contact)];
    fill_template(PAGE_TEMPLATE.trim_end(), &values)
}

/// Escapes `text` for HTML inside a quoted nginx parameter, and truncates it.
fn escape_html(text: &str) -> String {
    const MAX_CONTACT_CHARS: usize = 200;
    let mut out = String::new();
    for c in text.chars().take(MAX_CONTACT_CHARS) {
        if c.is_alphanumeric() || " .,-_@:/()，。：（）、".contains(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out
}
