//! The commands that pull and push an image, with the name that clients use.

use wharf_http::location::is_host;
use wharf_pages::{Command, Page};

use super::call::Call;
use crate::location;

/// Name of this registry, as the browser has reached it or as the operator says. It goes into lines for a shell.
pub(super) fn host(call: Call<'_>) -> String {
    let base = location::base_for(&call.shared.app.options, call.context, call.parts);
    let host = base.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = if is_host(host) { host } else { "localhost:5000" };
    host.to_owned()
}

/// The line that pulls an image with the program of the visitor; with docker where that program pulls no images.
pub(super) fn pull(call: Call<'_>, image: &str) -> String {
    let chosen = pulls(image)
        .into_iter()
        .find(|(program, _)| *program == call.client());
    chosen.map_or_else(|| format!("docker pull {image}"), |(_, line)| line)
}

/// The lines that pull an image, that of the program of the visitor first.
pub(super) fn of_image(call: Call<'_>, image: &str) -> Vec<Command> {
    let mut lines = pulls(image);
    lines.sort_by_key(|(program, _)| *program != call.client());
    commands(lines)
}

fn pulls(image: &str) -> Vec<(&'static str, String)> {
    vec![
        ("docker", format!("docker pull {image}")),
        ("podman", format!("podman pull {image}")),
        ("nerdctl", format!("nerdctl pull {image}")),
        ("ctr", format!("ctr image pull {image}")),
        ("skopeo", format!("skopeo copy docker://{image} dir:image")),
        ("crane", format!("crane pull {image} image.tar")),
    ]
}

/// The lines that pull a chart of Helm: of a tag, which is its version.
pub(super) fn of_chart(repository: &str, version: &str) -> Vec<Command> {
    let name = repository.rsplit('/').next().unwrap_or(repository);
    // Helm writes a `+` as `_`, because a tag has none.
    let version = version.replace('_', "+");
    let chart = format!("oci://{repository} --version {version}");
    commands([
        ("helm", format!("helm pull {chart}")),
        ("helm", format!("helm install {name} {chart}")),
    ])
}

/// The lines that fetch another artifact.
pub(super) fn of_artifact(artifact: &str, is_wasm: bool) -> Vec<Command> {
    let oras = ("oras", format!("oras pull {artifact}"));
    let wkg = is_wasm.then(|| ("wkg", format!("wkg oci pull {artifact}")));
    commands(wkg.into_iter().chain([oras]))
}

/// The lines that push an image.
pub(super) fn of_push(call: Call<'_>) -> Vec<Command> {
    let program = match call.client() {
        chosen @ ("podman" | "nerdctl") => chosen,
        _ => "docker",
    };
    let image = format!("{}/team/app:1.0", host(call));
    commands([
        (program, format!("{program} tag app {image}")),
        (program, format!("{program} push {image}")),
    ])
}

/// A line with another name than that of its program.
pub(super) fn by_digest(page: &Page, line: String) -> Command {
    Command {
        program: page.t("pull.by-digest").attr(),
        text: line,
    }
}

fn commands<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> Vec<Command> {
    let lines = lines.into_iter().map(|(program, text)| Command {
        program: program.to_owned(),
        text,
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_pulled_by_its_version() {
        let lines = of_chart("registry.example.com/charts/app", "1.0.0_build.7");
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "helm pull oci://registry.example.com/charts/app --version 1.0.0+build.7",
                "helm install app oci://registry.example.com/charts/app --version 1.0.0+build.7",
            ]
        );
    }
}
