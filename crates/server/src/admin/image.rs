//! One image, with all its parts.

use std::collections::BTreeMap;

use wharf_oci::{Descriptor, HistoryStep, ImageConfig, Platform, Reference, RepoName, Tag};
use wharf_registry::{ChildDetails, ManifestDetails, PartDetails, Registry, Result, TagRights};

use super::{
    images::{shown_image, shown_pulls},
    pulls::PullCounts,
    shown::{time, told_each, told_if},
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
    let digest = details.digest.to_string();
    // The pulls of a manifest count those by hidden tags as well.
    let (pulls, unread) = match rights.may_see_all() {
        true => pulls.of(name, &[], &[&digest]).await,
        false => (None, None),
    };
    let (problem, problem_messages) = told_if(details.problem);
    let (left_out, left_out_messages) = told_each(details.left_out.into_iter().chain(unread));
    Ok(wire::Image {
        repository: name.to_string(),
        reference: reference.to_string(),
        pushed: details.pushed.map(time),
        manifest: details.manifest.map(shown_manifest),
        referrers: details.referrers.into_iter().map(shown_referrer).collect(),
        more_referrers: details.more_referrers,
        tags: details.tags.iter().map(Tag::to_string).collect(),
        tags_total: details.tags_total,
        attached_tags: details.attached.iter().map(Tag::to_string).collect(),
        problem,
        problem_messages,
        left_out,
        left_out_messages,
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
    let (problem, problem_messages) = told_if(manifest.problem);
    wire::Manifest {
        media_type: manifest.media_type,
        artifact_type: manifest.artifact_type,
        kind: manifest.kind.as_str().to_owned(),
        manifest_size: manifest.manifest_size,
        size: manifest.size,
        size_unstated: manifest.size_is_unstated,
        annotations: short_pairs(manifest.annotations),
        subject: manifest.subject.as_ref().map(shown_part),
        config: manifest
            .config
            .map(|part| shown_config(part, image_config.unwrap_or_default())),
        problem,
        problem_messages,
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
    let said = |text: String| (!text.is_empty()).then(|| short(text));
    let wire::Part {
        digest,
        media_type,
        size,
    } = shown_part(&part.descriptor);
    let (problem, problem_messages) = told_if(part.problem);
    wire::Configuration {
        digest,
        media_type,
        size,
        problem,
        problem_messages,
        created: config.created.map(short),
        author: config.author.map(short),
        os: said(config.platform.os),
        architecture: said(config.platform.architecture),
        variant: config.platform.variant.map(short),
        user: config.user.map(short),
        env: short_list(config.env),
        entrypoint: short_list(config.entrypoint),
        cmd: short_list(config.cmd),
        working_dir: config.working_dir.map(short),
        exposed_ports: short_list(config.exposed_ports),
        volumes: short_list(config.volumes),
        labels: short_pairs(config.labels),
    }
}

fn shown_layer(layer: PartDetails) -> wire::Layer {
    let (problem, problem_messages) = told_if(layer.problem);
    wire::Layer {
        part: shown_part(&layer.descriptor),
        step: layer.step,
        problem,
        problem_messages,
    }
}

fn shown_step(step: HistoryStep) -> wire::Step {
    wire::Step {
        created: step.created.map(short),
        created_by: step.created_by.map(short),
        comment: step.comment.map(short),
        makes_no_layer: step.makes_no_layer,
    }
}

fn shown_child(child: ChildDetails) -> wire::Child {
    wire::Child {
        digest: child.descriptor.digest.to_string(),
        manifest_size: child.descriptor.size,
        platform: child.descriptor.platform.as_ref().and_then(Platform::name),
        annotations: short_pairs(child.descriptor.annotations.unwrap_or_default()),
        image: shown_image(child.image),
    }
}

fn shown_referrer(referrer: Descriptor) -> wire::Referrer {
    wire::Referrer {
        part: shown_part(&referrer),
        artifact_type: referrer.artifact_type,
        annotations: short_pairs(referrer.annotations.unwrap_or_default()),
    }
}

/// How many bytes of a text of an image are shown, and how many texts of a list.
const LONGEST: usize = 4096;
const MOST: usize = 1000;

/// The text, or its beginning with `…`.
pub(super) fn short(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

fn short_list(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().take(MOST).map(short).collect()
}

fn short_pairs(texts: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = texts.into_iter().take(MOST);
    shown.map(|(key, value)| (short(key), short(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let long = format!("{}äö", "a".repeat(LONGEST - 1));
        assert_eq!(short(long), format!("{}…", "a".repeat(LONGEST - 1)));
        let fits = "a".repeat(LONGEST);
        assert_eq!(short(fits.clone()), fits);
        let many = (0..=MOST).map(|number| number.to_string());
        assert_eq!(short_list(many.collect()).len(), MOST);
    }
}
