//! The operations of S3, as requests tell them.

use http::{Method, Request};

/// An operation of S3 that the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    Head,
    Put,
    Copy,
    Delete,
    DeleteMany,
    List,
    ListMultiparts,
    CreateMultipart,
    PutPart,
    CopyPart,
    CompleteMultipart,
    AbortMultipart,
    Other,
}

impl Operation {
    /// How many there are.
    pub(super) const COUNT: usize = 14;

    /// All of them.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Copy,
        Self::Delete,
        Self::DeleteMany,
        Self::List,
        Self::ListMultiparts,
        Self::CreateMultipart,
        Self::PutPart,
        Self::CopyPart,
        Self::CompleteMultipart,
        Self::AbortMultipart,
        Self::Other,
    ];

    /// The operation of a request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers().contains_key("x-amz-copy-source");
        match *request.method() {
            Method::HEAD => Self::Head,
            Method::GET if has("list-type") => Self::List,
            Method::GET if has("uploads") => Self::ListMultiparts,
            Method::GET if query.is_empty() => Self::Get,
            Method::PUT if has("partNumber") && copies => Self::CopyPart,
            Method::PUT if has("partNumber") => Self::PutPart,
            Method::PUT if copies => Self::Copy,
            Method::PUT => Self::Put,
            Method::POST if has("uploads") => Self::CreateMultipart,
            Method::POST if has("uploadId") => Self::CompleteMultipart,
            Method::POST if has("delete") => Self::DeleteMany,
            Method::DELETE if has("uploadId") => Self::AbortMultipart,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }

    /// Its name in the documents of S3.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GetObject",
            Self::Head => "HeadObject",
            Self::Put => "PutObject",
            Self::Copy => "CopyObject",
            Self::Delete => "DeleteObject",
            Self::DeleteMany => "DeleteObjects",
            Self::List => "ListObjectsV2",
            Self::ListMultiparts => "ListMultipartUploads",
            Self::CreateMultipart => "CreateMultipartUpload",
            Self::PutPart => "UploadPart",
            Self::CopyPart => "UploadPartCopy",
            Self::CompleteMultipart => "CompleteMultipartUpload",
            Self::AbortMultipart => "AbortMultipartUpload",
            Self::Other => "Other",
        }
    }

    /// Whether the store copies or puts together what it has before it answers.
    pub(super) fn is_work(self) -> bool {
        matches!(self, Self::Copy | Self::CopyPart | Self::CompleteMultipart)
    }

    /// Whether an answer of status 200 may still say that the operation failed: the store sends its head before the end
    /// of its work.
    pub(super) fn may_fail_late(self) -> bool {
        self.is_work() || self == Self::DeleteMany
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_tell_their_operation() {
        let of = |method: &str, url: &str, copies: bool| {
            let mut request = Request::builder().method(method).uri(url);
            if copies {
                request = request.header("x-amz-copy-source", "b/k");
            }
            Operation::of(&request.body(()).unwrap())
        };
        assert_eq!(of("GET", "http://h/b/k", false), Operation::Get);
        assert_eq!(
            of("GET", "http://h/b/?list-type=2&prefix=a", false),
            Operation::List
        );
        assert_eq!(
            of("GET", "http://h/b/?prefix=a&uploads=", false),
            Operation::ListMultiparts
        );
        assert_eq!(of("PUT", "http://h/b/k", false), Operation::Put);
        assert_eq!(of("PUT", "http://h/b/k", true), Operation::Copy);
        assert_eq!(
            of("PUT", "http://h/b/k?partNumber=1&uploadId=u", false),
            Operation::PutPart
        );
        assert_eq!(
            of("PUT", "http://h/b/k?partNumber=1&uploadId=u", true),
            Operation::CopyPart
        );
        assert_eq!(
            of("POST", "http://h/b/k?uploads=", false),
            Operation::CreateMultipart
        );
        assert_eq!(
            of("POST", "http://h/b/k?uploadId=u", false),
            Operation::CompleteMultipart
        );
        assert_eq!(of("POST", "http://h/b?delete", false), Operation::DeleteMany);
        assert_eq!(
            of("DELETE", "http://h/b/k?uploadId=u", false),
            Operation::AbortMultipart
        );
        assert_eq!(of("DELETE", "http://h/b/k", false), Operation::Delete);
        assert_eq!(of("GET", "http://h/b/?location", false), Operation::Other);
    }

    #[test]
    fn operations_are_numbered_in_order() {
        for (number, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, number, "{operation:?}");
        }
    }
}
