//! `catalog` and `tags`: how much one page of a list holds.

use wharf_server::ServerOptions;

use super::{
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "catalog.maxentries",
        Kind::Number,
        Default::Value("1000"),
        "The most repositories on a page of `_catalog`; 0 and less is the default",
    ),
    Key::works(
        "tags.maxtags",
        Kind::Number,
        Default::Value("1000"),
        "The most tags on a page of `tags/list`, when a client asks for pages; 0 is the default",
    )
    .since(Since::From3("3.1")),
];

/// Sets the sizes of pages in `options`.
pub(super) fn read(catalog: &Section<'_>, tags: &Section<'_>, options: &mut ServerOptions) {
    if let Some(most) = positive(catalog, "maxentries") {
        options.catalog_limit = most;
    }
    options.catalog_page = options.catalog_page.min(options.catalog_limit);
    if let Some(most) = positive(tags, "maxtags") {
        options.tags_limit = most;
    }
    if tags.number("maxtags").is_some_and(i64::is_negative) {
        tags.problem("maxtags", "must not be negative");
    }
}

/// A number above zero; registry:2 takes others for the default.
fn positive(section: &Section<'_>, key: &str) -> Option<usize> {
    section
        .number(key)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|&number| number > 0)
}
