//! How much happened on each day: sums, beside the counts of pulls.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use wharf_oci::media_type;

use crate::{
    entry::{Action, Outcome},
    record::Record,
};

/// Days that are kept.
const MOST: usize = 400;

/// What happened on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Day {
    /// Pulls of manifests
    pub pulls: u64,
    /// Pushes of manifests
    pub pushes: u64,
    /// Bytes of manifests and blobs that were pushed, for the first time or again
    pub received: u64,
    /// Bytes of manifests and blobs that clients got from here; not of those that a redirect led to the store
    pub sent: u64,
    /// Logins that failed, and acts of administration that were denied
    pub refused: u64,
}

/// Days by their dates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Days(BTreeMap<Box<str>, Day>);

impl Days {
    /// Adds what happened. Returns whether something did that is counted.
    pub(super) fn count(&mut self, records: &[Record]) -> bool {
        let mut has_changed = false;
        for record in records {
            let day = Day::of(record);
            if day == Day::default() {
                continue;
            }
            let last = Timestamp::try_from(record.last).unwrap_or_default();
            self.0.entry(date_of(last)).or_default().add(day);
            has_changed = true;
        }
        self.bound();
        has_changed
    }

    /// Adds bytes that clients got by the time `at`, in answers that ended since the last call.
    pub(super) fn count_sent(&mut self, at: Timestamp, bytes: u64) {
        let sent = Day {
            sent: bytes,
            ..Day::default()
        };
        self.0.entry(date_of(at)).or_default().add(sent);
        self.bound();
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (date, day) in &other.0 {
            self.0.entry(date.clone()).or_default().add(*day);
        }
        self.bound();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_map(self) -> BTreeMap<Box<str>, Day> {
        self.0
    }

    fn bound(&mut self) {
        while self.0.len() > MOST {
            self.0.pop_first();
        }
    }
}

/// The date of a time in UTC.
fn date_of(at: Timestamp) -> Box<str> {
    at.to_zoned(TimeZone::UTC).date().to_string().into()
}

impl Day {
    /// What one record adds.
    fn of(record: &Record) -> Self {
        let count = record.count;
        let is_blob = record.media_type.as_deref() == Some(media_type::OCTET_STREAM);
        let mut day = Self::default();
        match record.action {
            Action::Pull => day.pulls = count,
            Action::Push => {
                day.pushes = if is_blob { 0 } else { count };
                day.received = record.size.unwrap_or_default().saturating_mul(count);
            }
            _ if record.result == Outcome::Denied => day.refused = count,
            _ => {}
        }
        day
    }

    fn add(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.pulls, other.pulls),
            (&mut self.pushes, other.pushes),
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
            (&mut self.refused, other.refused),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use wharf_registry::CallerFacts;

    use super::*;
    use crate::record::Sighting;

    const DAY: Duration = Duration::from_secs(86_400);

    fn record(action: Action, at: SystemTime) -> Record {
        let mut record = Sighting::by(action, &CallerFacts::default()).record(None);
        (record.first, record.last) = (at, at);
        record
    }

    #[test]
    fn what_happens_is_added_to_its_day_and_the_last_days_are_kept() {
        let mut days = Days::default();
        let now = UNIX_EPOCH + 20_000 * DAY;
        let mut blob = record(Action::Push, now);
        blob.size = Some(7);
        blob.set_media_type(media_type::OCTET_STREAM);
        let mut pulls = record(Action::Pull, now);
        pulls.count = 3;
        let refused = record(Action::LoginFailure, now);
        assert!(days.count(&[blob, record(Action::Push, now), pulls, refused]));
        assert!(!days.count(&[record(Action::Delete, now)]));
        for bytes in [40, 2] {
            days.count_sent(now.try_into().unwrap(), bytes);
        }
        let expected = Day {
            pulls: 3,
            pushes: 1,
            received: 7,
            sent: 42,
            refused: 1,
        };
        assert_eq!(days.0.iter().next(), Some((&"2024-10-04".into(), &expected)));
        let earlier = (1..=450).map(|ago| record(Action::Pull, now - ago * DAY));
        assert!(days.count(&earlier.collect::<Vec<_>>()));
        assert_eq!(days.0.len(), MOST);
        let mut twice = days.clone();
        twice.add(&days);
        let twice = twice.0["2024-10-04"];
        assert_eq!((twice.pulls, twice.sent), (6, 84));
    }
}
