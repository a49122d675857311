//! Conversion of the errors of `object_store`.

use std::{error::Error as _, io};

use object_store::client::HttpError;

use super::trouble::Trouble;
use crate::{Error, ErrorKind};

/// The error of an operation on the store, while doing what `context` says.
pub(super) fn failed(context: impl Into<Box<str>>, error: object_store::Error) -> Error {
    Error::with_source(kind_of(&error), context, error)
}

/// Whether a put was refused because another request had written that object.
pub(super) fn is_conflict(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }
    )
}

/// Whether the store cannot do conditional puts at all.
pub(super) fn is_unsupported(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    )
}

fn kind_of(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        _ if is_conflict(error) => ErrorKind::Precondition,
        _ => kind_of_cause(error),
    }
}

/// A store that is another server has the failure of the request somewhere below, a store on a file system the I/O error.
fn kind_of_cause(error: &object_store::Error) -> ErrorKind {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            let trouble = error.source().and_then(|cause| cause.downcast_ref());
            return match trouble {
                Some(Trouble::Denied(_)) => ErrorKind::PermissionDenied,
                Some(Trouble::Unavailable(_)) | None => ErrorKind::Unavailable,
            };
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return ErrorKind::of(error);
        }
        cause = error.source();
    }
    ErrorKind::Other
}
