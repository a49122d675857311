//! `notifications`: who is told of pushes and pulls.

use super::raw::Section;

/// Warns that it has no effect.
pub(super) fn read(notifications: &Section<'_>) {
    if !notifications.is_empty() {
        notifications.warning_here("is not supported yet and has no effect");
    }
}
