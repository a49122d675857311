//! Where an object lies: a relative path that cannot escape the store.

use std::fmt;

/// A path below the root of the store, `docker/registry/v2/…` or `wharf/…`.
///
/// Components are separated by one `/`; none is empty, `.` or `..`, and each byte is one of
/// `A-Z a-z 0-9 . _ + = -` (a superset of what registry:2's driver allows, `[A-Za-z0-9._-]`). So a key
/// is a safe relative path on any file system and a safe object name in any bucket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Why a string is not a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path that a store can have")]
pub struct KeyError(pub String);

impl Key {
    /// Checks `path`.
    ///
    /// # Errors
    ///
    /// When a component is empty, `.` or `..`, or has a character that keys cannot have.
    pub fn new(path: impl Into<String>) -> Result<Self, KeyError> {
        let path = path.into();
        if path.split('/').all(is_component) {
            Ok(Self(path.into()))
        } else {
            Err(KeyError(path))
        }
    }

    /// The path with `name` below it.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a part of a key.
    pub fn join(&self, name: &str) -> Result<Self, KeyError> {
        Self::new(format!("{}/{name}", self.0))
    }

    /// The directory that holds this key; `None` for a single component.
    pub fn parent(&self) -> Option<Self> {
        self.0.rfind('/').map(|slash| Self(self.0[..slash].into()))
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A path that the caller has built from parts that are known to be safe.
    pub(crate) fn from_safe(path: String) -> Self {
        debug_assert!(path.split('/').all(is_component), "unsafe key {path}");
        Self(path.into())
    }
}

/// Whether a name can be one component of a key.
pub(crate) fn is_component(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && component.bytes().all(is_component_byte)
}

/// Whether a component of a key can have that byte.
pub(crate) fn is_component_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'=')
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_escape_the_store() {
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b", "a b", "ä", "a\\b",
        ] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        for good in [
            "a",
            "a/b",
            "docker/registry/v2/repositories/a/_manifests/tags/1.0_x-Y/current/link",
        ] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn parent_and_name_split_at_the_last_slash() {
        let key = Key::new("a/b/c").unwrap();
        assert_eq!((key.parent().unwrap().as_str(), key.name()), ("a/b", "c"));
        assert_eq!(Key::new("a").unwrap().parent(), None);
    }
}
