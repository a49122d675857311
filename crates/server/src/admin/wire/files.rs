//! The files of layers, and the comparison of two images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

use super::Part;

/// A page of the files of one layer of an image, in one of its directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerFiles {
    /// Name of the repository.
    pub repository: String,
    /// The tag or digest that was asked for.
    pub reference: String,
    /// Digest of the manifest of the image, which may be the child of an index; absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Number of the layer, counted from the lowest, 1.
    pub number: usize,
    /// How many layers the image has.
    pub layers: usize,
    /// The layer; absent where there is none of that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Part>,
    /// The command that made the layer; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// The directory, without a slash around it; empty for the root.
    pub path: String,
    /// Whether nothing of lower layers shows in the directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opaque: bool,
    /// The files, in the order of their names.
    pub files: Vec<LayerFile>,
    /// How many entries the layer has in all.
    pub total: usize,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why files are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// What a layer has under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerFile {
    /// Its name in the directory; with `match`, the path below the directory. Bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Path from the root of the image.
    pub path: String,
    /// What it is: `file`, `directory`, `symlink`, `hardlink`, `character-device`, `block-device` or `fifo`; absent for what was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permission bits in octal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Number of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u64>,
    /// Number of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// When it was modified (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// Where a link leads, as it is written; of a hard link, the path of the other name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Whether the layer takes it away from the layers below.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// In what two images differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Name of the repository.
    pub repository: String,
    /// The image that is compared.
    pub from: ComparedImage,
    /// The image with which it is compared.
    pub to: ComparedImage,
    /// Parts of the configuration that are not the same.
    pub config: Vec<ChangedPart>,
    /// The layers of both, in their order.
    pub layers: Vec<ComparedLayer>,
    /// A page of the files that are not the same, in the order of their paths.
    pub files: Vec<ChangedFile>,
    /// How many files only the second image has; absent where files were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<usize>,
    /// How many files only the first image has; absent where files were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<usize>,
    /// How many files are in both, and not the same; absent where files were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<usize>,
    /// The cursor of the next page of files; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What could not be compared, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// `left_out` by codes, for programs, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_messages: Vec<Vec<Message>>,
}

/// One of two images that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedImage {
    /// The tag or digest that was asked for.
    pub reference: String,
    /// Digest of the manifest of the image, which may be the child of an index; absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The platform, where an index names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Bytes of its configuration and layers; absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was built, as its configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// A part of the configuration that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedPart {
    /// Its name, such as `config.Env`.
    pub name: String,
    /// Its value in the first image, as JSON unless it is a text; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value in the second image, as JSON unless it is a text; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A layer of two images that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedLayer {
    /// The layer.
    #[serde(flatten)]
    pub part: Part,
    /// Which images have it: `both`, `removed` (the first one alone) or `added` (the second one alone).
    pub change: String,
    /// The command that made it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

/// A file that is not the same in two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// Path from the root of the images.
    pub path: String,
    /// What became of it: `added`, `removed` or `changed`.
    pub change: String,
    /// Bytes in the first image; absent where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Bytes in the second image; absent where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// What changed of a file that both have: the new kind alone, or some of `content`, `target`, `mode` and `owner`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
}
