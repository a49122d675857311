//! The arguments of `ls`, `cat` and `diff`.

use clap::Args;
use wharf_client::ImageName;

use super::Remote;
use crate::completion;

/// Lists the files of an image.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
    #[arg(add = completion::image())]
    pub(crate) image: ImageName,

    /// The directory or file to list; the root of the image if it is left out.
    pub(crate) path: Option<String>,

    /// Print kind and rights, owner, size, time of change, number of the layer and target of each.
    #[arg(short, long)]
    pub(crate) long: bool,

    /// List all below the directory, at any depth.
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// Print the entries as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) of: OfPlatform,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Prints a file of an image.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
    #[arg(add = completion::image())]
    pub(crate) image: ImageName,

    /// The file.
    pub(crate) path: String,

    #[command(flatten)]
    pub(crate) of: OfPlatform,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Compares two images.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The image before, such as localhost:5000/app:1.0.
    #[arg(add = completion::image())]
    pub(crate) before: ImageName,

    /// The image after, which may be in another registry.
    #[arg(add = completion::image())]
    pub(crate) after: ImageName,

    /// Compare configuration and layers alone, and read no layer.
    #[arg(long)]
    pub(crate) no_files: bool,

    /// Print the differences as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) of: OfPlatform,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Which image of an index.
#[derive(Debug, Args)]
pub(crate) struct OfPlatform {
    /// The platform, in an index with several; otherwise that of this machine.
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub(crate) platform: Option<String>,
}
