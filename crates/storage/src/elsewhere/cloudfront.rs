//! Signed URLs of a distribution of CloudFront, with a canned policy.
//!
//! CloudFront checks signatures of RSA over SHA-1. aws-lc, which does all other cryptography here, no longer makes these.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{PrivateKey, pkcs1::DecodeRsaPrivateKey as _, pkcs8::DecodePrivateKey as _};
use sha1::Sha1;

use crate::Key;

/// A distribution of CloudFront whose origin is the bucket.
#[derive(Clone)]
pub struct CloudFront {
    base: String,
    /// Beginning of the keys of the bucket, empty or with a slash at its end
    root: String,
    key_pair: String,
    private_key: PrivateKey,
    duration: Duration,
}

/// Why a private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no private key of RSA in PEM, with `BEGIN RSA PRIVATE KEY` or `BEGIN PRIVATE KEY`: {0}")]
pub struct KeyProblem(String);

impl CloudFront {
    /// The distribution at the URL `base`, which has no slash at its end. The keys of the bucket begin with `prefix`, without
    /// slashes around it. URLs are signed with the private key `pem`, which CloudFront knows as `key_pair`, and are valid for
    /// `duration`.
    ///
    /// # Errors
    ///
    /// When `pem` has no private key of RSA.
    pub fn new(
        base: String,
        prefix: &str,
        key_pair: String,
        pem: &str,
        duration: Duration,
    ) -> Result<Self, KeyProblem> {
        let pem = pem.trim_start();
        let private_key = match PrivateKey::from_pkcs1_pem(pem) {
            Ok(key) => key,
            Err(reason) => PrivateKey::from_pkcs8_pem(pem).map_err(|_| KeyProblem(reason.to_string()))?,
        };
        let root = match prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            base,
            root,
            key_pair,
            private_key,
            duration,
        })
    }

    /// A URL of the object at `key`.
    pub(super) fn sign(&self, key: &Key) -> Result<String, String> {
        self.sign_at(key, SystemTime::now())
    }

    fn sign_at(&self, key: &Key, now: SystemTime) -> Result<String, String> {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
        let end = (since_epoch.unwrap_or_default() + self.duration).as_secs();
        let url = format!("{}/{}{key}", self.base, self.root);
        let policy = format!(
            r#"{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{end}}}}}}}]}}"#
        );
        let signature = self.private_key.pkcs1v15_sign::<Sha1>(policy.as_bytes());
        let signature = signature.map_err(|error| error.to_string())?;
        // The alphabet that CloudFront documents for the parameters of a URL.
        let signature = STANDARD.encode(signature).replace('+', "-");
        let signature = signature.replace('=', "_").replace('/', "~");
        let key_pair = &self.key_pair;
        Ok(format!(
            "{url}?Expires={end}&Signature={signature}&Key-Pair-Id={key_pair}"
        ))
    }
}

impl fmt::Debug for CloudFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudFront")
            .field("base", &self.base)
            .field("key_pair", &self.key_pair)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test by `openssl genrsa -traditional 2048`.
    const PKCS1: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAm+UO3UDJ/OGBGYhGqeQ+C47uev8xBge4JukcVlW/IkZjbdpX
NuczpEHOuGCHXb79OUrSy3j7HcQeGF/KGyFDlqqNt/lPR+EWiNdIwM9kxH4bn5Sd
a8lTjoRqO83ugO0X1n802hGV/7jzCjtKiwW9GfmnX53pdSx4jl5ymXmbkj6elEwN
YENnjL5HCI2mTLt8i0fICSDR1L8zmJmIz2D5Tf8o8UIXOGcLDw6dSPEhNBpuOBvh
ifOjAIUJI2cgXVtDlMa7ajZycLA5TXf6mQ54yn54COUhYaUbrs7AZ0Vgk/c8+kZb
F+PvYbLdFYdd5i81asEUuNWB2Sqs6IuAxoK99wIDAQABAoIBABGpfOqiSYAmCFtd
LixXWJQ0qF41BVfajgmShYxegJ4gfWlXwGPPA/HLJuGKxitf1Q6lpIY6+bBgpMw8
Jgi21xJ91jqOu2W4YbY1Nd/qX09HvldxHfi1QYs3A1YtOaVPt1Cs7s76CRWE3bw+
BW8Ewmzr9QOHP4jv9eSjXLZ4qaCC3GtGO0Nt1Z60ll9P/rzUuLLVVi1TG0yiVWa6
IXqW/rkV6QsIGyq+KAbddCTl9WWNiCtFeKil/Z60mnRgkKK+JOrLA0Stt+inDk/y
P8eG64bQoueKiwNKbW1vIfHyGBzZ9HpOrRYfXwSzz59aXvn/4JXEaczRzS4u8Pvm
ocOwmRkCgYEAzE4kyFHwiUFe0HysVAxL5B+drAUSGHwf3ud7AXb9Q7+XCvPv4Ob/
jV8IglnhTOXUyE+Pra9iTpBTzlofjC+k8achg3M1IqJE4vCwHK0SosL0ozgJhosn
jC2eLKsU9cZ5PgZIQMYvIHbn3+54jEhsNoe27R5VmyDuXGnFWoldhe0CgYEAw1cg
8RQ3UZIUkuzjj4Z6yFN1qvlKYlUVc53cs+9jJZKpACIsUFqq8Cd5VKwrtkH3QSK5
gls3tkNc8T6+8Q1PcvXjWJeATxHKbeBdRR9d0i1SH9WIC5ZG7Cbw869cpo4eeu1m
5xd0/AMSR0ZdPsLdfToY0qQzorq2vY4Poj7bVvMCgYBaNuthFWWchiQi9dp2ppNg
YWGTUw3hh/XezOJxDCTbpJ9Cs+KpsfcIav1r6dplxVsHNLKiJD7JqEuJZBxoH6W7
G2zeCaJd779xYoyxrO78tg+mfxkdsxa8fGxLFySDPqfM7qM7DwhCUp8jL79FWrmF
/rmUzP9KJ+l5Hy+JQfztJQKBgQCdeL+1mPZ/a6PqTc2lBmQ02hMhoZW1b6G7cqdY
5sKmp3RWBzZyEKV8tFW7TJBwfP02JSgnTiG7bNKgKFUFPhWuN0rvQDLPiygFK7oE
3yRjKuXpg9oIfTzvYvUbfWLTYf5wWrF52g8UmeVCUBcbYTvsl8krBfQaWyq15K/1
u3ZWwQKBgA5EnQPmcKlUAehUBhM7hJcFrVQ2BxH4psoA4On4B9AWSZB3Q8stiPXB
ugVXOKfSa61tG7GVDKQ0oLJ363xUfNXKUdG62WBv85Ln+emlXrYSEmUGDBsF4vtW
6qLyU5nWRZUzCXi9nH4ygmaiOH3gfjJzq/KwP22SqheFuGpo3bh0
-----END RSA PRIVATE KEY-----
";

    /// The same key, by `openssl pkcs8 -topk8 -nocrypt`.
    const PKCS8: &str = include_str!("key_for_tests.pem");

    /// Of the policy of the test, by `openssl dgst -sha1 -sign`.
    const SIGNATURE: &str = "hStH3p3ivjIxksU~iuGWzt411r1Von-QWItS~5wjre4FgEHGgWu1uXV7T7yCY0xCpCZ7iogcYKNX9fscd1Eh~lw0bYuMW4NEa9orwo-hp5HPunqvaGfEx~cYN1jl7hbfr3AwQEknI7GSDUzDCLlzhV34eQsbPYNAu2KyFroEbqR05W~4FDM-L1TPtkBV0Yss5gHHyBJC9kGlTAaoQ35QU3Uq75I--j9uIGSKo6uAdX1JKha1DZOodHjPswKs29cIlmK4LUinm~QO7GdS1FJh7fi8G9xqW55laF-CGZn4tnwNFev13HzIJQbtM2A8bkINbBNZI1IS9NgFrOkZER8BwA__";

    fn signed(pem: &str) -> Result<String, String> {
        let base = "https://d1.cloudfront.net".to_owned();
        let duration = Duration::from_secs(1200);
        let cloudfront = CloudFront::new(base, "team", "KABC".to_owned(), pem, duration);
        let key = Key::new("docker/registry/v2/blobs/sha256/ab/abc/data").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_999);
        cloudfront
            .map_err(|problem| problem.to_string())?
            .sign_at(&key, now)
    }

    #[test]
    fn urls_are_signed_as_openssl_signs_them() {
        let url = "https://d1.cloudfront.net/team/docker/registry/v2/blobs/sha256/ab/abc/data";
        let expected = format!("{url}?Expires=1800001200&Signature={SIGNATURE}&Key-Pair-Id=KABC");
        assert_eq!(signed(PKCS1).unwrap(), expected);
        assert_eq!(signed(PKCS8).unwrap(), expected);
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for pem in ["", "x", &PKCS1.replace("RSA PRIVATE", "PUBLIC"), &PKCS8[..200]] {
            let problem = signed(pem).unwrap_err();
            assert!(problem.contains("no private key of RSA in PEM"), "{problem}");
        }
    }
}
