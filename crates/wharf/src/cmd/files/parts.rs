//! Layers of which a part is enough: those with a table of contents (eStargz), at registries that answer range requests.

use std::{
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use wharf_client::{BlobReader, Client};
use wharf_layers::contents::{self, Contents, Piece};
use wharf_oci::{Descriptor, Digest};

use super::layer::{Hashed, pipe, wrong};

/// A layer that is read by parts.
pub(super) struct Parts {
    client: Arc<Client>,
    repository: String,
    layer: Digest,
    pub(super) contents: Contents,
}

impl Parts {
    /// The layer, if the manifest has the digest of its table of contents and the registry gives parts of blobs; `None`: all of it has to be
    /// read, also where the table cannot be used.
    ///
    /// # Errors
    ///
    /// When the registry does not answer, or sends other bytes than those of the digest.
    pub(super) async fn of(
        client: &Arc<Client>,
        repository: &str,
        layer: &Descriptor,
    ) -> anyhow::Result<Option<Self>> {
        let annotations = layer.annotations.as_ref();
        let digest =
            annotations.and_then(|annotations| annotations.get(contents::TABLE_DIGEST)?.parse().ok());
        let (Some(digest), Some(end)) = (digest, layer.size.checked_sub(contents::FOOTER)) else {
            return Ok(None);
        };
        let part = async |range: Range<u64>| {
            let part = BlobReader::part(Arc::clone(client), repository, &layer.digest, range);
            part.read_part()
                .await
                .with_context(|| format!("cannot read a part of the layer `{}`", layer.digest))
        };
        let Some(footer) = part(end..layer.size).await? else {
            return Ok(None);
        };
        let begin = contents::begin_of_table(&footer);
        let Some(begin) = begin.filter(|begin| *begin < end && end - begin <= contents::MOST_BYTES) else {
            return Ok(None);
        };
        let Some(stored) = part(begin..end).await? else {
            return Ok(None);
        };
        let read = tokio::task::spawn_blocking(move || read_table(&stored, begin, &digest));
        let contents = read
            .await
            .map_err(|_| anyhow!("reading a table of contents did not end"))?;
        let contents = contents.with_context(|| format!("the layer `{}`", layer.digest))?;
        Ok(contents.map(|contents| Self {
            client: Arc::clone(client),
            repository: repository.to_owned(),
            layer: layer.digest,
            contents,
        }))
    }

    /// Prints the file at `path`, piece by piece, each of which is compared with its digest in the table. `Ok(false)`: the table does not
    /// say where it is.
    ///
    /// # Errors
    ///
    /// When its bytes do not come, are not those of the table, or cannot be printed.
    pub(super) async fn print(&self, path: &str, size: u64) -> anyhow::Result<bool> {
        let Some(pieces) = self.contents.pieces(path, size) else {
            return Ok(false);
        };
        let digests: Result<Vec<Digest>, _> = pieces.iter().map(|piece| piece.digest.parse()).collect();
        let Ok(digests) = digests else {
            return Ok(false);
        };
        for (piece, digest) in pieces.iter().zip(digests) {
            let blob = BlobReader::part(
                Arc::clone(&self.client),
                &self.repository,
                &self.layer,
                piece.stored.clone(),
            );
            let piece = piece.clone();
            let printed = pipe(blob, move |bytes| print_piece(bytes, &piece, &digest)).await;
            if !printed.with_context(|| format!("the layer `{}`", self.layer))? {
                break;
            }
        }
        Ok(true)
    }
}

/// The table of contents in the bytes of a layer; `None`: it cannot be used. Blocks.
fn read_table(stored: &[u8], begin: u64, digest: &Digest) -> anyhow::Result<Option<Contents>> {
    let Ok(text) = contents::table(stored) else {
        return Ok(None);
    };
    let actual = Digest::of(digest.algorithm(), &text);
    if actual != *digest {
        bail!(
            "its table of contents has the digest `{actual}`, and should have `{digest}`: the registry has damaged bytes, or the annotation of the layer is wrong"
        );
    }
    Ok(Contents::read(&text, begin).ok())
}

/// Prints a piece of a file. Returns whether the reader of the output takes more. Blocks.
fn print_piece(bytes: &mut dyn Read, piece: &Piece, digest: &Digest) -> wharf_layers::Result<bool> {
    let mut unpacked = contents::unpacked(bytes);
    io::copy(&mut unpacked.by_ref().take(piece.skipped), &mut io::sink())?;
    let mut hashed = Hashed::new(unpacked.take(piece.size), digest.algorithm());
    match io::copy(&mut hashed, &mut io::stdout().lock()) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let (actual, count) = hashed.finish();
    match actual == *digest && count == piece.size {
        true => Ok(true),
        false => Err(wrong(format!(
            "{count} bytes of the file have the digest `{actual}`, and should be {} with `{digest}`: the registry has damaged bytes; nothing that was printed can be trusted",
            piece.size
        ))),
    }
}
