//! Images in files: an OCI image layout as a directory or a tar, and the archives of `docker save` and `podman save`.

use std::{collections::HashMap, path::Path};

use bytes::Bytes;
use wharf_oci::{
    Descriptor, Digest, ManifestKind, ManifestView, Reference, RepoName, Tag, referrers_subject,
};

use super::{
    docker::Docker,
    error::LayoutError,
    file::{FileReader, Part},
    files::Files,
    platforms, references,
};
use crate::{MANIFEST_LIMIT, Manifest};

/// The annotation with the whole name of an image, by which containerd, docker and podman load it.
pub(super) const FULL_NAME: &str = "io.containerd.image.name";
/// The annotation with the tag of an image.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The file that names the blobs which an export left out, with a repository of the other side for each.
pub(super) const LEFT_OUT: &str = "wharf-left-out.json";

/// Bytes of `index.json` or `manifest.json`.
const INDEX_LIMIT: usize = 8 << 20;
/// Bytes of the list of blobs that were left out.
const LEFT_OUT_LIMIT: usize = 32 << 20;
/// Images of a file, and entries of all its lists of referrers.
const MOST_ENTRIES: usize = 20_000;
/// Bytes of the indexes that are written anew because the file has not all of their platforms.
const MOST_MADE: usize = 16 << 20;

/// Images in files.
#[derive(Debug)]
pub struct Layout {
    files: Files,
    images: Vec<ImageInFile>,
    /// Manifests that are made: for an archive of docker, which has none, and for an index with platforms that the file has not.
    made: HashMap<Digest, Bytes>,
    /// Names of the files that are blobs, in an archive of docker.
    names: HashMap<Digest, String>,
    referrers: HashMap<Digest, Vec<Digest>>,
    /// Tags that are made of the digest of a manifest.
    digest_tags: HashMap<Tag, Digest>,
    left_out: HashMap<Digest, RepoName>,
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
    /// Platforms that its index names and the file has not; the index is written anew without them.
    pub absent: Vec<String>,
}

impl Layout {
    /// Opens the directory or tar at `path`, and reads what is in it. It blocks.
    ///
    /// # Errors
    /// When there is no image in it.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let mut layout = Self {
            files: Files::open(path)?,
            images: Vec::new(),
            made: HashMap::new(),
            names: HashMap::new(),
            referrers: HashMap::new(),
            digest_tags: HashMap::new(),
            left_out: HashMap::new(),
        };
        if let Some(left_out) = layout.document(LEFT_OUT, LEFT_OUT_LIMIT)? {
            layout.left_out = self::left_out(path, &left_out)?;
        }
        if let Some(index) = layout.document("index.json", INDEX_LIMIT)? {
            layout.take_index(path, &index)?;
        } else if let Some(list) = layout.document("manifest.json", INDEX_LIMIT)? {
            layout.take_docker(&list)?;
        } else {
            let reason = "it has neither `index.json` nor `manifest.json`".to_owned();
            return Err(LayoutError::no_image(path, reason));
        }
        Ok(layout)
    }

    /// The images, in the order of the file.
    pub fn images(&self) -> &[ImageInFile] {
        &self.images
    }

    /// The repository of the other side that had the blob when the file was exported without it.
    pub(super) fn base(&self, digest: &Digest) -> Option<&str> {
        self.left_out.get(digest).map(RepoName::as_str)
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

    /// Whether the file has it.
    pub(super) fn has(&self, digest: &Digest) -> Result<bool, LayoutError> {
        Ok(self.made.contains_key(digest) || self.part(digest)?.is_some())
    }

    fn document(&self, name: &str, limit: usize) -> Result<Option<Bytes>, LayoutError> {
        let part = self.files.find(name)?;
        part.map(|part| part.read(limit)).transpose()
    }

    fn take_index(&mut self, path: &Path, index: &[u8]) -> Result<(), LayoutError> {
        let failed = |reason: String| LayoutError::no_image(path, reason);
        let view =
            ManifestView::parse_stored(index).map_err(|error| failed(format!("`index.json`: {error}")))?;
        if let Some(unknown) = references::unknown(index, &view) {
            let unknown = crate::printable(&unknown);
            return Err(failed(format!(
                "its `index.json` names `{unknown}` in a way that wharf does not know"
            )));
        }
        let too_many = || failed(format!("it has more than {MOST_ENTRIES} images or referrers"));
        if view.manifests.len() > MOST_ENTRIES {
            return Err(too_many());
        }
        let mut referrers = 0;
        let mut made = 0;
        for entry in &view.manifests {
            let (name, tag) = names(entry);
            let subject = tag.as_ref().and_then(referrers_subject);
            let stored = self.read_manifest(&entry.digest)?;
            let manifest = ManifestView::parse_stored(&stored.bytes);
            let manifest = manifest.map_err(|error| failed(error.to_string()))?;
            if let Some(subject) = subject.filter(|_| is_list_of_referrers(tag.as_ref())) {
                let listed: Vec<Digest> = manifest.children().map(|child| child.digest).collect();
                referrers += listed.len();
                self.referrers.entry(subject).or_default().extend(listed);
            } else if let Some(tag) = tag.clone().filter(is_digest_tag) {
                self.digest_tags.insert(tag, entry.digest);
            } else {
                if let Some(subject) = &manifest.subject {
                    referrers += 1;
                    self.referrers
                        .entry(subject.digest)
                        .or_default()
                        .push(entry.digest);
                }
                if manifest.subject.is_none() || tag.is_some() {
                    let (digest, absent) = self.without_absent(stored, &manifest)?;
                    made += self.made.get(&digest).map_or(0, Bytes::len);
                    self.images.push(ImageInFile {
                        name,
                        tag,
                        digest,
                        absent,
                    });
                }
            }
            if referrers > MOST_ENTRIES || made > MOST_MADE {
                return Err(too_many());
            }
        }
        Ok(())
    }

    /// The digest of an image as the file has it. What docker has pulled for one platform is saved with an index that names all of them:
    /// it is written anew without those of which the manifests are absent, and these are named.
    fn without_absent(
        &mut self,
        stored: Manifest,
        view: &ManifestView,
    ) -> Result<(Digest, Vec<String>), LayoutError> {
        let digest = stored.digest;
        if view.kind != ManifestKind::Index {
            return Ok((digest, Vec::new()));
        }
        let mut absent = Vec::new();
        for child in view.children() {
            if !self.has(&child.digest)? {
                absent.push(child);
            }
        }
        let Some(first) = absent.first() else {
            return Ok((digest, Vec::new()));
        };
        let missing = LayoutError::Missing(first.digest);
        let Some(reduced) = platforms::without(stored, &absent) else {
            return Err(missing);
        };
        let mut named = Vec::new();
        for child in &absent {
            let name = child.platform.as_ref().and_then(wharf_oci::Platform::name);
            match name {
                Some(name) => named.push(name),
                None if platforms::is_attestation(child) => named.push("attestations".to_owned()),
                // It is of no platform, so there is no reason why it should be absent.
                None => return Err(LayoutError::Missing(child.digest)),
            }
        }
        named.sort();
        named.dedup();
        self.made.insert(reduced.digest, reduced.bytes);
        Ok((reduced.digest, named))
    }

    fn take_docker(&mut self, list: &[u8]) -> Result<(), LayoutError> {
        let docker = Docker::read(&self.files, list)?;
        self.made = docker.made;
        self.names = docker.names;
        for (text, digest) in docker.images {
            let (name, tag) = split(&text);
            self.images.push(ImageInFile {
                name,
                tag,
                digest,
                absent: Vec::new(),
            });
        }
        Ok(())
    }
}

/// Path of a blob in an image layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The blobs that an export to `path` left out, as its document `text` names them.
pub(super) fn left_out(path: &Path, text: &[u8]) -> Result<HashMap<Digest, RepoName>, LayoutError> {
    let names: HashMap<Digest, String> = serde_json::from_slice(text)
        .map_err(|error| LayoutError::no_image(path, format!("`{LEFT_OUT}`: {error}")))?;
    let named = names.into_iter().map(|(digest, name)| {
        let name = name.parse().map_err(|error| {
            LayoutError::no_image(path, format!("`{LEFT_OUT}` names no repository: {error}"))
        })?;
        Ok((digest, name))
    });
    named.collect()
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
}
