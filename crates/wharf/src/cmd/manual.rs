//! `wharf completion`, `wharf man` and `wharf reference`: completions, manual pages and a reference in Markdown, made from the definitions of
//! the command line.

mod bash;
mod reference;

use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::{Shell, env::Shells};

use super::remote::print;
use crate::{cli::Cli, completion::VARIABLE};

const PROGRAM: &str = "wharf";

/// Prints the completion script for `shell`: it asks this program what may follow.
pub(crate) fn print_completion(shell: Shell) -> anyhow::Result<()> {
    if shell == Shell::Bash {
        return print(&bash::script());
    }
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .with_context(|| format!("there are no completions for `{name}`"))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Writes `wharf.1`, and `wharf-COMMAND.1` for each command.
pub(crate) fn write_pages(directory: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("cannot write the manual into `{}`", directory.display()))
}

/// Prints the reference of all commands.
pub(crate) fn print_reference() -> anyhow::Result<()> {
    print(&reference::of(Cli::command()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_documents_is_current() {
        let written = include_str!("../../../../docs/cli/reference.md");
        assert!(
            written == reference::of(Cli::command()),
            "docs/cli/reference.md is not current; `wharf reference > docs/cli/reference.md` writes it anew"
        );
    }
}
