//! Writing images to files: an OCI image layout as a directory or a tar, with what `docker load` needs beside it.
//!
//! A tar is written under another name, and gets its own when it is whole. Sizes are known before the bytes come, so each blob
//! has its place in the tar at once, and several are written beside one another. A directory gets its blobs one by one, each
//! under its digest only when it is whole, and its `index.json` last: another run goes on where one stopped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use wharf_oci::{Descriptor, Digest, RepoName, Tag, media_type};

use super::{
    docker::hash_by,
    error::LayoutError,
    file::Directory,
    graph::Node,
    layout::{FULL_NAME, LEFT_OUT, REF_NAME, blob_path, left_out},
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
    known: HashMap<Digest, RepoName>,
}

#[derive(Debug)]
enum Files {
    Directory,
    Archive {
        file: Arc<File>,
        /// The file until all of it is written, which goes when it is dropped; `None` once it has its name.
        temporary: Mutex<Option<NamedTempFile>>,
    },
}

#[derive(Debug, Default)]
struct State {
    /// Contents that are written, or have their place.
    written: HashSet<Digest>,
    left_out: HashMap<Digest, RepoName>,
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
    /// When nothing can be written there, or something is there that must not be replaced: a device, or a directory in place of a file.
    pub fn create(
        destination: &Path,
        form: Form,
        known: HashMap<Digest, RepoName>,
    ) -> Result<Self, LayoutError> {
        let destination = replaceable(destination, form)?;
        let files = match form {
            // It is made with its first blob.
            Form::OciDirectory => Files::Directory,
            Form::Oci | Form::DockerArchive => {
                let temporary = beside(&destination)?;
                Files::Archive {
                    file: Arc::new(opened(&temporary)?),
                    temporary: Mutex::new(Some(temporary)),
                }
            }
        };
        let writer = Self {
            destination,
            files,
            state: Mutex::default(),
            known,
        };
        if let Files::Archive { file, .. } = &writer.files {
            for name in ["blobs/", "blobs/sha256/"] {
                let header = header(name, 0, tar::EntryType::Directory)?;
                let at = writer.place(&header, 0);
                writer.write_at(file, at, &header)?;
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

    /// Whether the blob is written already. One that an earlier run has left in a directory is read before it is believed.
    pub(super) async fn has(&self, blob: &Descriptor) -> Result<bool, LayoutError> {
        if self.state.lock().written.contains(&blob.digest) {
            return Ok(true);
        }
        if !matches!(self.files, Files::Directory) {
            return Ok(false);
        }
        let (destination, digest, size) = (self.destination.clone(), blob.digest, blob.size);
        let is_there = blocking(&self.destination, move || is_whole(&destination, &digest, size)).await?;
        if is_there {
            self.state.lock().written.insert(blob.digest);
        }
        Ok(is_there)
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
                let header = header(&path, descriptor.size, tar::EntryType::Regular)?;
                let at = self.place(&header, descriptor.size);
                self.write_at(file, at, &header)?;
                (Arc::clone(file), at + header.len() as u64, None)
            }
            Files::Directory => {
                let path = self.destination.join(&path);
                make_directory(path.parent().unwrap_or(&path))?;
                let temporary = beside(&path)?;
                let file = opened(&temporary)?;
                (Arc::new(file), 0, Some((temporary, path)))
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
        if let Some((temporary, path)) = temporary {
            blocking(&self.destination, move || keep(temporary, &path)).await?;
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
        if self.has(&node.descriptor).await? {
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
        let is_written = |layer: &Descriptor| self.state.lock().written.contains(&layer.digest);
        if !node.view.layers.iter().all(is_written) {
            // One of them stays out, and docker would look for it.
            return;
        }
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
                // The images that an earlier run has left there lack their blobs as well.
                let mut left_out = match self.files {
                    Files::Directory => self.earlier_left_out()?,
                    Files::Archive { .. } => HashMap::new(),
                };
                left_out.extend(state.left_out.clone());
                let names = left_out
                    .iter()
                    .map(|(digest, repository)| (digest.to_string(), repository.as_str()));
                documents.push((LEFT_OUT, json!(names.collect::<BTreeMap<_, _>>()).to_string()));
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
                make_directory(&self.destination)?;
                self.sync_blobs()?;
                for (name, text) in documents.iter().filter(|(name, _)| *name != "manifest.json") {
                    let path = self.destination.join(name);
                    let temporary = beside(&path)?;
                    self.write_at(temporary.as_file(), 0, text.as_bytes())?;
                    keep(temporary, &path)?;
                }
                sync(&self.destination)?;
                sync(above(&self.destination))
            }
            Files::Archive { file, temporary } => {
                for (name, text) in &documents {
                    let header = header(name, text.len() as u64, tar::EntryType::Regular)?;
                    let at = self.place(&header, text.len() as u64);
                    self.write_at(file, at, &header)?;
                    self.write_at(file, at + header.len() as u64, text.as_bytes())?;
                }
                // A tar ends with two empty blocks.
                let end = self.state.lock().end + 2 * BLOCK;
                let failed = |error: io::Error| LayoutError::io(&self.destination, &error);
                file.set_len(end).map_err(failed)?;
                let temporary = temporary.lock().take();
                if let Some(temporary) = temporary {
                    keep(temporary, &self.destination)?;
                }
                sync(above(&self.destination))
            }
        }
    }

    /// Sees to it that the names of the blobs are on the disk before the index that names them.
    fn sync_blobs(&self) -> Result<(), LayoutError> {
        let blobs = self.destination.join("blobs");
        let algorithms: BTreeSet<String> = {
            let state = self.state.lock();
            let algorithms = state.written.iter().map(|digest| digest.algorithm().to_string());
            algorithms.collect()
        };
        for algorithm in &algorithms {
            sync(&blobs.join(algorithm))?;
        }
        match algorithms.is_empty() {
            true => Ok(()),
            false => sync(&blobs),
        }
    }

    /// A document that an earlier run has left in the directory.
    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, LayoutError> {
        let path = self.destination.join(name);
        #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayoutError::io(&path, &error)),
        }
    }

    /// The blobs that the images lack which the directory has already.
    fn earlier_left_out(&self) -> Result<HashMap<Digest, RepoName>, LayoutError> {
        match self.document(LEFT_OUT)? {
            Some(text) => left_out(&self.destination, &text),
            None => Ok(HashMap::new()),
        }
    }

    /// The images that the directory has already, other than those of the names in `entries`.
    fn earlier(&self, entries: &[Value]) -> Result<Vec<Value>, LayoutError> {
        let Some(text) = self.document("index.json")? else {
            return Ok(Vec::new());
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

    /// A place in the tar for a file of `size` bytes behind its header.
    fn place(&self, header: &[u8], size: u64) -> u64 {
        let mut state = self.state.lock();
        let at = state.end;
        state.end += header.len() as u64 + size.next_multiple_of(BLOCK);
        at
    }

    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> Result<(), LayoutError> {
        let written = file.write_all_at(bytes, at);
        written.map_err(|error| LayoutError::io(&self.destination, &error))
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

/// The path to write to, behind all links: what a link names is replaced, and not the link. Refuses what is there and is not of this form,
/// which must not be replaced.
fn replaceable(destination: &Path, form: Form) -> Result<PathBuf, LayoutError> {
    let refused = |reason: &str| LayoutError::Io {
        path: destination.to_owned(),
        reason: reason.to_owned(),
    };
    let is_stream = ["/dev/stdout", "/dev/stderr"]
        .map(Path::new)
        .contains(&destination);
    if is_stream || destination.starts_with("/dev/fd") {
        return Err(refused(
            "images are not written to standard output, because the parts of the file are written side by side; name a file",
        ));
    }
    let failed = |error: io::Error| LayoutError::io(destination, &error);
    let found = match destination.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match destination.symlink_metadata() {
                Ok(_) => Err(refused(
                    "it is a link to a file that does not exist; remove it, or name another file",
                )),
                Err(_) => Ok(destination.to_owned()),
            };
        }
        Err(error) => return Err(failed(error)),
    };
    match form {
        Form::OciDirectory if !found.is_dir() => {
            return Err(refused(
                "it is no directory, which `--format oci-dir` writes; name another path",
            ));
        }
        Form::Oci | Form::DockerArchive if found.is_dir() => {
            return Err(refused(
                "it is a directory; name a file in it, or write a directory with `--format oci-dir`",
            ));
        }
        Form::Oci | Form::DockerArchive if !found.is_file() => {
            return Err(refused(
                "it is no file, but a device, a pipe or a socket; name another path",
            ));
        }
        _ => {}
    }
    destination.canonicalize().map_err(failed)
}

/// Whether the directory has a blob, of this size and with this digest.
fn is_whole(destination: &Path, digest: &Digest, size: u64) -> Result<bool, LayoutError> {
    if !destination.is_dir() {
        return Ok(false);
    }
    let found = match Directory::open(destination)?.find(&blob_path(digest)) {
        Ok(Some(found)) => found,
        // What is no file is replaced by one.
        Ok(None) | Err(LayoutError::NoImage { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(found.size == size && hash_by(&found, digest.algorithm())? == *digest)
}

/// Runs work that blocks beside the connections.
async fn blocking<T: Send + 'static>(
    destination: &Path,
    work: impl FnOnce() -> Result<T, LayoutError> + Send + 'static,
) -> Result<T, LayoutError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LayoutError::io(destination, &io::Error::other(error)))?
}

fn make_directory(path: &Path) -> Result<(), LayoutError> {
    #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
    fs::create_dir_all(path).map_err(|error| LayoutError::io(path, &error))
}

/// A new file for the time until the one at `path` is whole, in the same directory. It goes when it is dropped.
fn beside(path: &Path) -> Result<NamedTempFile, LayoutError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // With what is added the name must stay one that the file system takes.
    let name: String = name.chars().take(40).collect();
    let made = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".tmp")
        // What the user's mask leaves of it, as for any file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(above(path));
    made.map_err(|error| LayoutError::io(path, &error))
}

/// The same file, for several writers.
fn opened(temporary: &NamedTempFile) -> Result<File, LayoutError> {
    let file = temporary.as_file().try_clone();
    file.map_err(|error| LayoutError::io(temporary.path(), &error))
}

/// Gives a file its name, after its bytes are on the disk.
fn keep(temporary: NamedTempFile, path: &Path) -> Result<(), LayoutError> {
    let failed = |error: io::Error| LayoutError::io(path, &error);
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Sees to it that the names in a directory are on the disk.
fn sync(directory: &Path) -> Result<(), LayoutError> {
    #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| LayoutError::io(directory, &error))
}

/// The directory that a file is in.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// The header of a file in a tar, behind a record of PAX if the name is too long for it.
fn header(name: &str, size: u64, kind: tar::EntryType) -> Result<Vec<u8>, LayoutError> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    let mut blocks = Vec::new();
    if header.set_path(name).is_err() {
        let record = record("path", name);
        let mut own = tar::Header::new_ustar();
        own.set_entry_type(tar::EntryType::XHeader);
        blocks = finished(own, "record", record.len() as u64)?;
        blocks.extend_from_slice(record.as_bytes());
        let end = (blocks.len() as u64).next_multiple_of(BLOCK);
        while (blocks.len() as u64) < end {
            blocks.push(0);
        }
        let short = name.rsplit('/').next().unwrap_or(name);
        let short: String = short.chars().take(99).collect();
        blocks.extend(finished(header, &short, size)?);
        return Ok(blocks);
    }
    blocks.extend(finished(header, name, size)?);
    Ok(blocks)
}

fn finished(mut header: tar::Header, name: &str, size: u64) -> Result<Vec<u8>, LayoutError> {
    let set = header.set_path(name);
    set.map_err(|error| LayoutError::io(Path::new(name), &error))?;
    header.set_size(size);
    header.set_mode(if header.entry_type().is_dir() {
        0o755
    } else {
        0o644
    });
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

/// A record of PAX: its length, which counts itself, a key and a value.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != length.to_string().len() + rest.len() {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
mod tests {
    use wharf_oci::Algorithm;

    use super::*;
    use crate::transfer::{archive::Archive, file::Part};

    fn descriptor(digest: Digest, size: usize) -> Descriptor {
        Descriptor {
            media_type: media_type::OCI_LAYER.to_owned(),
            digest,
            size: size as u64,
            artifact_type: None,
            annotations: None,
            urls: Vec::new(),
            platform: None,
        }
    }

    async fn write(
        writer: &Writer,
        descriptor: &Descriptor,
        content: &'static [u8],
    ) -> Result<(), TransferError> {
        let mut whole = Whole(Some(Bytes::from_static(content)));
        writer.blob(descriptor, &mut whole, &|_| {}).await
    }

    /// Names of all files below a directory.
    fn names(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "looks at what was written")]
        let entries = fs::read_dir(directory).map(Iterator::collect::<Vec<_>>);
        for entry in entries.unwrap_or_default() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(names(&path)),
                false => found.push(path.file_name().unwrap().to_string_lossy().into_owned()),
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_tar_holds_blobs_whose_names_are_longer_than_a_header() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("images.tar");
        let digest = Digest::of(Algorithm::Sha512, b"content");
        let writer = Writer::create(&path, Form::Oci, HashMap::new()).unwrap();
        write(&writer, &descriptor(digest, 7), b"content").await.unwrap();
        writer.finish().unwrap();
        let archive = Archive::open(Part::whole(&path).unwrap().unwrap()).unwrap();
        let part = archive.find(&blob_path(&digest)).unwrap();
        assert_eq!(&part.read(10).unwrap()[..], b"content");
        assert!(archive.find("index.json").is_some());
        // As other programs read it.
        #[expect(clippy::disallowed_methods, reason = "reads what was written")]
        let mut tar = tar::Archive::new(File::open(&path).unwrap());
        let listed: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert!(listed.contains(&PathBuf::from(blob_path(&digest))), "{listed:?}");
        assert_eq!(names(place.path()), ["images.tar"]);
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "damages what was written")]
    async fn a_blob_in_a_directory_is_read_before_it_is_believed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("images");
        let create = || Writer::create(&path, Form::OciDirectory, HashMap::new()).unwrap();
        let blob = descriptor(Digest::sha256_of(b"content"), 7);
        assert!(!create().has(&blob).await.unwrap());
        assert!(
            !path.exists(),
            "nothing is made before there is something to write"
        );
        write(&create(), &blob, b"content").await.unwrap();
        assert!(create().has(&blob).await.unwrap());
        let file = path.join(blob_path(&blob.digest));
        fs::write(&file, "changed").unwrap();
        let writer = create();
        assert!(
            !writer.has(&blob).await.unwrap(),
            "it has its size, and another content"
        );
        write(&writer, &blob, b"content").await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"content");
    }

    #[tokio::test]
    async fn what_fails_leaves_no_file() {
        let place = tempfile::tempdir().unwrap();
        let blob = descriptor(Digest::sha256_of(b"content"), 7);
        for form in [Form::OciDirectory, Form::Oci] {
            let writer = Writer::create(&place.path().join("out"), form, HashMap::new()).unwrap();
            assert!(write(&writer, &blob, b"other").await.is_err());
            drop(writer);
            assert_eq!(names(place.path()), [""; 0], "{form:?}");
        }
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "prepares what is there, and looks at it"
    )]
    fn what_is_there_is_replaced_only_by_its_like() {
        let place = tempfile::tempdir().unwrap();
        let (file, directory) = (place.path().join("file"), place.path().join("directory"));
        fs::write(&file, "old").unwrap();
        fs::create_dir(&directory).unwrap();
        let link = |name: &str, to: &Path| {
            let link = place.path().join(name);
            std::os::unix::fs::symlink(to, &link).unwrap();
            link
        };
        let refused = |path: &Path, form| match Writer::create(path, form, HashMap::new()) {
            Ok(_) => panic!("{} is replaced", path.display()),
            Err(error) => error.to_string(),
        };
        for (path, reason) in [
            (Path::new("/dev/null"), "a device"),
            (Path::new("/dev/stdout"), "standard output"),
            (&directory, "--format oci-dir"),
            (&link("to-directory", &directory), "--format oci-dir"),
            (&link("dangling", Path::new("nothing")), "does not exist"),
        ] {
            let error = refused(path, Form::Oci);
            assert!(error.contains(reason), "{error}");
        }
        assert!(refused(&file, Form::OciDirectory).contains("no directory"));
        let writer = Writer::create(&link("to-file", &file), Form::Oci, HashMap::new()).unwrap();
        writer.finish().unwrap();
        assert!(place.path().join("to-file").is_symlink());
        assert_ne!(fs::read(&file).unwrap(), b"old");
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "x"), "9 path=x\n");
        assert_eq!(record("path", &"x".repeat(90)).len(), 99);
        assert!(record("path", &"x".repeat(91)).starts_with("101 path="));
    }
}
