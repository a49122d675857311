//! Moments: exact for machines, and how long ago for people.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use crate::{language::Lang, text::Text};

/// A moment. Its `Display` is that of RFC 3339, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// The moment that a text of RFC 3339 names; `None` where it names none.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The moment, to the second, as people write it: `2026-11-30 10:48:00 UTC`.
    pub fn exact(self) -> String {
        let time = self.0.to_zoned(TimeZone::UTC);
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    /// How long ago it was, or in how long it will be, at the time `now`.
    pub fn ago(self, lang: &Lang, now: &Timestamp) -> Text {
        ago(*lang, now.as_second().saturating_sub(self.0.as_second()))
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const SPANS: [(&str, &str, u64); 5] = [
    ("ago.years", "in.years", 365 * 24 * 3600),
    ("ago.months", "in.months", 30 * 24 * 3600),
    ("ago.days", "in.days", 24 * 3600),
    ("ago.hours", "in.hours", 3600),
    ("ago.minutes", "in.minutes", 60),
];

/// How long ago a moment was, or in how long it will be, `seconds` after it.
fn ago(lang: Lang, seconds: i64) -> Text {
    let span = seconds.unsigned_abs();
    for (past, future, length) in SPANS {
        if span >= length {
            let key = if seconds < 0 { future } else { past };
            return Text::of(lang, key).n(span / length);
        }
    }
    Text::of(lang, "ago.now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_exactly() {
        let time = Time::parse("2026-11-30T10:48:00.5Z").unwrap();
        assert_eq!(time.exact(), "2026-11-30 10:48:00 UTC");
        assert_eq!(time.to_string(), "2026-11-30T10:48:00.5Z");
        assert_eq!(Time::parse("yesterday"), None);
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let ago = |lang, seconds| ago(lang, seconds).attr();
        assert_eq!(ago(Lang::En, 59), "just now");
        assert_eq!(ago(Lang::En, 60), "1 minute ago");
        assert_eq!(ago(Lang::En, 3 * 3600), "3 hours ago");
        assert_eq!(ago(Lang::Ru, 5 * 24 * 3600), "5 дней назад");
        assert_eq!(ago(Lang::Ru, -22 * 3600), "через 22 часа");
        assert_eq!(ago(Lang::En, i64::MIN), "in 292,471,208,677 years");
    }
}
