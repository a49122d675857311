//! What a registry means: repositories, uploads, manifests, tags, referrers, deletion. No HTTP, no files.
//!
//! Everything here reads and writes the storage tree, the only source of truth. A cache entry is
//! either keyed by digest, and so immutable, or compared with the tree at every use.

mod again;
pub mod backup;
mod blobs;
mod cache;
mod catalog;
pub mod check;
pub mod collect;
mod conditions;
mod coordination;
pub mod copy;
mod damaged;
mod delete;
mod error;
mod events;
mod fallback_tags;
mod fallback_turns;
mod growth;
mod hashing;
mod history;
mod lease;
mod locks;
mod manifests;
mod overview;
mod patience;
mod plan;
mod precondition;
mod referrers;
mod registry;
pub mod retention;
mod rounds;
mod rules;
mod scrub;
mod sparse;
mod tag_rights;
mod transfer;
mod trash;
mod tree;
mod uploads;
mod words;

pub use blobs::{BlobInfo, OpenBlob};
pub use coordination::{Condemned, Pace, Run};
pub use error::{Error, MissingReference, ReferenceRole, Result};
pub use events::{
    Caller, CallerFacts, Event, EventKind, Origin, Pull, Pulled, RequestFacts, Subscriber, Surface,
};
pub use fallback_tags::{FallbackState, FallbackTag};
pub use growth::MeasuredDay;
pub use history::{History, PastManifest};
pub use lease::{Lease, LeaseHolder};
pub use manifests::{ManifestPush, PreparedManifest, PushedManifest};
pub use overview::{
    Attached, Attachments, ChildDetails, ImageDetails, ImageParts, ImageSummary, ManifestDetails, Order,
    PartDetails, PartsWanted, Place, PlaceError, PlatformSummary, RepositoriesWanted, RepositoryList,
    RepositoryRow, RepositorySight, RepositoryUsage, Search, SearchHit, SearchIn, SearchMatch, SearchPage,
    SearchPlace, TagList, TagRow, TagsWanted, UntaggedList, UntaggedRow, UntaggedWanted, Usage,
};
pub use plan::{
    Application, Applied, Deletion, Plan, PlannedBytes, PlannedManifest, PlannedTag, PullsOf, RetentionPage,
    Role, Staying, Stays,
};
pub use precondition::{Matching, Precondition};
pub use referrers::ReferrersPage;
pub use registry::{Options, Registry};
pub use rules::{Children, UrlRules};
pub use scrub::{Scrub, ScrubNumbers, ScrubOptions, ScrubRecord, ScrubRound, StandBack};
pub use sparse::SparseNames;
pub use tag_rights::{EveryTag, TagRights};
pub use trash::{
    DeletedKind, LeftAlone, Pointers, Pressure, Restored, TrashId, TrashIdError, TrashPage, TrashRecord,
    TrashSummary, TrashedEntry, TrashedLayer, TrashedLink, TrashedTag,
};
pub use tree::{link::LinkLookups, manifest::StoredManifest, tags::NamePage};
pub use uploads::UploadSession;
pub use words::MESSAGES;
