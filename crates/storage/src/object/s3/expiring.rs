//! Removals that the store refuses after a time.
//!
//! A request that carries its expiry in its signature, as a presigned URL does, is refused by the store from then on,
//! by the clock of the store, whatever delayed it.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use object_store::{Error, Result, aws::AmazonS3, path::Path, signer::Signer};

use super::{
    clock,
    patience::{Patience, Waits},
    requests::{Answer, Failure, Requests, failed},
    verdict::retry_after,
};

/// The longest that a signature is valid for.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Removes an object unless the store takes up the request at `until` or later. It is sent again while the store is busy
/// or out of reach.
pub(super) async fn delete(
    requests: &Requests,
    signer: &AmazonS3,
    patience: Patience,
    path: &Path,
    until: SystemTime,
) -> Result<()> {
    let mut waits = Waits::new(patience);
    // Whether an attempt may have removed the object without an answer that says so.
    let mut may_be_done = false;
    loop {
        let Some(left) = lifetime(until, SystemTime::now()) else {
            return Err(match may_be_done {
                true => generic("it is not known whether one of several requests took effect in time"),
                false => too_late(path),
            });
        };
        let url = signer.signed_url(Method::DELETE, path, left).await?;
        let (error, asked) = match requests.follow(Method::DELETE, url.as_str()).await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(answer) if is_busy(answer.status) => (refused(&answer), retry_after(&answer.headers)),
            Ok(answer)
                if answer.status == StatusCode::NOT_FOUND && answer.refusal().code != "NoSuchBucket" =>
            {
                return Ok(());
            }
            Ok(answer) if may_be_done => return Err(refused(&answer)),
            Ok(answer) if answer.status == StatusCode::FORBIDDEN && is_dated_after(&answer, until) => {
                return Err(too_late(path));
            }
            Ok(answer) => return Err(refused(&answer)),
            Err(Failure::Unsigned(error)) => return Err(error),
            Err(Failure::Transfer(error)) => (failed(error), None),
        };
        may_be_done = true;
        if !waits.next(asked).await {
            return Err(error);
        }
    }
}

/// For how long a request that is signed at `now`, or a little later, is to be valid so that it expires by `until`. A
/// signature counts whole seconds, from the begin of the second in which it is made.
fn lifetime(until: SystemTime, now: SystemTime) -> Option<Duration> {
    let left = until.duration_since(now).ok()?.min(LONGEST);
    let seconds = left.as_secs().checked_sub(1).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
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
