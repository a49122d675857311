//! What an answer of a store means, and whether the request is to be repeated.

use http::{
    StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest};

use super::{
    answers::{self, Refusal},
    attempt::Answer,
    operation::Operation,
};
use crate::object::attempt::chain;

/// What to do about an answer, or about none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is for the caller.
    Answered,
    /// The store, or the way to it, has trouble: the same request may succeed.
    Repeat,
    /// The request was signed too long ago, or the credentials have changed.
    Renew,
    /// The object is missing, or its bucket is.
    Absent,
    /// The bucket is missing.
    NoBucket,
}

impl Verdict {
    /// The verdict on the outcome of `request`.
    pub(super) fn on(
        operation: Operation,
        request: &HttpRequest,
        outcome: &Result<Answer, HttpError>,
    ) -> Self {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) if error.kind() == HttpErrorKind::Decode => return Self::Answered,
            Err(_) => return Self::Repeat,
        };
        let status = answer.status();
        if status.is_success() {
            let failed = operation.may_fail_late() && !refusal(answer).code.is_empty();
            return if failed { Self::Repeat } else { Self::Answered };
        }
        let code = refusal(answer).code;
        if code == "NoSuchBucket" {
            Self::NoBucket
        } else if is_of_credentials(&code) || operation == Operation::Head && says_no(status) {
            Self::Renew
        } else if has_trouble(status, &code) || is_at_work(operation, request, status) {
            Self::Repeat
        } else if status != StatusCode::NOT_FOUND || names_the_missing(&code) {
            Self::Answered
        } else if operation == Operation::List {
            Self::NoBucket
        } else {
            Self::Absent
        }
    }
}

/// Why the store refuses, as far as it says so.
pub(super) fn refusal(answer: &Answer) -> Refusal {
    answers::read(answer.text()).unwrap_or_default()
}

/// Whether an answer shows that the bucket is there.
pub(super) fn shows_the_bucket(answer: &Answer) -> bool {
    answer.status().is_success()
        || answer.status() == StatusCode::NOT_FOUND && names_the_missing(&refusal(answer).code)
}

/// The outcome of an attempt in a few words.
pub(super) fn described(outcome: &Result<Answer, HttpError>) -> String {
    match outcome {
        Ok(answer) => {
            let Refusal { code, message, .. } = refusal(answer);
            let text = format!("the store answers {} {code}: {message}", answer.status());
            text.trim_end_matches([':', ' ']).to_owned()
        }
        Err(error) => chain(error),
    }
}

/// Whether the same request may succeed a little later.
pub(super) fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// Whether the store, or a proxy before it, has trouble of its own.
fn has_trouble(status: StatusCode, code: &str) -> bool {
    let codes = [
        "SlowDown",
        "RequestTimeout",
        "IncompleteBody",
        "OperationAborted",
        "ConditionalRequestConflict",
    ];
    status == StatusCode::REQUEST_TIMEOUT || codes.contains(&code) || is_busy(status)
}

/// Whether the store is at work on the same key: some answer so whatever the condition, also to a put without one.
fn is_at_work(operation: Operation, request: &HttpRequest, status: StatusCode) -> bool {
    let is_conditional = [IF_MATCH, IF_NONE_MATCH]
        .iter()
        .any(|name| request.headers().contains_key(name));
    status == StatusCode::CONFLICT && operation == Operation::Put && !is_conditional
}

/// Whether the status is one that goes with codes of credentials. The answer to `HEAD` has no body that says the code.
fn says_no(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
}

fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
    )
}

/// Whether it is an object or a multipart upload that is missing, and not the bucket.
fn names_the_missing(code: &str) -> bool {
    matches!(code, "NoSuchKey" | "NoSuchUpload" | "NoSuchVersion")
}

#[cfg(test)]
mod tests {
    use http::Response;
    use object_store::client::HttpRequestBody;

    use super::*;
    use crate::object::s3::attempt::Content;

    fn verdict(operation: Operation, status: u16, code: &str) -> Verdict {
        let request = http::Request::new(HttpRequestBody::empty());
        let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        let body = match code {
            "" => String::new(),
            code => format!("<Error><Code>{code}</Code><Message>m</Message></Error>"),
        };
        let body = Content::Whole(body.into());
        Verdict::on(operation, &request, &Ok(Answer { head, body }))
    }

    #[test]
    fn trouble_of_the_store_is_repeated_and_an_answer_is_not() {
        for (status, code) in [
            (500, "InternalError"),
            (502, ""),
            (503, "SlowDown"),
            (429, ""),
            (400, "RequestTimeout"),
        ] {
            assert_eq!(
                verdict(Operation::Put, status, code),
                Verdict::Repeat,
                "{status} {code}"
            );
        }
        for (status, code) in [
            (200, ""),
            (403, "AccessDenied"),
            (412, "PreconditionFailed"),
            (501, "NotImplemented"),
            (304, ""),
        ] {
            assert_eq!(
                verdict(Operation::Get, status, code),
                Verdict::Answered,
                "{status} {code}"
            );
        }
        assert_eq!(verdict(Operation::Put, 409, ""), Verdict::Repeat);
        assert_eq!(verdict(Operation::CompleteMultipart, 409, ""), Verdict::Answered);
        assert_eq!(
            verdict(Operation::Get, 403, "RequestTimeTooSkewed"),
            Verdict::Renew
        );
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        assert_eq!(verdict(Operation::Get, 404, "NoSuchKey"), Verdict::Answered);
        assert_eq!(verdict(Operation::Get, 404, "NoSuchBucket"), Verdict::NoBucket);
        assert_eq!(verdict(Operation::List, 404, ""), Verdict::NoBucket);
        assert_eq!(verdict(Operation::Head, 404, ""), Verdict::Absent);
        assert_eq!(
            verdict(Operation::Get, 404, ""),
            Verdict::Absent,
            "not in the words of a store"
        );
    }

    #[test]
    fn work_of_the_store_may_fail_after_status_200() {
        assert_eq!(verdict(Operation::Copy, 200, "InternalError"), Verdict::Repeat);
        assert_eq!(
            verdict(Operation::CompleteMultipart, 200, "SlowDown"),
            Verdict::Repeat
        );
        assert_eq!(verdict(Operation::Put, 200, ""), Verdict::Answered);
    }
}
