//! How an image was built: its layers, the Dockerfile that its history makes, its configuration.

use std::sync::LazyLock;

use wharf_oci::{RepoName, instruction};
use wharf_pages::{
    BaseImage, Build, BuildStep, Digest, LONG_LIMIT, Layer, Line, Page, Pair, Shown, TABLE_LIMIT,
};

use super::{base::Base, call::Call};
use crate::admin::wire;

/// The instructions of Dockerfiles.
static INSTRUCTIONS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let words = "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR";
    words.split(' ').collect()
});

/// How the image of one platform was built; `None`: the manifest has no layers, as an index.
pub(super) fn of(
    call: Call<'_>,
    page: &Page,
    (name, digest): (&RepoName, &str),
    manifest: &wire::Manifest,
    base: Option<Base>,
) -> Option<Build> {
    if manifest.layers.is_empty() && manifest.config.is_none() {
        return None;
    }
    let (base_layers, base_steps) = base.as_ref().map_or((0, 0), |base| (base.layers, base.steps));
    let step = |number: usize| manifest.history.get(number).map(made).unwrap_or_default();
    let layers = manifest.layers.iter().enumerate().map(|(number, layer)| {
        let step = layer.step.map(step).unwrap_or_default();
        let number = number + 1;
        Layer {
            base: number <= base_layers,
            number: number as u64,
            size: Some(layer.part.size),
            step: Shown::of(step, TABLE_LIMIT),
            digest: Digest::from(layer.part.digest.as_str()),
            files: call.url(&format!("/files/{name}@{digest}?layer={number}")),
            problem: page.said_if(layer.problem.as_ref(), &layer.problem_messages),
        }
    });
    let sizes = |step: usize| {
        let made = manifest.layers.iter().filter(|layer| layer.step == Some(step));
        made.map(|layer| layer.part.size).reduce(u64::saturating_add)
    };
    let steps = manifest.history.iter().enumerate().map(|(number, step)| {
        let made = made(step);
        let (word, rest) = split(&made);
        BuildStep {
            base: number < base_steps,
            word: Line::from(word),
            rest: Shown::of(rest, LONG_LIMIT),
            size: sizes(number),
        }
    });
    let config = manifest.config.as_ref();
    let env = config.into_iter().flat_map(|config| &config.env).map(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        Pair::of(name, value)
    });
    Some(Build {
        layers: layers.collect(),
        layers_total: manifest.layers_total as u64,
        base: base.map(|base| BaseImage {
            href: call.url(&format!("/image/{}", base.here)),
            name: Line::from(base.name),
            layers: base.layers as u64,
        }),
        steps: steps.collect(),
        config: config.map(|config| facts(page, config)).unwrap_or_default(),
        env: env.collect(),
    })
}

/// The instruction of a step, or its remark.
fn made(step: &wire::Step) -> String {
    match (&step.created_by, &step.comment) {
        (Some(made), _) if !made.trim().is_empty() => instruction(made.trim()),
        (_, Some(comment)) => format!("# {comment}"),
        _ => String::new(),
    }
}

/// The word of an instruction, and its arguments. What is no instruction of a Dockerfile has no word.
fn split(made: &str) -> (&str, &str) {
    match made.split_once(' ') {
        Some((word, rest)) if INSTRUCTIONS.contains(&word) => (word, rest),
        _ => ("", made),
    }
}

fn facts(page: &Page, config: &wire::Configuration) -> Vec<Pair> {
    let words = |words: &[String]| words.join(" ");
    let facts = [
        ("config.entrypoint", words(&config.entrypoint)),
        ("config.cmd", words(&config.cmd)),
        ("config.user", config.user.clone().unwrap_or_default()),
        ("config.dir", config.working_dir.clone().unwrap_or_default()),
        ("config.ports", config.exposed_ports.join(", ")),
        ("config.volumes", config.volumes.join(", ")),
        ("config.author", config.author.clone().unwrap_or_default()),
    ];
    let said = facts.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| Pair::of(page.t(key).attr(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_has_a_word_and_arguments() {
        assert_eq!(split("RUN apk add curl"), ("RUN", "apk add curl"));
        assert_eq!(split("bazel build ..."), ("", "bazel build ..."));
        assert_eq!(split(""), ("", ""));
    }
}
