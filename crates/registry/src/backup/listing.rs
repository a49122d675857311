//! The pointers of one repository as the tree has them, read in the order tags, manifests, layers.

use std::collections::{BTreeSet, HashMap, HashSet};

use wharf_oci::{Digest, media_type};
use wharf_storage::{
    ErrorKind, Key, Scanned, Storage,
    layout::{self, InTree as _, Repository},
};

use super::{
    document::{Link, Manifest, Past, RepositoryDocument, Tag, Time},
    pruned::Losses,
};
use crate::{
    error::Result,
    tree::{
        link,
        manifest::Manifests,
        parallel::in_parallel,
        scan::{self, Scan},
    },
};

/// What a repository points at.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    pub(super) tags: Vec<Tag>,
    pub(super) manifests: Vec<Link>,
    pub(super) layers: Vec<Link>,
    /// Links that hold no digest, with the remedy
    pub(super) damaged: Vec<String>,
}

impl Pointers {
    /// Reads what `repository` points at.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn read(storage: &dyn Storage, repository: &Repository) -> wharf_storage::Result<Self> {
        let mut pointers = Self::default();
        pointers.tags = pointers.read_tags(storage, repository).await?;
        pointers.manifests = pointers
            .read_links(storage, &layout::revisions(repository))
            .await?;
        pointers.layers = pointers.read_links(storage, &layout::layers(repository)).await?;
        Ok(pointers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty() && self.layers.is_empty() && self.damaged.is_empty()
    }

    /// The digests of all bytes that it points at.
    pub(super) fn bytes(&self) -> HashSet<Digest> {
        let links = self.manifests.iter().chain(&self.layers);
        links.map(|link| link.digest).collect()
    }

    /// The digests of manifests at which tags point, and of which the repository has no link.
    pub(super) fn without_link(&self) -> HashSet<Digest> {
        let named: HashSet<Digest> = self.manifests.iter().filter_map(Link::name).collect();
        let current = self.tags.iter().map(|tag| tag.digest);
        current.filter(|digest| !named.contains(digest)).collect()
    }

    /// Its document, with what each manifest needs, but for those whose bytes are `lost`; and the manifests whose bytes have
    /// gone in the meantime.
    ///
    /// # Errors
    ///
    /// Errors of the store that has the manifests.
    pub(super) async fn describe(
        self,
        repository: &str,
        manifests: &Manifests,
        lost: &Losses,
    ) -> Result<(RepositoryDocument, HashSet<Digest>)> {
        let links = self.layers.iter().chain(&self.manifests);
        let known: HashSet<Digest> = links.filter_map(Link::name).collect();
        let known = &known;
        let described = self.manifests.into_iter().map(|link| async move {
            if lost.contains_key(&link.digest) {
                return Ok((Manifest::unknown(link), true));
            }
            let stored = match manifests.load(&link.digest).await {
                Ok(Some(stored)) => stored,
                Ok(None) => return Ok((Manifest::unknown(link), false)),
                // No manifest is as large.
                Err(error) if error.storage_kind() == Some(ErrorKind::TooLarge) => {
                    return Ok((Manifest::unknown(link), true));
                }
                Err(error) => return Err(error),
            };
            let facts = manifests.facts(&link.digest).await?;
            let named = facts
                .iter()
                .flat_map(|facts| facts.blobs().chain(facts.entries()));
            let needs: BTreeSet<Digest> = named.filter(|digest| known.contains(digest)).copied().collect();
            let described = Manifest {
                size: stored.bytes.len() as u64,
                media_type: stored.media_type.to_string(),
                needs: needs.into_iter().collect(),
                link,
            };
            Ok((described, true))
        });
        let described = in_parallel::<_, crate::Error, _>(described).await?;
        let gone = described.iter().filter(|(_, is_there)| !is_there);
        let gone = gone.map(|(manifest, _)| manifest.link.digest).collect();
        let document = RepositoryDocument {
            name: repository.to_owned(),
            tags: self.tags,
            manifests: described.into_iter().map(|(manifest, _)| manifest).collect(),
            layers: self.layers,
        };
        Ok((document, gone))
    }

    async fn read_tags(
        &mut self,
        storage: &dyn Storage,
        repository: &Repository,
    ) -> wharf_storage::Result<Vec<Tag>> {
        let prefix = layout::tags(repository);
        let mut scan = Scan::new(storage, &prefix);
        let mut histories: HashMap<Box<str>, Vec<Past>> = HashMap::new();
        let mut currents: Vec<(Box<str>, Scanned)> = Vec::new();
        while let Some(object) = scan.next().await? {
            let below = scan::below(&prefix, &object.key);
            let Some((name, rest)) = below.and_then(|below| below.split_once('/')) else {
                continue;
            };
            match rest.strip_prefix("index/").and_then(scan::named) {
                Some(digest) => histories.entry(name.into()).or_default().push(Past {
                    digest,
                    time: Time(object.stat.modified),
                }),
                None if rest == "current/link" => currents.push((name.into(), object)),
                None => {}
            }
        }
        let reads = currents.into_iter().map(|(name, object)| async move {
            let link = link::read(storage, &object.key).await;
            Ok::<_, wharf_storage::Error>((name, object, link))
        });
        let mut tags = Vec::new();
        for (name, object, link) in in_parallel(reads).await? {
            let what = || format!("the tag `{}:{name}`", repository.path());
            let Some(digest) = self.target(&object.key, link, what) else {
                continue;
            };
            tags.push(Tag {
                digest,
                time: Time(object.stat.modified),
                history: histories.remove(&name).unwrap_or_default(),
                name: name.into(),
            });
        }
        Ok(tags)
    }

    async fn read_links(&mut self, storage: &dyn Storage, prefix: &Key) -> wharf_storage::Result<Vec<Link>> {
        let mut scan = Scan::new(storage, prefix);
        let mut found: Vec<Scanned> = Vec::new();
        while let Some(object) = scan.next().await? {
            if scan::below(prefix, &object.key).is_some_and(scan::is_link) {
                found.push(object);
            }
        }
        let reads = found.into_iter().map(|object| async move {
            let link = link::read(storage, &object.key).await;
            Ok::<_, wharf_storage::Error>((object, link))
        });
        let mut links = Vec::new();
        for (object, link) in in_parallel(reads).await? {
            let Some(digest) = self.target(&object.key, link, || "a link".to_owned()) else {
                continue;
            };
            let path = scan::below(prefix, &object.key).unwrap_or_default();
            links.push(Link::at(path, digest, Time(object.stat.modified)));
        }
        Ok(links)
    }

    /// The digest that a link holds, if it is there and holds one.
    fn target(&mut self, key: &Key, link: link::Link, what: impl Fn() -> String) -> Option<Digest> {
        match link {
            link::Link::Absent => None,
            link::Link::Points(digest) => Some(digest),
            link::Link::Damaged(why) => {
                self.damaged.push(format!(
                    "{} is left out: `{key}` holds no digest ({why}), and the registry treats it as absent; push the image again, or \
                     remove the file",
                    what()
                ));
                None
            }
        }
    }
}

impl Link {
    /// The link at `path`, `<algorithm>/<hex>/link`, that holds `digest`.
    pub(super) fn at(path: &str, digest: Digest, time: Time) -> Self {
        let own = scan::named(path).is_some_and(|named| named == digest);
        let path = path.strip_suffix("/link").unwrap_or(path);
        Self {
            digest,
            path: (!own).then(|| path.to_owned()),
            time,
        }
    }
}

impl Manifest {
    /// One whose bytes are no manifest, or not there.
    fn unknown(link: Link) -> Self {
        Self {
            link,
            size: 0,
            media_type: media_type::OCTET_STREAM.to_owned(),
            needs: Vec::new(),
        }
    }
}
