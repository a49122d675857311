//! The walk over all repositories of a store, each before those below it, for readers of the whole tree.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};
use wharf_storage::{
    Error, ErrorKind, Key, Storage, layout,
    layout::{InTree, LONGEST_NAME, Repository},
};

use super::unreadable::Unreadable;
use crate::error::{self, Result};

/// How many names are asked of the store at once.
const PAGE: usize = 10_000;

/// All directories in the places of repositories, each before those below it. Those that only hold other repositories
/// are among them.
///
/// Fails where a directory has a name that no key can have and holds a repository, or cannot be read: an operator may have
/// copied a repository there, and what it needs is unknown.
pub(crate) fn parents_first(storage: Arc<dyn Storage>) -> impl Stream<Item = Result<Repository>> + Send {
    walk(storage, None)
}

/// As [`parents_first`], but a directory that the process has no right to read counts as empty, and is `unreadable` from then
/// on.
pub(crate) fn readable(
    storage: Arc<dyn Storage>,
    unreadable: Arc<Unreadable>,
) -> impl Stream<Item = Result<Repository>> + Send {
    walk(storage, Some(unreadable))
}

fn walk(
    storage: Arc<dyn Storage>,
    unreadable: Option<Arc<Unreadable>>,
) -> impl Stream<Item = Result<Repository>> + Send {
    let walk = Walk {
        storage,
        unreadable,
        open: vec![Directory::new(None)],
    };
    stream::try_unfold(walk, |mut walk| async move {
        let next = walk.next().await?;
        Ok(next.map(|repository| (repository, walk)))
    })
}

struct Walk {
    storage: Arc<dyn Storage>,
    /// Where directories are noted that cannot be read; `None` when one of them ends the walk.
    unreadable: Option<Arc<Unreadable>>,
    /// From the directory of all repositories down to the one that is being read.
    open: Vec<Directory>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Repository>> {
        while let Some(directory) = self.open.last_mut() {
            let name = match directory.next(&*self.storage).await {
                Ok(Some(name)) => name,
                Err(error) if !directory.is_passed_over(self.unreadable.as_deref(), &error) => {
                    return Err(error);
                }
                Ok(None) | Err(_) => {
                    self.open.pop();
                    continue;
                }
            };
            let repository = Repository::find(directory.repository.as_ref(), &name)
                .map_err(|_| out_of_reach(&directory.key(), &name))?;
            // A deeper directory is no repository, or a loop of links.
            if repository.path().len() > LONGEST_NAME {
                continue;
            }
            self.open.push(Directory::new(Some(repository.clone())));
            return Ok(Some(repository));
        }
        Ok(None)
    }
}

/// One directory of the walk, with the names that are still to be visited.
struct Directory {
    /// Path of the directory; `None` for the directory of all repositories.
    repository: Option<Repository>,
    /// Names that were read and not yet visited.
    names: VecDeque<Box<str>>,
    /// The last name that was read; `None` at the start.
    last: Option<Box<str>>,
    is_at_end: bool,
}

impl Directory {
    fn new(repository: Option<Repository>) -> Self {
        Self {
            repository,
            names: VecDeque::new(),
            last: None,
            is_at_end: false,
        }
    }

    /// Whether the walk goes on without the directory, which is then noted.
    fn is_passed_over(&self, unreadable: Option<&Unreadable>, error: &error::Error) -> bool {
        // Without the directory of all repositories nothing works.
        match (&self.repository, unreadable) {
            (Some(repository), Some(unreadable)) => unreadable.explains(repository.path(), error),
            _ => false,
        }
    }

    fn key(&self) -> Key {
        self.repository
            .as_ref()
            .map_or_else(layout::repositories, layout::repository)
    }

    /// The next name that can be one of a repository.
    async fn next(&mut self, storage: &dyn Storage) -> Result<Option<Box<str>>> {
        let key = self.key();
        while self.names.is_empty() && !self.is_at_end {
            let page = storage.list(&key, self.last.as_deref(), PAGE).await?;
            for name in page.unreachable.iter() {
                require_no_repository(storage, &key, name).await?;
            }
            self.is_at_end = !page.more;
            self.last = page.entries.last().map(|entry| entry.name.clone());
            // `_manifests` and its like are no repositories: a name cannot begin with an underscore.
            let directories = page.entries.into_iter().filter(|entry| entry.is_dir);
            let names = directories.map(|entry| entry.name);
            self.names.extend(names.filter(|name| !name.starts_with('_')));
        }
        Ok(self.names.pop_front())
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
