//! Content for pushes: blobs, images, indexes and artifacts, the same bytes for the same seed.

use std::fmt::Display;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{archive, digest};

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
/// The media types of manifests.
pub const MANIFESTS: [&str; 5] = [
    DOCKER_MANIFEST,
    DOCKER_LIST,
    OCI_MANIFEST,
    OCI_INDEX,
    OCI_ARTIFACT,
];
/// The description of a build cache, by which `BuildKit` finds its layers.
pub const BUILDKIT_CACHE: &str = "application/vnd.buildkit.cacheconfig.v0";
/// The config of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Bytes with a media type: a layer or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Bytes of the blob.
    pub bytes: Bytes,
    /// SHA-256 of the content.
    pub digest: String,
    /// Media type in descriptors; the registry never gets it separately.
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
    /// SHA-256 of the bytes.
    pub digest: String,
    /// Value of `Content-Type` in a push.
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
    /// Manifest that refers to all of them.
    pub manifest: Manifest,
}

/// An index with the images that it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Images that the index lists.
    pub images: Vec<Image>,
    /// Manifest that refers to all of them.
    pub manifest: Manifest,
}

/// The media types of an image, and how its layers are packed.
struct Format {
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
    pack: fn(&[u8]) -> Vec<u8>,
}

const DOCKER: Format = Format {
    manifest: DOCKER_MANIFEST,
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    pack: archive::gzip,
};

const OCI: Format = Format {
    manifest: OCI_MANIFEST,
    config: OCI_CONFIG,
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
    pack: archive::gzip,
};

const OCI_ZSTD: Format = Format {
    layer: "application/vnd.oci.image.layer.v1.tar+zstd",
    pack: archive::zstd,
    ..OCI
};

/// An image as `docker push` sends it: schema 2 with two layers.
pub fn docker(seed: impl Display) -> Image {
    built(&DOCKER, seed, "amd64")
}

/// An image as `BuildKit` sends it: an OCI image with two layers.
pub fn oci(seed: impl Display) -> Image {
    built(&OCI, seed, "amd64")
}

/// An OCI image whose layers are compressed with zstd.
pub fn zstd(seed: impl Display) -> Image {
    built(&OCI_ZSTD, seed, "amd64")
}

/// A Docker manifest list for two platforms.
pub fn docker_list(seed: impl Display) -> Index {
    let (seed, architectures) = (format!("{seed} listed"), ["amd64", "arm64"]);
    let images = architectures.map(|architecture| built(&DOCKER, &seed, architecture));
    index(DOCKER_LIST, images.into(), &architectures)
}

/// An index as `docker buildx build --provenance` sends it: two platforms, and for each an attestation
/// manifest of platform `unknown/unknown`.
pub fn oci_index(seed: impl Display) -> Index {
    let (seed, architectures) = (format!("{seed} listed"), ["amd64", "arm64"]);
    let platforms = architectures.map(|architecture| built(&OCI, &seed, architecture));
    let attestations = platforms.each_ref().map(|of| attestation(&seed, &of.manifest));
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

/// The cache of a build as `BuildKit` sends it (`--export-cache type=registry`): an index of `media_type`, the OCI one or
/// Docker's, whose entries are the layers of the cache and its description, all of them blobs.
pub fn buildkit_cache(seed: impl Display, media_type: &str) -> Image {
    let format = if media_type == DOCKER_LIST { &DOCKER } else { &OCI };
    let tars = ["source", "result"].map(|name| archive::tar(name, &format!("{name} {seed}")));
    let layers = tars
        .each_ref()
        .map(|tar| Blob::new(format.layer, archive::gzip(tar)));
    let records = json!({
        "layers": [
            { "blob": layers[0].digest, "parent": -1 },
            { "blob": layers[1].digest, "parent": 0 },
        ],
        "records": [{ "digest": digest::sha256(seed.to_string().as_bytes()), "layers": [{ "layer": 1 }] }],
    });
    let records = Blob::new(BUILDKIT_CACHE, records.to_string());
    let mut entries: Vec<Value> = layers.iter().map(Blob::descriptor).collect();
    for (entry, tar) in entries.iter_mut().zip(&tars) {
        entry["annotations"] = json!({ "containerd.io/uncompressed": digest::sha256(tar) });
    }
    entries.push(records.descriptor());
    let manifest = Manifest::new(
        media_type,
        &json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries }),
    );
    let blobs = layers.into_iter().chain([records]).collect();
    Image { blobs, manifest }
}

/// An artifact of type `artifact_type`, a signature for example, that belongs to `subject`.
pub fn artifact(seed: impl Display, artifact_type: &str, subject: &Manifest) -> Image {
    let empty = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    let content = Blob::new("text/plain", format!("about {seed}\n"));
    let mut artifact = image(OCI_MANIFEST, empty, vec![content]);
    artifact.manifest = artifact.manifest.with(&json!({
        "artifactType": artifact_type,
        "subject": subject.descriptor(),
        "annotations": { "org.example.seed": seed.to_string() },
    }));
    artifact
}

/// A manifest of a media type that no registry knows, named in its field `mediaType`.
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

/// An image of two layers, each an archive of one small file.
fn built(format: &Format, seed: impl Display, architecture: &str) -> Image {
    let archives = ["greeting", "farewell"]
        .map(|name| archive::tar(&format!("etc/{name}"), &format!("{name} {seed} {architecture}")));
    let layers = archives
        .each_ref()
        .map(|archive| Blob::new(format.layer, (format.pack)(archive)));
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": { "Labels": { "seed": seed.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": archives.each_ref().map(|archive| digest::sha256(archive)) },
        "history": layers.each_ref().map(|_| json!({ "created_by": "testkit" })),
    });
    image(
        format.manifest,
        Blob::new(format.config, config.to_string()),
        layers.into(),
    )
}

/// The provenance of `subject`, as `BuildKit` writes it.
fn attestation(seed: impl Display, subject: &Manifest) -> Image {
    let hex = subject.digest.trim_start_matches("sha256:");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{ "name": seed.to_string(), "digest": { "sha256": hex } }],
        "predicate": {},
    });
    let statement = Blob::new("application/vnd.in-toto+json", statement.to_string());
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [statement.digest] },
    });
    let mut attestation = image(
        OCI_MANIFEST,
        Blob::new(OCI_CONFIG, config.to_string()),
        vec![statement],
    );
    let mut layers = attestation.manifest.json()["layers"].take();
    layers[0]["annotations"] = json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
    attestation.manifest = attestation.manifest.with(&json!({ "layers": layers }));
    attestation
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
