//! What a store needs to know of an object's state in order to replace that state and no other.

use std::{sync::Arc, time::SystemTime};

/// The state of one object or directory at one moment, as its store names it.
///
/// Equal versions of one key mean equal content. [`Condition::Matches`](crate::Condition::Matches) takes a version
/// back to the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(Mark);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Mark {
    File(FileMark),
    Object(Arc<ObjectMark>),
}

/// The state of a file: inode, size, time of the last change of its content, time of its last change at all.
pub(crate) type FileMark = [u64; 4];

/// The state of an object in a bucket.
///
/// Size and time are part of it because on S3 an entity tag is an MD5, of which two contents could be made to agree.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectMark {
    /// The strong entity tag, as the store wrote it
    pub(crate) e_tag: String,
    /// The number of the version, where the store keeps several of one key
    pub(crate) version: Option<String>,
    /// Size in bytes
    pub(crate) size: u64,
    /// When the object was written
    pub(crate) modified: SystemTime,
}

impl Version {
    pub(crate) fn file(mark: FileMark) -> Self {
        Self(Mark::File(mark))
    }

    pub(crate) fn object(mark: ObjectMark) -> Self {
        Self(Mark::Object(Arc::new(mark)))
    }

    /// `None` for a version that a bucket gave.
    pub(crate) fn as_file(&self) -> Option<FileMark> {
        match self.0 {
            Mark::File(mark) => Some(mark),
            Mark::Object(_) => None,
        }
    }

    /// `None` for a version that a file system gave.
    pub(crate) fn as_object(&self) -> Option<&ObjectMark> {
        match &self.0 {
            Mark::File(_) => None,
            Mark::Object(mark) => Some(mark),
        }
    }
}
