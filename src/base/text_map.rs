//! A sorted map of text to text for values with few entries, of which there are very many.
//!
//! A `BTreeMap` allocates room for eleven entries at once, half a kilobyte; for a hundred thousand
//! persons with two attributes each that is more memory than everything else that is known of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of text to text, ordered by key, each key once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextMap(Vec<(String, String)>);

impl TextMap {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value.as_str())
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Inserts an entry; returns the value that the key had before.
    pub fn insert(&mut self, key: String, value: String) -> Option<String> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(_, value)| value)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(key))
    }
}

impl Index<&str> for TextMap {
    type Output = str;

    fn index(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }
}

impl FromIterator<(String, String)> for TextMap {
    /// Of several entries with one key the last counts.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        let mut list = Vec::from_iter(entries);
        // The sort is stable, so that of equal keys the last stays the last.
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list.dedup_by(|later, first| {
            let is_same = later.0 == first.0;
            if is_same {
                std::mem::swap(&mut later.1, &mut first.1);
            }
            is_same
        });
        list.shrink_to_fit();
        Self(list)
    }
}

impl Extend<(String, String)> for TextMap {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<const N: usize> From<[(String, String); N]> for TextMap {
    fn from(entries: [(String, String); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl From<BTreeMap<String, String>> for TextMap {
    fn from(map: BTreeMap<String, String>) -> Self {
        // It is ordered already.
        Self(map.into_iter().collect())
    }
}

impl From<TextMap> for BTreeMap<String, String> {
    fn from(map: TextMap) -> Self {
        map.0.into_iter().collect()
    }
}

impl IntoIterator for TextMap {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a TextMap {
    type Item = &'a (String, String);
    type IntoIter = std::slice::Iter<'a, (String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for TextMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextMapVisitor;

        impl<'de> Visitor<'de> for TextMapVisitor {
            type Value = TextMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries.into_iter().collect())
            }
        }

        deserializer.deserialize_map(TextMapVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_btree_map_does(
            entries in prop::collection::vec(("[a-c]{0,2}", "[x-z]"), 0..8),
            more in prop::collection::vec(("[a-c]{0,2}", "[x-z]"), 0..4),
        ) {
            let mut map: TextMap = entries.iter().cloned().collect();
            let mut model: BTreeMap<String, String> = entries.into_iter().collect();
            for (key, value) in more {
                prop_assert_eq!(map.insert(key.clone(), value.clone()), model.insert(key, value));
            }
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.values().eq(model.values()));
            for key in ["", "a", "bb", "zz"] {
                prop_assert_eq!(map.get(key), model.get(key).map(String::as_str));
                prop_assert_eq!(map.contains_key(key), model.contains_key(key));
            }
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&model).unwrap());
            prop_assert_eq!(serde_json::from_str::<TextMap>(&text).unwrap(), map.clone());
            prop_assert_eq!(BTreeMap::from(map), model);
        }
    }
}
