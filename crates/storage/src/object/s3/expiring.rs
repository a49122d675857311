//! Removals that the store refuses after a time.
//!
//! A request that carries its expiry in its signature, as a presigned URL does, is refused by the store from then on,
//! by the clock of the store, whatever delayed it.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use object_store::{Error, Result, aws::AmazonS3, client::HttpErrorKind, path::Path, signer::Signer};

use super::{
    clock,
    patience::{Patience, Waits},
    requests::{Answer, Failure, Requests, failed},
    verdict::retry_after,
};

/// The longest that a signature is valid for.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long signing may take.
const SLACK: Duration = Duration::from_secs(1);

/// Removes an object unless the store takes up the request at `until` or later. It is sent again only while the store
/// refuses it as busy, or was not reached: `Ok` says that nothing of it is on its way any more.
pub(super) async fn delete(
    requests: &Requests,
    signer: &AmazonS3,
    patience: Patience,
    path: &Path,
    until: SystemTime,
) -> Result<()> {
    let mut waits = Waits::new(patience);
    loop {
        let Some(url) = sign(signer, path, until).await? else {
            return Err(too_late(path));
        };
        let (error, asked) = match requests.follow(Method::DELETE, &url).await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(answer) if is_busy(&answer) => (refused(&answer), retry_after(&answer.headers)),
            Ok(answer)
                if answer.status == StatusCode::NOT_FOUND && answer.refusal().code != "NoSuchBucket" =>
            {
                return Ok(());
            }
            Ok(answer) if answer.status == StatusCode::FORBIDDEN && is_dated_after(&answer, until) => {
                return Err(too_late(path));
            }
            Ok(answer) => return Err(refused(&answer)),
            Err(Failure::Unsigned(error)) => return Err(error),
            Err(Failure::Transfer(error)) if error.kind() == HttpErrorKind::Connect => (failed(error), None),
            // It may be on its way, or have taken effect.
            Err(Failure::Transfer(error)) => return Err(failed(error)),
        };
        if !waits.next(asked).await {
            return Err(error);
        }
    }
}

/// A URL by which the object is removed until `until`; `None` when that is too soon.
async fn sign(signer: &AmazonS3, path: &Path, until: SystemTime) -> Result<Option<String>> {
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

/// Whether the store itself says that it did not take the request up. A proxy in between does not know that.
fn is_busy(answer: &Answer) -> bool {
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    busy.contains(&answer.status) && !answer.refusal().code.is_empty()
}

fn is_dated_after(answer: &Answer, until: SystemTime) -> bool {
    // Dates have whole seconds, and the request expired up to two before its time.
    let date = clock::date(&answer.headers).unwrap_or_else(SystemTime::now);
    date + Duration::from_secs(3) > until
}

fn too_late(path: &Path) -> Error {
    Error::Precondition {
        path: path.to_string(),
        source: "the request to remove the object has expired".into(),
    }
}

fn refused(answer: &Answer) -> Error {
    let refusal = answer.refusal();
    generic(&format!(
        "the store answers {} {}: {}",
        answer.status, refusal.code, refusal.message
    ))
}

fn generic(reason: &str) -> Error {
    Error::Generic {
        store: "S3",
        source: reason.into(),
    }
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
