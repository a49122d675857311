//! What a registry reads in a manifest: its media type, what it refers to, and what it is about.

mod json;
mod read;

use std::collections::BTreeMap;

pub use self::read::MAX_DEPTH;
use crate::{Descriptor, Digest, DigestError, Tag, media_type, text::Quoted};

/// What the registry needs to know of a manifest. The bytes themselves are kept and served as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestView {
    /// What it is; always valid as a header value.
    pub media_type: String,
    /// What that means to us.
    pub kind: ManifestKind,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact.
    pub layers: Vec<Descriptor>,
    /// The children of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// The field `artifactType`; see [`ManifestView::effective_artifact_type`].
    pub artifact_type: Option<String>,
    /// What the pusher wanted to say.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest's media type means to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// A Docker or OCI image: a configuration and layers.
    Image,
    /// A Docker manifest list or OCI index: other manifests.
    Index,
    /// An OCI artifact manifest of the 1.1 release candidates: blobs, which the view has as layers.
    Artifact,
    /// Docker's schema 1, which may be stored but is no longer accepted.
    Schema1,
    /// A JSON object of another media type. When pushed, it refers to nothing but its `subject`.
    Unknown,
}

impl ManifestKind {
    /// What a media type means; letter case does not matter (RFC 9110, section 8.3.1).
    pub fn of(media_type: &str) -> Self {
        let is = |known: &str| media_type.eq_ignore_ascii_case(known);
        if is(media_type::OCI_MANIFEST) || is(media_type::DOCKER_MANIFEST) {
            Self::Image
        } else if is(media_type::OCI_INDEX) || is(media_type::DOCKER_MANIFEST_LIST) {
            Self::Index
        } else if is(media_type::OCI_ARTIFACT) {
            Self::Artifact
        } else if is(media_type::DOCKER_SCHEMA1) || is(media_type::DOCKER_SCHEMA1_SIGNED) {
            Self::Schema1
        } else {
            Self::Unknown
        }
    }
}

impl ManifestView {
    /// Reads a manifest that is being pushed; `content_type` is the request's header, whose parameters are ignored.
    ///
    /// Strict, because other programs will read the same bytes and must find the same references in them:
    /// - it is one JSON object in UTF-8, nested at most [`MAX_DEPTH`] deep;
    /// - no key that we read occurs twice, or in another letter case, which Go's decoder would read as well;
    /// - the header and the field `mediaType` agree. One of them may be absent (or the header say only
    ///   `application/json` or `application/octet-stream`), but the Docker types and the OCI artifact need the field:
    ///   without it they would be served as something else, since the tree keeps no media types;
    /// - an image has a `config`, and neither an image nor an index has what belongs to the other (CVE-2021-41190);
    /// - `schemaVersion` of both is 2, and each descriptor has a media type, a digest that we can compute and a size.
    ///
    /// A media type that we do not know is accepted as [`ManifestKind::Unknown`]. When only the header names it, the stored
    /// bytes do not: they are served as an OCI image, as [`ManifestView::parse_stored`] reads them.
    pub fn parse_pushed(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        read::pushed(content_type, bytes)
    }

    /// Reads a manifest that is stored, by us or by `registry:2`.
    ///
    /// The media type is the field `mediaType`; without it, an index if there are `manifests`, schema 1 if
    /// `schemaVersion` says so, else an OCI image. Tolerant: what is missing is empty, what has the wrong type is
    /// missing, and a descriptor needs no more than a digest that we can compute. Everything that may be a reference
    /// is read, whatever the media type, so that nothing is collected which somebody may still need.
    ///
    /// Fails only when the bytes are not a JSON object.
    pub fn parse_stored(bytes: &[u8]) -> Result<Self, ManifestError> {
        read::stored(bytes)
    }

    /// What a referrers list says that this manifest is (distribution specification, "Listing Referrers"): its
    /// `artifactType`, else the media type of an image's configuration.
    pub fn effective_artifact_type(&self) -> Option<&str> {
        let own = self.artifact_type.as_deref().filter(|own| !own.is_empty());
        own.or_else(|| match (self.kind, &self.config) {
            (ManifestKind::Image, Some(config)) if !config.media_type.is_empty() => Some(&config.media_type),
            _ => None,
        })
    }

    /// This manifest's entry in the referrers list of its subject; `digest` and `size` are those of its bytes.
    pub fn descriptor(&self, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size,
            artifact_type: self.effective_artifact_type().map(str::to_owned),
            annotations: Some(self.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            urls: Vec::new(),
            platform: None,
        }
    }

    /// All blobs that it refers to: the configuration, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }
}

/// The tag under which clients of registries without a referrers API keep the list of what refers to `subject`
/// (distribution specification, "Referrers Tag Schema"): algorithm and digits, each cut to 32 and 64 characters.
pub fn referrers_tag(subject: &Digest) -> Tag {
    let hex = subject.hex();
    let end = hex.as_str().len().min(64);
    Tag::from_safe(&format!("{}-{}", subject.algorithm(), &hex.as_str()[..end]))
}

/// Why a manifest is not acceptable. Paths are written like `layers[3].digest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No bytes at all.
    #[error("the manifest is empty; send it as the body of the request")]
    Empty,
    /// Not UTF-8.
    #[error("the manifest is not JSON: byte {position} is not UTF-8")]
    NotUtf8 {
        /// The first bad byte, counted from 0.
        position: usize,
    },
    /// Nested deeper than any manifest is.
    #[error("the manifest is nested more than {limit} levels deep")]
    TooDeep {
        /// [`MAX_DEPTH`].
        limit: usize,
    },
    /// Not JSON, or followed by something.
    #[error("the manifest is not JSON: {message} at line {line} column {column}")]
    NotJson {
        /// What the JSON parser says.
        message: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 before the first byte of a line.
        column: usize,
    },
    /// JSON, but no object.
    #[error("a manifest is a JSON object, not {found}")]
    NotAnObject {
        /// What it is, such as `an array`.
        found: &'static str,
    },
    /// A key that we read occurs twice in one object.
    #[error("`{path}` occurs twice in the manifest; programs disagree on which one counts, so write it once")]
    DuplicateKey {
        /// Where.
        path: String,
    },
    /// A key is one that we read, but for letter case.
    #[error(
        "`{path}` in the manifest differs from `{known}` only in letter case; some programs would read it as that, so write `{known}` or rename it"
    )]
    KeyInOtherCase {
        /// Where.
        path: String,
        /// The key that we read.
        known: &'static str,
    },
    /// A value has the wrong JSON type.
    #[error("`{path}` in the manifest must be {expected}, not {found}")]
    WrongType {
        /// Where.
        path: String,
        /// What it must be, such as `a string`.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Something required is missing, null or empty.
    #[error("`{path}` is missing in the manifest")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// `schemaVersion` is neither 2 nor 1.
    #[error("`schemaVersion` of a manifest must be 2, not {}", Quoted(.got))]
    SchemaVersion {
        /// What it is, as JSON.
        got: String,
    },
    /// Docker's schema 1.
    #[error("schema 1 is not accepted any more; push with a Docker newer than 2017")]
    Schema1,
    /// Neither `Content-Type` nor `mediaType` says what it is.
    #[error(
        "neither the `Content-Type` of the request nor `mediaType` in the manifest says what it is; set one, such as `{}`",
        media_type::OCI_MANIFEST
    )]
    NoMediaType,
    /// What should be a media type is none.
    #[error("{} is not a media type; write one such as `{}`", Quoted(.media_type), media_type::OCI_MANIFEST)]
    InvalidMediaType {
        /// What was sent.
        media_type: String,
    },
    /// `Content-Type` and `mediaType` disagree.
    #[error(
        "the `Content-Type` {} of the request and the `mediaType` {} in the manifest differ; make them equal",
        Quoted(.content_type), Quoted(.media_type)
    )]
    MediaTypeMismatch {
        /// The header, without parameters.
        content_type: String,
        /// The field.
        media_type: String,
    },
    /// A media type that must stand in the manifest itself.
    #[error("`mediaType` is missing in the manifest; a `{media_type}` must name its type itself")]
    MediaTypeNotInside {
        /// The header, without parameters.
        media_type: String,
    },
    /// A field that belongs to the other kind of manifest.
    #[error(
        "the manifest is a `{media_type}` and cannot have `{key}`; programs disagree on what such a manifest is, so remove one or the other"
    )]
    MixedKinds {
        /// What it says it is.
        media_type: String,
        /// What it has nevertheless.
        key: &'static str,
    },
    /// A digest is malformed or of an algorithm that we cannot compute.
    #[error("`{path}` in the manifest: {source}")]
    Digest {
        /// Where.
        path: String,
        /// What is wrong with it.
        source: DigestError,
    },
    /// A size is no size.
    #[error("`{path}` in the manifest must be a whole number of bytes from 0 to 2^63 - 1, not {}", Quoted(.got))]
    Size {
        /// Where.
        path: String,
        /// What it is, as JSON.
        got: String,
    },
}

impl ManifestError {
    fn not_json(error: &serde_json::Error) -> Self {
        Self::NotJson {
            message: json::message(error),
            line: error.line(),
            column: error.column(),
        }
    }
}
