//! The output of a run: progress, the figures, the ratios with their targets, and all of it as JSON.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::feature::Feature;
use super::machine::Machine;
use super::measure::Reading;
use super::process::Cores;
use super::rows::{Better, Goal, Metric, Row, ZOT};
use super::server::{REGISTRY_3, Server, WHARF, output_of};

/// The outcome of a row.
pub(crate) enum Outcome {
    Measured(Measured),
    /// Wharf lacks the feature that the row needs.
    NotYet(Feature),
}

/// The readings of a row, a list for each server that took part.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) turns: Vec<(String, Vec<Reading>)>,
    /// Servers that failed, with the reason.
    pub(crate) failures: Vec<(String, String)>,
}

/// The results of a run.
pub(crate) struct Report {
    servers: Vec<Server>,
    cores: Cores,
    quick: bool,
    /// Whether the goals of the rows hold: they are those of servers on a directory.
    has_goals: bool,
    /// The limits of the machine itself, when a goal needs them.
    pub(crate) machine: Option<Machine>,
    rows: Vec<(&'static Row, Outcome)>,
    started: jiff::Timestamp,
}

/// Median and extremes of the rounds.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most })
    }
}

/// A goal, computed with the figures of this run.
struct Verdict {
    goal: String,
    required: f64,
    met: bool,
}

impl Report {
    pub(crate) fn new(servers: &[Server], cores: Cores, quick: bool, has_goals: bool) -> Self {
        let started = jiff::Timestamp::now();
        Self {
            servers: servers.to_vec(),
            cores,
            quick,
            has_goals,
            machine: None,
            rows: Vec::new(),
            started,
        }
    }

    pub(crate) fn print_opening(&self) {
        println!("{}", machine_name());
        println!(
            "{}; load: our own generator (epoll, prepared requests) for all",
            self.cores
        );
        for server in &self.servers {
            println!(
                "  {:<11} {} ({})",
                server.name,
                server.version,
                server.command.join(" ")
            );
        }
        println!();
    }

    /// Adds a row and prints its figures.
    pub(crate) fn add(&mut self, row: &'static Row, outcome: Outcome) {
        println!("{}: {}", row.id, row.title);
        match &outcome {
            Outcome::NotYet(feature) => {
                println!("  not yet: wharf was asked for {feature:?} and did not do it");
            }
            Outcome::Measured(measured) => {
                for (place, metric) in row.metrics.iter().enumerate() {
                    let ours = measured.figure(WHARF, place);
                    for (name, _) in &measured.turns {
                        let Some(figure) = measured.figure(name, place) else {
                            continue;
                        };
                        let ratio = ours
                            .filter(|_| name != WHARF)
                            .map(|ours| ours.median / figure.median);
                        let ratio = ratio
                            .map(|ratio| format!("  ours/theirs {}", short(ratio)))
                            .unwrap_or_default();
                        println!(
                            "  {:<15} {name:<11} {:>9}  [{} .. {}]{ratio}",
                            metric.unit,
                            short(figure.median),
                            short(figure.least),
                            short(figure.most)
                        );
                    }
                }
                if let Some(share) = measured.foreign_share().filter(|share| *share > 0.1) {
                    println!(
                        "  note: others kept {} % of a core busy meanwhile",
                        short(share * 100.0)
                    );
                }
                for (name, reason) in &measured.failures {
                    println!("  failed: {name}: {reason}");
                }
            }
        }
        self.rows.push((row, outcome));
    }

    /// The ratios, and whether the targets are met.
    pub(crate) fn print_tables(&self) {
        let others: Vec<_> = self
            .servers
            .iter()
            .map(|s| s.name.as_str())
            .filter(|name| *name != WHARF)
            .collect();
        let mut ratios = vec![["row".to_owned(), "figure".to_owned(), "wharf".to_owned()].to_vec()];
        ratios[0].extend(others.iter().map(|name| format!("/ {name}")));
        let mut goals = vec![
            ["row", "figure", "wharf", "target", "that is", "result"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (row, outcome) in &self.rows {
            let Outcome::Measured(measured) = outcome else {
                ratios.push(vec![row.id.to_owned(), "not yet".to_owned()]);
                goals.push(vec![row.id.to_owned(), "not yet".to_owned()]);
                continue;
            };
            for (place, metric) in row.metrics.iter().enumerate() {
                let Some(ours) = measured.figure(WHARF, place) else {
                    continue;
                };
                let lead = [row.id.to_owned(), metric.unit.to_owned(), short(ours.median)];
                let ratio = |name: &&str| {
                    measured
                        .figure(name, place)
                        .map_or_else(String::new, |f| short(ours.median / f.median))
                };
                ratios.push(lead.iter().cloned().chain(others.iter().map(ratio)).collect());
                for verdict in metric
                    .goals
                    .iter()
                    .map(|goal| self.verdict(goal, metric, measured, place, ours))
                {
                    let rest = verdict.map_or_else(
                        || {
                            [
                                "unknown: nothing to compare with".to_owned(),
                                String::new(),
                                String::new(),
                            ]
                        },
                        |v| {
                            [
                                v.goal,
                                short(v.required),
                                if v.met { "met" } else { "MISSED" }.to_owned(),
                            ]
                        },
                    );
                    goals.push(lead.iter().cloned().chain(rest).collect());
                }
            }
        }
        println!("\nOurs / theirs (medians of the rounds)\n");
        print_table(&ratios);
        if !self.has_goals {
            return;
        }
        println!(
            "\nTargets ({ZOT}* is derived: registry:3's figure here times their quotient in the anchor run)\n"
        );
        if let Some(Machine { hash, disk, images }) = self.machine {
            println!(
                "one core hashes {} MB/s (SHA-256); the disk takes {} MB/s with fsync, and the files of {} small \
                 images a second\n",
                short(hash),
                short(disk),
                short(images)
            );
        }
        print_table(&goals);
    }

    /// Writes all readings to a file and prints its path.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf> {
        let stamp = self.started.strftime("%Y%m%dT%H%M%SZ");
        let path = directory.join(format!("{stamp}.json"));
        fs::write(&path, format!("{:#}\n", self.json()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    fn json(&self) -> Value {
        let servers: Vec<_> = self
            .servers
            .iter()
            .map(|s| json!({ "name": s.name, "version": s.version, "command": s.command.join(" ") }))
            .collect();
        let commit = output_of(std::process::Command::new("git").args(["rev-parse", "HEAD"]));
        json!({
            "started": self.started.to_string(),
            "commit": commit,
            "command": std::env::args().collect::<Vec<_>>().join(" "),
            "machine": machine_name(),
            "cores": self.cores.to_string(),
            "quick": self.quick,
            "hash_mb_per_second": self.machine.map(|machine| machine.hash),
            "disk_mb_per_second": self.machine.map(|machine| machine.disk),
            "disk_images_per_second": self.machine.map(|machine| machine.images),
            "servers": servers,
            "rows": self.rows.iter().map(|(row, outcome)| self.row_json(row, outcome)).collect::<Vec<_>>(),
        })
    }

    fn row_json(&self, row: &Row, outcome: &Outcome) -> Value {
        let Outcome::Measured(measured) = outcome else {
            return json!({ "id": row.id, "title": row.title, "state": "not yet" });
        };
        let metrics: Vec<_> = row
            .metrics
            .iter()
            .enumerate()
            .map(|(place, metric)| self.metric_json(metric, measured, place))
            .collect();
        let turns: serde_json::Map<_, _> = measured
            .turns
            .iter()
            .map(|(name, readings)| (name.clone(), readings.iter().map(reading_json).collect()))
            .collect();
        let failures: serde_json::Map<_, _> = measured
            .failures
            .iter()
            .map(|(name, reason)| (name.clone(), json!(reason)))
            .collect();
        json!({
            "id": row.id, "title": row.title, "state": "measured",
            "metrics": metrics, "turns": turns, "failures": failures,
        })
    }

    fn metric_json(&self, metric: &Metric, measured: &Measured, place: usize) -> Value {
        let ours = measured.figure(WHARF, place);
        let figures: serde_json::Map<_, _> = measured
            .turns
            .iter()
            .filter_map(|(name, _)| {
                let f = measured.figure(name, place)?;
                let ratio = ours.map(|ours| ours.median / f.median);
                let value =
                    json!({ "median": f.median, "least": f.least, "most": f.most, "ours_to_theirs": ratio });
                Some((name.clone(), value))
            })
            .collect();
        let goals: Vec<_> = ours
            .iter()
            .flat_map(|ours| {
                metric
                    .goals
                    .iter()
                    .filter_map(|goal| self.verdict(goal, metric, measured, place, *ours))
            })
            .map(|v| json!({ "goal": v.goal, "required": v.required, "met": v.met }))
            .collect();
        json!({ "unit": metric.unit, "figures": figures, "goals": goals })
    }

    fn verdict(
        &self,
        goal: &Goal,
        metric: &Metric,
        measured: &Measured,
        place: usize,
        ours: Figure,
    ) -> Option<Verdict> {
        let (goal, required) = self.required(goal, metric, measured, place)?;
        let (sign, met) = match metric.better {
            Better::Higher => (">=", ours.median >= required),
            Better::Lower => ("<=", ours.median <= required),
        };
        Some(Verdict {
            goal: format!("{sign} {goal}"),
            required,
            met,
        })
    }

    /// The goal in words, and its value.
    fn required(
        &self,
        goal: &Goal,
        metric: &Metric,
        measured: &Measured,
        place: usize,
    ) -> Option<(String, f64)> {
        let better = |a: f64, b: f64| {
            if metric.better == Better::Higher {
                a.max(b)
            } else {
                a.min(b)
            }
        };
        match *goal {
            Goal::Value(value) => Some((short(value), value)),
            Goal::Times(factor, name) => {
                if let Some(figure) = measured.figure(name, place) {
                    return Some((format!("{} x {name}", short(factor)), factor * figure.median));
                }
                let quotient = metric.anchors.zot_to_registry3().filter(|_| name == ZOT)?;
                let derived = measured.figure(REGISTRY_3, place)?.median * quotient;
                Some((format!("{} x {ZOT}*", short(factor)), factor * derived))
            }
            Goal::TimesBest(factor) => {
                let others = measured.turns.iter().filter(|(name, _)| name != WHARF);
                let figures = others.filter_map(|(name, _)| Some(measured.figure(name, place)?.median));
                Some((
                    format!("{} x the best", short(factor)),
                    factor * figures.reduce(better)?,
                ))
            }
            Goal::TimesOwn(factor, id) => {
                let (_, outcome) = self.rows.iter().find(|(row, _)| row.id == id)?;
                let Outcome::Measured(other) = outcome else {
                    return None;
                };
                Some((
                    format!("{} x our {id}", short(factor)),
                    factor * other.figure(WHARF, place)?.median,
                ))
            }
            Goal::TimesHash(factor) => {
                let Machine { hash, disk, .. } = self.machine?;
                Some((
                    format!("{} x hash or 0.85 x disk", short(factor)),
                    (factor * hash).min(0.85 * disk),
                ))
            }
            Goal::TimesDiskImages(factor) => {
                let Machine { images, .. } = self.machine?;
                Some((format!("{} x the disk's limit", short(factor)), factor * images))
            }
        }
    }
}

impl Measured {
    fn figure(&self, name: &str, place: usize) -> Option<Figure> {
        let (_, readings) = self.turns.iter().find(|(server, _)| server == name)?;
        Figure::of(
            readings
                .iter()
                .filter_map(|reading| reading.values.get(place).copied()),
        )
    }

    /// Share of one core that other processes used, on average over all turns.
    fn foreign_share(&self) -> Option<f64> {
        let spans = || {
            self.turns
                .iter()
                .flat_map(|(_, readings)| readings)
                .map(|reading| reading.span)
        };
        let wall: f64 = spans().map(|span| span.wall).sum();
        (wall > 0.0).then(|| spans().map(|span| span.foreign_cpu).sum::<f64>() / wall)
    }
}

fn reading_json(reading: &Reading) -> Value {
    let span = reading.span;
    json!({
        "values": reading.values,
        "wall_seconds": span.wall,
        "server_cpu_seconds": span.server_cpu,
        "client_cpu_seconds": span.client_cpu,
        "foreign_cpu_seconds": span.foreign_cpu,
        "latency_us": reading.latency.map(|[p50, p99]| json!({ "p50": p50, "p99": p99 })),
    })
}

fn machine_name() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpus = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |m| m.1);
    let sha = if cpu.contains(" sha_ni") || cpu.contains(" sha2") {
        "with"
    } else {
        "without"
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cpus} x{model} ({sha} SHA instructions), Linux {}",
        kernel.trim()
    )
}

/// Three significant digits, with separators in thousands.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or_else(|| grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

/// A Markdown table whose columns line up; short rows are filled.
fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<_> = widths
            .iter()
            .enumerate()
            .map(|(c, &width)| format!("{:<width$}", cell(row, c)))
            .collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rules: Vec<_> = widths.iter().map(|&width| "-".repeat(width)).collect();
            println!("|-{}-|", rules.join("-|-"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_with_three_digits() {
        let printed = [0.1234, 1.005, 12.34, 999.6, 1234.0, 1_234_567.0].map(short);
        assert_eq!(printed, ["0.123", "1.00", "12.3", "1,000", "1,234", "1,234,567"]);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        let figure = Figure::of([4.0, 1.0, 3.0, 2.0].into_iter()).unwrap();
        assert!((figure.median - 2.5).abs() < 1e-9 && figure.least < 1.1 && figure.most > 3.9);
        assert!(Figure::of(std::iter::empty()).is_none());
    }
}
