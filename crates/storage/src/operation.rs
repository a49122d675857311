//! The operations of a store by name, for the wrappers that speak about them.

use std::fmt;

use crate::Wanted;

/// One operation of [`Objects`](crate::Objects), [`Uploads`](crate::Uploads), [`Upload`](crate::Upload) or
/// [`Finished`](crate::Finished).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Objects::stat`](crate::Objects::stat)
    Stat,
    /// [`Objects::read`](crate::Objects::read) and [`Objects::read_unless`](crate::Objects::read_unless)
    Read,
    /// [`Objects::open`](crate::Objects::open) and [`Objects::open_parts`](crate::Objects::open_parts)
    Open,
    /// [`Blob::stream`](crate::Blob::stream)
    Stream,
    /// [`Objects::publish_all`](crate::Objects::publish_all), and the links of [`Finished::publish`](crate::Finished::publish)
    Publish,
    /// [`Objects::rename`](crate::Objects::rename)
    Rename,
    /// [`Objects::remove`](crate::Objects::remove) and [`Objects::remove_many`](crate::Objects::remove_many)
    Remove,
    /// [`Objects::remove_tree`](crate::Objects::remove_tree) and [`Objects::remove_trees`](crate::Objects::remove_trees)
    RemoveTree,
    /// [`Objects::list`](crate::Objects::list), [`Objects::repositories`](crate::Objects::repositories), and
    /// [`Objects::names_with`](crate::Objects::names_with) that wants one object
    List,
    /// [`Objects::scan`](crate::Objects::scan), and [`Objects::names_with`](crate::Objects::names_with) that wants others besides
    Scan,
    /// [`Objects::location`](crate::Objects::location)
    Location,
    /// [`Uploads::create_upload`](crate::Uploads::create_upload)
    CreateUpload,
    /// [`Uploads::open_upload`](crate::Uploads::open_upload)
    OpenUpload,
    /// [`Uploads::upload_size`](crate::Uploads::upload_size)
    UploadSize,
    /// [`Uploads::list_uploads`](crate::Uploads::list_uploads)
    ListUploads,
    /// [`Uploads::remove_upload`](crate::Uploads::remove_upload)
    RemoveUpload,
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
    /// How many operations there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Stat,
        Self::Read,
        Self::Open,
        Self::Stream,
        Self::Publish,
        Self::Rename,
        Self::Remove,
        Self::RemoveTree,
        Self::List,
        Self::Scan,
        Self::Location,
        Self::CreateUpload,
        Self::OpenUpload,
        Self::UploadSize,
        Self::ListUploads,
        Self::RemoveUpload,
        Self::Write,
        Self::Suspend,
        Self::Finish,
        Self::PublishBlob,
        Self::Discard,
    ];

    /// [`Objects::names_with`](crate::Objects::names_with): a list, or a scan that looks into every name.
    pub(crate) fn of(wanted: &Wanted<'_>) -> Self {
        if wanted.besides.is_empty() {
            Self::List
        } else {
            Self::Scan
        }
    }

    /// The name as a label of metrics, `publish_blob`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Open => "open",
            Self::Stream => "stream",
            Self::Publish => "publish",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::RemoveTree => "remove_tree",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Location => "location",
            Self::CreateUpload => "create_upload",
            Self::OpenUpload => "open_upload",
            Self::UploadSize => "upload_size",
            Self::ListUploads => "list_uploads",
            Self::RemoveUpload => "remove_upload",
            Self::Write => "write",
            Self::Suspend => "suspend",
            Self::Finish => "finish",
            Self::PublishBlob => "publish_blob",
            Self::Discard => "discard",
        }
    }

    /// Whether the operation makes the store hold more; on a full disk these fail.
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

    /// Whether the operation changes the store; on a read-only disk these fail.
    pub fn changes(self) -> bool {
        self.needs_space()
            || matches!(
                self,
                Self::Rename | Self::Remove | Self::RemoveTree | Self::RemoveUpload | Self::Discard
            )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
