//! The search for images by names, labels, annotations and digests.
//!
//! Nothing is indexed: a request walks through the repositories in the order of their names, and through the tags of each, until it has
//! enough or has read as much as one request may. The next one goes on where it ended.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use wharf_oci::{ArtifactKind, Digest, ImageConfig, RepoName, Tag};

use super::{
    members::{CHILDREN, Member, Members},
    order::PlaceError,
    reads::{LISTING, Reads, Spent},
    repositories::RepositorySight,
    tags::{Located, Named, TagWalk},
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tree::{
        manifest::{Facts, INLINE, Viewed},
        parallel::{in_background, in_parallel},
    },
};

/// How many links of tags, manifests and configurations one request reads.
const MOST_READ: usize = 2000;

/// How many it reads of its first tags, whatever they point at, so that every search goes on: some thousand manifests, and of each the
/// annotations and the configuration.
const MOST_AT_FIRST: usize = 3 * 2100;

/// How many names of repositories and tags one request looks at.
const MOST_NAMES: usize = 20_000;

/// To look for a text in so many digests costs as much as a read.
const DIGESTS: usize = 1000;

/// How many repositories are asked of the store at once.
const REPOSITORIES: usize = 100;

/// How many repositories are looked into at once.
const GROUP: usize = 8;

/// How many tags are asked of the store at once where only their names are looked at, and how many where their images are.
const TAGS: usize = 1000;
const IMAGES: usize = 32;

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
    /// How many images were not looked at whole: manifests of them are missing or damaged, or they have too many parts. A repository with too few visible
    /// tags among very many counts as one.
    pub incomplete: usize,
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

/// A search, as it is carried out. What is looked at at once shares it.
struct Running<'a> {
    search: Search<'a>,
    /// The text in lower case.
    text: String,
    names: Reads,
    reads: Reads,
}

/// The images that some tags point at, and what may still be read to look into them.
struct Batch<'a> {
    name: &'a RepoName,
    members: Arc<Members>,
    /// The matches in digests, by the manifest that names them.
    in_digests: HashMap<Digest, SearchMatch>,
    reads: &'a Reads,
}

/// What was found in one repository.
#[derive(Default)]
struct Found {
    hits: Vec<SearchHit>,
    incomplete: usize,
    /// The place up to which it was looked at; `None`: to its end.
    stop: Option<SearchPlace>,
}

impl Found {
    /// Adds what was found at tags, at each with whether all of its image was looked at.
    fn add(&mut self, searched: Vec<(bool, SearchHit)>) {
        for (is_complete, hit) in searched {
            self.incomplete += usize::from(!is_complete);
            self.hits.extend(Some(hit).filter(|hit| !hit.matches.is_empty()));
        }
    }
}

/// Where a search begins in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start<'a> {
    /// At its name.
    Name,
    /// After this tag; at the first one if it is empty.
    After(&'a str),
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
        let running = Running {
            text: search.text.to_lowercase(),
            search,
            names: Reads::new(MOST_NAMES),
            reads: Reads::new(MOST_READ),
        };
        let mut page = SearchPage {
            hits: Vec::new(),
            next: None,
            incomplete: 0,
        };
        let mut after: Box<str> = Box::default();
        let mut is_first = true;
        if let Some(place) = search.after {
            after.clone_from(&place.repository);
            let repository: Option<RepoName> = place.repository.parse().ok();
            if let (Some(tag), Some(name)) = (&place.tag, repository.filter(|name| sight.sees(name, None))) {
                let start = (Start::After(tag), is_first);
                let found = self.search_in(&running, &name, start, sight).await?;
                is_first = false;
                if page.add(&running, &name, found) {
                    return Ok(page);
                }
            }
        }
        while let Some(names) = self.next_repositories(&mut after, REPOSITORIES, sight).await? {
            let visible = names
                .names
                .iter()
                .filter_map(|name| name.parse::<RepoName>().ok());
            let visible: Vec<RepoName> = visible.filter(|name| sight.sees(name, None)).collect();
            for group in visible.chunks(GROUP) {
                let searches = group.iter().enumerate().map(|(number, name)| {
                    let start = (Start::Name, is_first && number == 0);
                    self.search_in(&running, name, start, sight)
                });
                let found: Vec<Found> = in_parallel(searches).await?;
                is_first = false;
                for (name, found) in group.iter().zip(found) {
                    if page.add(&running, name, found) {
                        return Ok(page);
                    }
                }
            }
            if !names.more {
                break;
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Looks at a repository, from `start`, until it has as many hits as a page, or the request has read as much as it may. Of the `first`
    /// one of a request some tags are looked at in any case, so that a search goes on.
    async fn search_in(
        &self,
        running: &Running<'_>,
        name: &RepoName,
        (start, mut is_first): (Start<'_>, bool),
        sight: &dyn RepositorySight,
    ) -> Result<Found> {
        let mut found = Found::default();
        // Whether `place` is further than the request that asked for this page had come.
        let mut goes_on = start == Start::Name;
        let (mut walk, mut place) = match start {
            Start::Name => {
                _ = running.names.take(1);
                found
                    .hits
                    .extend(running.in_name(name.as_str()).map(|found| SearchHit {
                        repository: name.clone(),
                        tag: None,
                        digest: None,
                        matches: vec![found],
                    }));
                (TagWalk::new(name, None), SearchPlace::before_tags_of(name))
            }
            Start::After(tag) => (
                TagWalk::new(name, Some(tag).filter(|tag| !tag.is_empty())),
                SearchPlace {
                    repository: name.as_str().into(),
                    tag: Some(tag.into()),
                },
            ),
        };
        let at_once = if running.looks_at_images() { IMAGES } else { TAGS };
        while found.hits.len() < running.search.limit {
            let tags = match self.next_tags(&mut walk, at_once).await {
                Ok(Some(tags)) => tags,
                Ok(None) => return Ok(found),
                Err(Error::NameUnknown { .. }) => {
                    _ = running.names.take(LISTING);
                    return Ok(found);
                }
                Err(error) => return Err(error),
            };
            _ = running.names.take(LISTING + tags.len());
            let visible = tags
                .into_iter()
                .filter(|named| sight.sees(name, Some(&named.tag)));
            let visible: Vec<Named> = visible.collect();
            // A page ends at a tag that is visible: its place goes to the client.
            if visible.is_empty() {
                match running.names.are_spent() {
                    true if goes_on => break,
                    // No place in the repository is one at which the client could go on.
                    true => {
                        found.incomplete += 1;
                        return Ok(found);
                    }
                    false => continue,
                }
            }
            let Some(last) = self
                .add_hits(running, (name, is_first), visible, &mut found)
                .await?
            else {
                break;
            };
            (place, goes_on, is_first) = (SearchPlace::after_tag(name, &last), true, false);
            if running.is_over() {
                break;
            }
        }
        found.stop = Some(place);
        Ok(found)
    }

    /// Adds what is found at `tags`. Returns the last one that was looked at; `None`: the request has read as much as it may. Of its first
    /// tags, it looks at one in any case.
    async fn add_hits(
        &self,
        running: &Running<'_>,
        (name, is_first): (&RepoName, bool),
        tags: Vec<Named>,
        found: &mut Found,
    ) -> Result<Option<Tag>> {
        let first = tags.first().cloned();
        let last = tags.last().map(|named| named.tag.clone());
        if !running.looks_at_images() {
            found
                .hits
                .extend(tags.into_iter().filter_map(|Named { tag, .. }| {
                    Some(SearchHit {
                        repository: name.clone(),
                        digest: None,
                        matches: vec![running.in_name(tag.as_str())?],
                        tag: Some(tag),
                    })
                }));
            return Ok(last);
        }
        if !is_first {
            let searched = self.search_images(running, name, tags, &running.reads).await?;
            // The next request reads them whole.
            if running.reads.are_spent() {
                return Ok(None);
            }
            found.add(searched);
            return Ok(last);
        }
        let reads = Reads::new(MOST_AT_FIRST);
        let searched = self.search_images(running, name, tags, &reads).await?;
        _ = running.reads.take(MOST_AT_FIRST - reads.left());
        let first_tag = first.as_ref().map(|named| named.tag.clone());
        if !reads.are_spent() || first_tag == last {
            found.add(searched);
            return Ok(last);
        }
        // All of them are too much for one request, which ends here.
        let (reads, tags) = (Reads::new(MOST_AT_FIRST), first.into_iter().collect());
        found.add(self.search_images(running, name, tags, &reads).await?);
        Ok(first_tag)
    }

    /// What is found at `tags`, each with whether all of its image was looked at; as much of it as there are `reads` for.
    async fn search_images(
        &self,
        running: &Running<'_>,
        name: &RepoName,
        tags: Vec<Named>,
        reads: &Reads,
    ) -> Result<Vec<(bool, SearchHit)>> {
        if let Err(Spent) = reads.take(tags.len()) {
            return Ok(Vec::new());
        }
        let located = self.locate(name, tags).await?;
        let digests = located.iter().filter_map(|located| located.digest);
        let members = Arc::new(self.members(name, digests, false, reads).await?);
        let batch = Batch {
            name,
            in_digests: running.in_digests(&members, reads).await?,
            members,
            reads,
        };
        let searches = located
            .into_iter()
            .map(|located| self.search_image(running, &batch, located));
        in_parallel(searches).await
    }

    /// What is found at a tag, and whether all of its image was looked at.
    async fn search_image(
        &self,
        running: &Running<'_>,
        batch: &Batch<'_>,
        located: Located,
    ) -> Result<(bool, SearchHit)> {
        let mut matches: Vec<SearchMatch> = running.in_name(located.tag.as_str()).into_iter().collect();
        let mut is_complete = located.digest.is_some();
        if let Some(root) = &located.digest {
            let parts = Parts::of(root, &batch.members);
            is_complete = parts.are_all;
            let mut digests = parts.manifests.iter().map(|(digest, _)| digest);
            matches.extend(match parts.manifests.is_empty() {
                true => running.in_digest(root),
                false => digests.find_map(|digest| batch.in_digests.get(digest).cloned()),
            });
            'parts: for (digest, facts) in parts.manifests {
                for within in [SearchIn::Annotation, SearchIn::Label] {
                    if !running.looks_at(within) || is_among(&matches, within) {
                        continue;
                    }
                    if let Err(Spent) = batch.reads.take(1) {
                        is_complete = false;
                        break 'parts;
                    }
                    let texts = self.texts(batch.name, &digest, facts, within).await?;
                    is_complete &= within != SearchIn::Label || texts.len() < ImageConfig::MOST;
                    matches.extend(running.in_texts(within, texts).await?);
                }
            }
        }
        let hit = SearchHit {
            repository: batch.name.clone(),
            tag: Some(located.tag),
            digest: located.digest,
            matches,
        };
        Ok((is_complete, hit))
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

    /// Whether the request has looked at as much as it may.
    fn is_over(&self) -> bool {
        self.names.are_spent() || self.reads.are_spent()
    }

    fn in_name(&self, name: &str) -> Option<SearchMatch> {
        if !self.looks_at(SearchIn::Name) {
            return None;
        }
        self.found(SearchIn::Name, name)
    }

    /// The matches in the digests of manifests and in those that they name, by the manifest: of each the first one. What that takes is
    /// bounded by what is kept of manifests, and counts as reads.
    async fn in_digests(
        &self,
        members: &Arc<Members>,
        reads: &Reads,
    ) -> Result<HashMap<Digest, SearchMatch>> {
        if !self.looks_at(SearchIn::Digest) {
            return Ok(HashMap::new());
        }
        let named = members.readable();
        let named: usize = named
            .map(|(_, facts)| 1 + facts.entries().count() + facts.blobs().count())
            .sum();
        _ = reads.take_some(named / DIGESTS);
        let (members, text) = (Arc::clone(members), self.text.clone());
        let look = move || {
            let found = members.readable().filter_map(|(digest, facts)| {
                let mut all = std::iter::once(digest)
                    .chain(facts.entries())
                    .chain(facts.blobs());
                let found = all.find_map(|named| found(SearchIn::Digest, &named.to_string(), &text));
                Some((*digest, found?))
            });
            found.collect()
        };
        Ok(in_background(look).await?)
    }

    fn in_digest(&self, digest: &Digest) -> Option<SearchMatch> {
        if !self.looks_at(SearchIn::Digest) {
            return None;
        }
        self.found(SearchIn::Digest, &digest.to_string())
    }

    async fn in_texts(
        &self,
        within: SearchIn,
        texts: BTreeMap<String, String>,
    ) -> Result<Option<SearchMatch>> {
        let size: usize = texts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let text = self.text.clone();
        let look = move || {
            let mut texts = texts.iter().map(|(key, value)| format!("{key}={value}"));
            texts.find_map(|candidate| found(within, &candidate, &text))
        };
        Ok(match size {
            ..=INLINE => look(),
            _ => in_background(look).await?,
        })
    }

    fn found(&self, within: SearchIn, text: &str) -> Option<SearchMatch> {
        found(within, text, &self.text)
    }
}

/// The match of `wanted`, which is in lower case, in `text`.
fn found(within: SearchIn, text: &str, wanted: &str) -> Option<SearchMatch> {
    let is_found = text.to_lowercase().contains(wanted);
    is_found.then(|| SearchMatch {
        within,
        text: text.chars().take(SHOWN).collect(),
    })
}

impl SearchPage {
    /// Adds what was found in `name`, the next repository. Returns whether the page ends here.
    fn add(&mut self, running: &Running<'_>, name: &RepoName, found: Found) -> bool {
        let room = running.search.limit.saturating_sub(self.hits.len());
        self.incomplete += found.incomplete;
        let is_cut = found.hits.len() > room;
        self.hits.extend(found.hits.into_iter().take(room));
        let is_whole = !is_cut && found.stop.is_none();
        self.next = match (is_cut, found.stop) {
            (true, _) => self.hits.last().map(SearchHit::place),
            (false, Some(stop)) => Some(stop),
            (false, None) => Some(SearchPlace::at_the_end_of(name)),
        };
        !is_whole || self.hits.len() >= running.search.limit || running.is_over()
    }
}

impl SearchHit {
    /// The place after the hit.
    fn place(&self) -> SearchPlace {
        match &self.tag {
            Some(tag) => SearchPlace::after_tag(&self.repository, tag),
            None => SearchPlace::before_tags_of(&self.repository),
        }
    }
}

/// The manifests of an image.
struct Parts<'a> {
    manifests: Vec<(Digest, &'a Facts)>,
    /// Whether none is missing or damaged, and none was left out.
    are_all: bool,
}

impl<'a> Parts<'a> {
    fn of(root: &Digest, members: &'a Members) -> Self {
        let mut parts = Self {
            manifests: Vec::new(),
            are_all: true,
        };
        let (mut open, mut seen) = (vec![*root], HashSet::new());
        while let Some(digest) = open.pop() {
            if !seen.insert(digest) {
                continue;
            }
            match members.get(&digest) {
                Some(Member::Here(facts)) => {
                    parts.manifests.push((digest, facts));
                    parts.are_all &= facts.children.len() <= CHILDREN;
                    open.extend(facts.children.iter().take(CHILDREN).rev());
                }
                Some(Member::Broken(_)) | None => parts.are_all = false,
            }
        }
        parts
    }
}

impl SearchPlace {
    fn before_tags_of(name: &RepoName) -> Self {
        Self {
            repository: name.as_str().into(),
            tag: Some(Box::default()),
        }
    }

    fn at_the_end_of(name: &RepoName) -> Self {
        Self {
            repository: name.as_str().into(),
            tag: None,
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
