//! What lists and screens say about what they leave out, in words.

use wharf_message::messages;

messages! {
    /// Why the row of a repository, or the disk use of all, lacks something.
    pub enum LeftOut in "left-out" {
        /// It has more tags than are counted for a client that may see some.
        TooManyToTell = "too-many-to-tell", "it has too many tags to count those that you may pull";
        /// It has more tags than are counted.
        TooManyTags { number n: usize } = "too-many-tags", "it has more than {n} tags, which are not counted";
        /// It has more manifests than are added up.
        TooManyManifests { number n: usize } = "too-many-manifests", "it has more than {n} manifests, or very many directories of deleted ones; their size is not added up";
        /// It has more blobs than are added up.
        TooManyBlobs { number n: usize } = "too-many-blobs", "it has more than {n} blobs, of which the size is not added up";
        /// Some manifests do not state sizes.
        Unstated { number n: usize } = "unstated", "{n} of its manifests do not state the sizes of all that they name; what they leave out is not in the size";
        /// The store has more manifests than are looked at.
        StoreManifests { number n: usize } = "store-manifests", "the store has more than {n} manifests, so not all repositories are here, and what they share is not known";
        /// The store has more blobs than are looked at.
        StoreBlobs { number n: usize } = "store-blobs", "the store has more than {n} blobs, so not all repositories are here, and what they share is not known";
        /// The store has more repositories than are looked at.
        StoreRepositories { number n: usize } = "store-repositories", "the store has more than {n} repositories, so not all repositories are here, and what they share is not known";
        /// Some manifests could not be added up.
        Uncounted { number n: usize } = "uncounted", "{n} manifests are damaged, or do not state all sizes: what they leave out is not counted, so that the sizes are lower bounds, and what counts as the own of a repository may be shared with these";
        /// Referrers are not looked for.
        Referrers { number n: usize } = "referrers", "referrers: the repository has more than {n} manifests, among which they are not looked for; the API for images lists them";
        /// Tags of a manifest are not looked for.
        Tags { number n: usize } = "tags", "tags: the repository has more than {n}, of which not each is looked at";
        /// Tags of a manifest are not looked for, for a client that may see some.
        SomeTags = "some-tags", "tags: the repository has too many to look at each";
    }
}
