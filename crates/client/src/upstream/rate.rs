//! What a registry says about the number of requests that it allows.

use std::time::Duration;

use http::HeaderMap;

/// The requests that a registry allows, by its headers `RateLimit-Limit` and `RateLimit-Remaining`, as Docker Hub
/// sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Number of requests that are allowed in a window of time.
    pub limit: Option<u64>,
    /// Number of requests that are left in it.
    pub remaining: Option<u64>,
    /// Length of the window of time.
    pub window: Option<Duration>,
}

impl RateLimit {
    /// What an answer says; `None`: nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let limit = text("ratelimit-limit");
        let remaining = text("ratelimit-remaining");
        let window = limit.into_iter().chain(remaining).find_map(window);
        let found = Self {
            limit: limit.and_then(number),
            remaining: remaining.and_then(number),
            window,
        };
        (found.limit.is_some() || found.remaining.is_some()).then_some(found)
    }
}

/// The number before the parameters: `100;w=21600`.
fn number(text: &str) -> Option<u64> {
    text.split([';', ',']).next()?.trim().parse().ok()
}

/// The window of time in the parameters, which is in seconds.
fn window(text: &str) -> Option<Duration> {
    let seconds = text
        .split([';', ','])
        .find_map(|part| part.trim().strip_prefix("w="))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn rate(headers: &[(&'static str, &'static str)]) -> Option<RateLimit> {
        let pairs = headers.iter();
        let pairs = pairs.map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        RateLimit::of(&pairs.collect())
    }

    #[test]
    fn docker_hub_says_how_many_requests_are_left() {
        let window = Some(Duration::from_secs(21600));
        let both = rate(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
        ]);
        let expected = RateLimit {
            limit: Some(100),
            remaining: Some(76),
            window,
        };
        assert_eq!(both, Some(expected));
        let alone = rate(&[("ratelimit-remaining", "0")]).unwrap();
        assert_eq!(
            (alone.limit, alone.remaining, alone.window),
            (None, Some(0), None)
        );
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[("ratelimit-limit", "many")]), None);
    }
}
