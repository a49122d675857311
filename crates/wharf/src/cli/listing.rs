//! The arguments of `repo ls`, `repo du`, `tag ls` and `search`.

use clap::{Args, ValueEnum};
use wharf_client::{Address, ImageName};

use super::remote::Remote;
use crate::completion;

/// Lists repositories.
#[derive(Debug, Args)]
pub(crate) struct RepoLs {
    /// The registry, such as `localhost:5000` or `https://registry.example.com`.
    pub(crate) registry: Address,

    #[command(flatten)]
    pub(crate) list: List,
}

/// Lists the tags of a repository.
#[derive(Debug, Args)]
pub(crate) struct TagLs {
    /// The repository, such as localhost:5000/app.
    #[arg(add = completion::repository())]
    pub(crate) repository: ImageName,

    #[command(flatten)]
    pub(crate) list: List,
}

/// Searches the tags of a registry.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The registry, a wharf.
    pub(crate) registry: Address,

    /// The text, in any spelling: a part of a name, a label, an annotation or a digest.
    pub(crate) text: String,

    /// Where to look; everywhere if it is left out.
    #[arg(long = "in", value_name = "PLACE", value_delimiter = ',')]
    pub(crate) places: Vec<SearchPlace>,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Shows the disk use of a registry.
#[derive(Debug, Args)]
pub(crate) struct Du {
    /// The registry, a wharf that the user administers.
    pub(crate) registry: Address,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Where a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchPlace {
    /// Names of repositories and tags
    Name,
    /// Labels of images
    Label,
    /// Annotations of manifests
    Annotation,
    /// Digests of manifests
    Digest,
}

/// Options of a command that lists names.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those with this name, or with one that matches this pattern, such as `1.*`, or this regular expression behind `re:`.
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,

    /// The order.
    #[arg(long, value_enum, default_value_t = Order::Name, allow_hyphen_values = true)]
    pub(crate) sort: Order,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// By name
    Name,
    /// By name, the last one first
    #[value(name = "-name")]
    NameDown,
    /// By the last push, the oldest one first; only a wharf knows it
    Pushed,
    /// By the last push, the newest one first; only a wharf knows it
    #[value(name = "-pushed")]
    PushedDown,
}

/// In which form a command prints what it found.
#[derive(Debug, Args)]
pub(crate) struct Form {
    /// The form.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Output>,

    /// The same as --output json.
    #[arg(long, conflicts_with_all = ["output", "long"])]
    json: bool,

    /// The same as --output table.
    #[arg(short, long, conflicts_with = "output")]
    long: bool,
}

/// What a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people
    Table,
    /// A JSON array; its fields are documented and stay
    Json,
    /// Names, one per line
    Name,
}

impl Form {
    /// The form that was asked for, or else `otherwise`.
    pub(crate) fn output(&self, otherwise: Output) -> Output {
        match self.output {
            Some(output) => output,
            None if self.json => Output::Json,
            None if self.long => Output::Table,
            None => otherwise,
        }
    }
}

impl List {
    /// The form that was asked for.
    pub(crate) fn output(&self) -> Output {
        self.form.output(Output::Name)
    }

    /// Whether the standard API, which costs a registry least, is not enough.
    pub(crate) fn wants_more_than_names(&self) -> bool {
        self.output() != Output::Name || matches!(self.sort, Order::Pushed | Order::PushedDown)
    }
}

impl Order {
    /// The order in a query.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDown => "-name",
            Self::Pushed => "pushed",
            Self::PushedDown => "-pushed",
        }
    }
}

impl SearchPlace {
    /// The place in a query.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Label => "label",
            Self::Annotation => "annotation",
            Self::Digest => "digest",
        }
    }
}
