//! The language that a page begins with. Every page has both languages; this decides which one
//! comes first.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// The language that comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Chinese, then English.
    Zh,
    /// English, then Chinese.
    En,
}

/// A text in both languages.
///
/// It cannot be built with one language only, so that no page can miss the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilingualText {
    /// Simplified Chinese.
    pub zh: std::borrow::Cow<'static, str>,
    /// English, with the same content.
    pub en: std::borrow::Cow<'static, str>,
}

/// A text with the `lang` attribute that a screen reader needs to pronounce it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguagePart {
    /// The language tag (BCP 47).
    pub lang: &'static str,
    pub text: String,
}

/// A [`BilingualText`] in the order of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedText {
    /// The text in the reader's language.
    pub first: LanguagePart,
    /// The text in the other language.
    pub second: LanguagePart,
}

impl Language {
    /// Chooses Chinese, or English if Accept-Language is sent and names no Chinese.
    ///
    /// WeCom's browsers always name Chinese for a Chinese interface. A missing header means
    /// nothing, and then the company's own language wins.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut named_any = false;
        for range in headers.get_all(ACCEPT_LANGUAGE).iter().flat_map(|h| h.as_bytes().split(|b| *b == b','))
        {
            let mut parts = range.split(|b| *b == b';');
            let tag = parts.next().unwrap_or_default().trim_ascii();
            let refused = parts.any(|p| is_zero_quality(p.trim_ascii()));
            // `zh;q=0` refuses Chinese.
            if tag.is_empty() || refused {
                continue;
            }
            named_any = true;
            let primary = tag.split(|b| *b == b'-').next().unwrap_or_default();
            if primary.eq_ignore_ascii_case(b"zh") {
                return Self::Zh;
            }
        }
        if named_any { Self::En } else { Self::Zh }
    }

    /// Returns the `lang` attribute of the page and of every first part.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// Returns `text` in this reader's order.
    pub fn order(self, text: &BilingualText) -> OrderedText {
        let zh = LanguagePart { lang: Self::Zh.tag(), text: text.zh.clone().into_owned() };
        let en = LanguagePart { lang: Self::En.tag(), text: text.en.clone().into_owned() };
        match self {
            Self::Zh => OrderedText { first: zh, second: en },
            Self::En => OrderedText { first: en, second: zh },
        }
    }
}

/// Whether the parameter is a quality of zero, which means "not acceptable" (RFC 9110 §12.4.2).
fn is_zero_quality(parameter: &[u8]) -> bool {
    let Some(value) = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q=")) else {
        return false;
    };
    value.first() == Some(&b'0') && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

impl BilingualText {
    /// Makes a text that is known at compile time.
    pub const fn fixed(zh: &'static str, en: &'static str) -> Self {
        use std::borrow::Cow::Borrowed;
        Self { zh: Borrowed(zh), en: Borrowed(en) }
    }

    /// Makes a text that is only known at run time.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into().into(), en: en.into().into() }
    }

    /// Makes a text without a language, such as a host name: the same twice.
    pub fn same(text: &str) -> Self {
        Self::new(text, text)
    }
}

impl OrderedText {
    /// Whether both languages have the same characters, so that the text is shown once.
    pub fn is_one(&self) -> bool {
        self.first.text == self.second.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_language(header: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, header.parse().unwrap());
        Language::from_headers(&headers)
    }

    #[test]
    fn chinese_comes_first_unless_the_browser_names_languages_without_it() {
        assert_eq!(Language::from_headers(&HeaderMap::new()), Language::Zh);
        assert_eq!(parse_language(""), Language::Zh);
        assert_eq!(parse_language("zh-CN,zh;q=0.9,en;q=0.8"), Language::Zh);
        assert_eq!(parse_language("en-US,en;q=0.9,ZH-Hant-TW;q=0.1"), Language::Zh);
        assert_eq!(parse_language("en-US,en;q=0.9"), Language::En);
        assert_eq!(parse_language("de"), Language::En);
        assert_eq!(parse_language("en, zh;q=0"), Language::En);
        assert_eq!(parse_language("zha"), Language::En);
    }

    #[test]
    fn both_languages_are_kept_with_their_tags_in_the_readers_order() {
        let both = Language::En.order(&BilingualText::fixed("重试", "Try again"));
        assert_eq!((both.first.lang, both.first.text.as_str()), ("en", "Try again"));
        assert_eq!((both.second.lang, both.second.text.as_str()), ("zh-CN", "重试"));
    }
}
