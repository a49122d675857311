//! `compat`, our own section: switches for the behaviour of registry:2 where wharf deliberately differs.

use wharf_server::ServerOptions;

use super::{
    keys::{Key, Since, keys},
    section::Section,
};

keys! {
    STRICT_ACCEPT: bool = Key::new("compat.strict_accept")
        .default("false")
        .help("Answer manifests as registry:2 does, by the media types in `Accept`")
        .since(Since::Ours);
    SPARSE_MANIFESTS: bool = Key::new("compat.sparse_manifests")
        .default("false")
        .help("Accept manifests whose layers, config or children are not in the repository")
        .since(Since::Ours);
    FOREIGN_LAYERS: bool = Key::new("compat.foreign_layers")
        .default("false")
        .help("Accept layers that are stored elsewhere, at any URL")
        .since(Since::Ours);
    SHOW_EMPTY_REPOSITORIES: bool = Key::new("compat.show_empty_repositories")
        .default("false")
        .help("Show repositories without tags in `_catalog`")
        .since(Since::Ours);
    REFERRERS_TAGS: bool = Key::new("compat.referrers_tags")
        .default("false")
        .help("Keep the tags (`sha256-<hex>`) by which older registries and clients find referrers, such as signatures, and leave them out of lists of tags")
        .since(Since::Ours);
}

/// Sets in `registry` and `server` what the section asks for.
pub(super) fn read(root: &Section<'_>, registry: &mut wharf_registry::Options, server: &mut ServerOptions) {
    server.strict_accept = root.get(STRICT_ACCEPT);
    registry.allow_missing_references |= root.get(SPARSE_MANIFESTS);
    registry.allow_foreign_layers |= root.get(FOREIGN_LAYERS);
    registry.show_empty_repositories = root.get(SHOW_EMPTY_REPOSITORIES);
    registry.referrers_tags = root.get(REFERRERS_TAGS);
}
