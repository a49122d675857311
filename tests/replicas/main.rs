//! Several servers on one bucket, behind a balancer without stickiness, with versitygw as the store, or with the one at the
//! address in `$WHARF_TEST_S3`.
//!
//! `WHARF_REPLICAS_SECONDS=600 cargo test --test replicas` is the soak.
#![expect(clippy::print_stdout, reason = "says how much was survived")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files behind the server's back"
)]

mod both_ways;
mod collected;
mod conformance;
mod copied;
mod faults;
mod kill;

use std::path::Path;

use wharf_testkit::{
    replicas::Replicas,
    suite::{Part, Suite},
};

fn main() {
    let mut suite = Suite::default();
    kill::add_to(&mut suite);
    both_ways::add_to(&mut suite);
    faults::add_to(&mut suite);
    copied::add_to(&mut suite);
    collected::add_to(&mut suite);
    conformance::add_to(&mut suite);
    suite.run().exit();
}

/// What replicas need.
const NEEDS: [Part; 2] = Replicas::NEEDS;

fn replicas(count: usize, lines: &[&str]) -> Replicas {
    Replicas::start(Path::new(env!("CARGO_BIN_EXE_wharf")), count, lines)
}
