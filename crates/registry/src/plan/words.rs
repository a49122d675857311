//! Why something stays, in words.

use wharf_message::{Names, messages};
use wharf_oci::Digest;

messages! {
    /// Why something stays that one might expect to go: a clause about the tag or the manifest.
    pub enum Stays in "stays" {
        /// Tags are deleted without their images.
        TagsAlone = "tags-alone", "the deletion is of tags alone";
        /// Another tag points at it.
        AlsoTag { text tag: String } = "also-tag", "it also has the tag `{tag}`";
        /// Other tags point at it.
        AlsoTags { texts tags: Names } = "also-tags", "it also has the tags {tags}";
        /// These tags point at it, and `n` more.
        AlsoMoreTags { texts tags: Names, number n: usize } = "also-more-tags", "it also has the tags {tags} and {n} more";
        /// A tag that the client may not see points at it.
        AlsoHiddenTag = "also-hidden-tag", "it also has a tag that the client may not see";
        /// An index with a tag lists it.
        UnderTag { text tag: String } = "under-tag", "an index with the tag `{tag}` lists it";
        /// An index with several tags lists it.
        UnderTags { texts tags: Names } = "under-tags", "an index with the tags {tags} lists it";
        /// An index with these tags and `n` more lists it.
        UnderMoreTags { texts tags: Names, number n: usize } = "under-more-tags", "an index with the tags {tags} and {n} more lists it";
        /// An index with a tag that the client may not see lists it.
        UnderHiddenTag = "under-hidden-tag", "an index with a tag that the client may not see lists it";
        /// A manifest that stays lists it.
        Listed { text parent: Digest } = "listed", "the manifest `{parent}` lists it, which stays";
        /// It is about a manifest that stays.
        Belongs = "belongs", "it belongs to a manifest that stays";
        /// It is younger than manifests that go.
        Young = "young", "it is too young";
        /// The history of a tag has it, and the tag moved not long ago.
        InHistory = "in-history", "a tag pointed at it not long ago";
        /// Nothing can be said of manifests while one of the repository cannot be read.
        UnreadManifest { text digest: Digest } = "unread-manifest", "every other manifest, because the manifest `{digest}` cannot be read, and so it is unknown what it needs; push it again, or delete it by its digest";
        /// Nothing can be said of manifests while one with a tag cannot be read.
        UnreadTagged { text digest: Digest } = "unread-tagged", "every other manifest, because a tag points at the manifest `{digest}`, which cannot be read, and so it is unknown what it needs; push it again, or delete its tags";
        /// Nothing can be said of manifests by an unknown algorithm.
        UnknownAlgorithm = "unknown-algorithm", "every other manifest, because the repository has some by an unknown digest algorithm, and so it is unknown what these need";
        /// The directory has files of others.
        ForeignFiles = "foreign-files", "files in the directory of the repository that are not the registry's";
        /// It was pushed since the plan was made.
        PushedAgain = "pushed-again", "it was pushed again meanwhile";
        /// A tag was moved to it since the plan was made.
        TaggedByNow = "tagged-by-now", "a tag points at it by now";
        /// An index that lists it was pushed since the plan was made.
        ListedByNow = "listed-by-now", "an index lists it by now";
        /// What it is about is needed since the plan was made.
        SubjectNeeded = "subject-needed", "the manifest that it is about is needed by now";
        /// Other requests did not let the deletion come to an end.
        Disturbed = "disturbed", "requests that push it, or what lists it, keep coming";
        /// Pushes use layers of the repository.
        LayersInUse { number n: usize } = "layers-in-use", "{n} link(s) of layers, which pushes use by now";
    }
}

messages! {
    /// Why a list of manifests without a tag lacks some.
    pub enum Unshown in "unshown" {
        /// What is the reason follows.
        NotAll = "not-all", "not shown";
    }
}
