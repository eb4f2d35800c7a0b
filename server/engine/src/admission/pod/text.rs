//! Strings that are borrowed from the request wherever JSON lets them be.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A string, borrowed unless it has escapes. (Serde borrows no `Cow` inside of other types by itself.)
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A map of strings as a list: pods have few annotations, and most are never looked up.
#[derive(Clone, Debug, Default)]
pub struct Pairs<'a> {
    pairs: Vec<(Text<'a>, Text<'a>)>,
    /// Whether some key begins with [`OF_CONTAINERS`].
    any_of_containers: bool,
}

/// What keys about single containers begin with. They are looked up for each container by each policy, and hardly ever
/// there.
const OF_CONTAINERS: &str = "container.";

impl Pairs<'_> {
    /// The value of a key. Of a key that is there twice the last one counts, as in Go.
    pub(in crate::admission) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(other, _)| &**other == key).map(|(_, value)| &**value)
    }

    /// The value of the key that is `prefix` and `name` in one.
    pub(in crate::admission) fn get_of(&self, prefix: &str, name: &str) -> Option<&str> {
        if !self.any_of_containers && prefix.starts_with(OF_CONTAINERS) {
            return None;
        }
        // Lengths and ends differ sooner than beginnings, which are those of a few domains.
        let is_it = |key: &str| {
            key.len() == prefix.len() + name.len() && key.ends_with(name) && key.starts_with(prefix)
        };
        let pair = self.pairs.iter().rev().find(|(key, _)| is_it(key));
        pair.map(|(_, value)| &**value)
    }

    pub(in crate::admission) fn set(&mut self, key: &str, value: String) {
        self.push(key.to_owned().into(), value.into());
    }
}

impl<'a> Pairs<'a> {
    fn push(&mut self, key: Text<'a>, value: Text<'a>) {
        self.any_of_containers |= key.starts_with(OF_CONTAINERS);
        self.pairs.push((key, value));
    }
}

impl<'a, K: Into<Text<'a>>, V: Into<Text<'a>>> FromIterator<(K, V)> for Pairs<'a> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut all = Pairs::default();
        pairs.into_iter().for_each(|(key, value)| all.push(key.into(), value.into()));
        all
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for PairsVisitor<'a> {
            type Value = Pairs<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'a>, M::Error> {
                let mut pairs = Pairs::default();
                while let Some((key, value)) = map.next_entry::<Text<'a>, Option<Text<'a>>>()? {
                    pairs.push(key, value.unwrap_or_default());
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}
