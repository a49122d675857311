//! `proxy`: to be a cache of another registry.

use super::raw::Section;

/// Refuses it.
pub(super) fn read(proxy: &Section<'_>) {
    if !proxy.is_empty() {
        proxy.problem_here(
            "is not supported yet; this server would be an ordinary registry, not a cache of another one",
        );
    }
}
