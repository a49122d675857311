//! What a collection kept because it cannot be read, in words.

use wharf_message::messages;
use wharf_oci::Digest;

messages! {
    /// What is damaged or unknown in a repository, what is kept because of it, and what to do.
    pub enum KeptBecause in "kept" {
        /// A tag points nowhere.
        DamagedTag { text tag: Box<str>, english why: String } = "damaged-tag", "the tag `{tag}` points nowhere ({why}); all that it ever pointed at is kept; push the tag again, or delete it";
        /// A tag points at a manifest that is not there.
        DanglingTag { text tag: Box<str>, text digest: Digest } = "dangling-tag", "the tag `{tag}` points at `{digest}`, which is not there; push the tag again, or delete it";
        /// There may be manifests that cannot be looked for.
        UnknownAlgorithm { text algorithm: Box<str> } = "unknown-algorithm", "it may have manifests by the unknown digest algorithm `{algorithm}`; all of it is kept";
        /// The link of a manifest is that of another one.
        WrongRevision { text digest: Digest, text target: Digest } = "wrong-revision", "the link of the manifest `{digest}` points at `{target}`; both are kept; push the manifest again, or delete it";
        /// The link of a manifest is damaged.
        DamagedRevision { text digest: Digest, english why: String } = "damaged-revision", "the link of the manifest `{digest}` points nowhere ({why}); the manifest is kept; push it again, or delete it";
        /// The link of a layer is damaged.
        DamagedLayer { text digest: Digest, english why: String } = "damaged-layer", "the link of the layer `{digest}` points nowhere ({why}); the layer is kept; push it again";
        /// The bytes of a manifest are missing.
        MissingManifest { text digest: Digest } = "missing-manifest", "cannot read the manifest `{digest}` (its bytes are not there); all of the repository is kept; push the manifest again, or delete it";
        /// A manifest cannot be read.
        UnreadManifest { text digest: Digest, english why: String } = "unread-manifest", "cannot read the manifest `{digest}` ({why}); all of the repository is kept; push the manifest again, or delete it";
        /// A manifest that a deletion keeps cannot be read.
        UnreadInTrash { text digest: Digest, english why: String } = "unread-in-trash", "cannot read the manifest `{digest}`, which the trash keeps ({why}); all of the repository is kept; push the manifest again, or give the deletion up with `wharf trash empty`";
        /// A manifest with a tag, which is no manifest of the repository, cannot be read.
        UnreadTagged { text digest: Digest, text tag: Box<str>, english why: String } = "unread-tagged", "cannot read the manifest `{digest}`, at which the tag `{tag}` points ({why}); all of the repository is kept; push the tag again, or delete it";
    }
}

messages! {
    /// Where something was found; what it is follows.
    pub enum At in "at" {
        /// In a repository.
        Repository { text repository: Box<str> } = "repository", "repository `{repository}`";
    }
}
