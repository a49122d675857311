//! Blobs as streams: read from a registry, also across broken connections, and checked while they pass.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use wharf_oci::{Descriptor, Digest, Hasher};

use crate::{Client, Error, Result, Target, patience::Patience, wire::Opened};

/// Bytes of a text with an error.
const ERROR_LIMIT: usize = 64 << 10;

/// Bytes to push: read in order, and again from any position when the registry lost some.
pub trait Blob {
    /// Goes on at `position`, in bytes from the start.
    fn seek(&mut self, position: u64);

    /// The next piece, of some hundred KiB at most; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// A blob of a registry, read piece by piece. When the connection breaks, it goes on where it was with a range request.
#[derive(Debug)]
pub struct BlobReader {
    client: Arc<Client>,
    target: Target,
    /// Bytes before the next one.
    position: u64,
    /// Where it ends; `None`: with the blob.
    end: Option<u64>,
    /// Where it ends by the length of the first answer.
    announced: Option<u64>,
    body: Option<Body>,
    /// Pauses since the last byte.
    patience: Patience,
}

#[derive(Debug)]
struct Body {
    opened: Opened,
    /// Bytes to leave out: the registry answers range requests with the whole blob.
    skip: u64,
}

impl BlobReader {
    /// The blob `digest` of `repository`. Nothing is asked for before the first piece is read.
    pub fn new(client: Arc<Client>, repository: &str, digest: &Digest) -> Self {
        Self {
            client,
            target: Target::pull(repository, &format!("blobs/{digest}")),
            position: 0,
            end: None,
            announced: None,
            body: None,
            patience: Patience::default(),
        }
    }

    /// The bytes `range` of that blob. A registry that knows no ranges sends all bytes before them as well.
    pub fn part(client: Arc<Client>, repository: &str, digest: &Digest, range: Range<u64>) -> Self {
        Self {
            position: range.start,
            end: Some(range.end),
            ..Self::new(client, repository, digest)
        }
    }

    /// All bytes of a [part](Self::part), which the caller keeps small; `None`: the registry knows no ranges.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_part(mut self) -> Result<Option<Vec<u8>>> {
        let body = loop {
            match self.open().await {
                Ok(body) => break body,
                Err(error) => self.again(error).await?,
            }
        };
        if body.skip > 0 {
            return Ok(None);
        }
        self.body = Some(body);
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }

    /// Asks for the first bytes now, once.
    ///
    /// # Errors
    /// When the registry does not send the blob.
    pub(crate) async fn start(&mut self) -> Result<()> {
        if !self.is_at_end() {
            self.body = Some(self.open().await?);
        }
        Ok(())
    }

    /// Number of bytes that are still to come; `None`: the registry has not said it.
    pub(crate) fn left(&self) -> Option<u64> {
        Some(self.stop()?.saturating_sub(self.position))
    }

    /// The head of the answer that is being read.
    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        Some(self.body.as_ref()?.opened.response.headers())
    }

    /// Where the bytes end, as far as it is known.
    fn stop(&self) -> Option<u64> {
        [self.end, self.announced].into_iter().flatten().min()
    }

    fn is_at_end(&self) -> bool {
        self.stop().is_some_and(|stop| self.position >= stop)
    }

    async fn open(&mut self) -> Result<Body> {
        let mut headers = HeaderMap::new();
        let last = self.end.map(|end| end.saturating_sub(1).to_string());
        if (self.position > 0 || last.is_some())
            && let Ok(range) =
                HeaderValue::try_from(format!("bytes={}-{}", self.position, last.unwrap_or_default()))
        {
            headers.insert(header::RANGE, range);
        }
        let opened = self.client.open(&self.target, &Method::GET, headers);
        let opened = self.client.wire.limited(&self.target.path, opened).await?;
        let skip = match opened.response.status() {
            StatusCode::OK => self.position,
            StatusCode::PARTIAL_CONTENT if starts_at(opened.response.headers(), self.position) => 0,
            StatusCode::PARTIAL_CONTENT => {
                return Err(Error::not_a_registry(
                    &self.target.path,
                    "it answers with another range than the one that was asked for",
                ));
            }
            status => {
                let refusal = opened.read(ERROR_LIMIT);
                let refusal = self.client.wire.limited(&self.target.path, refusal).await?;
                let answer = refusal.successful(&self.target.path)?;
                let reason = format!("it answers a blob with {status} and {} bytes", answer.body.len());
                return Err(Error::not_a_registry(&self.target.path, &reason));
            }
        };
        let length = opened.response.headers().get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
        if self.announced.is_none() {
            let start = self.position - skip;
            self.announced = length.and_then(|length| start.checked_add(length));
        }
        Ok(Body { opened, skip })
    }

    /// The body has ended, whole or not.
    fn check_end(&self) -> Result<()> {
        let missing = self.left().unwrap_or_default();
        if self.announced.is_none() || missing == 0 {
            return Ok(());
        }
        Err(Error::Interrupted {
            url: self.target.path.clone(),
            reason: format!("{missing} of the bytes did not come that the first answer announced"),
        })
    }

    /// Waits before the next attempt, or gives up with `error`.
    async fn again(&mut self, error: Error) -> Result<()> {
        self.body = None;
        self.client.wire.pause_after(&mut self.patience, error).await
    }
}

impl Blob for BlobReader {
    fn seek(&mut self, position: u64) {
        if position != self.position {
            self.body = None;
            self.position = position;
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.is_at_end() {
                return Ok(None);
            }
            let mut body = match self.body.take() {
                Some(body) => body,
                None => match self.open().await {
                    Ok(body) => body,
                    Err(error) => {
                        self.again(error).await?;
                        continue;
                    }
                },
            };
            match body.opened.chunk().await {
                Ok(None) => match self.check_end() {
                    Ok(()) => return Ok(None),
                    Err(error) => self.again(error).await?,
                },
                Ok(Some(mut chunk)) => {
                    let skipped =
                        usize::try_from(body.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
                    body.skip -= skipped as u64;
                    let mut chunk = chunk.split_off(skipped);
                    // A further answer may have more bytes than the first one.
                    if let Some(left) = self.left() {
                        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    }
                    self.body = Some(body);
                    if chunk.is_empty() {
                        continue;
                    }
                    self.patience = Patience::default();
                    self.position += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Err(error) => self.again(error).await?,
            }
        }
    }
}

/// Whether the answer is a range that begins at `position`: `Content-Range: bytes 7-99/100`.
fn starts_at(headers: &HeaderMap, position: u64) -> bool {
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes ")?.split_once('-'));
    start.is_some_and(|(start, _)| start.trim().parse() == Ok(position))
}

/// A blob that is compared with its descriptor while it passes: the last piece comes only if all of it is right.
///
/// Each byte is hashed once, also when the receiver asks for some of them again.
pub(crate) struct Checked<'a, B> {
    blob: &'a mut B,
    descriptor: &'a Descriptor,
    /// Takes the bytes before `hashed`; `None` once the digest is known to be right.
    hasher: Option<Hasher>,
    hashed: u64,
    position: u64,
}

impl<'a, B: Blob> Checked<'a, B> {
    pub(crate) fn new(blob: &'a mut B, descriptor: &'a Descriptor) -> Self {
        Self {
            blob,
            descriptor,
            hasher: Some(Hasher::new(descriptor.digest.algorithm())),
            hashed: 0,
            position: 0,
        }
    }

    /// Goes on at `position`, or at its start when the bytes before `position` were never read: then they are not the ones
    /// that were checked.
    pub(crate) fn seek(&mut self, position: u64) -> u64 {
        self.position = if position <= self.hashed { position } else { 0 };
        self.blob.seek(self.position);
        self.position
    }

    /// The next piece; `None` at the end. A piece has at most some hundred KiB, which are hashed in less time than it takes
    /// to hand them to another thread and back.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let size = self.descriptor.size;
        if self.position == size && self.hashed == size {
            self.finish()?;
            return Ok(None);
        }
        let Some(chunk) = self.blob.next().await? else {
            return Err(self.wrong_size(self.position));
        };
        let end = self.position + chunk.len() as u64;
        if end > size {
            return Err(self.wrong_size(end));
        }
        if let Some(hasher) = &mut self.hasher
            && end > self.hashed
        {
            let known = usize::try_from(self.hashed - self.position).unwrap_or(chunk.len());
            hasher.update(&chunk[known..]);
            self.hashed = end;
        }
        self.position = end;
        if end == size {
            self.finish()?;
        }
        Ok(Some(chunk))
    }

    fn finish(&mut self) -> Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let actual = hasher.finish();
        if actual == self.descriptor.digest {
            return Ok(());
        }
        Err(Error::Damaged {
            path: self.path(),
            expected: self.descriptor.digest,
            actual,
        })
    }

    fn wrong_size(&self, actual: u64) -> Error {
        Error::WrongSize {
            path: self.path(),
            expected: self.descriptor.size,
            actual,
        }
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.descriptor.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces in memory.
    struct Pieces(Vec<Bytes>, usize);

    impl Blob for Pieces {
        fn seek(&mut self, position: u64) {
            let mut left = position;
            self.1 = 0;
            while left > 0 {
                left -= self.0[self.1].len() as u64;
                self.1 += 1;
            }
        }

        async fn next(&mut self) -> Result<Option<Bytes>> {
            self.1 += 1;
            Ok(self.0.get(self.1 - 1).cloned())
        }
    }

    fn descriptor(content: &[u8], size: u64) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::sha256_of(content),
            size,
            artifact_type: None,
            annotations: None,
            urls: Vec::new(),
            platform: None,
        }
    }

    async fn read(content: &[u8], size: u64) -> Result<Vec<u8>> {
        let mut pieces = Pieces(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")], 0);
        let descriptor = descriptor(content, size);
        let mut checked = Checked::new(&mut pieces, &descriptor);
        let mut all = Vec::new();
        // The receiver lost the second piece once.
        let first = checked.next().await?;
        all.extend(first.into_iter().flatten());
        checked.next().await?;
        checked.seek(3);
        while let Some(piece) = checked.next().await? {
            all.extend(piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn what_passes_has_its_digest_and_its_size() {
        assert_eq!(read(b"abcdef", 6).await.unwrap(), b"abcdef");
        assert!(matches!(read(b"abcdeg", 6).await, Err(Error::Damaged { .. })));
        let wrong = read(b"abcdef", 7).await;
        assert!(matches!(
            wrong,
            Err(Error::WrongSize {
                expected: 7,
                actual: 6,
                ..
            })
        ));
        let wrong = read(b"abcdef", 5).await;
        assert!(matches!(
            wrong,
            Err(Error::WrongSize {
                expected: 5,
                actual: 6,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn an_empty_blob_has_a_digest_too() {
        let mut nothing = Pieces(Vec::new(), 0);
        let (good, bad) = (descriptor(b"", 0), descriptor(b"x", 0));
        assert_eq!(Checked::new(&mut nothing, &good).next().await.unwrap(), None);
        assert!(Checked::new(&mut nothing, &bad).next().await.is_err());
    }

    #[test]
    fn ranges_begin_where_they_say() {
        let starts = |text: &'static str, position| {
            let headers = HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_static(text))]);
            starts_at(&headers, position)
        };
        assert!(starts("bytes 7-99/100", 7) && starts("bytes 7-99/*", 7));
        for bad in ["bytes 0-99/100", "bytes 77-99/100", "bytes */100", "7-99", ""] {
            assert!(!starts(bad, 7), "{bad}");
        }
    }
}
