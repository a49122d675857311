//! The arguments of `sync`.

use std::path::PathBuf;

use clap::Args;

use super::{
    listing::{Form, Output},
    transfer::{Connection, How},
};

/// Mirrors what a file lists.
#[derive(Debug, Args)]
#[command(after_help = EXIT)]
pub(crate) struct Sync {
    /// The file, in YAML; docs/cli/sync.md describes it.
    pub(crate) file: PathBuf,

    /// Do it. Without this, the command prints what it would do.
    #[arg(long)]
    pub(crate) apply: bool,

    /// Delete at the destination what the file selects there and the source does not have.
    #[arg(long)]
    pub(crate) delete: bool,

    /// Delete also where the source has no tag at all.
    #[arg(long, requires = "delete")]
    pub(crate) force: bool,

    #[command(flatten)]
    form: Form,

    #[command(flatten)]
    pub(crate) how: How,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

const EXIT: &str = "Exit status 0 when both sides are equal, or all was done; 10 when something would be done and --apply was not given; 1 when \
                    something failed or was refused.";

impl Sync {
    /// The form that was asked for.
    pub(crate) fn output(&self) -> Output {
        self.form.output(Output::Table)
    }
}
