//! Growth and traffic over time.

use std::collections::HashMap;

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use wharf_pages::{Choice, Series, Time, Traffic, TrafficChart, TrafficImage};

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
        let stored = stored(page.now, length, &shown.growth);
        let charts = std::iter::once(stored).chain(days.charts());
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
            charts: charts.collect(),
            most: most.collect(),
            never: never.collect(),
            problem: page.said_if(shown.problem, &shown.problem_messages),
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
        Self(
            dates(now, length)
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
            self.chart(
                "bytes",
                true,
                &[("sent", |day| day.sent), ("received", |day| day.received)],
            ),
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
            since: String::new(),
            lines,
        }
    }
}

/// What was stored on each of the last `length` days. A day without a collection has what the last one before has found; the days
/// before the first one are left out.
fn stored(now: Timestamp, length: u64, growth: &[wire::StoredDay]) -> TrafficChart {
    let dates = dates(now, length);
    let mut known = growth.iter().peekable();
    let (mut days, mut values, mut last) = (Vec::new(), Vec::new(), None);
    for date in dates {
        while let Some(day) = known.next_if(|day| day.day <= date) {
            last = Some(day.bytes);
        }
        if let Some(bytes) = last {
            values.push(bytes);
            days.push(date);
        }
    }
    TrafficChart {
        name: "stored",
        bytes: true,
        sum: values.last().copied().unwrap_or_default(),
        since: growth.first().map(|day| day.day.clone()).unwrap_or_default(),
        days,
        lines: vec![Series {
            name: "stored",
            values,
        }],
    }
}

/// The last `length` days, the oldest first.
fn dates(now: Timestamp, length: u64) -> impl Iterator<Item = String> {
    let today: Date = now.to_zoned(TimeZone::UTC).date();
    let ago = (0..i64::try_from(length).unwrap_or_default()).rev();
    ago.map(move |ago| today.saturating_sub(ago.days()).to_string())
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
            sent: 20,
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

    #[test]
    fn a_day_without_a_collection_has_what_the_last_one_before_found() {
        let day = |day: &str, bytes| wire::StoredDay {
            day: day.to_owned(),
            measured: format!("{day}T06:00:00Z"),
            bytes,
            blobs: 1,
            repositories: 1,
        };
        let now = "2026-03-03T12:00:00Z".parse().unwrap();
        let growth = [day("2026-03-01", 5), day("2026-03-03", 9)];
        let shown = |length, growth: &[wire::StoredDay]| {
            let chart = stored(now, length, growth);
            (chart.days, chart.lines[0].values.clone(), chart.sum, chart.since)
        };
        let days = ["2026-03-01", "2026-03-02", "2026-03-03"].map(str::to_owned);
        let since = "2026-03-01".to_owned();
        assert_eq!(
            shown(30, &growth),
            (days.to_vec(), vec![5, 5, 9], 9, since.clone()),
            "what was before is not known"
        );
        assert_eq!(shown(2, &growth), (days[1..].to_vec(), vec![5, 9], 9, since));
        assert_eq!(shown(30, &[]), (Vec::new(), Vec::new(), 0, String::new()));
    }
}
