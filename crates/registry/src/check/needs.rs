//! What a manifest needs so that clients can pull it whole: its blobs, and the children of an index with their platforms.

use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView};

use crate::{error::ReferenceRole, registry::Options};

/// What one manifest needs, each in the order of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) parts: Box<[Part]>,
    /// Whether an image lacks something when a part is missing.
    pub(super) is_binding: bool,
}

/// One descriptor of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) digest: Digest,
    /// Size in bytes that the manifest says; 0 where it says none.
    pub(super) size: u64,
    pub(super) role: ReferenceRole,
    /// Platform of the child of an index, such as `linux/arm64`.
    pub(super) platform: Option<Box<str>>,
    /// The descriptor, where it may say that the content need not be there; most do not.
    unusual: Option<Box<Descriptor>>,
}

impl Needs {
    /// What `view` names in its fields.
    pub(super) fn of(view: &ManifestView) -> Self {
        let config = view
            .config
            .iter()
            .map(|config| Part::new(config, ReferenceRole::Config));
        let layers = view
            .layers
            .iter()
            .map(|layer| Part::new(layer, ReferenceRole::Layer));
        let entries = view.manifests.iter().map(|entry| {
            let role = if entry.is_blob() {
                ReferenceRole::ListedBlob
            } else {
                ReferenceRole::Manifest
            };
            Part::new(entry, role)
        });
        Self {
            parts: config.chain(layers).chain(entries).collect(),
            // When a type is unknown, what its fields mean is unknown as well, and its push was not checked for them.
            is_binding: view.kind != ManifestKind::Unknown,
        }
    }
}

impl Part {
    fn new(descriptor: &Descriptor, role: ReferenceRole) -> Self {
        let is_unusual = descriptor.is_foreign() || role.is_entry();
        Self {
            digest: descriptor.digest,
            size: descriptor.size,
            role,
            platform: platform(descriptor),
            unusual: is_unusual.then(|| {
                Box::new(Descriptor {
                    annotations: None,
                    ..descriptor.clone()
                })
            }),
        }
    }

    /// Whether the registry takes the manifest without it into a repository that is not sparse, so that its absence is no damage.
    pub(super) fn is_optional(&self, options: &Options) -> bool {
        match &self.unusual {
            Some(descriptor) => {
                // Clients fetch a foreign layer where its URLs say, whatever this registry would accept today.
                options.is_optional_anywhere(self.role, descriptor)
                    || (self.role.may_be_elsewhere() && descriptor.is_foreign())
            }
            None => options.allow_missing_references,
        }
    }
}

/// The platform as clients write it; `None` where the descriptor names none that clients choose by.
fn platform(descriptor: &Descriptor) -> Option<Box<str>> {
    let platform = descriptor.platform.as_ref()?;
    let (os, architecture) = (&platform.os, &platform.architecture);
    if os.is_empty() || architecture.is_empty() {
        return None;
    }
    Some(match &platform.variant {
        Some(variant) if !variant.is_empty() => format!("{os}/{architecture}/{variant}").into(),
        _ => format!("{os}/{architecture}").into(),
    })
}
