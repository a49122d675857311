//! The text format of Prometheus, version 0.0.4, with numbers written as Go writes them.
//!
//! The bounds of buckets are labels, and labels are compared as texts: `1.048576e+06` and `1048576` would be two buckets
//! where numbers of a registry:2 and ours are added up.

use std::fmt::Write as _;

use super::table::{Kind, Metric};

/// Media type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A source of metrics.
pub trait Source: Send + Sync + 'static {
    /// Adds the metrics to the page. Runs on an async thread: all that it reads must be in memory.
    fn write(&self, page: &mut Exposition);
}

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// A metric being written to the page. Its head is written with its first value: a metric without values is not shown.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    metric: &'static Metric,
    has_head: bool,
}

impl Exposition {
    /// Starts a metric. Each metric may be started once on a page.
    pub fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        Family {
            text: &mut self.text,
            metric,
            has_head: false,
        }
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Writes the value for these labels, as many as the metric has.
    pub fn value(&mut self, labels: &[&str], value: f64) {
        self.head();
        self.line("", labels, None, value);
    }

    /// Writes a histogram: for each bound, ascending, the number of observations no larger; the number of all
    /// observations; and their sum.
    pub fn histogram(
        &mut self,
        labels: &[&str],
        cumulative: impl IntoIterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        debug_assert_eq!(self.metric.kind, Kind::Histogram);
        self.head();
        for (bound, below) in cumulative {
            self.line("_bucket", labels, Some(bound), number(below));
        }
        self.line("_bucket", labels, Some(f64::INFINITY), number(count));
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, number(count));
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.has_head, true) {
            let Metric { name, kind, help, .. } = self.metric;
            // Writing to a text cannot fail.
            _ = writeln!(self.text, "# HELP {name} {help}.\n# TYPE {name} {}", kind.name());
        }
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<f64>, value: f64) {
        debug_assert_eq!(labels.len(), self.metric.labels.len());
        self.text.push_str(self.metric.name);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in self.metric.labels.iter().zip(labels) {
            _ = write!(self.text, "{separator}{name}=\"{}\"", Escaped(value));
            separator = ',';
        }
        if let Some(bound) = bound {
            _ = write!(self.text, "{separator}le=\"{}\"", go(bound));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        _ = writeln!(self.text, " {}", go(value));
    }
}

/// A count as a number of the format, which has 53 bits: enough for 9 petabytes.
#[expect(clippy::cast_precision_loss, reason = "the format has no integers")]
pub fn number(count: u64) -> f64 {
    count as f64
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Formats as Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
fn go(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Of the shortest form, Go writes an exponent from a million on.
    let is_plain = (-4..6).contains(&exponent);
    if value == 0.0 || is_plain {
        format!("{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::table::{CONNECTIONS, HTTP_REQUEST_SIZE, HTTP_REQUESTS};

    #[test]
    fn numbers_look_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.005, "0.005"),
            (2.5, "2.5"),
            (0.000_132_196, "0.000132196"),
            (0.000_028_894, "2.8894e-05"),
            (524_288.0, "524288"),
            (1_048_576.0, "1.048576e+06"),
            (2_147_483_648.0, "2.147483648e+09"),
            (1_000_000.0, "1e+06"),
            (100_000.0, "100000"),
            (1.795_273_010_79e9, "1.79527301079e+09"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go(value), expected);
        }
    }

    #[test]
    fn a_page_has_each_head_once_and_no_value_that_ends_its_line() {
        let mut page = Exposition::default();
        let mut requests = page.family(&HTTP_REQUESTS);
        requests.value(&["200", "a\"\n\\", "get"], 3.0);
        requests.value(&["404", "b", "get"], 1.0);
        page.family(&CONNECTIONS);
        let expected = "# HELP registry_http_requests_total Total number of HTTP requests made.\n\
            # TYPE registry_http_requests_total counter\n\
            registry_http_requests_total{code=\"200\",handler=\"a\\\"\\n\\\\\",method=\"get\"} 3\n\
            registry_http_requests_total{code=\"404\",handler=\"b\",method=\"get\"} 1\n";
        assert_eq!(
            page.finish(),
            expected,
            "and a metric without a value is not there"
        );
    }

    #[test]
    fn a_histogram_ends_with_all_that_there_was() {
        let mut page = Exposition::default();
        page.family(&HTTP_REQUEST_SIZE)
            .histogram(&["tags"], [(1024.0, 1), (2048.0, 3)], 4, 5000.5);
        let lines: Vec<_> = page.text.lines().skip(2).collect();
        let expected = [
            "registry_http_request_size_bytes_bucket{handler=\"tags\",le=\"1024\"} 1",
            "registry_http_request_size_bytes_bucket{handler=\"tags\",le=\"2048\"} 3",
            "registry_http_request_size_bytes_bucket{handler=\"tags\",le=\"+Inf\"} 4",
            "registry_http_request_size_bytes_sum{handler=\"tags\"} 5000.5",
            "registry_http_request_size_bytes_count{handler=\"tags\"} 4",
        ];
        assert_eq!(lines, expected);
    }
}
