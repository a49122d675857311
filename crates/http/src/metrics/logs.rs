//! The metrics of the logs.

use std::fmt;

use super::{
    table::LOG_DROPPED,
    text::{Exposition, Source, number},
};

/// The number of lines of a log that were dropped so far.
pub type DroppedLines = Box<dyn Fn() -> u64 + Send + Sync>;

/// The metrics of logs.
pub struct LogMetrics(
    /// Name and number of dropped lines of each log.
    pub Vec<(&'static str, DroppedLines)>,
);

impl Source for LogMetrics {
    fn write(&self, page: &mut Exposition) {
        let mut dropped = page.family(&LOG_DROPPED);
        for (name, count) in &self.0 {
            dropped.value(&[name], number(count()));
        }
    }
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogMetrics")
    }
}
