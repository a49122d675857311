//! The arguments of `storage`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Subcommands of `wharf storage`.
#[derive(Debug, Subcommand)]
pub(crate) enum Storage {
    /// Copy a whole registry from one store into another, such as from a directory into a bucket.
    ///
    /// FROM and TO are each a config.yml, of which only `storage` is used, or a directory. The registry of FROM may be served meanwhile,
    /// and is only read. Run it again to go on after it was interrupted, and to bring over what was pushed since; what is there already
    /// is not sent again, and nothing is removed from TO. Exit status 1 when something could not be copied.
    Copy(StorageCopy),
}

/// Arguments of `wharf storage copy`.
#[derive(Debug, Args)]
pub(crate) struct StorageCopy {
    /// Where the registry is: the config.yml of its server, or its data directory.
    pub(crate) from: PathBuf,

    /// Where it is to be: the config.yml of the new server, or a directory.
    pub(crate) to: PathBuf,

    /// Print what would be copied, and copy nothing.
    #[arg(short, long)]
    pub(crate) dry_run: bool,

    /// Read everything that TO has, and what it gets, and compare it with FROM.
    #[arg(long)]
    pub(crate) verify: bool,

    /// Print only what goes wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
