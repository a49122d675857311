//! Arguments of `wharf repo rm`, `wharf tag rm` and `wharf trash`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::TrashId;

use super::duration;

/// Arguments of `wharf repo rm`.
#[derive(Debug, Args)]
pub(crate) struct RepoRm {
    /// The repository, such as team/app, without the address of the registry.
    pub(crate) repository: RepoName,

    /// Delete it only if it has no tag; otherwise exit with status 1.
    #[arg(long)]
    pub(crate) if_empty: bool,

    #[command(flatten)]
    pub(crate) how: HowToDelete,
}

/// Arguments of `wharf tag rm`.
#[derive(Debug, Args)]
pub(crate) struct TagRm {
    /// Tags such as team/app:1.0, or manifests such as team/app@sha256:…, which go with all their tags.
    #[arg(value_name = "REPOSITORY:TAG", required = true)]
    pub(crate) images: Vec<DeletedImage>,

    /// Delete the tags alone: the images stay in the repository, and can be pulled by their digests.
    #[arg(long)]
    pub(crate) keep_image: bool,

    #[command(flatten)]
    pub(crate) how: HowToDelete,
}

/// How something is deleted.
#[derive(Debug, Args)]
pub(crate) struct HowToDelete {
    /// Print what would go and what would stay, and change nothing. Works beside a running server.
    #[arg(short, long)]
    pub(crate) dry_run: bool,

    /// Do not ask. Without a terminal nothing is deleted without this.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Keep nothing in the trash: what goes cannot be restored, and the next collection frees its bytes.
    #[arg(long)]
    pub(crate) now: bool,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON: with --dry-run the plan, otherwise what went.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Subcommands of `wharf trash`.
#[derive(Debug, Subcommand)]
pub(crate) enum Trash {
    /// List the deletions that can be restored, the newest last.
    Ls {
        /// Only those from this repository.
        repository: Option<RepoName>,

        #[command(flatten)]
        place: TrashPlace,
    },

    /// Show the tags, manifests and layers of a deletion.
    Show {
        /// Identifier of the deletion, as `wharf trash ls` shows it.
        id: TrashId,

        #[command(flatten)]
        place: TrashPlace,
    },

    /// Take a deletion back: its tags, with their histories, its manifests and its layers.
    ///
    /// Exit status 1 when a tag was left alone, or content is lost.
    Restore {
        /// Identifier of the deletion, as `wharf trash ls` shows it.
        id: TrashId,

        /// Move tags back that were pushed again since.
        #[arg(long)]
        force: bool,

        #[command(flatten)]
        place: TrashPlace,
    },

    /// Give deletions up: they cannot be restored any more, and the next collection frees their bytes.
    Empty(TrashEmpty),
}

/// Arguments of `wharf trash empty`.
#[derive(Debug, Args)]
pub(crate) struct TrashEmpty {
    /// Identifiers of deletions; all deletions if there are none.
    pub(crate) ids: Vec<TrashId>,

    /// Only deletions that were made so long ago, such as 12h or 3d.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "ids")]
    pub(crate) older_than: Option<Duration>,

    /// Do not ask. Without a terminal nothing is given up without this.
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) place: TrashPlace,
}

/// The registry of a trash, and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct TrashPlace {
    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A tag or a manifest that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeletedImage {
    pub(crate) repository: RepoName,
    pub(crate) target: Target,
}

/// What of a repository is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tag(Tag),
    Manifest(Digest),
}

impl FromStr for DeletedImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, target) = match text.split_once('@') {
            Some((image, digest)) => {
                let digest = digest.parse().map_err(|error| format!("{error}"))?;
                (image, Target::Manifest(digest))
            }
            None => {
                let (repository, tag) = text
                    .rsplit_once(':')
                    .ok_or("a tag or a digest is missing, such as `team/app:1.0`; `wharf repo rm` deletes a whole repository")?;
                let tag = tag.parse().map_err(|error| format!("{error}"))?;
                (repository, Target::Tag(tag))
            }
        };
        let repository = repository.parse().map_err(|error| {
            format!("{error}; name the repository as the registry does, without an address in front")
        })?;
        Ok(Self { repository, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_digest_is_split_from_the_repository() {
        let image: DeletedImage = "team/app:1.0".parse().unwrap();
        assert_eq!(image.repository.as_str(), "team/app");
        assert_eq!(image.target, Target::Tag("1.0".parse().unwrap()));
        let digest = format!("sha256:{}", "a".repeat(64));
        let image: DeletedImage = format!("app@{digest}").parse().unwrap();
        assert_eq!(image.target, Target::Manifest(digest.parse().unwrap()));
        for (text, hint) in [
            ("team/app", "wharf repo rm"),
            ("localhost:5000/app:1", "without an address"),
            ("app@sha256:1", "64"),
            ("app:1@sha256:1", ""),
        ] {
            let error = text.parse::<DeletedImage>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
