//! What a deployment elsewhere needs of the registry: a store with a certificate of its own.

mod authority;
mod replica;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    authority::add_to(&mut suite);
    suite.run().exit();
}
