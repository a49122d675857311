//! Arguments of `wharf tag cp` and `wharf tag mv`.

use std::str::FromStr;

use clap::Args;
use wharf_client::ImageName;
use wharf_oci::{Reference, Tag};

use super::{remote::Remote, server::Report, transfer::Place};
use crate::completion;

/// Arguments of `wharf tag cp` and `wharf tag mv`.
#[derive(Debug, Args)]
pub(crate) struct TagCp {
    /// The image, such as localhost:5000/app:1.0; to copy it, also with @sha256:… behind the name.
    #[arg(value_name = "SRC", add = completion::image())]
    pub(crate) source: ImageName,

    /// The new tag, such as 1.1, or localhost:5000/other/app:1.1 for another repository of the same registry.
    #[arg(value_name = "DST", add = completion::image())]
    pub(crate) destination: NewTag,

    /// Let the tag point elsewhere than it does now.
    #[arg(short, long, conflicts_with = "no_clobber")]
    pub(crate) force: bool,

    /// Leave the tag alone if there is one, and count that as done.
    #[arg(short, long)]
    pub(crate) no_clobber: bool,

    #[command(flatten)]
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A tag that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NewTag {
    /// A tag of the repository of the source
    Here(Tag),
    /// A tag of a repository
    There(Place, Tag),
}

impl FromStr for NewTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('/') {
            return text.parse().map(Self::Here).map_err(|error| format!("{error}"));
        }
        let place: Place = text.parse().map_err(|error| format!("{error}"))?;
        match place.reference.clone() {
            Some(Reference::Tag(tag)) => Ok(Self::There(place, tag)),
            _ => Err(format!("the tag is missing, as in `{text}:1.0`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_tag_is_one_of_the_same_repository_or_of_another() {
        assert_eq!("1.1".parse(), Ok(NewTag::Here("1.1".parse().unwrap())));
        let NewTag::There(place, tag) = "localhost:5000/a/b:2".parse().unwrap() else {
            panic!("a repository is named")
        };
        assert_eq!((place.repository.as_str(), tag.as_str()), ("a/b", "2"));
        for wrong in ["", "-", "localhost:5000/a"] {
            assert!(wrong.parse::<NewTag>().is_err(), "{wrong}");
        }
    }
}
