//! `catalog` and `tags`: how much one page of a list holds.

use wharf_server::ServerOptions;

use super::raw::Section;

/// Sets the sizes of pages in `options`.
pub(super) fn read(mut catalog: Section<'_>, mut tags: Section<'_>, options: &mut ServerOptions) {
    if let Some(most) = positive(&mut catalog, "maxentries") {
        options.catalog_limit = most;
    }
    options.catalog_page = options.catalog_page.min(options.catalog_limit);
    if let Some(most) = positive(&mut tags, "maxtags") {
        options.tags_limit = most;
    }
    catalog.finish();
    tags.finish();
}

/// A number above zero; registry:2 takes others for the default.
fn positive(section: &mut Section<'_>, key: &str) -> Option<usize> {
    section
        .number(key)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|&number| number > 0)
}
