//! Posts the queue of one endpoint, in order, until each event is accepted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use wharf_storage::spool::SpoolEntry;
use wharf_workers::{Error, Unit, Work, Worker};

use super::{
    EventFormat, Queue, backoff,
    client::{Answer, Client},
    cloud_event,
    envelope::{self, Version},
    record::Record,
};

/// Posts the events of one queue.
pub(super) struct Delivery {
    queue: Arc<Queue>,
    client: Client,
    /// The event that the endpoint accepted last, as long as it is in the queue.
    done: Option<SpoolEntry>,
    /// Number of attempts that failed in a row.
    failures: u32,
}

impl Delivery {
    pub(super) fn new(queue: Arc<Queue>, client: Client) -> Self {
        Self {
            queue,
            client,
            done: None,
            failures: 0,
        }
    }

    /// Takes the event that was accepted out of the queue, and returns the next one.
    async fn next(&mut self) -> Result<Option<SpoolEntry>, Error> {
        let queue = Arc::clone(&self.queue);
        let done = self.done.take();
        let look = move || {
            done.map_or(Ok(()), |entry| queue.spool.remove(&entry))?;
            queue.spool.first()
        };
        tokio::task::spawn_blocking(look).await?.map_err(|error| {
            let endpoint = &self.queue.endpoint;
            tracing::error!(endpoint = endpoint.name, %error, "cannot read the queue of events; trying again");
            Error::expected(error.to_string(), endpoint.max_backoff)
        })
    }

    fn accepted(&mut self, entry: SpoolEntry) {
        if self.failures > 0 {
            tracing::info!(
                endpoint = self.queue.endpoint.name,
                attempts = self.failures,
                "an endpoint takes events again"
            );
        }
        self.failures = 0;
        self.done = Some(entry);
    }

    fn refused(&mut self, Refusal { why, retry_after }: Refusal) -> Error {
        let endpoint = &self.queue.endpoint;
        if self.failures == 0 {
            tracing::warn!(
                endpoint = endpoint.name,
                url = ?endpoint.url,
                why,
                "an endpoint does not take an event; it is kept and tried again, and the others wait"
            );
        }
        self.failures = self.failures.saturating_add(1);
        let pause = backoff::pause(endpoint, self.failures, retry_after);
        Error::expected(why, pause)
    }
}

impl Worker for Delivery {
    fn name(&self) -> String {
        let endpoint = &self.queue.endpoint;
        match endpoint.name.as_str() {
            "" => format!("webhook {:?}", endpoint.url),
            name => format!("webhook {name}"),
        }
    }

    /// Posts one event.
    async fn work(&mut self) -> Unit {
        let Some(entry) = self.next().await? else {
            self.queue.counters.emptied();
            // The other side need not keep a connection open for whenever something happens again.
            self.client.disconnect();
            return Ok(Work::Idle);
        };
        let Some(body) = body(&self.queue, &entry.record) else {
            self.done = Some(entry);
            return Ok(Work::Busy);
        };
        let refusal = match self.client.post(body).await {
            Ok(answer) => judge(&self.queue, &answer),
            Err(why) => {
                self.queue.counters.failed();
                Some(Refusal {
                    why,
                    retry_after: None,
                })
            }
        };
        match refusal {
            None => self.accepted(entry),
            Some(refusal) => return Err(self.refused(refusal)),
        }
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        self.queue.has_events.notified().await;
    }

    /// Posts what is left, until an attempt fails.
    async fn drain(&mut self) {
        while self.failures == 0 && matches!(self.work().await, Ok(Work::Busy)) {}
    }

    fn status(&self) -> String {
        format!("events that wait: {}", self.queue.spool.len())
    }
}

fn body(queue: &Queue, record: &[u8]) -> Option<Bytes> {
    let Some(event) = Record::from_bytes(record) else {
        queue.dropped(1, "an event was written by another version and cannot be read");
        return None;
    };
    let body = match queue.endpoint.format {
        EventFormat::V1 => envelope::render(&event, Version::V1),
        EventFormat::V2 => envelope::render(&event, Version::V2),
        EventFormat::CloudEvents => cloud_event::render(&event),
    };
    Some(body.into())
}

struct Refusal {
    why: String,
    retry_after: Option<Duration>,
}

/// Why an answer refuses the event; `None`: it is accepted. As in registry:2, any 2xx or 3xx accepts it. But a redirect,
/// which registry:2 follows, is a refusal: the configuration decides where events go, and none may get lost in between.
fn judge(queue: &Queue, answer: &Answer) -> Option<Refusal> {
    let is_redirected = matches!(
        answer.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    ) && answer.has_location;
    let is_accepted = (answer.status.is_success() || answer.status.is_redirection()) && !is_redirected;
    queue.counters.answered(answer.status, is_accepted);
    let why = match is_redirected {
        true => format!(
            "it answers {} and names another place; redirects are not followed, so write that one into `url`",
            answer.status
        ),
        false => format!("it answers {}", answer.status),
    };
    (!is_accepted).then_some(Refusal {
        why,
        retry_after: answer.retry_after,
    })
}
