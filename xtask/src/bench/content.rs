//! Content of pushes and pulls: incompressible blobs, and small images made of them.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Bytes with their digest as text, `sha256:<hex>`.
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: String,
}

impl Blob {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let digest = digest_text(Sha256::new_with_prefix(&bytes));
        Self { bytes, digest }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// An image whose blobs no other image shares.
pub(crate) struct Image {
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Blob>,
    pub(crate) manifest: Blob,
}

impl Image {
    /// A config of about 1 KiB, one layer of 4 KiB and their manifest; another one for each `seed`.
    pub(crate) fn small(seed: u64) -> Self {
        Self::of_layers(seed, 1, 4096)
    }

    /// An image with `count` layers of `size` bytes, which take the seeds from `seed` on.
    pub(crate) fn of_layers(seed: u64, count: u64, size: usize) -> Self {
        let layers: Vec<_> = (seed..seed + count)
            .map(|seed| Blob::new(noise(seed, size)))
            .collect();
        let environment: Vec<_> = (0..8)
            .map(|n| format!("VARIABLE_{n}=the value number {n} of image {seed}, as long as usual"))
            .collect();
        let digests: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": { "Env": environment, "Cmd": ["/bin/service", "--serve"], "WorkingDir": "/srv" },
            "rootfs": { "type": "layers", "diff_ids": digests },
            "history": [{ "created": "2026-01-01T00:00:00Z", "created_by": "COPY service /bin/service" }],
        });
        let config = Blob::new(config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.descriptor(CONFIG_TYPE),
            "layers": layers.iter().map(|layer| layer.descriptor(LAYER_TYPE)).collect::<Vec<_>>(),
        });
        let manifest = Blob::new(manifest.to_string().into_bytes());
        Self {
            config,
            layers,
            manifest,
        }
    }
}

/// Many big blobs that differ in their last bytes only, so that making one costs no hashing of the whole.
pub(crate) struct BigBlobs {
    prefix: Vec<u8>,
    state: Sha256,
}

/// One of `BigBlobs`: the shared bytes are followed by `tail`.
pub(crate) struct BigBlob<'a> {
    pub(crate) prefix: &'a [u8],
    pub(crate) tail: [u8; 16],
    pub(crate) digest: String,
}

impl BigBlobs {
    /// Blobs of `size` bytes, at least 16.
    pub(crate) fn new(size: usize) -> Self {
        let prefix = noise(0, size.saturating_sub(16));
        let state = Sha256::new_with_prefix(&prefix);
        Self { prefix, state }
    }

    pub(crate) fn get(&self, number: u64) -> BigBlob<'_> {
        let mut tail = [0; 16];
        tail[..8].copy_from_slice(&number.to_be_bytes());
        BigBlob {
            prefix: &self.prefix,
            tail,
            digest: digest_text(self.state.clone().chain_update(tail)),
        }
    }
}

fn digest_text(hasher: Sha256) -> String {
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Bytes that no file system or wire can compress, always the same for one `seed` (splitmix64).
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
