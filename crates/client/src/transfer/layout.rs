//! Images in files: an OCI image layout as a directory or a tar, and the archives of `docker save` and `podman save`.

use std::{
    collections::HashMap,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use wharf_oci::{
    Algorithm, Descriptor, Digest, Hasher, ManifestView, Reference, Tag, media_type, referrers_subject,
};

use super::{
    archive::Archive,
    error::LayoutError,
    file::{FileReader, Part},
};
use crate::{CONFIG_LIMIT, MANIFEST_LIMIT, Manifest};

/// The annotation with the whole name of an image, by which containerd, docker and podman load it.
pub(super) const FULL_NAME: &str = "io.containerd.image.name";
/// The annotation with the tag of an image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The file that names the blobs which an export left out, with a repository of the other side for each.
pub(super) const LEFT_OUT: &str = "wharf-left-out.json";

/// Bytes of `index.json`, and of the other documents of a layout.
const INDEX_LIMIT: usize = 64 << 20;

/// Images in files.
#[derive(Debug)]
pub struct Layout {
    files: Files,
    images: Vec<ImageInFile>,
    /// Manifests that are made for an archive of docker, which has none.
    made: HashMap<Digest, Bytes>,
    /// Names of the files that are blobs, in an archive of docker.
    names: HashMap<Digest, String>,
    referrers: HashMap<Digest, Vec<Digest>>,
    /// Tags that are made of the digest of a manifest.
    digest_tags: HashMap<Tag, Digest>,
    left_out: HashMap<Digest, String>,
}

/// An image in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInFile {
    /// Name without the tag, as it was exported: `docker.io/library/alpine`.
    pub name: Option<String>,
    /// Tag of the image.
    pub tag: Option<Tag>,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// Where the files are.
#[derive(Debug)]
enum Files {
    Directory(PathBuf),
    Archive(Box<Archive>),
}

/// An image in `manifest.json` of an archive of docker.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// What is read of the configuration of an image.
#[derive(Debug, Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl Layout {
    /// Opens the directory or tar at `path`, and reads what is in it. It blocks.
    ///
    /// # Errors
    /// When there is no image in it.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let files = match path.is_dir() {
            true => Files::Directory(path.to_owned()),
            false => {
                let whole = Part::whole(path)?;
                let whole = whole.ok_or_else(|| LayoutError::io(path, &io::ErrorKind::NotFound.into()))?;
                Files::Archive(Box::new(Archive::open(whole)?))
            }
        };
        let mut layout = Self {
            files,
            images: Vec::new(),
            made: HashMap::new(),
            names: HashMap::new(),
            referrers: HashMap::new(),
            digest_tags: HashMap::new(),
            left_out: HashMap::new(),
        };
        if let Some(index) = layout.document("index.json")? {
            layout.take_index(path, &index)?;
        } else if let Some(list) = layout.document("manifest.json")? {
            layout.take_docker(path, &list)?;
        } else {
            let reason = "it has neither `index.json` nor `manifest.json`".to_owned();
            return Err(LayoutError::no_image(path, reason));
        }
        if let Some(left_out) = layout.document(LEFT_OUT)? {
            layout.left_out = serde_json::from_slice(&left_out)
                .map_err(|error| LayoutError::no_image(path, format!("`{LEFT_OUT}`: {error}")))?;
        }
        Ok(layout)
    }

    /// The images, in the order of the file.
    pub fn images(&self) -> &[ImageInFile] {
        &self.images
    }

    /// The repository of the other side that had the blob when the file was exported without it.
    pub(super) fn base(&self, digest: &Digest) -> Option<&str> {
        self.left_out.get(digest).map(String::as_str)
    }

    pub(super) fn referrers(&self, subject: &Digest) -> Vec<Digest> {
        self.referrers.get(subject).cloned().unwrap_or_default()
    }

    pub(super) fn tag(&self, tag: &Tag) -> Option<Digest> {
        self.digest_tags.get(tag).copied()
    }

    pub(super) async fn manifest(&self, reference: &Reference) -> Result<Manifest, LayoutError> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => {
                let found = self.images.iter().find(|image| image.tag.as_ref() == Some(tag));
                let path = self.files.path().to_owned();
                let missing = || LayoutError::no_image(&path, format!("it has no tag `{tag}`"));
                found.ok_or_else(missing)?.digest
            }
        };
        self.read_manifest(&digest)
    }

    fn read_manifest(&self, digest: &Digest) -> Result<Manifest, LayoutError> {
        let bytes = match self.made.get(digest) {
            Some(bytes) => bytes.clone(),
            None => {
                let part = self.part(digest)?.ok_or(LayoutError::Missing(*digest))?;
                part.read(MANIFEST_LIMIT)?
            }
        };
        let path = self.files.path();
        if Digest::of(digest.algorithm(), &bytes) != *digest {
            let reason = format!("its manifest {digest} was changed");
            return Err(LayoutError::no_image(path, reason));
        }
        let view = ManifestView::parse_stored(&bytes)
            .map_err(|error| LayoutError::no_image(path, format!("its manifest {digest}: {error}")))?;
        Ok(Manifest {
            media_type: view.media_type,
            digest: *digest,
            bytes,
        })
    }

    /// The blob; `None`: the file was written without it.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<FileReader>, LayoutError> {
        Ok(self.part(digest)?.map(Part::reader))
    }

    fn part(&self, digest: &Digest) -> Result<Option<Part>, LayoutError> {
        match self.names.get(digest) {
            Some(name) => self.files.find(name),
            None => self.files.find(&blob_path(digest)),
        }
    }

    fn document(&self, name: &str) -> Result<Option<Bytes>, LayoutError> {
        let part = self.files.find(name)?;
        part.map(|part| part.read(INDEX_LIMIT)).transpose()
    }

    fn take_index(&mut self, path: &Path, index: &[u8]) -> Result<(), LayoutError> {
        let view = ManifestView::parse_stored(index)
            .map_err(|error| LayoutError::no_image(path, format!("`index.json`: {error}")))?;
        for entry in &view.manifests {
            let (name, tag) = names(entry);
            let subject = tag.as_ref().and_then(referrers_subject);
            let manifest = ManifestView::parse_stored(&self.read_manifest(&entry.digest)?.bytes);
            let manifest = manifest.map_err(|error| LayoutError::no_image(path, error.to_string()))?;
            if let Some(subject) = subject.filter(|_| is_list_of_referrers(tag.as_ref())) {
                let listed = manifest.children().map(|child| child.digest);
                self.referrers.entry(subject).or_default().extend(listed);
            } else if let Some(tag) = tag.clone().filter(is_digest_tag) {
                self.digest_tags.insert(tag, entry.digest);
            } else {
                if let Some(subject) = &manifest.subject {
                    self.referrers
                        .entry(subject.digest)
                        .or_default()
                        .push(entry.digest);
                }
                if manifest.subject.is_none() || tag.is_some() {
                    let digest = entry.digest;
                    self.images.push(ImageInFile { name, tag, digest });
                }
            }
        }
        Ok(())
    }

    fn take_docker(&mut self, path: &Path, list: &[u8]) -> Result<(), LayoutError> {
        let failed = |reason: String| LayoutError::no_image(path, reason);
        let images: Vec<DockerImage> =
            serde_json::from_slice(list).map_err(|error| failed(format!("`manifest.json`: {error}")))?;
        for image in images {
            let digest = self.make_manifest(path, &image)?;
            let tags = image.repo_tags.unwrap_or_default();
            if tags.is_empty() {
                let (name, tag) = (None, None);
                self.images.push(ImageInFile { name, tag, digest });
            }
            for text in tags {
                let (name, tag) = split(&text);
                self.images.push(ImageInFile { name, tag, digest });
            }
        }
        Ok(())
    }

    /// Makes a manifest for an image of docker's archive. Its layers stay as they are in the file.
    fn make_manifest(&mut self, path: &Path, image: &DockerImage) -> Result<Digest, LayoutError> {
        let failed = |reason: String| LayoutError::no_image(path, reason);
        let missing = |name: &str| failed(format!("it names `{name}`, which is not in it"));
        let config = self
            .files
            .find(&image.config)?
            .ok_or_else(|| missing(&image.config))?;
        let config_bytes = config.read(CONFIG_LIMIT)?;
        let read: Config = serde_json::from_slice(&config_bytes)
            .map_err(|error| failed(format!("`{}`: {error}", image.config)))?;
        if read.rootfs.diff_ids.len() != image.layers.len() {
            return Err(failed(format!(
                "`{}` is for {} layers, but there are {}",
                image.config,
                read.rootfs.diff_ids.len(),
                image.layers.len()
            )));
        }
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(&read.rootfs.diff_ids) {
            let part = self.files.find(name)?.ok_or_else(|| missing(name))?;
            let media_type = layer_type(&part)?;
            // The digest of an uncompressed layer is in the configuration, and is checked when the layer is moved.
            let digest = match media_type {
                media_type::OCI_LAYER => *diff_id,
                _ => hash(&part)?,
            };
            layers.push(json!({"mediaType": media_type, "digest": digest, "size": part.size}));
            self.names.insert(digest, name.clone());
        }
        let config_digest = Digest::sha256_of(&config_bytes);
        self.names.insert(config_digest, image.config.clone());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": {"mediaType": media_type::OCI_CONFIG, "digest": config_digest, "size": config_bytes.len()},
            "layers": layers,
        });
        let bytes = Bytes::from(manifest.to_string());
        let digest = Digest::sha256_of(&bytes);
        self.made.insert(digest, bytes);
        Ok(digest)
    }
}

impl Files {
    fn find(&self, name: &str) -> Result<Option<Part>, LayoutError> {
        match self {
            Self::Directory(root) if is_inside(name) => Part::whole(&root.join(name)),
            Self::Directory(_) => Ok(None),
            Self::Archive(archive) => Ok(archive.find(name)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Directory(root) => root,
            Self::Archive(archive) => archive.path(),
        }
    }
}

/// Path of a blob in an image layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Whether the name of a file stays inside the directory that it is looked for in.
fn is_inside(name: &str) -> bool {
    let parts = Path::new(name).components();
    parts
        .into_iter()
        .all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Name and tag of an entry of `index.json`.
fn names(entry: &Descriptor) -> (Option<String>, Option<Tag>) {
    let annotation = |key: &str| entry.annotations.as_ref().and_then(|all| all.get(key));
    let text = annotation(FULL_NAME).or_else(|| annotation(REF_NAME));
    text.map_or((None, None), |text| split(text))
}

/// Name and tag of `registry:5000/app:1.0`, `app:1.0` or `1.0`.
fn split(text: &str) -> (Option<String>, Option<Tag>) {
    let text = text.split('@').next().unwrap_or(text);
    let after = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[after..].find(':') {
        Some(colon) => {
            let (name, tag) = text.split_at(after + colon);
            (Some(name.to_owned()), tag[1..].parse().ok())
        }
        None if after > 0 => (Some(text.to_owned()), None),
        None => (None, text.parse().ok()),
    }
}

/// Whether a tag is the one that lists the referrers of a digest, and not a signature or the like.
fn is_list_of_referrers(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| wharf_oci::is_referrers_tag(tag.as_str()))
}

/// Whether a tag is made of the digest of a manifest: `sha256-….sig`.
pub(super) fn is_digest_tag(tag: &Tag) -> bool {
    let stem = tag.as_str().rsplit_once('.').map(|(stem, _)| stem);
    stem.is_some_and(wharf_oci::is_referrers_tag)
}

/// Media type of a layer by its first bytes.
fn layer_type(part: &Part) -> Result<&'static str, LayoutError> {
    use std::os::unix::fs::FileExt as _;

    let mut magic = [0; 4];
    let length = usize::try_from(part.size).map_or(4, |size| size.min(4));
    let read = part.file.read_exact_at(&mut magic[..length], part.start);
    read.map_err(|error| LayoutError::io(&part.path, &error))?;
    Ok(match magic {
        [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
        _ => media_type::OCI_LAYER,
    })
}

fn hash(part: &Part) -> Result<Digest, LayoutError> {
    let failed = |error: io::Error| LayoutError::io(&part.path, &error);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut piece = vec![0; 256 << 10];
    let mut reader = part.sequential().take(part.size);
    loop {
        match reader.read(&mut piece).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_other_programs_write_them() {
        let check = |text: &str, name: Option<&str>, tag: Option<&str>| {
            let (found_name, found_tag) = split(text);
            assert_eq!(
                (found_name.as_deref(), found_tag.as_ref().map(Tag::as_str)),
                (name, tag),
                "{text}"
            );
        };
        check(
            "localhost:5000/kyo/app:1.0",
            Some("localhost:5000/kyo/app"),
            Some("1.0"),
        );
        check(
            "docker.io/library/alpine:3",
            Some("docker.io/library/alpine"),
            Some("3"),
        );
        check("alpine:3", Some("alpine"), Some("3"));
        check("localhost:5000/app", Some("localhost:5000/app"), None);
        check("3.20", None, Some("3.20"));
    }

    #[test]
    fn tags_of_digests_are_told_from_others() {
        let digest = Digest::sha256_of(b"");
        let tag = |ending: &str| format!("sha256-{}{ending}", digest.hex()).parse::<Tag>().unwrap();
        assert!(is_digest_tag(&tag(".sig")) && !is_digest_tag(&tag("")));
        assert!(is_list_of_referrers(Some(&tag(""))) && !is_list_of_referrers(Some(&tag(".sig"))));
        assert!(!is_digest_tag(&"1.0".parse().unwrap()));
    }

    #[test]
    fn files_outside_of_a_layout_are_not_read() {
        assert!(is_inside("blobs/sha256/ab") && !is_inside("../x") && !is_inside("/etc/passwd"));
    }
}
