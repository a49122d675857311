//! What checks find, and what to do about it, in words.

use wharf_message::messages;
use wharf_oci::Digest;

messages! {
    /// What is wrong.
    pub enum Damage in "damage" {
        /// A file without content stands in the place of a blob.
        EmptyBlob { text digest: Digest } = "empty-blob", "the blob `{digest}` has no bytes";
        /// The bytes of a blob are others.
        OtherBytes { text digest: Digest, bytes size: u64, text actual: Digest } = "other-bytes", "the {size} bytes of the blob `{digest}` are damaged: they hash to `{actual}`";
        /// The bytes of a blob cannot be read.
        UnreadBytes { text digest: Digest, bytes size: u64 } = "unread-bytes", "the {size} bytes of the blob `{digest}` are damaged: they cannot be read to their end";
        /// A blob is missing.
        MissingBlob { text digest: Digest } = "missing-blob", "the blob `{digest}` is not stored";
        /// A repository lacks the link of a manifest.
        UnlinkedManifest { text repository: Box<str>, text digest: Digest } = "unlinked-manifest", "`{repository}` does not have the manifest `{digest}`, which a manifest of it names";
        /// A repository lacks the link of a blob.
        UnlinkedBlob { text repository: Box<str>, text digest: Digest } = "unlinked-blob", "`{repository}` does not have the blob `{digest}`, which a manifest of it names";
        /// What is stored is no manifest.
        NoManifest { text digest: Digest, english why: String } = "no-manifest", "what is stored as the manifest `{digest}` is none: {why}";
        /// The link of a tag is damaged.
        DamagedTag { text repository: Box<str>, text tag: Box<str>, english why: String } = "damaged-tag", "the tag `{repository}:{tag}` points nowhere: {why}";
        /// The link of a manifest is damaged.
        DamagedRevision { text repository: Box<str>, text digest: Digest, english why: String } = "damaged-revision", "the link of the manifest `{repository}@{digest}` points nowhere: {why}";
        /// The link of a layer is damaged.
        DamagedLayer { text repository: Box<str>, text digest: Digest, english why: String } = "damaged-layer", "the link of the layer `{digest}` in `{repository}` points nowhere: {why}";
        /// A tag has a link that is not its own.
        WrongTag { text repository: Box<str>, text tag: Box<str>, text target: Digest } = "wrong-tag", "the tag `{repository}:{tag}` holds another digest, `{target}`";
        /// A manifest has a link that is not its own.
        WrongRevision { text repository: Box<str>, text digest: Digest, text target: Digest } = "wrong-revision", "the link of the manifest `{repository}@{digest}` holds another digest, `{target}`";
        /// A layer has a link that is not its own.
        WrongLayer { text repository: Box<str>, text digest: Digest, text target: Digest } = "wrong-layer", "the link of the layer `{digest}` in `{repository}` holds another digest, `{target}`";
        /// A tag points at a manifest that is not there.
        DanglingTag { text repository: Box<str>, text tag: Box<str>, text digest: Digest } = "dangling-tag", "the tag `{repository}:{tag}` points at `{digest}`, which is no manifest of `{repository}`";
        /// A history lacks the manifest of now.
        UnrecordedTag { text repository: Box<str>, text tag: Box<str> } = "unrecorded-tag", "the history of the tag `{repository}:{tag}` lacks the manifest at which it points";
        /// A history has a manifest that is not there.
        DanglingEntry { text repository: Box<str>, text tag: Box<str>, number n: usize, text first: Digest } = "dangling-entry", "the history of the tag `{repository}:{tag}` has {n} manifest that `{repository}` does not have any more, such as `{first}`";
        /// A history has manifests that are not there.
        DanglingHistory { text repository: Box<str>, text tag: Box<str>, number n: usize, text first: Digest } = "dangling-history", "the history of the tag `{repository}:{tag}` has {n} manifests that `{repository}` does not have any more, such as `{first}`";
        /// A tag without a link.
        EmptyTag { text repository: Box<str>, text tag: Box<str> } = "empty-tag", "the directory of the tag `{repository}:{tag}` has no link, so there is no such tag";
        /// A link of a layer that is not there.
        DanglingLayer { text repository: Box<str>, number n: usize, text first: Digest } = "dangling-layer", "`{repository}` has {n} layer that is not stored, such as `{first}`, and no manifest names";
        /// Links of layers that are not there.
        DanglingLayers { text repository: Box<str>, number n: usize, text first: Digest } = "dangling-layers", "`{repository}` has {n} layers that are not stored, such as `{first}`, and no manifest names";
        /// A repository of layers alone.
        Remains { text repository: Box<str>, number n: usize } = "remains", "`{repository}` has {n} layers, and no manifest";
        /// A directory that no repository can be, with one in it.
        UnreachableRepository { text path: Box<str> } = "unreachable-repository", "`{path}` holds a repository, or may hold one, and no repository can have that name";
        /// A repository that no client can name.
        ForeignRepository { text path: Box<str> } = "foreign-repository", "`{path}` has a name that no client can ask for";
        /// Something else.
        UnknownEntry { text path: Box<str> } = "unknown-entry", "`{path}` is no part of a registry";
        /// Directories without an end.
        Loop { text path: Box<str> } = "loop", "`{path}` is a loop of links, or deeper than any repository";
        /// Something that cannot be read.
        Unreadable { text path: Box<str>, english error: String } = "unreadable", "`{path}` cannot be read: {error}";
    }
}

messages! {
    /// What the operator can do about it.
    pub enum Remedy in "remedy" {
        /// Damaged bytes were moved aside, and images need them.
        PushQuarantined = "push-quarantined", "push one of these images again, or restore the blob from a backup";
        /// Damaged bytes were moved aside, and nothing needs them.
        RemoveQuarantined = "remove-quarantined", "nothing needs them; remove them when you do not want to look at them any more";
        /// An empty blob that nothing needs.
        CountsAsAbsent = "counts-as-absent", "none is needed: it counts as absent, and the collector removes it";
        /// Damaged bytes that images need.
        PushAndRepair = "push-and-repair", "push one of these images again, or restore the blob from a backup; `wharf fsck --repair` moves the bytes aside, so that the blob counts as absent; look at the disk as well";
        /// Damaged bytes that nothing needs.
        Repair = "repair", "no image needs it; `wharf fsck --repair` moves the bytes aside, or the collector removes them; look at the disk as well";
        /// Something of images is missing.
        PushOrDelete = "push-or-delete", "push one of these images again, or restore it from a backup, or delete it";
        /// What should be a manifest is none.
        DeleteAndPush = "delete-and-push", "delete it, and push the image again";
        /// A tag leads nowhere.
        PushTag = "push-tag", "push the tag again, restore it from a backup or its history (`wharf tag history`), or delete it";
        /// A link is damaged.
        PushLink = "push-link", "push one of these images again, or restore the link from a backup";
        /// A history lacks an entry.
        PushUnrecorded = "push-unrecorded", "push the tag again, so that a deletion by digest finds it";
        /// Leftovers of untagged manifests.
        CollectUntagged = "collect-untagged", "none is needed; `wharf garbage-collect --delete-untagged` removes what nothing needs";
        /// Leftovers.
        Collect = "collect", "none is needed; `wharf garbage-collect` removes what nothing needs";
        /// Layers without a manifest.
        CollectRemains = "collect-remains", "none if an image is being pushed; otherwise a push or a deletion did not end, and `wharf garbage-collect` removes the rest";
        /// A directory that no repository can be.
        Move = "move", "move it elsewhere, or rename it to a name that a repository can have; until then nothing is collected";
        /// A repository that no client can name.
        Rename = "rename", "rename it to lower case letters and digits, or remove it; until then its blobs stay";
        /// Something else.
        RemoveUnknown = "remove-unknown", "none is needed; remove it if you do not know it";
        /// A loop of links.
        RemoveLink = "remove-link", "remove the symbolic link";
        /// Something that cannot be read.
        GiveRights = "give-rights", "give it to the user of the registry (`chown`, `chmod`), or look at the disk, and check again";
    }
}
