//! The user's documentation: the pages of `static/docs/{zh,en}`, which are inside the binary.
//!
//! `gongpai docs` prints them in a terminal, and the admin listener serves them as HTML below
//! `/docs/`. In debug builds they are read from `static/docs`, so that a change shows without
//! compiling.
//!
//! | module | does |
//! |---|---|
//! | [`markdown`] | headings, anchors and links of a page, as GitHub makes them |
//! | [`html`] | a page as HTML |
//! | [`terminal`] | a page as text of a given width |
//! | [`routes`](mod@routes) | `/docs/` |

pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod routes;
pub(crate) mod terminal;

use rust_embed::RustEmbed;

use crate::http::language::Language;

/// The pages in the order in which they are listed: what a new administrator needs first stands
/// first.
pub const TOPICS: &[&str] = &[
    "install",
    "first-sign-in",
    "several-hosts",
    "rules",
    "organisation-chart",
    "messages",
    "o2oa",
    "operations",
    "errcodes",
    "api",
    "configuration",
    "commands",
];

/// The front page of each language, which says where to find what. It is no topic of its own.
pub const INDEX: &str = "index";

/// The longest name that is compared with the topics, in bytes.
const MAX_TYPED_BYTES: usize = 100;

/// How many topics are suggested for one that does not exist.
const MAX_SUGGESTIONS: usize = 3;

/// Names less alike than this are not suggested (0 is nothing in common, 1 is equal).
const MIN_LIKENESS: f64 = 0.4;

#[derive(RustEmbed)]
#[folder = "static/docs"]
struct ManualFiles;

/// A page in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualPage {
    /// The language it is written in.
    pub lang: Language,
    /// The file's name without `.md`, which is also the topic: `rules`.
    pub name: String,
    /// The Markdown.
    pub source: String,
}

/// A page as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name to ask for: `rules`.
    pub name: String,
    /// The page's first heading.
    pub title: String,
    /// The page's first paragraph, without markup.
    pub summary: String,
}

/// The name of the language's folder and of its part of the address: `zh` or `en`.
pub const fn language_folder(lang: Language) -> &'static str {
    match lang {
        Language::Zh => "zh",
        Language::En => "en",
    }
}

/// The language of a folder.
pub(crate) fn parse_language(folder: &str) -> Option<Language> {
    [Language::Zh, Language::En].into_iter().find(|lang| language_folder(*lang) == folder)
}

/// The language for a locale such as `zh_CN.UTF-8`: Chinese where it begins with `zh`, otherwise
/// English.
pub(crate) fn choose_language(locale: &str) -> Language {
    let language = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
    if language.eq_ignore_ascii_case("zh") { Language::Zh } else { Language::En }
}

/// Reads the page of `name`; names are of lower-case letters, digits and hyphens only.
pub fn find_page(lang: Language, name: &str) -> Option<ManualPage> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    let file = ManualFiles::get(&format!("{}/{name}.md", language_folder(lang)))?;
    let source = String::from_utf8_lossy(&file.data).into_owned();
    Some(ManualPage { lang, name: name.to_owned(), source })
}

/// The names of the pages of a language but for the [`INDEX`]: in the order of [`TOPICS`], then
/// what that list lacks.
pub fn list_names(lang: Language) -> Vec<String> {
    let prefix = format!("{}/", language_folder(lang));
    let mut names: Vec<String> = ManualFiles::iter()
        .filter_map(|path| Some(path.strip_prefix(&prefix)?.strip_suffix(".md")?.to_owned()))
        .filter(|name| name != INDEX)
        .collect();
    let rank = |name: &String| TOPICS.iter().position(|topic| topic == name).unwrap_or(TOPICS.len());
    names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    names
}

/// The pages of a language, for a list.
pub fn list_topics(lang: Language) -> Vec<Topic> {
    list_names(lang).iter().filter_map(|name| find_page(lang, name)).map(|page| page.topic()).collect()
}

impl ManualPage {
    /// The page as lists show it.
    pub fn topic(&self) -> Topic {
        let (title, summary) = markdown::read_title_and_summary(&self.source);
        Topic { name: self.name.clone(), title, summary }
    }
}

/// The topics that `written` may have meant, the nearest first: by their name, or because a word of
/// it is in the title.
pub(crate) fn suggest_topics(lang: Language, written: &str) -> Vec<Topic> {
    // Nothing that long is a mistyped topic, and comparing it would hold up the whole runtime.
    if written.len() > MAX_TYPED_BYTES {
        return Vec::new();
    }
    let wanted = written.to_lowercase();
    let likeness = |topic: &Topic| {
        let title = topic.title.to_lowercase();
        let is_part = !wanted.is_empty() && (topic.name.contains(&wanted) || title.contains(&wanted));
        let in_name = strsim::normalized_damerau_levenshtein(&wanted, &topic.name);
        if is_part { 1.0 + in_name } else { in_name }
    };
    let mut rated: Vec<(f64, Topic)> =
        list_topics(lang).into_iter().map(|topic| (likeness(&topic), topic)).collect();
    rated.retain(|(likeness, _)| *likeness >= MIN_LIKENESS);
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    rated.into_iter().take(MAX_SUGGESTIONS).map(|(_, topic)| topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_locale_reads_chinese_and_every_other_english() {
        for chinese in ["zh", "zh_CN.UTF-8", "zh_TW", "zh-Hans", "ZH_CN", "zh.UTF-8"] {
            assert_eq!(choose_language(chinese), Language::Zh, "{chinese}");
        }
        for other in ["", "C", "C.UTF-8", "POSIX", "en_US.UTF-8", "de_DE@euro", "zha_CN"] {
            assert_eq!(choose_language(other), Language::En, "{other}");
        }
    }

    #[test]
    fn only_plain_names_reach_a_file() {
        for bad in
            ["", "../askama", "..", "zh/rules", "Rules", "rules.md", "%2e%2e", "rules\0", "nothing-here"]
        {
            assert_eq!(find_page(Language::Zh, bad), None, "{bad:?}");
        }
        assert!(find_page(Language::Zh, "configuration").is_some());
    }

    #[test]
    fn a_mistyped_topic_finds_its_neighbour_and_nonsense_finds_nothing() {
        let names = |written: &str| -> Vec<String> {
            suggest_topics(Language::En, written).into_iter().map(|topic| topic.name).collect()
        };
        assert_eq!(names("comands").first().map(String::as_str), Some("commands"));
        assert_eq!(names("config").first().map(String::as_str), Some("configuration"));
        assert!(names("xyzzy").is_empty());
        assert!(names("").is_empty());
        assert!(names(&"rules".repeat(50)).is_empty(), "too long to compare");
    }
}
