//! Headers of writes that `object_store` has no setting for: encryption, storage class and ACL.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use object_store::{
    ClientOptions, Result,
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

/// Connects clients that add `headers` to every request that creates an object, and sign it again.
#[derive(Debug)]
pub(super) struct AddHeaders {
    pub(super) headers: HeaderMap,
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
}

#[derive(Debug)]
struct Client {
    inner: HttpClient,
    add: Arc<AddHeaders>,
}

/// [`HttpConnector`] of an [`AddHeaders`].
#[derive(Debug)]
pub(super) struct Connector(pub(super) Arc<AddHeaders>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Client {
            inner: ReqwestConnector::default().connect(options)?,
            add: Arc::clone(&self.0),
        }))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if creates_object(&request) {
            let signed = self.add.apply(&mut request).await;
            signed.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        }
        self.inner.execute(request).await
    }
}

impl AddHeaders {
    async fn apply(&self, request: &mut HttpRequest) -> Result<()> {
        let digest = request.headers().get("x-amz-content-sha256").and_then(digest_of);
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().extend(self.headers.clone());
        let credentials = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credentials, "s3", &self.region)
            .with_sign_payload(digest.is_some())
            .try_authorize(request, digest.as_deref())
    }
}

/// A put or copy of an object, or the begin of a multipart upload; not a part of one, which inherits from its begin.
fn creates_object(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        Method::PUT => !query.contains("uploadId="),
        Method::POST => query == "uploads" || query == "uploads=",
        _ => false,
    }
}

/// The digest of the body that the request is signed with; `None` for an unsigned body.
fn digest_of(header: &HeaderValue) -> Option<Vec<u8>> {
    let text = header.to_str().ok().filter(|text| text.len() == 64)?;
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;

    #[test]
    fn only_what_creates_an_object_gets_the_headers() {
        let creates = |method: &str, url: &str| {
            let request = http::Request::builder().method(method).uri(url);
            creates_object(&request.body(HttpRequestBody::empty()).unwrap())
        };
        assert!(creates("PUT", "http://h/b/k"));
        assert!(creates("POST", "http://h/b/k?uploads"));
        assert!(!creates("PUT", "http://h/b/k?partNumber=1&uploadId=u"));
        assert!(!creates("POST", "http://h/b/k?uploadId=u"));
        assert!(!creates("POST", "http://h/b?delete"));
        assert!(!creates("GET", "http://h/b/k"));
    }

    #[test]
    fn an_unsigned_body_stays_unsigned() {
        assert_eq!(digest_of(&HeaderValue::from_static("UNSIGNED-PAYLOAD")), None);
        let digest = digest_of(&HeaderValue::from_str(&"0f".repeat(32)).unwrap());
        assert_eq!(digest, Some(vec![15; 32]));
    }
}
