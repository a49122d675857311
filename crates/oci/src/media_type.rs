//! The media types of manifests, configurations and layers, and their properties.

/// Docker image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list: one image for several platforms.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, version 2, schema 1, unsigned. Readable, never accepted.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker image manifest, version 2, schema 1, signed. Readable, never accepted.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Configuration of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Layer of a Docker image.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Layer of a Docker image that is stored elsewhere and not pushed (Windows base layers).
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// Uncompressed form of [`DOCKER_FOREIGN_LAYER`].
pub const DOCKER_FOREIGN_LAYER_TAR: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI artifact manifest, of the 1.1 release candidates.
pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Configuration of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The two bytes `{}`, where an artifact needs no configuration.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Uncompressed layer of an OCI image.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Layer of an OCI image, compressed by gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Layer of an OCI image, compressed by Zstandard.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Layers of this type, with or without a compression suffix, may be missing from a registry.
pub const OCI_LAYER_NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// Bytes of no particular type: every blob.
pub const OCTET_STREAM: &str = "application/octet-stream";
/// JSON of no particular type: lists and errors.
pub const JSON: &str = "application/json";

/// The manifest media types that the registry understands and accepts, as clients send them in `Accept`.
pub const MANIFESTS: [&str; 5] = [
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_MANIFEST,
    OCI_INDEX,
    OCI_ARTIFACT,
];

/// Whether content of this type is a manifest, of any kind that registries know; letter case does not matter
/// (RFC 9110, section 8.3.1).
pub fn is_manifest(media_type: &str) -> bool {
    MANIFESTS
        .iter()
        .chain(&[DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED])
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// Whether a layer of this type may be missing from the registry: its licence keeps it elsewhere.
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type == DOCKER_FOREIGN_LAYER
        || media_type == DOCKER_FOREIGN_LAYER_TAR
        || media_type
            .strip_prefix(OCI_LAYER_NONDISTRIBUTABLE)
            .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('+'))
}

/// The media type of a `Content-Type` or of one member of an `Accept` header: without parameters and white space.
pub fn essence(header: &str) -> &str {
    header
        .split_once(';')
        .map_or(header, |(essence, _)| essence)
        .trim_matches([' ', '\t'])
}

/// Whether this is a media type as RFC 6838, section 4.2 writes it: `type/subtype`, at most 127 characters each.
/// Such a text is safe in a header.
pub fn is_valid(media_type: &str) -> bool {
    media_type
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_restricted_name(kind) && is_restricted_name(subtype))
}

fn is_restricted_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 127
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
        })
}
