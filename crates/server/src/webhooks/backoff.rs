//! The pause after a failed delivery.

use std::time::Duration;

use uuid::Uuid;

use super::Endpoint;

/// First pause of a series; below the threshold, pauses stay below the configured one.
const FIRST: Duration = Duration::from_millis(100);

/// Longest pause that an endpoint may ask for (`Retry-After`).
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// The pause after `failures` in a row; at least `retry_after`, if the endpoint asked for it.
pub(super) fn pause(endpoint: &Endpoint, failures: u32, retry_after: Option<Duration>) -> Duration {
    let pause = with_jitter(planned(endpoint, failures));
    pause.max(retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT))
}

fn planned(endpoint: &Endpoint, failures: u32) -> Duration {
    let doubled = |pause: Duration, times: u32| pause.saturating_mul(1 << times.min(20));
    match failures.checked_sub(endpoint.threshold) {
        None => doubled(FIRST, failures.saturating_sub(1)).min(endpoint.backoff),
        Some(beyond) => doubled(endpoint.backoff, beyond).min(endpoint.max_backoff.max(endpoint.backoff)),
    }
}

/// Between 80 % and 120 % of the pause, so that several registries do not retry at the same time.
fn with_jitter(pause: Duration) -> Duration {
    let random = Uuid::new_v4().as_bytes()[0];
    pause.mul_f64(0.8 + 0.4 * f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut endpoint = Endpoint::new("a", "http://a/".parse().unwrap());
        endpoint.threshold = 3;
        let planned = |failures| planned(&endpoint, failures).as_millis();
        let pauses: Vec<_> = (1..=10).map(planned).collect();
        assert_eq!(
            pauses,
            [100, 200, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        assert_eq!(planned(u32::MAX), 30000);
    }

    #[test]
    fn the_endpoint_may_ask_for_more_within_reason() {
        let endpoint = Endpoint::new("a", "http://a/".parse().unwrap());
        let asked = |seconds| pause(&endpoint, 1, Some(Duration::from_secs(seconds)));
        assert!(asked(0) >= Duration::from_millis(80) && asked(0) <= Duration::from_millis(120));
        assert_eq!(asked(120), Duration::from_secs(120));
        assert_eq!(asked(u64::MAX), RETRY_AFTER_LIMIT);
    }
}
