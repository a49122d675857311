//! Signed requests that `object_store` does not have.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use object_store::{
    Error, Result,
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpError, HttpRequest, HttpRequestBody},
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

/// A request; one without a body may be repeated.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Key of the object; empty for the bucket
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
}

/// What the store answers, whatever it is.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Why the store refuses the request, as far as it says so.
    pub(super) fn refusal(&self) -> Refusal {
        answers::read(&self.body).unwrap_or_default()
    }
}

impl Requests {
    /// Answers the body; the client repeats the request while the store is busy or out of reach.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Bytes> {
        let outcome = match self.signed(request, Bytes::new()).await {
            Ok(signed) => self.execute(signed).await,
            Err(failure) => Err(failure),
        };
        self.conclude(request, outcome)
    }

    /// Sends a request once, and answers whatever the store does.
    pub(super) async fn once(&self, request: &Request<'_>, body: Bytes) -> Result<Answer, Failure> {
        let mut signed = self.signed(request, body).await?;
        signed.extensions_mut().insert(Once);
        self.execute(signed).await
    }

    /// Follows a signed URL once, as a client does.
    pub(super) async fn follow(&self, method: Method, url: &str) -> Result<Answer, Failure> {
        let request = http::Request::builder().method(method).uri(url);
        let mut request = request
            .body(HttpRequestBody::empty())
            .map_err(|error| Failure::Unsigned(failed(error)))?;
        request.extensions_mut().insert(Once);
        self.execute(request).await
    }

    async fn execute(&self, request: HttpRequest) -> Result<Answer, Failure> {
        let response = self.client.execute(request).await;
        let (head, body) = response.map_err(Failure::Transfer)?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.bytes().await.map_err(Failure::Transfer)?,
        })
    }

    async fn signed(&self, request: &Request<'_>, body: Bytes) -> Result<HttpRequest, Failure> {
        let credentials = self.credentials.get_credential().await;
        let credentials = credentials.map_err(Failure::Unsigned)?;
        let mut signed = self.unsigned(request, body)?;
        AwsAuthorizer::new(&credentials, "s3", &self.region)
            .try_authorize(&mut signed, None)
            .map_err(Failure::Unsigned)?;
        Ok(signed)
    }

    fn unsigned(&self, request: &Request<'_>, body: Bytes) -> Result<HttpRequest, Failure> {
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(self.url(request))
            .body(HttpRequestBody::from(body))
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

    fn conclude(&self, request: &Request<'_>, outcome: Result<Answer, Failure>) -> Result<Bytes> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(Failure::Transfer(error)) => return Err(failed(error)),
            Err(Failure::Unsigned(error)) => return Err(error),
        };
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let path = match request.key {
            "" => self.bucket_url.clone(),
            key => key.to_owned(),
        };
        let Refusal { code, message, .. } = answer.refusal();
        let status = answer.status;
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
