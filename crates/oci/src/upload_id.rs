//! Upload ids: the last segment of an upload's URL, a UUID in practice.

use std::{borrow::Borrow, fmt, str::FromStr};

use crate::text::QuotedChar;

/// A valid upload id: 1 to 128 of `a-z`, `A-Z`, `0-9`, `-`, `_`, `.`, `=`, as `registry:2` routes them, and
/// never `.` or `..`, so that it is safe as the name of a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Box<str>);

impl UploadId {
    /// The most characters an id can have.
    pub const MAX_LEN: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
        if let Some(character) = text.chars().find(|&character| !allowed(character)) {
            return Err(UploadIdError::BadCharacter { character });
        }
        match text {
            "" => Err(UploadIdError::Empty),
            "." | ".." => Err(UploadIdError::Dots),
            _ if text.len() > Self::MAX_LEN => Err(UploadIdError::TooLong { got: text.len() }),
            _ => Ok(Self(text.into())),
        }
    }
}

impl AsRef<str> for UploadId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for UploadId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is not an upload id. The registry chooses the ids: use the `Location` of the last answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadIdError {
    /// The text is empty.
    #[error("the upload id is empty; use the `Location` of the last answer")]
    Empty,
    /// The text has more than 128 characters.
    #[error(
        "an upload id has at most {} characters, got {got}; use the `Location` of the last answer",
        UploadId::MAX_LEN
    )]
    TooLong {
        /// Number of characters.
        got: usize,
    },
    /// The text is `.` or `..`.
    #[error("`.` and `..` are no upload ids; use the `Location` of the last answer")]
    Dots,
    /// The text contains a character that ids cannot have.
    #[error("an upload id cannot contain {}; use the `Location` of the last answer", QuotedChar(*.character))]
    BadCharacter {
        /// The first such character.
        character: char,
    },
}
