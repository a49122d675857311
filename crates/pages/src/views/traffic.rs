//! Growth and traffic over time.

use std::fmt::Write as _;

use askama::Template;

use crate::{filters, moment::Time, page::Page, said::Said, values::Choice, view::View};

/// What was stored, pulled, pushed and refused on each day.
#[derive(Template)]
#[template(path = "traffic.html")]
pub struct Traffic {
    /// What all pages share.
    pub page: Page,
    /// The spans of time to choose from.
    pub spans: Vec<Choice>,
    /// The day since when pulls are counted, as `2026-09-12`; empty: they are not.
    pub counted_since: String,
    /// The charts.
    pub charts: Vec<TrafficChart>,
    /// The images that were pulled most.
    pub most: Vec<TrafficImage>,
    /// Images that were not pulled.
    pub never: Vec<TrafficImage>,
    /// What was left out, and why; empty: nothing.
    pub problem: Said,
}

/// A chart.
pub struct TrafficChart {
    /// What it shows: the last part of the key of a text in `chart`.
    pub name: &'static str,
    /// Whether its numbers are bytes.
    pub bytes: bool,
    /// The number that stands for all of it: the sum, or the last one.
    pub sum: u64,
    /// The day since when it is known, as `2026-09-12`; empty: as the counts of the page, or never.
    pub since: String,
    /// The days, as `2026-11-30`, the oldest first; without any nothing is known yet.
    pub days: Vec<String>,
    /// The lines.
    pub lines: Vec<Series>,
}

/// A line of a chart.
pub struct Series {
    /// What it shows: the last part of the key of a text in `line`.
    pub name: &'static str,
    /// A number for each day.
    pub values: Vec<u64>,
}

/// An image with its pulls.
pub struct TrafficImage {
    /// Repository, and tag or digest, as in a pull.
    pub name: String,
    /// How often it was pulled.
    pub pulls: u64,
    /// When last.
    pub pulled: Option<Time>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// When it was pushed.
    pub pushed: Option<Time>,
}

/// The frame of the drawing: where the lines are. Their numbers stand above them, so that long ones have room.
const LEFT: f64 = 0.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 170.0;

/// A horizontal line of the grid.
struct GridLine {
    y: f64,
    value: u64,
}

/// A day at the foot of a chart.
struct Tick<'c> {
    x: f64,
    anchor: &'static str,
    day: &'c str,
}

impl TrafficChart {
    /// A round number above all values, which can be divided by three.
    fn top(&self) -> u64 {
        let largest = self.lines.iter().flat_map(|line| &line.values).max();
        let largest = largest.copied().unwrap_or_default().max(3);
        let mut step = 1u64;
        while step.checked_mul(30).is_some_and(|next| next <= largest) {
            step *= 10;
        }
        largest.div_ceil(step * 3).saturating_mul(step * 3)
    }

    fn grid(&self) -> Vec<GridLine> {
        let (top, third) = (self.top(), (BOTTOM - TOP) / 3.0);
        let lines = (0u32..4).map(|number| GridLine {
            y: BOTTOM - f64::from(number) * third,
            value: top / 3 * u64::from(number),
        });
        lines.collect()
    }

    fn ticks(&self) -> Vec<Tick<'_>> {
        let at = |index: usize, anchor| {
            let day = self.days.get(index)?;
            // Month and day are enough below a chart.
            let day = day.get(5..).unwrap_or(day);
            Some(Tick {
                x: self.x(index),
                anchor,
                day,
            })
        };
        let last = self.days.len().saturating_sub(1);
        let middle = (last >= 2).then(|| at(last / 2, "middle")).flatten();
        let end = (last >= 1).then(|| at(last, "end")).flatten();
        at(0, "start").into_iter().chain(middle).chain(end).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
    fn x(&self, index: usize) -> f64 {
        let last = self.days.len().saturating_sub(1).max(1);
        LEFT + index as f64 * (RIGHT - LEFT) / last as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
    fn y(value: u64, top: u64) -> f64 {
        BOTTOM - value as f64 / top as f64 * (BOTTOM - TOP)
    }

    /// The path of a line.
    fn path(&self, line: &Series) -> String {
        let (mut path, top) = (String::new(), self.top());
        for (index, value) in line.values.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a `String` does not fail.
            if write!(path, "{command}{:.0} {:.0}", self.x(index), Self::y(*value, top)).is_err() {
                break;
            }
        }
        // One day alone is a line as well.
        if line.values.len() == 1 {
            path.push_str("H600");
        }
        path
    }

    /// The area below the first line.
    fn area(&self) -> String {
        let path = self.lines.first().map(|line| self.path(line)).unwrap_or_default();
        let last = self
            .lines
            .first()
            .map_or(0, |line| line.values.len().saturating_sub(1));
        match path.is_empty() {
            true => path,
            false => {
                let end = if last == 0 { RIGHT } else { self.x(last) };
                format!("{path}L{end:.0} {BOTTOM}L{LEFT} {BOTTOM}Z")
            }
        }
    }

    /// The days with the numbers of all lines.
    fn table(&self) -> impl Iterator<Item = (&str, Vec<u64>)> {
        self.days.iter().enumerate().map(|(index, day)| {
            let of = |line: &Series| line.values.get(index).copied().unwrap_or_default();
            (day.as_str(), self.lines.iter().map(of).collect())
        })
    }

    /// A number as it stands in this chart.
    fn shown(&self, page: &Page, value: &u64) -> String {
        match self.bytes {
            true => page.size(value),
            false => page.number(value),
        }
    }
}

impl View for Traffic {}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[u64]) -> TrafficChart {
        TrafficChart {
            name: "requests",
            bytes: false,
            sum: 0,
            since: String::new(),
            days: (1..=values.len())
                .map(|day| format!("2026-11-{day:02}"))
                .collect(),
            lines: vec![Series {
                name: "pulls",
                values: values.to_vec(),
            }],
        }
    }

    #[test]
    fn lines_stay_in_the_frame() {
        let drawn = chart(&[0, 50, 100]);
        assert_eq!(drawn.top(), 120);
        assert_eq!(drawn.path(&drawn.lines[0]), "M0 170L300 108L600 45");
        assert_eq!(drawn.area(), "M0 170L300 108L600 45L600 170L0 170Z");
        let alone = chart(&[120]);
        assert_eq!(alone.area(), "M0 20H600L600 170L0 170Z");
        let days: Vec<&str> = drawn.ticks().iter().map(|tick| tick.day).collect();
        assert_eq!(days, ["11-01", "11-02", "11-03"]);
        for values in [&[][..], &[7], &[0, 0], &[u64::MAX, 1]] {
            let drawn = chart(values);
            let values = &drawn.lines[0].values;
            assert!(
                values
                    .iter()
                    .all(|value| (TOP - 1.0..=BOTTOM).contains(&TrafficChart::y(*value, drawn.top())))
            );
            assert_eq!(drawn.grid().len(), 4);
        }
    }
}
