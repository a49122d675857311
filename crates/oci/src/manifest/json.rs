//! Walking through JSON without building a tree of it: members, elements and leaves of raw values.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _},
};
use serde_json::value::RawValue;

use super::ManifestError;
use crate::text::Escaped;

/// Where in a manifest a value stands; text only when an error needs it.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => write!(f, "{}", Escaped(key)),
            Self::Key(parent, key) => write!(f, "{parent}.{}", Escaped(key)),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The whole document: one JSON value and nothing behind it.
pub(super) fn document(text: &str) -> Result<&RawValue, ManifestError> {
    if text.is_empty() {
        return Err(ManifestError::Empty);
    }
    serde_json::from_str(text).map_err(|error| ManifestError::not_json(&error))
}

/// The JSON type of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Type {
    pub(super) fn of(value: &RawValue) -> Self {
        match value.get().bytes().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    /// The type with its article, for a message.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// Checks that `value` at `path` has the type `expected`.
pub(super) fn expect(value: &RawValue, path: Path<'_>, expected: Type) -> Result<(), ManifestError> {
    let found = Type::of(value);
    if found == expected {
        return Ok(());
    }
    Err(ManifestError::WrongType {
        path: path.to_string(),
        expected: expected.noun(),
        found: found.noun(),
    })
}

/// Calls `visit` for each member of an object, in order, until it fails.
pub(super) fn members<'a>(
    object: &'a RawValue,
    path: Path<'_>,
    visit: impl FnMut(&str, &'a RawValue) -> Result<(), ManifestError>,
) -> Result<(), ManifestError> {
    expect(object, path, Type::Object)?;
    let mut failure = None;
    let visitor = Members {
        visit,
        failure: &mut failure,
    };
    let result = serde_json::Deserializer::from_str(object.get()).deserialize_map(visitor);
    finish(result, failure)
}

/// Calls `visit` for each element of an array, in order, until it fails.
pub(super) fn elements<'a>(
    array: &'a RawValue,
    path: Path<'_>,
    visit: impl FnMut(usize, &'a RawValue) -> Result<(), ManifestError>,
) -> Result<(), ManifestError> {
    expect(array, path, Type::Array)?;
    let mut failure = None;
    let visitor = Elements {
        visit,
        failure: &mut failure,
    };
    let result = serde_json::Deserializer::from_str(array.get()).deserialize_seq(visitor);
    finish(result, failure)
}

/// The text of a string.
pub(super) fn string(value: &RawValue, path: Path<'_>) -> Result<String, ManifestError> {
    expect(value, path, Type::String)?;
    let text: Result<Text<'_>, _> = serde_json::from_str(value.get());
    text.map(|Text(text)| text.into_owned())
        .map_err(|error| ManifestError::not_json(&error))
}

/// The message of the JSON parser, without the position, which is relative to some inner value.
pub(super) fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The error of a visit is passed around serde, which would convert it to text.
fn finish(
    result: Result<(), serde_json::Error>,
    failure: Option<ManifestError>,
) -> Result<(), ManifestError> {
    match (result, failure) {
        (_, Some(failure)) => Err(failure),
        (Err(error), None) => Err(ManifestError::not_json(&error)),
        (Ok(()), None) => Ok(()),
    }
}

/// A string, in which half a surrogate pair becomes U+FFFD, as in Go: it is JSON, though it is no text.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text(String::from_utf8_lossy(bytes)))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
            }
        }
        // Only as bytes does serde_json give strings that are no text.
        deserializer.deserialize_bytes(Visitor)
    }
}

struct Members<'f, F> {
    visit: F,
    failure: &'f mut Option<ManifestError>,
}

impl<'de, F> de::Visitor<'de> for Members<'_, F>
where
    F: FnMut(&str, &'de RawValue) -> Result<(), ManifestError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            let value = map.next_value()?;
            if let Err(error) = (self.visit)(&key, value) {
                *self.failure = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Elements<'f, F> {
    visit: F,
    failure: &'f mut Option<ManifestError>,
}

impl<'de, F> de::Visitor<'de> for Elements<'_, F>
where
    F: FnMut(usize, &'de RawValue) -> Result<(), ManifestError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = seq.next_element()? {
            if let Err(error) = (self.visit)(index, value) {
                *self.failure = Some(error);
                return Err(A::Error::custom("stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}
