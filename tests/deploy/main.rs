//! What deploys the registry elsewhere: the chart for Kubernetes, the stack of Compose on a bucket, and the configurations of
//! `docs/s3.md`.

#![expect(
    clippy::disallowed_methods,
    reason = "reads the files that are deployed, and writes configurations"
)]

mod authority;
mod chart;
mod checked;
mod doctor;
mod documents;
mod manifests;
mod mounted;
mod refused;
mod replica;
mod stack;
mod yaml;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    authority::add_to(&mut suite);
    chart::add_to(&mut suite);
    doctor::add_to(&mut suite);
    documents::add_to(&mut suite);
    mounted::add_to(&mut suite);
    refused::add_to(&mut suite);
    stack::add_to(&mut suite);
    suite.run().exit();
}
