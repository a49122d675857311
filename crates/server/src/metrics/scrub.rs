//! The metrics of the scrub.

use std::{sync::Arc, time::UNIX_EPOCH};

use wharf_http::{Exposition, Source, number};
use wharf_registry::ScrubRecord;

use super::table::{SCRUB_BLOBS, SCRUB_BYTES, SCRUB_DAMAGED, SCRUB_ROUND};

/// The counters of the scrub.
#[derive(Debug)]
pub struct ScrubMetrics(
    /// Its record.
    pub Arc<ScrubRecord>,
);

impl Source for ScrubMetrics {
    fn write(&self, page: &mut Exposition) {
        let numbers = self.0.numbers();
        page.family(&SCRUB_BLOBS).value(&[], number(numbers.blobs));
        page.family(&SCRUB_BYTES).value(&[], number(numbers.bytes));
        page.family(&SCRUB_DAMAGED).value(&[], number(numbers.damaged));
        let mut round = page.family(&SCRUB_ROUND);
        // Without a round there is no time; 0 would be one.
        if let Some(ended) = numbers.ended {
            let since = ended.duration_since(UNIX_EPOCH).unwrap_or_default();
            round.value(&[], since.as_secs_f64());
        }
    }
}
