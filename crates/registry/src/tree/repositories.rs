//! The walk over all repositories of a store, each before those below it, for readers of the whole tree.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};
use parking_lot::Mutex;
use wharf_storage::{
    Entry, Error, ErrorKind, Key, Storage, Version, layout,
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

/// As [`parents_first`], but what cannot be walked through is passed over and noted in `obstacles`.
pub(crate) fn despite(
    storage: Arc<dyn Storage>,
    obstacles: Arc<Obstacles>,
) -> impl Stream<Item = Result<Repository>> + Send {
    unfold(Walk {
        storage,
        pass_over: PassOver::All(obstacles),
        open: vec![Directory::new(None)],
    })
}

fn walk(
    storage: Arc<dyn Storage>,
    unreadable: Option<Arc<Unreadable>>,
) -> impl Stream<Item = Result<Repository>> + Send {
    unfold(Walk {
        storage,
        pass_over: unreadable.map_or(PassOver::Nothing, PassOver::Unreadable),
        open: vec![Directory::new(None)],
    })
}

fn unfold(walk: Walk) -> impl Stream<Item = Result<Repository>> + Send {
    stream::try_unfold(walk, |mut walk| async move {
        let next = walk.next().await?;
        Ok(next.map(|repository| (repository, walk)))
    })
}

/// What a walk could not go through.
#[derive(Debug)]
pub(crate) struct Obstacle {
    /// Path of the directory in the store.
    pub(crate) path: Box<str>,
    /// Why the walk passed it over.
    pub(crate) why: Blocked,
}

/// Why a walk passed a directory over.
#[derive(Debug)]
pub(crate) enum Blocked {
    /// It cannot be read.
    Unreadable(Error),
    /// No repository can have its name, and one lies in it; or that cannot be told.
    OutOfReach,
    /// No repository can have its name, and none lies in it.
    Foreign,
    /// It is a directory that lies above it, by a symbolic link, or lies deeper than any repository.
    Loop,
}

/// What a tolerant walk has passed over so far.
#[derive(Debug, Default)]
pub(crate) struct Obstacles(Mutex<Vec<Obstacle>>);

impl Obstacles {
    /// What was passed over since the last call.
    pub(crate) fn take(&self) -> Vec<Obstacle> {
        std::mem::take(&mut self.0.lock())
    }

    fn note(&self, path: impl Into<Box<str>>, why: Blocked) {
        let path = path.into();
        self.0.lock().push(Obstacle { path, why });
    }
}

/// What does not end a walk.
enum PassOver {
    Nothing,
    /// Directories that the process has no right to read.
    Unreadable(Arc<Unreadable>),
    All(Arc<Obstacles>),
}

struct Walk {
    storage: Arc<dyn Storage>,
    pass_over: PassOver,
    /// From the directory of all repositories down to the one that is being read.
    open: Vec<Directory>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Repository>> {
        while let Some(mut directory) = self.open.pop() {
            let name = match directory.next(&*self.storage, &self.pass_over, &self.open).await {
                Ok(Some(name)) => name,
                Ok(None) => continue,
                Err(error) => {
                    directory.pass_over(&self.pass_over, error)?;
                    continue;
                }
            };
            let repository = Repository::find(directory.repository.as_ref(), &name)
                .map_err(|_| out_of_reach(&directory.key(), &name))?;
            self.open.push(directory);
            // A deeper directory is no repository, or a loop of links.
            if repository.path().len() > LONGEST_NAME {
                if let PassOver::All(obstacles) = &self.pass_over {
                    obstacles.note(layout::repository(&repository).as_str(), Blocked::Loop);
                }
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
    /// Version of the directory, where the store tells one: on a file system two paths with one version are one directory.
    version: Option<Version>,
}

impl Directory {
    fn new(repository: Option<Repository>) -> Self {
        Self {
            repository,
            names: VecDeque::new(),
            last: None,
            is_at_end: false,
            version: None,
        }
    }

    /// Notes that the walk goes on without the directory, or ends the walk.
    fn pass_over(&self, what: &PassOver, error: error::Error) -> Result<()> {
        // Without the directory of all repositories nothing works.
        match (&self.repository, what, error) {
            (Some(repository), PassOver::Unreadable(unreadable), error)
                if unreadable.explains(repository.path(), &error) =>
            {
                Ok(())
            }
            (Some(_), PassOver::All(obstacles), error::Error::Storage(error)) if !error.is_transient() => {
                obstacles.note(self.key().as_str(), Blocked::Unreadable(error));
                Ok(())
            }
            (_, _, error) => Err(error),
        }
    }

    fn key(&self) -> Key {
        self.repository
            .as_ref()
            .map_or_else(layout::repositories, layout::repository)
    }

    /// Notes what in the directory of all repositories is none.
    fn note_strangers(&self, key: &Key, entries: &[Entry], obstacles: &Obstacles) {
        if self.repository.is_some() {
            return;
        }
        // Files of an engine that are not renamed to their place yet lie in `_wharf`.
        let is_known =
            |entry: &&Entry| entry.is_dir && (!entry.name.starts_with('_') || &*entry.name == "_wharf");
        for entry in entries.iter().filter(|entry| !is_known(entry)) {
            obstacles.note(format!("{key}/{}", entry.name), Blocked::Foreign);
        }
    }

    /// The next name that can be one of a repository.
    async fn next(
        &mut self,
        storage: &dyn Storage,
        pass_over: &PassOver,
        above: &[Self],
    ) -> Result<Option<Box<str>>> {
        let key = self.key();
        while self.names.is_empty() && !self.is_at_end {
            let page = storage.list(&key, self.last.as_deref(), PAGE).await?;
            match pass_over {
                PassOver::All(obstacles) if self.last.is_none() => {
                    let is_above = |other: &Self| other.version.is_some() && other.version == page.version;
                    if above.iter().any(is_above) {
                        obstacles.note(key.as_str(), Blocked::Loop);
                        return Ok(None);
                    }
                    for name in page.unreachable.iter() {
                        let why = look_into(storage, &key, name).await;
                        obstacles.note(format!("{key}/{name}"), why);
                    }
                    self.version.clone_from(&page.version);
                    self.note_strangers(&key, &page.entries, obstacles);
                }
                PassOver::All(obstacles) => self.note_strangers(&key, &page.entries, obstacles),
                PassOver::Nothing | PassOver::Unreadable(_) => {
                    for name in page.unreachable.iter() {
                        require_no_repository(storage, &key, name).await?;
                    }
                }
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

/// The directories by which a repository is known.
const OF_REPOSITORIES: [&str; 2] = ["_manifests", "_layers"];

/// What is in the way at a directory that no repository can have the name of.
async fn look_into(storage: &dyn Storage, directory: &Key, name: &str) -> Blocked {
    match storage
        .has_directory_below(directory, name, &OF_REPOSITORIES)
        .await
    {
        Ok(false) => Blocked::Foreign,
        Ok(true) => Blocked::OutOfReach,
        Err(error) => Blocked::Unreadable(error),
    }
}

/// Passes over a directory that no repository can have the name of, such as `@eaDir` or `#recycle` of a file server,
/// unless a repository lies in it.
async fn require_no_repository(storage: &dyn Storage, directory: &Key, name: &str) -> Result<()> {
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
