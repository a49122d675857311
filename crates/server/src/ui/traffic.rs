//! Growth and traffic over time.

use std::collections::HashMap;

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use wharf_pages::{Choice, Line, Series, Time, Traffic, TrafficChart, TrafficImage};

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// The spans of time to choose from, in days.
const SPANS: [(&str, u64); 3] = [("week", 7), ("month", 30), ("year", 365)];

/// What a line of a chart shows of a day.
type Number = fn(&wire::TrafficDay) -> u64;

/// The days of the span, and the images that were pulled most and never.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let chosen = call.query.get("span");
        let known = SPANS.into_iter().find(|(name, _)| *name == chosen);
        let (span, length) = known.unwrap_or(SPANS[1]);
        let shown: wire::Traffic = call.ask("showTraffic", &[]).await?;
        let page = call.page();
        let days = Days::until(page.now, length, shown.days);
        let most = shown.most.into_iter().map(|image| TrafficImage {
            name: format!("{}:{}", image.repository, image.tag),
            pulls: image.pulls,
            pulled: Time::parse(&image.last_pull),
            size: None,
            pushed: None,
        });
        let never = shown.never.into_iter().map(|image| TrafficImage {
            name: format!("{}:{}", image.repository, image.tag),
            pulls: 0,
            pulled: None,
            size: image.size,
            pushed: Time::parse(&image.pushed),
        });
        let since = shown.since.as_deref().and_then(|since| since.get(..10));
        Ok(Answer::page(Traffic {
            spans: SPANS
                .into_iter()
                .map(|(name, _)| Choice {
                    value: name.to_owned(),
                    chosen: name == span,
                })
                .collect(),
            counted_since: since.unwrap_or_default().to_owned(),
            charts: days.charts(),
            most: most.collect(),
            never: never.collect(),
            problem: Line::from(shown.problem),
            page,
        }))
    }
    .boxed()
}

/// The days of a span, one after the other, also those on which nothing happened.
struct Days(Vec<(String, Option<wire::TrafficDay>)>);

impl Days {
    /// The last `length` days.
    fn until(now: Timestamp, length: u64, days: Vec<wire::TrafficDay>) -> Self {
        let mut known: HashMap<String, wire::TrafficDay> =
            days.into_iter().map(|day| (day.day.clone(), day)).collect();
        let today: Date = now.to_zoned(TimeZone::UTC).date();
        let dates = (0..i64::try_from(length).unwrap_or_default()).rev();
        let dates = dates.map(|ago| today.saturating_sub(ago.days()).to_string());
        Self(
            dates
                .map(|date| {
                    let day = known.remove(&date);
                    (date, day)
                })
                .collect(),
        )
    }

    fn charts(&self) -> Vec<TrafficChart> {
        vec![
            self.chart(
                "requests",
                false,
                &[("pulls", |day| day.pulls), ("pushes", |day| day.pushes)],
            ),
            self.chart("bytes", true, &[("received", |day| day.received)]),
            self.chart("failures", false, &[("refused", |day| day.refused)]),
        ]
    }

    fn chart(&self, name: &'static str, bytes: bool, lines: &[(&'static str, Number)]) -> TrafficChart {
        let lines = lines.iter().map(|(name, value)| Series {
            name,
            values: self
                .0
                .iter()
                .map(|(_, day)| day.as_ref().map_or(0, value))
                .collect(),
        });
        let lines: Vec<Series> = lines.collect();
        TrafficChart {
            name,
            bytes,
            sum: lines
                .iter()
                .flat_map(|line| &line.values)
                .fold(0, |sum, value| u64::saturating_add(sum, *value)),
            days: self.0.iter().map(|(date, _)| date.clone()).collect(),
            lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_on_which_nothing_happened_are_there_too() {
        let day = |day: &str, pulls| wire::TrafficDay {
            day: day.to_owned(),
            pulls,
            pushes: 1,
            received: 10,
            refused: 0,
        };
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let days = Days::until(
            now,
            3,
            vec![day("2026-01-01", 9), day("2026-02-28", 4), day("2026-03-01", 5)],
        );
        let chart = &days.charts()[0];
        assert_eq!(chart.days, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(
            (chart.lines[0].values.as_slice(), chart.sum),
            (&[0, 4, 5][..], 11)
        );
    }
}
