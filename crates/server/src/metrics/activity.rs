//! The metrics of the activity log.

use wharf_activity::{Action, Activity};
use wharf_http::{Exposition, Source, number};

use super::table::{ACTIVITY, ACTIVITY_FAILURES, ACTIVITY_UNRECORDED};

/// The counters of the activity log.
#[derive(Debug)]
pub struct ActivityMetrics(
    /// The log.
    pub Activity,
);

impl Source for ActivityMetrics {
    fn write(&self, page: &mut Exposition) {
        let numbers = self.0.numbers();
        let mut write = |metric, numbers: &[(Action, u64)]| {
            let mut family = page.family(metric);
            for (action, count) in numbers {
                family.value(&[action.as_str()], number(*count));
            }
        };
        write(&ACTIVITY, &numbers.happened);
        write(&ACTIVITY_UNRECORDED, &numbers.unrecorded);
        page.family(&ACTIVITY_FAILURES)
            .value(&[], number(numbers.failures));
    }
}
