//! The metrics of retention.

use wharf_http::{Exposition, Source, number};

use super::table::{RETENTION_MANIFESTS, RETENTION_REFUSED, RETENTION_RUNS, RETENTION_TAGS};
use crate::admin::Retention;

/// The counters of retention.
#[derive(Debug)]
pub struct RetentionMetrics(
    /// Retention as it is configured.
    pub Retention,
);

impl Source for RetentionMetrics {
    fn write(&self, page: &mut Exposition) {
        let totals = self.0.totals();
        page.family(&RETENTION_RUNS).value(&[], number(totals.runs));
        page.family(&RETENTION_TAGS)
            .value(&[], number(totals.tags as u64));
        page.family(&RETENTION_MANIFESTS)
            .value(&[], number(totals.manifests as u64));
        page.family(&RETENTION_REFUSED)
            .value(&[], number(totals.refused as u64));
    }
}
