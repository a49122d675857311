//! `wharf completion` and `wharf man`: completions and manual pages, made from the definitions of the command line.

use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// Prints the completion script for `shell`.
pub(crate) fn print_completion(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Writes `wharf.1`, and `wharf-COMMAND.1` for each command.
pub(crate) fn write_pages(directory: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("cannot write the manual into `{}`", directory.display()))
}
