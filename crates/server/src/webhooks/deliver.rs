//! Posts the queue of one endpoint, in order, until each event is accepted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tokio::{sync::watch, time};
use wharf_storage::spool::SpoolEntry;

use super::{
    EventFormat, Queue, backoff,
    client::{Answer, Client},
    cloud_event,
    envelope::{self, Version},
    record::Record,
};

/// Runs until it is told to flush and the queue is empty, or an attempt fails after that.
pub(super) async fn run(queue: Arc<Queue>, mut client: Client, mut flushing: watch::Receiver<bool>) {
    let mut failures: u32 = 0;
    let mut done = None;
    loop {
        let Some(entry) = next(&queue, done.take(), &mut client, &mut flushing).await else {
            return;
        };
        let Some(body) = body(&queue, &entry.record) else {
            done = Some(entry);
            continue;
        };
        let refusal = match client.post(body).await {
            Ok(answer) => judge(&queue, &answer),
            Err(error) => {
                queue.counters.failed();
                Some(Refusal {
                    why: error,
                    retry_after: None,
                })
            }
        };
        match refusal {
            None => {
                if failures > 0 {
                    tracing::info!(
                        endpoint = queue.endpoint.name,
                        attempts = failures,
                        "an endpoint takes events again"
                    );
                }
                failures = 0;
                done = Some(entry);
            }
            Some(Refusal { why, retry_after }) => {
                if failures == 0 {
                    tracing::warn!(
                        endpoint = queue.endpoint.name,
                        url = ?queue.endpoint.url,
                        why,
                        "an endpoint does not take an event; it is kept and tried again, and the others wait"
                    );
                }
                failures = failures.saturating_add(1);
                let pause = backoff::pause(&queue.endpoint, failures, retry_after);
                if *flushing.borrow() || was_told_to_flush(&mut flushing, pause).await {
                    return;
                }
            }
        }
    }
}

/// Waits for `pause`. Whether the server began to end meanwhile.
async fn was_told_to_flush(flushing: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::select! {
        () = time::sleep(pause) => false,
        _ = flushing.wait_for(|&flushing| flushing) => true,
    }
}

/// Takes `done` out of the queue, and waits for the next one. `None`: there is none, and there will be none.
async fn next(
    queue: &Arc<Queue>,
    mut done: Option<SpoolEntry>,
    client: &mut Client,
    flushing: &mut watch::Receiver<bool>,
) -> Option<SpoolEntry> {
    loop {
        let worker = Arc::clone(queue);
        let finished = done.take();
        let looked = tokio::task::spawn_blocking(move || {
            finished.map_or(Ok(()), |entry| worker.spool.remove(&entry))?;
            worker.spool.first()
        });
        match looked.await {
            Ok(Ok(Some(entry))) => return Some(entry),
            Ok(Ok(None)) => {
                queue.counters.emptied();
                // The other side need not keep a connection open for whenever something happens again.
                client.disconnect();
                if *flushing.borrow() {
                    return None;
                }
                tokio::select! {
                    () = queue.has_events.notified() => {}
                    _ = flushing.wait_for(|&flushing| flushing) => {}
                }
            }
            Ok(Err(error)) => {
                tracing::error!(endpoint = queue.endpoint.name, %error, "cannot read the queue of events; trying again");
                if was_told_to_flush(flushing, queue.endpoint.max_backoff).await {
                    return None;
                }
            }
            // The runtime is going down.
            Err(_ended) => return None,
        }
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
