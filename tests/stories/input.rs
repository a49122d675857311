//! Bad input gets a clear refusal, leaves nothing half-stored, and does not stop the server.

mod connections;
mod digests;
pub(crate) mod disks;
mod incomplete;
mod load;
mod manifests;
mod names;
mod ranges;
mod remedies;
mod uploads;
