//! What actors push: blobs, images, indexes and artifacts, the same bytes for the same seed.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::digest;

/// Docker's image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The short-lived OCI artifact manifest of the 1.1 release candidates, still found in the wild.
pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// The config of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Bytes with a media type: a layer or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The content.
    pub bytes: Bytes,
    /// SHA-256 of the content.
    pub digest: String,
    /// As a descriptor names it; the registry never sees it on its own.
    pub media_type: String,
}

impl Blob {
    /// `bytes`, of type `media_type`.
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: digest::sha256(&bytes),
            bytes,
            media_type: media_type.to_owned(),
        }
    }

    /// `length` bytes that do not compress, the same for the same `seed`.
    pub fn random(seed: u64, length: usize) -> Self {
        Self::new("application/octet-stream", noise(seed, length))
    }

    /// A small gzip-typed layer.
    pub fn layer(seed: u64) -> Self {
        Self::new(
            "application/vnd.oci.image.layer.v1.tar+gzip",
            noise(seed, 300 + (seed % 50) as usize),
        )
    }

    /// SHA-512 of the content.
    pub fn sha512(&self) -> String {
        digest::sha512(&self.bytes)
    }

    /// The same bytes with another type.
    pub fn of_type(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self
    }

    /// How a manifest refers to it.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// A manifest of any kind, with the exact bytes that are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The exact bytes.
    pub bytes: Bytes,
    /// SHA-256 of them.
    pub digest: String,
    /// What a client sends as `Content-Type`.
    pub media_type: String,
}

impl Manifest {
    /// The JSON `value` as this kit prints it: indented, the way docker does.
    pub fn new(media_type: &str, value: &Value) -> Self {
        Self::from_bytes(media_type, serde_json::to_vec_pretty(value).unwrap())
    }

    /// Exactly `bytes`.
    pub fn from_bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: digest::sha256(&bytes),
            bytes,
            media_type: media_type.to_owned(),
        }
    }

    /// SHA-512 of the bytes.
    pub fn sha512(&self) -> String {
        digest::sha512(&self.bytes)
    }

    /// The bytes, parsed.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// How an index or a `subject` refers to it.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }

    /// The tag under which clients keep referrers of this manifest where a registry has no API for
    /// them (distribution-spec, "Referrers Tag Schema").
    pub fn fallback_tag(&self) -> String {
        self.digest.replace(':', "-")
    }

    /// Another manifest with these members set; `null` removes one.
    pub fn with(&self, members: &Value) -> Self {
        let mut value = self.json();
        let object = value.as_object_mut().unwrap();
        for (name, member) in members.as_object().unwrap() {
            if member.is_null() {
                object.remove(name);
            } else {
                object.insert(name.clone(), member.clone());
            }
        }
        let media_type = value["mediaType"].as_str().unwrap_or(&self.media_type).to_owned();
        Self::new(&media_type, &value)
    }
}

/// An image with everything that its manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The config and the layers.
    pub blobs: Vec<Blob>,
    /// Refers to all of them.
    pub manifest: Manifest,
}

/// An index with the images that it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The children.
    pub images: Vec<Image>,
    /// Refers to all of them.
    pub manifest: Manifest,
}

/// What `docker push` sends: schema 2 with two layers.
pub fn docker(seed: u64) -> Image {
    let config = config(seed).of_type("application/vnd.docker.container.image.v1+json");
    let layers: Vec<Blob> = [seed ^ 0x11, seed ^ 0x22]
        .map(|seed| Blob::layer(seed).of_type("application/vnd.docker.image.rootfs.diff.tar.gzip"))
        .into();
    image(DOCKER_MANIFEST, config, layers)
}

/// What `BuildKit` sends: an OCI image with two layers.
pub fn oci(seed: u64) -> Image {
    image(
        OCI_MANIFEST,
        config(seed),
        vec![Blob::layer(seed ^ 0x11), Blob::layer(seed ^ 0x22)],
    )
}

/// An OCI image whose layers are compressed with zstd.
pub fn zstd(seed: u64) -> Image {
    let layer = Blob::layer(seed ^ 0x33).of_type("application/vnd.oci.image.layer.v1.tar+zstd");
    image(OCI_MANIFEST, config(seed), vec![layer])
}

/// A Docker manifest list for two platforms.
pub fn docker_list(seed: u64) -> Index {
    let images: Vec<Image> = vec![docker(seed ^ 0x100), docker(seed ^ 0x200)];
    index(DOCKER_LIST, images, &["amd64", "arm64"])
}

/// What `docker buildx build --provenance` sends: two platforms, and for each an attestation
/// manifest of platform `unknown/unknown`.
pub fn oci_index(seed: u64) -> Index {
    let platforms = [oci(seed ^ 0x100), oci(seed ^ 0x200)];
    let attestations: Vec<Image> = platforms
        .iter()
        .map(|of| {
            let statement = Blob::new(
                "application/vnd.in-toto+json",
                format!("{{\"subject\":\"{}\"}}", of.manifest.digest),
            );
            image(OCI_MANIFEST, config(seed ^ 0x300), vec![statement])
        })
        .collect();
    let images: Vec<Image> = platforms.into_iter().chain(attestations).collect();
    let mut index = index(OCI_INDEX, images, &["amd64", "arm64", "unknown", "unknown"]);
    let mut value = index.manifest.json();
    for position in [2, 3] {
        value["manifests"][position]["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": index.images[position - 2].manifest.digest,
        });
    }
    index.manifest = Manifest::new(OCI_INDEX, &value);
    index
}

/// An artifact of type `artifact_type`, a signature for example, that belongs to `subject`.
pub fn artifact(seed: u64, artifact_type: &str, subject: &Manifest) -> Image {
    let empty = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    let content = Blob::random(seed ^ 0x44, 120);
    let mut artifact = image(OCI_MANIFEST, empty, vec![content]);
    artifact.manifest = artifact.manifest.with(&json!({
        "artifactType": artifact_type,
        "subject": subject.descriptor(),
        "annotations": { "org.example.seed": seed.to_string() },
    }));
    artifact
}

/// A manifest of a media type that no registry has heard of, and that says so itself.
pub fn unheard_of(seed: u64) -> Manifest {
    let media_type = "application/vnd.example.mystery.v7+json";
    Manifest::new(
        media_type,
        &json!({ "mediaType": media_type, "schemaVersion": 2, "secret": seed }),
    )
}

/// An image of `media_type` with these parts.
pub fn image(media_type: &str, config: Blob, layers: Vec<Blob>) -> Image {
    let manifest = Manifest::new(
        media_type,
        &json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        }),
    );
    let mut blobs = vec![config];
    blobs.extend(layers);
    Image { blobs, manifest }
}

/// An index of `media_type` that lists `images`, each for linux and its architecture.
pub fn index(media_type: &str, images: Vec<Image>, architectures: &[&str]) -> Index {
    let manifests: Vec<Value> = images
        .iter()
        .zip(architectures)
        .map(|(image, architecture)| {
            let mut descriptor = image.manifest.descriptor();
            let os = if *architecture == "unknown" {
                "unknown"
            } else {
                "linux"
            };
            descriptor["platform"] = json!({ "architecture": architecture, "os": os });
            descriptor
        })
        .collect();
    let manifest = Manifest::new(
        media_type,
        &json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }),
    );
    Index { images, manifest }
}

fn config(seed: u64) -> Blob {
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "seed": seed.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    Blob::new(OCI_CONFIG, serde_json::to_vec(&config).unwrap())
}

/// Noise from a splitmix64 generator (Steele, Lea, Flood 2014).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        assert_eq!(oci_index(7), oci_index(7));
        assert_ne!(oci_index(7).manifest.digest, oci_index(8).manifest.digest);
        assert_eq!(Blob::random(1, 1001).bytes.len(), 1001);
    }
}
