//! `compat`, our own section: where to be as registry:2 is although it is the lesser way.

use wharf_server::ServerOptions;

use super::{
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "compat.strict_accept",
        Kind::Boolean,
        Default::Value("false"),
        "Answer manifests as registry:2 does, by what `Accept` names",
    )
    .since(Since::Ours),
    Key::works(
        "compat.sparse_manifests",
        Kind::Boolean,
        Default::Value("false"),
        "Accept manifests whose layers, config or children are not in the repository",
    )
    .since(Since::Ours),
    Key::works(
        "compat.foreign_layers",
        Kind::Boolean,
        Default::Value("false"),
        "Accept layers that lie elsewhere, at any URL",
    )
    .since(Since::Ours),
    Key::works(
        "compat.show_empty_repositories",
        Kind::Boolean,
        Default::Value("false"),
        "Show repositories without tags in `_catalog`",
    )
    .since(Since::Ours),
];

/// Sets in `registry` and `server` what the section asks for.
pub(super) fn read(compat: &Section<'_>, registry: &mut wharf_registry::Options, server: &mut ServerOptions) {
    server.strict_accept = compat.boolean("strict_accept").unwrap_or(false);
    registry.allow_missing_references |= compat.boolean("sparse_manifests").unwrap_or(false);
    registry.allow_foreign_layers |= compat.boolean("foreign_layers").unwrap_or(false);
    registry.show_empty_repositories = compat.boolean("show_empty_repositories").unwrap_or(false);
}
