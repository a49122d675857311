//! Unfinished uploads: listing them, and removing those that were forgotten.

use std::{io, ops::ControlFlow, sync::Arc, time::SystemTime};

use futures_util::stream::poll_fn;
use tokio::sync::mpsc;

use super::{
    Engine,
    sys::{Disk, Kind},
};
use crate::{Error, ErrorKind, ListedUpload, Result, UploadStream, layout};

/// How many uploads are found ahead of the reader.
const AHEAD: usize = 64;

/// All uploads, found by a walk on a blocking thread that ends when the stream is dropped.
pub(super) fn stream<D: Disk>(engine: Arc<Engine<D>>) -> UploadStream {
    let (found, mut listed) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let walked = engine.walk_repositories(layout::repositories().as_str(), "", &mut |upload| match found
            .blocking_send(Ok(upload))
        {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        // One that gets its directory meanwhile may be missing; a request has just touched it.
        let rest = match walked {
            Ok(ControlFlow::Continue(())) => engine.unwritten_uploads().map(Ok).collect(),
            Ok(ControlFlow::Break(())) => Vec::new(),
            Err(error) => vec![Err(Error::io("list uploads", error))],
        };
        for upload in rest {
            // When the reader is gone, the rest is dropped.
            if found.blocking_send(upload).is_err() {
                break;
            }
        }
    });
    Box::pin(poll_fn(move |context| listed.poll_recv(context)))
}

/// When an upload was started and last touched, and how many bytes it has.
struct Life {
    started: Option<SystemTime>,
    touched: SystemTime,
    size: u64,
}

impl<D: Disk> Engine<D> {
    /// Removes an upload that is not held and was not touched since. Blocks.
    pub(super) fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        let directory = directory_of(upload);
        let refused = |kind| Error::new(kind, format!("remove the upload `{directory}`"));
        let failed = |error| Error::io(format!("remove the upload `{directory}`"), error);
        // A name that no request can have needs no hold.
        let _hold = match upload.key() {
            Some(key) => Some(self.uploads.hold(&key).ok_or_else(|| refused(ErrorKind::Busy))?),
            None => None,
        };
        let unwritten = upload
            .key()
            .and_then(|key| Some((self.uploads.started(&key)?, key)));
        if let Some((started, key)) = unwritten {
            if SystemTime::from(started) >= untouched_since {
                return Err(refused(ErrorKind::Precondition));
            }
            self.uploads.take_started(&key);
            return Ok(());
        }
        let life = self.life(&directory).map_err(failed)?;
        let life = life.ok_or_else(|| refused(ErrorKind::NotFound))?;
        if life.touched >= untouched_since {
            return Err(refused(ErrorKind::Precondition));
        }
        self.remove_recursively(&directory).map_err(failed)
    }

    /// The uploads that have no directory yet.
    fn unwritten_uploads(&self) -> impl Iterator<Item = ListedUpload> {
        self.uploads
            .all_started()
            .into_iter()
            .map(|(upload, started)| ListedUpload {
                repository: upload.repository.as_str().into(),
                id: upload.id.to_string().into(),
                started: Some(started.into()),
                touched: started.into(),
                size: 0,
                is_held: self.uploads.is_held(&upload),
                is_remnant: false,
                left: None,
            })
    }

    /// Walks the repositories depth first; in memory is one buffer of names for each level.
    fn walk_repositories(
        &self,
        path: &str,
        repository: &str,
        each: &mut dyn FnMut(ListedUpload) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut result = Ok(ControlFlow::Continue(()));
        let listed = self.disk.read_directory(path, &mut |name, kind| {
            let Ok(name) = std::str::from_utf8(name) else {
                return ControlFlow::Continue(());
            };
            let below = format!("{path}/{name}");
            if name == "_uploads" {
                // One directory that cannot be read must not hide all other uploads.
                result = self.list_repository(&below, repository, each).or_else(|error| {
                    tracing::warn!(repository, %error, "could not list the uploads of a repository");
                    Ok(ControlFlow::Continue(()))
                });
            } else if !name.starts_with('_') && matches!(kind, Kind::Directory | Kind::Unknown) {
                let separator = if repository.is_empty() { "" } else { "/" };
                let repository = format!("{repository}{separator}{name}");
                result = self
                    .walk_repositories(&below, &repository, each)
                    .or_else(|error| {
                        tracing::warn!(repository, %error, "could not look for uploads in a repository");
                        Ok(ControlFlow::Continue(()))
                    });
            }
            match result {
                Ok(flow) => flow,
                Err(_) => ControlFlow::Break(()),
            }
        });
        match listed {
            Err(error) if ErrorKind::of(&error) != ErrorKind::NotFound => Err(error),
            _ => result,
        }
    }

    /// Lists one directory of uploads. All names are read first: the reader may remove what it gets.
    fn list_repository(
        &self,
        path: &str,
        repository: &str,
        each: &mut dyn FnMut(ListedUpload) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut ids = Vec::new();
        self.disk.read_directory(path, &mut |name, _| {
            ids.extend(std::str::from_utf8(name).map(Box::<str>::from));
            ControlFlow::Continue(())
        })?;
        for id in ids {
            let Some(Life {
                started,
                touched,
                size,
            }) = self.life(&format!("{path}/{id}"))?
            else {
                continue;
            };
            let mut upload = ListedUpload {
                repository: repository.into(),
                id,
                started,
                touched,
                size,
                is_held: false,
                is_remnant: false,
                left: None,
            };
            upload.is_held = upload.key().is_some_and(|key| self.uploads.is_held(&key));
            if each(upload).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// `None` when the upload is gone.
    fn life(&self, directory: &str) -> io::Result<Option<Life>> {
        let stat = |path: &str| match self.disk.stat(path) {
            Ok(found) => Ok(Some((found.size, SystemTime::from(found.modified)))),
            Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let Some((_, made)) = stat(directory)? else {
            return Ok(None);
        };
        let data = stat(&format!("{directory}/data"))?;
        let started = stat(&format!("{directory}/startedat"))?.map(|(_, modified)| modified);
        let written = data.map(|(_, modified)| modified);
        Ok(Some(Life {
            started,
            touched: made.max(written.unwrap_or(made)).max(started.unwrap_or(made)),
            size: data.map_or(0, |(size, _)| size),
        }))
    }
}

fn directory_of(upload: &ListedUpload) -> String {
    let repositories = layout::repositories();
    format!("{repositories}/{}/_uploads/{}", upload.repository, upload.id)
}
