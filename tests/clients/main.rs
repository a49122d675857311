//! Clients of other projects, each against a registry of its own on loopback.
//!
//! The program that a test needs is named beside it; without that program the test is ignored, and a
//! line says so. `CLIENTS_AGAINST=docker-registry` (or `registry`) runs the same tests against
//! another registry, to tell faults of wharf from those of the client; `CLIENTS_AGAINST=replicas` runs them against two replicas
//! on one bucket, behind nginx.

mod buildkit;
mod crane;
mod docker;
mod helm;
mod matrix;
mod mirrors;
mod oci_client;
mod oras;
mod podman;
mod regctl;
mod skopeo;
mod subject;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    docker::add_to(&mut suite);
    buildkit::add_to(&mut suite);
    skopeo::add_to(&mut suite);
    podman::add_to(&mut suite);
    crane::add_to(&mut suite);
    regctl::add_to(&mut suite);
    helm::add_to(&mut suite);
    oras::add_to(&mut suite);
    oci_client::add_to(&mut suite);
    matrix::add_to(&mut suite);
    mirrors::add_to(&mut suite);
    let conclusion = suite.run();
    wharf_testkit::docker::stop();
    conclusion.exit();
}
