//! One attempt of a request: bounded in time, counted, and with its whole answer, unless that is an object.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{StatusCode, response::Parts};
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{meters::RequestMeters, operation::Operation, patience::Patience};

/// The longest answer that is kept in memory; a page of a listing has some 2 MB at most.
const LONGEST: usize = 16 << 20;

/// Sends requests.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) client: HttpClient,
    pub(super) patience: Patience,
    pub(super) meters: RequestMeters,
}

/// What a store has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// All of it
    Whole(Bytes),
    /// An object, as it comes
    Object(HttpResponseBody),
}

impl Attempts {
    pub(super) async fn send(&self, operation: Operation, request: HttpRequest) -> Result<Answer, HttpError> {
        let begun = Instant::now();
        let sent = request.body().content_length();
        let answer = self.answer(operation, request, sent).await;
        let status = answer.as_ref().ok().map(|answer| answer.head.status);
        self.meters.count(operation, status, begun.elapsed(), sent);
        answer
    }

    async fn answer(
        &self,
        operation: Operation,
        request: HttpRequest,
        sent: usize,
    ) -> Result<Answer, HttpError> {
        let longest = self.patience.until_answer(sent, operation.is_work());
        let response = timeout(longest, self.client.execute(request)).await;
        let response = response.map_err(|_elapsed| silent("no answer", longest))??;
        let (head, body) = response.into_parts();
        let body = Watched {
            body,
            meters: self.meters.clone(),
            operation,
            longest: if operation.is_work() {
                self.patience.work
            } else {
                self.patience.answer
            },
            silence: None,
        };
        let body = HttpResponseBody::new(body);
        let is_object = operation == Operation::Get && head.status.is_success();
        let body = if is_object {
            Content::Object(body)
        } else {
            Content::Whole(whole(body).await?)
        };
        Ok(Answer { head, body })
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The body, unless it is an object.
    pub(super) fn text(&self) -> &[u8] {
        match &self.body {
            Content::Whole(bytes) => bytes,
            Content::Object(_) => &[],
        }
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let body = match self.body {
            Content::Whole(bytes) => bytes.into(),
            Content::Object(body) => body,
        };
        HttpResponse::from_parts(self.head, body)
    }
}

async fn whole(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let mut pieces = body.bytes_stream();
    let mut all = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece?);
        if all.len() > LONGEST {
            let reason = format!("the answer of the store has more than {LONGEST} bytes");
            return Err(HttpError::new(HttpErrorKind::Decode, Reason(reason)));
        }
    }
    Ok(all.freeze())
}

/// A body that fails when nothing comes for too long.
#[derive(Debug)]
struct Watched {
    body: HttpResponseBody,
    meters: RequestMeters,
    operation: Operation,
    longest: Duration,
    /// Ends when nothing has come for too long; there is none while the body has something.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.silence = None;
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.meters.count_received(this.operation, bytes);
            }
            return Poll::Ready(frame);
        }
        let longest = this.longest;
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(longest)));
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Some(Err(silent("nothing more", longest))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn silent(what: &str, longest: Duration) -> HttpError {
    let reason = format!("{what} from the store for {longest:?}");
    HttpError::new(HttpErrorKind::Timeout, Reason(reason))
}

/// A cause that is only a text.
#[derive(Debug)]
struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}
