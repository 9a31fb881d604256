//! Links to our own hosts become links of ours, so that they open signed in and for the recipients only.

use super::markup::Markup;
use crate::base::host::Hosts;
use crate::base::secret::random_bytes;
use crate::base::url::ReturnTo;
use url::Url;

/// Letters and digits stand in a URL, in Markdown and in HTML as they are.
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How long an id is: 128 bits, always of the same length, so that equal requests are cut at the same place.
const LINK_ID_CHARS: usize = 22;

/// The path under which such links are answered on every host; on public_url's [`OWN_PLACE`] is one, too.
const LINK_PATH: &str = "/_gongpai/m/";
const PUBLIC_LINK_PATH: &str = "/sso/m/";

/// The longest target, in bytes: a proxy has to take it in a header.
const MAX_TARGET_BYTES: usize = 4096;

/// A link of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedLink {
    /// Its id, 22 letters and digits that cannot be guessed.
    pub id: String,
    /// Where it leads: an absolute URL on one of our hosts.
    pub target: String,
}

/// Whether a URL on one of our hosts is such a link already.
pub fn is_wrapped(url: &ReturnTo, hosts: &Hosts) -> bool {
    let path = url.path();
    path.starts_with(LINK_PATH) || (hosts.is_public(url.origin()) && path.starts_with(PUBLIC_LINK_PATH))
}

/// Puts our links in place of others.
#[derive(Debug)]
pub(super) struct LinkWrapper<'a> {
    hosts: &'a Hosts,
}

impl<'a> LinkWrapper<'a> {
    /// For the hosts of this installation.
    pub(super) const fn new(hosts: &'a Hosts) -> Self {
        Self { hosts }
    }

    /// What stands in place of `url`: itself, unless it is absolute and on one of our hosts.
    pub(super) fn wrap_url(&self, url: &str, links: &mut Vec<WrappedLink>) -> String {
        self.wrap_target(url, links).unwrap_or_else(|| url.to_owned())
    }

    /// The text with our links in place of others.
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

    /// The target, as a browser reads the URL: one with a space in it is as good as one with `%20`.
    fn parse_target(&self, url: &str) -> Option<ReturnTo> {
        let public = self.hosts.public();
        let read = |url: &str| ReturnTo::parse(url, public, self.hosts).ok();
        read(url).or_else(|| read(Url::parse(url).ok()?.as_str()))
    }

    fn wrap_target(&self, url: &str, links: &mut Vec<WrappedLink>) -> Option<String> {
        let public = self.hosts.public();
        // A path would be one of ours to a browser on our page; in a message it is nobody's.
        let target = (!url.starts_with('/')).then(|| self.parse_target(url))??;
        // One that is too long stays what it is, and exceeds WeCom's limit.
        if is_wrapped(&target, self.hosts) || target.as_str().len() > MAX_TARGET_BYTES {
            return None;
        }
        let id = generate_link_id();
        let ours = format!("{public}/sso/m/{id}");
        links.push(WrappedLink { id, target: target.as_str().to_owned() });
        Some(ours)
    }
}

/// A new id.
fn generate_link_id() -> String {
    let digits = base_x::encode(BASE62, &random_bytes::<16>());
    format!("{digits:0>LINK_ID_CHARS$}")
}

/// A URL in an attribute without its character references: a browser reads it so before it judges the host. Those that
/// are not known here stay, as in a browser.
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

/// A URL in Markdown without the backslashes before punctuation.
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
