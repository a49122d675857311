//! Starting uploads: in memory first, and in a directory when there are many, or when the process ends.

use std::io;

use jiff::Timestamp;

use super::{
    Engine,
    commit::writing,
    sys::Disk,
    upload::{busy, directory_of},
};
use crate::{Result, layout::UploadKey};

impl<D: Disk> Engine<D> {
    /// Starts an empty upload without a directory; false when it must have one.
    pub(super) fn start_upload(&self, upload: &UploadKey) -> Result<bool> {
        let directory = directory_of(upload);
        let _hold = self.uploads.hold(upload).ok_or_else(|| busy(&directory))?;
        match self.disk.stat(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.uploads.start(upload, Timestamp::now()))
            }
            // What other bytes are there are to go.
            Ok(_) => Ok(false),
            Err(error) => Err(writing(&directory, error)),
        }
    }

    /// Starts an empty upload in its directory. Nothing is synced: an upload that a cut of power takes away is started
    /// again. Blocks.
    pub(super) fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        let directory = directory_of(upload);
        self.confirm_lock()?;
        let _hold = self.uploads.hold(upload).ok_or_else(|| busy(&directory))?;
        self.uploads.take_started(upload);
        self.try_create_upload(&directory, Timestamp::now())
            .map_err(|error| writing(&directory, error))
    }

    /// Gives the uploads that have none their directories, for the next process. Blocks.
    pub(super) fn leave_uploads(&self) -> Result<()> {
        let left = self.uploads.all_started();
        if left.is_empty() {
            return Ok(());
        }
        self.confirm_lock()?;
        for (upload, started) in left {
            let directory = directory_of(&upload);
            self.try_create_upload(&directory, started)
                .map_err(|error| writing(&directory, error))?;
        }
        Ok(())
    }

    pub(super) fn try_create_upload(&self, directory: &str, started: Timestamp) -> io::Result<()> {
        match self.create_directories(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove_recursively(directory)?;
                self.create_directories(directory)?;
            }
            other => other?,
        }
        let started = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.write_new(&format!("{directory}/startedat"), started)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{ErrorKind, Uploads as _, contract::purge, fs::FsStorage, layout};

    fn key(id: &str) -> UploadKey {
        UploadKey {
            repository: "a".parse().unwrap(),
            id: id.parse().unwrap(),
        }
    }

    /// An empty upload is in memory only; when the server is restarted, its client goes on.
    #[tokio::test]
    async fn an_empty_upload_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let storage = FsStorage::open(directory.path()).unwrap();
        let upload = key("u");
        storage.create_upload(&upload).await.unwrap();
        assert!(!directory.path().join(directory_of(&upload)).exists());
        drop(storage);
        let storage = FsStorage::open(directory.path()).unwrap();
        assert_eq!(storage.upload_size(&upload).await.unwrap(), 0);
        let held = storage.open_upload(&upload).await.unwrap();
        held.discard().await.unwrap();
        let error = storage.upload_size(&upload).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    /// Uploads that are only begun take a bounded amount of memory.
    #[tokio::test]
    async fn of_many_empty_uploads_some_are_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let storage = FsStorage::open(directory.path()).unwrap();
        for number in 0..1100 {
            let upload = key(&format!("upload-{number}"));
            storage.create_upload(&upload).await.unwrap();
            assert_eq!(storage.upload_size(&upload).await.unwrap(), 0);
        }
        let uploads = directory
            .path()
            .join(layout::uploads(&key("u").repository).as_str());
        let on_disk = uploads.read_dir().unwrap().count();
        assert_eq!(on_disk, 1100 - 1024);
        let later = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(purge(&storage, later).await.unwrap(), 1100);
    }
}
