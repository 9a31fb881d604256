//! Readers of WeCom's JSON, whose types vary: numbers as strings, null for lists, missing fields
//! (document 90664, and answers recorded in public).

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// A value that WeCom sends as different types.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Null,
    Integer(i128),
    Text(String),
    /// A list, an object or a fraction, which none of these fields may be.
    Other,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Scalar, E> {
        Ok(Scalar::Integer(i128::from(b)))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(i128::from(n)))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(i128::from(n)))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        // A visitor must read the whole list, or the parser fails at its rest.
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl Scalar {
    fn integer(&self) -> Option<i128> {
        match self {
            Self::Integer(n) => Some(*n),
            Self::Text(text) => match text.trim() {
                "true" => Some(1),
                "false" => Some(0),
                digits => digits.parse().ok(),
            },
            Self::Null | Self::Other => None,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(n) => Some(n.to_string()),
            Self::Null | Self::Other => None,
        }
    }
}

/// Reads text; a number becomes its digits, null and everything else empty.
pub(super) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(Scalar::deserialize(d)?.text().unwrap_or_default())
}

/// Reads text that is not blank; null, blank and missing become `None`.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Scalar::deserialize(d)?.text().filter(|t| !t.trim().is_empty()))
}

/// Reads a whole number, also in quotation marks; true and false become 1 and 0, anything else
/// `None`.
pub(super) fn optional_integer<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    Ok(Scalar::deserialize(d)?.integer().and_then(|n| i64::try_from(n).ok()))
}

/// Reads a whole number that a `u32` holds, also in quotation marks; anything else is an error.
pub(super) fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    let n = Scalar::deserialize(d)?.integer().and_then(|n| u32::try_from(n).ok());
    n.ok_or_else(|| D::Error::custom("not a number from 0 to 4294967295"))
}

/// Reads a number as [`number`] does; null becomes 0.
pub(super) fn number_or_zero<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    match Scalar::deserialize(d)? {
        Scalar::Null => Ok(0),
        scalar => {
            let n = scalar.integer().and_then(|n| u32::try_from(n).ok());
            n.ok_or_else(|| D::Error::custom("not a number from 0 to 4294967295"))
        }
    }
}

/// Reads a list of sort numbers. What is not a `u32` counts as 0, so that the list stays parallel
/// to the one it belongs to. Null is empty.
pub(super) fn orders<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u32>, D::Error> {
    let list = Option::<Vec<Scalar>>::deserialize(d)?.unwrap_or_default();
    Ok(list.iter().map(|n| n.integer().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)).collect())
}

/// Reads a list of 0 and 1; only 1 and true are true. Null is empty.
pub(super) fn flags<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<bool>, D::Error> {
    let list = Option::<Vec<Scalar>>::deserialize(d)?.unwrap_or_default();
    Ok(list.iter().map(|n| n.integer() == Some(1)).collect())
}

/// Reads a list of texts; a single text is a list of one. Null and blank entries are left out.
pub(super) fn texts<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Scalar>),
        One(Scalar),
    }
    let list = match OneOrMany::deserialize(d)? {
        OneOrMany::Many(list) => list,
        OneOrMany::One(one) => vec![one],
    };
    Ok(list.into_iter().filter_map(Scalar::text).filter(|t| !t.trim().is_empty()).collect())
}

/// Reads texts joined by `|`, as the answers about messages and tags list what they left out. Null
/// and empty entries are left out.
pub(super) fn piped<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(texts(d)?
        .iter()
        .flat_map(|t| t.split('|'))
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Reads null as the default. A missing field needs `#[serde(default)]` as well.
pub(super) fn null_as_default<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// A number or a text: the id of a department is a number in this corporation and a text in a
/// linked one.
pub(super) enum NumberOrText {
    Number(u32),
    Text(String),
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(d)?;
        // A number that is too large for an id of ours is kept as text, as an id of a linked
        // corporation.
        match (scalar.integer().map(u32::try_from), scalar.text()) {
            (Some(Ok(n)), _) => Ok(Self::Number(n)),
            (_, Some(text)) => Ok(Self::Text(text)),
            _ => Err(D::Error::custom("neither a number nor a text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct All {
        #[serde(deserialize_with = "text")]
        text: String,
        #[serde(deserialize_with = "optional_text")]
        maybe: Option<String>,
        #[serde(deserialize_with = "optional_integer")]
        integer: Option<i64>,
        #[serde(deserialize_with = "number_or_zero")]
        number: u32,
        #[serde(deserialize_with = "orders")]
        orders: Vec<u32>,
        #[serde(deserialize_with = "flags")]
        flags: Vec<bool>,
        #[serde(deserialize_with = "texts")]
        texts: Vec<String>,
        #[serde(deserialize_with = "piped")]
        piped: Vec<String>,
    }

    #[test]
    fn null_is_the_same_as_missing() {
        let nulls = r#"{"text":null,"maybe":null,"integer":null,"number":null,"orders":null,"flags":null,
                        "texts":null,"piped":null}"#;
        assert_eq!(serde_json::from_str::<All>(nulls).unwrap(), All::default());
        assert_eq!(serde_json::from_str::<All>("{}").unwrap(), All::default());
    }

    #[test]
    fn numbers_may_be_texts_and_texts_numbers() {
        let json = r#"{"text":7,"maybe":13800000000,"integer":"1","number":"4294967295","orders":["3",4,-1],
                       "flags":["1",0,true,"true",2],"texts":["a",2,null,""],"piped":"x|| y |"}"#;
        let all: All = serde_json::from_str(json).unwrap();
        assert_eq!((all.text.as_str(), all.maybe.as_deref()), ("7", Some("13800000000")));
        assert_eq!((all.integer, all.number), (Some(1), u32::MAX));
        assert_eq!(all.orders, [3, 4, 0]);
        assert_eq!(all.flags, [true, false, true, true, false]);
        assert_eq!(all.texts, ["a", "2"]);
        assert_eq!(all.piped, ["x", "y"]);
    }

    #[test]
    fn an_id_that_is_no_number_is_an_error() {
        #[derive(Debug, Deserialize)]
        struct Id {
            #[serde(deserialize_with = "number")]
            #[expect(dead_code, reason = "only whether it parses is asked")]
            id: u32,
        }
        for id in ["null", "-1", "4294967296", "1.5", "\"one\"", "[]", "{}"] {
            assert!(serde_json::from_str::<Id>(&format!(r#"{{"id":{id}}}"#)).is_err(), "{id}");
        }
    }
}
