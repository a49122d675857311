//! How values are written in the JSON of the API.

use std::time::SystemTime;

use jiff::Timestamp;

/// A time, as RFC 3339 in UTC with milliseconds.
pub(super) fn time(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    format!("{time:.3}")
}
