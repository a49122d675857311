//! What deploys the registry elsewhere: the stack of Compose on a bucket.

#![expect(
    clippy::disallowed_methods,
    reason = "reads the files that are deployed, and writes configurations"
)]

mod authority;
mod checked;
mod replica;
mod stack;
mod yaml;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    authority::add_to(&mut suite);
    stack::add_to(&mut suite);
    suite.run().exit();
}
