//! What a check finds: a problem with its facts, the images that suffer, a severity and a remedy.

use std::{collections::BTreeSet, fmt};

use wharf_oci::Digest;
use wharf_storage::Key;

use super::words::{Damage, Remedy};

/// How many images one finding names; further ones are counted.
const NAMED: usize = 1000;

/// One problem of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The images that cannot be pulled whole because of it.
    pub images: Images,
    /// Where the damaged bytes lie now, if they were moved.
    pub quarantined: Option<Key>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// An image cannot be pulled whole, or stored bytes are wrong.
    Broken,
    /// Leftovers that harm no image.
    Untidy,
    /// Something could not be read, so it is unknown whether an image is whole.
    Unknown,
}

/// A problem, with its facts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Problem {
    /// The stored bytes of a blob are not those of its digest.
    DamagedBlob {
        /// Digest of the blob.
        digest: Digest,
        /// Size of what is stored, in bytes.
        size: u64,
        /// Digest of what is stored; `None` when the bytes cannot be read to their end.
        actual: Option<Digest>,
    },
    /// A linked manifest or layer is not stored.
    MissingBlob {
        /// Digest of the blob.
        digest: Digest,
    },
    /// A manifest names what its repository has no link of.
    Unlinked {
        /// The repository.
        repository: Box<str>,
        /// Digest of what is missing.
        digest: Digest,
        /// Whether it is a manifest, and no layer or configuration.
        is_manifest: bool,
    },
    /// The bytes have their digest, and are no manifest.
    NoManifest {
        /// Digest of the manifest.
        digest: Digest,
        /// Why they are none.
        why: String,
    },
    /// A link holds no digest.
    DamagedLink {
        /// The link.
        link: Link,
        /// What is wrong with it.
        why: String,
    },
    /// A link holds another digest than its path names.
    WrongLink {
        /// The link.
        link: Link,
        /// Digest that it holds.
        target: Digest,
    },
    /// A tag points at a manifest that its repository does not have.
    DanglingTag {
        /// The repository.
        repository: Box<str>,
        /// The tag.
        tag: Box<str>,
        /// Digest that it points at.
        digest: Digest,
    },
    /// The history of a tag lacks the manifest at which it points.
    UnrecordedTag {
        /// The repository.
        repository: Box<str>,
        /// The tag.
        tag: Box<str>,
    },
    /// Entries in the history of a tag are of manifests that the repository does not have.
    DanglingHistory {
        /// The repository.
        repository: Box<str>,
        /// The tag.
        tag: Box<str>,
        /// Number of such entries.
        count: usize,
        /// The first of them.
        first: Digest,
    },
    /// The directory of a tag has no link.
    EmptyTag {
        /// The repository.
        repository: Box<str>,
        /// The tag.
        tag: Box<str>,
    },
    /// Links of layers that are not stored, and that no manifest of the repository names.
    DanglingLayers {
        /// The repository.
        repository: Box<str>,
        /// Number of such links.
        count: usize,
        /// The first of them.
        first: Digest,
    },
    /// A repository has layers, and no manifest.
    Remains {
        /// The repository.
        repository: Box<str>,
        /// Number of its layer links.
        layers: usize,
    },
    /// A repository has a name that no client can ask for.
    ForeignRepository {
        /// Path in the store.
        path: Box<str>,
    },
    /// A directory has a name that no key of the store can have, and a repository below it, or that cannot be told.
    UnreachableRepository {
        /// Path in the store.
        path: Box<str>,
    },
    /// A file or a directory is no part of a registry.
    UnknownEntry {
        /// Path in the store.
        path: Box<str>,
    },
    /// A directory is one that lies above it, by a symbolic link, or lies deeper than any repository.
    Loop {
        /// Path in the store.
        path: Box<str>,
    },
    /// Something cannot be read.
    Unreadable {
        /// Path in the store.
        path: Box<str>,
        /// The error of the store.
        error: String,
    },
}

/// One link of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The link of a tag.
    Tag {
        /// The repository.
        repository: Box<str>,
        /// The tag.
        tag: Box<str>,
    },
    /// The link of a manifest.
    Revision {
        /// The repository.
        repository: Box<str>,
        /// Digest of the manifest.
        digest: Digest,
    },
    /// The link of a layer or a configuration.
    Layer {
        /// The repository.
        repository: Box<str>,
        /// Digest of the blob.
        digest: Digest,
    },
}

/// One image, as clients name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    /// The repository.
    pub repository: Box<str>,
    /// The tag, or the digest of a manifest that no tag reaches.
    pub reference: ImageReference,
    /// The platform in an index, such as `linux/arm64`; `None` when all of the image suffers.
    pub platform: Option<Box<str>>,
}

/// The name of an image in its repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageReference {
    /// A tag.
    Tag(Box<str>),
    /// The digest of a manifest.
    Digest(Digest),
}

/// Some images, each once, of which the first thousand are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    named: BTreeSet<Image>,
    further: u64,
}

impl Images {
    /// The images in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Image> {
        self.named.iter()
    }

    /// How many more there are, at most.
    pub fn further(&self) -> u64 {
        self.further
    }

    /// These images, of which the first `most` are named and the rest counted.
    pub fn first(&self, most: usize) -> Self {
        let named: BTreeSet<Image> = self.named.iter().take(most).cloned().collect();
        Self {
            further: self.further + (self.named.len() - named.len()) as u64,
            named,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    pub(crate) fn add(&mut self, image: Image) {
        if self.named.len() < NAMED || self.named.contains(&image) {
            self.named.insert(image);
        } else {
            self.further += 1;
        }
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.further += others.further;
        others.named.into_iter().for_each(|image| self.add(image));
    }
}

impl FromIterator<Image> for Images {
    fn from_iter<T: IntoIterator<Item = Image>>(images: T) -> Self {
        let mut all = Self::default();
        images.into_iter().for_each(|image| all.add(image));
        all
    }
}

impl Severity {
    /// All severities.
    pub const ALL: [Self; 3] = [Self::Broken, Self::Untidy, Self::Unknown];

    /// Name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Untidy => "untidy",
            Self::Unknown => "unknown",
        }
    }
}

impl Finding {
    pub(crate) fn new(problem: Problem, images: Images) -> Self {
        Self {
            problem,
            images,
            quarantined: None,
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.problem {
            Problem::Unreadable { .. } | Problem::UnreachableRepository { .. } => Severity::Unknown,
            // Bytes that no image needs, too: a client that pushes them is told that they are there. But an empty file is what a
            // crash of registry:2 leaves, and it counts as absent.
            Problem::DamagedBlob { size, .. } if *size > 0 || !self.images.is_empty() => Severity::Broken,
            Problem::DanglingTag { .. }
            | Problem::DamagedLink {
                link: Link::Tag { .. },
                ..
            } => Severity::Broken,
            _ if !self.images.is_empty() => Severity::Broken,
            _ => Severity::Untidy,
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> Remedy {
        let is_needed = !self.images.is_empty();
        match &self.problem {
            Problem::DamagedBlob { .. } if self.quarantined.is_some() && is_needed => Remedy::PushQuarantined,
            Problem::DamagedBlob { .. } if self.quarantined.is_some() => Remedy::RemoveQuarantined,
            Problem::DamagedBlob { size: 0, .. } if !is_needed => Remedy::CountsAsAbsent,
            Problem::DamagedBlob { .. } if is_needed => Remedy::PushAndRepair,
            Problem::DamagedBlob { .. } => Remedy::Repair,
            Problem::MissingBlob { .. } | Problem::Unlinked { .. } => Remedy::PushOrDelete,
            Problem::NoManifest { .. } if is_needed => Remedy::DeleteAndPush,
            Problem::DamagedLink {
                link: Link::Tag { .. },
                ..
            }
            | Problem::DanglingTag { .. } => Remedy::PushTag,
            Problem::DamagedLink { .. } | Problem::WrongLink { .. } if is_needed => Remedy::PushLink,
            Problem::UnrecordedTag { .. } => Remedy::PushUnrecorded,
            Problem::DanglingHistory { .. } | Problem::EmptyTag { .. } => Remedy::CollectUntagged,
            Problem::NoManifest { .. }
            | Problem::DamagedLink { .. }
            | Problem::WrongLink { .. }
            | Problem::DanglingLayers { .. } => Remedy::Collect,
            Problem::Remains { .. } => Remedy::CollectRemains,
            Problem::UnreachableRepository { .. } => Remedy::Move,
            Problem::ForeignRepository { .. } => Remedy::Rename,
            Problem::UnknownEntry { .. } => Remedy::RemoveUnknown,
            Problem::Loop { .. } => Remedy::RemoveLink,
            Problem::Unreadable { .. } => Remedy::GiveRights,
        }
    }

    /// Name of the kind of the problem in JSON.
    pub fn kind(&self) -> &'static str {
        match &self.problem {
            Problem::DamagedBlob { .. } => "damaged-blob",
            Problem::MissingBlob { .. } => "missing-blob",
            Problem::Unlinked { .. } => "unlinked",
            Problem::NoManifest { .. } => "no-manifest",
            Problem::DamagedLink { .. } => "damaged-link",
            Problem::WrongLink { .. } => "wrong-link",
            Problem::DanglingTag { .. } => "dangling-tag",
            Problem::UnrecordedTag { .. } => "unrecorded-tag",
            Problem::DanglingHistory { .. } => "dangling-history",
            Problem::EmptyTag { .. } => "empty-tag",
            Problem::DanglingLayers { .. } => "dangling-layers",
            Problem::Remains { .. } => "remains",
            Problem::UnreachableRepository { .. } => "unreachable-repository",
            Problem::ForeignRepository { .. } => "foreign-repository",
            Problem::UnknownEntry { .. } => "unknown-entry",
            Problem::Loop { .. } => "loop",
            Problem::Unreadable { .. } => "unreadable",
        }
    }

    /// The digest that it is about, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.problem {
            Problem::DamagedBlob { digest, .. }
            | Problem::MissingBlob { digest }
            | Problem::Unlinked { digest, .. }
            | Problem::NoManifest { digest, .. }
            | Problem::DanglingTag { digest, .. }
            | Problem::DamagedLink {
                link: Link::Revision { digest, .. } | Link::Layer { digest, .. },
                ..
            }
            | Problem::WrongLink {
                link: Link::Revision { digest, .. } | Link::Layer { digest, .. },
                ..
            } => Some(digest),
            _ => None,
        }
    }
}

/// What is wrong, and what to do about it; without the images.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy())
    }
}

impl Problem {
    /// The blob of which the bytes are damaged or missing; `None`: something else is wrong.
    pub fn blob(&self) -> Option<&Digest> {
        match self {
            Self::DamagedBlob { digest, .. } | Self::MissingBlob { digest } => Some(digest),
            _ => None,
        }
    }
}

impl Problem {
    /// The problem in words.
    pub fn told(&self) -> Damage {
        match self.clone() {
            Self::DamagedBlob { digest, size: 0, .. } => Damage::EmptyBlob { digest },
            Self::DamagedBlob {
                digest,
                size,
                actual: Some(actual),
            } => Damage::OtherBytes { digest, size, actual },
            Self::DamagedBlob { digest, size, .. } => Damage::UnreadBytes { digest, size },
            Self::MissingBlob { digest } => Damage::MissingBlob { digest },
            Self::Unlinked {
                repository,
                digest,
                is_manifest: true,
            } => Damage::UnlinkedManifest { repository, digest },
            Self::Unlinked {
                repository, digest, ..
            } => Damage::UnlinkedBlob { repository, digest },
            Self::NoManifest { digest, why } => Damage::NoManifest { digest, why },
            Self::DamagedLink { link, why } => match link {
                Link::Tag { repository, tag } => Damage::DamagedTag { repository, tag, why },
                Link::Revision { repository, digest } => Damage::DamagedRevision {
                    repository,
                    digest,
                    why,
                },
                Link::Layer { repository, digest } => Damage::DamagedLayer {
                    repository,
                    digest,
                    why,
                },
            },
            Self::WrongLink { link, target } => match link {
                Link::Tag { repository, tag } => Damage::WrongTag {
                    repository,
                    tag,
                    target,
                },
                Link::Revision { repository, digest } => Damage::WrongRevision {
                    repository,
                    digest,
                    target,
                },
                Link::Layer { repository, digest } => Damage::WrongLayer {
                    repository,
                    digest,
                    target,
                },
            },
            Self::DanglingTag {
                repository,
                tag,
                digest,
            } => Damage::DanglingTag {
                repository,
                tag,
                digest,
            },
            Self::UnrecordedTag { repository, tag } => Damage::UnrecordedTag { repository, tag },
            Self::DanglingHistory {
                repository,
                tag,
                count: n,
                first,
            } => match n {
                1 => Damage::DanglingEntry {
                    repository,
                    tag,
                    n,
                    first,
                },
                _ => Damage::DanglingHistory {
                    repository,
                    tag,
                    n,
                    first,
                },
            },
            Self::EmptyTag { repository, tag } => Damage::EmptyTag { repository, tag },
            Self::DanglingLayers {
                repository,
                count: n,
                first,
            } => match n {
                1 => Damage::DanglingLayer { repository, n, first },
                _ => Damage::DanglingLayers { repository, n, first },
            },
            Self::Remains {
                repository,
                layers: n,
            } => Damage::Remains { repository, n },
            Self::UnreachableRepository { path } => Damage::UnreachableRepository { path },
            Self::ForeignRepository { path } => Damage::ForeignRepository { path },
            Self::UnknownEntry { path } => Damage::UnknownEntry { path },
            Self::Loop { path } => Damage::Loop { path },
            Self::Unreadable { path, error } => Damage::Unreadable { path, error },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told().fmt(f)
    }
}

/// As operators type it, with the platform in brackets: `team/app:1.0 (linux/arm64)`.
impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &self.reference {
            ImageReference::Tag(tag) => write!(f, ":{tag}")?,
            ImageReference::Digest(digest) => write!(f, "@{digest}")?,
        }
        match &self.platform {
            Some(platform) => write!(f, " ({platform})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tag: &str) -> Image {
        Image {
            repository: "team/app".into(),
            reference: ImageReference::Tag(tag.into()),
            platform: Some("linux/arm64".into()),
        }
    }

    #[test]
    fn an_image_is_named_as_it_is_typed() {
        assert_eq!(image("1.0").to_string(), "team/app:1.0 (linux/arm64)");
    }

    #[test]
    fn a_finding_names_a_thousand_images_and_counts_the_rest() {
        let numbers = (0..NAMED + 5).map(|number| image(&format!("{number:05}")));
        let mut images: Images = numbers.collect();
        images.add(image("00000"));
        assert_eq!((images.iter().count(), images.further()), (NAMED, 5));
    }

    #[test]
    fn wrong_bytes_are_damage_whether_an_image_needs_them_or_not() {
        let digest = Digest::sha256_of(b"a");
        let finding = |size, images| {
            let problem = Problem::DamagedBlob {
                digest,
                size,
                actual: None,
            };
            Finding::new(problem, images).severity()
        };
        assert_eq!(finding(1, Images::default()), Severity::Broken);
        assert_eq!(finding(0, Images::default()), Severity::Untidy);
        assert_eq!(finding(0, [image("1")].into_iter().collect()), Severity::Broken);
    }
}
