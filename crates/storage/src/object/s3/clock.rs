//! The difference between this machine's clock and the store's.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::DATE};
use jiff::SignedDuration;

/// From here on stores refuse requests, and signed URLs are too old or not valid yet.
pub(super) const LONGEST_SKEW: Duration = Duration::from_secs(15 * 60);

/// How far this machine's clock is ahead of the one that an answer was dated by; `None` for an answer without a date.
pub(super) fn skew(headers: &HeaderMap) -> Option<SignedDuration> {
    let theirs = date(headers)?;
    Some(SignedDuration::from_secs(
        seconds(SystemTime::now()) - seconds(theirs),
    ))
}

/// The time of the store at its answer.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(SystemTime::from(date.timestamp()))
}

/// A difference of clocks as operators read it: `7 min 3 s`.
pub(super) fn shown(skew: SignedDuration) -> String {
    match skew.unsigned_abs().as_secs() {
        short @ 0..60 => format!("{short} s"),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_has_a_sign_and_a_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(skew(&headers), None);
        headers.insert(
            DATE,
            http::HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"),
        );
        assert!(skew(&headers).is_some_and(|skew| skew.is_positive()));
        headers.insert(
            DATE,
            http::HeaderValue::from_static("Fri, 01 Jan 2100 00:00:00 GMT"),
        );
        assert!(skew(&headers).is_some_and(|skew| skew.is_negative()));
        assert_eq!(shown(SignedDuration::from_secs(-423)), "7 min 3 s");
        assert_eq!(shown(SignedDuration::from_secs(59)), "59 s");
    }
}
