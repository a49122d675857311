//! `auth`: who is let in.

use super::raw::Section;

/// Refuses what would have to keep people out; a name stands for its section, as in `auth: none`.
pub(super) fn read(mut auth: Section<'_>) {
    auth.ignore(&["none", ""]);
    if !auth.is_empty() {
        auth.problem_here("is not supported yet, and this server would let everybody in; take it out to start without authentication");
    }
}
