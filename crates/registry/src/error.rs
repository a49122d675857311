//! Why the registry refuses, or fails to do, what it is asked. Each text says what to do about it.

use wharf_budget::Exhausted;
use wharf_message::{Argument, Code, Message, Names, Sentence};
use wharf_oci::{Digest, NameError, RepoName, Tag, UploadId};
use wharf_storage::{ErrorKind, Obstacle};

use crate::trash::record::TrashId;

/// The result of a registry operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository has no such blob.
    #[error("blob `{digest}` is not in this repository; push it first, or mount it from another one")]
    BlobUnknown {
        /// Digest that the client asked for.
        digest: Digest,
    },
    /// There is no such upload, or no longer.
    #[error("upload `{id}` does not exist: it was finished, cancelled, or it expired; start a new one")]
    UploadUnknown {
        /// Identifier that the client asked for.
        id: UploadId,
    },
    /// Another request is writing to that upload.
    #[error(
        "another request is writing to upload `{id}`; wait for it to end, then ask for the upload's state"
    )]
    UploadBusy {
        /// Identifier that the client asked for.
        id: UploadId,
    },
    /// The upload came in as many pieces as the store can make one blob of.
    #[error(
        "the store cannot make one blob of as many pieces as the bytes of upload `{id}` came in; start a new upload, and send the blob in one request that says its `Content-Length`, or in larger chunks"
    )]
    TooManyChunks {
        /// Identifier that the client asked for.
        id: UploadId,
    },
    /// The pushed bytes do not have their digest.
    #[error(
        "the {size} bytes received have digest `{actual}`, not `{expected}`; nothing was stored, push again"
    )]
    DigestMismatch {
        /// Digest that the client named.
        expected: Digest,
        /// Digest of the bytes that the client sent.
        actual: Digest,
        /// How many bytes the client sent.
        size: u64,
    },
    /// The repository has no such manifest or tag.
    #[error("manifest `{reference}` is not in repository `{name}`{}", hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    ManifestUnknown {
        /// Repository that was searched.
        name: RepoName,
        /// The tag or digest that was asked for.
        reference: String,
        /// Hint to what the client may have meant.
        hint: Option<String>,
    },
    /// The tag never pointed at the manifest to which it is to go back.
    #[error(
        "tag `{tag}` of repository `{name}` never pointed at `{digest}`; its history has the manifests to which it can go back"
    )]
    NotInHistory {
        /// Repository of the tag.
        name: RepoName,
        /// Tag that is to go back.
        tag: Tag,
        /// Digest that the client named.
        digest: Digest,
    },
    /// There is no record of that deletion in the trash, or no longer.
    #[error(
        "there is no deletion `{id}` in the trash: it was restored, or it is older than `trash.retention`; `wharf trash ls` lists those that are there"
    )]
    TrashUnknown {
        /// Identifier that was asked for.
        id: TrashId,
    },
    /// The record of a deletion cannot be read.
    #[error(
        "the record of the deletion `{id}` cannot be read: {why}; nothing that it may keep is removed: mend the file `wharf/trash/{id}.json` in the store, or give the deletion up with `wharf trash empty {id}`"
    )]
    TrashDamaged {
        /// Identifier of the record.
        id: TrashId,
        /// What is wrong with it.
        why: String,
    },
    /// The manifest cannot be accepted as it is.
    #[error("{reason}")]
    ManifestInvalid {
        /// Description of the fault and its remedy.
        reason: String,
    },
    /// The manifest is too large.
    #[error(
        "the manifest is larger than {limit} bytes; large content belongs in a blob that the manifest names"
    )]
    ManifestTooLarge {
        /// Largest size that is accepted, in bytes.
        limit: usize,
    },
    /// The manifest names content that the repository does not have. All of it is listed.
    #[error("the manifest names {} object(s) that are not in this repository; push them first", .0.len())]
    ManifestReferencesUnknown(Vec<MissingReference>),
    /// There is no such repository.
    #[error("repository `{name}` does not exist; the first push creates it")]
    NameUnknown {
        /// Name that the client asked for.
        name: RepoName,
    },
    /// The name of a repository that a parameter gave is not one.
    #[error(transparent)]
    NameInvalid(#[from] NameError),
    /// Deleting is switched off.
    #[error("deleting is switched off; set `storage.delete.enabled: true` in the configuration to allow it")]
    DeleteDisabled,
    /// A tagged index needs the manifest (decision D4).
    #[error("manifest `{digest}` is needed by {}", needing(indexes, *hides, *may_force))]
    NeededByIndex {
        /// Manifest that the client wanted to delete.
        digest: Digest,
        /// The tagged indexes that need it, as `name:tag`.
        indexes: Vec<String>,
        /// Whether images with tags that are hidden from the client need it too.
        hides: bool,
        /// Whether the client may delete it all the same.
        may_force: bool,
    },
    /// A tagged manifest needs the blob (decision D4).
    #[error("blob `{digest}` is needed by {}", needing(manifests, *hides, *may_force))]
    BlobNeeded {
        /// Blob that the client wanted to delete.
        digest: Digest,
        /// The tagged manifests that need it, as `name:tag`.
        manifests: Vec<String>,
        /// Whether images with tags that are hidden from the client need it too.
        hides: bool,
        /// Whether the client may delete it all the same.
        may_force: bool,
    },
    /// The manifest that the client relied on is not the one that is there.
    #[error(
        "`{reference}` {}, which is not what the condition of the request (`If-Match` or `If-None-Match`) asks for; nothing was changed; \
         look at it again, and push again",
        current.map_or_else(|| "does not exist".to_owned(), |digest| format!("is manifest `{digest}`"))
    )]
    PreconditionFailed {
        /// Tag or digest that the client wanted to push.
        reference: String,
        /// Digest of the manifest that is there.
        current: Option<Digest>,
    },
    /// The client may create tags, and this one exists.
    #[error(
        "tag `{tag}` exists, and is manifest `{current}`: the client may create tags here, and not move them; push under another tag"
    )]
    TagExists {
        /// The tag, as `name:tag`.
        tag: String,
        /// Digest of the manifest that it names.
        current: Digest,
    },
    /// The client may not delete a tag that would go with the manifest.
    #[error(
        "{} would go with the manifest, and the client has no right to delete that tag; nothing was deleted",
        tag.as_ref().map_or_else(|| "a tag that the client may not see".to_owned(), |tag| format!("tag `{tag}`"))
    )]
    TagDenied {
        /// The tag; `None`: the client may not see it.
        tag: Option<Tag>,
    },
    /// The plan of a deletion is not the one that the client has seen.
    #[error(
        "the deletion would remove something else than the plan that the client has seen, because the repository has changed; \
         nothing was deleted; look at the new plan, `{current}`, and decide anew"
    )]
    PlanChanged {
        /// Identifier of the plan that is made now.
        current: Digest,
    },
    /// Retention would take more of the tags of a repository than one run may.
    #[error("{why}; nothing was deleted; look at the plan, and allow it if it is what you want")]
    TooManyTags {
        /// How many would go, and how many may.
        why: Sentence,
    },
    /// To sort a list by time, more tags or repositories would have to be looked at than one request may.
    #[error(
        "to sort this list by time, more tags or repositories would have to be looked at than one request may; sort it by `name`, or let fewer of them match"
    )]
    TooManyToSort,
    /// A deletion that had begun to remove pointers failed.
    #[error(
        "the deletion ended early; what was deleted is in the trash as `{record}`, and the same deletion removes the rest"
    )]
    DeletionInterrupted {
        /// Record of the whole deletion; what it names may still be there.
        record: TrashId,
        /// Why it ended.
        #[source]
        source: Box<Error>,
    },
    /// Garbage cannot be removed beside the processes that use the store.
    #[error("nothing is collected: {0}")]
    NotCollectable(Obstacle),
    /// The request would have to wait for too long, because too many others do the same.
    #[error("{reason}; try again in a moment")]
    Busy {
        /// What it would have to wait for.
        reason: &'static str,
    },
    /// A share of the budget is used up.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] wharf_storage::Error),
}

/// Content that a manifest names and the repository does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingReference {
    /// Digest of the content.
    pub digest: Digest,
    /// Role of the content in the manifest.
    pub role: ReferenceRole,
    /// Whether the store has damaged bytes under that digest: pushing the blob again heals it.
    pub damaged: bool,
    /// Whether the manifest says that the content is stored elsewhere, by its media type or by URLs.
    pub is_foreign: bool,
}

/// The role of a descriptor in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceRole {
    /// The configuration of an image.
    Config,
    /// A layer of an image, or a blob of an artifact.
    Layer,
    /// A child of an index.
    Manifest,
    /// An entry of an index that is a blob by its media type, as in BuildKit's cache.
    ListedBlob,
}

impl ReferenceRole {
    /// Whether the content may be a foreign layer, which is stored elsewhere.
    pub(crate) fn may_be_elsewhere(self) -> bool {
        matches!(self, Self::Layer | Self::ListedBlob)
    }

    /// Whether an index lists the content.
    pub(crate) fn is_entry(self) -> bool {
        matches!(self, Self::Manifest | Self::ListedBlob)
    }
}

impl std::fmt::Display for ReferenceRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Manifest => "manifest",
            Self::ListedBlob => "blob",
        })
    }
}

impl std::fmt::Display for MissingReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            digest,
            role,
            damaged,
            is_foreign,
        } = self;
        write!(f, "{role} `{digest}` ")?;
        f.write_str(match role {
            _ if *damaged => "is damaged in the store; push it again to heal it",
            ReferenceRole::Layer | ReferenceRole::ListedBlob if *is_foreign => {
                "is not in this repository, and the manifest says that it is stored elsewhere; push it all the same \
                 (docker does with `allow-nondistributable-artifacts` in its configuration), or let the registry's operator \
                 allow its URLs with `validation.manifests.urls.allow`"
            }
            ReferenceRole::Manifest => {
                "is not in this repository; push it before the manifest, or let the registry's operator accept indexes \
                 without all of their children with `validation.manifests.indexes.platforms`"
            }
            ReferenceRole::Config | ReferenceRole::Layer | ReferenceRole::ListedBlob => {
                "is not in this repository; push it before the manifest"
            }
        })
    }
}

impl Error {
    /// The codes of the errors that [`sentence`](Self::sentence) knows.
    pub const CODES: &[Code] = &[
        code("refused.manifest-unknown", &["name", "reference"]),
        code("refused.not-in-history", &["name", "tag", "digest"]),
        code("refused.trash-unknown", &["id"]),
        code("refused.trash-damaged", &["id", "why"]),
        code("refused.name-unknown", &["name"]),
        code("refused.delete-disabled", &[]),
        code("refused.needed-by-index", &["digest", "indexes"]),
        code("refused.needed-by-hidden", &["digest"]),
        code("refused.tag-exists", &["tag", "current"]),
        code("refused.tag-denied", &["tag"]),
        code("refused.hidden-tag-denied", &[]),
        code("refused.plan-changed", &["current"]),
        code("refused.too-many-tags", &[]),
        code("refused.too-many-to-sort", &[]),
        code("refused.interrupted", &["record"]),
        code("refused.busy", &[]),
    ];

    /// The error in words. Those that people meet who look at a registry, and delete from it, have a code of their own.
    pub fn sentence(&self) -> Sentence {
        let messages = match self {
            Self::ManifestUnknown { name, reference, .. } => vec![
                Message::new("refused.manifest-unknown")
                    .with("name", Argument::text(name))
                    .with("reference", Argument::text(reference)),
            ],
            Self::NotInHistory { name, tag, digest } => vec![
                Message::new("refused.not-in-history")
                    .with("name", Argument::text(name))
                    .with("tag", Argument::text(tag))
                    .with("digest", Argument::text(digest)),
            ],
            Self::TrashUnknown { id } => {
                vec![Message::new("refused.trash-unknown").with("id", Argument::text(id))]
            }
            Self::TrashDamaged { id, why } => vec![
                Message::new("refused.trash-damaged")
                    .with("id", Argument::text(id))
                    .with("why", Argument::english(why)),
            ],
            Self::NameUnknown { name } => {
                vec![Message::new("refused.name-unknown").with("name", Argument::text(name))]
            }
            Self::DeleteDisabled => vec![Message::new("refused.delete-disabled")],
            Self::NeededByIndex { digest, indexes, .. } if indexes.is_empty() => {
                vec![Message::new("refused.needed-by-hidden").with("digest", Argument::text(digest))]
            }
            Self::NeededByIndex { digest, indexes, .. } => vec![
                Message::new("refused.needed-by-index")
                    .with("digest", Argument::text(digest))
                    .with(
                        "indexes",
                        Argument::texts(&indexes.iter().take(LISTED).collect::<Names>()),
                    ),
            ],
            Self::TagExists { tag, current } => vec![
                Message::new("refused.tag-exists")
                    .with("tag", Argument::text(tag))
                    .with("current", Argument::text(current)),
            ],
            Self::TagDenied { tag: Some(tag) } => {
                vec![Message::new("refused.tag-denied").with("tag", Argument::text(tag))]
            }
            Self::TagDenied { tag: None } => vec![Message::new("refused.hidden-tag-denied")],
            Self::PlanChanged { current } => {
                vec![Message::new("refused.plan-changed").with("current", Argument::text(current))]
            }
            Self::TooManyTags { why } => {
                let own = Message::new("refused.too-many-tags");
                why.messages().iter().cloned().chain([own]).collect()
            }
            Self::TooManyToSort => vec![Message::new("refused.too-many-to-sort")],
            Self::DeletionInterrupted { record, .. } => {
                vec![Message::new("refused.interrupted").with("record", Argument::text(record))]
            }
            Self::Busy { .. } | Self::Exhausted(_) => vec![Message::new("refused.busy")],
            other => return other.to_string().into(),
        };
        Sentence::of(self.to_string(), messages)
    }

    /// The kind of the store's error, if the cause is the store and not the request.
    pub fn storage_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Storage(error) => Some(error.kind()),
            Self::DeletionInterrupted { source, .. } => source.storage_kind(),
            _ => None,
        }
    }
}

const fn code(code: &'static str, arguments: &'static [&'static str]) -> Code {
    Code { code, arguments }
}

/// How many names a text lists.
const LISTED: usize = 10;

/// What needs something that is to be deleted, and the remedy that this client has.
fn needing(names: &[String], hides: bool, may_force: bool) -> String {
    const HIDDEN: &str = "an image with a tag that the client may not see";
    let by = match (hides, names) {
        (false, names) => some(names),
        (true, []) => HIDDEN.to_owned(),
        (true, names) => format!("{}, and by {HIDDEN}", some(names)),
    };
    let remedy = match (hides, may_force) {
        (false, true) => "delete that first, or repeat with `?force=true`",
        (false, false) => "delete that first",
        (true, true) => "repeat with `?force=true` to delete it all the same",
        (true, false) => "ask the operator of this registry to delete that first",
    };
    format!("{by}; {remedy}")
}

fn some(names: &[String]) -> String {
    match names.len().checked_sub(LISTED) {
        None | Some(0) => list(names),
        Some(more) => format!("{} and {more} more", list(&names[..LISTED])),
    }
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_the_arguments_of_its_table() {
        let digest = Digest::sha256_of(b"a");
        let name: RepoName = "team/app".parse().unwrap();
        let tag: Tag = "1.0".parse().unwrap();
        let id: TrashId = "20261129T101500.123-5e1c09ab-e46f".parse().unwrap();
        let needed = |indexes: &[&str]| Error::NeededByIndex {
            digest,
            indexes: indexes.iter().map(ToString::to_string).collect(),
            hides: false,
            may_force: false,
        };
        let errors = [
            Error::ManifestUnknown {
                name: name.clone(),
                reference: "1.0".to_owned(),
                hint: None,
            },
            Error::NotInHistory {
                name: name.clone(),
                tag: tag.clone(),
                digest,
            },
            Error::TrashUnknown { id: id.clone() },
            Error::TrashDamaged {
                id: id.clone(),
                why: "it is empty".to_owned(),
            },
            Error::NameUnknown { name },
            Error::DeleteDisabled,
            needed(&["a:1"]),
            needed(&[]),
            Error::TagExists {
                tag: "a:1".to_owned(),
                current: digest,
            },
            Error::TagDenied { tag: Some(tag) },
            Error::TagDenied { tag: None },
            Error::PlanChanged { current: digest },
            Error::TooManyTags {
                why: Sentence::default(),
            },
            Error::TooManyToSort,
            Error::DeletionInterrupted {
                record: id,
                source: Box::new(Error::DeleteDisabled),
            },
            Error::Busy { reason: "others" },
        ];
        assert_eq!(errors.len(), Error::CODES.len());
        for (error, code) in errors.iter().zip(Error::CODES) {
            let sentence = error.sentence();
            assert_eq!(sentence.as_str(), error.to_string());
            let [message] = sentence.messages() else {
                panic!("{sentence:?}")
            };
            assert_eq!(message.code, code.code);
            let mut arguments: Vec<&str> = code.arguments.to_vec();
            arguments.sort_unstable();
            let found: Vec<&str> = message.arguments.keys().map(|name| &**name).collect();
            assert_eq!(found, arguments, "{}", code.code);
        }
    }
}
