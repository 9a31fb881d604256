//! Replaces links to our own hosts by links of ours, which open signed in and for the recipients
//! only ([design: signed-in links](crate::design#signed-in-links)).

use super::markup::Markup;
use crate::base::host::Hosts;
use crate::base::secret::random_bytes;
use crate::base::url::ReturnTo;
use url::Url;

/// Letters and digits need no escape in a URL, in Markdown and in HTML.
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The length of an id: 128 bits. It is always the same, so that equal requests are cut at the same
/// place.
const LINK_ID_CHARS: usize = 22;

/// The path under which such links are answered on every host. On the host of `public_url`
/// [`PUBLIC_LINK_PATH`] works too.
const LINK_PATH: &str = "/_gongpai/m/";
const PUBLIC_LINK_PATH: &str = "/sso/m/";

/// The longest target: a proxy has to accept it in a header.
const MAX_TARGET_BYTES: usize = 4096;

/// A link of ours that replaces another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrappedLink {
    /// 22 letters and digits that cannot be guessed.
    pub id: String,
    /// An absolute URL on one of our hosts.
    pub target: String,
}

/// Whether a URL on one of our hosts is such a link already.
pub(crate) fn is_wrapped(url: &ReturnTo, hosts: &Hosts) -> bool {
    let path = url.path();
    path.starts_with(LINK_PATH) || (hosts.is_public(url.origin()) && path.starts_with(PUBLIC_LINK_PATH))
}

/// Replaces links to `hosts`.
#[derive(Debug)]
pub(super) struct LinkWrapper<'a> {
    hosts: &'a Hosts,
}

impl<'a> LinkWrapper<'a> {
    pub(super) const fn new(hosts: &'a Hosts) -> Self {
        Self { hosts }
    }

    /// Returns our link instead of `url`, or `url` itself unless it is absolute and on one of our
    /// hosts.
    pub(super) fn wrap_url(&self, url: &str, links: &mut Vec<WrappedLink>) -> String {
        self.wrap_target(url, links).unwrap_or_else(|| url.to_owned())
    }

    /// Returns the text with our links instead of those to our hosts.
    pub(super) fn wrap_text(&self, text: &str, markup: Markup, links: &mut Vec<WrappedLink>) -> String {
        let mut made = String::with_capacity(text.len());
        let mut done = 0;
        for anchor in markup.links(text) {
            let url = text.get(anchor.url.clone()).unwrap_or_default();
            let decoded =
                if markup == Markup::Html { decode_references(url) } else { unescape_markdown(url) };
            if let Some(ours) = self.wrap_target(&decoded, links) {
                made.push_str(text.get(done..anchor.url.start).unwrap_or_default());
                made.push_str(&ours);
                done = anchor.url.end;
            }
        }
        made.push_str(text.get(done..).unwrap_or_default());
        made
    }

    /// Parses the target as a browser reads it: a URL with a space in it means the one with `%20`.
    fn parse_target(&self, url: &str) -> Option<ReturnTo> {
        let public = self.hosts.public();
        let read = |url: &str| ReturnTo::parse(url, public, self.hosts).ok();
        read(url).or_else(|| read(Url::parse(url).ok()?.as_str()))
    }

    fn wrap_target(&self, url: &str, links: &mut Vec<WrappedLink>) -> Option<String> {
        let public = self.hosts.public();
        // On our own page a browser would take a path for one of ours; in a message a path leads
        // nowhere.
        let target = (!url.starts_with('/')).then(|| self.parse_target(url))??;
        // A link that is too long stays as it is and then exceeds WeCom's limit.
        if is_wrapped(&target, self.hosts) || target.as_str().len() > MAX_TARGET_BYTES {
            return None;
        }
        let id = generate_link_id();
        let ours = format!("{public}/sso/m/{id}");
        links.push(WrappedLink { id, target: target.as_str().to_owned() });
        Some(ours)
    }
}

fn generate_link_id() -> String {
    let digits = base_x::encode(BASE62, &random_bytes::<16>());
    format!("{digits:0>LINK_ID_CHARS$}")
}

/// Decodes the character references of a URL in an attribute, because a browser decodes them before
/// it looks at the host. Unknown references stay, as in a browser.
fn decode_references(url: &str) -> String {
    let mut made = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('&') {
        made.push_str(before);
        let reference =
            after.split_once(';').and_then(|(name, behind)| Some((decode_reference(name)?, behind)));
        rest = match reference {
            Some((character, behind)) => {
                made.push(character);
                behind
            }
            None => {
                made.push('&');
                after
            }
        };
    }
    made.push_str(rest);
    made
}

fn decode_reference(name: &str) -> Option<char> {
    match name {
        "amp" | "AMP" => return Some('&'),
        "quot" | "QUOT" => return Some('"'),
        "apos" => return Some('\''),
        "lt" | "LT" => return Some('<'),
        "gt" | "GT" => return Some('>'),
        _ => {}
    }
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    code.ok().and_then(char::from_u32)
}

/// Removes the backslashes before punctuation from a URL in Markdown.
fn unescape_markdown(url: &str) -> String {
    let mut made = String::with_capacity(url.len());
    let mut characters = url.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' || !characters.peek().is_some_and(char::is_ascii_punctuation) {
            made.push(character);
        }
    }
    made
}
