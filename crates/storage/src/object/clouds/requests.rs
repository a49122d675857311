//! Requests to a cloud that `object_store` does not have.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::AUTHORIZATION, header::CONTENT_LENGTH};
use object_store::{
    Error, Result,
    azure::{AzureAuthorizer, AzureCredentialProvider},
    client::{HttpClient, HttpError, HttpRequest, HttpRequestBody},
    gcp::GcpCredentialProvider,
    path::Path,
    signer::Signer,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};

use super::steady::Once;
use crate::object::expiring::{may_have_expired, signed, too_late};

/// What stays as it is in a query.
const STRICT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What stays as it is in a path. Azure signs paths as they are sent.
const PATH: AsciiSet = STRICT.remove(b'/').remove(b'=');

/// Makes requests below a bucket, or a container.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: HttpClient,
    /// URL of the bucket, without a slash at its end
    pub(super) url: String,
    pub(super) identity: Identity,
}

/// What requests are authorised by.
#[derive(Debug)]
pub(super) enum Identity {
    Google(GcpCredentialProvider),
    Azure {
        credentials: AzureCredentialProvider,
        account: String,
    },
}

/// A request without a body.
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

/// Why the store refuses a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There are no credentials
    NoCredentials(Error),
    /// The request could not be made
    Unmade(Error),
    /// It or its answer got lost
    Transfer(HttpError),
}

impl Requests {
    /// Sends a request, and repeats it while the store is busy or out of reach.
    ///
    /// # Errors
    ///
    /// When there is no answer, or one that says that it was not done.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let answer = match self.authorised(request).await {
            Ok(made) => self.execute(made).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(answer) if answer.status.is_success() => Ok(answer),
            Ok(answer) => Err(refused(request, &answer)),
            Err(Failure::Transfer(error)) => Err(failed(error)),
            Err(Failure::NoCredentials(error) | Failure::Unmade(error)) => Err(error),
        }
    }

    /// Sends a request once, and answers whatever the store does.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub(super) async fn once(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut made = self.authorised(request).await?;
        made.extensions_mut().insert(Once);
        self.execute(made).await
    }

    /// Removes an object, once, unless the store takes up the request at `until` or later.
    ///
    /// # Errors
    ///
    /// [`Error::Precondition`] when it is too late. After any other it may still take effect.
    pub(super) async fn delete_until(
        &self,
        signer: &impl Signer,
        path: &Path,
        until: SystemTime,
    ) -> Result<()> {
        let Some(url) = signed(signer, path, until).await? else {
            return Err(too_late(path));
        };
        let made = http::Request::builder().method(Method::DELETE).uri(url);
        let mut made = made.body(HttpRequestBody::empty()).map_err(failed)?;
        made.extensions_mut().insert(Once);
        match self.execute(made).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) if answer.status == StatusCode::NOT_FOUND && is_of_object(&answer.refusal()) => Ok(()),
            // What is refused had no effect; only what is said of the reason depends on the clock of this machine.
            Ok(answer)
                if answer.status == StatusCode::FORBIDDEN && may_have_expired(SystemTime::now(), until) =>
            {
                Err(too_late(path))
            }
            Ok(answer) => {
                let request = Request {
                    method: Method::DELETE,
                    key: path.as_ref(),
                    query: &[],
                    headers: HeaderMap::new(),
                };
                match refused(&request, &answer) {
                    Error::Precondition { source, .. } => Err(Error::Generic {
                        store: "cloud",
                        source,
                    }),
                    error => Err(error),
                }
            }
            Err(Failure::Transfer(error)) => Err(failed(error)),
            Err(Failure::NoCredentials(error) | Failure::Unmade(error)) => Err(error),
        }
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

    async fn authorised(&self, request: &Request<'_>) -> Result<HttpRequest, Failure> {
        let mut made = http::Request::builder()
            .method(request.method.clone())
            .uri(self.with_query(request))
            .body(HttpRequestBody::empty())
            .map_err(|error| Failure::Unmade(failed(error)))?;
        *made.headers_mut() = request.headers.clone();
        made.headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        match &self.identity {
            Identity::Google(credentials) => {
                let credential = credentials.get_credential().await;
                let bearer = &credential.map_err(Failure::NoCredentials)?.bearer;
                let value = HeaderValue::try_from(format!("Bearer {bearer}"));
                let mut value = value.map_err(|error| Failure::Unmade(failed(error)))?;
                value.set_sensitive(true);
                made.headers_mut().insert(AUTHORIZATION, value);
            }
            Identity::Azure { credentials, account } => {
                let credential = credentials.get_credential().await;
                let credential = credential.map_err(Failure::NoCredentials)?;
                let authorizer = AzureAuthorizer::new(&credential, account);
                authorizer.try_authorize(&mut made).map_err(Failure::Unmade)?;
            }
        }
        Ok(made)
    }

    /// The URL of an object.
    pub(super) fn url_of(&self, key: &str) -> String {
        format!("{}/{}", self.url, utf8_percent_encode(key, &PATH))
    }

    fn with_query(&self, request: &Request<'_>) -> String {
        let mut url = match request.key {
            "" => self.url.clone(),
            key => self.url_of(key),
        };
        for (at, (name, value)) in request.query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, &STRICT));
        }
        url
    }
}

impl Answer {
    /// Why the store refuses the request, as far as it says so.
    pub(super) fn refusal(&self) -> Refusal {
        let mut refusal: Refusal = read(&self.body).unwrap_or_default();
        // Azure says it in the head as well, and only there in answers without a body.
        if refusal.code.is_empty()
            && let Some(code) = self.headers.get("x-ms-error-code")
        {
            code.to_str().unwrap_or_default().clone_into(&mut refusal.code);
        }
        // It has several lines, of which the first is the sentence.
        let end = refusal
            .message
            .find(['\r', '\n'])
            .unwrap_or(refusal.message.len());
        refusal.message.truncate(end);
        refusal
    }
}

/// Reads an answer.
///
/// # Errors
///
/// When it is no such XML.
pub(super) fn read<T: DeserializeOwned>(xml: &[u8]) -> Result<T> {
    // Azure begins some answers with a byte order mark.
    let xml = xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml);
    quick_xml::de::from_reader(xml).map_err(failed)
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "cloud",
        source: Box::new(error),
    }
}

/// Whether an answer of 404 says that the object is absent, and not its bucket or container.
fn is_of_object(refusal: &Refusal) -> bool {
    ["NoSuchKey", "BlobNotFound"].contains(&&*refusal.code)
}

fn refused(request: &Request<'_>, answer: &Answer) -> Error {
    let path = request.key.to_owned();
    let Refusal { code, message } = answer.refusal();
    let status = answer.status;
    let source = format!("the store answers {status} {code}: {message}").into();
    match status {
        StatusCode::NOT_FOUND => Error::NotFound { path, source },
        StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
        StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Error::Precondition { path, source },
        _ => Error::Generic {
            store: "cloud",
            source,
        },
    }
}
