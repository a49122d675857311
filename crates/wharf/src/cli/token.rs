//! The arguments of `token`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use wharf_access::{
    robot::{self, UnknownVerb},
    rules::{Pattern, PatternError, Verbs},
};

/// Subcommands of `wharf token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and print it. It is shown once, and kept nowhere.
    Create {
        /// Name of the token: lower case letters, digits, and `.`, `_`, `-` between them, such as `ci`.
        name: String,

        /// Repositories that it is for: a pattern such as `team/**`; may be given more than once.
        #[arg(long = "repo", value_name = "PATTERN", required = true, value_parser = pattern)]
        repositories: Vec<Pattern>,

        /// Actions that it is for, of pull, push and delete, with commas between them.
        #[arg(long, value_name = "ACTIONS", default_value = "pull", value_parser = verbs)]
        allow: Verbs,

        /// How long it is good, such as `90d` or `12h`, or `never` for a token that does not end.
        #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = lifetime)]
        expires: Lifetime,

        #[command(flatten)]
        place: TokenPlace,
    },

    /// List the tokens: what each is for, its creator, when it ends, and when it was used last.
    Ls {
        #[command(flatten)]
        place: TokenPlace,
    },

    /// End a token.
    Revoke {
        /// Name or identifier of the token.
        token: String,

        #[command(flatten)]
        place: TokenPlace,
    },

    /// Give a token another secret, and print it. The old one ends at once.
    Rotate {
        /// Name or identifier of the token.
        token: String,

        /// How long it is good from now on; otherwise as long as it was.
        #[arg(long, value_name = "DURATION", value_parser = super::duration)]
        expires: Option<Duration>,

        #[command(flatten)]
        place: TokenPlace,
    },
}

/// The registry of the tokens, and the form of the answer.
#[derive(Debug, Args)]
pub(crate) struct TokenPlace {
    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long a token is good; `None`: it does not end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime(pub(crate) Option<Duration>);

fn pattern(text: &str) -> Result<Pattern, PatternError> {
    Pattern::parse(text)
}

fn verbs(text: &str) -> Result<Verbs, UnknownVerb> {
    text.split(',').try_fold(Verbs::default(), |all, word| {
        robot::verb(word.trim()).map(|verb| all.with(verb))
    })
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    match text {
        "never" => Ok(Lifetime(None)),
        _ => super::duration(text).map(|duration| Lifetime(Some(duration))),
    }
}
