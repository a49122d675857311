//! The repositories of a bucket, by a scan over their keys that passes over what each of them has.
//!
//! The keys of a repository `a` begin with `a/_`. So in the order of keys it comes after `a-b` and `a/1`, although its name
//! comes before theirs. As with other names ([`listing`](super::listing)), a repository whose keys come later than its name
//! should is a beginning of the last key that was read.

use std::collections::BTreeSet;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;

use super::{
    Bucket,
    cursor::{Cursor, LAST},
    listing::{list, names_with},
};
use crate::{
    Key, Listed, RepositoryPage, Result, Wanted,
    layout::{self, InTree, LAYERS, MANIFESTS, Repository, TAG_LINK, TAGS},
};

/// How many repositories are looked at side by side.
const LOOKS: usize = 16;

/// About how many keys a small repository has.
const KEYS: usize = 10;

/// How many tags are asked for at first where one is enough, and how many when none of these counts.
const FEW_TAGS: usize = 8;
const MANY_TAGS: usize = 500;

/// A page of the repositories after `after` that are `listed`.
pub(super) async fn repositories(
    bucket: &Bucket,
    listed: Listed,
    after: &str,
    limit: usize,
) -> Result<RepositoryPage> {
    let root = layout::repositories();
    let mut reading = Reading {
        bucket,
        root: &root,
        listed,
        after,
        limit,
        found: BTreeSet::new(),
    };
    if let Some(last) = reading.read_keys().await? {
        reading.look_at_beginnings(&last).await?;
    }
    let more = reading.found.len() > limit;
    Ok(RepositoryPage {
        names: reading.found.into_iter().take(limit).collect(),
        more,
        unreadable: Vec::new(),
    })
}

struct Reading<'a> {
    bucket: &'a Bucket,
    root: &'a Key,
    listed: Listed,
    after: &'a str,
    limit: usize,
    found: BTreeSet<Box<str>>,
}

impl Reading<'_> {
    /// Reads keys until they hold one repository more than the limit, which tells that there are more. Returns the path
    /// of the last one, or `None` when all were read.
    async fn read_keys(&mut self) -> Result<Option<Box<str>>> {
        let mut cursor = Cursor::after_path(self.bucket, self.root, self.after);
        let wanted = self.limit.saturating_add(1);
        let mut most = wanted.saturating_mul(KEYS);
        loop {
            let page = cursor.next(most).await?;
            for meta in &page {
                if let Some((repository, path)) = cursor.path_of(meta).and_then(layout::repository_of) {
                    self.note(repository, path, meta);
                }
            }
            if cursor.is_at_end() {
                return Ok(None);
            }
            if let Some(last) = page.last().and_then(|meta| cursor.path_of(meta)) {
                if self.found.len() > self.limit {
                    return Ok(Some(last.into()));
                }
                self.skip(&mut cursor, last);
            }
            most = usize::MAX;
        }
    }

    fn note(&mut self, repository: &str, path: &str, meta: &ObjectMeta) {
        let is_listed = match self.listed {
            Listed::WithContent => path.starts_with(MANIFESTS) || path.starts_with(LAYERS),
            Listed::Tagged(counts) => {
                let tag = layout::tag_of(path);
                tag.is_some_and(|(tag, below)| below == TAG_LINK && meta.size > 0 && counts(tag))
            }
        };
        if is_listed && !self.found.contains(repository) && self.wanted(repository).is_some() {
            self.found.insert(repository.into());
        }
    }

    /// The repository `name`, if it can be on the page.
    fn wanted(&self, name: &str) -> Option<Repository> {
        let repository = (name > self.after).then(|| Repository::at(name));
        repository.and_then(Result::ok)
    }

    /// Leaves out what does not matter in the repository of the key `last`.
    fn skip(&self, cursor: &mut Cursor<'_>, last: &str) {
        let Some((repository, path)) = layout::repository_of(last) else {
            return;
        };
        if self.found.contains(repository) || self.wanted(repository).is_none() {
            return cursor.skip_to(&after_all_of(repository));
        }
        match (self.listed, layout::tag_of(path)) {
            (Listed::Tagged(counts), Some((tag, below))) => {
                if below > TAG_LINK || !counts(tag) {
                    cursor.skip_below(&format!("{repository}/{TAGS}{tag}"));
                }
            }
            // An object in the place of a tag.
            (Listed::Tagged(_), None) if path.starts_with(TAGS) => {}
            (Listed::Tagged(_), None) if path < TAGS => {
                cursor.skip_to(&format!("{repository}/{TAGS}"));
            }
            (Listed::WithContent, _) if path < MANIFESTS => {}
            _ => cursor.skip_to(&after_all_of(repository)),
        }
    }

    /// Looks at the repositories whose keys come after the key `last`, though they belong before the end of the page.
    async fn look_at_beginnings(&mut self, last: &str) -> Result<()> {
        let end = self.found.iter().nth(self.limit).cloned();
        let path = layout::repository_of(last).map_or(last, |(repository, _)| repository);
        let beginnings = path.char_indices().map(|(end, _)| &path[..end]).chain([path]);
        let repositories: Vec<Repository> = beginnings
            .filter(|name| after_all_of(name).as_str() > last && !self.found.contains(*name))
            .filter(|name| end.as_deref().is_none_or(|end| *name < end))
            .filter_map(|name| self.wanted(name))
            .collect();
        let looks = repositories
            .iter()
            .map(|repository| self.is_listed(repository).boxed());
        let looks: Vec<_> = looks.collect();
        let looks: Vec<bool> = stream::iter(looks).buffered(LOOKS).try_collect().await?;
        let listed = repositories.iter().zip(looks).filter(|(_, is_listed)| *is_listed);
        self.found
            .extend(listed.map(|(repository, _)| Box::from(repository.path())));
        Ok(())
    }

    async fn is_listed(&self, repository: &Repository) -> Result<bool> {
        match self.listed {
            Listed::Tagged(counts) => self.has_tag(repository, counts).await,
            Listed::WithContent => {
                let (manifests, layers) = (layout::manifests(repository), layout::layers(repository));
                let (manifests, layers) = futures_util::future::try_join(
                    list(self.bucket, &manifests, None, 0),
                    list(self.bucket, &layers, None, 0),
                )
                .await?;
                Ok(manifests.more || layers.more)
            }
        }
    }

    async fn has_tag(&self, repository: &Repository, counts: fn(&str) -> bool) -> Result<bool> {
        let tags = layout::tags(repository);
        let link = layout::in_tag_link();
        let wanted = Wanted {
            object: &link,
            besides: &[],
            others: 0,
        };
        let (mut after, mut limit): (Option<Box<str>>, usize) = (None, FEW_TAGS);
        loop {
            let mut page = names_with(self.bucket, &tags, wanted, after.as_deref(), limit).await?;
            if page.found.iter().any(|tag| counts(&tag.name)) {
                return Ok(true);
            }
            match page.found.pop() {
                Some(last) if page.more => after = Some(last.name),
                _ => return Ok(false),
            }
            limit = MANY_TAGS;
        }
    }
}

/// After everything that a repository has itself, and before the repositories below it whose names begin with a small
/// letter.
fn after_all_of(repository: &str) -> String {
    format!("{repository}/_{LAST}")
}
