//! Names in the paths of pages.

use wharf_oci::{Reference, RepoName};

use super::failure::Result;
use crate::api::problem::{Kind, Problem};

/// The repository of this name.
///
/// # Errors
///
/// That there is none, because this is no name.
pub(super) fn repository(name: &str) -> Result<RepoName> {
    let parsed = name.parse::<RepoName>();
    parsed.map_err(|error| Problem::new(Kind::UnknownImage, error.to_string()).into())
}

/// Repository and reference of `NAME:TAG` or `NAME@DIGEST`; without one the tag is `latest`, as in a pull.
///
/// # Errors
///
/// That there is no such image, because this is no name of one.
pub(super) fn image(image: &str) -> Result<(RepoName, Reference)> {
    let (name, reference) = split(image);
    let parsed = reference.unwrap_or("latest").parse::<Reference>();
    let reference = parsed.map_err(|error| Problem::new(Kind::UnknownImage, error.to_string()))?;
    Ok((repository(name)?, reference))
}

/// Repository and reference, as in a pull.
pub(super) fn of_image(name: &RepoName, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{name}:{tag}"),
        Reference::Digest(digest) => format!("{name}@{digest}"),
    }
}

/// The name of a repository, and what follows it behind `:` or `@`.
pub(super) fn split(image: &str) -> (&str, Option<&str>) {
    match image.split_once(['@', ':']) {
        Some((name, reference)) => (name, Some(reference)),
        None => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_as_in_a_pull() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("team/app:1.0".to_owned(), "team/app:1.0".to_owned()),
            ("app".to_owned(), "app:latest".to_owned()),
            (format!("app@{digest}"), format!("app@{digest}")),
        ] {
            let (name, reference) = image(&text).unwrap();
            assert_eq!(of_image(&name, &reference), expected);
        }
        for text in [
            "",
            "App:1",
            "app:",
            "app:a b",
            "app@sha256:00",
            "app:<script>",
            "../app:1",
        ] {
            assert_eq!(
                image(text).map_err(|failure| failure.kind()),
                Err(Kind::UnknownImage),
                "{text}"
            );
        }
    }
}
