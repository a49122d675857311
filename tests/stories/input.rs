//! Bad input, and what it gets: a clear refusal, nothing half-stored, and a server that lives on.

mod connections;
mod digests;
mod disks;
mod manifests;
mod names;
mod ranges;
mod uploads;
