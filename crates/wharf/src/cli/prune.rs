//! The arguments of `prune`.

use std::time::Duration;

use clap::Args;
use wharf_oci::ArtifactKind;
use wharf_pattern::Pattern;
use wharf_registry::retention::parse_age;

use super::{listing::Form, server::Server};
use crate::config::percent;

/// Deletes tags and images that rules do not keep.
#[derive(Debug, Args)]
#[command(after_help = EXIT)]
pub(crate) struct Prune {
    /// Repositories: names, patterns such as `team/**`, or regular expressions such as `re:team/.*`.
    #[arg(value_name = "REPOSITORY", value_parser = pattern)]
    pub(crate) repositories: Vec<String>,

    /// The same as an option, as deckschrubber has it.
    #[arg(long = "repo", value_name = "REPOSITORY", value_parser = pattern)]
    pub(crate) more_repositories: Vec<String>,

    /// All repositories.
    #[arg(long, conflicts_with_all = ["repositories", "more_repositories"])]
    pub(crate) all: bool,

    /// Apply the rules of the configuration (`retention.rules`) instead of those of the command line.
    #[arg(long, conflicts_with_all = [
        "repositories", "more_repositories", "all", "keep", "older_than", "not_pulled", "untagged", "tags", "not_tags", "kinds",
    ])]
    pub(crate) policy: bool,

    /// Keep so many tags of each repository, of those that are selected: the ones that were pushed last.
    #[arg(long, visible_alias = "latest", value_name = "N")]
    pub(crate) keep: Option<usize>,

    /// Keep tags that were pushed less long ago, such as 30d, 2w, 6mo, 1y, or 2m2d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,

    /// Keep tags that were pulled, or pushed, less long ago.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) not_pulled: Option<Duration>,

    /// Delete manifests that no tag reaches as well, if they are so old; a day if no age is given.
    #[arg(long, value_name = "AGE", value_parser = age, num_args = 0..=1, require_equals = true, default_missing_value = "1d")]
    pub(crate) untagged: Option<Duration>,

    /// Look at these tags only: names, patterns such as `v1.*`, or regular expressions such as `re:.*-SNAPSHOT`.
    #[arg(long = "tag", value_name = "PATTERN", value_parser = pattern)]
    pub(crate) tags: Vec<String>,

    /// Do not look at these tags.
    #[arg(long = "not-tag", visible_alias = "ntag", value_name = "PATTERN", value_parser = pattern)]
    pub(crate) not_tags: Vec<String>,

    /// Keep these tags whatever the rules say, beside those of `retention.protect`.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) protect: Vec<String>,

    /// Look at this kind only: image, cache, chart, signature or other.
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<ArtifactKind>,

    /// How long a tag that was moved keeps what it pointed at before; `history.retention` if it is not given.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) keep_history: Option<Duration>,

    /// Delete. Without this the command only says what would go.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) apply: bool,

    /// Only say what would go, as without --apply.
    #[arg(short, long, visible_alias = "dry")]
    pub(crate) dry_run: bool,

    /// Take as many tags as the rules say, also more than half of a repository.
    #[arg(long, conflicts_with = "max_delete")]
    pub(crate) force: bool,

    /// Take so much of the tags of a repository at most; `retention.maxdelete` if it is not given.
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub(crate) max_delete: Option<u8>,

    /// Keep nothing in the trash: what goes cannot be restored, and the next collection frees its bytes.
    #[arg(long)]
    pub(crate) now: bool,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) server: Server,
}

const EXIT: &str = "Exit status 0 when nothing would go, or all that should go is gone; 10 when something would go, without --apply; \
1 when something was refused or failed.";

fn pattern(text: &str) -> Result<String, String> {
    match Pattern::parse_or_regex(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn age(text: &str) -> Result<Duration, String> {
    parse_age(text).map_err(|error| error.to_string())
}

fn percentage(text: &str) -> Result<u8, String> {
    percent(text).ok_or_else(|| "write a percentage such as `30%`".to_owned())
}
