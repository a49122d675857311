//! What a request is sent with after a login: a header, and how long it is good, so that a new token is fetched before
//! the old one ends and not after a refusal.

use std::time::{Duration, Instant};

use http::HeaderValue;
use serde_json::Value;

/// The lifetime of a token whose server names none, by the specification of token servers.
const DEFAULT: Duration = Duration::from_secs(60);
/// Time before its end from which on a token is no longer used: a request takes some.
const MARGIN: Duration = Duration::from_secs(10);

/// The outcome of a login.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    /// Value of the header `Authorization`.
    pub(crate) header: HeaderValue,
    /// User that it is for; `None`: the login was anonymous.
    pub(crate) user: Option<String>,
    /// When it ends; `None`: the time is not known, or a password is in it.
    end: Option<Instant>,
}

impl Authorization {
    /// One that is good until it is refused.
    pub(crate) fn lasting(header: HeaderValue) -> Self {
        Self {
            header,
            user: None,
            end: None,
        }
    }

    /// One with a token that was given now, by the answer of its server.
    pub(crate) fn with_token(header: HeaderValue, answer: &Value) -> Self {
        Self::with_token_at(Instant::now(), header, answer)
    }

    /// The same, of a login as this user.
    pub(crate) fn of(self, user: Option<String>) -> Self {
        Self { user, ..self }
    }

    /// Whether a request may be sent with it.
    pub(crate) fn is_good(&self) -> bool {
        self.is_good_at(Instant::now())
    }

    fn with_token_at(now: Instant, header: HeaderValue, answer: &Value) -> Self {
        let lifetime = lifetime(answer);
        // Of a short life the margin takes a tenth.
        let useful = lifetime.saturating_sub(MARGIN.min(lifetime / 10));
        Self {
            header,
            user: None,
            // A time beyond what the clock can tell is no end.
            end: now.checked_add(useful),
        }
    }

    fn is_good_at(&self, now: Instant) -> bool {
        self.end.is_none_or(|end| end > now)
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
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let token = |seconds: u64| {
            let header = HeaderValue::from_static("Bearer t");
            Authorization::with_token_at(start, header, &json!({"expires_in": seconds}))
        };
        assert!(token(300).is_good_at(after(289)));
        assert!(!token(300).is_good_at(after(290)));
        assert!(token(5).is_good_at(after(4)) && !token(5).is_good_at(after(5)));
        let password = Authorization::lasting(HeaderValue::from_static("Basic x"));
        assert!(password.is_good_at(after(9999)));
    }

    #[test]
    fn servers_write_lifetimes_in_several_ways() {
        for answer in [json!({}), json!({"expires_in": 0}), json!({"expires_in": null})] {
            assert_eq!(lifetime(&answer), DEFAULT, "{answer}");
        }
        assert_eq!(lifetime(&json!({"expires_in": "300"})), Duration::from_secs(300));
    }
}
