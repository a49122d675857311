//! Headers of writes that `object_store` has no setting for: encryption, storage class and ACL.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method};
use object_store::{
    Result,
    client::{HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};

use super::{requests::failed, signature::Signature};

/// A client that adds `headers` to every request that creates an object, and signs it again.
#[derive(Debug)]
pub(super) struct AddHeaders {
    pub(super) inner: HttpClient,
    pub(super) headers: HeaderMap,
    pub(super) signature: Signature,
}

#[async_trait]
impl HttpService for AddHeaders {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.headers.is_empty() && creates_object(&request) {
            request.headers_mut().extend(self.headers.clone());
            let signed = self.signature.renew(&mut request).await;
            signed.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        }
        self.inner.execute(request).await
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

/// The value of a header.
pub(super) fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(failed)
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
}
