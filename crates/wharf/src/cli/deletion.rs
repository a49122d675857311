//! Arguments of `wharf repo rm`, `wharf tag rm` and `wharf trash`.

use std::{str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use wharf_client::Address;
use wharf_oci::{Digest, Reference, RepoName, Tag};
use wharf_registry::TrashId;

use super::{
    duration,
    listing::Form,
    server::{Report, Server, placed},
};
use crate::completion;

/// Arguments of `wharf repo rm`.
#[derive(Debug, Args)]
pub(crate) struct RepoRm {
    /// The repository: team/app of this registry, or registry.example.com/team/app.
    #[arg(add = completion::repository())]
    pub(crate) repository: DeletedRepository,

    /// Delete it only if it has no tag; otherwise exit with status 1.
    #[arg(long)]
    pub(crate) if_empty: bool,

    #[command(flatten)]
    pub(crate) how: HowToDelete,
}

/// Arguments of `wharf tag rm`.
#[derive(Debug, Args)]
pub(crate) struct TagRm {
    /// Tags such as team/app:1.0, or manifests such as team/app@sha256:…, which go with all their tags; of another registry with its address in
    /// front, as in registry.example.com/team/app:1.0.
    #[arg(value_name = "[HOST/]REPOSITORY:TAG", required = true, add = completion::image())]
    pub(crate) images: Vec<DeletedImage>,

    /// Delete the tags alone: the images stay in the repository, and can be pulled by their digests.
    #[arg(long)]
    pub(crate) keep_image: bool,

    /// Of a registry that only deletes by digest, delete the other tags of these images as well, and images that an index needs.
    #[arg(short, long, conflicts_with = "keep_image")]
    pub(crate) force: bool,

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

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// Subcommands of `wharf trash`.
#[derive(Debug, Subcommand)]
pub(crate) enum Trash {
    /// List the deletions that can be restored, the newest last.
    Ls {
        /// Only those from this repository.
        repository: Option<RepoName>,

        #[command(flatten)]
        form: Form,

        #[command(flatten)]
        server: Server,
    },

    /// Show the tags, manifests and layers of a deletion.
    Show {
        /// Identifier of the deletion, as `wharf trash ls` shows it.
        id: TrashId,

        #[command(flatten)]
        form: Form,

        #[command(flatten)]
        server: Server,
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
        form: Report,

        #[command(flatten)]
        server: Server,
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
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// A repository that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeletedRepository {
    /// The registry that is named in front.
    pub(crate) registry: Option<Address>,
    pub(crate) name: RepoName,
}

/// A tag or a manifest that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeletedImage {
    /// The registry that is named in front.
    pub(crate) registry: Option<Address>,
    pub(crate) repository: RepoName,
    pub(crate) target: Target,
}

/// What of a repository is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tag(Tag),
    Manifest(Digest),
}

const NO_TAG: &str =
    "a tag or a digest is missing, such as `team/app:1.0`; `wharf repo rm` deletes a whole repository";

impl FromStr for DeletedRepository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(place) = placed(text)? else {
            let name = text.parse().map_err(|error| format!("{error}"))?;
            return Ok(Self { registry: None, name });
        };
        match place.reference {
            None => Ok(Self {
                registry: Some(place.registry),
                name: place.repository,
            }),
            Some(_) => {
                Err("this is an image; `wharf tag rm` deletes it, and leaves the repository".to_owned())
            }
        }
    }
}

impl FromStr for DeletedImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(place) = placed(text)? {
            return Ok(Self {
                registry: Some(place.registry),
                repository: place.repository,
                target: match place.reference.ok_or(NO_TAG)? {
                    Reference::Tag(tag) => Target::Tag(tag),
                    Reference::Digest(digest) => Target::Manifest(digest),
                },
            });
        }
        let (repository, target) = match text.split_once('@') {
            Some((image, digest)) => {
                let digest = digest.parse().map_err(|error| format!("{error}"))?;
                (image, Target::Manifest(digest))
            }
            None => {
                let (repository, tag) = text.rsplit_once(':').ok_or(NO_TAG)?;
                let tag = tag.parse().map_err(|error| format!("{error}"))?;
                (repository, Target::Tag(tag))
            }
        };
        Ok(Self {
            registry: None,
            repository: repository.parse().map_err(|error| format!("{error}"))?,
            target,
        })
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
        let image: DeletedImage = "localhost:5000/team/app:1".parse().unwrap();
        assert_eq!(image.registry, Some("localhost:5000".parse().unwrap()));
        assert_eq!(image.repository.as_str(), "team/app");
        for (text, hint) in [
            ("team/app", "wharf repo rm"),
            ("localhost:5000/app", "wharf repo rm"),
            ("app@sha256:1", "64"),
            ("app:1@sha256:1", ""),
        ] {
            let error = text.parse::<DeletedImage>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_repository_may_have_a_registry_in_front() {
        let repository: DeletedRepository = "r.test/team/app".parse().unwrap();
        assert_eq!(repository.registry, Some("r.test".parse().unwrap()));
        assert_eq!(repository.name.as_str(), "team/app");
        assert_eq!("team/app".parse::<DeletedRepository>().unwrap().registry, None);
        let error = "r.test/app:1".parse::<DeletedRepository>().unwrap_err();
        assert!(error.contains("wharf tag rm"), "{error}");
    }
}
