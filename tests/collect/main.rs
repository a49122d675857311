//! `garbage-collect` of the real binary: its output compared with registry:2 and registry:3, what it keeps, what it
//! removes, and the tree after it was killed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and writes and damages trees as registry:2 and its disks do"
)]

mod checked;
mod churn;
mod command;
mod differential;
mod histories;
#[path = "../stories/in_process.rs"]
mod in_process;
mod kept;
mod killed;
mod model;
mod online;
mod pruned;
mod pushers;
mod referrers;
mod tree;
mod uploads;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    churn::add_to(&mut suite);
    checked::add_to(&mut suite);
    command::add_to(&mut suite);
    differential::add_to(&mut suite);
    histories::add_to(&mut suite);
    kept::add_to(&mut suite);
    pruned::add_to(&mut suite);
    pushers::add_to(&mut suite);
    killed::add_to(&mut suite);
    model::add_to(&mut suite);
    online::add_to(&mut suite);
    referrers::add_to(&mut suite);
    uploads::add_to(&mut suite);
    suite.run().exit();
}
