//! What is wrong with the settings of a bucket, in one sentence with the remedy.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Method, StatusCode, header::DATE};
use object_store::client::HttpErrorKind;
use tokio::time;

use super::{
    answers::{self, Refusal},
    requests::{Failure, Request, Requests},
};

/// Longest time until the first answer of the bucket, with the search for credentials.
const LONGEST: Duration = Duration::from_secs(20);

/// Difference of clocks from which on stores refuse requests is 15 minutes; less is worth a warning.
const WORTH_A_WARNING: Duration = Duration::from_secs(5 * 60);

/// The beginning of a list of objects.
const LISTING: &[u8] = b"<ListBucketResult";

/// What the bucket answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    refusal: Refusal,
    /// Whether the body is that of a store of objects
    is_xml: bool,
    /// Whether the body is a list of objects
    is_listing: bool,
}

/// Lists one key, which needs the name, the region, the keys and the clock to be right.
pub(super) async fn check(requests: &Requests, bucket: &str) -> Result<(), String> {
    let asked = time::timeout(LONGEST, ask(requests));
    let named = format!("`storage.s3.bucket` \"{bucket}\"");
    let url = &requests.bucket_url;
    let Ok(answer) = asked.await else {
        return Err(format!(
            "{named}: no answer from {url} within {} s; check `regionendpoint` and the network",
            LONGEST.as_secs()
        ));
    };
    let answer = answer.map_err(|failure| format!("{named}: {}", no_answer(&failure, url)))?;
    let skew = skew(&answer.headers);
    if answer.status.is_success() && answer.is_listing {
        if let Some(skew) = skew.filter(|skew| *skew > WORTH_A_WARNING) {
            tracing::warn!(
                "the clock of this machine differs from the store's by {skew:?}; set it, or requests will be refused"
            );
        }
        return Ok(());
    }
    Err(format!(
        "{named}{}",
        explain(&answer, url, &requests.region, skew)
    ))
}

async fn ask(requests: &Requests) -> Result<Answer, Failure> {
    let request = Request {
        method: Method::GET,
        key: "",
        query: &[("list-type", "2"), ("max-keys", "1")],
        headers: HeaderMap::new(),
    };
    let (head, body) = requests.once(&request).await?.into_parts();
    let body = body.bytes().await.map_err(Failure::Transfer)?;
    let refusal = answers::read::<Refusal>(&body);
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        is_xml: refusal.is_ok(),
        is_listing: refusal.is_ok() && body.windows(LISTING.len()).any(|at| at == LISTING),
        refusal: refusal.unwrap_or_default(),
    })
}

fn no_answer(failure: &Failure, url: &str) -> String {
    let error = match failure {
        Failure::Unsigned(error) => {
            return format!(
                "there are no credentials ({}); set `accesskey` and `secretkey`, or give the process the variables, the \
                 file or the role of AWS",
                chain(error)
            );
        }
        Failure::Transfer(error) => error,
    };
    let reason = chain(error);
    let is_tls = ["InvalidContentType", "corrupt message", "record overflow"];
    if url.starts_with("https:") && is_tls.iter().any(|sign| reason.contains(sign)) {
        return format!("{url} does not speak TLS; write `http://` in `regionendpoint`, or `secure: false`");
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
fn explain(answer: &Answer, url: &str, region: &str, skew: Option<Duration>) -> String {
    let Answer {
        status,
        headers,
        refusal: Refusal { code, message },
        is_xml,
        ..
    } = answer;
    let right_region = headers
        .get("x-amz-bucket-region")
        .and_then(|region| region.to_str().ok())
        .filter(|right| *right != region);
    if let Some(right) = right_region {
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
        "InvalidAccessKeyId" => "check `accesskey`".to_owned(),
        "ExpiredToken" | "InvalidToken" => {
            "the token of the session is no longer valid; get a new one".to_owned()
        }
        "RequestTimeTooSkewed" => match skew {
            Some(skew) => format!("the clock of this machine differs from the store's by {skew:?}; set it"),
            None => "set the clock of this machine".to_owned(),
        },
        "AccessDenied" | "AllAccessDisabled" => {
            "these keys may not list the bucket; allow s3:ListBucket on it, and s3:GetObject, s3:PutObject, \
             s3:DeleteObject, s3:ListMultipartUploadParts and s3:AbortMultipartUpload below it"
                .to_owned()
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            format!("it is in another region than {region}; set `storage.s3.region`")
        }
        _ => "check the settings of `storage.s3`".to_owned(),
    };
    format!(": the store answers {status} {code} ({message}); {remedy}")
}

/// Difference between this machine's clock and the store's.
fn skew(headers: &HeaderMap) -> Option<Duration> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    let theirs = SystemTime::from(date.timestamp());
    let ours = SystemTime::now();
    let skew = ours.duration_since(theirs);
    let skew = skew.or_else(|_| theirs.duration_since(ours)).ok()?;
    Some(Duration::from_secs(skew.as_secs()))
}

/// An error with all of its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, code: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            refusal: Refusal {
                code: code.to_owned(),
                message: "m".to_owned(),
            },
            is_xml: true,
            is_listing: false,
        }
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        let explained = |code: &str| {
            let answer = answer(StatusCode::FORBIDDEN, code);
            explain(&answer, "http://s/b", "r", Some(Duration::from_secs(423)))
        };
        assert_eq!(
            explained("NoSuchBucket"),
            " does not exist at http://s/b; create it"
        );
        assert!(explained("SignatureDoesNotMatch").contains("check `secretkey`"));
        assert!(explained("InvalidAccessKeyId").contains("check `accesskey`"));
        assert!(explained("RequestTimeTooSkewed").contains("differs from the store's by 423s"));
        assert!(explained("AccessDenied").contains("allow s3:ListBucket"));
    }

    #[test]
    fn the_right_region_is_named() {
        let mut answer = answer(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
        answer
            .headers
            .insert("x-amz-bucket-region", http::HeaderValue::from_static("eu-west-1"));
        assert_eq!(
            explain(&answer, "https://s", "us-east-1", None),
            " is in the region eu-west-1, not in us-east-1; set `storage.s3.region: eu-west-1`"
        );
    }
}
