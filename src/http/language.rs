//! The language a page begins with. Both languages are always on it; this decides which one is read first.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// Which of the two languages comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Chinese, then English.
    Zh,
    /// English, then Chinese.
    En,
}

/// One text in both languages.
///
/// There is no way to write one language only, so that no page can miss the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilingualText {
    /// Simplified Chinese.
    pub zh: std::borrow::Cow<'static, str>,
    /// English, saying the same and no more.
    pub en: std::borrow::Cow<'static, str>,
}

/// A piece of text with the `lang` attribute that a screen reader needs to pronounce it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguagePart {
    /// BCP 47.
    pub lang: &'static str,
    /// The text.
    pub text: String,
}

/// A [`Text`] in the order a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedText {
    /// The reader's language.
    pub first: LanguagePart,
    /// The other one.
    pub second: LanguagePart,
}

impl Language {
    /// Chinese first; English first where Accept-Language is sent and names no Chinese.
    ///
    /// WeCom's browsers always name Chinese for a Chinese interface; a missing header says nothing, and then
    /// the company's own language wins.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut named_any = false;
        for range in headers.get_all(ACCEPT_LANGUAGE).iter().flat_map(|h| h.as_bytes().split(|b| *b == b','))
        {
            let mut parts = range.split(|b| *b == b';');
            let tag = parts.next().unwrap_or_default().trim_ascii();
            let refused = parts.any(|p| is_zero_quality(p.trim_ascii()));
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

    /// The `lang` attribute of the page and of every first part.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// `text` in this reader's order.
    pub fn order(self, text: &BilingualText) -> OrderedText {
        let zh = LanguagePart { lang: Self::Zh.tag(), text: text.zh.clone().into_owned() };
        let en = LanguagePart { lang: Self::En.tag(), text: text.en.clone().into_owned() };
        match self {
            Self::Zh => OrderedText { first: zh, second: en },
            Self::En => OrderedText { first: en, second: zh },
        }
    }
}

/// RFC 9110 §12.4.2: a quality of zero means "not acceptable".
fn is_zero_quality(parameter: &[u8]) -> bool {
    let Some(value) = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q=")) else {
        return false;
    };
    value.first() == Some(&b'0') && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

impl BilingualText {
    /// A text known at compile time.
    pub const fn fixed(zh: &'static str, en: &'static str) -> Self {
        use std::borrow::Cow::Borrowed;
        Self { zh: Borrowed(zh), en: Borrowed(en) }
    }

    /// A text that is only known while running.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into().into(), en: en.into().into() }
    }

    /// Something without a language, such as a host name: the same twice.
    pub fn same(text: &str) -> Self {
        Self::new(text, text)
    }
}

impl OrderedText {
    /// Whether both languages say it with the same characters, so that it is shown once.
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
