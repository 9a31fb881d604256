//! The typed identifiers: a `Sid` cannot be passed where a `PersonId` is expected.
//!
//! Cloning an identifier copies no text: every check of the gate clones some, and memory holds the
//! same few of each session.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfkc;
use uuid::{ContextV7, Timestamp as UuidTime, Uuid};

use super::clock::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes an identifier of text from our own table or token, unchecked.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/// A corporation in WeCom (企业ID), `ww…`.
    CorpId);
id!(/// A person: UUID v7, stable across changes of userid; the `sub` of every token.
    PersonId);
id!(/// A userid inside one corporation, in WeCom's spelling; compared without regard to case.
    UserId);
id!(/// A session row: UUID v7.
    Sid);
id!(/// An API client of `[[api_clients]]`.
    ClientId);
id!(/// A unit of the organisation chart. A department's id follows from WeCom's number, so that a
    /// department that comes back is the same unit; a local unit has a UUID v7.
    UnitId);
id!(/// A tag, by the same rule as a [`UnitId`].
    TagId);
id!(/// A run of a synchronisation: UUID v7.
    RunId);
id!(/// A question about persons that only a human can decide: UUID v7.
    ConflictId);

id!(/// A message: UUID v7.
    MessageId);
id!(/// A call of `message/send`: UUID v7.
    CallId);

impl PersonId {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

impl UnitId {
    /// Makes a new id of a local unit that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }

    /// Returns the id of the department `id` of `corp`.
    pub fn from_department(corp: &CorpId, id: u32) -> Self {
        Self(uuid_v5(corp, "department", id).into())
    }

    /// Whether it is a department's id: those are UUIDs of version 5, and local units have others.
    pub fn is_of_department(&self) -> bool {
        Uuid::parse_str(&self.0).is_ok_and(|id| id.get_version_num() == 5)
    }
}

impl TagId {
    /// Returns the id of the tag `id` of `corp`.
    pub fn from_tag(corp: &CorpId, id: u32) -> Self {
        Self(uuid_v5(corp, "tag", id).into())
    }
}

impl RunId {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

impl ConflictId {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

impl MessageId {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

impl CallId {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

impl Sid {
    /// Makes a new id that sorts by `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).into())
    }
}

/// The reason why a text is not a userid, worded for the person who entered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// WeCom gives no new member such a userid.
    #[error("a userid is 1 to 64 of 0-9 A-Z a-z _ - @ . and begins with a letter or digit")]
    NotAllowed,
    /// Not even an old corporation can have such a userid.
    #[error(
        "it is no userid: empty, longer than 64 characters, @all, or with a blank, | or a sign that does not show"
    )]
    Unusable,
    /// A member of a linked corporation (互联企业), `CORPID/USERID`.
    #[error("it names a member of a linked corporation")]
    LinkedCorp,
}

impl UserId {
    /// The longest userid in characters. In the userids that WeCom gives, each has one byte
    /// (document 90195).
    pub const MAX_CHARS: usize = 64;

    /// Parses a userid by the rule for new members (document 90195). Existing ones may have more:
    /// [`parse_existing`](Self::parse_existing).
    ///
    /// # Errors
    /// [`UserIdError::NotAllowed`].
    pub fn parse(text: &str) -> Result<Self, UserIdError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@' | b'.');
        let good = text.len() <= Self::MAX_CHARS
            && text.bytes().all(fits)
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if good { Ok(Self::new(text)) } else { Err(UserIdError::NotAllowed) }
    }

    /// Parses a userid as WeCom returns it: old corporations have `a+b`, `w#1`, `_lead` and `张三`.
    /// These are kept, shown and written to.
    ///
    /// Refused is what would mean something else later: `|` joins recipients, `@all` is everybody,
    /// `/` marks a linked corporation; also blanks and invisible characters, and letters that a
    /// comparison treats as others (full-width ones, the Kelvin sign).
    ///
    /// # Errors
    /// [`UserIdError::LinkedCorp`], [`UserIdError::Unusable`].
    pub fn parse_existing(text: &str) -> Result<Self, UserIdError> {
        if text.contains('/') {
            return Err(UserIdError::LinkedCorp);
        }
        let fits = |c: char| match c {
            '|' => false,
            c if c.is_ascii() => c.is_ascii_graphic(),
            c => c.is_alphanumeric(),
        };
        let good = !text.is_empty()
            && text.chars().count() <= Self::MAX_CHARS
            && text.chars().all(fits)
            && !text.starts_with('@')
            && is_nfkc(text);
        if good { Ok(Self::new(text)) } else { Err(UserIdError::Unusable) }
    }

    /// Returns the form in which userids are compared (WeCom document 90664: unique without regard
    /// to case).
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

/// Makes a UUID v7 (RFC 9562 §5.7) whose time part is `now`.
pub(crate) fn uuid_v7(now: Timestamp) -> String {
    let ms = u64::try_from(now.millis()).unwrap_or(0);
    let nanos = u32::try_from(ms % 1000).unwrap_or(0).saturating_mul(1_000_000);
    Uuid::new_v7(UuidTime::from_unix(ContextV7::new(), ms / 1000, nanos)).to_string()
}

/// Makes a UUID v5 (RFC 9562 §5.5): always the same for the same object in WeCom, also after a
/// restore.
fn uuid_v5(corp: &CorpId, kind: &str, id: u32) -> String {
    let name = format!("https://work.weixin.qq.com/{corp}/{kind}/{id}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let a = PersonId::generate(Timestamp::from_millis(1_000_000));
        let b = PersonId::generate(Timestamp::from_millis(1_000_001));
        assert!(a < b, "{a} {b}");
    }

    #[test]
    fn a_department_has_the_same_id_every_time_and_another_in_another_corporation() {
        let (ours, theirs) = (CorpId::new("ww1"), CorpId::new("ww2"));
        assert_eq!(UnitId::from_department(&ours, 2), UnitId::from_department(&ours, 2));
        assert_ne!(UnitId::from_department(&ours, 2), UnitId::from_department(&theirs, 2));
        assert_ne!(UnitId::from_department(&ours, 2).as_str(), TagId::from_tag(&ours, 2).as_str());
    }

    #[test]
    fn a_units_id_says_whether_it_is_a_departments() {
        assert!(UnitId::from_department(&CorpId::new("ww1"), 2).is_of_department());
        assert!(!UnitId::generate(Timestamp::from_millis(1_000_000)).is_of_department());
        assert!(!UnitId::new("by hand").is_of_department());
    }

    #[test]
    fn a_userid_that_is_given_is_what_wecom_lets_one_be() {
        for good in ["zhangsan", "ZhangSan", "1", "a@b.c", "x_y-z", &"a".repeat(64)] {
            assert_eq!(UserId::parse(good).as_ref().map(UserId::as_str), Ok(good));
            assert!(UserId::parse_existing(good).is_ok(), "{good}");
        }
        for bad in ["", "@all", "a|b", "a b", "张三", "_a", "a+b", "w#1", "a\n", "ww1/a", &"a".repeat(65)] {
            assert_eq!(UserId::parse(bad), Err(UserIdError::NotAllowed), "{bad}");
        }
    }

    #[test]
    fn a_userid_that_wecom_returns_is_kept_unless_it_would_mean_something_else() {
        for good in ["a+b", "w#1", "张三", "_lead", "a,b", "a'b\"<c>", "é1", "Ü6", "a%20", &"张".repeat(64)]
        {
            assert_eq!(UserId::parse_existing(good).as_ref().map(UserId::as_str), Ok(good));
        }
        for bad in [
            "",
            " ",
            "a b",
            "a\u{3000}b",
            "a|b",
            "@all",
            "@ALL",
            "@",
            "a\n",
            "a\0",
            "a\u{200b}",
            "a\u{202e}b",
            "\u{feff}a",
            "\u{212a}ate",
            "ａ",
            "e\u{301}",
            &"张".repeat(65),
        ] {
            assert_eq!(UserId::parse_existing(bad), Err(UserIdError::Unusable), "{bad:?}");
        }
        assert_eq!(UserId::parse_existing("ww1/zhangsan"), Err(UserIdError::LinkedCorp));
        assert_eq!(UserId::parse_existing("/"), Err(UserIdError::LinkedCorp));
    }

    #[test]
    fn userids_compare_without_regard_to_case() {
        assert_eq!(UserId::new("ZhangSan").folded(), UserId::new("zhangsan").folded());
    }
}
