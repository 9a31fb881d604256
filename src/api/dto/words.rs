//! The words of the API: each set is that of an enum of another room, or a part of it.
//!
//! The document lists the words that the enum has, and an answer writes the one that the enum says,
//! so that no list of words is written a second time.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::directory::conflicts::{ConflictKind, ConflictState};
use crate::directory::{EntrySource, PersonStatus};
use crate::message::views::DeliveryStatus;
use crate::message::{MessageKind, MessageStatus};
use crate::session::Amr;
use crate::sync::state::{SyncKind, SyncRunStatus};
use crate::wecom::MediaKind;

/// A set of words.
pub(crate) trait ApiWord: Sized {
    /// The enum whose words these are.
    type Enum: Copy + 'static;

    /// The variants, in the order of the document.
    fn variants() -> Vec<Self::Enum>;

    fn as_word(variant: Self::Enum) -> &'static str;

    /// Parses a word of the set.
    ///
    /// # Errors
    /// What may stand there instead: `image or file`.
    fn parse(text: &str) -> Result<Self::Enum, String> {
        let known = Self::variants();
        let found = known.iter().copied().find(|variant| Self::as_word(*variant) == text);
        found.ok_or_else(|| join_words(&known.into_iter().map(Self::as_word).collect::<Vec<_>>()))
    }
}

/// Declares sets of words: the type, its enum, the name of its schema and, of a part, the variants.
/// The comment is the description in the document.
macro_rules! api_words {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident($enum:ty) as $schema:literal $([$($variant:ident),+])?;
    )+) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name($enum);

        impl ApiWord for $name {
            type Enum = $enum;

            fn variants() -> Vec<$enum> {
                api_words!(@variants $enum $([$($variant),+])?)
            }

            fn as_word(variant: $enum) -> &'static str {
                variant.as_str()
            }
        }

        impl From<$enum> for $name {
            fn from(variant: $enum) -> Self {
                Self(variant)
            }
        }

        impl From<$name> for $enum {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                let read = Self::parse(&text).map_err(|expected| {
                    serde::de::Error::custom(format!("unknown word {text:?}, expected {expected}"))
                });
                read.map(Self)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = Self::variants().into_iter().map(Self::as_word);
                build_words_schema(&[$($doc),*], words.collect())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($schema)
            }
        }
    )+};
    (@variants $enum:ty) => {
        <$enum>::ALL.to_vec()
    };
    (@variants $enum:ty [$($variant:ident),+]) => {
        vec![$(<$enum>::$variant),+]
    };
}

api_words! {
    /// Whose an entry is: WeCom's, which only a synchronisation changes, or made by hand.
    EntrySourceWord(EntrySource) as "Source";
    /// Only who is `active` may sign in.
    PersonStatusWord(PersonStatus) as "Status";
    /// Whoever left is removed instead.
    InputStatusWord(PersonStatus) as "InputStatus" [Active, Disabled, Inactive];
    EntityWord(DirectoryEntity) as "Entity";
    /// A person who left is `updated`, with the status `left`.
    ChangeWord(DirectoryChangeKind) as "ChangeKind";
    /// `ambiguous`: a key fits several persons, or one of another name; `renamed`: one left and one like it joined in the same run; `reused`: a userid
    /// came back after its holder had left.
    ConflictKindWord(ConflictKind) as "ConflictKind";
    ResolvedStateWord(ConflictState) as "ResolvedState" [Merged, Separate];
    /// How much a run reads: everything again, or, as `wecom.sync_cron` does, no tags where there are more than 200.
    RunKindWord(SyncKind) as "RunKind";
    RunStatusWord(SyncRunStatus) as "RunStatus";
    MessageKindWord(MessageKind) as "MessageKind";
    /// `unknown`: nobody knows of some recipient whether WeCom took it; it is not sent again.
    MessageStatusWord(MessageStatus) as "MessageStatus";
    AcceptedStatusWord(MessageStatus) as "AcceptedStatus" [Accepted];
    DeliveryStatusWord(DeliveryStatus) as "DeliveryStatus";
    MediaKindWord(MediaKind) as "MediaKind";
    AmrWord(Amr) as "Amr";
}

/// Joins words for people: `a, b or c`.
fn join_words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}

/// Builds the schema of a text that is one of `words`.
fn build_words_schema(doc: &[&str], words: Vec<&'static str>) -> RefOr<Schema> {
    let text = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description((!text.is_empty()).then_some(text))
        .enum_values(Some(words))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_none_is_answered_with_those_that_are() {
        assert_eq!(PersonStatusWord::parse("left"), Ok(PersonStatus::Left));
        assert_eq!(InputStatusWord::parse("left"), Err("active, disabled or inactive".to_owned()));
        assert_eq!(AcceptedStatusWord::parse("sent"), Err("accepted".to_owned()));
    }

    #[test]
    fn a_schema_lists_the_words_of_its_enum_in_their_order() {
        let schema = serde_json::to_value(RunStatusWord::schema()).unwrap();
        let words: Vec<&str> = SyncRunStatus::ALL.iter().map(|status| status.as_str()).collect();
        assert_eq!(schema["enum"], serde_json::json!(words));
        assert_eq!(schema.get("description"), None);
        let part = serde_json::to_value(ResolvedStateWord::schema()).unwrap();
        assert_eq!(part["enum"], serde_json::json!(["merged", "separate"]));
    }
}
