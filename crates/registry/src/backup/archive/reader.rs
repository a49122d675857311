//! Reading of a tar, compressed or not, on a thread of its own.

use std::{
    io::{self, BufReader, Cursor, Read},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::super::error::{Error, Result};

/// Opens a file again, at its beginning.
pub type OpenFile = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// The most bytes of a piece of an entry.
const PIECE: usize = 256 << 10;
/// How many pieces are read ahead.
const AHEAD: usize = 4;

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A regular file of a tar.
#[derive(Debug, Clone)]
pub(in super::super) struct Entry {
    /// Its path as it stands in the tar; what is no text has other characters there.
    pub(in super::super) path: String,
    pub(in super::super) size: u64,
    pub(in super::super) modified: SystemTime,
    /// Whether it is a link, hard or symbolic, and has no bytes of its own
    pub(in super::super) is_link: bool,
}

enum Event {
    Entry(Entry),
    Piece(Bytes),
    Failed(io::Error),
}

/// The entries of a tar, one after the other.
pub(in super::super) struct Reader {
    events: mpsc::Receiver<Event>,
    /// The entry that came before the one before was read to its end.
    next: Option<Event>,
    /// The path of the entry that is being read, for errors
    at: String,
}

impl Reader {
    /// Reads the file from its beginning. Only the bytes of entries that are `wanted` are passed on.
    pub(in super::super) fn open(file: &OpenFile, wanted: impl Fn(&str) -> bool + Send + 'static) -> Self {
        let (sender, events) = mpsc::channel(AHEAD);
        let file = OpenFile::clone(file);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&file, &wanted, &sender) {
                // A reader that has ended needs no error.
                _ = sender.blocking_send(Event::Failed(error));
            }
        });
        Self {
            events,
            next: None,
            at: String::new(),
        }
    }

    /// The next entry. What was not read of the one before is passed over.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any further.
    pub(in super::super) async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let event = match self.next.take() {
                Some(event) => Some(event),
                None => self.events.recv().await,
            };
            match event {
                None => return Ok(None),
                Some(Event::Piece(_)) => {}
                Some(Event::Entry(entry)) => {
                    self.at.clone_from(&entry.path);
                    return Ok(Some(entry));
                }
                Some(Event::Failed(error)) => return Err(self.failed(error)),
            }
        }
    }

    /// The bytes of the entry that came last.
    pub(in super::super) fn pieces(&mut self) -> Pieces<'_> {
        Pieces(self)
    }

    /// All bytes of the entry that came last.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any further, or there are more than `limit` of them.
    pub(in super::super) async fn bytes(&mut self, limit: u64) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.pieces().next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > limit {
                return Err(Error::refused(format!(
                    "`{}` in the file is larger than {limit} bytes",
                    self.at
                )));
            }
        }
        Ok(bytes.freeze())
    }

    fn failed(&self, error: io::Error) -> Error {
        let place = match self.at.as_str() {
            "" => "at its beginning".to_owned(),
            at => format!("behind the beginning of `{at}`"),
        };
        Error::File {
            what: format!(
                "the file cannot be read {place}: it was cut short, or is damaged there; use another backup"
            ),
            error,
        }
    }
}

/// The bytes of an entry.
pub(in super::super) struct Pieces<'a>(&'a mut Reader);

impl Stream for Pieces<'_> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = &mut *self.0;
        if reader.next.is_some() {
            return Poll::Ready(None);
        }
        match reader.events.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Event::Piece(piece))) => Poll::Ready(Some(Ok(piece))),
            Poll::Ready(Some(Event::Failed(error))) => Poll::Ready(Some(Err(reader.failed(error)))),
            Poll::Ready(Some(event)) => {
                reader.next = Some(event);
                Poll::Ready(None)
            }
        }
    }
}

/// Reads the whole file. Blocks.
fn read(file: &OpenFile, wanted: &dyn Fn(&str) -> bool, events: &mpsc::Sender<Event>) -> io::Result<()> {
    let mut tar = tar::Archive::new(decompressed(file()?)?);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let is_link = kind.is_symlink() || kind.is_hard_link();
        if !is_link
            && !matches!(
                kind,
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse
            )
        {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_wanted = !is_link && wanted(&path);
        let modified = modified(&mut entry);
        let size = entry.size();
        let begun = Event::Entry(Entry {
            path,
            size,
            modified,
            is_link,
        });
        if events.blocking_send(begun).is_err() {
            return Ok(());
        }
        let mut left = if is_wanted { size } else { 0 };
        while left > 0 {
            let mut piece = BytesMut::zeroed(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
            entry.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            if events.blocking_send(Event::Piece(piece.freeze())).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// When an entry was modified: a tar may have fractions of the second.
fn modified(entry: &mut tar::Entry<'_, impl Read>) -> SystemTime {
    let seconds = entry.header().mtime().unwrap_or_default();
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let Ok(Some(extensions)) = entry.pax_extensions() else {
        return whole;
    };
    let precise = extensions.flatten().find_map(|extension| match extension.key() {
        Ok("mtime") => extension.value().ok()?.parse::<f64>().ok(),
        _ => None,
    });
    match precise.map(Duration::try_from_secs_f64) {
        Some(Ok(since)) => SystemTime::UNIX_EPOCH + since,
        _ => whole,
    }
}

/// The file without its compression, which its first bytes tell.
fn decompressed(mut file: Box<dyn Read + Send>) -> io::Result<Box<dyn Read>> {
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    let is_zstd = magic.starts_with(ZSTD);
    let is_gzip = magic.starts_with(GZIP);
    let whole = BufReader::with_capacity(PIECE, Cursor::new(magic).chain(file));
    Ok(match (is_zstd, is_gzip) {
        (true, _) => Box::new(zstd::Decoder::with_buffer(whole)?),
        (_, true) => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(whole))),
        _ => Box::new(whole),
    })
}
