//! `wharf copy`: images from one repository to another.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use wharf_client::{
    ImageName, printable,
    transfer::{self, Moved, Settings, Source, Target},
};
use wharf_oci::{Reference, Tag};

use super::{connect, progress::Shown, run, settings};
use crate::{
    cli::{Copy, Place},
    cmd::{nearest::explained, remote::print},
};

pub(crate) fn copy(arguments: &Copy) -> anyhow::Result<()> {
    run(start(arguments))
}

async fn start(arguments: &Copy) -> anyhow::Result<()> {
    let (from, to) = (&arguments.source, &arguments.destination);
    if arguments.all_tags && (from.reference.is_some() || to.reference.is_some()) {
        bail!("`--all-tags` copies a whole repository; leave the tags out of both names");
    }
    if let Some(Reference::Digest(_)) = &to.reference {
        bail!("a copy has the digest of its source; name a tag at the destination, or none");
    }
    let source_client = connect(&from.registry, &arguments.connection).await?;
    let target_client = match from.registry == to.registry {
        true => Arc::clone(&source_client),
        false => connect(&to.registry, &arguments.connection).await?,
    };
    let names = match arguments.all_tags {
        true => {
            let tags = source_client.tags(from.repository.as_str()).await?;
            // Tags made of digests come with the images that they are about.
            let is_wanted = |tag: &String| !is_of_digest(tag);
            tags.into_iter().filter(is_wanted).collect()
        }
        false => Vec::new(),
    };
    let copies = Copies {
        source: Source::Registry {
            client: Arc::clone(&source_client),
            repository: from.repository.to_string(),
        },
        target: Target::Registry {
            client: target_client,
            repository: to.repository.to_string(),
        },
        destination: to,
        settings: settings(
            arguments.how.jobs,
            !arguments.parts.no_referrers,
            &arguments.parts.platform,
        ),
        shown: Shown::new(arguments.how.quiet),
    };
    if !arguments.all_tags {
        let reference = from.reference.clone().map_or_else(latest, Ok)?;
        let tag = match (&to.reference, &reference) {
            (Some(Reference::Tag(tag)), _) | (None, Reference::Tag(tag)) => Some(tag.clone()),
            _ => None,
        };
        let copied = copies.one(&reference, tag.as_ref()).await;
        let image = ImageName {
            registry: from.registry.clone(),
            repository: from.repository.clone(),
            reference,
        };
        return explained(&source_client, &image, copied).await;
    }
    let mut failed = 0;
    for name in &names {
        let tag: Tag = name
            .parse()
            .with_context(|| format!("the registry lists a tag that is none: `{}`", printable(name)))?;
        if let Err(error) = copies.one(&Reference::Tag(tag.clone()), Some(&tag)).await {
            failed += 1;
            copies.shown.warn(&format!("wharf: {tag}: {error:#}"));
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} tag(s) were not copied", names.len()),
    }
}

/// Copies between two repositories.
struct Copies<'a> {
    source: Source,
    target: Target,
    destination: &'a Place,
    settings: Settings,
    shown: Shown,
}

impl Copies<'_> {
    async fn one(&self, reference: &Reference, tag: Option<&Tag>) -> anyhow::Result<()> {
        let moved = transfer::image(
            &self.source,
            &self.target,
            (reference, tag),
            &self.settings,
            &self.shown,
        )
        .await?;
        let place = self.destination;
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        tell_new_digest(&self.shown, &moved);
        tell_left_out(&self.shown, &moved);
        for kept in &moved.kept {
            self.shown.warn(&format!(
                "wharf: `{kept}` points at something else in `{}`, and stays; delete it there to take that of the source",
                place.repository
            ));
        }
        print(&format!(
            "{}/{}{tag}@{}\n",
            place.registry.host(),
            place.repository,
            moved.digest
        ))
    }
}

/// Says that an index was written anew.
pub(super) fn tell_new_digest(shown: &Shown, moved: &Moved) {
    if moved.digest != moved.original {
        shown.say(&format!(
            "the index was written anew for some platforms: its digest was {}, and is {} now",
            moved.original, moved.digest
        ));
    }
}

/// Says which layers neither side has.
pub(crate) fn tell_left_out(shown: &Shown, moved: &Moved) {
    for layer in &moved.left_out {
        shown.warn(&format!(
            "wharf: the layer {layer} stays out: its licence keeps it elsewhere, and the source does not have it"
        ));
    }
}

fn latest() -> anyhow::Result<Reference> {
    Ok(Reference::Tag("latest".parse()?))
}

/// Whether a tag is made of a digest, as those of cosign and of lists of referrers are.
pub(crate) fn is_of_digest(tag: &str) -> bool {
    let stem = tag.split_once('.').map_or(tag, |(stem, _)| stem);
    wharf_oci::is_referrers_tag(stem)
}
