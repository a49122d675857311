//! The parts of a manifest that a registry reads: its media type, its references and its subject.

mod json;
mod read;

use std::{collections::BTreeMap, fmt};

pub use self::read::MAX_DEPTH;
use crate::{Algorithm, Descriptor, Digest, DigestError, Tag, media_type, text::Quoted};

/// The facts of a manifest that the registry needs. The bytes themselves are stored and served unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestView {
    /// Media type of the manifest; always valid as a header value.
    pub media_type: String,
    /// Kind of manifest that the media type stands for.
    pub kind: ManifestKind,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact.
    pub layers: Vec<Descriptor>,
    /// The entries of an index; see [`ManifestView::children`] and [`ManifestView::blobs`].
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// The field `artifactType`; see [`ManifestView::effective_artifact_type`].
    pub artifact_type: Option<String>,
    /// Annotations: free text by key.
    pub annotations: BTreeMap<String, String>,
    /// What its descriptors leave out.
    pub omissions: Omissions,
}

/// Media types and sizes that the descriptors of a manifest should have and leave out. They are empty and 0 there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Omissions {
    first: Option<String>,
    count: usize,
}

impl Omissions {
    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn note(&mut self, path: String) {
        self.first.get_or_insert(path);
        self.count += 1;
    }
}

/// Names the first value, and counts the others.
impl fmt::Display for Omissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first.as_deref().unwrap_or("nothing"))?;
        match self.count {
            0 | 1 => Ok(()),
            count => write!(f, " and {} more", count - 1),
        }
    }
}

/// The kinds of manifests that the registry distinguishes.
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
    /// The kind of a media type; letter case does not matter (RFC 9110, section 8.3.1).
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
    /// - no known key occurs twice, or in another letter case, which Go's decoder would read as well;
    /// - the header and the field `mediaType` agree. One of them may be absent (or the header say only
    ///   `application/json` or `application/octet-stream`), but the Docker types and the OCI artifact need the field:
    ///   without it they would be served as something else, since the tree keeps no media types;
    /// - an image has a `config`, and neither an image nor an index has what belongs to the other (CVE-2021-41190);
    /// - `schemaVersion` of both is 2, and each descriptor has a digest of a known algorithm. A media type or a size that
    ///   it leaves out is among the [`omissions`](Self::omissions); a wrong one is an error.
    ///
    /// An unknown media type is accepted as [`ManifestKind::Unknown`]. When only the header names it, the stored
    /// bytes do not: they are served as an OCI image, as [`ManifestView::parse_stored`] reads them.
    ///
    /// # Errors
    ///
    /// The first rule that the manifest breaks.
    pub fn parse_pushed(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        read::pushed(content_type, bytes)
    }

    /// Reads a stored manifest, of wharf or of `registry:2`.
    ///
    /// The media type is the field `mediaType`; without it, an index if there are `manifests`, schema 1 if
    /// `schemaVersion` says so, else an OCI image. Tolerant: a missing value is empty, a value of the wrong type is
    /// missing, and a descriptor needs no more than a digest of a known algorithm. Everything that may be a reference
    /// is read, whatever the media type, so that nothing is collected which an image may still need.
    ///
    /// # Errors
    ///
    /// Only when the bytes are not a JSON object.
    pub fn parse_stored(bytes: &[u8]) -> Result<Self, ManifestError> {
        read::stored(bytes)
    }

    /// The type of this manifest in a referrers list (distribution specification, "Listing Referrers"): its
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

    /// All blobs of the manifest: the configuration, the layers, then the entries of an index that are blobs.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let entries = self.manifests.iter().filter(|entry| entry.is_blob());
        self.config.iter().chain(&self.layers).chain(entries)
    }

    /// The children of an index: those of its entries that are manifests, or whose media type does not say.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| !entry.is_blob())
    }
}

/// The most digits in a [`referrers_tag`]; every known algorithm has as many, or more.
const REFERRERS_TAG_DIGITS: usize = 64;

/// The tag under which clients of registries without a referrers API keep the list of referrers of `subject`
/// (distribution specification, "Referrers Tag Schema"): algorithm and digits, each cut to 32 and 64 characters.
pub fn referrers_tag(subject: &Digest) -> Tag {
    let hex = subject.hex();
    let end = hex.as_str().len().min(REFERRERS_TAG_DIGITS);
    Tag::from_safe(&format!("{}-{}", subject.algorithm(), &hex.as_str()[..end]))
}

/// Whether `name` has the form of a [`referrers_tag`].
pub fn is_referrers_tag(name: &str) -> bool {
    name.split_once('-').is_some_and(|(algorithm, digits)| {
        digits.len() == REFERRERS_TAG_DIGITS
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && algorithm.parse::<Algorithm>().is_ok()
    })
}

/// The digest that a [`referrers_tag`] is made of; `None` when it is none, or when digits were cut off.
pub fn referrers_subject(tag: &Tag) -> Option<Digest> {
    if !is_referrers_tag(tag.as_str()) {
        return None;
    }
    let (algorithm, digits) = tag.as_str().split_once('-')?;
    format!("{algorithm}:{digits}").parse().ok()
}

/// Why a manifest is not acceptable. Paths are written like `layers[3].digest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The manifest has no bytes.
    #[error("the manifest is empty; send it as the body of the request")]
    Empty,
    /// The manifest is not UTF-8.
    #[error("the manifest is not JSON: byte {position} is not UTF-8")]
    NotUtf8 {
        /// Position of the first bad byte, counted from 0.
        position: usize,
    },
    /// The manifest is compressed.
    #[error(
        "the manifest is compressed by gzip, which no `Content-Encoding` can say here; send the JSON itself"
    )]
    Compressed,
    /// The manifest is nested too deeply.
    #[error("the manifest is nested more than {limit} levels deep")]
    TooDeep {
        /// Deepest nesting that is allowed: [`MAX_DEPTH`].
        limit: usize,
    },
    /// The manifest is not JSON, or is followed by more text.
    #[error("the manifest is not JSON: {message} at line {line} column {column}")]
    NotJson {
        /// Message of the JSON parser.
        message: String,
        /// Number of the line, counted from 1.
        line: usize,
        /// Number of the column, counted from 1; 0 before the first byte of a line.
        column: usize,
    },
    /// The manifest is JSON, but no object.
    #[error("a manifest is a JSON object, not {found}")]
    NotAnObject {
        /// Type of the value, such as `an array`.
        found: &'static str,
    },
    /// A known key occurs twice in one object.
    #[error("`{path}` occurs twice in the manifest; programs disagree on which one counts, so write it once")]
    DuplicateKey {
        /// Path of the value.
        path: String,
    },
    /// A key differs from a known key only in letter case.
    #[error(
        "`{path}` in the manifest differs from `{known}` only in letter case; some programs would read it as that, so write `{known}` or rename it"
    )]
    KeyInOtherCase {
        /// Path of the value.
        path: String,
        /// The known key.
        known: &'static str,
    },
    /// A value has the wrong JSON type.
    #[error("`{path}` in the manifest must be {expected}, not {found}")]
    WrongType {
        /// Path of the value.
        path: String,
        /// Type that the value must have, such as `a string`.
        expected: &'static str,
        /// Type that the value has.
        found: &'static str,
    },
    /// A required value is missing, null or empty.
    #[error("`{path}` is missing in the manifest")]
    Missing {
        /// Path of the missing value.
        path: String,
    },
    /// `schemaVersion` is neither 2 nor 1.
    #[error("`schemaVersion` of a manifest must be 2, not {}", Quoted(.got))]
    SchemaVersion {
        /// The value, as JSON.
        got: String,
    },
    /// Docker's schema 1.
    #[error("schema 1 is not accepted any more; push with a Docker newer than 2017")]
    Schema1,
    /// Neither `Content-Type` nor `mediaType` names the media type.
    #[error(
        "neither the `Content-Type` of the request nor `mediaType` in the manifest says what it is; set one, such as `{}`",
        media_type::OCI_MANIFEST
    )]
    NoMediaType,
    /// The text of a media type is not one.
    #[error("{} is not a media type; write one such as `{}`", Quoted(.media_type), media_type::OCI_MANIFEST)]
    InvalidMediaType {
        /// Text that the client sent.
        media_type: String,
    },
    /// `Content-Type` and `mediaType` disagree.
    #[error(
        "the `Content-Type` {} of the request and the `mediaType` {} in the manifest differ; make them equal",
        Quoted(.content_type), Quoted(.media_type)
    )]
    MediaTypeMismatch {
        /// Value of the header, without parameters.
        content_type: String,
        /// Value of the field.
        media_type: String,
    },
    /// The manifest itself must name its media type, and does not.
    #[error("`mediaType` is missing in the manifest; a `{media_type}` must name its type itself")]
    MediaTypeNotInside {
        /// Value of the header, without parameters.
        media_type: String,
    },
    /// The manifest has a field of another kind of manifest.
    #[error(
        "the manifest is a `{media_type}` and cannot have `{key}`; programs disagree on what such a manifest is, so remove one or the other"
    )]
    MixedKinds {
        /// Media type of the manifest.
        media_type: String,
        /// Key of the field that it cannot have.
        key: &'static str,
    },
    /// A digest is malformed or of an unsupported algorithm.
    #[error("`{path}` in the manifest: {reason}")]
    Digest {
        /// Path of the value.
        path: String,
        /// Reason why it is not a digest.
        reason: DigestError,
    },
    /// A size is not a valid number of bytes.
    #[error("`{path}` in the manifest must be a whole number of bytes from 0 to 2^63 - 1, not {}", Quoted(.got))]
    Size {
        /// Path of the value.
        path: String,
        /// The value, as JSON.
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
