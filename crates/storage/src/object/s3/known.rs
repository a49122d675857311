//! What is known of a store: probes find it out, and the engine uses it from then on.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::timeout};

use super::probe::{self, Conditions, Report, Subject, Tries};

/// Longest time that a conditional put waits until it is known which conditions the store honours.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is known of a store, and the probe that finds out more.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The conditions that the store honours when one request follows the other, from the first put with one on
    asked: OnceCell<Conditions>,
    /// What is known of it, from the end of a probe on
    report: OnceLock<Report>,
    /// The probe that is running
    probing: Mutex<Option<Arc<Tries>>>,
}

impl Known {
    /// Tries everything.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or not in time.
    pub(super) async fn probe(&self, subject: &Subject<'_>) -> Result<Report, String> {
        let asked = self.ask_for_conditions(subject).await?;
        let tries = self.begin_tries(subject).await?;
        let report = probe::probe(subject, &tries, asked).await;
        *self.probing.lock() = None;
        let report = report?;
        _ = self.report.set(report.clone());
        Ok(report)
    }

    /// Removes what a [probe](Self::probe) has written that was dropped before its end.
    pub(super) async fn end_probe(&self) {
        let tries = self.probing.lock().take();
        if let Some(tries) = tries {
            tries.clean_up().await;
        }
    }

    /// What a probe has found, if one has ended.
    pub(super) fn report(&self) -> Option<&Report> {
        self.report.get()
    }

    /// The conditions that the store honours, if they are known. Until a probe has shown which of them hold among several
    /// requests at once, those that hold when one follows the other: no less than looking before the put.
    pub(super) fn conditions(&self) -> Option<Conditions> {
        match self.report.get() {
            Some(Report { abilities, .. }) => Some(Conditions {
                creates: abilities.creates,
                cas: abilities.cas,
            }),
            None => self.asked.get().copied(),
        }
    }

    /// The conditions that the store honours: none if that cannot be found out in time.
    pub(super) async fn conditions_in_time(&self, subject: &Subject<'_>) -> Conditions {
        match timeout(LONGEST_WAIT, self.ask_for_conditions(subject)).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => Conditions::NONE,
        }
    }

    async fn ask_for_conditions(&self, subject: &Subject<'_>) -> Result<Conditions, String> {
        let ask = || async {
            let tries = self.begin_tries(subject).await?;
            let found = Conditions::ask(&tries).await;
            tries.clean_up().await;
            found
        };
        self.asked.get_or_try_init(ask).await.copied()
    }

    /// Begins to try things on the store. What that leaves when it is dropped is removed by [`end_probe`](Self::end_probe).
    async fn begin_tries(&self, subject: &Subject<'_>) -> Result<Arc<Tries>, String> {
        let tries = Arc::new(Tries::begin(subject.requests, subject.probes).await?);
        *self.probing.lock() = Some(Arc::clone(&tries));
        Ok(tries)
    }
}
