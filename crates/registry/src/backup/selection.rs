//! What of a backup is restored.

use wharf_oci::RepoName;

use super::{document::RepositoryDocument, error::Error};

/// What of a backup is restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    #[default]
    All,
    /// One repository, under another name if there is one.
    One(RepoName, Option<RepoName>),
}

impl Selection {
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(one, _) => one.as_str() == name,
        }
    }

    pub(super) fn renamed(&self, mut document: RepositoryDocument) -> RepositoryDocument {
        if let Self::One(_, Some(name)) = self {
            document.name = name.to_string();
        }
        document
    }
}

/// The error of a backup that lacks the one repository that was asked for.
pub(super) fn no_repository(name: &RepoName) -> Error {
    Error::refused(format!(
        "the backup has no repository `{name}`; `wharf backup ls --repositories` lists those that it has"
    ))
}
