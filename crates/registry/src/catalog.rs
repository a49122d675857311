//! The catalogue: every repository, sorted, in pages, read from the tree.
//!
//! Repositories nest (`a` and `a/b` may both be one), and the order of names is not the order of a plain walk:
//! `a-b` comes between `a` and `a/b`, because `-` is less than `/`. So the walk meets each directory twice: as the
//! repository of its own name, and, at the place of its name with a slash, as what holds others.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wharf_oci::{PageRequest, RepoName};
use wharf_storage::{Entry, Key, layout};

use crate::{Error, NamePage, Registry, Result};

/// How many names are asked of the store at once.
const PAGE: usize = 128;

impl Registry {
    /// The repositories after `page.last`: `page.n` of them, or all. Those without a tag are left out, unless
    /// [`show_empty_repositories`](crate::Options::show_empty_repositories).
    ///
    /// Requests for the same page share a walk, one that starts after each of them came: what a client knows to
    /// be there when it asks is in its answer.
    pub async fn catalog(&self, page: &PageRequest) -> Result<Arc<NamePage>> {
        loop {
            match self.catalog_rounds.join(page) {
                Role::Leader(round) => {
                    // Whoever is ready to ask may join until the walk begins.
                    tokio::task::yield_now().await;
                    let waiting = round.start();
                    let found = Arc::new(self.walk_catalog(page).await?);
                    for follower in waiting {
                        // Gone with its client.
                        drop(follower.send(Arc::clone(&found)));
                    }
                    return Ok(found);
                }
                // A leader that failed or went away leaves its followers to try themselves.
                Role::Follower(answer) => {
                    if let Ok(found) = answer.await {
                        return Ok(found);
                    }
                }
            }
        }
    }

    async fn walk_catalog(&self, page: &PageRequest) -> Result<NamePage> {
        let wanted = page.n.unwrap_or(usize::MAX);
        let mut found = NamePage::default();
        if wanted == 0 {
            return Ok(found);
        }
        let last = page.last.as_deref().unwrap_or("");
        let mut walk = vec![Directory::open(String::new(), last)];
        while let Some(directory) = walk.last_mut() {
            match directory.next(self, last).await? {
                Some(Step::Repository(name)) => {
                    if self.is_listed(&name).await? {
                        if found.names.len() == wanted {
                            found.more = true;
                            break;
                        }
                        found.names.push(name.into());
                    }
                }
                Some(Step::Descend(path)) => walk.push(Directory::open(path, last)),
                None => drop(walk.pop()),
            }
        }
        Ok(found)
    }

    async fn is_listed(&self, name: &str) -> Result<bool> {
        let Ok(name) = name.parse::<RepoName>() else {
            return Ok(false);
        };
        if self.options.show_empty_repositories {
            return Ok(
                self.exists(&layout::manifests(&name)).await? || self.exists(&layout::layers(&name)).await?
            );
        }
        match self
            .tags(
                &name,
                &PageRequest {
                    n: Some(1),
                    last: None,
                },
            )
            .await
        {
            Ok(tags) => Ok(!tags.names.is_empty()),
            Err(Error::NameUnknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The walks that are about to begin, by page, each with those who wait for its answer.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<HashMap<PageRequest, Vec<oneshot::Sender<Arc<NamePage>>>>>);

enum Role<'a> {
    Leader(Round<'a>),
    Follower(oneshot::Receiver<Arc<NamePage>>),
}

impl Rounds {
    fn join(&self, page: &PageRequest) -> Role<'_> {
        let mut rounds = self.0.lock();
        if let Some(waiting) = rounds.get_mut(page) {
            let (sender, answer) = oneshot::channel();
            waiting.push(sender);
            return Role::Follower(answer);
        }
        rounds.insert(page.clone(), Vec::new());
        Role::Leader(Round {
            rounds: self,
            page: Some(page.clone()),
        })
    }
}

/// A walk that has not begun. Dropping it, with the request that leads it, lets its followers know.
struct Round<'a> {
    rounds: &'a Rounds,
    /// Taken when the walk begins.
    page: Option<PageRequest>,
}

impl Round<'_> {
    /// From here on nobody joins.
    fn start(mut self) -> Vec<oneshot::Sender<Arc<NamePage>>> {
        self.close()
    }

    fn close(&mut self) -> Vec<oneshot::Sender<Arc<NamePage>>> {
        self.page
            .take()
            .and_then(|page| self.rounds.0.lock().remove(&page))
            .unwrap_or_default()
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// One directory of the walk, with what is still to come of it.
struct Directory {
    /// Empty for the root of all repositories, else with a slash at its end.
    prefix: String,
    /// Names that were read and not yet visited.
    entries: VecDeque<Entry>,
    /// Where reading goes on; `None` when all was read.
    read_from: Option<ReadFrom>,
    /// Names whose turn as a repository is over, and as a directory is still to come; with the slash that decides
    /// their order.
    pending: BTreeSet<String>,
}

enum ReadFrom {
    Start,
    After(String),
}

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
    fn open(prefix: String, last: &str) -> Self {
        let mut directory = Self {
            prefix,
            entries: VecDeque::new(),
            read_from: Some(ReadFrom::Start),
            pending: BTreeSet::new(),
        };
        let component = last
            .strip_prefix(&directory.prefix)
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
            directory.read_from = Some(ReadFrom::After(component.to_owned()));
        }
        directory
    }

    /// The next step in the order of names that can lead to one after `last`.
    async fn next(&mut self, registry: &Registry, last: &str) -> Result<Option<Step>> {
        loop {
            if self.entries.is_empty() {
                self.read(registry).await?;
            }
            let descend = match (self.pending.first(), self.entries.front()) {
                (Some(pending), Some(entry)) => pending.as_str() < &*entry.name,
                (pending, _) => pending.is_some(),
            };
            if descend {
                return Ok(self
                    .pending
                    .pop_first()
                    .map(|name| Step::Descend(format!("{}{name}", self.prefix))));
            }
            let Some(entry) = self.entries.pop_front() else {
                return Ok(None);
            };
            let name = format!("{}{}", self.prefix, entry.name);
            let below = format!("{name}/");
            if below.as_str() > last || last.starts_with(&below) {
                self.pending.insert(format!("{}/", entry.name));
            }
            // `a-b` comes after `a`, where the walk towards `a/b` goes on, and still before `a/b`.
            if name.as_str() > last {
                return Ok(Some(Step::Repository(name)));
            }
        }
    }

    /// Reads more names, until there is one or the directory is at its end.
    async fn read(&mut self, registry: &Registry) -> Result<()> {
        let Some(key) = self.key() else { return Ok(()) };
        while let (true, Some(from)) = (self.entries.is_empty(), self.read_from.take()) {
            let after = match &from {
                ReadFrom::Start => None,
                ReadFrom::After(name) => Some(name.as_str()),
            };
            let page = registry.storage.list(&key, after, PAGE).await?;
            if let (true, Some(last)) = (page.more, page.entries.last()) {
                self.read_from = Some(ReadFrom::After(last.name.to_string()));
            }
            // `_manifests` and its like are no repositories: a name cannot begin with an underscore.
            self.entries.extend(
                page.entries
                    .into_iter()
                    .filter(|entry| entry.is_dir && !entry.name.starts_with('_')),
            );
        }
        Ok(())
    }

    /// `None` for what no store can hold: `last` is whatever the client sent.
    fn key(&self) -> Option<Key> {
        let root = layout::repositories();
        if self.prefix.is_empty() {
            Some(root)
        } else {
            root.join(self.prefix.trim_end_matches('/')).ok()
        }
    }
}
