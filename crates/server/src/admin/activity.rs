//! The activity log, read in pages from the newest entries to the oldest.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use wharf_activity::{Entry, Filter, Reader};
use wharf_storage::Objects;

use super::wire;

/// The activity log of a store.
#[derive(Clone)]
pub struct ActivityLog(Arc<dyn Objects>);

/// Why no page was read.
#[derive(Debug, thiserror::Error)]
pub enum ActivityError {
    /// The cursor is not one of this log.
    #[error("`cursor` is not one that this server gave; begin without it")]
    Cursor,
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] wharf_storage::Error),
}

/// Where a page ends: its entries are older than those of the pages before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Time of the oldest entry before, in milliseconds since 1970, as the log has times
    time: i64,
    /// Entries of that time that were given before
    given: usize,
}

impl ActivityLog {
    /// The log in `objects`.
    pub fn of(objects: Arc<dyn Objects>) -> Self {
        Self(objects)
    }

    /// The newest `limit` entries that `filter` wants, or those before the place of `cursor`. Reads the log from its end on.
    ///
    /// # Errors
    /// When the cursor is none, or the log cannot be read.
    pub async fn page(
        &self,
        mut filter: Filter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<wire::ActivityPage, ActivityError> {
        let place = match cursor {
            Some(cursor) => Some(Place::read(cursor).ok_or(ActivityError::Cursor)?),
            None => None,
        };
        if let Some(place) = place {
            let end = Timestamp::from_millisecond(place.time.saturating_add(1));
            let end = end.map_err(|_| ActivityError::Cursor)?;
            filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
        }
        let given = place.map_or(0, |place| place.given);
        let most = limit.saturating_add(given).saturating_add(1);
        let found = Reader::new(Arc::clone(&self.0), filter).newest(most).await?;
        let (entries, next) = cut(found.entries, limit, place);
        Ok(wire::ActivityPage {
            entries,
            next: next.map(Place::cursor),
            unreadable: found.unreadable,
        })
    }
}

impl fmt::Debug for ActivityLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityLog").finish_non_exhaustive()
    }
}

impl Place {
    fn cursor(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {}", self.time, self.given))
    }

    fn read(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (time, given) = text.split_once(' ')?;
        Some(Self {
            time: time.parse().ok()?,
            given: given.parse().ok()?,
        })
    }
}

/// Of entries in the order of their times, the last `limit` before `place`, and the place before these if there are older ones.
fn cut(mut entries: Vec<Entry>, limit: usize, place: Option<Place>) -> (Vec<Entry>, Option<Place>) {
    let time_of = |entry: &Entry| entry.timestamp.as_millisecond();
    if let Some(Place { time, given }) = place {
        let of_time = entries
            .iter()
            .rev()
            .take_while(|entry| time_of(entry) == time)
            .count();
        entries.truncate(entries.len() - given.min(of_time));
    }
    let excess = entries.len().saturating_sub(limit);
    entries.drain(..excess);
    let next = entries.first().filter(|_| excess > 0).map(|oldest| {
        let time = time_of(oldest);
        let before = place.filter(|place| place.time == time);
        let here = entries.iter().take_while(|entry| time_of(entry) == time).count();
        Place {
            time,
            given: here + before.map_or(0, |place| place.given),
        }
    });
    (entries, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of a time in milliseconds, with its number in place of a count.
    fn entry(time: i64, number: usize) -> Entry {
        let time = Timestamp::from_millisecond(time).unwrap();
        let line = format!(r#"{{"timestamp":"{time:.3}","action":"push","count":{number},"result":"ok"}}"#);
        Entry::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn pages_give_each_entry_once_also_of_one_millisecond() {
        let all: Vec<Entry> = [1, 1, 2, 2, 2, 2, 2, 3, 4, 4]
            .into_iter()
            .enumerate()
            .map(|(number, time)| entry(time, number))
            .collect();
        for limit in 1..=11 {
            let (mut place, mut pages) = (None, Vec::new());
            loop {
                let until = place.map_or(i64::MAX, |place: Place| place.time);
                let before = all
                    .iter()
                    .filter(|entry| entry.timestamp.as_millisecond() <= until)
                    .cloned()
                    .collect();
                let (entries, next) = cut(before, limit, place);
                pages.push(entries);
                match next {
                    Some(next) => place = Place::read(&next.cursor()),
                    None => break,
                }
            }
            let given: Vec<Entry> = pages.into_iter().rev().flatten().collect();
            assert_eq!(given, all, "{limit}");
        }
    }
}
