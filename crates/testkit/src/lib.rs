//! Development only: what the tests of all crates share.

pub mod outside;
