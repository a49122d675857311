//! Images, lists, indexes and artifacts, made in memory, each with everything that its root reaches.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::wire::Request;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";

/// A manifest with its bytes as pushed.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `sha256:…` of the bytes.
    pub digest: String,
    /// What goes into `Content-Type`.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

impl Manifest {
    fn new(media_type: &str, document: &Value) -> Manifest {
        let bytes = serde_json::to_vec_pretty(document).expect("a JSON value has a text form");
        Manifest {
            digest: digest(&bytes),
            media_type: media_type.to_owned(),
            bytes,
        }
    }

    /// The bytes as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The descriptor that an index or a subject holds.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// Some content: its manifests, children before parents and the root last, and its blobs.
#[derive(Clone, Debug)]
pub struct Content {
    /// Children first; the last one is the root.
    pub manifests: Vec<Manifest>,
    /// Layers and configs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `…tar+gzip`.
    Gzip,
    /// `…tar+zstd`.
    Zstd,
}

impl Content {
    /// The manifest that a tag would name.
    #[must_use]
    pub fn root(&self) -> &Manifest {
        self.manifests.last().expect("content has a root")
    }

    /// Every digest with its bytes, manifests and blobs alike.
    #[must_use]
    pub fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = self.blobs.clone();
        all.extend(
            self.manifests
                .iter()
                .map(|manifest| (manifest.digest.clone(), manifest.bytes.clone())),
        );
        all
    }

    /// A Docker image (schema 2) of two layers, different for each `seed`.
    #[must_use]
    pub fn docker_image(seed: &str) -> Content {
        Content::image(
            seed,
            "amd64",
            DOCKER_MANIFEST,
            DOCKER_CONFIG,
            DOCKER_LAYER,
            Packing::Gzip,
        )
    }

    /// An OCI image of two layers.
    #[must_use]
    pub fn oci_image(seed: &str, packing: Packing) -> Content {
        let layer = if packing == Packing::Gzip {
            OCI_LAYER
        } else {
            OCI_LAYER_ZSTD
        };
        Content::image(seed, "amd64", OCI_MANIFEST, OCI_CONFIG, layer, packing)
    }

    /// A Docker manifest list with an image for each of two architectures.
    #[must_use]
    pub fn docker_list(seed: &str) -> Content {
        let architectures = ["amd64", "arm64"];
        let children = architectures.map(|architecture| {
            let seed = format!("{seed} {architecture}");
            Content::image(
                &seed,
                architecture,
                DOCKER_MANIFEST,
                DOCKER_CONFIG,
                DOCKER_LAYER,
                Packing::Gzip,
            )
        });
        let entries = children.iter().zip(architectures).map(|(child, architecture)| {
            with(
                child.root().descriptor(),
                "platform",
                json!({ "architecture": architecture, "os": "linux" }),
            )
        });
        let entries = entries.collect::<Vec<_>>();
        Content::index(children.to_vec(), DOCKER_LIST, &json!({ "manifests": entries }))
    }

    /// An OCI index of two platforms, each with an attestation beside it as `BuildKit` writes them.
    #[must_use]
    pub fn oci_index_with_attestations(seed: &str) -> Content {
        let mut children = Vec::new();
        let mut entries = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let seed = format!("{seed} {architecture}");
            let image = Content::image(
                &seed,
                architecture,
                OCI_MANIFEST,
                OCI_CONFIG,
                OCI_LAYER,
                Packing::Gzip,
            );
            let attestation = Content::attestation(&seed, &image.root().digest);
            entries.push(with(
                image.root().descriptor(),
                "platform",
                json!({ "architecture": architecture, "os": "linux" }),
            ));
            let entry = with(
                attestation.root().descriptor(),
                "platform",
                json!({ "architecture": "unknown", "os": "unknown" }),
            );
            entries.push(with(
                entry,
                "annotations",
                json!({
                    "vnd.docker.reference.type": "attestation-manifest",
                    "vnd.docker.reference.digest": image.root().digest,
                }),
            ));
            children.extend([image, attestation]);
        }
        Content::index(children, OCI_INDEX, &json!({ "manifests": entries }))
    }

    /// An artifact (an OCI manifest with an artifact type) that is about `subject`.
    #[must_use]
    pub fn artifact(seed: &str, artifact_type: &str, subject: Option<&Manifest>) -> Content {
        let (empty, payload) = (b"{}".to_vec(), format!("about {seed}\n").into_bytes());
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor(EMPTY_CONFIG, &empty),
            "layers": [descriptor("text/plain", &payload)],
            "annotations": { "org.opencontainers.image.title": seed },
        });
        if let Some(subject) = subject {
            document["subject"] = subject.descriptor();
        }
        Content {
            manifests: vec![Manifest::new(OCI_MANIFEST, &document)],
            blobs: [empty, payload]
                .into_iter()
                .map(|bytes| (digest(&bytes), bytes))
                .collect(),
        }
    }

    /// Writes an OCI image layout whose index names the root as `tag`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "development only: other programs read this directory"
    )]
    pub fn write_layout(&self, directory: &Path, tag: &str) -> std::io::Result<()> {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs)?;
        for (digest, bytes) in self.everything() {
            std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        }
        let named = with(
            self.root().descriptor(),
            "annotations",
            json!({ "org.opencontainers.image.ref.name": tag }),
        );
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named] });
        std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        std::fs::write(directory.join("index.json"), index.to_string())
    }

    /// Pushes everything over the wire as `name:tag` (an empty tag: the root by digest alone).
    ///
    /// # Panics
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
            let answer = request.send(authority).expect("the registry answers");
            assert_eq!(answer.status, 201, "PUT {name}:{reference}: {}", answer.text());
        }
    }

    fn image(
        seed: &str,
        architecture: &str,
        manifest_type: &str,
        config_type: &str,
        layer_type: &str,
        packing: Packing,
    ) -> Content {
        let archives =
            [("etc/greeting", seed), ("etc/architecture", architecture)].map(|(path, text)| tar(path, text));
        let layers = archives.each_ref().map(|archive| match packing {
            Packing::Gzip => gzip(archive),
            Packing::Zstd => zstd(archive),
        });
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": { "Labels": { "seed": seed } },
            "rootfs": { "type": "layers", "diff_ids": archives.each_ref().map(|archive| digest(archive)) },
            "history": layers.each_ref().map(|_| json!({ "created_by": "testkit" })),
        });
        let config = config.to_string().into_bytes();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": layers.each_ref().map(|layer| descriptor(layer_type, layer)),
        });
        Content {
            manifests: vec![Manifest::new(manifest_type, &document)],
            blobs: layers
                .into_iter()
                .chain([config])
                .map(|bytes| (digest(&bytes), bytes))
                .collect(),
        }
    }

    fn attestation(seed: &str, about: &str) -> Content {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": seed, "digest": { "sha256": about.trim_start_matches("sha256:") } }],
            "predicate": {},
        });
        let statement = statement.to_string().into_bytes();
        let config = json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [digest(&statement)] },
        });
        let config = config.to_string().into_bytes();
        let mut layer = descriptor("application/vnd.in-toto+json", &statement);
        layer["annotations"] = json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &config),
            "layers": [layer],
        });
        Content {
            manifests: vec![Manifest::new(OCI_MANIFEST, &document)],
            blobs: [statement, config]
                .into_iter()
                .map(|bytes| (digest(&bytes), bytes))
                .collect(),
        }
    }

    fn index(children: Vec<Content>, media_type: &str, fields: &Value) -> Content {
        let mut document = json!({ "schemaVersion": 2, "mediaType": media_type });
        document["manifests"] = fields["manifests"].clone();
        let mut content = Content {
            manifests: Vec::new(),
            blobs: BTreeMap::new(),
        };
        for child in children {
            content.manifests.extend(child.manifests);
            content.blobs.extend(child.blobs);
        }
        content.manifests.push(Manifest::new(media_type, &document));
        content
    }
}

/// Pushes one blob by POST and PUT.
///
/// # Panics
/// When the registry refuses it; the message shows its answer.
pub fn push_blob(authority: &str, name: &str, digest: &str, bytes: &[u8]) {
    let start = Request::new("POST", &format!("/v2/{name}/blobs/uploads/")).send(authority);
    let start = start.expect("the registry answers");
    assert_eq!(start.status, 202, "POST uploads of {name}: {}", start.text());
    let location = start.header("location").expect("an upload has a Location");
    let separator = if location.contains('?') { '&' } else { '?' };
    let finish = Request::new("PUT", &format!("{location}{separator}digest={digest}"))
        .header("Content-Type", "application/octet-stream")
        .body(bytes);
    let finish = finish.send(authority).expect("the registry answers");
    assert_eq!(
        finish.status,
        201,
        "PUT blob {digest} to {name}: {}",
        finish.text()
    );
}

/// `sha256:…` of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn with(mut value: Value, key: &str, field: Value) -> Value {
    value[key] = field;
    value
}

/// A POSIX `ustar` archive of one small file.
fn tar(path: &str, text: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", text.len()).as_bytes());
    put(136, b"14523456170\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());

    let mut archive = header.to_vec();
    archive.extend_from_slice(text.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// The simplest gzip stream: one stored block, which suffices below 64 KiB.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a stored block holds less than 64 KiB");
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    stream.extend_from_slice(&length.to_le_bytes());
    stream.extend_from_slice(&(!length).to_le_bytes());
    stream.extend_from_slice(bytes);
    stream.extend_from_slice(&crc32(bytes).to_le_bytes());
    stream.extend_from_slice(&u32::from(length).to_le_bytes());
    stream
}

/// The simplest Zstandard frame: a single segment with one raw block, which suffices below 64 KiB.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a raw block holds less than 64 KiB");
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&u32::from(length).to_le_bytes());
    frame.extend_from_slice(&((u32::from(length) << 3) | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(bytes);
    frame
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}
