//! References: a tag or a digest, which names a manifest in a URL.

use std::{fmt, str::FromStr};

use crate::{
    Digest, DigestError, Tag, TagError,
    text::{Quoted, shortened},
};

/// A tag or a digest. A tag has no colon and a digest has one, so the text form is never ambiguous.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A tag, which can be moved to another manifest.
    Tag(Tag),
    /// The digest of the manifest.
    Digest(Digest),
}

impl Reference {
    /// The tag, if it is one.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }

    /// The digest, if it is one.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Tag(_) => None,
            Self::Digest(digest) => Some(digest),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Some((tag, digest)) = text.split_once('@')
            && digest.contains(':')
        {
            Err(ReferenceError::TagAndDigest {
                tag: shortened(tag),
                digest: shortened(digest),
            })
        } else if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// Why a text is neither a tag nor a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text has no colon, and is not a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The text has a colon, and is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The text has an at sign, as `name:tag@digest` has in references of images.
    #[error("a tag and a digest were given, {} and {}; one is enough", Quoted(.tag), Quoted(.digest))]
    TagAndDigest {
        /// Text before the at sign.
        tag: String,
        /// Text behind the at sign.
        digest: String,
    },
}
