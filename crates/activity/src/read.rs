//! Reads the log: the newest entries that match a filter, and then those that come.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use wharf_storage::{
    Key, Objects, Result,
    journal::{self, Segment},
    layout,
};

use crate::entry::{Action, Entry};

/// How far the clocks of replicas and the store may be apart, and how long entries may have waited before they were
/// written. What is read is not cut off closer than that.
const SLACK: Duration = Duration::from_secs(10 * 60);

/// Whether a repository of this name is wanted.
pub type WantsRepository = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// The entries that are wanted.
#[derive(Default)]
pub struct Filter {
    /// Repositories; `None`: all of them, and entries that are of none
    pub repository: Option<WantsRepository>,
    /// Name of the account
    pub account: Option<String>,
    /// Action
    pub action: Option<Action>,
    /// Time of the first entry
    pub since: Option<Timestamp>,
    /// Time after the last entry
    pub until: Option<Timestamp>,
}

/// The entries that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries in the order of their times
    pub entries: Vec<Entry>,
    /// Lines that are no entries: torn by a crash, or of another version
    pub unreadable: u64,
}

/// A reader of the log. It takes no lock, and works beside servers that write.
pub struct Reader {
    objects: Arc<dyn Objects>,
    filter: Filter,
    /// How far each segment has been read.
    offsets: HashMap<Key, u64>,
}

impl Filter {
    fn wants(&self, entry: &Entry) -> bool {
        let target = entry.target.repository.as_deref();
        let name = entry.actor.name.as_deref();
        let last = entry.until.unwrap_or(entry.timestamp);
        self.repository
            .as_ref()
            .is_none_or(|wants| target.is_some_and(wants))
            && self
                .account
                .as_ref()
                .is_none_or(|account| name == Some(account.as_str()))
            && self.action.is_none_or(|action| entry.action == action)
            && self.since.is_none_or(|since| last >= since)
            && self.until.is_none_or(|until| entry.timestamp < until)
    }

    /// Whether the segment may have entries that are wanted. Its entries are older than its last write.
    fn may_want(&self, segment: &Segment) -> bool {
        self.since.is_none_or(|since| newest(segment) >= since)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("account", &self.account)
            .field("action", &self.action)
            .field("since", &self.since)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of the log in `objects`.
    pub fn new(objects: Arc<dyn Objects>, filter: Filter) -> Self {
        Self {
            objects,
            filter,
            offsets: HashMap::new(),
        }
    }

    /// The newest `limit` entries that are wanted. Segments that are too old for that are not read.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn newest(&mut self, limit: usize) -> Result<Found> {
        let mut segments = journal::segments(&*self.objects, &layout::activity()).await?;
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.modified));
        let mut found = Found::default();
        for segment in &segments {
            let oldest = found.entries.first().map(|entry| entry.timestamp);
            let is_enough =
                found.entries.len() >= limit && oldest.is_some_and(|oldest| newest(segment) < oldest);
            if is_enough || limit == 0 || !self.filter.may_want(segment) {
                self.offsets.insert(segment.key.clone(), segment.size);
                continue;
            }
            self.read(&segment.key, &mut found).await?;
            sort(&mut found.entries);
            let excess = found.entries.len().saturating_sub(limit);
            found.entries.drain(..excess);
        }
        Ok(found)
    }

    /// The entries that are wanted and came since the last call, in the order of their times.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn further(&mut self) -> Result<Found> {
        let segments = journal::segments(&*self.objects, &layout::activity()).await?;
        let mut before = mem::take(&mut self.offsets);
        let mut found = Found::default();
        for segment in &segments {
            let offset = before.remove(&segment.key).unwrap_or(0);
            self.offsets.insert(segment.key.clone(), offset);
        }
        for segment in &segments {
            if segment.size > self.offsets.get(&segment.key).copied().unwrap_or(0) {
                self.read(&segment.key, &mut found).await?;
            }
        }
        sort(&mut found.entries);
        Ok(found)
    }

    /// Reads the lines of a segment from the last place on. A line without its end is left for later.
    async fn read(&mut self, segment: &Key, found: &mut Found) -> Result<()> {
        let offset = self.offsets.get(segment).copied().unwrap_or(0);
        let Some(bytes) = journal::read(&*self.objects, segment, offset).await? else {
            return Ok(());
        };
        let end = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in bytes[..end]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            match Entry::parse(line) {
                Some(entry) if self.filter.wants(&entry) => found.entries.push(entry),
                Some(_) => {}
                None => found.unreadable += 1,
            }
        }
        self.offsets.insert(segment.clone(), offset + end as u64);
        Ok(())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// The order of entries of several processes. Those of one time keep the order in which they were written.
fn sort(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| entry.timestamp);
}

/// No entry of the segment is newer.
fn newest(segment: &Segment) -> Timestamp {
    let modified: SystemTime = segment.modified + SLACK;
    Timestamp::try_from(modified).unwrap_or(Timestamp::MAX)
}
