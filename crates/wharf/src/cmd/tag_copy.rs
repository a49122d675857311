//! `wharf tag cp` and `wharf tag mv`: another tag for an image, in its repository or in another one of the same registry.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Serialize;
use wharf_client::{
    Client, Deleted, ImageName,
    transfer::{self, Event, Progress, Settings, Source, Target},
};
use wharf_oci::{Digest, Reference, RepoName, Tag};

use super::{
    nearest::explained,
    remote::{ask, print, print_json, say},
};
use crate::cli::{NewTag, TagCp};

/// Blobs and manifests that are under way at a time.
const JOBS: usize = 4;

/// What was done, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    repository: String,
    tag: String,
    digest: String,
    /// Whether the tag was written; otherwise it pointed there before, or was left alone.
    written: bool,
    /// The tag that went, of `tag mv`.
    removed: Option<String>,
}

/// Where the tag goes.
struct Destination {
    repository: RepoName,
    tag: Tag,
}

/// Gives an image another tag.
pub(crate) fn copy(arguments: &TagCp) -> anyhow::Result<()> {
    let to = destination(arguments)?;
    let outcome = ask(
        &arguments.source.registry,
        arguments.remote.clone(),
        async |client| {
            let client = Arc::new(client);
            let digest = digest_of(&client, &arguments.source).await?;
            let written = write(&client, arguments, digest, &to).await?;
            let name = format!("`{}:{}`", to.repository, to.tag);
            match (written.is_new, written.found == digest) {
                (true, _) => {}
                (false, true) => say(&format!("{name} points there already")),
                (false, false) => say(&format!("{name} points elsewhere, and was left alone")),
            }
            Ok(outcome(&to, written, None))
        },
    )?;
    show(arguments, &outcome)
}

/// Renames a tag.
pub(crate) fn rename(arguments: &TagCp) -> anyhow::Result<()> {
    let to = destination(arguments)?;
    let source = &arguments.source;
    let Reference::Tag(from) = &source.reference else {
        bail!("a digest has no name to change; `wharf tag cp` gives it a tag");
    };
    if source.repository == to.repository && *from == to.tag {
        bail!("both names are the same; nothing was changed");
    }
    let repository = source.repository.as_str();
    let outcome = ask(&source.registry, arguments.remote.clone(), async |client| {
        let client = Arc::new(client);
        let digest = digest_of(&client, source).await?;
        // Found out first, so that nothing is half-done.
        if !client.deletes_tags(repository).await? {
            bail!(
                "`{}` deletes no tag alone, only images by their digests with all their tags, or nothing at all; nothing was changed. \
                 `wharf tag cp` gives the image another tag",
                source.registry.host()
            );
        }
        let written = write(&client, arguments, digest, &to).await?;
        if written.found != digest {
            bail!(
                "`{}:{}` points elsewhere and was left alone, so `{from}` stays; nothing was changed",
                to.repository,
                to.tag
            );
        }
        let old = Reference::Tag(from.clone());
        let now = client.manifest_digest(repository, &old).await?;
        if now.is_some_and(|now| now != digest) {
            bail!(
                "`{repository}:{from}` was pushed meanwhile, so it stays; `{}:{}` points at the image that it was",
                to.repository,
                to.tag
            );
        }
        match client.delete_manifest(repository, &old).await {
            Ok(Deleted::Gone) => Ok(outcome(&to, written, Some(from.to_string()))),
            Ok(Deleted::Unsupported(status)) => bail!(
                "`{}:{}` is there, but the registry does not delete `{repository}:{from}` ({status})",
                to.repository,
                to.tag
            ),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "`{}:{}` is there, but `{repository}:{from}` still is as well",
                    to.repository, to.tag
                )
            }),
        }
    })?;
    show(arguments, &outcome)
}

/// At what a tag points after it was to be written.
#[derive(Debug, Clone, Copy)]
struct Written {
    found: Digest,
    is_new: bool,
}

fn destination(arguments: &TagCp) -> anyhow::Result<Destination> {
    let source = &arguments.source;
    match &arguments.destination {
        NewTag::Here(tag) => Ok(Destination {
            repository: source.repository.clone(),
            tag: tag.clone(),
        }),
        NewTag::There(place, _) if place.registry.host() != source.registry.host() => bail!(
            "`{}` and `{}` are different registries; `wharf copy` copies from one to the other",
            source.registry.host(),
            place.registry.host()
        ),
        NewTag::There(place, tag) => Ok(Destination {
            repository: place.repository.clone(),
            tag: tag.clone(),
        }),
    }
}

async fn digest_of(client: &Client, image: &ImageName) -> anyhow::Result<Digest> {
    let read = client.manifest(image.repository.as_str(), &image.reference).await;
    let read = read.map(|manifest| manifest.digest).map_err(anyhow::Error::from);
    explained(client, image, read).await
}

/// Lets the tag of `to` point at `digest`, unless it exists and must stay.
async fn write(
    client: &Arc<Client>,
    arguments: &TagCp,
    digest: Digest,
    to: &Destination,
) -> anyhow::Result<Written> {
    let (source, repository) = (&arguments.source, to.repository.as_str());
    let tag = Reference::Tag(to.tag.clone());
    match client.pushed_digest(repository, &tag).await? {
        Some(known) if known == digest || arguments.no_clobber => {
            return Ok(Written {
                found: known,
                is_new: false,
            });
        }
        Some(known) if !arguments.force => bail!(
            "`{}:{}` points at {known}; `--force` moves it, `--no-clobber` leaves it alone",
            to.repository,
            to.tag
        ),
        _ => {}
    }
    if source.repository == to.repository {
        let manifest = client.manifest(repository, &Reference::Digest(digest)).await?;
        client
            .push_manifest(repository, &tag, &manifest.media_type, &manifest.bytes)
            .await?;
    } else {
        let side = |name: &RepoName| (Arc::clone(client), name.to_string());
        let (from, into) = (side(&source.repository), side(&to.repository));
        let settings = Settings {
            jobs: JOBS,
            referrers: true,
            platforms: Vec::new(),
        };
        transfer::image(
            &Source::Registry {
                client: from.0,
                repository: from.1,
            },
            &Target::Registry {
                client: into.0,
                repository: into.1,
            },
            (&Reference::Digest(digest), Some(&to.tag)),
            &settings,
            &Quiet,
        )
        .await?;
    }
    Ok(Written {
        found: digest,
        is_new: true,
    })
}

/// A transfer within a registry is short: its layers are mounted.
struct Quiet;

impl Progress for Quiet {
    fn event(&self, _event: Event<'_>) {}
}

fn outcome(to: &Destination, written: Written, removed: Option<String>) -> Outcome {
    Outcome {
        repository: to.repository.to_string(),
        tag: to.tag.to_string(),
        digest: written.found.to_string(),
        written: written.is_new,
        removed,
    }
}

fn show(arguments: &TagCp, outcome: &Outcome) -> anyhow::Result<()> {
    if arguments.form.is_json() {
        return print_json(&format!("{:#}\n", serde_json::to_value(outcome)?));
    }
    print(&format!(
        "{}/{}:{}@{}\n",
        arguments.source.registry.host(),
        outcome.repository,
        outcome.tag,
        outcome.digest
    ))
}
