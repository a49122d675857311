//! `wharf repo` and `wharf tag`: listing the repositories and tags of a registry, and the way to the other commands on them.

use std::process::ExitCode;

use wharf_client::printable;

use crate::{
    cli::{Repo, Tag},
    cmd::{
        deletion,
        nearest::explain,
        remote::{ask, print, print_json},
        tag_history,
    },
};

pub(crate) fn run(command: Repo) -> anyhow::Result<ExitCode> {
    let (registry, list) = match command {
        Repo::Ls { registry, list } => (registry, list),
        Repo::Rm(arguments) => return deletion::remove_repository(&arguments),
    };
    let names = ask(&registry, list.remote, async |client| {
        Ok(client.repositories().await?)
    })?;
    show(&names, list.json)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_tag(command: Tag) -> anyhow::Result<ExitCode> {
    let (repository, list) = match command {
        Tag::Ls { repository, list } => (repository, list),
        Tag::History(arguments) => {
            tag_history::show(&arguments)?;
            return Ok(ExitCode::SUCCESS);
        }
        Tag::Restore(arguments) => {
            tag_history::restore(&arguments)?;
            return Ok(ExitCode::SUCCESS);
        }
        Tag::Rm(arguments) => return deletion::remove_tags(&arguments),
    };
    let name = repository.repository.to_string();
    let tags = ask(&repository.registry, list.remote, async |client| {
        match client.tags(&name).await {
            Ok(tags) => Ok(tags),
            Err(error) => Err(explain(&client, &repository, error).await),
        }
    })?;
    show(&tags, list.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the names one per line, or as a JSON array.
fn show(names: &[String], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&format!("{}\n", serde_json::to_string(names)?));
    }
    let lines = names.iter().map(|name| format!("{}\n", printable(name)));
    print(&lines.collect::<String>())
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
