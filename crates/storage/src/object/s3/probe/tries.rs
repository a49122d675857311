//! The requests of a probe, all in a directory of its own, and what the policy of the bucket does not allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::time;
use uuid::Uuid;

use super::super::{
    answers::Refusal,
    clock,
    patience::{Patience, Waits},
    requests::{Answer, Failure, Request, Requests},
    verdict::is_busy,
};
use crate::object::attempt::{chain, retry_after};

/// Longest time until a request of a probe is answered.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a request is repeated while the store is busy: a probe can be made again.
const PATIENCE: Patience = Patience {
    repeat: Duration::from_secs(3),
    ..Patience::DEFAULT
};

/// Objects that are removed at once.
const AT_ONCE: usize = 8;

/// What a registry does with a bucket, and a policy may forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Lists objects
    List,
    /// Reads an object
    Get,
    /// Writes an object
    Put,
    /// Removes an object
    Delete,
    /// Begins a multipart upload
    CreateMultipart,
    /// Writes a part of one
    PutPart,
    /// Completes one
    CompleteMultipart,
    /// Gives one up
    AbortMultipart,
    /// Lists those that are neither completed nor given up
    ListMultiparts,
    /// Copies an object
    Copy,
    /// Copies an object into a part
    CopyPart,
}

/// A request of a probe.
#[derive(Debug, Default)]
pub(super) struct Try<'a> {
    pub(super) method: Method,
    /// Key of the object; empty for the bucket
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) header: Option<(&'static str, &'a str)>,
    pub(super) body: Bytes,
    /// Whether the request creates an object
    pub(super) creates: bool,
}

/// The requests of one probe.
#[derive(Debug)]
pub(in super::super) struct Tries {
    requests: Arc<Requests>,
    /// All keys of this probe begin so.
    dir: String,
    /// The keys at which there may be objects.
    used: Mutex<BTreeSet<String>>,
    /// The multipart uploads that may be open: key and ID.
    open: Mutex<BTreeSet<(String, String)>>,
    denied: Mutex<BTreeMap<Operation, String>>,
    skew: Mutex<Option<SignedDuration>>,
}

impl Tries {
    /// Begins a probe below `probes`, the directory of all of them. Where the policy does not allow to remove objects, all
    /// probes use the same keys, so that no more and more is left behind.
    ///
    /// # Errors
    ///
    /// When there is no answer, or the store stays busy.
    pub(in super::super) async fn begin(requests: &Arc<Requests>, probes: &str) -> Result<Self, String> {
        let mut tries = Self::idle(requests, probes);
        if tries.delete(&tries.key("none")).await?.is_none() {
            tries.dir = format!("{probes}/{}", Uuid::nil());
        }
        Ok(tries)
    }

    /// A probe that has not sent anything.
    pub(super) fn idle(requests: &Arc<Requests>, probes: &str) -> Self {
        Self {
            requests: Arc::clone(requests),
            dir: format!("{probes}/{}", Uuid::new_v4()),
            used: Mutex::default(),
            open: Mutex::default(),
            denied: Mutex::default(),
            skew: Mutex::default(),
        }
    }

    /// The key of an object of this probe.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Sends a request until the store is not busy.
    ///
    /// # Errors
    ///
    /// When there is no answer, or the store stays busy.
    pub(super) async fn send(&self, tried: &Try<'_>) -> Result<Answer, String> {
        let mut waits = Waits::new(PATIENCE);
        loop {
            let outcome = self.once(tried).await;
            let asked = match &outcome {
                Ok(answer) if !is_busy(answer.status) => return outcome,
                Ok(answer) => retry_after(&answer.headers),
                Err(_) => None,
            };
            if !waits.next(asked).await {
                return outcome.and_then(|answer| Err(unexpected(tried, &answer)));
            }
        }
    }

    /// Sends a request once.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub(super) async fn once(&self, tried: &Try<'_>) -> Result<Answer, String> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = tried.header
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = Request {
            method: tried.method.clone(),
            key: tried.key,
            query: tried.query,
            headers,
        };
        if tried.creates {
            self.used.lock().insert(tried.key.to_owned());
        }
        let sent = self.requests.once(&request, tried.body.clone());
        let answer = self.in_time(sent).await?;
        let mut skew = self.skew.lock();
        if skew.is_none() {
            *skew = clock::skew(&answer.headers);
        }
        Ok(answer)
    }

    /// Follows a signed URL, as a client does.
    pub(super) async fn follow(&self, method: Method, url: &str) -> Result<Answer, String> {
        self.in_time(self.requests.follow(method, url)).await
    }

    async fn in_time(
        &self,
        request: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, String> {
        match time::timeout(LONGEST, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::Transfer(error))) => {
                Err(format!("the store cannot be reached: {}", chain(&error)))
            }
            Ok(Err(Failure::Unsigned(error))) => {
                Err(format!("a request cannot be signed: {}", chain(&error)))
            }
            Err(_elapsed) => Err(format!(
                "the store does not answer within {} s",
                LONGEST.as_secs()
            )),
        }
    }

    /// Sends a request that belongs to `operation`; `None` where the policy does not allow it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub(super) async fn allowed(
        &self,
        operation: Operation,
        tried: &Try<'_>,
    ) -> Result<Option<Answer>, String> {
        let answer = self.send(tried).await?;
        Ok(self.note(operation, &answer).then_some(answer))
    }

    /// Notes that the policy does not allow `operation`, if that is the answer; whether it is not.
    pub(super) fn note(&self, operation: Operation, answer: &Answer) -> bool {
        if answer.status != StatusCode::FORBIDDEN {
            return true;
        }
        let Refusal { code, .. } = answer.refusal();
        self.denied
            .lock()
            .entry(operation)
            .or_insert_with(|| format!("{} {code}", answer.status.as_str()));
        false
    }

    /// Writes an object, as [`allowed`](Self::allowed).
    pub(super) async fn put(&self, key: &str, body: impl Into<Bytes>) -> Result<Option<Answer>, String> {
        let tried = Try {
            method: Method::PUT,
            key,
            body: body.into(),
            creates: true,
            ..Try::default()
        };
        let answer = self.allowed(Operation::Put, &tried).await?;
        match answer {
            Some(answer) if !answer.status.is_success() => Err(unexpected(&tried, &answer)),
            answer => Ok(answer),
        }
    }

    /// Reads an object, as [`allowed`](Self::allowed).
    pub(super) async fn get(&self, key: &str) -> Result<Option<Answer>, String> {
        let tried = Try {
            key,
            ..Try::default()
        };
        self.allowed(Operation::Get, &tried).await
    }

    /// Removes an object, as [`allowed`](Self::allowed).
    pub(super) async fn delete(&self, key: &str) -> Result<Option<Answer>, String> {
        let tried = Try {
            method: Method::DELETE,
            key,
            ..Try::default()
        };
        let answer = self.allowed(Operation::Delete, &tried).await?;
        if answer.as_ref().is_some_and(|answer| answer.status.is_success()) {
            self.used.lock().remove(key);
        }
        Ok(answer)
    }

    /// A multipart upload was begun.
    pub(super) fn opened(&self, key: &str, id: &str) {
        self.open.lock().insert((key.to_owned(), id.to_owned()));
        self.used.lock().insert(key.to_owned());
    }

    /// Gives a multipart upload up, as [`allowed`](Self::allowed).
    pub(super) async fn abort(&self, key: &str, id: &str) -> Result<Option<Answer>, String> {
        let tried = Try {
            method: Method::DELETE,
            key,
            query: &[("uploadId", id)],
            ..Try::default()
        };
        let answer = self.allowed(Operation::AbortMultipart, &tried).await?;
        self.open.lock().remove(&(key.to_owned(), id.to_owned()));
        Ok(answer)
    }

    /// Removes what this probe has written, as far as that goes: a later probe removes what is left.
    pub(in super::super) async fn clean_up(&self) {
        let open: Vec<_> = self.open.lock().iter().cloned().collect();
        for (key, id) in open {
            _ = self.abort(&key, &id).await;
        }
        let used: Vec<_> = self.used.lock().iter().cloned().collect();
        stream::iter(used)
            .for_each_concurrent(AT_ONCE, |key| async move {
                _ = self.delete(&key).await;
            })
            .await;
    }

    /// The operations that the policy does not allow, and the answers that say so.
    pub(super) fn denied(&self) -> BTreeMap<Operation, String> {
        self.denied.lock().clone()
    }

    /// How far this machine's clock is ahead of the store's.
    pub(super) fn skew(&self) -> Option<SignedDuration> {
        *self.skew.lock()
    }
}

/// An answer after which a probe cannot go on.
pub(super) fn unexpected(tried: &Try<'_>, answer: &Answer) -> String {
    let Refusal { code, message, .. } = answer.refusal();
    format!(
        "{} of `{}`: the store answers {} {code}: {message}",
        tried.method, tried.key, answer.status
    )
}
