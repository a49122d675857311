//! One error for all engines: a coarse kind to act on, the detail for the log.

use std::{fmt, io};

use rustix::io::Errno;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on the store failed. Callers match on [`kind`](Self::kind); the log gets the rest.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: Box<str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of errors that a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing is at that key.
    NotFound,
    /// Another request holds that upload.
    Busy,
    /// The condition of an operation does not hold: another request was first.
    Precondition,
    /// The object is larger than the caller's limit.
    TooLarge,
    /// The disk, the quota or the bucket is full.
    NoSpace,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The process lacks the right.
    PermissionDenied,
    /// The stored content is wrong, for example shorter than its size promised.
    Damaged,
    /// Another process uses this store.
    Locked,
    /// The process, or the system, has no descriptor or no memory left for it at the moment.
    Exhausted,
    /// The bucket is out of reach, or its store is too busy: the operation may succeed later.
    Unavailable,
    /// Anything else: an I/O error.
    Other,
}

impl Error {
    /// An error of `kind` while doing what `context` says ("read `docker/…/link`").
    pub fn new(kind: ErrorKind, context: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// An error of `kind`, caused by `source`, while doing what `context` says.
    pub fn with_source(
        kind: ErrorKind,
        context: impl Into<Box<str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            context: context.into(),
            source: Some(source.into()),
        }
    }

    /// An I/O error while doing what `context` says; the kind is derived from it.
    pub fn io(context: impl Into<Box<str>>, source: io::Error) -> Self {
        Self::with_source(ErrorKind::of(&source), context, source)
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it says something of the moment, and nothing of what is stored: the operation may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Exhausted)
    }

    /// Whether nothing was at the key.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

impl ErrorKind {
    /// The kind that an I/O error stands for.
    pub fn of(error: &io::Error) -> Self {
        let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        if Errno::from_io_error(error).is_some_and(|errno| exhausted.contains(&errno)) {
            return Self::Exhausted;
        }
        match error.kind() {
            // A file where a directory should be: nothing can be at that key.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Self::NotFound
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.context)?;
        match &self.source {
            Some(source) => write!(f, "{source}"),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Busy => "held by another request",
            Self::Precondition => "changed by another request",
            Self::TooLarge => "larger than allowed here",
            Self::NoSpace => "no space left",
            Self::Exhausted => "no descriptor or memory left",
            Self::Unavailable => "not available at the moment",
            Self::ReadOnly => "the file system is read-only",
            Self::PermissionDenied => "permission denied",
            Self::Damaged => "damaged",
            Self::Locked => "in use by another process",
            Self::Other => "storage error",
        })
    }
}

/// The text has the cause, so the chain goes on with what caused that: a printer of the chain says everything once.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref()?.source()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_printer_of_the_chain_says_each_cause_once() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::io("read `a`", denied);
        assert_eq!(error.to_string(), "read `a`: permission denied");
        assert!(error.source().is_none());
        let nested = Error::with_source(
            ErrorKind::Other,
            "copy `b`",
            Error::io("read `a`", io::Error::other("bad")),
        );
        assert_eq!(nested.to_string(), "copy `b`: read `a`: bad");
        assert!(nested.source().is_none());
    }
}
