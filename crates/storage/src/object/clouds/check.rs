//! What is wrong with the settings of a bucket of a cloud, in one sentence with the remedy.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, header::DATE};
use jiff::SignedDuration;
use object_store::client::HttpErrorKind;
use tokio::time;

use super::requests::{Answer, Failure, Refusal, Request, Requests};
use crate::object::attempt::chain;

/// Longest time until the bucket answers. A machine without a metadata service may have an address for it that does not.
const LONGEST: Duration = Duration::from_secs(20);

/// From here on stores refuse requests.
const LONGEST_SKEW: Duration = Duration::from_secs(15 * 60);

/// Less than what stores refuse, and worth a warning.
const WORTH_A_WARNING: Duration = Duration::from_secs(4 * 60 + 30);

/// A wrong key of Azure, and the remedy.
const NOT_ACCEPTED: (&str, &str) = (
    "the credentials are not accepted",
    "check `accountname` and `accountkey`, and the clock of this machine",
);

/// What operators know the bucket by.
#[derive(Debug)]
pub(super) struct Names {
    /// The key of the configuration and its value
    pub(super) bucket: String,
    /// What to check when the store cannot be reached
    pub(super) endpoint: &'static str,
    /// URL of the bucket
    pub(super) url: String,
}

/// Lists one key of a bucket of Google.
pub(super) async fn google(requests: &Requests, names: &Names) -> Result<Option<SignedDuration>, String> {
    let query = [("list-type", "2"), ("max-keys", "1")];
    let answer = ask(requests, names, &query).await?;
    conclude(&answer, names, "<ListBucketResult", |code, _| match code {
        "NoSuchBucket" => Some(("does not exist", "create it")),
        "AccessDenied" => Some((
            "these credentials may not list its objects",
            "give the account the role `roles/storage.objectAdmin` on it",
        )),
        "AuthenticationRequired" | "InvalidSecurity" | "ExpiredToken" => Some((
            "the credentials are not accepted",
            "check `keyfile` or `credentials`",
        )),
        "UserProjectMissing" => Some((
            "it is a bucket whose reader pays",
            "switch that off, because this server sends no project",
        )),
        _ => None,
    })
}

/// Lists one key of a container of Azure, and asks what kind of account it is in.
pub(super) async fn azure(requests: &Requests, names: &Names) -> Result<Option<SignedDuration>, String> {
    let query = [("restype", "container"), ("comp", "list"), ("maxresults", "1")];
    let answer = ask(requests, names, &query).await?;
    let skew = conclude(
        &answer,
        names,
        "<EnumerationResults",
        |code, message| match code {
            "ContainerNotFound" => Some(("does not exist", "create it")),
            "ContainerBeingDeleted" => Some(("is being deleted", "wait, and create it again")),
            // The second one is that of an emulator.
            "AuthenticationFailed" => Some(NOT_ACCEPTED),
            "AuthorizationFailure" if message.starts_with("Server failed to authenticate") => {
                Some(NOT_ACCEPTED)
            }
            "InvalidAuthenticationInfo" => Some(("the token is not accepted", "check `credentials`")),
            "AuthorizationPermissionMismatch" | "AuthorizationFailure" => Some((
                "these credentials may not list its blobs, or the firewall of the account does not let this machine in",
                "give the identity the role `Storage Blob Data Contributor`, and the machine a way in",
            )),
            "KeyBasedAuthenticationNotPermitted" => Some((
                "the account takes no keys",
                "use `credentials` with `type: client_secret` or `default_credentials`",
            )),
            "AccountIsDisabled" => Some(("the account is disabled", "enable it")),
            _ => None,
        },
    )?;
    let query = [("restype", "account"), ("comp", "properties")];
    // Credentials that may not ask this may still do all else.
    let account = ask(requests, names, &query).await;
    let is_hierarchical = account.is_ok_and(|answer| {
        let header = answer.headers.get("x-ms-is-hns-enabled");
        answer.status.is_success() && header.is_some_and(|value| value == "true")
    });
    if is_hierarchical {
        return Err(format!(
            "{}: the account has a hierarchical namespace, which sorts names in another way than lists of a registry need; use an \
             account without",
            names.bucket
        ));
    }
    Ok(skew)
}

async fn ask(requests: &Requests, names: &Names, query: &[(&str, &str)]) -> Result<Answer, String> {
    let request = Request {
        method: Method::GET,
        key: "",
        query,
        headers: HeaderMap::new(),
    };
    let Names { bucket, url, .. } = names;
    match time::timeout(LONGEST, requests.once(&request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) => Err(format!("{bucket}: {}", no_answer(&failure, names))),
        Err(_elapsed) => Err(format!(
            "{bucket}: no answer from {url}, or from the service that gives credentials, within {} s; check {} and the \
             credentials",
            LONGEST.as_secs(),
            names.endpoint
        )),
    }
}

fn no_answer(failure: &Failure, names: &Names) -> String {
    let url = &names.url;
    let error = match failure {
        Failure::NoCredentials(error) => {
            return format!(
                "there are no credentials ({}); configure them, or give this machine an identity",
                chain(error)
            );
        }
        Failure::Unmade(error) => return format!("a setting cannot be used ({})", chain(error)),
        Failure::Transfer(error) => error,
    };
    let reason = chain(error);
    if reason.contains("certificate") {
        return format!("the certificate of {url} is not trusted ({reason})");
    }
    match error.kind() {
        HttpErrorKind::Connect => format!("{url} cannot be reached ({reason}); check {}", names.endpoint),
        _ => format!(
            "{url} does not answer as a store ({reason}); check {}",
            names.endpoint
        ),
    }
}

/// Judges the answer to a list: its body must begin with `listing`. Returns how far this machine's clock is ahead. `known` has the fault and the remedy of a code.
fn conclude(
    answer: &Answer,
    names: &Names,
    listing: &str,
    known: impl Fn(&str, &str) -> Option<(&'static str, &'static str)>,
) -> Result<Option<SignedDuration>, String> {
    let Names {
        bucket,
        url,
        endpoint,
    } = names;
    let skew = skew(&answer.headers);
    if let Some(skew) = skew.filter(|skew| skew.unsigned_abs() >= LONGEST_SKEW) {
        return Err(format!(
            "{bucket}: the clock of this machine differs from the store's by {} min; set it, because stores refuse what is signed \
             so early or late",
            skew.unsigned_abs().as_secs() / 60
        ));
    }
    let is_listing = answer
        .body
        .windows(listing.len())
        .any(|at| at == listing.as_bytes());
    if answer.status.is_success() && is_listing {
        if let Some(skew) = skew.filter(|skew| skew.unsigned_abs() >= WORTH_A_WARNING) {
            tracing::warn!(
                "the clock of this machine differs from the store's by {} s; set it, or requests will be refused",
                skew.unsigned_abs().as_secs()
            );
        }
        return Ok(skew);
    }
    let status = answer.status;
    let Refusal { code, message } = answer.refusal();
    if code.is_empty() {
        return Err(format!(
            "{bucket}: {url} answers {status}, and not as a store of objects; check {endpoint}"
        ));
    }
    Err(match known(&code, &message) {
        Some((fault @ ("does not exist" | "is being deleted"), remedy)) => {
            format!("{bucket} {fault} at {url}; {remedy}")
        }
        Some((fault, remedy)) => {
            format!("{bucket}: {fault}; {remedy} (the store answers {status} {code}: {message})")
        }
        None => format!("{bucket}: the store answers {status} {code}: {message}; check the settings"),
    })
}

/// How far this machine's clock is ahead of the one that an answer was dated by.
fn skew(headers: &HeaderMap) -> Option<SignedDuration> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let ours = jiff::Timestamp::try_from(SystemTime::now()).ok()?;
    Some(ours.duration_since(theirs))
}
