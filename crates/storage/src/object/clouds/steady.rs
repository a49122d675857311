//! The client of a cloud: each attempt is bounded in time, and repeated while the store is busy or out of reach.

use std::time::Duration;

use async_trait::async_trait;
use http::{
    HeaderMap, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use object_store::{
    BackoffConfig, ClientOptions, Result, RetryConfig,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService, ReqwestConnector,
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::object::{
    attempt::{Watched, chain, retry_after, silent},
    s3::Patience,
    trouble::Trouble,
};

/// How often the stream of one object goes on after a cut.
const CUTS: usize = 16;

/// The condition of Google on the generation of an object.
const IF_GENERATION: &str = "x-goog-if-generation-match";

/// Marks a request whose first answer counts, whatever it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Once;

/// How often, and after which waits, requests are repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeats {
    pub(super) patience: Patience,
    /// The most attempts of one request after the first
    pub(super) most: u32,
}

/// Sends requests.
#[derive(Debug)]
struct Steady {
    client: HttpClient,
    repeats: Repeats,
}

/// A client with these options that repeats requests.
///
/// # Errors
///
/// When an option cannot be used.
pub(super) fn client(options: &ClientOptions, repeats: Repeats) -> Result<HttpClient> {
    // A blob may take hours to a slow client; attempts have bounds of their own.
    let options = options
        .clone()
        .with_timeout_disabled()
        .with_connect_timeout(repeats.patience.connect);
    Ok(over(ReqwestConnector::default().connect(&options)?, repeats))
}

/// A client that sends requests through another one, and repeats them.
pub(super) fn over(client: HttpClient, repeats: Repeats) -> HttpClient {
    HttpClient::new(Steady { client, repeats })
}

/// Gives out a client that there is.
#[derive(Debug)]
pub(super) struct Connected(pub(super) HttpClient);

impl HttpConnector for Connected {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// How a stream goes on that was cut, however long it has lasted. All else is repeated by the client itself.
pub(super) fn of_streams(patience: Patience) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: patience.first_wait,
            max_backoff: patience.longest_wait.min(Duration::from_secs(1)),
            base: 2.0,
        },
        max_retries: CUTS,
        retry_timeout: Duration::MAX,
    }
}

#[async_trait]
impl HttpService for Steady {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.extensions().get::<Once>().is_some() {
            return self.attempt(request).await;
        }
        let is_conditional = is_conditional(request.headers());
        let begun = Instant::now();
        let mut count = 0;
        loop {
            let outcome = self.attempt(request.clone()).await;
            let Some((reason, asked, has_no_effect)) = trouble(&outcome) else {
                return outcome;
            };
            // Where the first attempt may have taken effect, the second would not find what it asks for.
            let may_repeat = has_no_effect || !is_conditional;
            let wait = self.repeats.patience.wait(count).max(asked);
            let is_late = begun.elapsed().saturating_add(wait) > self.repeats.patience.repeat;
            if !may_repeat || is_late || count >= self.repeats.most {
                let attempts = count + 1;
                let reason = format!("{attempts} attempts have failed: {reason}");
                return Err(HttpError::new(
                    HttpErrorKind::Unknown,
                    Trouble::Unavailable(reason),
                ));
            }
            tracing::debug!(reason, "a request to the store is repeated");
            sleep(wait).await;
            count += 1;
        }
    }
}

impl Steady {
    async fn attempt(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let patience = &self.repeats.patience;
        let seconds = request.body().content_length() as u64 / u64::from(patience.slowest.max(1));
        let longest = patience.work.min(patience.answer + Duration::from_secs(seconds));
        let response = timeout(longest, self.client.execute(request)).await;
        let response = response.map_err(|_elapsed| silent("no answer", longest))??;
        let (head, body) = response.into_parts();
        let body = Watched::new(body, patience.answer, |_| {});
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

/// Why the same request may succeed later, how long to wait at least, and whether it surely had no effect.
fn trouble(outcome: &Result<HttpResponse, HttpError>) -> Option<(String, Duration, bool)> {
    match outcome {
        Ok(response) => {
            let status = response.status();
            let is_busy = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
            let is_broken = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
            let has_no_effect = is_busy || status == StatusCode::SERVICE_UNAVAILABLE;
            (is_busy || is_broken).then(|| {
                let reason = format!("the store answers {status}");
                (
                    reason,
                    retry_after(response.headers()).unwrap_or_default(),
                    has_no_effect,
                )
            })
        }
        Err(error) if error.kind() == HttpErrorKind::Decode => None,
        Err(error) => {
            let is_unsent = error.kind() == HttpErrorKind::Connect;
            Some((chain(error), Duration::ZERO, is_unsent))
        }
    }
}

fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH)
        || headers.contains_key(IF_NONE_MATCH)
        || headers.contains_key(IF_GENERATION)
}
