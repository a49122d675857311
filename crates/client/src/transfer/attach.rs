//! Attaching files to an image: an artifact with the image as its `subject`.

use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

use bytes::Bytes;
use serde_json::json;
use wharf_oci::{Algorithm, Descriptor, Digest, Hasher, ManifestView, Reference, media_type};

use super::{error::LayoutError, file::Part, model::TransferError};
use crate::{Blob, Client, Result};

/// The annotation with the name of a file.
const TITLE: &str = "org.opencontainers.image.title";

/// The configuration of an artifact, which has none.
const EMPTY: &[u8] = b"{}";

/// Bytes that are hashed at a time.
const PIECE: usize = 256 << 10;

/// What is attached to an image.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Type of the artifact, such as `application/spdx+json`.
    pub artifact_type: String,
    /// Its files, each a blob.
    pub files: Vec<AttachedFile>,
    /// Annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
}

/// A file of an artifact.
#[derive(Debug, Clone)]
pub struct AttachedFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Name of the file in the artifact.
    pub title: String,
    /// Media type of the file.
    pub media_type: String,
}

/// An artifact that was attached.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Its entry in the list of referrers of the image.
    pub descriptor: Descriptor,
    /// Digest of the image.
    pub subject: Digest,
    /// Whether the registry lists it by itself; otherwise the fallback tag does.
    pub is_listed: bool,
}

/// Pushes `artifact` to `repository` as a referrer of the manifest at `subject`. The same files give the same artifact, which is there once.
///
/// # Errors
/// When there is no such image, a file cannot be read, or the registry refuses.
pub async fn attach(
    client: &Client,
    repository: &str,
    subject: &Reference,
    artifact: &Artifact,
) -> std::result::Result<Attached, TransferError> {
    // A file that is missing is found before anything is pushed.
    let mut layers = Vec::new();
    for file in &artifact.files {
        layers.push(described(file).await?);
    }
    let image = client.manifest(repository, subject).await?;
    for (part, descriptor) in &layers {
        let mut reader = part.clone().reader();
        push(client, repository, descriptor, &mut reader).await?;
    }
    let config = Descriptor {
        media_type: media_type::OCI_EMPTY.to_owned(),
        ..blank(Digest::sha256_of(EMPTY), EMPTY.len() as u64)
    };
    push(client, repository, &config, &mut Small::new(EMPTY)).await?;
    let of_subject = Descriptor {
        media_type: media_type::essence(&image.media_type).to_owned(),
        ..blank(image.digest, image.bytes.len() as u64)
    };
    let blobs: Vec<&Descriptor> = layers.iter().map(|(_, descriptor)| descriptor).collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": artifact.artifact_type,
        "config": config,
        "layers": blobs,
        "subject": of_subject,
    });
    if !artifact.annotations.is_empty() {
        manifest["annotations"] = json!(artifact.annotations);
    }
    let bytes = Bytes::from(manifest.to_string());
    let digest = Digest::sha256_of(&bytes);
    let pushed = client
        .push_manifest(
            repository,
            &Reference::Digest(digest),
            media_type::OCI_MANIFEST,
            &bytes,
        )
        .await?;
    let view = ManifestView::parse_stored(&bytes).map_err(|error| TransferError::Manifest {
        digest,
        reason: error.to_string(),
    })?;
    let descriptor = view.descriptor(digest, bytes.len() as u64);
    if !pushed.lists_subject {
        let entries = std::slice::from_ref(&descriptor);
        client.add_to_fallback(repository, &image.digest, entries).await?;
    }
    Ok(Attached {
        descriptor,
        subject: image.digest,
        is_listed: pushed.lists_subject,
    })
}

/// A file with its digest and size.
async fn described(file: &AttachedFile) -> std::result::Result<(Part, Descriptor), TransferError> {
    let part = Part::whole(&file.path)?;
    let part = part.ok_or_else(|| {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such file");
        LayoutError::io(&file.path, &missing)
    })?;
    let reading = part.clone();
    let read = tokio::task::spawn_blocking(move || hashed(&reading)).await;
    let failed = |error: &std::io::Error| LayoutError::io(&file.path, error);
    let read = read.map_err(|error| failed(&std::io::Error::other(error)))?;
    let digest = read.map_err(|error| failed(&error))?;
    let title = BTreeMap::from([(TITLE.to_owned(), file.title.clone())]);
    let descriptor = Descriptor {
        media_type: file.media_type.clone(),
        annotations: Some(title),
        ..blank(digest, part.size)
    };
    Ok((part, descriptor))
}

/// The digest of a file, for a thread that may block.
fn hashed(part: &Part) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut bytes = part.sequential().take(part.size);
    let mut piece = vec![0; PIECE];
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}

fn blank(digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest,
        size,
        artifact_type: None,
        annotations: None,
        urls: Vec::new(),
        platform: None,
    }
}

async fn push<B: Blob>(client: &Client, repository: &str, blob: &Descriptor, bytes: &mut B) -> Result<()> {
    if client.blob_size(repository, &blob.digest).await? != Some(blob.size) {
        client.push_blob(repository, blob, bytes, None, &|_| {}).await?;
    }
    Ok(())
}

/// A blob of a few bytes.
struct Small {
    bytes: Bytes,
    position: usize,
}

impl Small {
    fn new(bytes: &'static [u8]) -> Self {
        Self {
            bytes: Bytes::from_static(bytes),
            position: 0,
        }
    }
}

impl Blob for Small {
    fn seek(&mut self, position: u64) {
        self.position = usize::try_from(position).map_or(self.bytes.len(), |at| at.min(self.bytes.len()));
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let rest = self.bytes.slice(self.position..);
        self.position = self.bytes.len();
        Ok((!rest.is_empty()).then_some(rest))
    }
}
