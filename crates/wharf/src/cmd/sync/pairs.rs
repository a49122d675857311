//! Which repositories are mirrored where, and the tags of the sources.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt as _, stream};
use wharf_client::{
    Client, Error,
    transfer::{Settings, Source, Target},
};
use wharf_oci::{RepoName, Tag};
use wharf_pattern::Pattern;

use super::{
    choice::Choice,
    file::Entry,
    output::Row,
    side::{Clients, Repository},
};
use crate::cmd::nearest::nearest;

/// The repositories of all entries.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    /// Entries of which not all repositories are known.
    pub(super) unlisted: Vec<Entry>,
    /// A row for each thing that failed.
    pub(super) failed: Vec<Row>,
}

/// A repository of the source, and the one that it is mirrored to.
pub(super) struct Pair {
    pub(super) from: Repository,
    pub(super) to: Repository,
    pub(super) choice: Choice,
    /// All tags of the source; `None`: they could not be listed.
    pub(super) tags: Option<BTreeSet<Tag>>,
    /// Line of its entry in the file.
    pub(super) line: usize,
    pub(super) settings: Settings,
    found: Found,
}

/// How it is known that there is a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The file names it.
    Named,
    /// The source lists it.
    Listed,
    /// The destination lists it, and the source does not.
    Lost,
}

impl Pairs {
    /// Finds the repositories of the entries, and lists the tags of the sources.
    pub(super) async fn find(entries: &[Entry], clients: &Clients, jobs: usize, deletes: bool) -> Self {
        let mut pairs = Self::default();
        let mut counts = Vec::new();
        for entry in entries {
            pairs.add(entry, clients, jobs, deletes).await;
            counts.push(pairs.pairs.len());
        }
        pairs.list(jobs).await;
        let mut start = 0;
        for (entry, end) in entries.iter().zip(counts) {
            pairs.check_tags(entry, start..end);
            start = end;
        }
        pairs
    }

    /// Adds the repositories of an entry.
    async fn add(&mut self, entry: &Entry, clients: &Clients, jobs: usize, deletes: bool) {
        let (source, target) = match (clients.of(&entry.from.registry), clients.of(&entry.to.registry)) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(reason), _) | (_, Err(reason)) => return self.is_unlisted(entry, reason),
        };
        let pair = |from: RepoName, to: RepoName, found: Found| Pair {
            from: Repository {
                client: Arc::clone(&source),
                host: entry.from.registry.identity(),
                name: from,
            },
            to: Repository {
                client: Arc::clone(&target),
                host: entry.to.registry.identity(),
                name: to,
            },
            choice: entry.tags.clone(),
            tags: None,
            line: entry.line,
            settings: Settings {
                jobs,
                referrers: entry.referrers,
                platforms: entry.platforms.clone(),
            },
            found,
        };
        if let Some(name) = &entry.from.name {
            let to = entry.to.name.clone().unwrap_or_else(|| name.clone());
            self.pairs.push(pair(name.clone(), to, Found::Named));
            return;
        }
        let is_literal = !entry.repositories.is_empty() && entry.repositories.iter().all(Pattern::is_literal);
        let (names, found) = match is_literal {
            true => {
                let names = entry.repositories.iter().map(ToString::to_string);
                (names.collect(), Found::Named)
            }
            false => match source.repositories().await {
                Ok(names) => (names, Found::Listed),
                Err(error) => {
                    let text = format!("its repositories cannot be listed: {error}");
                    return self.is_unlisted(entry, text);
                }
            },
        };
        let names = self.chosen(entry, &names);
        if deletes && !is_literal {
            for (from, to) in self.lost(entry, &target, &names).await {
                self.pairs.push(pair(from, to, Found::Lost));
            }
        }
        for name in names {
            match entry.to.with_prefix(name.as_str()) {
                Some(to) => self.pairs.push(pair(name, to, found)),
                None => {
                    let text = "its name would be too long at the destination".to_owned();
                    let source = format!("{}/{name}", entry.from.text());
                    self.failed.push(Row::failed(Some(source), entry.to.text(), text));
                }
            }
        }
    }

    /// Notes that it is not known what an entry would put where.
    fn is_unlisted(&mut self, entry: &Entry, reason: String) {
        let row = Row::failed(Some(entry.from.text()), entry.to.text(), reason);
        self.failed.push(row);
        self.unlisted.push(entry.clone());
    }

    /// The repositories that an entry chooses.
    fn chosen(&mut self, entry: &Entry, names: &[String]) -> Vec<RepoName> {
        let is_inside =
            entry.to.name.is_some() && entry.to.registry.identity() == entry.from.registry.identity();
        let mut chosen: Vec<RepoName> = Vec::new();
        for name in names.iter().filter(|name| entry.chooses(name)) {
            match name.parse() {
                // A mirror inside of its own source is not mirrored once more.
                Ok(_) if is_inside && entry.to.without_prefix(name).is_some() => {}
                Ok(name) => chosen.push(name),
                Err(error) => {
                    self.is_unlisted(entry, format!("it lists a repository that is none: {error}"));
                }
            }
        }
        chosen.sort();
        chosen.dedup();
        chosen
    }

    /// The repositories of the destination that an entry chooses and the source does not have, with their names at the source.
    async fn lost(
        &mut self,
        entry: &Entry,
        target: &Client,
        names: &[RepoName],
    ) -> Vec<(RepoName, RepoName)> {
        let there = match target.repositories().await {
            Ok(there) => there,
            Err(error) => {
                let text = format!(
                    "the repositories of the destination cannot be listed, so those that the source has lost are not found: {error}"
                );
                self.is_unlisted(entry, text);
                return Vec::new();
            }
        };
        let gone = there.iter().filter_map(|name| entry.to.without_prefix(name));
        let gone =
            gone.filter(|name| entry.chooses(name) && !names.iter().any(|known| known.as_str() == *name));
        gone.filter_map(|name| Some((name.parse().ok()?, entry.to.with_prefix(name)?)))
            .collect()
    }

    /// Lists the tags of all sources.
    async fn list(&mut self, jobs: usize) {
        let lists: Vec<_> = stream::iter(&self.pairs)
            .map(Pair::list)
            .buffered(jobs)
            .collect()
            .await;
        for (pair, listed) in self.pairs.iter_mut().zip(lists) {
            match listed {
                Ok(tags) => pair.tags = Some(tags),
                Err(reason) => {
                    let row = Row::failed(Some(pair.from.text()), pair.to.text(), reason);
                    self.failed.push(row);
                }
            }
        }
    }

    /// Notes the tags that an entry names in full and none of its sources has: names that are spelled wrong would never be missed.
    fn check_tags(&mut self, entry: &Entry, pairs: std::ops::Range<usize>) {
        let pairs: Vec<&Pair> = self.pairs[pairs]
            .iter()
            .filter(|pair| pair.found != Found::Lost)
            .collect();
        let tags: Option<Vec<_>> = pairs.iter().map(|pair| pair.tags.as_ref()).collect();
        // What is not listed has failed already.
        let (Some(tags), false) = (tags, pairs.is_empty()) else {
            return;
        };
        let tags: Vec<String> = tags.into_iter().flatten().map(Tag::to_string).collect();
        let named = entry.tags.patterns.iter().filter(|pattern| pattern.is_literal());
        for tag in named.filter(|tag| !tags.iter().any(|known| tag.matches(known, None))) {
            let tag = tag.to_string();
            let (source, destination) = match &pairs[..] {
                [pair] => (
                    format!("{}:{tag}", pair.from.text()),
                    format!("{}:{tag}", pair.to.text()),
                ),
                _ => (entry.from.text(), entry.to.text()),
            };
            let near = did_you_mean(&nearest(&tag, &tags));
            let reason = format!(
                "the entry of line {} names the tag `{tag}`, which the source does not have{near}",
                entry.line
            );
            self.failed.push(Row::failed(Some(source), destination, reason));
        }
    }
}

impl Pair {
    pub(super) fn source(&self) -> Source {
        Source::Registry {
            client: Arc::clone(&self.from.client),
            repository: self.from.name.to_string(),
        }
    }

    pub(super) fn target(&self) -> Target {
        Target::Registry {
            client: Arc::clone(&self.to.client),
            repository: self.to.name.to_string(),
        }
    }

    /// All tags of the source.
    async fn list(&self) -> Result<BTreeSet<Tag>, String> {
        let name = self.from.name.as_str();
        let names = match self.from.client.tags(name).await {
            Err(Error::Refused { status, .. }) if status.as_u16() == 404 => match self.found {
                Found::Named => return Err(self.unknown().await),
                // Registries list also repositories that have no tags, and answer this for them.
                Found::Listed | Found::Lost => Vec::new(),
            },
            listed => listed.map_err(|error| format!("its tags cannot be listed: {error}"))?,
        };
        if names.is_empty() && self.found == Found::Named {
            return Err("it has no tags".to_owned());
        }
        let tags = names.iter().map(|name| name.parse::<Tag>());
        let tags: Result<BTreeSet<Tag>, _> = tags.collect();
        tags.map_err(|error| format!("it lists a tag that is none: {error}"))
    }

    /// That the registry does not know the source, with the repositories that were probably meant.
    async fn unknown(&self) -> String {
        let known = self.from.client.first_repositories().await.unwrap_or_default();
        let near = did_you_mean(&nearest(self.from.name.as_str(), &known));
        format!("there is no such repository, or not for this user{near}")
    }
}

fn did_you_mean(names: &str) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!("; did you mean {names}?"),
    }
}
