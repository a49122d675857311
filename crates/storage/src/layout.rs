//! Every path that we ever read or write: registry:2's tree, and our own beside it.
//!
//! ```text
//! docker/registry/v2/
//! ├─ blobs/<alg>/<hex[0:2]>/<hex>/data                                bytes: layers, configs, manifests
//! └─ repositories/<name>/
//!    ├─ _layers/<alg>/<hex>/link                                      the repository may read the blob
//!    ├─ _manifests/revisions/<alg>/<hex>/link                         the repository may read the manifest
//!    ├─ _manifests/tags/<tag>/current/link                            what the tag points at
//!    ├─ _manifests/tags/<tag>/index/<alg>/<hex>/link                  every digest the tag ever had
//!    └─ _uploads/<id>/{data,startedat}                                bytes so far (file system engine)
//! wharf/                                                              ours; losing it loses no image
//! ├─ lock                                                             the process that uses this store
//! ├─ events/<endpoint>/…                                              what others are still to be told
//! ├─ staging/…                                                        files on their way to a rename
//! └─ uploads/<name, `=` for `/`>/<id>/{state,chunks/…}                uploads of the object engine
//! ```
//!
//! A link holds a digest as text, `sha256:<64 hex>`, without a newline. (Source: distribution,
//! `registry/storage/paths.go`.)
//!
//! What is pushed by SHA-512 lies under `blobs/sha512/`. registry:2 stores it under its SHA-256 instead, with the
//! SHA-256 in `_layers/sha512/<hex>/link`, and then its own collector deletes it, because the manifest names
//! the other digest. It reads both forms, and so do we; we write the one that survives.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, DigestError, RepoName, Tag, UploadId};

use crate::{Key, KeyError};

const V2: &str = "docker/registry/v2";

/// The most bytes that a link can have and still hold a digest.
pub const LINK_LIMIT: u64 = 1024;

/// The bytes of a blob, layer, config or manifest alike.
pub fn blob(digest: &Digest) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!(
        "{V2}/blobs/{algorithm}/{}/{hex}/data",
        &hex.as_str()[..2]
    ))
}

/// Where all blobs lie.
pub fn blobs() -> Key {
    Key::from_safe(format!("{V2}/blobs"))
}

/// Where all repositories lie.
pub fn repositories() -> Key {
    Key::from_safe(format!("{V2}/repositories"))
}

/// The directory of one repository; other repositories may lie below it.
pub fn repository(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}"))
}

/// That `name` may read the blob `digest`.
pub fn layer_link(name: &RepoName, digest: &Digest) -> Key {
    Key::from_safe(format!(
        "{V2}/repositories/{name}/_layers/{}/{}/link",
        digest.algorithm(),
        digest.hex()
    ))
}

/// The directory of all layer links of a repository.
pub fn layers(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_layers"))
}

/// That `name` may read the manifest `digest`.
pub fn revision_link(name: &RepoName, digest: &Digest) -> Key {
    Key::from_safe(format!(
        "{V2}/repositories/{name}/_manifests/revisions/{}/{}/link",
        digest.algorithm(),
        digest.hex()
    ))
}

/// The directory whose names are the algorithms, and below them the hex digits, of all manifests of a repository.
pub fn revisions(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_manifests/revisions"))
}

/// The directory whose names are the hex digits of the manifests that are known by `algorithm`.
pub fn revisions_of(name: &RepoName, algorithm: Algorithm) -> Key {
    Key::from_safe(format!(
        "{V2}/repositories/{name}/_manifests/revisions/{algorithm}"
    ))
}

/// The directory of everything that is a manifest or a tag.
pub fn manifests(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_manifests"))
}

/// The directory whose names are the tags of a repository.
pub fn tags(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_manifests/tags"))
}

/// Everything about one tag: what it points at, and its history.
pub fn tag(name: &RepoName, tag: &Tag) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_manifests/tags/{tag}"))
}

/// What a tag points at.
pub fn tag_link(name: &RepoName, tag: &Tag) -> Key {
    Key::from_safe(format!(
        "{V2}/repositories/{name}/_manifests/tags/{tag}/current/link"
    ))
}

/// That a tag once pointed at `digest`.
pub fn tag_history_link(name: &RepoName, tag: &Tag, digest: &Digest) -> Key {
    Key::from_safe(format!(
        "{V2}/repositories/{name}/_manifests/tags/{tag}/index/{}/{}/link",
        digest.algorithm(),
        digest.hex()
    ))
}

/// A repository as it lies in the tree, whatever its name: one that no request can have needs its blobs as well.
/// What the functions of this module say of a [`RepoName`], its methods say of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryDirectory(Key);

impl RepositoryDirectory {
    /// The directory `name` among all repositories, or in the repository `above`.
    pub fn find(above: Option<&Self>, name: &str) -> Result<Self, KeyError> {
        above
            .map_or_else(repositories, |above| above.0.clone())
            .join(name)
            .map(Self)
    }

    /// What comes after `repositories/`.
    pub fn name(&self) -> &str {
        &self.0.as_str()[V2.len() + "/repositories/".len()..]
    }

    /// The directory itself; other repositories may lie below it.
    pub fn key(&self) -> &Key {
        &self.0
    }

    /// The directory of everything that is a manifest or a tag.
    pub fn manifests(&self) -> Key {
        self.below("_manifests")
    }

    /// The directory of the uploads.
    pub fn uploads(&self) -> Key {
        self.below("_uploads")
    }

    /// The directory of the algorithms of all manifests.
    pub fn revisions(&self) -> Key {
        self.below("_manifests/revisions")
    }

    /// That the repository may read the manifest `digest`.
    pub fn revision_link(&self, digest: &Digest) -> Key {
        self.link_below("_manifests/revisions", digest)
    }

    /// The directory of the algorithms of all layer links.
    pub fn layers(&self) -> Key {
        self.below("_layers")
    }

    /// That the repository may read the blob `digest`.
    pub fn layer_link(&self, digest: &Digest) -> Key {
        self.link_below("_layers", digest)
    }

    /// The directory whose names are the tags.
    pub fn tags(&self) -> Key {
        self.below("_manifests/tags")
    }

    /// What the tag `tag`, the name of a directory in [`tags`](Self::tags), points at.
    pub fn tag_link(&self, tag: &str) -> Key {
        self.below(&format!("_manifests/tags/{tag}/current/link"))
    }

    /// The directory of the algorithms of all that the tag ever pointed at.
    pub fn tag_history(&self, tag: &str) -> Key {
        self.below(&format!("_manifests/tags/{tag}/index"))
    }

    /// That the tag once pointed at `digest`.
    pub fn tag_history_link(&self, tag: &str, digest: &Digest) -> Key {
        self.link_below(&format!("_manifests/tags/{tag}/index"), digest)
    }

    fn below(&self, path: &str) -> Key {
        Key::from_safe(format!("{}/{path}", self.0))
    }

    fn link_below(&self, path: &str, digest: &Digest) -> Key {
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        Key::from_safe(format!("{}/{path}/{algorithm}/{hex}/link", self.0))
    }
}

/// The directory of the uploads of a repository.
pub fn uploads(name: &RepoName) -> Key {
    Key::from_safe(format!("{V2}/repositories/{name}/_uploads"))
}

/// Where the object engine keeps all uploads.
pub(crate) fn object_uploads() -> Key {
    Key::from_safe("wharf/uploads".to_owned())
}

/// The directory of one upload in the object engine. No name of a repository contains `=`, so one
/// upload's directory never lies in that of another one.
pub(crate) fn object_upload(upload: &UploadKey) -> Key {
    let repository = upload.repository.as_str().replace('/', "=");
    Key::from_safe(format!("wharf/uploads/{repository}/{}", upload.id))
}

/// What the upload in `dir` consists of.
pub(crate) fn object_upload_state(dir: &Key) -> Key {
    Key::from_safe(format!("{dir}/state"))
}

/// Bytes of the upload in `dir`.
pub(crate) fn object_upload_chunk(dir: &Key, name: &str) -> Key {
    Key::from_safe(format!("{dir}/chunks/{name}"))
}

/// The directory of the upload that a key of the object engine belongs to.
pub(crate) fn object_upload_of(key: &Key) -> Option<Key> {
    let mut parts = key.as_str().strip_prefix("wharf/uploads/")?.split('/');
    let (repository, id) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some(Key::from_safe(format!("wharf/uploads/{repository}/{id}")))
}

/// How many values [`removal_rank`] has.
pub(crate) const REMOVAL_RANKS: u8 = 4;

/// In which order the objects of a tree must go where they cannot go at once, so that no pointer
/// outlives what it points to (I3): tags, their history, revisions, everything else.
pub(crate) fn removal_rank(path: &str) -> u8 {
    if path.contains("/_manifests/tags/") {
        u8::from(!path.ends_with("/current/link"))
    } else if path.contains("/_manifests/") {
        2
    } else {
        3
    }
}

/// One upload of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// Where it will go.
    pub repository: RepoName,
    /// Which one.
    pub id: UploadId,
}

/// What a link to `digest` holds.
pub fn link_content(digest: &Digest) -> Bytes {
    Bytes::from(digest.to_string())
}

/// The digest that a link holds. White space around it is forgiven: people edit these files.
pub fn parse_link(content: &[u8]) -> Result<Digest, DigestError> {
    let text = std::str::from_utf8(content).unwrap_or("");
    text.trim().parse()
}
