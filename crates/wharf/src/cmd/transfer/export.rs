//! `wharf export`: images into a file, for a network that has no way to the registry.

use std::{collections::HashMap, sync::Arc};

use anyhow::bail;
use wharf_client::{
    Address, Client, ImageName,
    transfer::{self, Form, Settings, Source, Target, WantedPlatform, Writer},
};
use wharf_oci::Reference;

use super::{
    connect,
    copy::{tell_left_out, tell_new_digest},
    inventory,
    progress::Shown,
    run, settings,
};
use crate::{
    cli::{Export, Format},
    cmd::{nearest::explained, remote::print},
};

pub(crate) fn export(arguments: &Export) -> anyhow::Result<()> {
    run(start(arguments))
}

async fn start(arguments: &Export) -> anyhow::Result<()> {
    let form = match arguments.format {
        Format::Oci => Form::Oci,
        Format::OciDir => Form::OciDirectory,
        Format::DockerArchive => Form::DockerArchive,
    };
    if form == Form::DockerArchive && arguments.parts.platform.len() > 1 {
        bail!("`docker-archive` has one platform of each image; give `--platform` once");
    }
    if form == Form::DockerArchive && arguments.since.is_some() {
        bail!(
            "`docker-archive` has all layers of an image; with `--since` write an OCI layout, `--format oci` or `oci-dir`"
        );
    }
    let known = match &arguments.since {
        Some(path) => inventory::read(path)?,
        None => HashMap::new(),
    };
    let writer = Arc::new(Writer::create(&arguments.output, form, known)?);
    let shown = Shown::new(arguments.how.quiet);
    let mut clients: Vec<(Address, Arc<Client>)> = Vec::new();
    let mut lines = String::new();
    for image in &arguments.images {
        let known = clients.iter().find(|(address, _)| *address == image.registry);
        let client = match known {
            Some((_, client)) => Arc::clone(client),
            None => {
                let client = connect(&image.registry, &arguments.connection).await?;
                clients.push((image.registry.clone(), Arc::clone(&client)));
                client
            }
        };
        let written = one(arguments, (form, image), Arc::clone(&client), &writer, &shown).await;
        lines += &explained(&client, image, written).await?;
    }
    tokio::task::spawn_blocking(move || writer.finish()).await??;
    print(&lines)
}

/// Adds one image, and says which.
async fn one(
    arguments: &Export,
    (form, image): (Form, &ImageName),
    client: Arc<Client>,
    writer: &Arc<Writer>,
    shown: &Shown,
) -> anyhow::Result<String> {
    let name = format!("{}/{}", image.registry.host(), image.repository);
    let repository = image.repository.to_string();
    let source = Source::Registry { client, repository };
    let mut settings: Settings = settings(
        arguments.how.jobs,
        !arguments.parts.no_referrers,
        &arguments.parts.platform,
    );
    let mut reference = image.reference.clone();
    if form == Form::DockerArchive {
        let wanted: Option<&WantedPlatform> = settings.platforms.first();
        reference = Reference::Digest(source.single(&reference, wanted).await?);
        settings.platforms.clear();
    }
    let target = Target::Files {
        writer: Arc::clone(writer),
        name: name.clone(),
    };
    let tag = image.reference.tag();
    let moved = transfer::image(&source, &target, (&reference, tag), &settings, shown).await?;
    tell_new_digest(shown, &moved);
    tell_left_out(shown, &moved);
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok(format!("{name}{tag}@{}\n", moved.digest))
}
