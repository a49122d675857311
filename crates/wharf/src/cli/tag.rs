//! Arguments of `wharf tag history` and `wharf tag restore`.

use std::str::FromStr;

use clap::Args;
use wharf_client::Address;
use wharf_oci::{Digest, Reference, RepoName, Tag};

use super::{
    listing::Form,
    server::{Report, Server, placed},
};
use crate::completion;

/// Arguments of `wharf tag history`.
#[derive(Debug, Args)]
pub(crate) struct TagHistory {
    /// The tag: team/app:1.0 of this registry, or registry.example.com/team/app:1.0.
    #[arg(value_name = "[HOST/]REPOSITORY:TAG", add = completion::image())]
    pub(crate) image: TaggedImage,

    /// Show at most this many manifests, the latest.
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = limit)]
    pub(crate) limit: usize,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `wharf tag restore`.
#[derive(Debug, Args)]
pub(crate) struct TagRestore {
    /// The tag and the manifest, such as team/app:1.0@sha256:…, as `wharf tag history` shows it; of another wharf with its address in front.
    #[arg(value_name = "[HOST/]REPOSITORY:TAG@DIGEST", add = completion::image())]
    pub(crate) target: RestoredTag,

    #[command(flatten)]
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// A repository and a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaggedImage {
    /// The registry that is named in front.
    pub(crate) registry: Option<Address>,
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
        const NO_TAG: &str = "a repository and a tag are needed, such as `team/app:1.0`";
        if let Some(place) = placed(text)? {
            let Some(Reference::Tag(tag)) = place.reference else {
                return Err(NO_TAG.to_owned());
            };
            return Ok(Self {
                registry: Some(place.registry),
                repository: place.repository,
                tag,
            });
        }
        let (repository, tag) = text.rsplit_once(':').ok_or(NO_TAG)?;
        Ok(Self {
            registry: None,
            repository: repository.parse().map_err(|error| format!("{error}"))?,
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
        for text in ["team/app", "team/app:1.0", "app:1@sha256:1", "app:-@x"] {
            assert!(text.parse::<RestoredTag>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_may_have_a_registry_in_front() {
        let image: TaggedImage = "localhost:5000/app:1".parse().unwrap();
        assert_eq!(image.registry, Some("localhost:5000".parse().unwrap()));
        assert_eq!((image.repository.as_str(), image.tag.as_str()), ("app", "1"));
        for text in ["localhost:5000/app", "app", "r.test/app:-"] {
            assert!(text.parse::<TaggedImage>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_one_that_the_server_takes() {
        assert_eq!(limit("1000"), Ok(1000));
        assert!(limit("0").is_err() && limit("1001").is_err() && limit("x").is_err());
    }
}
