//! How the store grows: what was stored on each day, as the last collection of the day has found it.
//!
//! A collection looks at every repository and every blob, so it knows without a walk of its own what is stored: what
//! manifests state of what is needed, and the sizes of blobs that nothing needs. All days are in one document of the store.
//! It is replaced on condition that it still is what was read; when another replica was first, the day is added again to
//! what that one has written, so no day gets lost. Of two figures of one day the later one stays, whichever is written last.

use std::{collections::BTreeMap, time::SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use wharf_storage::{ErrorKind, Objects, Put, Version, layout};

use crate::{collect::Stored, error::Result, registry::Registry};

/// Days that are kept: two years, and those that leap years add.
const DAYS: usize = 732;

/// The largest document, in bytes: ten times as much as the days take.
const LARGEST: u64 = 1 << 20;

/// How often a day is added again because other replicas were first.
const ATTEMPTS: usize = 10;

/// What was stored on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredDay {
    /// When it was found out, at the end of a collection.
    pub measured: SystemTime,
    /// What was stored.
    pub stored: Stored,
}

/// The document.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Days {
    /// The days by their dates in UTC, such as `2026-11-30`.
    days: BTreeMap<Box<str>, Day>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// When it was found out, in seconds since 1970
    at: i64,
    #[serde(flatten)]
    stored: Stored,
}

impl Registry {
    /// What was stored on each day on which a collection ended, by the date in UTC, for the last two years.
    ///
    /// # Errors
    ///
    /// Errors of the store, also when the document cannot be understood.
    pub async fn growth(&self) -> Result<BTreeMap<Box<str>, MeasuredDay>> {
        let (days, _) = read(&*self.storage).await?;
        let measured = days.days.into_iter().map(|(date, day)| {
            let measured = MeasuredDay {
                measured: Timestamp::from_second(day.at).unwrap_or_default().into(),
                stored: day.stored,
            };
            (date, measured)
        });
        Ok(measured.collect())
    }

    /// Records what is `stored` at the time `at`.
    ///
    /// # Errors
    ///
    /// Errors of the store, also when the document cannot be understood: then it stays as it is. Of the kind
    /// [`ErrorKind::Precondition`] when other processes changed it again and again.
    pub async fn record_growth(&self, at: SystemTime, stored: Stored) -> Result<()> {
        let at = Timestamp::try_from(at).unwrap_or_default();
        for _ in 1..ATTEMPTS {
            match self.try_record(at, stored).await {
                Err(error) if error.storage_kind() == Some(ErrorKind::Precondition) => {}
                recorded => return recorded,
            }
        }
        self.try_record(at, stored).await
    }

    async fn try_record(&self, at: Timestamp, stored: Stored) -> Result<()> {
        let (mut days, version) = read(&*self.storage).await?;
        if !days.add(at, stored) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&days).map_err(not_understood)?;
        let put = Put::new(layout::growth(), bytes);
        let put = match version {
            Seen::Absent => put.if_absent(),
            Seen::Object(Some(version)) => put.only_if(version),
            // A file that was written just now: one process has the directory to itself.
            Seen::Object(None) => put,
        };
        Ok(self.storage.publish(&[put]).await?)
    }
}

/// What was at the key of the document.
enum Seen {
    Absent,
    Object(Option<Version>),
}

async fn read(objects: &(impl Objects + ?Sized)) -> Result<(Days, Seen)> {
    match objects.read(&layout::growth(), LARGEST).await {
        Ok(object) => {
            let days = serde_json::from_slice(&object.bytes).map_err(not_understood)?;
            Ok((days, Seen::Object(object.stat.version)))
        }
        Err(error) if error.is_not_found() => Ok((Days::default(), Seen::Absent)),
        Err(error) => Err(error.into()),
    }
}

fn not_understood(error: serde_json::Error) -> wharf_storage::Error {
    let context = "read what was stored on each day (`wharf/growth` in the store; remove it to begin anew)";
    wharf_storage::Error::with_source(ErrorKind::Damaged, context, error)
}

impl Days {
    /// Adds what was stored at `at`, unless there is a later figure of that day. Returns whether it was added.
    fn add(&mut self, at: Timestamp, stored: Stored) -> bool {
        let date = at.to_zoned(TimeZone::UTC).date().to_string();
        let day = Day {
            at: at.as_second(),
            stored,
        };
        let known = self.days.entry(date.into()).or_insert(day);
        if known.at > day.at {
            return false;
        }
        *known = day;
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    fn stored(bytes: u64) -> Stored {
        Stored {
            bytes,
            blobs: 2,
            repositories: 1,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_later_figure_of_a_day_stays_and_the_last_two_years_are_kept() {
        let mut days = Days::default();
        assert!(days.add(at("2026-11-30T12:00:00Z"), stored(2)));
        assert!(!days.add(at("2026-11-30T11:00:00Z"), stored(1)), "it is older");
        assert!(days.add(at("2026-11-30T23:59:59Z"), stored(3)));
        assert_eq!(days.days["2026-11-30"].stored, stored(3));
        let first = at("2020-01-01T00:00:00Z");
        for hours in 0..800 {
            days.add(first + (hours * 24).hours(), stored(7));
        }
        assert_eq!(days.days.len(), DAYS);
        assert!(days.days.contains_key("2026-11-30") && !days.days.contains_key("2020-01-01"));
    }

    #[test]
    fn the_document_has_a_form_that_can_be_read_again_and_is_small() {
        let mut days = Days::default();
        days.add(at("2026-11-30T12:00:00Z"), stored(5));
        let text = serde_json::to_string(&days).unwrap();
        assert_eq!(
            text,
            r#"{"days":{"2026-11-30":{"at":1796040000,"bytes":5,"blobs":2,"repositories":1}}}"#
        );
        assert_eq!(serde_json::from_str::<Days>(&text).unwrap(), days);
        let largest = r#""2026-11-30":{"at":1796040000,"bytes":18446744073709551615,"blobs":18446744073709551615,"repositories":18446744073709551615},"#;
        assert!((largest.len() * DAYS) as u64 * 4 < LARGEST);
    }
}
