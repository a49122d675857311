//! The checks of what must be true of the pointers of a push for anything to be changed.

use wharf_oci::{Digest, Reference, RepoName, Tag};
use wharf_storage::{Key, layout};

use crate::{
    error::{Error, Result},
    precondition::{Observed, Precondition},
    registry::Registry,
};

/// What must be true of the pointers that a push of a manifest writes.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// Tag or digest by which the client pushes it
    pub(crate) reference: Reference,
    /// What the client says of that
    pub(crate) condition: Precondition,
    /// All tags of the push, if it may create tags and move none
    pub(crate) new_tags: Vec<Tag>,
}

impl Registry {
    /// Checks the conditions of a push of `digest`. To be called under the locks of what it writes, which keep every other request
    /// out that takes the same locks; what comes back keeps out writers that do not, such as another process over the same
    /// bucket.
    ///
    /// # Errors
    ///
    /// [`Error::PreconditionFailed`], [`Error::TagExists`]; errors of the store.
    pub(crate) async fn check_conditions(
        &self,
        name: &RepoName,
        digest: &Digest,
        conditions: &Conditions,
    ) -> Result<Observed> {
        let mut observed = Observed::default();
        if !conditions.condition.is_none() {
            let pointer = pointer(name, &conditions.reference);
            let current = self.observe(pointer, &mut observed).await?;
            if !conditions.condition.holds(current.as_ref()) {
                return Err(failed(name, &conditions.reference, current));
            }
        }
        for tag in &conditions.new_tags {
            let current = self.observe(layout::tag_link(name, tag), &mut observed).await?;
            require_new(name, tag, digest, current)?;
        }
        Ok(observed)
    }

    /// The error of a push with conditions that held when they were checked, and no longer when it was written.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn overtaken(
        &self,
        name: &RepoName,
        digest: &Digest,
        conditions: &Conditions,
    ) -> Result<Error> {
        for tag in &conditions.new_tags {
            let current = self.tree.links.target(&layout::tag_link(name, tag)).await?;
            if let Err(error) = require_new(name, tag, digest, current) {
                return Ok(error);
            }
        }
        let reference = &conditions.reference;
        let current = self.tree.links.target(&pointer(name, reference)).await?;
        Ok(failed(name, reference, current))
    }

    /// What the pointer names now; its version goes into `observed`.
    async fn observe(&self, pointer: Key, observed: &mut Observed) -> Result<Option<Digest>> {
        Ok(match self.tree.links.observe(&pointer).await? {
            Some((current, Some(version))) => {
                observed.version(pointer, version);
                current
            }
            Some((current, None)) => current,
            None => {
                observed.absent(pointer);
                None
            }
        })
    }
}

/// A tag that names the same manifest already is not moved.
fn require_new(name: &RepoName, tag: &Tag, digest: &Digest, current: Option<Digest>) -> Result<()> {
    match current {
        Some(current) if current != *digest => Err(Error::TagExists {
            tag: format!("{name}:{tag}"),
            current,
        }),
        _ => Ok(()),
    }
}

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
