//! Removals that the store refuses after a time.

use std::time::SystemTime;

use http::{Method, StatusCode};
use object_store::{Error, Result, aws::AmazonS3, client::HttpErrorKind, path::Path};

use super::{
    clock,
    patience::{Patience, Waits},
    requests::{Answer, Failure, Requests, failed},
};
use crate::object::attempt::retry_after;
use crate::object::expiring::{may_have_expired, signed, too_late};

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
        let Some(url) = signed(signer, path, until).await? else {
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

/// Whether the store itself says that it did not take the request up. A proxy in between does not know that.
fn is_busy(answer: &Answer) -> bool {
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    busy.contains(&answer.status) && !answer.refusal().code.is_empty()
}

fn is_dated_after(answer: &Answer, until: SystemTime) -> bool {
    let date = clock::date(&answer.headers).unwrap_or_else(SystemTime::now);
    may_have_expired(date, until)
}

fn refused(answer: &Answer) -> Error {
    let refusal = answer.refusal();
    let reason = format!(
        "the store answers {} {}: {}",
        answer.status, refusal.code, refusal.message
    );
    Error::Generic {
        store: "S3",
        source: reason.into(),
    }
}
