//! The search for images by names, labels, annotations and digests.
//!
//! Nothing is indexed: a request walks through the repositories in the order of their names, and through the tags of each, until it has
//! enough or has read as much as one request may. The next one goes on where it ended.

use std::{collections::BTreeMap, fmt, str::FromStr};

use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};

use super::{
    members::{Member, Members},
    order::PlaceError,
    repositories::RepositorySight,
    tags::{Located, TagWalk},
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tree::{
        manifest::{Facts, Viewed},
        parallel::in_parallel,
    },
};

/// How many manifests and configurations one request reads, apart from those of the last tags that it looks at.
const MOST_READ: usize = 1000;

/// How many names of repositories and tags one request looks at.
const MOST_NAMES: usize = 20_000;

/// How many repositories are asked of the store at once.
const REPOSITORIES: usize = 100;

/// How many tags are asked of the store at once where only their names are looked at, and how many where their images are.
const TAGS: usize = 1000;
const IMAGES: usize = 32;

/// How many manifests of one index are looked at.
const CHILDREN: usize = 16;

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 200;

/// What a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchIn {
    /// The names of repositories and of tags.
    Name,
    /// The labels of images, as `key=value`.
    Label,
    /// The annotations of manifests, as `key=value`.
    Annotation,
    /// The digests of manifests, configurations and layers.
    Digest,
}

impl SearchIn {
    /// All that a search can look at.
    pub const ALL: [Self; 4] = [Self::Name, Self::Label, Self::Annotation, Self::Digest];

    /// Its name in requests and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Label => "label",
            Self::Annotation => "annotation",
            Self::Digest => "digest",
        }
    }
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The text that is looked for, in upper or lower case.
    pub text: &'a str,
    /// What is looked at.
    pub within: &'a [SearchIn],
    /// The place after which the search goes on; `None`: at the start.
    pub after: Option<&'a SearchPlace>,
    /// How many hits the page has at most.
    pub limit: usize,
}

/// The place up to which a search has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPlace {
    repository: Box<str>,
    /// The last tag that was looked at, empty before the first one; `None`: the repository was looked at to its end.
    tag: Option<Box<str>>,
}

/// A page of hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The hits, by repository and tag. There may be none although others follow.
    pub hits: Vec<SearchHit>,
    /// The place after which the next page begins; `None`: everything was looked at.
    pub next: Option<SearchPlace>,
}

/// A repository or a tag that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchHit {
    /// The repository.
    pub repository: RepoName,
    /// The tag; `None`: the repository itself.
    pub tag: Option<Tag>,
    /// Digest of the manifest at which the tag points, where that was looked at.
    pub digest: Option<Digest>,
    /// Where the text was found.
    pub matches: Vec<SearchMatch>,
}

/// A place in which the text was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchMatch {
    /// The kind of the place.
    pub within: SearchIn,
    /// The name, the digest, or `key=value`; of a long one the beginning.
    pub text: String,
}

/// A search, as it is carried out.
struct Running<'a> {
    search: Search<'a>,
    /// The text in lower case.
    text: String,
    hits: Vec<SearchHit>,
    names: usize,
    read: usize,
}

impl Registry {
    /// The images that `search` finds and that are visible in `sight`: repositories, and tags by what they point at. Manifests without a
    /// tag are not found.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when too many lists are being made; errors of the store.
    pub async fn search(&self, search: Search<'_>, sight: &dyn RepositorySight) -> Result<SearchPage> {
        let _turn = turn(&self.budget().lists).await?;
        let mut running = Running {
            text: search.text.to_lowercase(),
            search,
            hits: Vec::new(),
            names: 0,
            read: 0,
        };
        let mut after: Box<str> = Box::default();
        if let Some(place) = search.after {
            after.clone_from(&place.repository);
            let repository: Option<RepoName> = place.repository.parse().ok();
            if let (Some(tag), Some(name)) = (&place.tag, repository.filter(|name| sight.sees(name, None)))
                && let Some(next) = self.search_tags(&mut running, &name, Some(tag), sight).await?
            {
                return Ok(running.page(Some(next)));
            }
        }
        while let Some(page) = self.next_repositories(&mut after, REPOSITORIES, sight).await? {
            let names = page.names.iter().filter_map(|name| name.parse::<RepoName>().ok());
            for name in names.filter(|name| sight.sees(name, None)) {
                running.names += 1;
                if let Some(found) = running.in_name(name.as_str()) {
                    running.hits.push(SearchHit {
                        repository: name.clone(),
                        tag: None,
                        digest: None,
                        matches: vec![found],
                    });
                }
                let stop = match running.is_over() {
                    true => Some(SearchPlace::before_tags_of(&name)),
                    false => self.search_tags(&mut running, &name, None, sight).await?,
                };
                if stop.is_some() {
                    return Ok(running.page(stop));
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(running.page(None))
    }

    /// Looks at the tags of `name` after `after`. Returns the place at which the page ends, if it does.
    async fn search_tags(
        &self,
        running: &mut Running<'_>,
        name: &RepoName,
        after: Option<&str>,
        sight: &dyn RepositorySight,
    ) -> Result<Option<SearchPlace>> {
        let mut walk = TagWalk::new(name, after.filter(|after| !after.is_empty()));
        let at_once = if running.looks_at_images() { IMAGES } else { TAGS };
        loop {
            let tags = match self.next_tags(&mut walk, at_once).await {
                Ok(Some(tags)) => tags,
                Ok(None) | Err(Error::NameUnknown { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            running.names += tags.len();
            let last = tags.last().cloned();
            let tags: Vec<Tag> = tags
                .into_iter()
                .filter(|tag| sight.sees(name, Some(tag)))
                .collect();
            for hit in self.hits_among(running, name, tags).await? {
                let place = hit.tag.as_ref().map(|tag| SearchPlace::after_tag(name, tag));
                running.hits.push(hit);
                if running.hits.len() >= running.search.limit {
                    return Ok(place);
                }
            }
            if running.is_over()
                && let Some(last) = last
            {
                return Ok(Some(SearchPlace::after_tag(name, &last)));
            }
        }
    }

    async fn hits_among(
        &self,
        running: &mut Running<'_>,
        name: &RepoName,
        tags: Vec<Tag>,
    ) -> Result<Vec<SearchHit>> {
        if !running.looks_at_images() {
            let named = tags.into_iter().filter_map(|tag| {
                Some(SearchHit {
                    repository: name.clone(),
                    digest: None,
                    matches: vec![running.in_name(tag.as_str())?],
                    tag: Some(tag),
                })
            });
            return Ok(named.collect());
        }
        let located = self.locate(name, tags).await?;
        let digests = located.iter().filter_map(|located| located.digest);
        let members = self.members(name, digests).await?;
        let searches = located
            .into_iter()
            .map(|located| self.search_image(running, name, located, &members));
        let searched: Vec<(usize, SearchHit)> = in_parallel(searches).await?;
        running.read += searched.iter().map(|(read, _)| read).sum::<usize>();
        let hits = searched.into_iter().map(|(_, hit)| hit);
        Ok(hits.filter(|hit| !hit.matches.is_empty()).collect())
    }

    /// What is found at a tag, and how many manifests and configurations were looked at.
    async fn search_image(
        &self,
        running: &Running<'_>,
        name: &RepoName,
        located: Located,
        members: &Members,
    ) -> Result<(usize, SearchHit)> {
        let mut matches: Vec<SearchMatch> = running.in_name(located.tag.as_str()).into_iter().collect();
        let mut read = 0;
        let root = located
            .digest
            .and_then(|digest| Some((digest, members.get(&digest)?)));
        if let Some((digest, Member::Here(facts))) = root {
            let children = facts.children.iter().take(CHILDREN);
            let children = children.filter_map(|child| match members.get(child)? {
                Member::Here(facts) => Some((*child, &**facts)),
                Member::Broken(_) => None,
            });
            for (digest, facts) in std::iter::once((digest, &**facts)).chain(children) {
                read += 1;
                let found = running.in_digests(&digest, facts);
                matches.extend(found.filter(|_| !is_among(&matches, SearchIn::Digest)));
                for within in [SearchIn::Annotation, SearchIn::Label] {
                    if running.looks_at(within) && !is_among(&matches, within) {
                        read += 1;
                        let texts = self.texts(name, &digest, facts, within).await?;
                        matches.extend(running.in_texts(within, &texts));
                    }
                }
            }
        } else if let Some(digest) = &located.digest {
            matches.extend(running.in_digest(digest));
        }
        let hit = SearchHit {
            repository: name.clone(),
            tag: Some(located.tag),
            digest: located.digest,
            matches,
        };
        Ok((read, hit))
    }

    /// The annotations of a manifest, or the labels of its image. What cannot be read has none.
    async fn texts(
        &self,
        name: &RepoName,
        digest: &Digest,
        facts: &Facts,
        within: SearchIn,
    ) -> Result<BTreeMap<String, String>> {
        if within == SearchIn::Annotation {
            let viewed = self
                .tree
                .manifests
                .view_soon(digest, |view| view.annotations.clone());
            return Ok(match viewed.await? {
                Viewed::Understood(annotations) => annotations,
                Viewed::Absent | Viewed::Damaged | Viewed::NoManifest(_) => BTreeMap::new(),
            });
        }
        Ok(match (&facts.config, facts.kind) {
            (Some(config), ArtifactKind::Image) => {
                let read = self.tree.configs.read(name, config).await?;
                read.map_or_else(|_unreadable| BTreeMap::new(), |config| config.labels)
            }
            _ => BTreeMap::new(),
        })
    }
}

fn is_among(matches: &[SearchMatch], within: SearchIn) -> bool {
    matches.iter().any(|found| found.within == within)
}

impl Running<'_> {
    fn looks_at(&self, within: SearchIn) -> bool {
        self.search.within.contains(&within)
    }

    fn looks_at_images(&self) -> bool {
        self.search.within.iter().any(|within| *within != SearchIn::Name)
    }

    /// Whether the page ends here.
    fn is_over(&self) -> bool {
        self.hits.len() >= self.search.limit || self.names > MOST_NAMES || self.read > MOST_READ
    }

    fn page(self, next: Option<SearchPlace>) -> SearchPage {
        SearchPage {
            hits: self.hits,
            next,
        }
    }

    fn in_name(&self, name: &str) -> Option<SearchMatch> {
        if !self.looks_at(SearchIn::Name) {
            return None;
        }
        self.found(SearchIn::Name, name)
    }

    fn in_digests(&self, digest: &Digest, facts: &Facts) -> Option<SearchMatch> {
        let mut all = std::iter::once(digest)
            .chain(facts.entries())
            .chain(facts.blobs());
        all.find_map(|digest| self.in_digest(digest))
    }

    fn in_digest(&self, digest: &Digest) -> Option<SearchMatch> {
        if !self.looks_at(SearchIn::Digest) {
            return None;
        }
        self.found(SearchIn::Digest, &digest.to_string())
    }

    fn in_texts(&self, within: SearchIn, texts: &BTreeMap<String, String>) -> Option<SearchMatch> {
        let mut texts = texts.iter().map(|(key, value)| format!("{key}={value}"));
        texts.find_map(|text| self.found(within, &text))
    }

    fn found(&self, within: SearchIn, text: &str) -> Option<SearchMatch> {
        let is_found = text.to_lowercase().contains(&self.text);
        is_found.then(|| SearchMatch {
            within,
            text: text.chars().take(SHOWN).collect(),
        })
    }
}

impl SearchPlace {
    fn before_tags_of(name: &RepoName) -> Self {
        Self {
            repository: name.as_str().into(),
            tag: Some(Box::default()),
        }
    }

    fn after_tag(name: &RepoName, tag: &Tag) -> Self {
        Self {
            repository: name.as_str().into(),
            tag: Some(tag.as_str().into()),
        }
    }
}

/// `team/app:1.0`
impl fmt::Display for SearchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl FromStr for SearchPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (repository, tag) = match text.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (text, None),
        };
        let is_tag = |tag: &str| tag.is_empty() || tag.parse::<Tag>().is_ok();
        match repository.parse::<RepoName>().is_ok() && tag.is_none_or(is_tag) {
            true => Ok(Self {
                repository: repository.into(),
                tag: tag.map(Into::into),
            }),
            false => Err(PlaceError),
        }
    }
}
