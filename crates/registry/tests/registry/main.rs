//! The registry's rules, on a store in memory.

mod catalog;
mod common;
mod manifests;
