//! The metrics of access: whether the files that decide about clients are used as they are.

use std::sync::Arc;

use wharf_access::Access;
use wharf_http::{Exposition, Source, Tls};

use super::table::{ACCESS_FILE_OK, ACCESS_FILE_PROBLEMS};

/// The state of the files that decide about clients, as the last request or handshake found them.
#[derive(Debug)]
pub struct AccessMetrics {
    /// The authentication that the server demands, and the permissions of its accounts.
    pub access: Option<Arc<Access>>,
    /// The certificates that server and clients show.
    pub tls: Option<Tls>,
}

impl Source for AccessMetrics {
    fn write(&self, page: &mut Exposition) {
        let mut files: Vec<_> = self.access.iter().flat_map(|access| access.files()).collect();
        files.extend(self.tls.iter().map(|tls| ("certificates", tls.status())));
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
