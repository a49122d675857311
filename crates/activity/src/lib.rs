//! The activity log: who did what, when, from where, with which client, to which digest; and how often images are pulled.
//!
//! Requests [record](Activity) what happened in memory, and never wait for the log. A worker appends it to a
//! [journal](wharf_storage::journal), in JSON, a line for each [`Entry`].
//!
//! # What is promised
//!
//! - **Bounded.** What is not written yet has a share of the budget. Of what there is no room for, the number is kept, and
//!   becomes an entry of its own ([`Outcome::Unrecorded`]), and a metric: the counts of all entries of an action add up to how
//!   often it happened.
//! - **Coalesced.** Pulls of one image by one account, from one address, with one client, are one entry with a count for
//!   each [window](Timing::pulls); so are failed logins and uses of tokens. Pulls that are in the window already allocate nothing.
//! - **Durable soon.** What was recorded is on the disk, synced, after [`Timing::changes`], pulls after [`Timing::pulls`], and
//!   all of it after a clean stop. The end of the process by a signal that cannot be caught loses what is younger.
//! - **Harmless.** A disk that is full, or a bucket that fails, fails no request. What cannot be written waits.

mod entry;
mod pulls;
mod read;
mod record;
mod recorder;
mod subscriber;
mod time;
mod window;
mod writer;

pub use entry::{Action, Actor, Entry, Outcome, Request, Target};
pub use pulls::{AllPulls, Counted, Day, PullCount, Pulls, RepositoryPulls};
pub use read::{Filter, Found, Reader, WantsRepository};

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use wharf_budget::Share;
use wharf_registry::CallerFacts;
use wharf_storage::{Objects, journal::Journals};
use wharf_workers::Supervisor;

use self::{record::Sighting, recorder::Recorder, writer::Writer};

/// The bounds of the activity log, and when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityOptions {
    /// Bytes of the whole log, about
    pub bytes: u64,
    /// Age after which entries are removed
    pub age: Duration,
    /// When entries are written
    pub timing: Timing,
}

/// How long entries may wait before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Of pushes, deletions and everything else that is not coalesced
    pub changes: Duration,
    /// Of what is coalesced: pulls, failed logins, uses of tokens
    pub pulls: Duration,
}

/// Numbers about the log since the start, each action with its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityNumbers {
    /// How often the action happened
    pub happened: Vec<(Action, u64)>,
    /// How often it has no entry of its own
    pub unrecorded: Vec<(Action, u64)>,
    /// Attempts to write the log, or the counts of pulls, that failed
    pub failures: u64,
}

/// The activity log of one server. Clones are the same log.
///
/// As a subscriber of the registry it records what happens to repositories; surfaces tell it of the rest.
#[derive(Clone)]
pub struct Activity {
    recorder: Arc<Recorder>,
    pulls: Pulls,
}

impl Activity {
    /// Starts to record into a journal of `journals`, which lies in `objects`: `supervisor` runs the worker that writes it.
    /// `share` bounds what waits to be written. Must be called on a tokio runtime.
    pub async fn start(
        options: ActivityOptions,
        share: Share,
        journals: &dyn Journals,
        objects: Arc<dyn Objects>,
        supervisor: &Supervisor,
    ) -> Self {
        let recorder = Arc::new(Recorder::new(share));
        let pulls = Pulls::open(Arc::clone(&objects)).await;
        let activity = Self {
            recorder: Arc::clone(&recorder),
            pulls: pulls.clone(),
        };
        supervisor.spawn(Writer::new(recorder, pulls, journals, objects, options));
        activity
    }

    /// Records that a login failed. `name` is the account that the client tried. Failures are coalesced, and of those with
    /// many names in one window only some have an entry of their own, so that guessing does not fill the log.
    pub fn login_failed(&self, caller: &CallerFacts<'_>, name: Option<&str>, reason: &str) {
        self.recorder.saw(
            Sighting {
                account: name,
                detail: Some(reason),
                ..Sighting::by(Action::LoginFailure, caller)
            },
            caller.request,
        );
    }

    /// Records that a token was used, which `token` names: its name or id, never the token itself. Uses are coalesced.
    pub fn token_used(&self, caller: &CallerFacts<'_>, token: &str) {
        self.recorder.saw(
            Sighting {
                detail: Some(token),
                ..Sighting::by(Action::TokenUse, caller)
            },
            caller.request,
        );
    }

    /// Records that a browser was signed in, with the account as the actor of `caller`.
    pub fn signed_in(&self, caller: &CallerFacts<'_>) {
        self.done(Action::SignIn, caller, None, Outcome::Ok);
    }

    /// Records that browsers were signed out; `what` names others than that of the request.
    pub fn signed_out(&self, caller: &CallerFacts<'_>, what: Option<&str>, result: Outcome) {
        self.done(Action::SignOut, caller, what, result);
    }

    /// Records an act of administration, such as `add the user alice`, without anything secret.
    pub fn administered(&self, caller: &CallerFacts<'_>, what: &str, result: Outcome) {
        self.done(Action::Administration, caller, Some(what), result);
    }

    /// Records what has an entry of its own.
    fn done(&self, action: Action, caller: &CallerFacts<'_>, what: Option<&str>, result: Outcome) {
        let sighting = Sighting {
            detail: what,
            ..Sighting::by(action, caller)
        };
        let mut record = sighting.record(caller.request);
        record.result = result;
        self.recorder.add(record);
    }

    /// Where surfaces count the bytes of manifests and blobs that they have sent to clients.
    pub fn content_sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.recorder.content_sent)
    }

    /// How often images were pulled.
    pub fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// Numbers for metrics.
    pub fn numbers(&self) -> ActivityNumbers {
        self.recorder.numbers()
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").finish_non_exhaustive()
    }
}

impl Default for Timing {
    /// For a directory.
    fn default() -> Self {
        Self {
            changes: Duration::from_secs(5),
            pulls: Duration::from_secs(30),
        }
    }
}

impl Timing {
    /// For a bucket, to which every write is a request.
    pub fn of_bucket() -> Self {
        Self {
            changes: Duration::from_secs(30),
            ..Self::default()
        }
    }
}
