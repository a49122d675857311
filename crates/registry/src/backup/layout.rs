//! Where the parts of a backup lie.

use wharf_oci::Digest;
use wharf_storage::{Key, KeyError};

use super::error::{Error, Result};

/// The file that says that a directory is an image layout, and its content.
pub(super) const OCI_LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
/// The manifests of an image layout.
pub(super) const INDEX: &str = "index.json";
pub(super) const BLOBS: &str = "blobs";
pub(super) const SNAPSHOTS: &str = "wharf/snapshots";

/// What a path in a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Blob(Digest),
    /// The document of a repository, by its SHA-256
    Repository(Digest),
    /// A file of the server, by its SHA-256
    Settings(Digest),
}

impl Place {
    /// Its path.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Blob(digest) => format!("{BLOBS}/{}/{}", digest.algorithm(), digest.hex()),
            Self::Repository(digest) => format!("wharf/repositories/{}.json", digest.hex()),
            Self::Settings(digest) => format!("wharf/settings/{}", digest.hex()),
        }
    }

    /// Its key in a store.
    pub(super) fn key(&self) -> Result<Key> {
        key(self.path())
    }

    /// What has the path; `None`: nothing that has a digest in its name.
    pub(super) fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let sha256 = |hex: &str| format!("sha256:{hex}").parse().ok();
        let place = match (parts.next()?, parts.next()?, parts.next()?) {
            (BLOBS, algorithm, hex) => Self::Blob(format!("{algorithm}:{hex}").parse().ok()?),
            ("wharf", "repositories", name) => Self::Repository(sha256(name.strip_suffix(".json")?)?),
            ("wharf", "settings", hex) => Self::Settings(sha256(hex)?),
            _ => return None,
        };
        parts.next().is_none().then_some(place)
    }

    /// The digest that its bytes must have.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::Blob(digest) | Self::Repository(digest) | Self::Settings(digest) => *digest,
        }
    }
}

/// A path of a backup as a key.
pub(super) fn key(path: impl Into<String>) -> Result<Key> {
    Key::new(path).map_err(|KeyError(path)| Error::refused(format!("`{path}` is no path of a backup")))
}

/// The path of the snapshot `id`.
pub(super) fn snapshot(id: &str) -> String {
    format!("{SNAPSHOTS}/{id}.json")
}

/// The snapshot that has the path.
pub(super) fn snapshot_id(path: &str) -> Option<&str> {
    let name = path.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?;
    name.strip_suffix(".json").filter(|id| !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_says_what_it_is() {
        let digest = Digest::sha256_of(b"a");
        for place in [
            Place::Blob(digest),
            Place::Blob(Digest::of(wharf_oci::Algorithm::Sha512, b"a")),
            Place::Repository(digest),
            Place::Settings(digest),
        ] {
            assert_eq!(Place::of(&place.path()), Some(place));
            assert_eq!(Place::of(&format!("{}/x", place.path())), None);
        }
        for other in [
            "index.json",
            "blobs/sha256",
            "blobs/sha256/12",
            "wharf/settings/x",
            "wharf/snapshots/a.json",
        ] {
            assert_eq!(Place::of(other), None, "{other}");
        }
        assert_eq!(snapshot_id(&snapshot("a")), Some("a"));
        assert_eq!(snapshot_id("wharf/snapshots/a/b.json"), None);
    }
}
