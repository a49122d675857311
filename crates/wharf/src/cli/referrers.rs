//! The arguments of `wharf referrers`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wharf_client::ImageName;
use wharf_oci::RepoName;

use super::{listing::Form, remote::Remote};
use crate::completion;

/// Arguments of `wharf referrers`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ListedReferrers {
    #[command(subcommand)]
    pub(crate) command: Option<Referrers>,

    #[command(flatten)]
    pub(crate) of: ReferrersOf,
}

/// The image of the referrers that are listed.
#[derive(Debug, Args)]
pub(crate) struct ReferrersOf {
    /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
    #[arg(required = true, add = completion::image())]
    pub(crate) image: Option<ImageName>,

    /// Only artifacts of this type, such as application/spdx+json.
    #[arg(long, value_name = "TYPE")]
    pub(crate) artifact_type: Option<String>,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Subcommands of `wharf referrers`.
#[derive(Debug, Subcommand)]
pub(crate) enum Referrers {
    /// Write the tags `sha256-…` by which clients find referrers in an older registry, before going back to one.
    ///
    /// Without --write it only prints which tags would be written, and the server may run. With it the server must be stopped. A
    /// second run writes only what has changed since.
    WriteTags(WriteTags),
}

/// Arguments of `wharf referrers write-tags`.
#[derive(Debug, Args)]
pub(crate) struct WriteTags {
    /// The registry's config.yml; otherwise found as for `serve`.
    pub(crate) config: Option<PathBuf>,

    /// Look at this repository only.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<RepoName>,

    /// Write the tags. The server must be stopped.
    #[arg(long)]
    pub(crate) write: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn an_image_and_a_subcommand_are_told_apart() {
        let parse = |words: &[&str]| match Cli::try_parse_from(words).map(|cli| cli.command) {
            Ok(Command::Referrers(arguments)) => Some(arguments),
            _ => None,
        };
        let listed = parse(&["wharf", "referrers", "localhost:5000/app:1"]).unwrap();
        assert!(listed.command.is_none() && listed.of.image.is_some());
        let written = parse(&["wharf", "referrers", "write-tags", "config.yml"]).unwrap();
        assert!(written.command.is_some());
        assert!(parse(&["wharf", "referrers"]).is_none());
    }
}
