//! The image on which another one was built, as its annotations name it, and what comes from there.
//!
//! An annotation is what the builder says. So layers count as those of the base image only if that is in this registry, where the visitor
//! may pull it, and all of its layers are the lowest ones of the image. It is looked for in two places, and not searched for: in the
//! repository of the image, and in the one that the annotation names, if it is one of this registry.

use wharf_oci::{Digest, RepoName};

use super::{call::Call, commands, subject::ask};
use crate::admin::wire;

/// The annotations that name the base image: with its name, and its digest.
const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

/// The image on which another one was built.
pub(super) struct Base {
    /// Its name, as the annotation has it, or as this registry has.
    pub(super) name: String,
    /// Repository and digest in this registry.
    pub(super) here: String,
    /// How many of the layers are its, the lowest ones.
    pub(super) layers: usize,
    /// How many of the steps of the build are its, the first ones.
    pub(super) steps: usize,
}

/// The base of an image with these labels and annotations, if that can be told.
pub(super) async fn of(
    call: Call<'_>,
    name: &RepoName,
    labels: &[(String, String)],
    image: &wire::Manifest,
) -> Option<Base> {
    let label = |wanted| labels.iter().find(|(key, _)| key == wanted);
    let digest: Digest = label(DIGEST)?.1.parse().ok()?;
    let stated = label(NAME).map(|(_, value)| value.as_str());
    let elsewhere = stated.and_then(|stated| repository_here(stated, &commands::host(call)));
    let places = [
        Some(name.clone()),
        elsewhere.filter(|elsewhere| elsewhere != name),
    ];
    for place in places.into_iter().flatten() {
        let Ok(found) = ask(call, &place, &digest.to_string()).await else {
            continue;
        };
        let base = of_platform(call, &place, found, image).await?;
        let layers = common_layers(&base, image)?;
        let here = format!("{place}@{digest}");
        return Some(Base {
            name: stated
                .filter(|stated| !stated.is_empty())
                .unwrap_or(&here)
                .to_owned(),
            steps: common_steps(&base, image, layers),
            layers,
            here,
        });
    }
    None
}

/// The repository that the name of an image leads to, if it begins with this `host`.
fn repository_here(image: &str, host: &str) -> Option<RepoName> {
    let path = image.strip_prefix(host)?.strip_prefix('/')?;
    let path = path.split('@').next()?;
    // A tag stands behind the last component.
    let end = path.rfind(':').filter(|colon| !path[*colon..].contains('/'));
    path[..end.unwrap_or(path.len())].parse().ok()
}

/// Of an index, the manifest for the platform of `image`.
async fn of_platform(
    call: Call<'_>,
    name: &RepoName,
    found: wire::Image,
    image: &wire::Manifest,
) -> Option<wire::Manifest> {
    let manifest = found.manifest?;
    if manifest.children.is_empty() {
        return Some(manifest);
    }
    let config = image.config.as_ref()?;
    let platform = [
        config.os.as_deref(),
        config.architecture.as_deref(),
        config.variant.as_deref(),
    ];
    let platform = platform.into_iter().flatten().collect::<Vec<_>>().join("/");
    let is_same = |child: &&wire::Child| {
        // Indexes name variants that configurations leave out.
        let named = child.platform.as_deref().unwrap_or_default();
        named == platform
            || named
                .strip_prefix(&platform)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let child = manifest.children.iter().find(is_same)?;
    ask(call, name, &child.digest).await.ok()?.manifest
}

/// How many layers the base has, if all of them are the lowest ones of the image.
fn common_layers(base: &wire::Manifest, image: &wire::Manifest) -> Option<usize> {
    let are_all_known = base.layers_total == base.layers.len() && !base.layers.is_empty();
    let layers = image.layers.get(..base.layers.len())?;
    let mut both = base.layers.iter().zip(layers);
    let are_same = both.all(|(base, own)| base.part.digest == own.part.digest);
    (are_all_known && are_same).then_some(base.layers.len())
}

/// How many steps the base has, if the image begins with them; or else those up to the last one that made a layer of the base.
fn common_steps(base: &wire::Manifest, image: &wire::Manifest, layers: usize) -> usize {
    let begins_so = image.history.get(..base.history.len()).is_some_and(|steps| {
        let mut both = base.history.iter().zip(steps);
        both.all(|(base, own)| base.created_by == own.created_by && base.makes_no_layer == own.makes_no_layer)
    });
    match begins_so {
        true => base.history.len(),
        false => image.layers[layers - 1].step.map_or(0, |step| step + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_looked_for_here_if_its_name_begins_with_this_host() {
        let here = |image: &str| repository_here(image, "hub.example:5000").map(|name| name.to_string());
        assert_eq!(
            here("hub.example:5000/team/base:1.0"),
            Some("team/base".to_owned())
        );
        assert_eq!(here("hub.example:5000/base"), Some("base".to_owned()));
        assert_eq!(
            here("hub.example:5000/base:1@sha256:abc"),
            Some("base".to_owned())
        );
        for elsewhere in [
            "docker.io/library/alpine:3",
            "alpine",
            "hub.example:5000",
            "hub.example:50001/a",
            "",
        ] {
            assert_eq!(here(elsewhere), None, "{elsewhere}");
        }
    }
}
