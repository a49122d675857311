//! An artifact that is no image: a chart, an SBOM, a module of WebAssembly, or one that is not known.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    page::Page,
    said::Said,
    values::{Digest, Pages, Pair},
    view::View,
    views::image::Subject,
};

/// The page of an artifact.
#[derive(Template)]
#[template(path = "artifact.html")]
pub struct Artifact {
    /// What all pages share.
    pub page: Page,
    /// What images and other artifacts share.
    pub subject: Subject,
    /// What a chart of Helm says of itself; `None`: it is no chart, or its configuration cannot be read.
    pub chart: Option<Chart>,
    /// The packages of an SBOM; `None`: it is none, or it cannot be read.
    pub sbom: Option<Sbom>,
    /// What a module of WebAssembly says of itself; `None`: it is none.
    pub wasm: Option<Vec<Pair>>,
    /// Whether nothing but its files is known of it.
    pub unknown: bool,
    /// Its files.
    pub blobs: Vec<Blob>,
    /// How many files are not shown.
    pub more_blobs: u64,
    /// Its annotations.
    pub labels: Vec<Pair>,
}

/// What a chart says of itself.
pub struct Chart {
    /// Name, version and the like. Keys are texts of the catalogue.
    pub facts: Vec<Pair>,
    /// Other charts, with versions and places.
    pub dependencies: Vec<Pair>,
}

/// The packages of an SBOM.
pub struct Sbom {
    /// How many it names.
    pub total: u64,
    /// Format and tool.
    pub format: Line,
    /// The packages of this page.
    pub packages: Vec<SbomPackage>,
    /// Further pages.
    pub pages: Pages,
}

/// A package in an SBOM.
pub struct SbomPackage {
    /// Name of the package.
    pub name: Shown,
    /// Version of the package.
    pub version: Shown,
    /// Licence, as the SBOM has it.
    pub licence: Shown,
}

/// A file of an artifact.
pub struct Blob {
    /// Name that its annotations give it, otherwise empty.
    pub title: Shown,
    /// Media type.
    pub media_type: Line,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Digest of the bytes.
    pub digest: Digest,
    /// URL of the download.
    pub download: String,
    /// Why it cannot be read; empty: nothing is known against it.
    pub problem: Said,
}

impl View for Artifact {}
