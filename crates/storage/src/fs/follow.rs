//! Reading an upload while it is written, from the file that its holder writes.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Engine, blocking, sys::Disk};
use crate::{Error, ErrorKind, Follow, MOST_FOLLOWED, Result};

/// What the holder of an upload tells those that follow it.
pub(super) struct Followed<D: Disk> {
    /// The file; none as long as nothing was written to it.
    file: OnceLock<Arc<D::File>>,
    /// How many bytes of it are there, and stay.
    readable: AtomicU64,
}

impl<D: Disk> Followed<D> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            file: OnceLock::new(),
            readable: AtomicU64::new(0),
        })
    }

    /// The first `readable` bytes of `file` were written, and stay.
    pub(super) fn grows(&self, file: &Arc<D::File>, readable: u64) {
        self.file.get_or_init(|| Arc::clone(file));
        self.readable.store(readable, Ordering::Release);
    }

    /// The file is about to be cut.
    pub(super) fn ends(&self) {
        self.readable.store(0, Ordering::Release);
    }
}

/// One reader of an upload. It has the file open, so it reads the same bytes whatever becomes of the names of the file.
pub(super) struct FsFollow<D: Disk> {
    pub(super) engine: Arc<Engine<D>>,
    pub(super) followed: Arc<Followed<D>>,
}

impl<D: Disk> std::fmt::Debug for FsFollow<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FsFollow")
            .field("readable", &self.readable())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<D: Disk> Follow for FsFollow<D> {
    fn readable(&self) -> u64 {
        self.followed.readable.load(Ordering::Acquire)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end.saturating_sub(range.start);
        let length = usize::try_from(wanted).map_or(MOST_FOLLOWED, |wanted| wanted.min(MOST_FOLLOWED));
        let file = self.followed.file.get().filter(|_| range.end <= self.readable());
        let (Some(file), true) = (file, length > 0) else {
            let context = format!(
                "follow an upload: bytes {}-{} are not there",
                range.start, range.end
            );
            return Err(Error::new(ErrorKind::Other, context));
        };
        let (engine, file) = (Arc::clone(&self.engine), Arc::clone(file));
        let bytes = blocking(move || {
            let mut buffer = engine.pool.take();
            let space = buffer.space();
            let length = length.min(space.len());
            let mut filled = 0;
            while filled < length {
                let position = range.start + filled as u64;
                let read = engine.disk.read_at(&file, &mut space[filled..length], position);
                match read.map_err(|error| Error::io("follow an upload", error))? {
                    // It was cut since.
                    0 => {
                        return Err(Error::new(
                            ErrorKind::Damaged,
                            "follow an upload: its file is shorter than before",
                        ));
                    }
                    count => filled += count,
                }
            }
            Ok(buffer.into_bytes(filled))
        })
        .await?;
        // The holder may have gone back meanwhile, and another one may have written in its place.
        match range.end <= self.readable() {
            true => Ok(bytes),
            false => Err(Error::new(
                ErrorKind::Other,
                "follow an upload: it was taken back meanwhile",
            )),
        }
    }
}
