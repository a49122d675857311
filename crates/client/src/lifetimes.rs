//! How long tokens are good, so that a new one is fetched before the old one ends and not after a refusal.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::Value;

/// The lifetime of a token whose server names none, by the specification of token servers.
const DEFAULT: Duration = Duration::from_secs(60);
/// Time before its end from which on a token is no longer used: a request takes some.
const MARGIN: Duration = Duration::from_secs(10);

/// Time for which it is remembered that a token has ended.
const KEPT: Duration = Duration::from_secs(3600);

/// When tokens end, by the header that carries each.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes(Mutex<HashMap<HeaderValue, Instant>>);

impl Lifetimes {
    /// Notes that a token was given now, by the answer of its server.
    pub(crate) fn note(&self, authorization: &HeaderValue, answer: &Value) {
        self.note_at(Instant::now(), authorization, lifetime(answer));
    }

    /// Whether a request may be sent with it: a password is always good.
    pub(crate) fn is_good(&self, authorization: &HeaderValue) -> bool {
        self.is_good_at(Instant::now(), authorization)
    }

    fn note_at(&self, now: Instant, authorization: &HeaderValue, lifetime: Duration) {
        // Of a short life the margin takes a tenth.
        let useful = lifetime.saturating_sub(MARGIN.min(lifetime / 10));
        let mut ends = self.0.lock();
        // Those that are long over are not kept for ever, and those that are used are renewed as they end.
        ends.retain(|_, end| now.saturating_duration_since(*end) < KEPT);
        // A time beyond what the clock can tell is no end.
        if let Some(end) = now.checked_add(useful) {
            ends.insert(authorization.clone(), end);
        }
    }

    fn is_good_at(&self, now: Instant, authorization: &HeaderValue) -> bool {
        // What was never noted, or is forgotten, a refusal tells.
        self.0.lock().get(authorization).is_none_or(|end| *end > now)
    }
}

/// `expires_in`, in seconds; some servers write it as a text, and some write 0.
fn lifetime(answer: &Value) -> Duration {
    let seconds = &answer["expires_in"];
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
    seconds
        .filter(|seconds| *seconds > 0)
        .map_or(DEFAULT, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let lifetimes = Lifetimes::default();
        let token = HeaderValue::from_static("Bearer t");
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        lifetimes.note_at(start, &token, lifetime(&json!({"expires_in": 300})));
        assert!(lifetimes.is_good_at(after(289), &token));
        assert!(!lifetimes.is_good_at(after(290), &token));
        lifetimes.note_at(start, &token, lifetime(&json!({"expires_in": 5})));
        assert!(lifetimes.is_good_at(after(4), &token) && !lifetimes.is_good_at(after(5), &token));
        let password = HeaderValue::from_static("Basic x");
        assert!(lifetimes.is_good_at(after(9999), &password));
    }

    #[test]
    fn servers_write_lifetimes_in_several_ways() {
        for answer in [json!({}), json!({"expires_in": 0}), json!({"expires_in": null})] {
            assert_eq!(lifetime(&answer), DEFAULT, "{answer}");
        }
        assert_eq!(lifetime(&json!({"expires_in": "300"})), Duration::from_secs(300));
    }
}
