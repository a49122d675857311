//! What a search finds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::images::is_zero;

/// A page of what a search has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchPage {
    /// The hits, by repository and tag. A page may have none although there is a next one.
    pub hits: Vec<SearchHit>,
    /// The cursor with which the search goes on; absent once everything was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many images were not looked at whole: manifests of them are missing or damaged, or an index lists more than 64.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub incomplete: usize,
}

/// A repository or a tag that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// Name of the repository.
    pub repository: String,
    /// The tag; absent where the repository itself was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of the manifest at which the tag points, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where the text was found: of each kind the first place.
    pub matches: Vec<SearchMatch>,
}

/// A place in which the text was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchMatch {
    /// The kind of the place: `name`, `label`, `annotation` or `digest`.
    #[serde(rename = "in")]
    pub within: String,
    /// The name, the digest, or `key=value`, of which at most 200 characters are shown.
    pub text: String,
}
