//! `catalog` and `tags`: the sizes of pages.

use wharf_server::ServerOptions;

use super::{
    keys::{Key, NonZero, Positive, Since, keys},
    section::Section,
};

keys! {
    MAX_ENTRIES: Positive<usize> = Key::new("catalog.maxentries")
        .default("1000")
        .help("Maximum number of repositories on a page of `_catalog`; 0 or less means the default");
    MAX_TAGS: NonZero = Key::new("tags.maxtags")
        .default("1000")
        .help("Maximum number of tags on a page of `tags/list`, if a client asks for pages; 0 means the default")
        .since(Since::From3("3.1"));
}

/// Sets the sizes of pages in `options`.
pub(super) fn read(root: &Section<'_>, options: &mut ServerOptions) {
    options.catalog_limit = root.get(MAX_ENTRIES).0;
    options.catalog_page = options.catalog_page.min(options.catalog_limit);
    match usize::try_from(root.get(MAX_TAGS).0) {
        Ok(most) => options.tags_limit = most,
        Err(_) => root.problem(MAX_TAGS, "must not be negative"),
    }
}
