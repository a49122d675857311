//! Signed requests that `object_store` does not have.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use object_store::{
    Error, Result,
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpError, HttpRequest, HttpRequestBody, HttpResponse},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    answers::{self, Refusal},
    repeat::Once,
};

/// What stays as it is in a query and in the parts of a path, as signatures want it.
const STRICT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const STRICT_PATH: AsciiSet = STRICT.remove(b'/');

/// Makes requests below a bucket.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: HttpClient,
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
    /// URL of the bucket, without a slash at its end
    pub(super) bucket_url: String,
}

/// A request without a body, which may be repeated.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Key of the object; empty for the bucket
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
}

impl Requests {
    /// Answers the body; the client repeats the request while the store is busy or out of reach.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Bytes> {
        let outcome = self.attempt(request).await;
        self.conclude(request, outcome)
    }

    /// Sends a request once, and answers whatever the store does.
    pub(super) async fn once(&self, request: &Request<'_>) -> Result<HttpResponse, Failure> {
        let mut signed = self.signed(request).await?;
        signed.extensions_mut().insert(Once);
        self.client.execute(signed).await.map_err(Failure::Transfer)
    }

    async fn signed(&self, request: &Request<'_>) -> Result<HttpRequest, Failure> {
        let credentials = self.credentials.get_credential().await;
        let credentials = credentials.map_err(Failure::Unsigned)?;
        let mut signed = self.unsigned(request)?;
        AwsAuthorizer::new(&credentials, "s3", &self.region)
            .try_authorize(&mut signed, None)
            .map_err(Failure::Unsigned)?;
        Ok(signed)
    }

    async fn attempt(&self, request: &Request<'_>) -> Result<(StatusCode, Bytes), Failure> {
        let signed = self.signed(request).await?;
        let response = self.client.execute(signed).await.map_err(Failure::Transfer)?;
        let status = response.status();
        let body = response.into_body().bytes().await;
        Ok((status, body.map_err(Failure::Transfer)?))
    }

    fn unsigned(&self, request: &Request<'_>) -> Result<http::Request<HttpRequestBody>, Failure> {
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(self.url(request))
            .body(HttpRequestBody::empty())
            .map_err(|error| Failure::Unsigned(failed(error)))?;
        *built.headers_mut() = request.headers.clone();
        Ok(built)
    }

    fn url(&self, request: &Request<'_>) -> String {
        let mut url = format!("{}/{}", self.bucket_url, encoded(request.key));
        for (at, (name, value)) in request.query.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            url.push(separator);
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, &STRICT));
        }
        url
    }

    fn conclude(
        &self,
        request: &Request<'_>,
        outcome: Result<(StatusCode, Bytes), Failure>,
    ) -> Result<Bytes> {
        let (status, body) = match outcome {
            Ok(answer) => answer,
            Err(Failure::Transfer(error)) => return Err(failed(error)),
            Err(Failure::Unsigned(error)) => return Err(error),
        };
        if status.is_success() {
            return Ok(body);
        }
        let path = match request.key {
            "" => self.bucket_url.clone(),
            key => key.to_owned(),
        };
        let Refusal { code, message } = answers::read(&body).unwrap_or_default();
        let source = format!("the store answers {status} {code}: {message}").into();
        Err(match status {
            StatusCode::NOT_FOUND => Error::NotFound { path, source },
            StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
            StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Error::Precondition { path, source },
            StatusCode::NOT_IMPLEMENTED => Error::NotSupported { source },
            _ => Error::Generic { store: "S3", source },
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request could not be signed
    Unsigned(Error),
    /// It or its answer got lost
    Transfer(HttpError),
}

/// A key as it stands in a URL.
pub(super) fn encoded(key: &str) -> String {
    utf8_percent_encode(key, &STRICT_PATH).to_string()
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}
