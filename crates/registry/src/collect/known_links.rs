//! What links hold, without reading each of them.
//!
//! On a directory a `stat` tells the version of a link, and what a link of that version held is remembered: a run over a store in
//! which nothing has changed opens no link.
//!
//! A bucket lists each object with its version. Mostly that is the MD5 of the content, and then it tells whether a link
//! holds the digest that its path names ([`told`](link::told)). Where it is not, or the link holds something else, the link is read
//! once, and what it held is remembered for that version: a run over a store in which nothing has changed reads no link.
//!
//! What is remembered is a fact about a version, so it cannot go stale, and losing it costs requests only. It is keyed by a hash
//! of 128 bits, with keys that no client knows, of the place and the version of the link; its memory is limited.

use std::{
    convert::Infallible,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::SystemTime,
};

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::{Key, Stat, Storage, Version};

use crate::{
    cache::FEW,
    tree::{
        link::{self, Link},
        parallel::in_parallel,
    },
};

/// How many links are remembered, some sixty bytes each.
const CAPACITY: u64 = 1 << 19;

/// How many links of a directory one job looks at.
const AT_ONCE: usize = 1024;

/// A link whose path names a digest, as a listing shows it.
#[derive(Debug, Clone)]
pub(super) struct ListedLink {
    /// Digest in the path of the link
    pub(super) digest: Digest,
    /// When the link was written; `None` when there is none
    pub(super) written: Option<SystemTime>,
    told: Told,
}

/// What a listing tells of the content of a link.
#[derive(Debug, Clone)]
enum Told {
    /// It holds the digest that its path names.
    Own,
    /// Nothing but its version, if that.
    Version(Option<Version>),
}

impl ListedLink {
    /// A directory of a digest without a link.
    pub(super) fn absent(digest: Digest) -> Self {
        Self {
            digest,
            written: None,
            told: Told::Own,
        }
    }

    /// Notes that there is a link.
    pub(super) fn found(&mut self, stat: Stat) {
        self.written = Some(stat.modified);
        self.told = match link::told(stat.version.as_ref(), [&self.digest]) {
            Some(_) => Told::Own,
            None => Told::Version(stat.version),
        };
    }
}

/// The reader of links.
#[derive(Debug)]
pub(crate) struct KnownLinks {
    storage: Arc<dyn Storage>,
    /// The digest that a link held; `None`: the one that its path names
    held: Cache<u128, Option<Box<Digest>>>,
    hashers: [RandomState; 2],
}

impl KnownLinks {
    /// Reads `storage`. Does no I/O.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            held: Cache::with_weighter(FEW, CAPACITY, UnitWeighter),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// What the link at `key` holds, which no listing showed; `own` is the digest that its path names, if it names one.
    async fn find(&self, key: &Key, own: Option<&Digest>) -> Link {
        if self.storage.is_shared() {
            // There a look takes as long as a read.
            return link::read(&*self.storage, key).await;
        }
        match self.storage.stat(key).await {
            Ok(stat) => self.look_up(key, stat.version.as_ref(), own).await,
            Err(error) if error.is_not_found() => Link::Absent,
            Err(error) => Link::Damaged(error.to_string()),
        }
    }

    /// What the links at `directory/<name>/<path>` hold, which no listing showed, in the order of the names; each is `named` with the
    /// digest that its path names, if it names one.
    pub(super) async fn find_below(
        &self,
        directory: &Key,
        named: Vec<(Box<str>, Option<Digest>)>,
        path: &Key,
    ) -> Vec<Link> {
        let jobs = named
            .chunks(AT_ONCE)
            .map(|chunk| async move { Ok::<_, Infallible>(self.find_some(directory, chunk, path).await) });
        let Ok(found) = in_parallel(jobs).await;
        found.into_iter().flatten().collect()
    }

    async fn find_some(
        &self,
        directory: &Key,
        named: &[(Box<str>, Option<Digest>)],
        path: &Key,
    ) -> Vec<Link> {
        let stats = match self.storage.is_shared() {
            true => None,
            false => {
                let names: Vec<Box<str>> = named.iter().map(|(name, _)| name.clone()).collect();
                self.storage.stat_below(directory, &names, path).await.ok()
            }
        };
        let stats = stats.unwrap_or_default();
        let mut links = Vec::with_capacity(named.len());
        for (number, (name, own)) in named.iter().enumerate() {
            let below = format!("{name}/{path}");
            links.push(match (stats.get(number), directory.join(&below)) {
                (Some(None), _) => Link::Absent,
                (Some(Some(stat)), Ok(key)) => self.look_up(&key, stat.version.as_ref(), own.as_ref()).await,
                // What went wrong concerns this link, or another one.
                (None, Ok(key)) => self.find(&key, own.as_ref()).await,
                (_, Err(error)) => Link::Damaged(error.to_string()),
            });
        }
        links
    }

    /// What the `listed` link at `key` holds.
    pub(super) async fn read(&self, key: &Key, listed: &ListedLink) -> Link {
        match (&listed.written, &listed.told) {
            (None, _) => Link::Absent,
            (Some(_), Told::Own) => Link::Points(listed.digest),
            (Some(_), Told::Version(version)) => {
                self.look_up(key, version.as_ref(), Some(&listed.digest)).await
            }
        }
    }

    /// What the link of a tag at `key` holds: mostly one of the digests in its history.
    pub(super) async fn read_tag(&self, key: &Key, stat: &Stat, history: &[Digest]) -> Link {
        match link::told(stat.version.as_ref(), history) {
            Some(digest) => Link::Points(digest),
            None => self.look_up(key, stat.version.as_ref(), None).await,
        }
    }

    /// What is remembered of that version of the link at `key`, or what it holds now.
    async fn look_up(&self, key: &Key, version: Option<&Version>, own: Option<&Digest>) -> Link {
        let place = version.map(|version| self.place(key, version));
        if let Some(held) = place.and_then(|place| self.held.get(&place))
            && let Some(digest) = held.as_deref().or(own)
        {
            return Link::Points(*digest);
        }
        match link::find_version(&*self.storage, key).await {
            Ok((link, found)) => {
                // Of another version than the listed one nothing is known.
                if let (Some(place), Link::Points(digest)) = (place, &link)
                    && found.as_ref() == version
                {
                    let held = (own != Some(digest)).then(|| Box::new(*digest));
                    self.held.insert(place, held);
                }
                link
            }
            Err(error) => Link::Damaged(error.to_string()),
        }
    }

    fn place(&self, key: &Key, version: &Version) -> u128 {
        let [high, low] = self
            .hashers
            .each_ref()
            .map(|hasher| u128::from(hasher.hash_one((key, version))));
        high << 64 | low
    }
}
