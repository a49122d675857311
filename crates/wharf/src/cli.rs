//! The command line: definitions only.

mod access;
mod activity;
mod attach;
mod backup;
mod deletion;
mod files;
mod fsck;
mod garbage_collect;
mod gc;
mod init;
mod listing;
mod login;
mod prune;
mod referrers;
mod remote;
mod server;
mod status;
mod storage;
mod sync;
mod tag;
mod tag_copy;
mod token;
mod transfer;
mod why;

pub(crate) use self::{
    access::{Access, AccessTest, TestedAction},
    activity::{Activity, EntryForm},
    attach::{Attach, FileAndType},
    backup::{Backup, BackupCommand, Restore, Take, Verify},
    deletion::{DeletedImage, HowToDelete, RepoRm, TagRm, Target, Trash, TrashEmpty},
    files::{Cat, Diff, Ls},
    fsck::Fsck,
    garbage_collect::GarbageCollect,
    gc::Gc,
    init::{Doctor, Init},
    listing::{Du, List, Order, Output, RepoLs, Search, SearchPlace, TagLs},
    login::{Login, Logout},
    prune::Prune,
    referrers::{ListedReferrers, Referrers, ReferrersOf, WriteTags},
    remote::Remote,
    server::Server,
    status::Status,
    storage::{Storage, StorageCopy},
    sync::Sync,
    tag::{TagHistory, TagRestore},
    tag_copy::{NewTag, TagCp},
    token::{Token, TokenPlace},
    transfer::{Connection, Copy, Destination, Export, Format, Import, Inventory, Place},
    why::Why,
};

use std::{ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use wharf_client::ImageName;

use crate::{completion, version};

/// A private container registry: one binary, a drop-in for registry:2.
#[derive(Debug, Parser)]
#[command(name = "wharf", version = version::WHOLE, disable_version_flag = true)]
pub(crate) struct Cli {
    /// Print version, commit and build.
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: (),

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the registry.
    ///
    /// Needs no configuration: it then listens on 127.0.0.1:5000 and keeps its data in ./data.
    Serve {
        /// registry:2's config.yml.
        ///
        /// Otherwise $REGISTRY_CONFIGURATION_PATH, /etc/docker/registry/config.yml or
        /// /etc/distribution/config.yml. REGISTRY_HTTP_ADDR=:5000 in the environment overrides http.addr,
        /// and so on for each key.
        config: Option<PathBuf>,
    },

    /// Make a registry with TLS and a first user: data, passwords, certificate, configuration, and a file of Compose.
    ///
    /// Touches nothing that exists. Ends with the password, how to start it, and how clients come to trust it.
    Init(Init),

    /// Look at everything that a registry needs, and print what is wrong with it and what to do about it.
    ///
    /// Changes nothing. Run it as the user that the server runs as, beside the server or without one. Exit status 0 when there is no
    /// problem (there may be warnings), 1 when there are problems, 2 when it cannot look.
    Doctor(Doctor),

    /// Check and show the configuration without starting.
    Config {
        #[command(subcommand)]
        command: Config,
    },

    /// Remove blobs and manifests that are no longer needed.
    ///
    /// A server that runs does it itself. Tagged images stay, with everything that they need and everything that refers to them.
    GarbageCollect(GarbageCollect),

    /// Remove content that no image needs any more, beside the server that runs, and say how many bytes that frees.
    Gc(Gc),

    /// Say which tags, manifests and deletions keep a digest from being collected.
    Why(Why),
    /// Check a registry: what is damaged or missing, which images suffer, and what to do about it.
    ///
    /// Works beside the server, also on a bucket, and changes nothing. A check that was interrupted goes on where it was. Exit status 0
    /// when all is sound (there may be harmless leftovers), 10 when there is damage, 1 when something could not be checked.
    Fsck(Fsck),

    /// Copy a registry from a directory into a bucket, back, or between two of either.
    Storage {
        #[command(subcommand)]
        command: Storage,
    },

    /// Save the registry, beside the server that serves it: images, tags with their histories, users, rules and configuration.
    ///
    /// The backup is an image layout of OCI, which other programs read as well. What is not whole in the registry is left out, and named.
    /// Exit status 0 when all of it is in the backup, 1 when something was left out, or the backup failed.
    Backup(Backup),

    /// Read a whole backup, and name what is damaged or missing with the images that need it: `wharf backup verify`.
    ///
    /// Exit status 0 when it is whole, 1 when it is not.
    Verify(Verify),

    /// Restore a backup, or a tar of a data directory: all of it, or one repository.
    ///
    /// The server must be stopped meanwhile. What is there already stays, and a restore may be repeated. Exit status 0 when all that was
    /// asked for is there, 1 when something could not be restored, 3 when tags were left alone because they point elsewhere by now.
    Restore(Restore),

    /// Show who did what: pushes, pulls, deletions, failed logins and more, the newest last.
    ///
    /// Reads the log in the store of the configuration, also while a server writes it, or asks another wharf. On a terminal it prints a
    /// table, otherwise a line for each entry, with tabs between the columns of the table.
    Activity(Activity),

    /// List unfinished uploads, and remove those that no client goes on with.
    Uploads {
        #[command(subcommand)]
        command: Uploads,
    },

    /// List what refers to an image: signatures, bills of materials, attestations and other artifacts.
    ///
    /// Works against any registry: where it has no list of referrers, those at the tags of clients are shown. `write-tags` writes such tags
    /// in the store of this machine.
    Referrers(ListedReferrers),

    /// Attach files to an image: a bill of materials, a report, a signature.
    ///
    /// Pushes an artifact that refers to the image, and prints its digest. Where the registry keeps no list of referrers, the tag is written
    /// by which clients find them. The same files give the same artifact.
    Attach(Attach),

    /// Show on one screen how a registry is: version, health, space, what runs by itself, and what needs attention.
    ///
    /// Of a registry that is no wharf: whether it answers, and what it can do. Exit status 0 when all is well, 1 when something needs
    /// attention, or the registry does not answer.
    Status(Status),

    /// Ask the registry of this machine or container whether it is healthy.
    ///
    /// Reads the address from the same configuration as `serve`; inside a container, from the file that the
    /// registry there serves. Exit status 0 when it answers, 1 when it does not, or is unhealthy.
    Healthcheck {
        /// The registry's config.yml.
        config: Option<PathBuf>,
    },

    /// List the repositories of any registry, show their disk use, and delete one.
    Repo {
        #[command(subcommand)]
        command: Repo,
    },

    /// List, copy, rename and delete tags in any registry; show the history of a tag of a wharf, and let it go back.
    Tag {
        #[command(subcommand)]
        command: Tag,
    },

    /// Delete tags and images that rules do not keep, such as all but the five newest; without --apply only say which.
    ///
    /// Each tag has a reason. Index children, signatures and other referrers follow their image. What goes can be restored from the trash.
    Prune(Prune),

    /// List what was deleted from a registry, take it back, or give it up.
    ///
    /// Deletions can be restored for `trash.retention`, seven days unless the configuration says otherwise. --server names another wharf.
    Trash {
        #[command(subcommand)]
        command: Trash,
    },

    /// Show the digest, type, size, platforms, configuration, layers and history of an image.
    ///
    /// Works against any registry. The digest is the one to pull and to delete by.
    Inspect {
        /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
        #[arg(add = completion::image())]
        image: ImageName,

        /// Show the image for this platform from an index, such as linux/arm64.
        #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
        platform: Option<String>,

        /// Print the manifest as it is stored, byte for byte.
        #[arg(long, conflicts_with = "json")]
        raw: bool,

        /// Print the Dockerfile, as far as the history of the image has it: of an index, that of the image for this machine.
        #[arg(long, conflicts_with_all = ["json", "raw"])]
        dockerfile: bool,

        /// Print everything as one JSON object.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        remote: Remote,
    },

    /// Search the tags of a wharf by names, labels, annotations and digests.
    Search(Search),

    /// List the files of an image, without pulling it.
    ///
    /// Works against any registry. Reads the layers of the image from its registry, and keeps nothing. Exit status 0 when there is such a
    /// path, 1 when there is not.
    Ls(Ls),

    /// Print a file of an image, without pulling it.
    ///
    /// Works against any registry. Links are followed within the image. What is printed comes from layers with the right digest, or the
    /// exit status is 1.
    Cat(Cat),

    /// Say in what two images differ: configuration, layers and files.
    ///
    /// Works against any registry, also between two of them. Exit status 0 when they do not differ, 10 when they do, 1 when that cannot be
    /// found out.
    Diff(Diff),

    /// Copy images from one registry or repository to another: one tag, one digest, or all tags.
    ///
    /// Manifests keep their bytes, so digests and signatures stay good. What the other side has is not sent again, and the tag comes
    /// last: a copy that is stopped shows nothing, and the same command goes on where it was. Prints the name and digest of
    /// each copy.
    Copy(Copy),

    /// Write images to a file or directory, for a network without a way to the registry.
    ///
    /// The file gets its name when all of it is written. `wharf import`, `docker load`, `podman load` and `ctr images import` read it.
    Export(Export),

    /// Push the images of a file or directory: of `wharf export`, `docker save`, `podman save`, or any OCI image layout.
    ///
    /// The tag comes last: an import that fails shows nothing. Prints the name and digest of each image.
    Import(Import),

    /// Print the digests that a registry has: `wharf export --since` leaves them out.
    Inventory(Inventory),

    /// Mirror what a file lists: repositories and tags by pattern or version, from registries to registries.
    ///
    /// Prints what would be copied, moved and deleted, and what is equal. With --apply it is done; the tag of each image comes last, and a
    /// run that is stopped is gone on with by the next one.
    Sync(Sync),

    /// Log in to a registry, for this program and for docker, podman and others, which find the login in docker's config.json.
    ///
    /// The password is tried first. It is kept by the credential helper of that file, or in the file itself, for its owner alone; of a
    /// registry with a token server a token is kept in its place.
    Login(Login),

    /// Forget the login for a registry.
    Logout(Logout),

    /// Print the completions of a shell: commands, options, and the names of repositories and tags.
    ///
    /// For example: wharf completion bash > /usr/share/bash-completion/completions/wharf
    ///
    /// Names are those that the registry lists, with the stored logins; one that does not answer within two seconds completes nothing.
    Completion {
        /// Name of the shell.
        shell: clap_complete::Shell,
    },

    /// Write the manual pages into a directory.
    #[command(hide = true)]
    Man {
        /// Target directory, such as /usr/share/man/man1.
        directory: PathBuf,
    },

    /// Print the reference of all commands, in Markdown.
    #[command(hide = true)]
    Reference,

    /// Manage the users in a password file.
    ///
    /// A running server sees the change with its next request. Lines of other users stay as they are.
    User {
        #[command(subcommand)]
        command: User,
    },

    /// Check the access rules, and ask what they decide.
    Access {
        #[command(subcommand)]
        command: Access,
    },

    /// Manage robot tokens: secrets for programs, for some repositories and some actions.
    ///
    /// A token is the password of any user name, or a bearer token. Servers take it once `access.tokens.enabled` is true.
    Token {
        #[command(subcommand)]
        command: Token,
    },

    /// Apache's htpasswd, for bcrypt: the same flags, messages and exit codes.
    ///
    /// Also under that name: a link `htpasswd` to this program does the same.
    #[command(disable_help_flag = true)]
    Htpasswd {
        /// Arguments of htpasswd, such as `-Bbn alice secret`; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },

    /// Make certificates for TLS, and show how clients come to trust them.
    Cert {
        #[command(subcommand)]
        command: Cert,
    },

    /// Print random passwords of letters and digits.
    Pwgen {
        /// Characters in each password.
        #[arg(default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1024))]
        length: u16,

        /// Number of passwords, each on a line.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        count: u16,
    },
}

/// Subcommands of `wharf config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print problems and warnings: exit status 0 if the server would start with the configuration, 1 if not.
    ///
    /// Looks at the files and directories that it names as well: certificates, keys, passwords, the data. Run it as the user
    /// that the server runs as.
    Check {
        /// registry:2's config.yml; otherwise found as for `serve`.
        file: Option<PathBuf>,
        /// Look at the configuration alone: it is for another machine.
        #[arg(long)]
        no_files: bool,
    },
    /// Print the effective values as YAML. Secrets are left out.
    Show {
        /// registry:2's config.yml; otherwise found as for `serve`.
        file: Option<PathBuf>,
        /// Print the origin behind each value: default, file and line, or environment variable.
        #[arg(long)]
        origin: bool,
    },
    /// List all keys, with their defaults, as a table in Markdown.
    Keys,
}

/// Subcommands of `wharf cert`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Make a key and a self-signed certificate: clients that trust it trust this server, and no other.
    New {
        /// Names under which clients reach the server, without a port, such as `registry.example.com`.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,

        /// An address under which clients reach the server; may be given more than once.
        #[arg(long, value_name = "ADDRESS")]
        ip: Vec<IpAddr>,

        /// Days for which it is valid. Apple's systems refuse certificates of more than 825 days.
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,

        /// Write PREFIX.key and PREFIX.crt, which must not exist. The default is the first name.
        #[arg(long, value_name = "PREFIX")]
        out: Option<PathBuf>,

        /// RSA with 3072 bits instead of ECDSA P-256, for clients that are older than 2012.
        #[arg(long)]
        rsa: bool,
    },

    /// Print the steps on each system that make it trust a certificate.
    Trust {
        /// Host and port that clients use, such as `registry.example.com:5000`.
        #[arg(value_name = "HOST:PORT")]
        host: String,

        /// Path of the certificate.
        #[arg(long, value_name = "FILE", default_value = "domain.crt")]
        ca: PathBuf,
    },
}

/// Subcommands of `wharf user`.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user. Creates the file and its directories, readable by their owner only, if they do not exist.
    Add(UserAndPassword),

    /// Give a user another password.
    Passwd(UserAndPassword),

    /// Remove a user, and revoke the robot tokens that the user has made.
    ///
    /// With `--file`, only the user: tokens are in the store of a registry. They are refused as long as there is no user of that name.
    Rm {
        /// The user.
        name: String,

        #[command(flatten)]
        file: PasswordFile,
    },

    /// List the users, with the reason for each that cannot log in.
    Ls {
        /// Print only the names.
        #[arg(short, long)]
        quiet: bool,

        #[command(flatten)]
        file: PasswordFile,
    },
}

/// A user, and the source of the password: never the command line, which every user of the machine can read.
#[derive(Debug, Args)]
pub(crate) struct UserAndPassword {
    /// The user.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) file: PasswordFile,

    /// Make a random password, and print it.
    #[arg(long, conflicts_with = "password_stdin")]
    pub(crate) generate: bool,

    /// Write the random password to this new file, readable by its owner only, instead of printing it.
    #[arg(long, value_name = "FILE", requires = "generate")]
    pub(crate) out: Option<PathBuf>,

    /// Read the password from standard input, up to the end of the line.
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Cost of bcrypt: the binary logarithm of the work to check the password.
    #[arg(long, default_value_t = wharf_access::password::DEFAULT_COST, value_parser = clap::value_parser!(u8).range(4..=17))]
    pub(crate) cost: u8,
}

/// The choice of a password file.
#[derive(Debug, Args)]
pub(crate) struct PasswordFile {
    /// The password file.
    ///
    /// Otherwise a running server changes its own, or else the one that the configuration names is changed:
    /// `auth.htpasswd.path`, $REGISTRY_AUTH_HTPASSWD_PATH.
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,

    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) config: Option<PathBuf>,
}

/// Subcommands of `wharf uploads`.
#[derive(Debug, Subcommand)]
pub(crate) enum Uploads {
    /// Print repository, id, size in bytes, and the time since the last byte came, for each unfinished upload.
    Ls {
        /// The registry's config.yml; otherwise found as for `serve`.
        config: Option<PathBuf>,
    },

    /// Remove unfinished uploads. The server must be stopped meanwhile, except for --dry-run.
    Purge {
        /// The registry's config.yml; otherwise found as for `serve`.
        config: Option<PathBuf>,

        /// Remove those that got no byte for this long, such as 1h, 90m or 168h.
        #[arg(long, value_name = "TIME", value_parser = duration)]
        older_than: Duration,

        /// Print how many would be removed, and change nothing.
        #[arg(short, long)]
        dry_run: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    wharf_document::parse_duration(text).ok_or_else(|| "write it such as `1h`, `90m` or `30s`".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Repo {
    /// List the repositories that the user may see: their names, or with -l what a wharf tells of each.
    Ls(RepoLs),

    /// Show how much space each repository takes: what it alone needs, and what it shares.
    Du(Du),

    /// Delete a repository, with all its images: of this registry, or of another one. Repositories below it stay.
    ///
    /// Prints what goes, what stays and how many bytes come free, and asks. Of this registry, the server that runs deletes, or else the store of
    /// the configuration is changed. Of a registry that is no wharf the images go that tags lead to. Exit status 2 when the answer is no, or there is
    /// no terminal to ask at.
    Rm(RepoRm),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tag {
    /// List the tags of a repository: their names, or with -l digest, size, times and platforms of each.
    Ls(TagLs),

    /// Show at which manifests a tag pointed, the latest first: of this registry, or of another wharf.
    ///
    /// Of this registry, the server that runs answers, or else the store of the configuration is read.
    History(TagHistory),

    /// Let a tag point again at a manifest of its history: of this registry, or of another wharf.
    ///
    /// It is a push like any other, which the running server carries out. Without a server the store of the configuration is changed.
    Restore(TagRestore),

    /// Give an image another tag, in its repository or in another one of the same registry.
    ///
    /// Works against any registry. No byte of a layer is sent: what the other repository lacks is mounted where the registry can do that. Prints the
    /// new name and the digest.
    Cp(TagCp),

    /// Rename a tag, within its repository or into another one of the same registry.
    ///
    /// Works where a tag can be deleted alone, as in a wharf and in registry:3; of other registries nothing is changed. The old tag goes last.
    Mv(TagCp),

    /// Delete tags, and the images that nothing else needs then: of this registry, or of another one.
    ///
    /// Prints what goes, what stays and why, and asks. Of this registry, the server that runs deletes, or else the store of the
    /// configuration is changed. A registry that only deletes by digest takes all tags of an image along, which needs --force. Exit status 2 when
    /// the answer is no, or there is no terminal to ask at.
    Rm(TagRm),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_htpasswd_takes_is_passed_on() {
        for words in [
            &["-Bbn", "alice", "-pw"][..],
            &["--help"],
            &["-C", "5", "--", "-x"],
            &[],
        ] {
            let line = ["wharf", "htpasswd"].iter().chain(words);
            match Cli::try_parse_from(line).unwrap().command {
                Command::Htpasswd { arguments } => assert_eq!(arguments, words),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn serve_takes_an_optional_file() {
        let parse = |words: &[&str]| match Cli::try_parse_from(words).unwrap().command {
            Command::Serve { config } => config,
            other => panic!("{other:?}"),
        };
        assert_eq!(parse(&["wharf", "serve"]), None);
        assert_eq!(
            parse(&["registry", "serve", "/etc/c.yml"]),
            Some("/etc/c.yml".into())
        );
    }
}
