//! The metrics of webhook endpoints, under the names of registry:2.

use wharf_http::{Exposition, Source, number};

use super::table::{EVENTS, EVENTS_DROPPED, EVENTS_PENDING, EVENTS_STATUS};
use crate::webhooks::Webhooks;

/// The counters of a server's endpoints.
#[derive(Debug)]
pub struct WebhookMetrics(
    /// The endpoints.
    pub Webhooks,
);

impl Source for WebhookMetrics {
    fn write(&self, page: &mut Exposition) {
        let endpoints = self.0.metrics();
        let mut events = page.family(&EVENTS);
        for endpoint in &endpoints {
            for (kind, count) in [
                ("Errors", endpoint.errors),
                ("Events", endpoint.events),
                ("Failures", endpoint.failures),
                ("Successes", endpoint.successes),
            ] {
                events.value(&[&endpoint.name, kind], number(count));
            }
        }
        let mut pending = page.family(&EVENTS_PENDING);
        for endpoint in &endpoints {
            pending.value(&[&endpoint.name], number(endpoint.pending));
        }
        let mut statuses = page.family(&EVENTS_STATUS);
        for endpoint in &endpoints {
            for (status, count) in &endpoint.statuses {
                statuses.value(&[&status.to_string(), &endpoint.name], number(*count));
            }
        }
        let mut dropped = page.family(&EVENTS_DROPPED);
        for endpoint in &endpoints {
            dropped.value(&[&endpoint.name], number(endpoint.dropped));
        }
    }
}
