//! The metrics of the requests to a bucket.

use wharf_http::{Exposition, Source, number};
use wharf_storage::{
    metered::BUCKETS,
    object::s3::{OUTCOMES, RequestMeters},
};

use super::table::{BUCKET_BYTES, BUCKET_REPEATS, BUCKET_REQUESTS, BUCKET_SECONDS};

/// The counters of the requests to a bucket.
#[derive(Debug)]
pub struct BucketRequestMetrics(
    /// The counters of the client of the bucket.
    pub RequestMeters,
);

impl Source for BucketRequestMetrics {
    fn write(&self, page: &mut Exposition) {
        let measured = self.0.snapshot();
        let mut requests = page.family(&BUCKET_REQUESTS);
        for measured in &measured {
            for (outcome, count) in OUTCOMES.into_iter().zip(measured.outcomes) {
                requests.value(&[measured.operation, outcome], number(count));
            }
        }
        let mut repeats = page.family(&BUCKET_REPEATS);
        for measured in &measured {
            repeats.value(&[measured.operation], number(measured.repeats));
        }
        let mut seconds = page.family(&BUCKET_SECONDS);
        for measured in &measured {
            let bounds = BUCKETS.into_iter().zip(measured.cumulative);
            let count = measured.cumulative[BUCKETS.len()];
            seconds.histogram(&[measured.operation], bounds, count, measured.total.as_secs_f64());
        }
        let mut bytes = page.family(&BUCKET_BYTES);
        for measured in &measured {
            bytes.value(&["in", measured.operation], number(measured.received));
            bytes.value(&["out", measured.operation], number(measured.sent));
        }
    }
}
