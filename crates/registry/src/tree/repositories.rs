//! The walk over all repositories of a store, in the order of their names or each before those below it.
//!
//! Repositories nest (`a` and `a/b` may both be one), and the order of names is not the order of a plain walk:
//! `a-b` comes between `a` and `a/b`, because `-` is less than `/`. So the walk meets each directory twice: as the
//! repository of its own name, and, at the place of its name with a slash, as the parent of other repositories.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use futures_util::{Stream, stream};
use wharf_storage::{
    Entry, Error, ErrorKind, Key, Storage, layout,
    layout::{InTree, Repository},
};

use super::unreadable::Unreadable;
use crate::error::{Error as RegistryError, Result};

/// How many names are asked of the store at once for a page of the catalogue.
const PAGE: usize = 128;

/// How many names are asked of the store at once in a walk over everything.
const LARGE_PAGE: usize = 10_000;

/// The longest name that a repository has had in any registry. A deeper directory is no repository, or a loop of links.
const LONGEST_NAME: usize = 255;

/// The directories in the places of repositories whose names come after `last`, in the order of their names as bytes.
/// Directories that only hold other repositories are among them. One that the process has no right to read counts as
/// empty, and is `unreadable` from then on.
pub(crate) fn by_name(
    storage: Arc<dyn Storage>,
    last: &str,
    unreadable: Arc<Unreadable>,
) -> impl Stream<Item = Result<Repository>> + Send {
    Walk::start(storage, Order::Names, last, Some(unreadable)).stream()
}

/// All directories in the places of repositories, each before those below it. Those that only hold other repositories
/// are among them.
///
/// Fails where a directory has a name that no key can have and holds a repository, or cannot be read: an operator may have
/// copied a repository there, and what it needs is unknown.
pub(crate) fn parents_first(storage: Arc<dyn Storage>) -> impl Stream<Item = Result<Repository>> + Send {
    Walk::start(storage, Order::ParentsFirst, "", None).stream()
}

/// As [`parents_first`], but a directory that the process has no right to read counts as empty, and is `unreadable` from then
/// on.
pub(crate) fn readable(
    storage: Arc<dyn Storage>,
    unreadable: Arc<Unreadable>,
) -> impl Stream<Item = Result<Repository>> + Send {
    Walk::start(storage, Order::ParentsFirst, "", Some(unreadable)).stream()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Names,
    ParentsFirst,
}

struct Walk {
    storage: Arc<dyn Storage>,
    order: Order,
    /// Name after which the walk begins: any text that the client sent.
    last: String,
    /// Where directories are noted that cannot be read; `None` when one of them ends the walk.
    unreadable: Option<Arc<Unreadable>>,
    /// From the directory of all repositories down to the one that is being read.
    open: Vec<Directory>,
}

impl Walk {
    fn start(
        storage: Arc<dyn Storage>,
        order: Order,
        last: &str,
        unreadable: Option<Arc<Unreadable>>,
    ) -> Self {
        Self {
            storage,
            order,
            unreadable,
            last: last.to_owned(),
            open: vec![Directory::open(None, last)],
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Repository>> + Send {
        stream::try_unfold(self, |mut walk| async move {
            let next = walk.next().await?;
            Ok(next.map(|repository| (repository, walk)))
        })
    }

    async fn next(&mut self) -> Result<Option<Repository>> {
        while let Some(directory) = self.open.last_mut() {
            let step = directory.next(&*self.storage, self.order, &self.last).await;
            let (name, descend) = match step {
                Ok(Some(Step::Repository(name))) => (name, false),
                Ok(Some(Step::Descend(name))) => (name, true),
                Err(error) if !directory.is_passed_over(self.unreadable.as_deref(), &error) => {
                    return Err(error);
                }
                Ok(None) | Err(_) => {
                    self.open.pop();
                    continue;
                }
            };
            let repository = match Repository::find(directory.repository.as_ref(), &name) {
                Ok(repository) => repository,
                Err(_) if self.order == Order::ParentsFirst => {
                    return Err(out_of_reach(&directory.key(), &name).into());
                }
                // Not every name can be part of a key: `last` is any text that the client sent.
                Err(_) => continue,
            };
            if repository.path().len() > LONGEST_NAME {
                continue;
            }
            if !descend {
                return Ok(Some(repository));
            }
            self.open.push(Directory::open(Some(repository), &self.last));
        }
        Ok(None)
    }
}

/// One directory of the walk, with the names that are still to be visited.
struct Directory {
    /// Path of the directory; `None` for the directory of all repositories.
    repository: Option<Repository>,
    /// Names that were read and not yet visited.
    entries: VecDeque<Entry>,
    /// Where reading goes on; `None` when all was read.
    read_from: Option<ReadFrom>,
    /// Names that were visited as repositories and are still to be visited as directories; with the slash that decides
    /// their order.
    pending: BTreeSet<String>,
}

enum ReadFrom {
    Start,
    After(Box<str>),
}

/// A name in the directory, and what it is visited as.
enum Step {
    Repository(String),
    Descend(String),
}

impl Directory {
    /// The directory at the first name after `last`.
    ///
    /// Of the names up to the component `c` of `last`, those can still hold repositories after `last` which sort
    /// after it once they have their slash: `c` itself, and each beginning of `c` that `c` continues with a
    /// character less than the slash (`a`, of `a-b`).
    fn open(repository: Option<Repository>, last: &str) -> Self {
        let mut directory = Self {
            repository,
            entries: VecDeque::new(),
            read_from: Some(ReadFrom::Start),
            pending: BTreeSet::new(),
        };
        let component = last
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
            directory.read_from = Some(ReadFrom::After(component.into()));
        }
        directory
    }

    /// Whether the walk goes on without this directory, which could not be read.
    fn is_passed_over(&self, unreadable: Option<&Unreadable>, error: &RegistryError) -> bool {
        // Without the directory of all repositories nothing works.
        match (&self.repository, unreadable) {
            (Some(repository), Some(unreadable)) => unreadable.explains(repository.path(), error),
            _ => false,
        }
    }

    /// The prefix of the names of all repositories in the directory.
    fn prefix(&self) -> String {
        let path = self.repository.as_ref().map(InTree::path);
        path.map_or_else(String::new, |path| format!("{path}/"))
    }

    fn key(&self) -> Key {
        self.repository
            .as_ref()
            .map_or_else(layout::repositories, layout::repository)
    }

    /// The next step that can lead to a name after `last`.
    async fn next(&mut self, storage: &dyn Storage, order: Order, last: &str) -> Result<Option<Step>> {
        loop {
            if self.entries.is_empty() {
                self.read(storage, order).await?;
            }
            let descend = match (self.pending.first(), self.entries.front()) {
                (Some(pending), Some(entry)) => order == Order::ParentsFirst || **pending < *entry.name,
                (pending, _) => pending.is_some(),
            };
            if descend {
                let name = self.pending.pop_first();
                return Ok(name.map(|name| Step::Descend(name.trim_end_matches('/').to_owned())));
            }
            let Some(entry) = self.entries.pop_front() else {
                return Ok(None);
            };
            let name = format!("{}{}", self.prefix(), entry.name);
            let below = format!("{name}/");
            if below.as_str() > last || last.starts_with(&below) {
                self.pending.insert(format!("{}/", entry.name));
            }
            // `a-b` comes after `a`, where the walk towards `a/b` goes on, and still before `a/b`.
            if name.as_str() > last {
                return Ok(Some(Step::Repository(entry.name.into())));
            }
        }
    }

    /// Reads more names, until there is one or the directory is at its end.
    async fn read(&mut self, storage: &dyn Storage, order: Order) -> Result<()> {
        let key = self.key();
        let limit = match order {
            Order::Names => PAGE,
            Order::ParentsFirst => LARGE_PAGE,
        };
        while let (true, Some(from)) = (self.entries.is_empty(), self.read_from.take()) {
            let after = match &from {
                ReadFrom::Start => None,
                ReadFrom::After(name) => Some(&**name),
            };
            let page = storage.list(&key, after, limit).await?;
            if order == Order::ParentsFirst {
                for name in page.unreachable.iter() {
                    require_no_repository(storage, &key, name).await?;
                }
            }
            if let (true, Some(last)) = (page.more, page.entries.last()) {
                self.read_from = Some(ReadFrom::After(last.name.clone()));
            }
            // `_manifests` and its like are no repositories: a name cannot begin with an underscore.
            let directories = page.entries.into_iter().filter(|entry| entry.is_dir);
            self.entries
                .extend(directories.filter(|entry| !entry.name.starts_with('_')));
        }
        Ok(())
    }
}

/// Passes over a directory that no repository can have the name of, such as `@eaDir` or `#recycle` of a file server,
/// unless a repository lies in it.
async fn require_no_repository(storage: &dyn Storage, directory: &Key, name: &str) -> Result<()> {
    const OF_REPOSITORIES: [&str; 2] = ["_manifests", "_layers"];
    if storage
        .has_directory_below(directory, name, &OF_REPOSITORIES)
        .await?
    {
        return Err(out_of_reach(directory, name).into());
    }
    tracing::warn!(
        directory = directory.as_str(),
        name,
        "passed over a directory that is no repository: nothing in it is called `_manifests` or `_layers`"
    );
    Ok(())
}

fn out_of_reach(directory: &Key, name: &str) -> Error {
    Error::with_source(
        ErrorKind::Other,
        format!("look into `{name}` in `{directory}`"),
        "no repository can have that name, so it is unknown what it needs, and nothing is removed; move it elsewhere",
    )
}
