//! What stands in the places of a sentence, by what it is: readers write numbers, spans and sizes in the way of their language.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An argument of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Argument {
    /// A name, a digest, a pattern, a path.
    Text(String),
    /// Several of them.
    Texts(Vec<String>),
    /// A number.
    Number(u64),
    /// A span of time, in seconds.
    Seconds(u64),
    /// A size in bytes.
    Bytes(u64),
    /// A text that exists in English only, such as an error of the store.
    English(String),
}

/// Makers of arguments, which [`messages!`](crate::messages) calls by the names of the kinds.
impl Argument {
    /// A name, a digest, a pattern, a path.
    pub fn text(text: &impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    /// Several names.
    pub fn texts(names: &Names) -> Self {
        Self::Texts(names.0.clone())
    }

    /// A number.
    pub fn number(number: &impl Count) -> Self {
        Self::Number(number.count())
    }

    /// A span of time.
    pub fn seconds(span: &Span) -> Self {
        Self::Seconds(span.0.as_secs())
    }

    /// A size in bytes.
    pub fn bytes(size: &impl Count) -> Self {
        Self::Bytes(size.count())
    }

    /// A text that exists in English only.
    pub fn english(text: &impl fmt::Display) -> Self {
        Self::English(text.to_string())
    }
}

/// What is a number for a reader.
pub trait Count {
    /// The number.
    fn count(&self) -> u64;
}

impl Count for u64 {
    fn count(&self) -> u64 {
        *self
    }
}

impl Count for usize {
    fn count(&self) -> u64 {
        *self as u64
    }
}

impl Count for u8 {
    fn count(&self) -> u64 {
        u64::from(*self)
    }
}

impl<T: Count + ?Sized> Count for &T {
    fn count(&self) -> u64 {
        (**self).count()
    }
}

/// Names in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl<T: fmt::Display> FromIterator<T> for Names {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(|name| name.to_string()).collect())
    }
}

/// Each between backticks, with commas.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { ", " };
            write!(f, "{between}`{name}`")?;
        }
        Ok(())
    }
}

/// A span of time in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span(Duration);

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl Span {
    /// The largest unit of which `seconds` has at least two, `days`, `hours`, `minutes` or else `seconds`, and how many there are of it.
    pub fn in_largest_unit(seconds: u64) -> (&'static str, u64) {
        let units = [("days", 86_400), ("hours", 3600), ("minutes", 60)];
        let unit = units.into_iter().find(|(_, length)| seconds >= 2 * length);
        unit.map_or(("seconds", seconds), |(unit, length)| (unit, seconds / length))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::in_largest_unit(self.0.as_secs()) {
            ("seconds", 1) => f.write_str("1 second"),
            (unit, number) => write!(f, "{number} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_largest_unit_of_which_they_have_two() {
        let spans = [0, 1, 119, 120, 7200, 172_799, 172_800]
            .map(|seconds| Span::from(Duration::from_secs(seconds)).to_string());
        assert_eq!(
            spans,
            [
                "0 seconds",
                "1 second",
                "119 seconds",
                "2 minutes",
                "2 hours",
                "47 hours",
                "2 days"
            ]
        );
    }

    #[test]
    fn names_stand_between_backticks() {
        assert_eq!(Names::from_iter(["a", "b"]).to_string(), "`a`, `b`");
    }
}
