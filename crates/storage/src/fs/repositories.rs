//! The walk over the directories of repositories, in the order of their names.
//!
//! Repositories nest (`a` and `a/b` may both be one), and the order of names is not the order of a plain walk:
//! `a-b` comes between `a` and `a/b`, because `-` is less than `/`. So the walk meets each directory twice: as the
//! repository of its own name, and, at the place of its name with a slash, as the parent of other repositories.

use std::{collections::BTreeSet, sync::Arc};

use super::{Engine, list::Listing, sys::Disk};
use crate::{
    Error, ErrorKind, Key, Listed, RepositoryPage, Result, layout,
    layout::{InTree, LONGEST_NAME, Repository},
};

impl<D: Disk> Engine<D> {
    /// A page of the repositories after `after` that are `listed`. Blocks.
    pub(super) fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage> {
        let mut page = RepositoryPage::default();
        let mut open = vec![Directory::open(self, None, after)?];
        while let Some(directory) = open.last_mut() {
            let Some(step) = directory.next(after) else {
                open.pop();
                continue;
            };
            let (Step::Repository(name) | Step::Descend(name)) = &step;
            // Not every name can be part of a key: `after` is any text.
            let Ok(repository) = Repository::find(directory.repository.as_ref(), name) else {
                continue;
            };
            if repository.path().len() > LONGEST_NAME {
                continue;
            }
            let name = Box::from(repository.path());
            let is_listed = match step {
                Step::Repository(_) => self.is_listed(&repository, listed),
                Step::Descend(_) => Directory::open(self, Some(repository), after).map(|below| {
                    open.push(below);
                    false
                }),
            };
            match is_listed {
                Ok(false) => {}
                Ok(true) if page.names.len() == limit => {
                    page.more = true;
                    break;
                }
                Ok(true) => page.names.push(name),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => note(&mut page, name, error),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    fn is_listed(&self, repository: &Repository, listed: Listed) -> Result<bool> {
        let has_names = |directory: Key| Ok(self.listing(&directory)?.len() > 0);
        match listed {
            Listed::WithContent => {
                Ok(has_names(layout::manifests(repository))? || has_names(layout::layers(repository))?)
            }
            Listed::Tagged(counts) => {
                self.any_name_with(&layout::tags(repository), &layout::in_tag_link(), counts)
            }
        }
    }
}

/// Notes a repository that cannot be read, once.
fn note(page: &mut RepositoryPage, name: Box<str>, error: Error) {
    if page.unreadable.iter().all(|(noted, _)| *noted != name) {
        page.unreadable.push((name, error));
    }
}

/// One directory of the walk, with the names that are still to be visited.
struct Directory {
    /// Path of the directory; `None` for the directory of all repositories.
    repository: Option<Repository>,
    listing: Arc<Listing>,
    /// Number of the next name to be visited as a repository
    next: usize,
    /// Names that were visited as repositories and are still to be visited as directories; with the slash that decides
    /// their order.
    pending: BTreeSet<String>,
}

/// A name in the directory, and what it is visited as.
enum Step {
    Repository(String),
    Descend(String),
}

impl Directory {
    /// The directory at the first name after `after`.
    ///
    /// Of the names up to the component `c` of `after`, those can still hold repositories after it which sort
    /// after it once they have their slash: `c` itself, and each beginning of `c` that `c` continues with a
    /// character less than the slash (`a`, of `a-b`).
    fn open<D: Disk>(engine: &Engine<D>, repository: Option<Repository>, after: &str) -> Result<Self> {
        let key = repository
            .as_ref()
            .map_or_else(layout::repositories, layout::repository);
        let mut directory = Self {
            repository,
            listing: engine.listing(&key)?,
            next: 0,
            pending: BTreeSet::new(),
        };
        let component = after
            .strip_prefix(&directory.prefix())
            .and_then(|rest| rest.split('/').next());
        if let Some(component) = component.filter(|component| !component.is_empty()) {
            let beginnings = component
                .char_indices()
                .filter(|(_, next)| *next < '/')
                .map(|(end, _)| &component[..end]);
            directory.pending = beginnings
                .filter(|name| !name.is_empty())
                .map(|name| format!("{name}/"))
                .collect();
            directory.pending.insert(format!("{component}/"));
            directory.next = directory.listing.first_above(component);
        }
        Ok(directory)
    }

    /// The prefix of the names of all repositories in the directory.
    fn prefix(&self) -> String {
        let path = self.repository.as_ref().map(InTree::path);
        path.map_or_else(String::new, |path| format!("{path}/"))
    }

    /// The next step that can lead to a name after `after`.
    fn next(&mut self, after: &str) -> Option<Step> {
        loop {
            // `_manifests` and its like are no repositories: a name cannot begin with an underscore.
            let is_passed =
                |listing: &Listing, next| !listing.is_dir(next) || listing.name(next).starts_with('_');
            while self.next < self.listing.len() && is_passed(&self.listing, self.next) {
                self.next += 1;
            }
            let entry = (self.next < self.listing.len()).then(|| self.listing.name(self.next));
            let descend = match (self.pending.first(), entry) {
                (Some(pending), Some(entry)) => pending.as_str() < entry,
                (pending, _) => pending.is_some(),
            };
            if descend {
                let name = self.pending.pop_first()?;
                return Some(Step::Descend(name.trim_end_matches('/').to_owned()));
            }
            let entry = entry?.to_owned();
            self.next += 1;
            let name = format!("{}{entry}", self.prefix());
            let below = format!("{name}/");
            if below.as_str() > after || after.starts_with(&below) {
                self.pending.insert(format!("{entry}/"));
            }
            // `a-b` comes after `a`, where the walk towards `a/b` goes on, and still before `a/b`.
            if name.as_str() > after {
                return Some(Step::Repository(entry));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Objects, Put,
        fs::{FsStorage, simulated::SimulatedDisk},
    };

    /// Its files belong to another user, after a restore by root.
    #[tokio::test]
    async fn a_directory_that_may_not_be_read_is_named_and_passed_over() {
        let disk = SimulatedDisk::default();
        let storage = FsStorage::on(disk.clone(), "simulated").unwrap();
        for repository in ["a", "a/b", "a-b", "c/d"] {
            let link = layout::tag_link(&Repository::at(repository).unwrap(), "1");
            storage.publish(&[Put::new(link, "x")]).await.unwrap();
        }
        let tagged = async |after: &str| {
            let page = storage.repositories(Listed::Tagged(|_| true), after, 10).await?;
            let unreadable = page.unreadable.into_iter().map(|(name, _)| name);
            Ok::<_, Error>((page.names.join(" "), unreadable.collect::<Vec<_>>().join(" ")))
        };
        let of = |names: &str, unreadable: &str| (names.to_owned(), unreadable.to_owned());
        assert_eq!(tagged("").await.unwrap(), of("a a-b a/b c/d", ""));
        for (denied, names) in [("a", "a-b c/d"), ("c/d", "a a-b a/b"), ("c", "a a-b a/b")] {
            disk.deny(Some(&format!("{}/{denied}", layout::repositories())));
            assert_eq!(tagged("").await.unwrap(), of(names, denied));
        }
        disk.deny(Some(&format!("{}/a/_manifests", layout::repositories())));
        assert_eq!(tagged("").await.unwrap(), of("a-b a/b c/d", "a"));
        assert_eq!(tagged("a").await.unwrap(), of("a-b a/b c/d", ""));
        disk.deny(Some(layout::repositories().as_str()));
        assert_eq!(tagged("").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
        disk.deny(None);
        assert_eq!(tagged("a/a").await.unwrap(), of("a/b c/d", ""));
    }
}
