//! Lists in which one broken record does not lose the others.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A list with the records that could be read and the names of those that could not.
///
/// Records are decoded one by one, so that memory holds the raw form of one record only, beside the
/// answer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LenientList<T> {
    /// The records, in WeCom's order.
    pub items: Vec<T>,
    /// One entry for each record that is not as documented: its name (a userid, an id) if that can
    /// be read.
    pub broken: Vec<Option<String>>,
}

/// A record with an id, by which a broken one is reported.
pub(super) trait IdentifiedRecord {
    /// The field with the id.
    const ID_FIELD: &'static str;
}

impl<T> Default for LenientList<T> {
    fn default() -> Self {
        Self { items: Vec::new(), broken: Vec::new() }
    }
}

impl<T> LenientList<T> {
    fn push_record(&mut self, record: Value)
    where
        T: DeserializeOwned + IdentifiedRecord,
    {
        // Read first, because decoding consumes the record.
        let name = match record.get(T::ID_FIELD) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        match serde_json::from_value(record) {
            Ok(item) => self.items.push(item),
            Err(_) => self.broken.push(name),
        }
    }
}

/// Reads a list; null is empty. Anything else is an error, also a list that is cut off.
impl<'de, T: DeserializeOwned + IdentifiedRecord> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientListVisitor(PhantomData))
    }
}

struct LenientListVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned + IdentifiedRecord> Visitor<'de> for LenientListVisitor<T> {
    type Value = LenientList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<LenientList<T>, E> {
        Ok(LenientList::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<LenientList<T>, A::Error> {
        let mut sifted = LenientList::default();
        while let Some(record) = records.next_element::<Value>()? {
            sifted.push_record(record);
        }
        Ok(sifted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::Member;

    fn read_list(json: &str) -> Result<LenientList<Member>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_broken_record_costs_itself_only_and_is_named_where_it_can_be() {
        let list = read_list(
            r#"[{"userid":"a","status":1},{"userid":"b","department":"x"},7,null,[],{"userid":9,"order":1},
                {"userid":"c","status":1}]"#,
        )
        .unwrap();
        assert_eq!(list.items.iter().map(|m| m.userid.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        let broken: Vec<_> = list.broken.iter().map(Option::as_deref).collect();
        assert_eq!(broken, [Some("b"), None, None, None, Some("9")]);
    }

    #[test]
    fn null_is_an_empty_list_and_everything_else_is_none_at_all() {
        assert_eq!(read_list("null").unwrap(), LenientList::default());
        assert_eq!(read_list("[]").unwrap(), LenientList::default());
        for json in ["{}", "7", "\"x\"", "true", r#"[{"userid":"a"}"#] {
            assert!(read_list(json).is_err(), "{json}");
        }
    }
}
