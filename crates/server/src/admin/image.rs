//! One image, with all its parts.

use wharf_oci::{Descriptor, HistoryStep, ImageConfig, Platform, Reference, RepoName, Tag};
use wharf_registry::{ChildDetails, ManifestDetails, PartDetails, Registry, Result, TagRights};

use super::{
    images::{shown_image, shown_pulls},
    pulls::PullCounts,
    shown::time,
    wire,
};

/// The image that `reference` names in `name`, for a client with these `rights`.
///
/// # Errors
///
/// As [`Registry::show_image`].
pub async fn show_image(
    registry: &Registry,
    pulls: &PullCounts,
    (name, reference): (&RepoName, &Reference),
    rights: &dyn TagRights,
) -> Result<wire::Image> {
    let details = registry.show_image(name, reference, rights).await?;
    let pulls = pulls.of(name).await?;
    let digest = details.digest.to_string();
    Ok(wire::Image {
        repository: name.to_string(),
        reference: reference.to_string(),
        pushed: details.pushed.map(time),
        manifest: details.manifest.map(shown_manifest),
        referrers: details.referrers.into_iter().map(shown_referrer).collect(),
        more_referrers: details.more_referrers,
        tags: details.tags.iter().map(Tag::to_string).collect(),
        tags_total: details.tags_total,
        problem: details.problem,
        pulls: shown_pulls(pulls.as_ref(), |pulls| {
            pulls.digests.get(digest.as_str()).copied()
        }),
        digest,
    })
}

fn shown_manifest(mut manifest: ManifestDetails) -> wire::Manifest {
    let history = manifest
        .image_config
        .as_mut()
        .map(|config| std::mem::take(&mut config.history));
    let image_config = manifest.image_config;
    wire::Manifest {
        media_type: manifest.media_type,
        artifact_type: manifest.artifact_type,
        kind: manifest.kind.as_str().to_owned(),
        manifest_size: manifest.manifest_size,
        size: manifest.size,
        annotations: manifest.annotations,
        subject: manifest.subject.as_ref().map(shown_part),
        config: manifest
            .config
            .map(|part| shown_config(part, image_config.unwrap_or_default())),
        problem: manifest.problem,
        layers: manifest.layers.into_iter().map(shown_layer).collect(),
        layers_total: manifest.layers_total,
        history: history.unwrap_or_default().into_iter().map(shown_step).collect(),
        children: manifest.children.into_iter().map(shown_child).collect(),
        children_total: manifest.children_total,
    }
}

fn shown_part(descriptor: &Descriptor) -> wire::Part {
    wire::Part {
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.clone(),
        size: descriptor.size,
    }
}

fn shown_config(part: PartDetails, config: ImageConfig) -> wire::Configuration {
    let said = |text: String| (!text.is_empty()).then_some(text);
    let wire::Part {
        digest,
        media_type,
        size,
    } = shown_part(&part.descriptor);
    wire::Configuration {
        digest,
        media_type,
        size,
        problem: part.problem,
        created: config.created,
        author: config.author,
        os: said(config.platform.os),
        architecture: said(config.platform.architecture),
        variant: config.platform.variant,
        user: config.user,
        env: config.env,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        working_dir: config.working_dir,
        exposed_ports: config.exposed_ports,
        volumes: config.volumes,
        labels: config.labels,
    }
}

fn shown_layer(layer: PartDetails) -> wire::Layer {
    wire::Layer {
        part: shown_part(&layer.descriptor),
        step: layer.step,
        problem: layer.problem,
    }
}

fn shown_step(step: HistoryStep) -> wire::Step {
    wire::Step {
        created: step.created,
        created_by: step.created_by,
        comment: step.comment,
        makes_no_layer: step.makes_no_layer,
    }
}

fn shown_child(child: ChildDetails) -> wire::Child {
    wire::Child {
        digest: child.descriptor.digest.to_string(),
        manifest_size: child.descriptor.size,
        platform: child.descriptor.platform.as_ref().and_then(Platform::name),
        annotations: child.descriptor.annotations.unwrap_or_default(),
        image: shown_image(child.image),
    }
}

fn shown_referrer(referrer: Descriptor) -> wire::Referrer {
    wire::Referrer {
        part: shown_part(&referrer),
        artifact_type: referrer.artifact_type,
        annotations: referrer.annotations.unwrap_or_default(),
    }
}
