//! The metrics of mirrors.

use std::sync::Arc;

use wharf_http::{Exposition, Metric, Source, number};
use wharf_mirror::{Counted, MirrorNumbers, Mirrors};

use super::table::{
    MIRROR_HITS, MIRROR_LIMIT, MIRROR_MISSES, MIRROR_PULLED, MIRROR_REMAINING, MIRROR_REQUESTS, MIRROR_STALE,
    MIRROR_UP,
};

/// The counters of mirrors: those of registry:2 for all of them, and what is known of each upstream.
#[derive(Debug)]
pub struct MirrorMetrics(
    /// All mirrors of the server.
    pub Arc<Mirrors>,
);

impl Source for MirrorMetrics {
    fn write(&self, page: &mut Exposition) {
        let mirrors = self.0.numbers();
        let mut total = |metric: &'static Metric, of: fn(&Counted) -> u64| {
            let sum = |kind: fn(&MirrorNumbers) -> &Counted| mirrors.iter().map(kind).map(of).sum();
            let mut family = page.family(metric);
            family.value(&["blob"], number(sum(|mirror| &mirror.blobs)));
            family.value(&["manifest"], number(sum(|mirror| &mirror.manifests)));
        };
        total(&MIRROR_REQUESTS, |counted| counted.requests);
        total(&MIRROR_HITS, |counted| counted.hits);
        total(&MIRROR_MISSES, |counted| counted.misses);
        total(&MIRROR_PULLED, |counted| counted.pulled_bytes);
        let mut each = |metric: &'static Metric, of: fn(&MirrorNumbers) -> Option<u64>| {
            let mut family = page.family(metric);
            let mut told: Vec<&str> = Vec::new();
            for mirror in &mirrors {
                // Two mirrors may have one upstream; a series has one value.
                if !told.contains(&mirror.upstream.as_str())
                    && let Some(value) = of(mirror)
                {
                    told.push(&mirror.upstream);
                    family.value(&[&mirror.upstream], number(value));
                }
            }
        };
        each(&MIRROR_STALE, |mirror| Some(mirror.manifests.stale));
        each(&MIRROR_UP, |mirror| Some(u64::from(mirror.is_well)));
        each(&MIRROR_LIMIT, |mirror| mirror.rate?.limit);
        each(&MIRROR_REMAINING, |mirror| mirror.rate?.remaining);
    }
}
