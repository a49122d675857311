//! An image, and what it shares with other artifacts.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    moment::Time,
    page::Page,
    said::Said,
    values::{Command, Digest, Link, Pair},
    view::View,
};

/// The page of an image.
#[derive(Template)]
#[template(path = "image.html")]
pub struct Image {
    /// What all pages share.
    pub page: Page,
    /// What images and other artifacts share.
    pub subject: Subject,
    /// The platforms of an index; without any it is the image of one platform.
    pub platforms: Vec<ImagePlatform>,
    /// How many of them are not shown.
    pub more_platforms: u64,
    /// How the image of one platform was built; `None`: its configuration cannot be read.
    pub build: Option<Build>,
    /// Labels and annotations.
    pub labels: Vec<Pair>,
}

/// What images and other artifacts share: the head of their page, and what stands at its side.
pub struct Subject {
    /// Repository, and tag or digest, as in a pull.
    pub name: String,
    /// Name of the repository.
    pub repository: String,
    /// The tag, or the beginning of the digest.
    pub reference: String,
    /// Whether the page is that of a tag.
    pub is_tag: bool,
    /// The name that clients use, with the name of the registry.
    pub address: String,
    /// What it is: the last part of the key of a text in `kind`; empty: that cannot be read.
    pub kind: String,
    /// Whether a signature is attached. It is not verified.
    pub signed: bool,
    /// Whether the caller may delete it.
    pub deletes: bool,
    /// Page of the plan of that.
    pub delete: String,
    /// What is damaged or missing; empty: nothing.
    pub problem: Said,
    /// What is not shown, and why.
    pub left_out: Vec<Said>,
    /// What its labels say about it.
    pub description: Option<Shown>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// When it was pushed.
    pub pushed: Option<Time>,
    /// When it was built, as its configuration says.
    pub built: Option<Time>,
    /// How often it was pulled; `None`: that is not counted.
    pub pulls: Option<u64>,
    /// When it was pulled last.
    pub pulled: Option<Time>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// The parts of the page, and pages about the same image.
    pub sections: Vec<Section>,
    /// The commands that pull it.
    pub commands: Vec<Command>,
    /// The commands of other programs.
    pub more_commands: Vec<Command>,
    /// How many artifacts are attached, in the list or not.
    pub referrers_total: u64,
    /// Whether there are more of them than were counted.
    pub more_referrers: bool,
    /// The attached artifacts by what they are.
    pub referrer_groups: Vec<ReferrerGroup>,
    /// Tags that point at the same manifest.
    pub tags: Vec<Link>,
    /// How many of them there are.
    pub tags_total: u64,
    /// The latest entries of the history of the tag.
    pub recent: Vec<RecentManifest>,
    /// Media type of the manifest; empty: that cannot be read.
    pub media_type: Line,
    /// URL of the manifest itself.
    pub raw: String,
}

/// A part of the page, or a page about the same image.
pub struct Section {
    /// Where it is.
    pub href: String,
    /// Whether it is the page that is shown.
    pub current: bool,
    /// Key of its text.
    pub label: &'static str,
    /// How much is in it.
    pub count: Option<u64>,
}

/// Attached artifacts of one kind.
pub struct ReferrerGroup {
    /// The kind: the last part of the key of a text in `referrer`.
    pub kind: String,
    /// The artifacts.
    pub items: Vec<Referrer>,
}

/// An attached artifact.
pub struct Referrer {
    /// Page of the artifact.
    pub href: String,
    /// What it is, in the words of its type.
    pub label: Line,
    /// Size of its manifest in bytes.
    pub size: Option<u64>,
}

/// An entry of the history of the tag.
pub struct RecentManifest {
    /// When the tag came to point at it.
    pub since: Option<Time>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Whether the tag points at it now.
    pub current: bool,
}

/// An entry of an index.
pub struct ImagePlatform {
    /// Name of the platform, or what the entry is.
    pub name: Line,
    /// Whether its image is the one that is shown.
    pub current: bool,
    /// Page of its image.
    pub href: String,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it is: the last part of the key of a text in `kind`; empty: that cannot be read.
    pub kind: String,
    /// What is damaged or missing; empty: nothing.
    pub problem: Said,
}

/// How an image was built.
pub struct Build {
    /// Its layers.
    pub layers: Vec<Layer>,
    /// How many layers it has, listed or not.
    pub layers_total: u64,
    /// The image on which it was built; `None`: that cannot be told.
    pub base: Option<BaseImage>,
    /// The lines of a Dockerfile that would make it, as its history has them.
    pub steps: Vec<BuildStep>,
    /// User, command, ports and the like. Keys are texts of the catalogue.
    pub config: Vec<Pair>,
    /// Variables of the environment.
    pub env: Vec<Pair>,
}

/// The image on which another one was built.
pub struct BaseImage {
    /// Its name.
    pub name: Line,
    /// Its page.
    pub href: String,
    /// How many layers are from it.
    pub layers: u64,
}

/// A layer.
pub struct Layer {
    /// Number of the layer, counted from 1.
    pub number: u64,
    /// Whether it is one of the base image.
    pub base: bool,
    /// Size in bytes.
    pub size: Option<u64>,
    /// The step that made it.
    pub step: Shown,
    /// Digest of the layer.
    pub digest: Digest,
    /// Page of its files; empty: they cannot be listed.
    pub files: String,
    /// Why it cannot be read; empty: nothing is known against it.
    pub problem: Said,
}

impl Layer {
    /// The number of its colour.
    fn colour(&self) -> u64 {
        self.number.saturating_sub(1) % 6 + 1
    }
}

/// A line of a Dockerfile.
pub struct BuildStep {
    /// Whether it is one of the base image.
    pub base: bool,
    /// The instruction.
    pub word: Line,
    /// Its arguments.
    pub rest: Shown,
    /// Bytes of the layer that it made; `None`: it made none.
    pub size: Option<u64>,
}

/// The part of a layer in the bar of all of them, in thousandths of its length.
struct BarPart<'l> {
    layer: &'l Layer,
    size: u64,
    x: String,
    width: String,
}

impl Build {
    /// Bytes of all layers that state their size.
    fn size(&self) -> u64 {
        let sizes = self.layers.iter().filter_map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// The parts of the bar. Each is wide enough for a pointer.
    fn bar(&self) -> Vec<BarPart<'_>> {
        const LEAST: f64 = 8.0;
        let total = self.size().max(1);
        #[expect(clippy::cast_precision_loss, reason = "widths of a drawing")]
        let width = |size: u64| (size as f64 / total as f64 * 1000.0).max(LEAST);
        let sizes = || self.layers.iter().map(|layer| layer.size.unwrap_or_default());
        let scale = 1000.0 / sizes().map(width).sum::<f64>().max(1.0);
        let mut x = 0.0;
        let parts = self.layers.iter().zip(sizes()).map(|(layer, size)| {
            let start = x;
            x += width(size) * scale;
            BarPart {
                layer,
                size,
                x: format!("{start:.1}"),
                width: format!("{:.1}", x - start),
            }
        });
        parts.collect()
    }
}

impl View for Image {}
