//! Removals that a store refuses after a time.
//!
//! A request that carries its expiry in its signature, as a signed URL does, is refused by the store from then on, by the
//! clock of the store, whatever delayed it.

use std::time::{Duration, SystemTime};

use http::Method;
use object_store::{Error, Result, path::Path, signer::Signer};

/// The longest that a signature is valid for.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long signing may take.
const SLACK: Duration = Duration::from_secs(1);

/// A URL by which the object is removed until `until`; `None` when that is too soon.
///
/// # Errors
///
/// When the store's credentials cannot be obtained, or cannot sign.
pub(super) async fn signed(signer: &impl Signer, path: &Path, until: SystemTime) -> Result<Option<String>> {
    loop {
        let now = SystemTime::now();
        let Some(left) = lifetime(until, now) else {
            return Ok(None);
        };
        let url = signer.signed_url(Method::DELETE, path, left).await?;
        // The URL is valid from when it was signed: credentials may have been waited for, or the process was stopped.
        if now.elapsed().is_ok_and(|took| took < SLACK) {
            return Ok(Some(url.into()));
        }
    }
}

/// Whether an answer of the time `date`, by the clock of the store, may come from a request that expires by `until`.
pub(super) fn may_have_expired(date: SystemTime, until: SystemTime) -> bool {
    // Dates have whole seconds, and the request expired up to two before its time.
    date + Duration::from_secs(3) > until
}

/// The error of a removal that comes too late.
pub(super) fn too_late(path: &Path) -> Error {
    Error::Precondition {
        path: path.to_string(),
        source: "the request to remove the object has expired".into(),
    }
}

/// For how long a request that is signed at `now`, or less than [`SLACK`] later, is to be valid so that it expires by `until`. A
/// signature counts whole seconds, from the begin of the second in which it is made.
fn lifetime(until: SystemTime, now: SystemTime) -> Option<Duration> {
    let left = until.duration_since(now).ok()?.min(LONGEST);
    let seconds = left
        .as_secs()
        .checked_sub(SLACK.as_secs())
        .filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_expires_before_the_removal_must_not_happen_any_more() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        let after = |millis| lifetime(now + Duration::from_millis(millis), now);
        assert_eq!(after(60_000), Some(Duration::from_secs(59)));
        assert_eq!(after(2_000), Some(Duration::from_secs(1)));
        assert_eq!(after(1_999), None, "no whole second is left");
        assert_eq!(lifetime(now, now + Duration::from_secs(1)), None);
        assert_eq!(after(u64::from(u32::MAX)), Some(LONGEST - Duration::from_secs(1)));
    }
}
