//! Growth and traffic: what happened on each day, and which images are pulled most, and never.

use std::cmp::Reverse;

use wharf_activity::AllPulls;
use wharf_message::Sentence;
use wharf_oci::RepoName;
use wharf_registry::{Error, EveryTag, Order, Registry, Result, TagsWanted};

use super::{
    pulls::PullCounts,
    shown::{time, told_if},
    wire,
};
use crate::words::Unknown;

/// How many images are shown.
const IMAGES: usize = 20;

/// Among how many tags those without a pull are looked for, and in how many repositories.
const TAGS: usize = 2000;
const REPOSITORIES: usize = 2000;

/// Among how many tags of one repository.
const AT_ONCE: usize = 200;

/// What happened on each day, what was stored, and which images are pulled most, and never.
///
/// # Errors
///
/// Errors of the store.
pub async fn show_traffic(registry: &Registry, pulls: &PullCounts) -> Result<wire::Traffic> {
    let (growth, unread) = growth(registry).await;
    let mut problems: Vec<Sentence> = unread.into_iter().collect();
    let Some(all) = pulls.all().await? else {
        problems.push(Unknown::NotCounted.into());
        let (problem, problem_messages) = told_if(joined(problems));
        return Ok(wire::Traffic {
            growth,
            problem,
            problem_messages,
            ..wire::Traffic::default()
        });
    };
    let never = match all.is_complete && !all.has_forgotten {
        true => {
            let (never, problem) = never_pulled(registry, &all).await?;
            problems.extend(problem);
            never
        }
        false => {
            problems.push(Unknown::NeverPulled.into());
            Vec::new()
        }
    };
    let (problem, problem_messages) = told_if(joined(problems));
    let days = all.days.iter().map(|(date, day)| wire::TrafficDay {
        day: date.to_string(),
        pulls: day.pulls,
        pushes: day.pushes,
        received: day.received,
        sent: day.sent,
        refused: day.refused,
    });
    Ok(wire::Traffic {
        since: all.since.map(|since| time(since.into())),
        days: days.collect(),
        growth,
        most: most_pulled(&all),
        never,
        problem,
        problem_messages,
    })
}

/// All problems as one sentence, if there are any.
fn joined(problems: Vec<Sentence>) -> Option<Sentence> {
    problems.into_iter().reduce(Sentence::and)
}

/// What was stored on each day, and why that is left out: it cannot be read. The page is worth having without it.
async fn growth(registry: &Registry) -> (Vec<wire::StoredDay>, Option<Sentence>) {
    match registry.growth().await {
        Ok(days) => {
            let days = days.into_iter().map(|(date, day)| wire::StoredDay {
                day: date.into(),
                measured: time(day.measured),
                bytes: day.stored.bytes,
                blobs: day.stored.blobs,
                repositories: day.stored.repositories,
            });
            (days.collect(), None)
        }
        Err(error) => {
            tracing::warn!(%error, "what was stored on each day cannot be read; traffic is shown without it");
            (Vec::new(), Some(Unknown::Growth.into()))
        }
    }
}

/// The tags that were pulled most.
fn most_pulled(all: &AllPulls) -> Vec<wire::PulledImage> {
    let tags = all.repositories.iter().flat_map(|(name, counts)| {
        let tags = counts.tags.iter();
        tags.map(move |(tag, count)| (count.count, count.last, name, tag))
    });
    let mut tags: Vec<_> = tags.collect();
    tags.sort_unstable_by_key(|(count, last, name, tag)| (Reverse(*count), Reverse(*last), *name, *tag));
    let most = tags.into_iter().take(IMAGES);
    most.map(|(count, last, name, tag)| wire::PulledImage {
        repository: name.to_string(),
        tag: tag.to_string(),
        pulls: count,
        last_pull: time(last.into()),
    })
    .collect()
}

/// The largest of the tags that were not pulled since pulls are counted, and why some may be missing.
async fn never_pulled(
    registry: &Registry,
    all: &AllPulls,
) -> Result<(Vec<wire::UnpulledImage>, Option<Sentence>)> {
    let mut search = Search {
        found: Vec::new(),
        tags: 0,
        repositories: 0,
        is_whole: true,
    };
    let mut last = None::<RepoName>;
    loop {
        let (names, more) = registry.names_after(last.as_ref()).await?;
        for name in &names {
            if search.is_full() {
                search.is_whole = false;
                return Ok(search.end());
            }
            search.look_into(registry, name, all).await?;
        }
        last = names.last().cloned();
        if !more || last.is_none() {
            return Ok(search.end());
        }
    }
}

/// A search for tags that were not pulled.
struct Search {
    found: Vec<wire::UnpulledImage>,
    /// How many tags it has looked at
    tags: usize,
    /// How many repositories it has looked into
    repositories: usize,
    /// Whether it has left no tag out
    is_whole: bool,
}

impl Search {
    /// Whether it has looked at as much as one answer may cost.
    fn is_full(&self) -> bool {
        self.tags >= TAGS || self.repositories >= REPOSITORIES
    }

    /// Looks at the first tags of the repository `name`: one with many leaves room for others.
    async fn look_into(&mut self, registry: &Registry, name: &RepoName, all: &AllPulls) -> Result<()> {
        let wanted = TagsWanted {
            matching: None,
            order: Order::Name,
            after: None,
            limit: AT_ONCE.min(TAGS - self.tags),
        };
        self.repositories += 1;
        let page = match registry.list_tags(name, wanted, &EveryTag).await {
            Ok(page) => page,
            // Deleted meanwhile.
            Err(Error::NameUnknown { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.tags += page.tags.len();
        self.is_whole &= page.next.is_none();
        let pulled = all.repositories.get(name.as_str());
        let is_pulled = |tag: &str| pulled.is_some_and(|pulled| pulled.tags.contains_key(tag));
        let unpulled = page.tags.into_iter().filter(|row| !is_pulled(row.tag.as_str()));
        self.found.extend(unpulled.map(|row| wire::UnpulledImage {
            repository: name.to_string(),
            tag: row.tag.to_string(),
            size: row.image.size,
            pushed: time(row.pushed),
        }));
        Ok(())
    }

    /// The largest that were found, and why some may be missing.
    fn end(mut self) -> (Vec<wire::UnpulledImage>, Option<Sentence>) {
        self.found.sort_by_key(|image| Reverse(image.size));
        self.found.truncate(IMAGES);
        let problem = (!self.is_whole).then(|| {
            let lookup = Unknown::FirstTags {
                n: self.tags,
                repositories: self.repositories,
                most: AT_ONCE,
            };
            lookup.into()
        });
        (self.found, problem)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_activity::{PullCount, RepositoryPulls};

    use super::*;

    #[test]
    fn those_that_were_pulled_most_come_first() {
        let count = |count| PullCount {
            count,
            ..PullCount::default()
        };
        let of = |tags: &[(&str, u64)]| RepositoryPulls {
            tags: tags
                .iter()
                .map(|(tag, pulls)| ((*tag).into(), count(*pulls)))
                .collect(),
            ..RepositoryPulls::default()
        };
        let all = AllPulls {
            repositories: BTreeMap::from([
                ("a".into(), of(&[("1", 2), ("2", 7)])),
                ("b".into(), of(&[("1", 7)])),
            ]),
            ..AllPulls::default()
        };
        let names: Vec<String> = most_pulled(&all)
            .into_iter()
            .map(|image| format!("{}:{} {}", image.repository, image.tag, image.pulls))
            .collect();
        assert_eq!(names, ["a:2 7", "b:1 7", "a:1 2"]);
    }
}
