//! `http.debug`: a second port, for those who watch.

use super::raw::Section;

/// Warns that it has no effect.
pub(super) fn read(debug: &Section<'_>) {
    if !debug.is_empty() {
        debug.warning_here("is not supported yet and has no effect");
    }
}
