//! What is wrong with a part of an image, in words.

use wharf_message::messages;
use wharf_oci::Digest;

messages! {
    /// What is wrong with a manifest, a configuration or a layer.
    pub enum Flaw in "flaw" {
        /// The link of a tag is damaged.
        TagDamaged = "tag-damaged", "the link of the tag does not hold a digest; push the tag again";
        /// The repository has no link of the manifest.
        ManifestUnlinked { text digest: Digest } = "manifest-unlinked", "the manifest `{digest}` is not in the repository";
        /// The manifest is not stored.
        ManifestMissing { text digest: Digest } = "manifest-missing", "the manifest `{digest}` is not stored";
        /// The manifest cannot be read.
        ManifestUnread { text digest: Digest, english why: String } = "manifest-unread", "the manifest `{digest}` cannot be read: {why}";
        /// The manifest is large.
        ManifestTooLarge { text digest: Digest } = "manifest-too-large", "the manifest `{digest}` is too large to be shown";
        /// A list does not read as many manifests.
        NotRead = "not-read", "it has more manifests than a list reads; look at this image alone";
        /// The index has no image for the platform.
        NoPlatform { text digest: Digest } = "no-platform", "the index `{digest}` has no image for this platform";
        /// Indexes list each other.
        TooDeep = "too-deep", "indexes list each other deeper than images do";
        /// The repository has no link of the blob.
        Unlinked = "unlinked", "it is not in the repository";
        /// The blob is not stored.
        Missing = "missing", "it is not stored";
        /// The blob has another size.
        OtherSize { bytes stored: u64, bytes stated: u64 } = "other-size", "{stored} bytes of it are stored, and the manifest says {stated}";
        /// The repository has no link of the configuration.
        ConfigUnlinked { text digest: Digest } = "config-unlinked", "the configuration `{digest}` is not in the repository";
        /// The configuration is not stored.
        ConfigMissing { text digest: Digest } = "config-missing", "the configuration `{digest}` is not stored";
        /// The configuration is large.
        ConfigTooLarge { text digest: Digest } = "config-too-large", "the configuration `{digest}` is too large to be read";
        /// The configuration has other bytes.
        ConfigDamaged { text digest: Digest } = "config-damaged", "the bytes of the configuration `{digest}` are damaged";
        /// The configuration has another form.
        NoConfig = "no-config", "the configuration is no JSON object";
        /// The configuration is too large to be compared.
        ConfigNotCompared = "config-not-compared", "the configuration has more than 256 KiB, and is not compared";
    }
}
