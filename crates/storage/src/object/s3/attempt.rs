//! One attempt of a request: bounded in time, counted, and with its whole answer, unless that is an object.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{StatusCode, response::Parts};
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
};
use tokio::time::{Instant, timeout};

use super::{meters::RequestMeters, operation::Operation, patience::Patience};
use crate::object::attempt::{Reason, Watched, silent};

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
        let longest = match operation.is_work() {
            true => self.patience.work,
            false => self.patience.answer,
        };
        let meters = self.meters.clone();
        let received = move |bytes| meters.count_received(operation, bytes);
        let body = Watched::new(body, longest, received);
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
