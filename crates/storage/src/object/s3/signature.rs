//! Signs requests, also a second time.

use http::{
    HeaderValue,
    header::{AUTHORIZATION, HOST},
};
use object_store::{
    Result,
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::HttpRequest,
};

const DIGEST: &str = "x-amz-content-sha256";

/// Signs requests with the credentials of the moment.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
}

impl Signature {
    /// Signs a request that was signed before, or that has no body, as it is now.
    pub(super) async fn renew(&self, request: &mut HttpRequest) -> Result<()> {
        let header = request.headers().get(DIGEST).cloned();
        let digest = header.as_ref().and_then(digest_of);
        let is_signed = header.is_none() || digest.is_some();
        for of_signature in ["x-amz-security-token", "x-amz-date", DIGEST] {
            request.headers_mut().remove(of_signature);
        }
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().remove(HOST);
        let credentials = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credentials, "s3", &self.region)
            .with_sign_payload(is_signed)
            .try_authorize(request, digest.as_deref())
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
    use super::*;

    #[test]
    fn an_unsigned_body_stays_unsigned() {
        assert_eq!(digest_of(&HeaderValue::from_static("UNSIGNED-PAYLOAD")), None);
        let digest = digest_of(&HeaderValue::from_str(&"0f".repeat(32)).unwrap());
        assert_eq!(digest, Some(vec![15; 32]));
    }
}
