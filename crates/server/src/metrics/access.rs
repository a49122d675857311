//! The metrics of access: whether the files that decide about clients are used as they are.

use std::sync::Arc;

use wharf_access::Access;
use wharf_http::{Exposition, Source};

use super::table::{ACCESS_FILE_OK, ACCESS_FILE_PROBLEMS};

/// The state of the files that decide about clients, as the last request found them.
#[derive(Debug)]
pub struct AccessMetrics(
    /// The authentication that the server demands, and the permissions of its accounts.
    pub Arc<Access>,
);

impl Source for AccessMetrics {
    fn write(&self, page: &mut Exposition) {
        let files: Vec<_> = self.0.files().collect();
        let mut ok = page.family(&ACCESS_FILE_OK);
        for (file, status) in &files {
            ok.value(&[file], f64::from(u8::from(status.problem.is_none())));
        }
        let mut problems = page.family(&ACCESS_FILE_PROBLEMS);
        for (file, status) in &files {
            let count = status.findings.len() + usize::from(status.problem.is_some());
            problems.value(&[file], u32::try_from(count).map_or(f64::MAX, f64::from));
        }
    }
}
