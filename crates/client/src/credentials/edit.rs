//! Changes of a configuration of docker: whatever is not changed stays as it is written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object, in their order, each as it is written.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The members of an object; an empty file has none.
    pub(super) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        match text.trim_ascii().is_empty() {
            true => Ok(Self::default()),
            false => serde_json::from_slice(text),
        }
    }

    /// The members of the object `name`; none if it is missing, or no object.
    pub(super) fn object(&self, name: &str) -> Self {
        let found = self.0.iter().find(|(known, _)| known == name);
        let text = found.map(|(_, value)| value.get().as_bytes());
        text.and_then(|text| serde_json::from_slice(text).ok())
            .unwrap_or_default()
    }

    /// Puts `value` in the place of the member `name`, or at the end.
    pub(super) fn set(&mut self, name: &str, value: String) -> serde_json::Result<()> {
        let value = RawValue::from_string(value)?;
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Keeps the members that `is_kept` says; says whether one is gone.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str, &str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, value)| is_kept(name, value.get()));
        self.0.len() < before
    }

    /// The object as docker writes it: a member a line, with as many tabs as it is deep.
    pub(super) fn text(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let indent = "\t".repeat(depth);
        let members = self.0.iter().map(|(name, value)| {
            let name = serde_json::Value::from(name.as_str());
            format!("{indent}\t{name}: {}", value.get())
        });
        format!("{{\n{}\n{indent}}}", members.collect::<Vec<_>>().join(",\n"))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
