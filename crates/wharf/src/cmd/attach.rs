//! `wharf attach`: files as an artifact that refers to an image.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_client::transfer::{self, Artifact, AttachedFile};

use super::{
    nearest::explained,
    remote::{ask, print, print_json, say},
};
use crate::cli::{self, FileAndType};

/// What was attached, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    repository: String,
    digest: String,
    artifact_type: String,
    subject: String,
    /// Whether the registry lists it by itself; otherwise a tag does.
    listed_by_registry: bool,
}

/// Attaches files to an image.
pub(crate) fn run(arguments: cli::Attach) -> anyhow::Result<()> {
    let image = arguments.image;
    let first = arguments.files.first().map(|file| file.media_type.clone());
    let artifact = Artifact {
        artifact_type: arguments.artifact_type.or(first).unwrap_or_default(),
        files: arguments.files.into_iter().map(attached).collect(),
        annotations: arguments.annotations.into_iter().collect::<BTreeMap<_, _>>(),
    };
    let repository = image.repository.as_str();
    let attached = ask(
        &image.registry,
        arguments.remote,
        async |client| match transfer::attach(&client, repository, &image.reference, &artifact).await {
            Ok(attached) => Ok(attached),
            Err(transfer::TransferError::Registry(error)) => {
                explained(&client, &image, Err(error.into())).await
            }
            Err(error) => Err(error.into()),
        },
    )?;
    if !attached.is_listed {
        say("this registry keeps no list of referrers; the artifact is at the tag by which clients find it");
    }
    let outcome = Outcome {
        repository: repository.to_owned(),
        digest: attached.descriptor.digest.to_string(),
        artifact_type: artifact.artifact_type,
        subject: attached.subject.to_string(),
        listed_by_registry: attached.is_listed,
    };
    match arguments.form.is_json() {
        true => print_json(&format!("{:#}\n", serde_json::to_value(&outcome)?)),
        false => print(&format!(
            "{}/{repository}@{}\n",
            image.registry.host(),
            outcome.digest
        )),
    }
}

fn attached(file: FileAndType) -> AttachedFile {
    let name = file.path.file_name().unwrap_or(file.path.as_os_str());
    AttachedFile {
        title: name.to_string_lossy().into_owned(),
        media_type: file.media_type,
        path: file.path,
    }
}
