//! `compat`, our own section: where to be as registry:2 is although it is the lesser way.

use wharf_server::ServerOptions;

use super::raw::Section;

/// Sets in `registry` and `server` what the section asks for.
pub(super) fn read(
    mut compat: Section<'_>,
    registry: &mut wharf_registry::Options,
    server: &mut ServerOptions,
) {
    server.strict_accept = compat.boolean("strict_accept").unwrap_or(false);
    registry.allow_missing_references = compat.boolean("sparse_manifests").unwrap_or(false);
    registry.allow_foreign_layers |= compat.boolean("foreign_layers").unwrap_or(false);
    registry.show_empty_repositories = compat.boolean("show_empty_repositories").unwrap_or(false);
    compat.finish();
}
