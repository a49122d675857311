//! How often images were pulled, and when last: in memory, written in batches, and summed over the processes that count.
//!
//! On a directory one process counts, in one file. On a bucket each replica has an object with its own counts, which it
//! writes at least once an hour. Counts are statistics: no promise of the registry depends on them.
//!
//! # Bounds
//!
//! A process counts at most 20,000 repositories, tags and digests. When there are more, the tenth that was pulled
//! longest ago is forgotten. Of [days](Day) the last 400 are kept.
//!
//! # Replicas that ended
//!
//! A process that ended leaves its object behind. One that runs takes such counts over, so that objects do not pile up:
//!
//! 1. It adds the counts of an object that was not written for a day to its own, and writes its own object, which now
//!    names the other one as absorbed. Readers pass over an object that another one names.
//! 2. Then it reads the objects of all others again. If one of them names the same object, it takes its addition back and
//!    leaves the object alone. Of two processes that absorb one object, the one that looks last sees the other, because
//!    each has written before it looks; so at most one of them keeps the counts.
//! 3. Otherwise it removes the object.

mod days;
mod store;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_oci::{Digest, RepoName, Tag};

use self::days::Days;
pub use self::{days::Day, store::Pulls};
use crate::{entry::Action, record::Record, time};

/// Repositories, tags and digests that one process counts.
const MOST: usize = 20_000;

/// Names of absorbed objects that are kept, so that others see who absorbed them.
const ABSORBED: usize = 100;

/// How often something was pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullCount {
    /// How often
    pub count: u64,
    /// When last
    #[serde(with = "time")]
    pub last: Timestamp,
}

/// How often the images of a repository were pulled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryPulls {
    /// All pulls
    #[serde(flatten)]
    pub total: PullCount,
    /// Pulls by each tag
    #[serde(default)]
    pub tags: BTreeMap<Box<str>, PullCount>,
    /// Pulls of each manifest, by a tag or by its digest
    #[serde(default)]
    pub digests: BTreeMap<Box<str>, PullCount>,
}

/// Counts of pulls, and what is not known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted<T> {
    /// The counts that could be read.
    pub counts: T,
    /// Whether these are all: there were not too many, and each could be understood.
    pub is_complete: bool,
    /// Whether some were forgotten to bound their number: it is not known that what has no count was not pulled.
    pub has_forgotten: bool,
}

/// The pulls of all repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllPulls {
    /// Since when they are known: what is not listed was not pulled since then. `None`: nothing is known.
    pub since: Option<Timestamp>,
    /// Whether the counts of all processes could be read.
    pub is_complete: bool,
    /// Whether counts were forgotten to bound their number.
    pub has_forgotten: bool,
    /// The pulls of each repository that was pulled from.
    pub repositories: BTreeMap<Box<str>, RepositoryPulls>,
    /// What happened on each day, by its date in UTC, such as `2026-11-30`.
    pub days: BTreeMap<Box<str>, Day>,
}

/// What has no pulls any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Tag(Tag),
    Digest(Digest),
}

/// The counts of one process, as it writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// Names of objects with counts that are contained in these
    #[serde(default)]
    absorbed: VecDeque<Box<str>>,
    /// When the process, or one whose counts are contained in these, began to count
    #[serde(default, with = "time::optional", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// The last pull of what was forgotten to bound the counts
    #[serde(default, with = "time::optional", skip_serializing_if = "Option::is_none")]
    forgotten: Option<Timestamp>,
    repositories: BTreeMap<Box<str>, RepositoryPulls>,
    /// What happened on each day
    #[serde(default, skip_serializing_if = "Days::is_empty")]
    days: Days,
}

impl PullCount {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
    }
}

impl RepositoryPulls {
    fn add(&mut self, other: &Self) {
        self.total.add(other.total);
        for (sum, counts) in [(&mut self.tags, &other.tags), (&mut self.digests, &other.digests)] {
            for (name, count) in counts {
                sum.entry(name.clone()).or_default().add(*count);
            }
        }
    }

    /// Adds the pulls of all, and of these `tags` and `digests` apart.
    fn add_some(&mut self, other: &Self, tags: &[&str], digests: &[&str]) {
        self.total.add(other.total);
        for (sum, counts, wanted) in [
            (&mut self.tags, &other.tags, tags),
            (&mut self.digests, &other.digests, digests),
        ] {
            for name in wanted {
                if let Some((name, count)) = counts.get_key_value(*name) {
                    sum.entry(name.clone()).or_default().add(*count);
                }
            }
        }
    }

    fn size(&self) -> usize {
        1 + self.tags.len() + self.digests.len()
    }
}

impl Counts {
    /// Adds the pulls of `records`. Returns whether there were any.
    fn count(&mut self, records: &[Record]) -> bool {
        let mut has_pulls = false;
        for record in records {
            let (Action::Pull, repository) = (record.action, &record.repository) else {
                continue;
            };
            let Some(repository) = repository else {
                // Pulls without room for an entry of their own: which images they were of is not known.
                self.forgotten = self.forgotten.max(Timestamp::try_from(record.last).ok());
                continue;
            };
            has_pulls = true;
            let pulls = PullCount {
                count: record.count,
                last: Timestamp::try_from(record.last).unwrap_or_default(),
            };
            let counts = self.repositories.entry(repository.as_str().into()).or_default();
            counts.total.add(pulls);
            if let Some(tag) = &record.tag {
                counts.tags.entry(tag.as_str().into()).or_default().add(pulls);
            }
            if let Some(digest) = &record.digest {
                let digest = digest.to_string().into();
                counts.digests.entry(digest).or_default().add(pulls);
            }
        }
        has_pulls
    }

    /// Forgets what was deleted. Returns whether there was something to forget.
    fn forget(&mut self, repository: &RepoName, forgotten: &Forgotten) -> bool {
        let Some(counts) = self.repositories.get_mut(repository.as_str()) else {
            return false;
        };
        match forgotten {
            Forgotten::Tag(tag) => counts.tags.remove(tag.as_str()).is_some(),
            Forgotten::Digest(digest) => counts.digests.remove(digest.to_string().as_str()).is_some(),
        }
    }

    fn has_something(&self) -> bool {
        !self.repositories.is_empty() || !self.days.is_empty()
    }

    fn add(&mut self, other: &Self) {
        self.since = [self.since, other.since].into_iter().flatten().min();
        self.forgotten = self.forgotten.max(other.forgotten);
        self.days.add(&other.days);
        for (name, counts) in &other.repositories {
            self.repositories.entry(name.clone()).or_default().add(counts);
        }
    }

    fn absorb(&mut self, name: &str, other: &Self) {
        self.add(other);
        self.absorbed.push_back(name.into());
        while self.absorbed.len() > ABSORBED {
            self.absorbed.pop_front();
        }
    }

    /// The counts of one process or of several, as others may read them.
    fn into_all(self) -> AllPulls {
        AllPulls {
            since: self
                .since
                .map(|since| self.forgotten.map_or(since, |forgotten| forgotten.max(since))),
            is_complete: true,
            has_forgotten: self.forgotten.is_some(),
            repositories: self.repositories,
            days: self.days.into_map(),
        }
    }

    /// Forgets what was pulled longest ago if there is more than `most`.
    fn bound(&mut self, most: usize) {
        let size: usize = self.repositories.values().map(RepositoryPulls::size).sum();
        if size <= most {
            return;
        }
        let mut times: Vec<Timestamp> = Vec::with_capacity(size);
        for counts in self.repositories.values() {
            times.push(counts.total.last);
            times.extend(counts.tags.values().map(|count| count.last));
            times.extend(counts.digests.values().map(|count| count.last));
        }
        let excess = size - most + most / 10;
        let (_, &mut oldest_kept, _) = times.select_nth_unstable(excess.min(size - 1));
        let last_forgotten = times.iter().filter(|last| **last < oldest_kept).max();
        self.forgotten = self.forgotten.max(last_forgotten.copied());
        let before = mem::take(&mut self.repositories);
        self.repositories = before
            .into_iter()
            .filter_map(|(name, mut counts)| {
                let is_kept = |count: &PullCount| count.last >= oldest_kept;
                counts.tags.retain(|_, count| is_kept(count));
                counts.digests.retain(|_, count| is_kept(count));
                is_kept(&counts.total).then_some((name, counts))
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(second: i64) -> PullCount {
        PullCount {
            count: 1,
            last: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn what_was_pulled_longest_ago_is_forgotten() {
        let mut counts = Counts::default();
        for number in 0..100 {
            let pulls = RepositoryPulls {
                total: count(number),
                tags: BTreeMap::from([("latest".into(), count(number))]),
                digests: BTreeMap::from([("sha256:a".into(), count(0))]),
            };
            counts.repositories.insert(format!("r{number:02}").into(), pulls);
        }
        counts.bound(300);
        assert_eq!(counts.repositories.len(), 100, "they are few enough");
        counts.bound(100);
        let names: Vec<&str> = counts.repositories.keys().map(|name| &**name).collect();
        let expected: Vec<String> = (55..100).map(|number| format!("r{number:02}")).collect();
        assert_eq!(names, expected, "two of each are kept, 90 in all");
        let one = &counts.repositories["r60"];
        assert_eq!((one.tags.len(), one.digests.len()), (1, 0));
        counts.since = Some(Timestamp::from_second(3).unwrap());
        let all = counts.into_all();
        assert_eq!(
            all.since,
            Some(Timestamp::from_second(54).unwrap()),
            "what was pulled until then is not known"
        );
    }

    #[test]
    fn pulls_are_known_since_the_first_process_began_to_count() {
        let since = |second| Counts {
            since: Some(Timestamp::from_second(second).unwrap()),
            ..Counts::default()
        };
        let mut sum = Counts::default();
        for counts in [since(20), since(10), Counts::default(), since(30)] {
            sum.add(&counts);
        }
        assert_eq!(sum.into_all().since, since(10).since);
        assert_eq!(Counts::default().into_all().since, None);
    }

    #[test]
    fn counts_have_a_form_that_can_be_read_again() {
        let mut counts = Counts::default();
        let pulls = RepositoryPulls {
            total: count(1),
            tags: BTreeMap::from([("1.0".into(), count(1))]),
            digests: BTreeMap::new(),
        };
        counts.repositories.insert("team/app".into(), pulls);
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(
            text,
            r#"{"absorbed":[],"repositories":{"team/app":{"count":1,"last":"1970-01-01T00:00:01.000Z","tags":{"1.0":{"count":1,"last":"1970-01-01T00:00:01.000Z"}},"digests":{}}}}"#
        );
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
    }
}
