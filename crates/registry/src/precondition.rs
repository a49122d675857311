//! The condition of a push: which manifest its reference must name, or must not, for anything to be changed.

use wharf_oci::{Digest, Reference, RepoName};
use wharf_storage::{Key, Put, Version, layout};

use crate::{
    error::{Error, Result},
    registry::Registry,
};

/// What must be true of the reference of a push (RFC 9110, section 13.1). Without either field nothing need be.
///
/// `if_none_match: Any` means "create only", `if_match: These(…)` means "move only from".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The manifests of which the reference must name one.
    pub if_match: Option<Matching>,
    /// The manifests of which the reference must name none.
    pub if_none_match: Option<Matching>,
}

/// A set of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Whatever there is.
    Any,
    /// Those with these digests.
    These(Vec<Digest>),
}

impl Matching {
    fn contains(&self, current: Option<&Digest>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(digests), Some(current)) => digests.contains(current),
        }
    }
}

impl Precondition {
    fn holds(&self, current: Option<&Digest>) -> bool {
        let is_wanted = self.if_match.as_ref().is_none_or(|these| these.contains(current));
        let is_unwanted = self
            .if_none_match
            .as_ref()
            .is_some_and(|these| these.contains(current));
        is_wanted && !is_unwanted
    }

    fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }
}

/// What a push was checked against: its last pointer is written only if the store still has that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Nothing: the push has no condition, or the store cannot tell versions at the moment.
    Unconditional,
    /// There was nothing.
    Absent,
    /// The pointer was of this version.
    Version(Version),
}

impl Observed {
    pub(crate) fn apply(&self, put: Put) -> Put {
        match self {
            Self::Unconditional => put,
            Self::Absent => put.if_absent(),
            Self::Version(version) => put.only_if(version.clone()),
        }
    }
}

impl Registry {
    /// Checks the condition of a push. To be called under the locks of what it writes, which keep every other request out that
    /// takes the same locks; what comes back keeps out writers that do not, such as another process over the same bucket.
    ///
    /// # Errors
    ///
    /// [`Error::PreconditionFailed`]; errors of the store.
    pub(crate) async fn check_precondition(
        &self,
        name: &RepoName,
        reference: &Reference,
        condition: &Precondition,
    ) -> Result<Observed> {
        if condition.is_none() {
            return Ok(Observed::Unconditional);
        }
        let link = pointer(name, reference);
        // Before the content, so that a change in between makes the write fail, and not the check wrong.
        let observed = match self.storage.stat(&link).await {
            Ok(stat) => stat.version.map_or(Observed::Unconditional, Observed::Version),
            Err(error) if error.is_not_found() => Observed::Absent,
            Err(error) => return Err(error.into()),
        };
        let current = match &observed {
            Observed::Absent => None,
            _ => self.tree.links.target(&link).await?,
        };
        if condition.holds(current.as_ref()) {
            Ok(observed)
        } else {
            Err(failed(name, reference, current))
        }
    }

    /// The error of a push whose condition held when it was checked, and no longer when it was written.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn overtaken(&self, name: &RepoName, reference: &Reference) -> Result<Error> {
        let current = self.tree.links.target(&pointer(name, reference)).await?;
        Ok(failed(name, reference, current))
    }
}

/// The link that a push by `reference` writes last.
fn pointer(name: &RepoName, reference: &Reference) -> Key {
    match reference {
        Reference::Tag(tag) => layout::tag_link(name, tag),
        Reference::Digest(digest) => layout::revision_link(name, digest),
    }
}

fn failed(name: &RepoName, reference: &Reference, current: Option<Digest>) -> Error {
    Error::PreconditionFailed {
        reference: format!("{name}{}{reference}", reference.tag().map_or("@", |_| ":")),
        current,
    }
}
