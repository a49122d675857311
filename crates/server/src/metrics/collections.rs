//! The metrics of collections of garbage.

use wharf_http::{Exposition, Source, number};

use super::table::{COLLECTED_BLOBS, COLLECTED_BYTES, COLLECTION_WAITING, COLLECTIONS, TRASH_GIVEN_UP};
use crate::admin::Collections;

/// The counters of the collector.
#[derive(Debug)]
pub struct CollectionMetrics(
    /// The collector.
    pub Collections,
);

impl Source for CollectionMetrics {
    fn write(&self, page: &mut Exposition) {
        let totals = self.0.totals();
        let mut ended = page.family(&COLLECTIONS);
        ended.value(&["done"], number(totals.done));
        ended.value(&["failed"], number(totals.failed));
        page.family(&COLLECTED_BLOBS)
            .value(&[], number(totals.removed.blobs));
        page.family(&COLLECTED_BYTES)
            .value(&[], number(totals.removed.bytes));
        page.family(&COLLECTION_WAITING)
            .value(&[], number(totals.waiting.bytes));
        page.family(&TRASH_GIVEN_UP).value(&[], number(totals.given_up));
    }
}
