//! The command line of `wharf access`.

use std::{net::IpAddr, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use wharf_oci::{RepoName, Tag};

/// Subcommands of `wharf access`.
#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Print all problems of the access rules, each with its line and what to do about it.
    ///
    /// Exit status 0 if there are none, 1 if there are errors or warnings. A server goes on with warnings, and keeps the last good
    /// rules with errors.
    Check {
        /// The file of rules; otherwise the one that the configuration names in `access.rules`.
        file: Option<PathBuf>,

        /// The registry's config.yml; otherwise found as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },

    /// Print the rules in force, in their order, as the running server has them, or else those of the configuration.
    Show {
        /// The registry's config.yml; otherwise found as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,

        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },

    /// Print whether an account may do something, and the rule that decides.
    ///
    /// The running server decides, or else the rules of the configuration. Exit status 0 if the account may, 1 if not, 2 if the
    /// rules cannot be read.
    Test(AccessTest),
}

/// A question about the rights of an account.
#[derive(Debug, Args)]
pub(crate) struct AccessTest {
    /// The account; `anonymous` is a client without one.
    pub(crate) account: String,

    /// What it would do: pull, push, delete, or admin, which is about the whole registry.
    pub(crate) action: TestedAction,

    /// The repository, and the tag if it is about one.
    #[arg(value_name = "REPOSITORY[:TAG]", required_if_eq_any = [("action", "pull"), ("action", "push"), ("action", "delete")])]
    pub(crate) target: Option<Target>,

    /// Address of the client.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<IpAddr>,

    /// Groups of which the account is a member besides those of the file.
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    pub(crate) groups: Vec<String>,

    /// A file of rules to ask, in place of those in force.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// An action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TestedAction {
    Pull,
    Push,
    Delete,
    Admin,
}

/// A repository, and a tag of it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) repository: RepoName,
    pub(crate) tag: Option<Tag>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (text, None),
        };
        let tag = tag.map(|tag| tag.parse::<Tag>().map_err(|error| error.to_string()));
        Ok(Self {
            repository: repository
                .parse::<RepoName>()
                .map_err(|error| format!("{error}; name the repository without the host"))?,
            tag: tag.transpose()?,
        })
    }
}
