//! Sparse repositories: mirrors, whose manifests may name blobs and manifests that were not fetched.

use std::sync::Arc;

use wharf_oci::RepoName;

/// Names of the repositories that are sparse. What their manifests refer to need not be there, and its absence is no damage.
///
/// Bytes that are there and damaged still are, as in every repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseNames(Names);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Names {
    #[default]
    None,
    All,
    /// Those below each of these names, which are in ascending order.
    Below(Arc<[RepoName]>),
}

impl SparseNames {
    /// No repository is sparse.
    pub fn none() -> Self {
        Self::default()
    }

    /// All repositories are sparse: the whole registry is one mirror.
    pub fn all() -> Self {
        Self(Names::All)
    }

    /// The repositories below each of `prefixes` are sparse, those whose name is a prefix and `/` and more. A repository whose
    /// name is a prefix itself is not.
    pub fn below(prefixes: impl IntoIterator<Item = RepoName>) -> Self {
        let mut prefixes: Vec<RepoName> = prefixes.into_iter().collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self(match prefixes.is_empty() {
            true => Names::None,
            false => Names::Below(prefixes.into()),
        })
    }

    /// Whether the repository `name` is sparse.
    pub fn includes(&self, name: &RepoName) -> bool {
        match &self.0 {
            Names::None => false,
            Names::All => true,
            Names::Below(prefixes) => prefixes.iter().any(|prefix| lies_below(name, prefix)),
        }
    }
}

fn lies_below(name: &RepoName, prefix: &RepoName) -> bool {
    let rest = name.as_str().strip_prefix(prefix.as_str());
    rest.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> RepoName {
        name.parse().unwrap()
    }

    #[test]
    fn what_lies_below_a_prefix_is_sparse() {
        let sparse = SparseNames::below([name("quay.io"), name("docker.io"), name("quay.io")]);
        for inside in ["docker.io/alpine", "docker.io/library/alpine", "quay.io/a"] {
            assert!(sparse.includes(&name(inside)), "{inside}");
        }
        for outside in ["docker.io", "docker.io2/a", "a/docker.io/b", "own/app"] {
            assert!(!sparse.includes(&name(outside)), "{outside}");
        }
    }

    #[test]
    fn all_or_nothing() {
        assert!(SparseNames::all().includes(&name("own/app")));
        assert!(!SparseNames::none().includes(&name("docker.io/a")));
        assert_eq!(SparseNames::below([]), SparseNames::none());
        assert_eq!(
            SparseNames::below([name("b"), name("a")]),
            SparseNames::below([name("a"), name("b")])
        );
    }
}
