//! Writing images to files: an OCI image layout as a directory or a tar, with what `docker load` needs beside it.
//!
//! A tar is written under another name, and gets its own when it is whole. Sizes are known before the bytes come, so each blob
//! has its place in the tar at once, and several are written beside one another. A directory gets its blobs one by one, each
//! under its digest only when it is whole, and its `index.json` last: another run goes on where one stopped.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wharf_oci::{Descriptor, Digest, Tag, media_type};

use super::{
    error::LayoutError,
    graph::Node,
    layout::{FULL_NAME, LEFT_OUT, REF_NAME, blob_path},
    model::TransferError,
};
use crate::stream::{Blob, Checked};

/// Bytes of a block of a tar.
const BLOCK: u64 = 512;
/// Content of the file `oci-layout`.
const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An image layout as a tar.
    Oci,
    /// An image layout as a directory.
    OciDirectory,
    /// A tar as `docker save` writes it, which is an image layout as well.
    DockerArchive,
}

/// Files that are being written.
#[derive(Debug)]
pub struct Writer {
    destination: PathBuf,
    files: Files,
    state: Mutex<State>,
    /// Blobs that the other side has, with the repository there.
    known: HashMap<Digest, String>,
}

#[derive(Debug)]
enum Files {
    Directory,
    Archive {
        file: Arc<File>,
        /// Path until all of it is written; empty once it is.
        temporary: Mutex<Option<PathBuf>>,
    },
}

#[derive(Debug, Default)]
struct State {
    /// Contents that are written, or have their place.
    written: HashSet<Digest>,
    left_out: HashMap<Digest, String>,
    /// Entries of `index.json`.
    entries: Vec<Value>,
    /// Entries of docker's `manifest.json`.
    docker: Vec<Value>,
    /// Bytes of the tar that have their place.
    end: u64,
}

impl Writer {
    /// Begins to write to `destination`, without the blobs in `known`: the other side has them, in the repositories named there.
    /// It blocks.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(
        destination: &Path,
        form: Form,
        known: HashMap<Digest, String>,
    ) -> Result<Self, LayoutError> {
        let files = match form {
            Form::OciDirectory => {
                make_directory(&destination.join("blobs/sha256"))?;
                Files::Directory
            }
            Form::Oci | Form::DockerArchive => {
                let temporary = beside(destination);
                let file = create(&temporary)?;
                Files::Archive {
                    file: Arc::new(file),
                    temporary: Mutex::new(Some(temporary)),
                }
            }
        };
        let writer = Self {
            destination: destination.to_owned(),
            files,
            state: Mutex::default(),
            known,
        };
        if let Files::Archive { file, .. } = &writer.files {
            for name in ["blobs/", "blobs/sha256/"] {
                let at = writer.place(0);
                writer.write_at(file, at, &header(name, 0, tar::EntryType::Directory)?)?;
            }
        }
        Ok(writer)
    }

    /// Whether the blob stays out, because the other side has it.
    pub(super) fn leaves_out(&self, blob: &Descriptor) -> bool {
        let Some(repository) = self.known.get(&blob.digest) else {
            return false;
        };
        self.state.lock().left_out.insert(blob.digest, repository.clone());
        true
    }

    /// Whether the blob is written already.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        if self.state.lock().written.contains(&blob.digest) {
            return true;
        }
        let path = self.destination.join(blob_path(&blob.digest));
        let is_there = matches!(self.files, Files::Directory)
            && path
                .metadata()
                .is_ok_and(|found| found.is_file() && found.len() == blob.size);
        if is_there {
            self.state.lock().written.insert(blob.digest);
        }
        is_there
    }

    pub(super) async fn blob<B: Blob>(
        &self,
        descriptor: &Descriptor,
        blob: &mut B,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<(), TransferError> {
        let path = blob_path(&descriptor.digest);
        let (file, start, temporary) = match &self.files {
            Files::Archive { file, .. } => {
                let at = self.place(descriptor.size);
                self.write_at(
                    file,
                    at,
                    &header(&path, descriptor.size, tar::EntryType::Regular)?,
                )?;
                (Arc::clone(file), at + BLOCK, None)
            }
            Files::Directory => {
                let path = self.destination.join(&path);
                let temporary = beside(&path);
                make_directory(path.parent().unwrap_or(&path))?;
                let file = create(&temporary)?;
                (Arc::new(file), 0, Some(Temporary::new(temporary, path)))
            }
        };
        let mut checked = Checked::new(blob, descriptor);
        let mut at = start;
        while let Some(piece) = checked.next().await? {
            let length = piece.len() as u64;
            self.piece(Arc::clone(&file), piece, at).await?;
            at += length;
            sent(length);
        }
        if let Some(temporary) = temporary {
            temporary.keep(&file)?;
        }
        self.state.lock().written.insert(descriptor.digest);
        Ok(())
    }

    async fn piece(&self, file: Arc<File>, piece: Bytes, at: u64) -> Result<(), LayoutError> {
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&piece, at)).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| LayoutError::io(&self.destination, &error))
    }

    pub(super) async fn manifest(&self, node: &Node) -> Result<(), TransferError> {
        if self.has(&node.descriptor) {
            return Ok(());
        }
        let mut whole = Whole(Some(node.bytes.clone()));
        self.blob(&node.descriptor, &mut whole, &|_| {}).await
    }

    /// Notes an image, and for docker the one that runs on this machine, if there is one.
    pub(super) fn image(&self, name: &str, tag: Option<&Tag>, root: &Node, native: Option<&Node>) {
        let mut annotations = json!({});
        if let Some(tag) = tag {
            annotations[FULL_NAME] = format!("{name}:{tag}").into();
            annotations[REF_NAME] = tag.as_str().into();
        }
        self.note(&root.descriptor, &annotations);
        let config = native.and_then(|node| Some((node, node.view.config.as_ref()?)));
        let Some((node, config)) = config else {
            return;
        };
        let layers = node.view.layers.iter().map(|layer| blob_path(&layer.digest));
        let tags = tag.map(|tag| format!("{name}:{tag}"));
        self.state.lock().docker.push(json!({
            "Config": blob_path(&config.digest),
            "RepoTags": tags.into_iter().collect::<Vec<_>>(),
            "Layers": layers.collect::<Vec<_>>(),
        }));
    }

    /// Notes a tag that is made of a digest.
    pub(super) fn digest_tag(&self, tag: &Tag, node: &Node) {
        self.note(&node.descriptor, &json!({REF_NAME: tag.as_str()}));
    }

    /// Notes manifests that refer to others.
    pub(super) fn list(&self, referrers: &[&Node]) {
        for node in referrers {
            self.note(&node.descriptor, &json!({}));
        }
    }

    fn note(&self, descriptor: &Descriptor, annotations: &Value) {
        let mut entry = json!({
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
        });
        if let Some(kind) = &descriptor.artifact_type {
            entry["artifactType"] = kind.as_str().into();
        }
        if annotations.as_object().is_some_and(|all| !all.is_empty()) {
            entry["annotations"] = annotations.clone();
        }
        let mut state = self.state.lock();
        if !state.entries.contains(&entry) {
            state.entries.push(entry);
        }
    }

    /// Makes the images visible: all blobs are written. It blocks.
    ///
    /// # Errors
    /// When the files cannot be written to their end.
    pub fn finish(&self) -> Result<(), LayoutError> {
        let mut documents = Vec::new();
        {
            let state = self.state.lock();
            if !state.left_out.is_empty() {
                documents.push((
                    LEFT_OUT,
                    json!(
                        state
                            .left_out
                            .iter()
                            .map(|(digest, repository)| (digest.to_string(), repository))
                            .collect::<HashMap<_, _>>()
                    )
                    .to_string(),
                ));
            } else if !state.docker.is_empty() {
                documents.push(("manifest.json", json!(state.docker).to_string()));
            }
            let mut entries = state.entries.clone();
            if let Files::Directory = self.files {
                entries.extend(self.earlier(&state.entries)?);
            }
            documents.push(("oci-layout", OCI_LAYOUT.to_owned()));
            let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
            documents.push(("index.json", index.to_string()));
        }
        match &self.files {
            Files::Directory => {
                for (name, text) in documents.iter().filter(|(name, _)| *name != "manifest.json") {
                    let path = self.destination.join(name);
                    let temporary = beside(&path);
                    let file = create(&temporary)?;
                    let temporary = Temporary::new(temporary, path);
                    self.write_at(&file, 0, text.as_bytes())?;
                    temporary.keep(&file)?;
                }
            }
            Files::Archive { file, temporary } => {
                for (name, text) in &documents {
                    let at = self.place(text.len() as u64);
                    self.write_at(
                        file,
                        at,
                        &header(name, text.len() as u64, tar::EntryType::Regular)?,
                    )?;
                    self.write_at(file, at + BLOCK, text.as_bytes())?;
                }
                // A tar ends with two empty blocks.
                let end = self.state.lock().end + 2 * BLOCK;
                let failed = |error: io::Error| LayoutError::io(&self.destination, &error);
                file.set_len(end).map_err(failed)?;
                if let Some(path) = temporary.lock().take() {
                    Temporary::new(path, self.destination.clone()).keep(file)?;
                }
            }
        }
        Ok(())
    }

    /// The images that the directory has already, other than those of the names in `entries`.
    fn earlier(&self, entries: &[Value]) -> Result<Vec<Value>, LayoutError> {
        let path = self.destination.join("index.json");
        #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LayoutError::io(&path, &error)),
        };
        let index: Value = serde_json::from_slice(&text)
            .map_err(|error| LayoutError::no_image(&self.destination, format!("`index.json`: {error}")))?;
        let name = |entry: &Value| match entry["annotations"].get(FULL_NAME) {
            Some(name) => Some(name.clone()),
            None => entry["annotations"].get(REF_NAME).cloned(),
        };
        let is_replaced = |old: &Value| {
            entries.iter().any(|new| match name(old) {
                Some(old) => name(new) == Some(old),
                None => new["digest"] == old["digest"],
            })
        };
        let old = index["manifests"].as_array().cloned().unwrap_or_default();
        Ok(old.into_iter().filter(|entry| !is_replaced(entry)).collect())
    }

    /// A place in the tar for a file of `size` bytes, with its header.
    fn place(&self, size: u64) -> u64 {
        let mut state = self.state.lock();
        let at = state.end;
        state.end += BLOCK + size.next_multiple_of(BLOCK);
        at
    }

    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> Result<(), LayoutError> {
        let written = file.write_all_at(bytes, at);
        written.map_err(|error| LayoutError::io(&self.destination, &error))
    }
}

impl Drop for Writer {
    /// Removes a tar that is not whole.
    fn drop(&mut self) {
        if let Files::Archive { temporary, .. } = &self.files
            && let Some(path) = temporary.lock().take()
        {
            remove(&path);
        }
    }
}

/// A file that is removed unless it is kept.
struct Temporary {
    paths: Option<(PathBuf, PathBuf)>,
}

impl Temporary {
    fn new(path: PathBuf, destination: PathBuf) -> Self {
        let paths = Some((path, destination));
        Self { paths }
    }

    /// Gives the file its name, after its bytes are on the disk.
    fn keep(mut self, file: &File) -> Result<(), LayoutError> {
        let Some((path, destination)) = self.paths.take() else {
            return Ok(());
        };
        #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
        let kept = file.sync_all().and_then(|()| fs::rename(&path, &destination));
        kept.map_err(|error| {
            remove(&path);
            LayoutError::io(&destination, &error)
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.paths {
            remove(path);
        }
    }
}

/// Bytes in memory.
struct Whole(Option<Bytes>);

impl Blob for Whole {
    fn seek(&mut self, _position: u64) {}

    async fn next(&mut self) -> crate::Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

fn remove(path: &Path) {
    #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "a temporary file stays");
    }
}

fn make_directory(path: &Path) -> Result<(), LayoutError> {
    #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
    fs::create_dir_all(path).map_err(|error| LayoutError::io(path, &error))
}

/// The new file at `temporary`, in place of what a run that was killed has left there.
fn create(temporary: &Path) -> Result<File, LayoutError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(temporary);
    file.map_err(|error| LayoutError::io(temporary, &error))
}

/// A name for the time until the file at `path` is whole, in the same directory.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn header(name: &str, size: u64, kind: tar::EntryType) -> Result<Vec<u8>, LayoutError> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    let set = header.set_path(name);
    set.map_err(|error| LayoutError::io(Path::new(name), &error))?;
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}
