//! Repeats requests while the store is busy or out of reach, and makes sure of answers that could mean two things.
//!
//! Every request of the engine may be repeated. Where an earlier attempt took effect and its answer was lost, two answers
//! would mislead. That of a put under a condition, which the object then no longer fulfils, is replaced here, by looking
//! at the object. That of a completion, which finds no multipart upload any more, is for the caller, which knows what the
//! object is to be.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, StatusCode, header::ETAG};
use object_store::client::{
    HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::Instant;

use super::{
    attempt::{Answer, Attempts},
    operation::Operation,
    patience::Waits,
    signature::Signature,
    verdict::{Verdict, described, refusal, shows_the_bucket},
};
use crate::object::attempt::retry_after;
use crate::object::trouble::Trouble;

/// Marks a request whose first answer counts, whatever it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Once;

/// An answer shows for so long that the bucket is there.
const SEEN: Duration = Duration::from_secs(1);

/// How often a request is signed again that the store takes for expired.
const RENEWALS: u32 = 2;

/// A client of a bucket that repeats requests.
#[derive(Debug)]
pub(super) struct Repeating {
    attempts: Attempts,
    signature: Signature,
    bucket_url: String,
    begun: Instant,
    /// Milliseconds after `begun` at which an answer last showed that the bucket is there; 0 before that
    seen: AtomicU64,
}

impl Repeating {
    pub(super) fn new(attempts: Attempts, signature: Signature, bucket_url: String) -> Self {
        Self {
            attempts,
            signature,
            bucket_url,
            begun: Instant::now(),
            seen: AtomicU64::new(0),
        }
    }

    async fn repeat(&self, operation: Operation, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut waits = Waits::new(self.attempts.patience);
        let mut renewals = 0;
        // Whether an attempt may have taken effect without an answer that says so.
        let mut may_be_done = false;
        let mut next = request.clone();
        loop {
            let outcome = self.attempts.send(operation, next).await;
            match Verdict::on(operation, &request, &outcome) {
                Verdict::Repeat => {
                    may_be_done |= !is_unsent(&outcome);
                    let reason = described(&outcome);
                    tracing::debug!(
                        operation = operation.name(),
                        reason,
                        "a request to the bucket has failed"
                    );
                    let asked = outcome.as_ref().ok();
                    let asked = asked.and_then(|answer| retry_after(&answer.head.headers));
                    if !waits.next(asked).await {
                        return Err(given_up(&reason, &waits));
                    }
                }
                Verdict::Renew => {
                    renewals += 1;
                    if renewals > RENEWALS || !waits.next(None).await {
                        return denied(outcome?);
                    }
                }
                Verdict::NoBucket => return Err(self.no_bucket()),
                Verdict::Absent => {
                    self.find_bucket().await?;
                    return outcome.map(Answer::into_response);
                }
                Verdict::Answered => {
                    let answer = outcome?;
                    if shows_the_bucket(&answer) {
                        self.seen.store(self.now(), Ordering::Relaxed);
                    }
                    if may_be_done
                        && operation == Operation::Put
                        && answer.status() == StatusCode::PRECONDITION_FAILED
                        && let Some(done) = self.done(&request).await?
                    {
                        return Ok(done);
                    }
                    return Ok(answer.into_response());
                }
            }
            self.attempts.meters.count_repeat(operation);
            next = request.clone();
            self.sign(&mut next).await?;
        }
    }

    /// The answer to a put under a condition that took effect before the store refused its repetition: the object has the
    /// bytes of the put. `None` when it has others.
    async fn done(&self, put: &HttpRequest) -> Result<Option<HttpResponse>, HttpError> {
        let get = self.request(&put.uri().to_string()).await?;
        let got = Box::pin(self.repeat(Operation::Get, get)).await?;
        if !got.status().is_success() {
            return Ok(None);
        }
        let (head, body) = got.into_parts();
        if !same(put.body().clone(), body).await? {
            return Ok(None);
        }
        let mut done = HttpResponse::new(Bytes::new().into());
        for (name, value) in &head.headers {
            if *name == ETAG || name == "x-amz-version-id" {
                done.headers_mut().insert(name, value.clone());
            }
        }
        Ok(Some(done))
    }

    /// Makes sure that the bucket is there: an answer has just shown it, or does so now.
    async fn find_bucket(&self) -> Result<(), HttpError> {
        let seen = self.seen.load(Ordering::Relaxed);
        if seen > 0 && self.now().saturating_sub(seen) < millis(SEEN) {
            return Ok(());
        }
        let list = self
            .request(&format!("{}/?list-type=2&max-keys=1", self.bucket_url))
            .await?;
        // Any answer will do, also that the listing is not allowed: without the bucket there is none.
        Box::pin(self.repeat(Operation::List, list)).await.map(drop)
    }

    /// A signed request to read.
    async fn request(&self, url: &str) -> Result<HttpRequest, HttpError> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = request.body(HttpRequestBody::empty());
        let mut request = request.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        self.sign(&mut request).await?;
        Ok(request)
    }

    async fn sign(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let signed = self.signature.renew(request).await;
        signed.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))
    }

    fn now(&self) -> u64 {
        millis(self.begun.elapsed()).max(1)
    }

    fn no_bucket(&self) -> HttpError {
        self.seen.store(0, Ordering::Relaxed);
        let reason = format!(
            "there is no bucket at {} at the moment; it may have been removed or renamed, or the way to the store leads elsewhere",
            self.bucket_url
        );
        failure(Trouble::Unavailable(reason))
    }
}

#[async_trait]
impl HttpService for Repeating {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let operation = Operation::of(&request);
        if request.extensions().get::<Once>().is_some() {
            let answer = self.attempts.send(operation, request).await;
            return answer.map(Answer::into_response);
        }
        self.repeat(operation, request).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the request cannot have reached the store.
fn is_unsent(outcome: &Result<Answer, HttpError>) -> bool {
    matches!(outcome, Err(error) if error.kind() == HttpErrorKind::Connect)
}

/// Whether two bodies have the same bytes.
async fn same(sent: HttpRequestBody, found: HttpResponseBody) -> Result<bool, HttpError> {
    let mut sent = HttpResponseBody::new(sent).bytes().await?;
    let mut found = found.bytes_stream();
    while let Some(piece) = found.next().await {
        let piece = piece?;
        if !sent.starts_with(&piece) {
            return Ok(false);
        }
        drop(sent.split_to(piece.len()));
    }
    Ok(sent.is_empty())
}

fn given_up(reason: &str, waits: &Waits) -> HttpError {
    let (attempts, seconds) = (waits.count + 1, waits.elapsed().as_secs_f32());
    let reason = format!("{attempts} attempts in {seconds:.1} s have failed: {reason}");
    failure(Trouble::Unavailable(reason))
}

/// What to do about credentials that the store refuses, if it says why.
fn denied(answer: Answer) -> Result<HttpResponse, HttpError> {
    let remedy = match &*refusal(&answer).code {
        "" => return Ok(answer.into_response()),
        "RequestTimeTooSkewed" | "RequestExpired" => "set the clock of this machine",
        _ => "the credentials have expired; give the process new ones",
    };
    Err(failure(Trouble::Denied(format!(
        "{}; {remedy}",
        described(&Ok(answer))
    ))))
}

/// A failure that `object_store` does not try again.
fn failure(trouble: Trouble) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, trouble)
}
