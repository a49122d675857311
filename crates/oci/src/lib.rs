#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod artifact_kind;
mod descriptor;
mod digest;
mod error;
mod image_config;
mod manifest;
pub mod media_type;
mod name;
mod paging;
mod range;
mod reference;
mod route;
mod tag;
mod text;
mod upload_id;

pub use artifact_kind::{ArtifactKind, ArtifactKindError};
pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, DigestError, DigestText, Hasher, Hex};
pub use error::{ApiError, ErrorCode, error_body};
pub use image_config::{HistoryStep, ImageConfig, ImageConfigError, changed_parts, instruction};
pub use manifest::{
    MAX_DEPTH, ManifestError, ManifestKind, ManifestView, Omissions, is_referrers_tag, referrers_subject,
    referrers_tag,
};
pub use name::{NameError, RepoName};
pub use paging::{PageError, PageRequest, link, query_pairs, query_value};
pub use range::{ChunkRange, ChunkRangeError, MAX_RANGES, RangeRequest, parse_range};
pub use reference::{Reference, ReferenceError};
pub use route::{Route, RouteError, clean_path};
pub use tag::{Tag, TagError};
pub use upload_id::{UploadId, UploadIdError};
