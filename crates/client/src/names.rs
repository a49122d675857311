//! Names of a list, gathered page by page: bounded, whatever the registry sends.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Bytes that the names of one list may take in memory: far more than a million repositories need.
pub(crate) const LIMIT: usize = 64 << 20;
/// Pages of one list.
const MOST_PAGES: usize = 100_000;
/// Bytes that a name takes beside its text.
const OVERHEAD: usize = size_of::<String>();

/// The names that came so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<String>,
    bytes: usize,
    is_full: bool,
    /// Pages that were asked for, to notice those that form a circle.
    pages: HashSet<String>,
}

/// Why a page was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The list is longer than any list that is read.
    Full,
    /// The page is not what a registry sends.
    NotJson,
}

impl Names {
    /// Takes the names in `member` of a page. Older registries say `null` for an empty list.
    pub(crate) fn take(&mut self, page: &[u8], member: &str) -> Result<(), Rejected> {
        let mut json = serde_json::Deserializer::from_slice(page);
        let seed = Page { names: self, member };
        let result = seed.deserialize(&mut json).and_then(|()| json.end());
        match result {
            Ok(()) => Ok(()),
            Err(_) if self.is_full => Err(Rejected::Full),
            Err(_) => Err(Rejected::NotJson),
        }
    }

    /// Whether `page` may be asked for: no page is asked for twice.
    pub(crate) fn may_ask_for(&mut self, page: &str) -> Result<bool, Rejected> {
        if self.pages.len() >= MOST_PAGES {
            return Err(Rejected::Full);
        }
        self.bytes += page.len();
        Ok(self.pages.insert(page.to_owned()))
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn last(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// Whether the first name of the page that begins at `start` came before.
    pub(crate) fn repeats_from(&self, start: usize) -> bool {
        let (before, page) = self.names.split_at(start.min(self.names.len()));
        page.first().is_some_and(|name| before.contains(name))
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.names.truncate(len);
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.names
    }

    fn push(&mut self, name: &str) -> Result<(), &'static str> {
        self.bytes += name.len() + OVERHEAD;
        if self.bytes > LIMIT {
            self.is_full = true;
            return Err("too many names");
        }
        self.names.push(name.to_owned());
        Ok(())
    }
}

/// One page, read into the names at once: no copy of the page is made.
struct Page<'a> {
    names: &'a mut Names,
    member: &'a str,
}

struct Entries<'a>(&'a mut Names);

struct Entry<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Page<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.member {
                map.next_value_seed(Entries(self.names))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names, or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Entry(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        self.0.push(name).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_as_registries_send_them() {
        let mut names = Names::default();
        names.take(br#"{"name":"a","tags":["1","2"]}"#, "tags").unwrap();
        names.take(br#"{"tags":null}"#, "tags").unwrap();
        names.take(b"{}", "tags").unwrap();
        names
            .take(br#"{"tags":["3"],"x":{"tags":["4"]}}"#, "tags")
            .unwrap();
        for bad in ["", "[]", "{\"tags\":[1]}", "{\"tags\":[\"5\"", "{} {}"] {
            assert_eq!(
                names.take(bad.as_bytes(), "tags"),
                Err(Rejected::NotJson),
                "{bad}"
            );
        }
        assert_eq!(names.into_vec()[..3], ["1", "2", "3"]);
    }

    #[test]
    fn a_list_without_an_end_is_bounded() {
        let page = format!("{{\"tags\":[{}\"\"]}}", "\"\",".repeat(1 << 20));
        let mut names = Names::default();
        let results: Vec<_> = (0..3).map(|_| names.take(page.as_bytes(), "tags")).collect();
        assert_eq!(results, [Ok(()), Ok(()), Err(Rejected::Full)]);
        assert!(names.len() * OVERHEAD <= LIMIT);
    }

    #[test]
    fn no_page_is_asked_for_twice() {
        let mut names = Names::default();
        assert_eq!(names.may_ask_for("/a"), Ok(true));
        assert_eq!(names.may_ask_for("/b"), Ok(true));
        assert_eq!(names.may_ask_for("/a"), Ok(false));
    }
}
