//! Tags: `latest`, `1.4.2-alpine`, at most 128 characters.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::text::QuotedChar;

/// A valid tag. Cheap to clone.
///
/// The grammar is the distribution specification's ("Pulling manifests"): a letter, digit or `_`, then at most
/// 127 letters, digits, `.`, `_` or `-`. Hence a tag is never `.` or `..` and is safe as the name of a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The most characters a tag can have.
    pub const MAX_LEN: usize = 128;

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A tag that the caller has built from parts that are known to be safe.
    pub(crate) fn from_safe(text: &str) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "unsafe tag {text}");
        Self(text.into())
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let bytes = text.as_bytes();
        let valid = matches!(bytes, [first, ..] if !matches!(first, b'.' | b'-'))
            && bytes.len() <= Self::MAX_LEN
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(explain(text))
        }
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is not a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The text is empty.
    #[error("the tag is empty")]
    Empty,
    /// The text has more than 128 characters.
    #[error("a tag has at most {} characters, got {got}", Tag::MAX_LEN)]
    TooLong {
        /// Number of characters.
        got: usize,
    },
    /// The text begins with `.` or `-`.
    #[error("a tag starts with a letter, a digit or `_`, not with `{character}`")]
    BadStart {
        /// The first character.
        character: char,
    },
    /// The text contains a character that tags cannot have.
    #[error("a tag cannot contain {}; allowed are letters, digits, `_`, `.` and `-`", QuotedChar(*.character))]
    BadCharacter {
        /// The first such character.
        character: char,
    },
}

fn explain(text: &str) -> TagError {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    if let Some(character) = text.chars().find(|&character| !allowed(character)) {
        return TagError::BadCharacter { character };
    }
    match text.chars().next() {
        None => TagError::Empty,
        Some(character @ ('.' | '-')) => TagError::BadStart { character },
        Some(_) => TagError::TooLong { got: text.len() },
    }
}
