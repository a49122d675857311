//! Arguments of `wharf tag history` and `wharf tag restore`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use wharf_oci::{Digest, RepoName, Tag};

/// Arguments of `wharf tag history`.
#[derive(Debug, Args)]
pub(crate) struct TagHistory {
    /// The tag, such as team/app:1.0, without the address of the registry.
    #[arg(value_name = "REPOSITORY:TAG")]
    pub(crate) image: TaggedImage,

    /// Show at most this many manifests, the latest.
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = limit)]
    pub(crate) limit: usize,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `wharf tag restore`.
#[derive(Debug, Args)]
pub(crate) struct TagRestore {
    /// The tag and the manifest, such as team/app:1.0@sha256:…, as `wharf tag history` shows it.
    #[arg(value_name = "REPOSITORY:TAG@DIGEST")]
    pub(crate) target: RestoredTag,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A repository of this registry, and a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaggedImage {
    pub(crate) repository: RepoName,
    pub(crate) tag: Tag,
}

/// A tag, and the manifest at which it is to point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestoredTag {
    pub(crate) image: TaggedImage,
    pub(crate) digest: Digest,
}

impl FromStr for TaggedImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, tag) = text
            .rsplit_once(':')
            .ok_or("a repository and a tag are needed, such as `team/app:1.0`")?;
        Ok(Self {
            repository: repository.parse().map_err(|error| {
                format!("{error}; name the repository as the registry does, without an address in front")
            })?,
            tag: tag.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl FromStr for RestoredTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (image, digest) = text
            .split_once('@')
            .ok_or("the digest is missing, such as `team/app:1.0@sha256:…`; `wharf tag history` shows it")?;
        Ok(Self {
            image: image.parse()?,
            digest: digest.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

/// A number of entries, as the server takes it.
fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1000) => Ok(number),
        _ => Err("it must be a whole number from 1 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_a_digest_are_split_from_the_repository() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let target: RestoredTag = format!("team/app:1.0@{digest}").parse().unwrap();
        assert_eq!(
            (target.image.repository.as_str(), target.image.tag.as_str()),
            ("team/app", "1.0")
        );
        assert_eq!(target.digest.to_string(), digest);
        for text in [
            "team/app",
            "team/app:1.0",
            "localhost:5000/app:1",
            "app:1@sha256:1",
            "app:-@x",
        ] {
            assert!(text.parse::<RestoredTag>().is_err(), "{text}");
        }
        assert!(
            "localhost:5000/app:1"
                .parse::<TaggedImage>()
                .unwrap_err()
                .contains("without an address")
        );
    }

    #[test]
    fn a_limit_is_one_that_the_server_takes() {
        assert_eq!(limit("1000"), Ok(1000));
        assert!(limit("0").is_err() && limit("1001").is_err() && limit("x").is_err());
    }
}
