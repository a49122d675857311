//! What a request needs the right to do, in the words of registry:2's token scopes.

use wharf_oci::RepoName;

/// One right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// On what.
    pub resource: Resource<'a>,
    /// What is done to it.
    pub verb: Verb,
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The list of all repositories: `registry:catalog`.
    Catalog,
    /// One repository: `repository:<name>`.
    Repository(&'a RepoName),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Pull,
    /// Add.
    Push,
    /// Remove.
    Delete,
    /// Whatever there is; the catalogue knows nothing finer.
    All,
}

impl Action<'_> {
    /// `registry` or `repository`.
    pub fn kind(&self) -> &'static str {
        match self.resource {
            Resource::Catalog => "registry",
            Resource::Repository(_) => "repository",
        }
    }

    /// Of the resource: `catalog`, or the repository's.
    pub fn name(&self) -> &str {
        match self.resource {
            Resource::Catalog => "catalog",
            Resource::Repository(name) => name.as_str(),
        }
    }
}

impl Verb {
    /// As token scopes spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::All => "*",
        }
    }
}
