//! What is wrong with the settings of a bucket, in one sentence with the remedy.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use object_store::client::HttpErrorKind;
use tokio::time;

use super::{
    answers::{self, Refusal},
    clock::{self, LONGEST_SKEW, shown},
    policy,
    requests::{Answer, Failure, Request, Requests},
};
use crate::object::attempt::chain;

/// Longest time until the bucket answers.
const LONGEST: Duration = Duration::from_secs(20);

/// Longest time until there are credentials: a machine without a metadata service has an address that does not answer.
const LONGEST_SEARCH: Duration = Duration::from_secs(5);

/// Less than what stores refuse, and worth a warning.
const WORTH_A_WARNING: Duration = Duration::from_secs(4 * 60 + 30);

/// The beginning of a list of objects.
const LISTING: &[u8] = b"<ListBucketResult";

/// Lists one key, which needs the name, the region, the keys and the clock to be right. Returns how far this machine's clock is
/// ahead of the store's, if the store says its time.
pub(super) async fn check(requests: &Requests, bucket: &str) -> Result<Option<SignedDuration>, String> {
    let named = format!("`storage.s3.bucket` \"{bucket}\"");
    credentials(requests)
        .await
        .map_err(|reason| format!("{named}: {reason}"))?;
    let asked = time::timeout(LONGEST, ask(requests));
    let url = &requests.bucket_url;
    let Ok(answer) = asked.await else {
        return Err(format!(
            "{named}: no answer from {url} within {} s; check `regionendpoint` and the network",
            LONGEST.as_secs()
        ));
    };
    let answer = answer.map_err(|failure| format!("{named}: {}", no_answer(&failure, url)))?;
    let skew = clock::skew(&answer.headers);
    if !(answer.status.is_success() && is_listing(&answer)) {
        return Err(format!("{named}{}", explain(&answer, requests, bucket, skew)));
    }
    match skew {
        Some(skew) if skew.unsigned_abs() >= LONGEST_SKEW => Err(format!(
            "{named}: the clock of this machine differs from the store's by {}; set it, because stores refuse what is signed \
             so early or late",
            shown(skew)
        )),
        Some(skew) if skew.unsigned_abs() >= WORTH_A_WARNING => {
            tracing::warn!(
                "the clock of this machine differs from the store's by {}; set it, or requests will be refused",
                shown(skew)
            );
            Ok(Some(skew))
        }
        skew => Ok(skew),
    }
}

async fn credentials(requests: &Requests) -> Result<(), String> {
    let found = time::timeout(LONGEST_SEARCH, requests.credentials.get_credential()).await;
    let reason = match found {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => chain(&error),
        Err(_elapsed) => format!(
            "the service that gives them does not answer within {} s",
            LONGEST_SEARCH.as_secs()
        ),
    };
    Err(no_credentials(&reason))
}

fn no_credentials(reason: &str) -> String {
    format!(
        "there are no credentials ({reason}); set `accesskey` and `secretkey`, or give the process the variables, the file or \
         the role of AWS"
    )
}

async fn ask(requests: &Requests) -> Result<Answer, Failure> {
    let request = Request {
        method: Method::GET,
        key: "",
        query: &[("list-type", "2"), ("max-keys", "1")],
        headers: HeaderMap::new(),
    };
    requests.once(&request, Bytes::new()).await
}

/// Whether the body is a list of objects, and no page of another service.
fn is_listing(answer: &Answer) -> bool {
    answers::read::<Refusal>(&answer.body).is_ok()
        && answer.body.windows(LISTING.len()).any(|at| at == LISTING)
}

fn no_answer(failure: &Failure, url: &str) -> String {
    let error = match failure {
        Failure::Unsigned(error) => return no_credentials(&chain(error)),
        Failure::Transfer(error) => error,
    };
    let reason = chain(error);
    let is_tls = ["InvalidContentType", "corrupt message", "record overflow"];
    if url.starts_with("https:") && is_tls.iter().any(|sign| reason.contains(sign)) {
        return format!("{url} does not speak TLS; write `http://` in `regionendpoint`, or `secure: false`");
    }
    if url.starts_with("http:") && reason.contains("certificate") {
        return format!(
            "{url} leads to an address with TLS; write that one in `regionendpoint`, with `https://` ({reason})"
        );
    }
    if reason.contains("certificate") {
        return format!(
            "the certificate of {url} is not trusted ({reason}); name its authority in `AWS_CA_BUNDLE`"
        );
    }
    match error.kind() {
        HttpErrorKind::Connect => {
            format!("{url} cannot be reached ({reason}); check `regionendpoint` and that the store runs")
        }
        _ => format!(
            "{url} does not answer as a store ({reason}); check the scheme and port of `regionendpoint`"
        ),
    }
}

/// Continues a sentence that begins with the name of the bucket.
fn explain(answer: &Answer, requests: &Requests, bucket: &str, skew: Option<SignedDuration>) -> String {
    let (status, url, region) = (answer.status, &requests.bucket_url, &requests.region);
    let refusal = answers::read::<Refusal>(&answer.body);
    let is_xml = refusal.is_ok();
    let Refusal {
        code,
        message,
        region: named,
    } = refusal.unwrap_or_default();
    let in_head = answer.headers.get("x-amz-bucket-region");
    let in_head = in_head.and_then(|region| region.to_str().ok().map(str::to_owned));
    if let Some(right) = in_head.or(named).filter(|right| right != region) {
        return format!(" is in the region {right}, not in {region}; set `storage.s3.region: {right}`");
    }
    if !is_xml || status.is_success() {
        return format!(
            ": {url} answers {status}, and not as a store of objects; check the scheme, host and port of `regionendpoint`"
        );
    }
    let remedy = match code.as_str() {
        "NoSuchBucket" => return format!(" does not exist at {url}; create it"),
        "SignatureDoesNotMatch" => {
            "check `secretkey`; a proxy in between must pass the Host header unchanged".to_owned()
        }
        // The second one is versitygw's.
        "InvalidAccessKeyId" | "XAdminUserNotFound" => "check `accesskey`".to_owned(),
        "ExpiredToken" | "InvalidToken" => {
            "the token of the session is no longer valid; get a new one".to_owned()
        }
        "RequestTimeTooSkewed" => match skew {
            Some(skew) => format!(
                "the clock of this machine differs from the store's by {}; set it",
                shown(skew)
            ),
            None => "set the clock of this machine".to_owned(),
        },
        "AccessDenied" | "AllAccessDisabled" => format!(
            "these keys may not list the bucket, or it belongs to another account; allow it: {}",
            policy::statement(&["s3:ListBucket"], &policy::bucket(bucket, region))
        ),
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            format!("it is in another region than {region}; set `storage.s3.region`")
        }
        _ => "check the settings of `storage.s3`".to_owned(),
    };
    format!(": the store answers {status} {code} ({message}); {remedy}")
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use async_trait::async_trait;
    use http::{HeaderValue, StatusCode};
    use object_store::{
        ClientOptions, CredentialProvider,
        aws::AwsCredential,
        client::{HttpConnector, HttpError, ReqwestConnector},
    };

    use super::*;

    /// A metadata service that does not answer.
    #[derive(Debug)]
    struct Silent;

    #[async_trait]
    impl CredentialProvider for Silent {
        type Credential = AwsCredential;

        async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
            std::future::pending().await
        }
    }

    fn requests() -> Requests {
        Requests {
            client: ReqwestConnector::default()
                .connect(&ClientOptions::new().with_allow_http(true))
                .unwrap(),
            credentials: Arc::new(Silent),
            region: "us-east-1".to_owned(),
            bucket_url: "http://s/b".to_owned(),
        }
    }

    fn answer(status: StatusCode, code: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: format!("<Error><Code>{code}</Code><Message>m</Message></Error>").into(),
        }
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        let explained = |code: &str| {
            let answer = answer(StatusCode::FORBIDDEN, code);
            explain(&answer, &requests(), "b", Some(SignedDuration::from_secs(-423)))
        };
        assert_eq!(
            explained("NoSuchBucket"),
            " does not exist at http://s/b; create it"
        );
        assert!(explained("SignatureDoesNotMatch").contains("check `secretkey`"));
        assert!(explained("InvalidAccessKeyId").contains("check `accesskey`"));
        assert!(explained("XAdminUserNotFound").contains("check `accesskey`"));
        assert!(explained("RequestTimeTooSkewed").contains("differs from the store's by 7 min 3 s"));
        let denied = explained("AccessDenied");
        assert!(denied.contains("another account"), "{denied}");
        assert!(
            denied.ends_with(r#"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"}"#),
            "{denied}"
        );
    }

    #[test]
    fn the_right_region_is_named() {
        let expected = " is in the region eu-west-1, not in us-east-1; set `storage.s3.region: eu-west-1`";
        let mut in_head = answer(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
        in_head
            .headers
            .insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
        assert_eq!(explain(&in_head, &requests(), "b", None), expected);
        let in_body = Answer {
            body: Bytes::from_static(
                b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
            ),
            ..answer(StatusCode::BAD_REQUEST, "")
        };
        assert_eq!(explain(&in_body, &requests(), "b", None), expected);
    }

    #[test]
    fn a_plain_address_that_leads_to_tls_is_named() {
        let untrusted = HttpError::new(
            HttpErrorKind::Connect,
            io::Error::other("invalid peer certificate: UnknownIssuer"),
        );
        let untrusted = Failure::Transfer(untrusted);
        let plain = no_answer(&untrusted, "http://s/b");
        assert!(
            plain.starts_with("http://s/b leads to an address with TLS; write that one"),
            "{plain}"
        );
        let secure = no_answer(&untrusted, "https://s/b");
        assert!(
            secure.contains("name its authority in `AWS_CA_BUNDLE`"),
            "{secure}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_metadata_service_that_does_not_answer_is_said_within_seconds() {
        let begun = time::Instant::now();
        let reason = check(&requests(), "b").await.unwrap_err();
        assert!(begun.elapsed() <= LONGEST_SEARCH, "{:?}", begun.elapsed());
        assert!(
            reason.contains(
                "there are no credentials (the service that gives them does not answer within 5 s)"
            ),
            "{reason}"
        );
    }
}
