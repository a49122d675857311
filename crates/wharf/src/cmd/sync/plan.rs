//! What is to be copied: the tags that the list chooses, and what the destination has in their places.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};
use wharf_client::{
    Error,
    transfer::{self, Comparison, Settings, Source, Target},
};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_pattern::Pattern;

use super::{
    choice::Choice,
    file::{Entry, Side},
    output::{Act, Row},
    side::{Clients, Repository},
};
use crate::cmd::transfer::is_of_digest;

/// What is to be done, and what is known.
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    pub(super) copies: Vec<Copy>,
    pub(super) pairs: Vec<Pair>,
}

/// An image that is to be copied.
pub(super) struct Copy {
    /// Its place in the rows.
    pub(super) row: usize,
    pub(super) source: Source,
    pub(super) target: Target,
    pub(super) tag: Tag,
    pub(super) original: Digest,
    pub(super) settings: Settings,
}

/// A repository of the source, and the one that it is mirrored to.
pub(super) struct Pair {
    pub(super) from: Repository,
    pub(super) to: Repository,
    pub(super) choice: Choice,
    /// All tags of the source; `None`: they could not be listed.
    pub(super) tags: Option<BTreeSet<Tag>>,
    line: usize,
    settings: Settings,
}

/// What the comparison of one tag needs.
struct Wanted {
    pair: usize,
    tag: Tag,
}

impl Plan {
    /// Lists the sources, and compares each chosen tag. What fails becomes a row, so that the rest goes on.
    pub(super) async fn make(
        entries: &[Entry],
        clients: &Clients,
        jobs: usize,
        deletes: bool,
    ) -> anyhow::Result<Self> {
        let mut plan = Self {
            rows: Vec::new(),
            copies: Vec::new(),
            pairs: Vec::new(),
        };
        for entry in entries {
            plan.pair(entry, clients, jobs, deletes).await?;
        }
        plan.list(jobs).await;
        let wanted = plan.wanted();
        let compared: Vec<_> = stream::iter(wanted)
            .map(|wanted| plan.compare(wanted))
            .buffered(jobs)
            .collect()
            .await;
        let mut taken: HashMap<String, (Digest, usize)> = HashMap::new();
        for (wanted, comparison) in compared {
            plan.take(&wanted, comparison, &mut taken);
        }
        Ok(plan)
    }

    /// Adds the repositories of an entry.
    async fn pair(
        &mut self,
        entry: &Entry,
        clients: &Clients,
        jobs: usize,
        deletes: bool,
    ) -> anyhow::Result<()> {
        let (source, target) = (clients.of(&entry.from.registry)?, clients.of(&entry.to.registry)?);
        let pair = |from: RepoName, to: RepoName, tags: Option<BTreeSet<Tag>>| Pair {
            from: Repository {
                client: Arc::clone(&source),
                host: entry.from.registry.host().to_owned(),
                name: from,
            },
            to: Repository {
                client: Arc::clone(&target),
                host: entry.to.registry.host().to_owned(),
                name: to,
            },
            choice: entry.tags.clone(),
            tags,
            line: entry.line,
            settings: Settings {
                jobs,
                referrers: entry.referrers,
                platforms: entry.platforms.clone(),
            },
        };
        if let Some(name) = &entry.from.name {
            let to = entry.to.name.clone().unwrap_or_else(|| name.clone());
            self.pairs.push(pair(name.clone(), to, None));
            return Ok(());
        }
        let host = entry.from.registry.host();
        let is_literal = !entry.repositories.is_empty() && entry.repositories.iter().all(Pattern::is_literal);
        let names = match is_literal {
            true => entry.repositories.iter().map(ToString::to_string).collect(),
            false => match source.repositories().await {
                Ok(names) => names,
                Err(error) => {
                    let text = format!("its repositories cannot be listed: {error}");
                    self.rows.push(Row::failed(
                        Some(host.to_owned()),
                        entry.to.registry.host().to_owned(),
                        text,
                    ));
                    return Ok(());
                }
            },
        };
        let names = self.chosen(entry, host, &names);
        let there = match deletes && !is_literal {
            true => target.repositories().await,
            false => Ok(Vec::new()),
        };
        match there {
            Ok(there) => {
                let gone = there.iter().filter_map(|name| without_prefix(&entry.to, name));
                let gone = gone.filter(|name| {
                    is_chosen(entry, name) && !names.iter().any(|known| known.as_str() == *name)
                });
                for name in gone {
                    if let (Ok(from), Some(to)) = (name.parse(), with_prefix(&entry.to, name)) {
                        self.pairs.push(pair(from, to, None));
                    }
                }
            }
            Err(error) => {
                let text = format!(
                    "its repositories cannot be listed, so those that the source has lost are not found: {error}"
                );
                self.rows
                    .push(Row::failed(None, entry.to.registry.host().to_owned(), text));
            }
        }
        for name in names {
            match with_prefix(&entry.to, name.as_str()) {
                Some(to) => self.pairs.push(pair(name, to, None)),
                None => {
                    let text = "its name would be too long at the destination".to_owned();
                    self.rows.push(Row::failed(
                        Some(format!("{host}/{name}")),
                        entry.to.registry.host().to_owned(),
                        text,
                    ));
                }
            }
        }
        Ok(())
    }

    /// The repositories that an entry chooses.
    fn chosen(&mut self, entry: &Entry, host: &str, names: &[String]) -> Vec<RepoName> {
        let mut chosen: Vec<RepoName> = Vec::new();
        for name in names.iter().filter(|name| is_chosen(entry, name)) {
            // A mirror inside of its own source is not mirrored once more.
            let is_mirror = entry.to.name.is_some()
                && entry.to.registry.host() == host
                && without_prefix(&entry.to, name).is_some();
            match name.parse() {
                Ok(_) if is_mirror => {}
                Ok(name) => chosen.push(name),
                Err(error) => {
                    let text = format!("it lists a repository that is none: {error}");
                    self.rows.push(Row::failed(
                        Some(host.to_owned()),
                        entry.to.registry.host().to_owned(),
                        text,
                    ));
                }
            }
        }
        chosen.sort();
        chosen.dedup();
        chosen
    }

    /// Lists the tags of all sources.
    async fn list(&mut self, jobs: usize) {
        let lists: Vec<_> = stream::iter(&self.pairs)
            .map(|pair| async move {
                match pair.from.client.tags(pair.from.name.as_str()).await {
                    Err(Error::Refused { status, .. }) if status.as_u16() == 404 => Ok(Vec::new()),
                    listed => listed,
                }
            })
            .buffered(jobs)
            .collect()
            .await;
        for (pair, listed) in self.pairs.iter_mut().zip(lists) {
            let listed = listed.map_err(|error| error.to_string()).and_then(|names| {
                let tags = names.iter().map(|name| name.parse::<Tag>());
                let tags: Result<BTreeSet<Tag>, _> = tags.collect();
                tags.map_err(|error| format!("it lists a tag that is none: {error}"))
            });
            match listed {
                Ok(tags) => pair.tags = Some(tags),
                Err(reason) => self.rows.push(Row::failed(
                    Some(pair.from.text()),
                    pair.to.text(),
                    format!("its tags cannot be listed: {reason}"),
                )),
            }
        }
    }

    /// The tags to compare.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (place, pair) in self.pairs.iter().enumerate() {
            let tags = pair.tags.iter().flatten();
            // Tags made of digests come with the images that they are about.
            let tags: Vec<Tag> = tags.filter(|tag| !is_of_digest(tag.as_str())).cloned().collect();
            let chosen = pair.choice.of(&tags);
            wanted.extend(chosen.into_iter().map(|tag| Wanted { pair: place, tag }));
        }
        wanted
    }

    async fn compare(&self, wanted: Wanted) -> (Wanted, Result<Comparison, transfer::TransferError>) {
        let pair = &self.pairs[wanted.pair];
        let compared = transfer::compare(&pair.source(), &pair.target(), &wanted.tag, &pair.settings).await;
        (wanted, compared)
    }

    fn take(
        &mut self,
        wanted: &Wanted,
        comparison: Result<Comparison, transfer::TransferError>,
        taken: &mut HashMap<String, (Digest, usize)>,
    ) {
        let pair = &self.pairs[wanted.pair];
        let tag = &wanted.tag;
        let source = format!("{}:{tag}", pair.from.text());
        let destination = format!("{}:{tag}", pair.to.text());
        let comparison = match comparison {
            Ok(comparison) => comparison,
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                self.rows.push(Row::failed(Some(source), destination, reason));
                return;
            }
        };
        match taken.get(&destination) {
            Some((digest, line)) if *digest != comparison.digest => {
                let reason = format!(
                    "the entries of lines {line} and {} want different images there; leave the tag out of one of them",
                    pair.line
                );
                self.rows.push(Row::failed(Some(source), destination, reason));
                return;
            }
            Some(_) => return,
            None => _ = taken.insert(destination.clone(), (comparison.digest, pair.line)),
        }
        let missing = comparison.missing;
        let (act, reason) = match comparison.there {
            Some(there) if there != comparison.digest => (Act::Move, None),
            Some(_) if missing == 0 => (Act::Equal, None),
            Some(_) => (
                Act::Copy,
                Some(format!(
                    "{missing} referrer(s), such as signatures, are not there"
                )),
            ),
            None => (Act::Copy, None),
        };
        if act != Act::Equal {
            self.copies.push(Copy {
                row: self.rows.len(),
                source: pair.source(),
                target: pair.target(),
                tag: tag.clone(),
                original: comparison.original,
                settings: Settings {
                    platforms: comparison.platforms,
                    ..pair.settings.clone()
                },
            });
        }
        self.rows.push(Row {
            act,
            done: false,
            source: Some(source),
            destination,
            digest: Some(comparison.digest),
            previous: comparison.there,
            reason,
        });
    }
}

impl Pair {
    fn source(&self) -> Source {
        Source::Registry {
            client: Arc::clone(&self.from.client),
            repository: self.from.name.to_string(),
        }
    }

    fn target(&self) -> Target {
        Target::Registry {
            client: Arc::clone(&self.to.client),
            repository: self.to.name.to_string(),
        }
    }
}

fn is_chosen(entry: &Entry, name: &str) -> bool {
    let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name, None));
    (entry.repositories.is_empty() || matches(&entry.repositories)) && !matches(&entry.not_repositories)
}

/// The name of a repository below the one of the destination.
fn with_prefix(to: &Side, name: &str) -> Option<RepoName> {
    match &to.name {
        Some(prefix) => format!("{prefix}/{name}").parse().ok(),
        None => name.parse().ok(),
    }
}

fn without_prefix<'a>(to: &Side, name: &'a str) -> Option<&'a str> {
    match &to.name {
        Some(prefix) => name.strip_prefix(prefix.as_str())?.strip_prefix('/'),
        None => Some(name),
    }
}
