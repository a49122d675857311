//! `wharf repo` and `wharf tag`: the way to the commands on repositories and tags.

use std::process::ExitCode;

use super::{deletion, listing, tag_copy, tag_history};
use crate::cli::{Repo, Tag};

pub(crate) fn run(command: Repo) -> anyhow::Result<ExitCode> {
    match command {
        Repo::Ls(arguments) => listing::repositories(&arguments)?,
        Repo::Du(arguments) => listing::usage(arguments)?,
        Repo::Rm(arguments) => return deletion::remove_repository(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_tag(command: Tag) -> anyhow::Result<ExitCode> {
    match command {
        Tag::Ls(arguments) => listing::tags(&arguments.repository, &arguments.list)?,
        Tag::History(arguments) => tag_history::show(&arguments)?,
        Tag::Restore(arguments) => tag_history::restore(&arguments)?,
        Tag::Cp(arguments) => tag_copy::copy(&arguments)?,
        Tag::Mv(arguments) => tag_copy::rename(&arguments)?,
        Tag::Rm(arguments) => return deletion::remove_tags(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn what_is_no_registry_is_said_before_anything_is_asked() {
        for words in [
            ["wharf", "repo", "ls", "a b"],
            ["wharf", "tag", "ls", "no-registry"],
        ] {
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains("HOST:PORT"), "{error}");
        }
        let words = ["wharf", "repo", "ls", "https://localhost:5443", "--config", "dir"];
        assert!(matches!(
            Cli::try_parse_from(words).unwrap().command,
            Command::Repo { .. }
        ));
    }
}
