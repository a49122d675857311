//! What a request needs the right to do, in the words of registry:2's token scopes.

use wharf_oci::RepoName;

/// One right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// The resource that is read or changed.
    pub resource: Resource<'a>,
    /// The operation on the resource.
    pub verb: Verb,
}

/// What a request reads or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The list of all repositories: `registry:catalog`.
    Catalog,
    /// One repository: `repository:<name>`.
    Repository(&'a RepoName),
}

/// An operation on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reading.
    Pull,
    /// Adding.
    Push,
    /// Removing.
    Delete,
    /// Ending an upload: `delete` in the scope of a token, as in registry:2, and a part of pushing for everything else, since an
    /// account that may push could not end what it has begun.
    Cancel,
    /// Every operation; for the catalogue there is no finer right.
    All,
}

impl Verb {
    /// All verbs.
    pub const EACH: [Self; 5] = [Self::Pull, Self::Push, Self::Delete, Self::Cancel, Self::All];
}

impl Action<'_> {
    /// Type of the resource in a token scope: `registry` or `repository`.
    pub fn kind(&self) -> &'static str {
        match self.resource {
            Resource::Catalog => "registry",
            Resource::Repository(_) => "repository",
        }
    }

    /// Name of the resource in a token scope: `catalog`, or the repository's name.
    pub fn name(&self) -> &str {
        match self.resource {
            Resource::Catalog => "catalog",
            Resource::Repository(name) => name.as_str(),
        }
    }
}

impl Verb {
    /// The right by which it is decided about an account: to end an upload is a part of pushing.
    #[must_use]
    pub fn right(self) -> Self {
        match self {
            Self::Cancel => Self::Push,
            verb => verb,
        }
    }

    /// The action in a token scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete | Self::Cancel => "delete",
            Self::All => "*",
        }
    }
}
