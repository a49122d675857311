//! The operations of a store by name, for the wrappers that speak about them.

use std::fmt;

/// One operation of [`Storage`](crate::Storage), [`Upload`](crate::Upload) or [`Finished`](crate::Finished).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Storage::stat`](crate::Storage::stat)
    Stat,
    /// [`Storage::read`](crate::Storage::read)
    Read,
    /// [`Storage::open`](crate::Storage::open)
    Open,
    /// [`Blob::stream`](crate::Blob::stream)
    Stream,
    /// [`Storage::publish`](crate::Storage::publish), and the links of [`Finished::publish`](crate::Finished::publish)
    Publish,
    /// [`Storage::remove`](crate::Storage::remove)
    Remove,
    /// [`Storage::remove_tree`](crate::Storage::remove_tree)
    RemoveTree,
    /// [`Storage::list`](crate::Storage::list)
    List,
    /// [`Storage::create_upload`](crate::Storage::create_upload)
    CreateUpload,
    /// [`Storage::open_upload`](crate::Storage::open_upload)
    OpenUpload,
    /// [`Storage::upload_size`](crate::Storage::upload_size)
    UploadSize,
    /// [`Storage::purge_uploads`](crate::Storage::purge_uploads)
    PurgeUploads,
    /// [`Upload::write`](crate::Upload::write)
    Write,
    /// [`Upload::suspend`](crate::Upload::suspend)
    Suspend,
    /// [`Upload::finish`](crate::Upload::finish)
    Finish,
    /// [`Finished::publish`](crate::Finished::publish): the blob of an upload at its final key
    PublishBlob,
    /// [`Upload::discard`](crate::Upload::discard) and [`Finished::discard`](crate::Finished::discard)
    Discard,
}

impl Operation {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Stat,
        Self::Read,
        Self::Open,
        Self::Stream,
        Self::Publish,
        Self::Remove,
        Self::RemoveTree,
        Self::List,
        Self::CreateUpload,
        Self::OpenUpload,
        Self::UploadSize,
        Self::PurgeUploads,
        Self::Write,
        Self::Suspend,
        Self::Finish,
        Self::PublishBlob,
        Self::Discard,
    ];

    /// Its name as a label of metrics, `publish_blob`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Open => "open",
            Self::Stream => "stream",
            Self::Publish => "publish",
            Self::Remove => "remove",
            Self::RemoveTree => "remove_tree",
            Self::List => "list",
            Self::CreateUpload => "create_upload",
            Self::OpenUpload => "open_upload",
            Self::UploadSize => "upload_size",
            Self::PurgeUploads => "purge_uploads",
            Self::Write => "write",
            Self::Suspend => "suspend",
            Self::Finish => "finish",
            Self::PublishBlob => "publish_blob",
            Self::Discard => "discard",
        }
    }

    /// Whether it makes the store hold more; on a full disk these fail.
    pub fn needs_space(self) -> bool {
        matches!(
            self,
            Self::Publish
                | Self::CreateUpload
                | Self::Write
                | Self::Suspend
                | Self::Finish
                | Self::PublishBlob
        )
    }

    /// Whether it changes the store; on a read-only disk these fail.
    pub fn changes(self) -> bool {
        self.needs_space()
            || matches!(
                self,
                Self::Remove | Self::RemoveTree | Self::PurgeUploads | Self::Discard
            )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
