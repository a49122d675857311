//! The arguments of `copy`, `export`, `import` and `inventory`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use wharf_client::{Address, AddressError, ImageName, transfer::WantedPlatform};
use wharf_oci::{Reference, RepoName};

use crate::completion;

/// Copies images from one repository to another.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name; with --all-tags a repository.
    #[arg(value_name = "SRC", add = completion::image())]
    pub(crate) source: Place,

    /// Repository to copy to, such as registry.example.com/app; the tag is the one of SRC unless another is named.
    #[arg(value_name = "DST", add = completion::image())]
    pub(crate) destination: Place,

    /// Copy all tags of the repository.
    #[arg(long)]
    pub(crate) all_tags: bool,

    #[command(flatten)]
    pub(crate) parts: Parts,

    #[command(flatten)]
    pub(crate) how: How,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Writes images to a file.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The images, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
    #[arg(required = true, value_name = "IMAGE", add = completion::image())]
    pub(crate) images: Vec<ImageName>,

    /// File or directory to write.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,

    /// Form of the file: an OCI image layout as a tar or as a directory, or what `docker save` writes.
    ///
    /// `docker-archive` has one platform of each image: the one of --platform, or else the one of this machine.
    #[arg(long, value_enum, default_value_t = Format::Oci)]
    pub(crate) format: Format,

    /// Leave out what the other side has, by a file that `wharf inventory` wrote there; not for docker-archive.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) parts: Parts,

    #[command(flatten)]
    pub(crate) how: How,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Pushes the images of a file.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// An OCI image layout, as a directory or a tar, or what `docker save` or `podman save` wrote.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) file: PathBuf,

    /// Where to push to: HOST keeps the names of the images, HOST/REPO, or HOST/REPO:TAG, gives another.
    #[arg(value_name = "DST", add = completion::image())]
    pub(crate) destination: Destination,

    /// List what would be pushed, and change nothing.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Leave out signatures and what else refers to the images.
    #[arg(long)]
    pub(crate) no_referrers: bool,

    #[command(flatten)]
    pub(crate) how: How,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Lists the digests that a registry has.
#[derive(Debug, Args)]
pub(crate) struct Inventory {
    /// The registry, or one repository of it: HOST or HOST/REPO.
    #[arg(value_name = "HOST[/REPO]", add = completion::repository())]
    pub(crate) place: Destination,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Parts of an image.
#[derive(Debug, Args)]
pub(crate) struct Parts {
    /// Only these platforms of an index, such as linux/arm64; may be given more than once.
    ///
    /// The index is written anew without the others, so it has another digest, and signatures of the whole index stay behind.
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub(crate) platform: Vec<WantedPlatform>,

    /// Signatures, attestations and what else refers to the images: the default.
    #[arg(long, overrides_with = "no_referrers")]
    referrers: bool,

    /// Leave out what refers to the images.
    #[arg(long)]
    pub(crate) no_referrers: bool,
}

/// The way in which content is moved.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Number of blobs that are moved at a time.
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,

    /// Show no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Connections to registries, with docker's stored credentials for each.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The directory of docker's config.json; otherwise $DOCKER_CONFIG, or ~/.docker.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) config: Option<PathBuf>,

    /// Trust the certificate authorities in this PEM file as well as the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,

    /// Trust any certificate of this host, such as registry.lan:5000, and fall back to plain HTTP without TLS. Always on for this machine
    /// itself. May be given for each of several hosts; what is not named is checked.
    #[arg(short = 'k', long, value_name = "HOST[:PORT]")]
    pub(crate) insecure: Vec<String>,
}

/// Form of the files of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// An OCI image layout as a tar.
    Oci,
    /// An OCI image layout as a directory.
    OciDir,
    /// What `docker save` writes.
    DockerArchive,
}

/// A repository, and perhaps an image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) registry: Address,
    pub(crate) repository: RepoName,
    /// Tag or digest, if one is named.
    pub(crate) reference: Option<Reference>,
}

/// A registry, and perhaps a repository or an image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Registry(Address),
    Place(Place),
}

impl FromStr for Place {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let image: ImageName = text.parse()?;
        let last = text.rsplit('/').next().unwrap_or(text);
        let is_named = last.contains([':', '@']);
        Ok(Self {
            registry: image.registry,
            repository: image.repository,
            reference: is_named.then_some(image.reference),
        })
    }
}

impl FromStr for Destination {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.parse::<Address>() {
            Ok(registry) => Ok(Self::Registry(registry)),
            Err(_) => text.parse().map(Self::Place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port() {
        let reference = |text: &str| {
            text.parse::<Place>()
                .unwrap()
                .reference
                .map(|found| found.to_string())
        };
        assert_eq!(reference("localhost:5000/app"), None);
        assert_eq!(reference("localhost:5000/app:1").as_deref(), Some("1"));
        let digest = wharf_oci::Digest::sha256_of(b"").to_string();
        assert_eq!(reference(&format!("r.test/a/b@{digest}")), Some(digest));
    }

    #[test]
    fn a_destination_may_be_a_registry() {
        let parse = |text: &str| text.parse::<Destination>().unwrap();
        assert!(matches!(parse("localhost:5000"), Destination::Registry(_)));
        assert!(matches!(parse("localhost:5000/app"), Destination::Place(_)));
    }
}
