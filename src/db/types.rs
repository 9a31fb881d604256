//! How our own types stand in a column: ids and words as TEXT, instants and flags as BIGINT, lists
//! and objects as JSON in TEXT. With them a row is a struct with `FromRow` and a parameter is bound
//! as it is, so that a column is never read by its position or as the wrong type.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyTypeInfo, AnyValueRef};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Any, Database, Decode, Encode, Type};

use crate::base::clock::Timestamp;
use crate::base::id::{
    CallId, ClientId, ConflictId, CorpId, MessageId, PersonId, RunId, Sid, TagId, UnitId, UserId,
};

/// Stores an id as its text. What the table holds is ours, so it is not checked again.
macro_rules! id_column {
    ($($name:ident),+ $(,)?) => {$(
        impl Type<Any> for $name {
            fn type_info() -> AnyTypeInfo {
                <str as Type<Any>>::type_info()
            }
        }

        impl Encode<'_, Any> for $name {
            fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <&str as Encode<Any>>::encode(self.as_str(), buffer)
            }
        }

        impl Decode<'_, Any> for $name {
            fn decode(value: AnyValueRef<'_>) -> Result<Self, BoxDynError> {
                Ok(Self::new(<&str as Decode<Any>>::decode(value)?))
            }
        }
    )+};
}

id_column!(CallId, ClientId, ConflictId, CorpId, MessageId, PersonId, RunId, Sid, TagId, UnitId, UserId);

impl Type<Any> for Timestamp {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }
}

impl Encode<'_, Any> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Any>>::encode(self.millis(), buffer)
    }
}

impl Decode<'_, Any> for Timestamp {
    fn decode(value: AnyValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self::from_millis(<i64 as Decode<Any>>::decode(value)?))
    }
}

/// A flag in a BIGINT column: 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlagColumn(pub(crate) bool);

impl Type<Any> for FlagColumn {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }
}

impl Encode<'_, Any> for FlagColumn {
    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Any>>::encode(i64::from(self.0), buffer)
    }
}

impl Decode<'_, Any> for FlagColumn {
    fn decode(value: AnyValueRef<'_>) -> Result<Self, BoxDynError> {
        match <i64 as Decode<Any>>::decode(value)? {
            0 => Ok(Self(false)),
            1 => Ok(Self(true)),
            other => Err(format!("a flag is 0 or 1, not {other}").into()),
        }
    }
}

/// A value kept as JSON in a TEXT column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonColumn<T>(pub(crate) T);

impl<T> Type<Any> for JsonColumn<T> {
    fn type_info() -> AnyTypeInfo {
        <str as Type<Any>>::type_info()
    }
}

impl<T: Serialize> Encode<'_, Any> for JsonColumn<T> {
    fn encode_by_ref(&self, buffer: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<Any>>::encode(serde_json::to_string(&self.0)?, buffer)
    }
}

impl<T: DeserializeOwned> Decode<'_, Any> for JsonColumn<T> {
    fn decode(value: AnyValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(<&str as Decode<Any>>::decode(value)?)?))
    }
}

/// Declares an enum whose variants are the words of a column.
///
/// A statement is built from `as_str`, so that a misspelt word does not compile. A
/// word that the enum does not have is an error of decoding, unless `else` says as which variant it
/// is read: for enums where an unknown word must not make the whole row unreadable.
macro_rules! column_enum {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)?
        } $(else $fallback:ident)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            $visibility const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word of the column.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// Parses the word that [`Self::as_str`] returns.
            $visibility fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.as_str() == word)
            }
        }

        impl ::sqlx::Type<::sqlx::Any> for $name {
            fn type_info() -> ::sqlx::any::AnyTypeInfo {
                <str as ::sqlx::Type<::sqlx::Any>>::type_info()
            }
        }

        impl ::sqlx::Encode<'_, ::sqlx::Any> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut <::sqlx::Any as ::sqlx::Database>::ArgumentBuffer,
            ) -> Result<::sqlx::encode::IsNull, ::sqlx::error::BoxDynError> {
                <&str as ::sqlx::Encode<::sqlx::Any>>::encode(self.as_str(), buffer)
            }
        }

        impl ::sqlx::Decode<'_, ::sqlx::Any> for $name {
            fn decode(value: ::sqlx::any::AnyValueRef<'_>) -> Result<Self, ::sqlx::error::BoxDynError> {
                let word = <&str as ::sqlx::Decode<::sqlx::Any>>::decode(value)?;
                let read = Self::parse(word) $(.or(Some(Self::$fallback)))?;
                read.ok_or_else(|| format!("{word:?} is no {}", stringify!($name)).into())
            }
        }
    };
}

pub(crate) use column_enum;

#[cfg(test)]
mod tests {
    use sqlx::any::install_default_drivers;
    use sqlx::{AnyPool, FromRow};

    use super::*;

    column_enum! {
        enum Light {
            Red = "red",
            Green = "green",
        }
    }

    column_enum! {
        enum Door {
            Open = "open",
            Shut = "shut",
        } else Shut
    }

    #[tokio::test]
    async fn an_unknown_word_is_read_as_the_variant_after_else() -> sqlx::Result<()> {
        let pool = open_memory().await?;
        for (word, door) in [("open", Door::Open), ("shut", Door::Shut), ("ajar", Door::Shut)] {
            let read: Door = sqlx::query_scalar("SELECT $1").bind(word).fetch_one(&pool).await?;
            assert_eq!(read, door);
        }
        assert_eq!(Door::parse("ajar"), None, "what somebody writes is judged, and not guessed");
        Ok(())
    }

    #[derive(Debug, PartialEq, FromRow)]
    struct LightRow {
        person: Option<PersonId>,
        at: Timestamp,
        working: FlagColumn,
        names: JsonColumn<Vec<String>>,
        light: Light,
    }

    const SELECT_LIGHT: &str = "SELECT $1 AS person, $2 AS at, $3 AS working, $4 AS names, $5 AS light";

    async fn open_memory() -> sqlx::Result<AnyPool> {
        install_default_drivers();
        AnyPool::connect("sqlite::memory:").await
    }

    #[tokio::test]
    async fn every_type_comes_back_as_it_was_bound() -> sqlx::Result<()> {
        let pool = open_memory().await?;
        for row in [
            LightRow {
                person: Some(PersonId::new("p")),
                at: Timestamp::from_millis(-5),
                working: FlagColumn(true),
                names: JsonColumn(vec!["红".to_owned()]),
                light: Light::Green,
            },
            LightRow {
                person: None,
                at: Timestamp::from_millis(i64::MAX),
                working: FlagColumn(false),
                names: JsonColumn(Vec::new()),
                light: Light::Red,
            },
        ] {
            let read: LightRow = sqlx::query_as(SELECT_LIGHT)
                .bind(row.person.clone())
                .bind(row.at)
                .bind(row.working)
                .bind(row.names.clone())
                .bind(row.light)
                .fetch_one(&pool)
                .await?;
            assert_eq!(read, row);
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_a_type_does_not_have_is_an_error_that_names_it() -> sqlx::Result<()> {
        let pool = open_memory().await?;
        for (working, names, light, said) in [
            (1, "[]", "blue", "\"blue\" is no Light"),
            (2, "[]", "red", "a flag is 0 or 1, not 2"),
            (1, "[", "red", "EOF"),
        ] {
            let read = sqlx::query_as::<_, LightRow>(SELECT_LIGHT)
                .bind("p")
                .bind(1_i64)
                .bind(i64::from(working))
                .bind(names)
                .bind(light)
                .fetch_one(&pool)
                .await;
            assert!(read.as_ref().is_err_and(|error| error.to_string().contains(said)), "{read:?}");
        }
        Ok(())
    }
}
