//! `health`: what is looked at to tell whether the server is well.

use super::raw::Section;

/// Warns that it has no effect.
pub(super) fn read(health: &Section<'_>) {
    if !health.is_empty() {
        health.warning_here("is not supported yet and has no effect");
    }
}
