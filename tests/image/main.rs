//! The container image, in a real Docker Engine: its contract, and stacks that were written for registry:2.
//!
//! `cargo xtask image --rootfs-only` lays out its files; `test.sh` does that first.

mod contract;
mod stack;
mod subject;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    contract::add_to(&mut suite);
    stack::add_to(&mut suite);
    let conclusion = suite.run();
    wharf_testkit::docker::stop();
    conclusion.exit();
}
