//! The arguments of `backup`, `verify` and `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wharf_oci::RepoName;

/// Arguments of `wharf backup`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,

    #[command(flatten)]
    pub(crate) take: Take,
}

/// Subcommands of `wharf backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// List the snapshots of a backup, the oldest first.
    Ls {
        /// The backup: a directory, a file, or a config.yml whose `storage` names the bucket.
        target: PathBuf,

        /// List the repositories of the newest snapshot, or of that of --snapshot, with their numbers of tags and manifests.
        #[arg(long)]
        repositories: bool,

        /// Only the snapshots whose names begin with this.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,

        /// Print JSON.
        #[arg(long)]
        json: bool,
    },

    /// Read a whole backup, and name what is damaged or missing with the images that need it.
    Verify(Verify),
}

/// What `wharf backup` saves, and where.
#[derive(Debug, Args)]
pub(crate) struct Take {
    /// Where the backup is written: a directory, a new file (`.tar.zst` or `.tar`), or a config.yml whose `storage` names a bucket.
    ///
    /// A directory or a bucket holds many snapshots, and gets only what it does not have yet.
    #[arg(long, value_name = "TARGET", required = true)]
    pub(crate) to: Option<PathBuf>,

    /// For a file: leave out the blobs that this other backup has. Restoring needs both.
    #[arg(long, value_name = "BACKUP")]
    pub(crate) since: Option<PathBuf>,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Save this repository only; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Vec<RepoName>,

    /// Save images only, and not the configuration, the password file and the access rules.
    #[arg(long)]
    pub(crate) without_settings: bool,

    /// Save the keys that sign tokens, and the robot tokens, as well.
    #[arg(long)]
    pub(crate) with_tokens: bool,

    /// Print only what goes wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print the result as JSON.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

/// Arguments of `wharf verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The backup: a directory, a file, or a config.yml whose `storage` names the bucket.
    pub(crate) target: PathBuf,

    /// The backup that the file builds on; otherwise looked for beside it.
    #[arg(long, value_name = "BACKUP")]
    pub(crate) base: Option<PathBuf>,

    /// Only the snapshots whose names begin with this, and all blobs.
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot: Option<String>,

    /// Print only what is wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print the result as JSON.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

/// Arguments of `wharf restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup: a directory, a file, or a config.yml whose `storage` names the bucket; or a tar of a data directory, plain or
    /// compressed with gzip or zstd, whatever its prefix.
    #[arg(required_unless_present = "fix_nesting")]
    pub(crate) source: Option<PathBuf>,

    /// The data directory to restore to, which is made if there is none. Files of the server come into `DIRECTORY.settings`.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "config")]
    pub(crate) to: Option<PathBuf>,

    /// The config.yml of the registry to restore to; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The backup that the file builds on; otherwise looked for beside it.
    #[arg(long, value_name = "BACKUP")]
    pub(crate) base: Option<PathBuf>,

    /// The snapshot whose name begins with this; otherwise the newest.
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot: Option<String>,

    /// Restore this repository only.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<RepoName>,

    /// Restore that repository under this name.
    #[arg(long = "as", value_name = "NAME", requires = "repository")]
    pub(crate) new_name: Option<RepoName>,

    /// Move tags that point elsewhere by now to where the backup has them. Otherwise they are left alone, and named.
    #[arg(long)]
    pub(crate) force: bool,

    /// Print what would be restored, and restore nothing.
    #[arg(short, long)]
    pub(crate) dry_run: bool,

    /// Move a registry that was unpacked a few directories too deep to its place, and do nothing else.
    #[arg(long, conflicts_with_all = ["source", "base", "snapshot", "repository", "force"])]
    pub(crate) fix_nesting: bool,

    /// Print only what goes wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print the result as JSON.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn backup_takes_options_or_a_subcommand() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command);
        match parse("wharf backup --to b0").unwrap() {
            Command::Backup(Backup { command: None, take }) => assert_eq!(take.to, Some("b0".into())),
            other => panic!("{other:?}"),
        }
        match parse("wharf backup ls b0").unwrap() {
            Command::Backup(Backup {
                command: Some(BackupCommand::Ls { target, .. }),
                ..
            }) => assert_eq!(target, PathBuf::from("b0")),
            other => panic!("{other:?}"),
        }
        for refused in [
            "wharf backup",
            "wharf backup --to a ls b",
            "wharf restore",
            "wharf restore a --fix-nesting",
            "wharf restore a --as b",
            "wharf restore a --to b --config c",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
        assert!(parse("wharf restore --fix-nesting --config c").is_ok());
        assert!(parse("wharf restore --fix-nesting --to data").is_ok());
    }
}
