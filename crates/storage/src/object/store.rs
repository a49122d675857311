//! What the engine asks of a store: the traits of `object_store`, and what those do not have.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use object_store::{
    Error, MultipartId, ObjectMeta, ObjectStore, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use crate::Obstacle;

/// A store of objects.
///
/// A put, a copy and the completion of a multipart upload are each atomic, and durable when acknowledged. A completed
/// multipart upload consists of exactly the parts that the completion names: a part that was written again since then
/// makes it fail.
#[async_trait]
pub trait Store: ObjectStore + MultipartStore {
    /// The first `most` objects below the directory `prefix` whose keys are greater than `after`, sorted by the bytes of
    /// their keys. Fewer only if there are no more. Objects that no [`Path`] can name are left out.
    ///
    /// # Errors
    ///
    /// Those of [`ObjectStore::list`].
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let listed = match after {
            Some(after) => self.list_with_offset(Some(prefix), after),
            None => self.list(Some(prefix)),
        };
        listed.take(most).try_collect().await
    }

    /// Copies bytes of an object into a part of a multipart upload, without sending them through this process.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] where the store cannot; the caller then reads and writes.
    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        let _ = copy;
        Err(unsupported("copying into a part"))
    }

    /// The multipart uploads at the key `prefix`, or below the directory `prefix`, that are neither completed nor aborted.
    /// Some stores tell only those at exactly the key.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] where the store cannot list them.
    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        let _ = prefix;
        Err(unsupported("listing multipart uploads"))
    }

    /// A URL under which a client reads from the store itself; `None` where the store has none.
    ///
    /// # Errors
    ///
    /// When the store's credentials cannot be obtained.
    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        let _ = get;
        Ok(None)
    }

    /// Removes the object at `path`, unless it is `until` or later by the clock of the store when it takes up the request: a
    /// store of S3 refuses a presigned request that has expired.
    ///
    /// # Errors
    ///
    /// [`Error::Precondition`] when it is too late; [`Error::NotSupported`] where the store takes requests at any time.
    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        let _ = (path, until);
        Err(unsupported("requests that expire"))
    }

    /// What the store honours, as far as it is known.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }
}

/// A copy of a range of an object into a part of a multipart upload.
#[derive(Debug, Clone)]
pub struct PartCopy<'a> {
    /// The object to copy from
    pub from: &'a Path,
    /// Its bytes
    pub range: Range<u64>,
    /// The object that the multipart upload is to become
    pub to: &'a Path,
    /// The multipart upload
    pub id: &'a MultipartId,
    /// Number of the part, from 0
    pub part: usize,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMultipart {
    /// The object that it is to become
    pub path: Path,
    /// What the store calls it
    pub id: MultipartId,
    /// When it was begun
    pub begun: SystemTime,
}

/// A request that a client is to make to the store.
#[derive(Debug, Clone)]
pub struct SignedGet<'a> {
    /// The object
    pub path: &'a Path,
    /// How long the URL is to be valid
    pub ttl: Duration,
}

/// What a store is known to honour; what is not known counts as not honoured.
///
/// Safety does not rest on conditions. It does rest on `checks_parts`, `refuses_expired` and `is_consistent` as soon as
/// there is more than one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Whether of several puts at once that want no object at the key one wins
    pub creates: bool,
    /// How a put is refused when the object that it is to replace is another one by now
    pub cas: Cas,
    /// Whether a removal is refused when the object is another one by now
    pub delete_if_match: bool,
    /// Whether the entity tag of an object that one put wrote is the MD5 of its content
    pub e_tag_is_md5: bool,
    /// Whether a multipart upload is not completed when a part is another one than the completion names
    pub checks_parts: bool,
    /// Whether a signed URL is refused after its time
    pub refuses_expired: bool,
    /// Whether reads and lists have what was written or removed before
    pub is_consistent: bool,
    /// Whether flat lists are sorted by the bytes of keys
    pub sorts_lists: bool,
    /// Whether it copies an object into a part of a multipart upload
    pub copies_parts: bool,
    /// Whether it lists the multipart uploads below a directory
    pub lists_multiparts: bool,
    /// Whether a signed URL can be read
    pub signs: bool,
    /// How far this machine's clock is ahead of the store's
    pub skew: Option<SignedDuration>,
}

/// The form of an entity tag in `If-Match` that a store compares rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cas {
    /// As the store gives it, in quotes
    Quoted,
    /// Without the quotes
    Unquoted,
    /// None: the store ignores the condition, refuses it, or lets two puts at once win
    None,
}

impl Abilities {
    /// What is assumed of a store before anything is known about it.
    pub const UNKNOWN: Self = Self {
        creates: false,
        cas: Cas::None,
        delete_if_match: false,
        e_tag_is_md5: false,
        checks_parts: false,
        refuses_expired: false,
        is_consistent: false,
        sorts_lists: false,
        copies_parts: false,
        lists_multiparts: false,
        signs: false,
        skew: None,
    };

    /// What keeps bytes from being removed beside other processes.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let skew = self
            .skew
            .filter(|skew| skew.unsigned_abs() > Obstacle::LONGEST_SKEW);
        let obstacles = [
            (*self == Self::UNKNOWN).then_some(Obstacle::Unknown),
            (!self.refuses_expired).then_some(Obstacle::ObeysExpired),
            (!self.is_consistent).then_some(Obstacle::Stale),
            (!self.sorts_lists).then_some(Obstacle::Unsorted),
            skew.map(Obstacle::Skew),
        ];
        obstacles.into_iter().flatten().next()
    }

    /// Each ability by name, and whether the store has it.
    pub fn table(&self) -> [(&'static str, bool); 11] {
        [
            ("conditional_create", self.creates),
            ("conditional_replace", self.cas != Cas::None),
            ("conditional_delete", self.delete_if_match),
            ("etag_is_md5", self.e_tag_is_md5),
            ("checks_parts", self.checks_parts),
            ("refuses_expired_urls", self.refuses_expired),
            ("consistent", self.is_consistent),
            ("sorted_lists", self.sorts_lists),
            ("copies_parts", self.copies_parts),
            ("lists_multipart_uploads", self.lists_multiparts),
            ("signed_urls", self.signs),
        ]
    }
}

/// A store in the memory of one process.
impl Default for Abilities {
    fn default() -> Self {
        Self {
            creates: true,
            cas: Cas::Quoted,
            checks_parts: true,
            refuses_expired: true,
            is_consistent: true,
            sorts_lists: true,
            copies_parts: true,
            lists_multiparts: true,
            ..Self::UNKNOWN
        }
    }
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported {
        source: format!("this store does not support {what}").into(),
    }
}

/// A slow store, for the tests of other crates: only the operations of `object_store` are slow.
#[cfg(feature = "testing")]
impl<T: Store> Store for object_store::throttle::ThrottledStore<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_stays_where_a_store_does_not_keep_what_removals_rely_on() {
        let with = |change: fn(&mut Abilities)| {
            let mut abilities = Abilities::default();
            change(&mut abilities);
            abilities.obstacle()
        };
        assert_eq!(Abilities::UNKNOWN.obstacle(), Some(Obstacle::Unknown));
        assert_eq!(with(|_| {}), None);
        assert_eq!(
            with(|store| store.refuses_expired = false),
            Some(Obstacle::ObeysExpired)
        );
        assert_eq!(with(|store| store.is_consistent = false), Some(Obstacle::Stale));
        assert_eq!(with(|store| store.sorts_lists = false), Some(Obstacle::Unsorted));
        assert_eq!(
            with(|store| store.skew = Some(SignedDuration::from_secs(-60))),
            None
        );
        let late = SignedDuration::from_secs(61);
        assert_eq!(
            with(|store| store.skew = Some(SignedDuration::from_secs(61))),
            Some(Obstacle::Skew(late))
        );
        // What removals do not rely on.
        assert_eq!(with(|store| store.creates = false), None);
        assert_eq!(with(|store| store.checks_parts = false), None);
    }
}
