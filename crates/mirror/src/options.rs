//! What an operator may choose of a mirror: data only.

use std::time::Duration;

use wharf_client::upstream::UpstreamOptions;
use wharf_oci::RepoName;
use wharf_pattern::Pattern;

/// One mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct MirrorOptions {
    /// Names of its repositories here.
    pub place: Place,
    /// How its upstream is reached. [`UpstreamOptions::via`] is chosen by [`Mirrors`](crate::Mirrors).
    pub upstream: UpstreamOptions,
    /// Whether a name of one component means one below `library/`, as it does at Docker Hub.
    pub is_docker_hub: bool,
    /// Values of `?ns=` that mean this mirror.
    pub namespaces: Vec<String>,
    /// Names of this server, without ports, under which it is this mirror alone.
    pub hosts: Vec<String>,
    /// Names at the upstream that are mirrored; empty: all.
    pub allow: Vec<Pattern>,
    /// Names at the upstream that are not mirrored, whatever `allow` says.
    pub deny: Vec<Pattern>,
    /// Time for which the upstream is not asked again where a tag points.
    pub fresh: Duration,
    /// Time for which a tag is served after the upstream last answered for it; `None`: for ever.
    pub stale: Option<Duration>,
    /// Whether the upstream is never asked.
    pub is_offline: bool,
    /// Whether a tag that the upstream no longer has is served as long as it is stored.
    pub keeps_gone: bool,
}

/// Names of the repositories of a mirror here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Every repository of this registry is one of the mirror, by its name at the upstream.
    Whole,
    /// Those with names below this one, which the upstream knows without it.
    Below(RepoName),
}

impl Place {
    /// The name at the upstream of the repository `name`; `None`: it is none of the mirror.
    pub(crate) fn remote<'a>(&self, name: &'a RepoName) -> Option<&'a str> {
        match self {
            Self::Whole => Some(name.as_str()),
            Self::Below(prefix) => name.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/'),
        }
    }

    /// The name here of the repository that the upstream calls `remote`; `None`: it would be too long.
    pub(crate) fn local(&self, remote: &str) -> Option<RepoName> {
        match self {
            Self::Whole => remote.parse().ok(),
            Self::Below(prefix) => format!("{prefix}/{remote}").parse().ok(),
        }
    }
}
