//! The archives of `docker save` and `podman save` that have no manifests: one is made for each image.

use std::{
    collections::HashMap,
    io::{self, Read as _},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use wharf_oci::{Algorithm, Digest, Hasher, media_type};

use super::{error::LayoutError, file::Part, files::Files};
use crate::{CONFIG_LIMIT, MANIFEST_LIMIT};

/// Images of one archive.
const MOST_IMAGES: usize = 10_000;
/// Bytes of all manifests that are made, which are kept in memory.
const MOST_BYTES: usize = 16 << 20;

/// The images of an archive.
#[derive(Debug, Default)]
pub(super) struct Docker {
    /// Name and tag of each image as one text, with the digest of its manifest; the text is empty if it has none.
    pub(super) images: Vec<(String, Digest)>,
    /// Manifests that were made.
    pub(super) made: HashMap<Digest, Bytes>,
    /// Names of the files that are blobs.
    pub(super) names: HashMap<Digest, String>,
    /// Digests of compressed layers, by their names: the same layer may be named by many images.
    hashed: HashMap<String, Digest>,
    bytes: usize,
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

impl Docker {
    /// Reads `manifest.json`.
    pub(super) fn read(files: &Files, list: &[u8]) -> Result<Self, LayoutError> {
        let failed = |reason: String| LayoutError::no_image(files.path(), reason);
        let images: Vec<DockerImage> =
            serde_json::from_slice(list).map_err(|error| failed(format!("`manifest.json`: {error}")))?;
        let mut docker = Self::default();
        for image in images {
            let digest = docker.make_manifest(files, &image)?;
            match image.repo_tags.unwrap_or_default() {
                tags if tags.is_empty() => docker.images.push((String::new(), digest)),
                tags => docker.images.extend(tags.into_iter().map(|tag| (tag, digest))),
            }
            if docker.images.len() > MOST_IMAGES {
                return Err(failed(format!("it has more than {MOST_IMAGES} images")));
            }
        }
        Ok(docker)
    }

    /// Makes a manifest for an image. Its layers stay as they are in the file.
    fn make_manifest(&mut self, files: &Files, image: &DockerImage) -> Result<Digest, LayoutError> {
        let failed = |reason: String| LayoutError::no_image(files.path(), reason);
        let missing = |name: &str| failed(format!("it names `{name}`, which is not in it"));
        let config = files.find(&image.config)?.ok_or_else(|| missing(&image.config))?;
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
        let too_large = || failed("its list names more layers than any image has".to_owned());
        let mut layers = Vec::new();
        let mut bytes = 0;
        for (name, diff_id) in image.layers.iter().zip(&read.rootfs.diff_ids) {
            let part = files.find(name)?.ok_or_else(|| missing(name))?;
            let media_type = layer_type(&part)?;
            // The digest of an uncompressed layer is in the configuration, and is checked when the layer is moved.
            let digest = match (media_type, self.hashed.get(name)) {
                (media_type::OCI_LAYER, _) => *diff_id,
                (_, Some(known)) => *known,
                (_, None) => {
                    let digest = hash(&part)?;
                    self.hashed.insert(name.clone(), digest);
                    digest
                }
            };
            let layer = json!({"mediaType": media_type, "digest": digest, "size": part.size});
            bytes += layer.to_string().len();
            if bytes > MANIFEST_LIMIT {
                return Err(too_large());
            }
            layers.push(layer);
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
        let length = bytes.len();
        if self.made.insert(digest, bytes).is_none() {
            self.bytes += length;
        }
        match self.bytes > MOST_BYTES {
            true => Err(too_large()),
            false => Ok(digest),
        }
    }
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

/// The digest of a file.
fn hash(part: &Part) -> Result<Digest, LayoutError> {
    hash_by(part, Algorithm::Sha256)
}

/// The digest of a file by this algorithm. It blocks.
pub(super) fn hash_by(part: &Part, algorithm: Algorithm) -> Result<Digest, LayoutError> {
    let failed = |error: io::Error| LayoutError::io(&part.path, &error);
    let mut hasher = Hasher::new(algorithm);
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
    use std::fs;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "makes the files that are read")]
    fn a_list_that_repeats_a_layer_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("layer"), [0x1f, 0x8b, 8]).unwrap();
        let read = |layers: usize, images: usize| {
            let ids = vec![Digest::sha256_of(b""); layers];
            let config = json!({"rootfs": {"diff_ids": ids}});
            fs::write(place.path().join("config"), config.to_string()).unwrap();
            let image = json!({"Config": "config", "RepoTags": ["app:1"], "Layers": vec!["layer"; layers]});
            let list = json!(vec![image; images]).to_string();
            let files = Files::open(place.path()).unwrap();
            Docker::read(&files, list.as_bytes())
        };
        let two = read(2, 2).unwrap();
        assert_eq!((two.images.len(), two.made.len(), two.hashed.len()), (2, 1, 1));
        let error = read(60_000, 1).unwrap_err().to_string();
        assert!(error.contains("more layers than any image has"), "{error}");
        let error = read(1, MOST_IMAGES + 1).unwrap_err().to_string();
        assert!(error.contains("images"), "{error}");
    }
}
