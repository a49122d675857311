//! `wharf import`: the images of a file into a registry.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, bail};
use wharf_client::{
    printable,
    transfer::{self, ImageInFile, Layout, Source, Target},
};
use wharf_oci::{Reference, RepoName, Tag};

use super::{connect, copy::tell_left_out, progress::Shown, run, settings};
use crate::{
    cli::{Destination, Import, Place},
    cmd::remote::print,
};

/// An image, and its name in the registry.
struct Planned {
    image: ImageInFile,
    repository: RepoName,
    /// Tag to give; `None`: it is pushed by its digest.
    tag: Option<Tag>,
}

pub(crate) fn import(arguments: &Import) -> anyhow::Result<()> {
    let layout = Layout::open(&arguments.file)?;
    if layout.images().is_empty() {
        bail!("there is no image in `{}`", arguments.file.display());
    }
    let planned = plan(layout.images(), &arguments.destination)?;
    let shown = Shown::new(arguments.how.quiet);
    for image in layout.images().iter().filter(|image| !image.absent.is_empty()) {
        let name = match (&image.name, &image.tag) {
            (Some(name), Some(tag)) => format!("{name}:{tag}"),
            _ => image.digest.to_string(),
        };
        shown.warn(&format!(
            "wharf: the file has `{}` without {}; its index is written anew",
            printable(&name),
            printable(&image.absent.join(", "))
        ));
    }
    let registry = match &arguments.destination {
        Destination::Registry(registry) => registry,
        Destination::Place(place) => &place.registry,
    };
    let shown_name = |planned: &Planned| {
        let tag = planned
            .tag
            .as_ref()
            .map(|tag| format!(":{tag}"))
            .unwrap_or_default();
        format!(
            "{}/{}{tag}@{}\n",
            registry.host(),
            planned.repository,
            planned.image.digest
        )
    };
    if arguments.dry_run {
        return print(&planned.iter().map(shown_name).collect::<String>());
    }
    run(async {
        let client = connect(registry, &arguments.connection).await?;
        let source = Source::Layout(Arc::new(layout));
        let settings = settings(arguments.how.jobs, !arguments.no_referrers, &[]);
        for one in &planned {
            let target = Target::Registry {
                client: Arc::clone(&client),
                repository: one.repository.to_string(),
            };
            let reference = Reference::Digest(one.image.digest);
            let what = (&reference, one.tag.as_ref());
            let moved = transfer::image(&source, &target, what, &settings, &shown).await?;
            tell_left_out(&shown, &moved);
            print(&shown_name(one))?;
        }
        Ok(())
    })
}

/// Decides what the images are called in the registry.
fn plan(images: &[ImageInFile], destination: &Destination) -> anyhow::Result<Vec<Planned>> {
    let mut planned = Vec::new();
    match destination {
        Destination::Registry(registry) => {
            for image in images {
                let name = image.name.as_deref().map(without_registry).with_context(|| {
                    let digest = image.digest;
                    format!(
                        "the image {digest} has no name in the file; give it one: `{}/NAME:TAG`",
                        registry.host()
                    )
                })?;
                planned.push(Planned {
                    repository: name
                        .parse()
                        .with_context(|| format!("`{name}` cannot be the name of a repository"))?,
                    tag: image.tag.clone(),
                    image: image.clone(),
                });
            }
        }
        Destination::Place(Place {
            repository,
            reference,
            ..
        }) => {
            if reference
                .as_ref()
                .is_some_and(|reference| reference.digest().is_some())
            {
                bail!("an image has its digest already; name a tag at the destination, or none");
            }
            if reference.is_some() && images.len() > 1 {
                bail!(
                    "the file has {} images; leave the tag out of the destination",
                    images.len()
                );
            }
            for image in images {
                let tag = reference.as_ref().and_then(|reference| reference.tag());
                planned.push(Planned {
                    repository: repository.clone(),
                    tag: tag.or(image.tag.as_ref()).cloned(),
                    image: image.clone(),
                });
            }
        }
    }
    let mut seen = HashMap::new();
    for one in &planned {
        if let Some(tag) = &one.tag
            && let Some(other) = seen.insert((&one.repository, tag), one.image.digest)
            && other != one.image.digest
        {
            bail!(
                "two images of the file would be `{}:{tag}`; give the registry alone as the destination, so that they keep their names",
                one.repository
            );
        }
    }
    Ok(planned)
}

/// The name without the registry that it begins with: what has a dot or a port, or is `localhost`.
fn without_registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((registry, rest)) if registry.contains(['.', ':']) || registry == "localhost" => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use wharf_oci::Digest;

    use super::*;

    fn image(name: Option<&str>, tag: &str) -> ImageInFile {
        ImageInFile {
            name: name.map(str::to_owned),
            tag: Some(tag.parse().unwrap()),
            digest: Digest::sha256_of(format!("{name:?}{tag}").as_bytes()),
            absent: Vec::new(),
        }
    }

    fn planned(images: &[ImageInFile], destination: &str) -> Result<Vec<String>, String> {
        let planned = plan(images, &destination.parse().unwrap()).map_err(|error| format!("{error:#}"))?;
        let name = |one: &Planned| format!("{}:{}", one.repository, one.tag.as_ref().unwrap());
        Ok(planned.iter().map(name).collect())
    }

    #[test]
    fn images_keep_their_names_or_get_another() {
        let hub = image(Some("docker.io/library/alpine"), "3");
        let own = image(Some("localhost:5000/app"), "1");
        let both = [hub.clone(), own];
        assert_eq!(planned(&both, "r.test").unwrap(), ["library/alpine:3", "app:1"]);
        assert_eq!(planned(&both, "r.test/all").unwrap(), ["all:3", "all:1"]);
        assert_eq!(
            planned(std::slice::from_ref(&hub), "r.test/os:new").unwrap(),
            ["os:new"]
        );
        assert!(planned(&both, "r.test/all:x").unwrap_err().contains("2 images"));
        assert!(
            planned(&[image(None, "3")], "r.test")
                .unwrap_err()
                .contains("has no name")
        );
        let same = [hub, image(Some("docker.io/library/busybox"), "3")];
        assert!(planned(&same, "r.test/all").unwrap_err().contains("two images"));
    }
}
