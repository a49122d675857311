//! Content for other programs: every manifest and blob that a root reaches, pushed or written to disk.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use serde_json::json;

use crate::{
    image::{Image, Index, Manifest, OCI_INDEX},
    wire::Request,
};

/// A root with everything that it reaches.
#[derive(Clone, Debug)]
pub struct Content {
    /// Manifests, children before parents; the last one is the root.
    pub manifests: Vec<Manifest>,
    /// Layers and configs by digest.
    pub blobs: BTreeMap<String, Bytes>,
}

impl Content {
    /// All of an image or an index.
    pub fn of(root: impl Into<Self>) -> Self {
        root.into()
    }

    /// The manifest that a tag would name.
    pub fn root(&self) -> &Manifest {
        self.manifests.last().unwrap()
    }

    /// Every digest with its bytes, manifests and blobs alike.
    pub fn everything(&self) -> BTreeMap<String, Bytes> {
        let mut all = self.blobs.clone();
        all.extend(
            self.manifests
                .iter()
                .map(|manifest| (manifest.digest.clone(), manifest.bytes.clone())),
        );
        all
    }

    /// Writes an OCI image layout whose index names the root as `tag`.
    pub fn write_layout(&self, directory: &Path, tag: &str) {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        for (digest, bytes) in self.everything() {
            std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        }
        let mut named = self.root().descriptor();
        named["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named] });
        std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    }

    /// Pushes everything over the wire as `name:tag` (an empty tag: the root by digest alone).
    ///
    /// # Panics
    ///
    /// When the registry refuses a part; the message shows its answer.
    pub fn push(&self, authority: &str, name: &str, tag: &str) {
        for (digest, bytes) in &self.blobs {
            push_blob(authority, name, digest, bytes);
        }
        for manifest in &self.manifests {
            let is_root = manifest.digest == self.root().digest;
            let reference = if is_root && !tag.is_empty() {
                tag
            } else {
                &manifest.digest
            };
            let request = Request::new("PUT", &format!("/v2/{name}/manifests/{reference}"))
                .header("Content-Type", &manifest.media_type)
                .body(manifest.bytes.clone());
            let answer = request.send(authority).unwrap();
            assert_eq!(answer.status, 201, "PUT {name}:{reference}: {}", answer.text());
        }
    }
}

impl From<Image> for Content {
    fn from(image: Image) -> Self {
        let blobs = image.blobs.into_iter();
        Self {
            manifests: vec![image.manifest],
            blobs: blobs.map(|blob| (blob.digest, blob.bytes)).collect(),
        }
    }
}

impl From<Index> for Content {
    fn from(index: Index) -> Self {
        let mut content = Self {
            manifests: Vec::new(),
            blobs: BTreeMap::new(),
        };
        for child in index.images.into_iter().map(Self::from) {
            content.manifests.extend(child.manifests);
            content.blobs.extend(child.blobs);
        }
        content.manifests.push(index.manifest);
        content
    }
}

/// Pushes one blob by POST and PUT.
///
/// # Panics
///
/// When the registry refuses it; the message shows its answer.
pub fn push_blob(authority: &str, name: &str, digest: &str, bytes: &[u8]) {
    let start = Request::new("POST", &format!("/v2/{name}/blobs/uploads/"));
    let start = start.send(authority).unwrap().expect(202);
    let location = start.header("location").unwrap();
    let finish = Request::new("PUT", &crate::client::with_digest(location, digest))
        .header("Content-Type", "application/octet-stream")
        .body(bytes);
    finish.send(authority).unwrap().expect(201);
}
