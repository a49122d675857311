//! The registry's rules, on a store in memory.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod backups;
mod catalog;
mod checking;
mod collections;
mod collections_on_buckets;
mod collector;
mod common;
mod copying;
mod deletions;
mod deletions_elsewhere;
mod events;
mod fallback_tags;
mod histories;
mod kept_fallback_tags;
mod leases;
mod lists;
mod manifests;
mod many_tags;
mod overviews;
mod plan_races;
mod planning;
mod plans;
mod plans_meanwhile;
mod power_cuts;
mod races;
mod replicas;
mod retention;
mod round_trips;
mod scrubbing;
mod slow_bucket;
mod trash;
mod trash_meanwhile;
mod trash_pressure;
mod uploads;
mod waiting;
