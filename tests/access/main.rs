//! Logins: users and their passwords, from the command that makes them to the answer on the wire.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "plays the operator, who makes and edits files, and fails by panicking"
)]

mod apache;
mod differential;
mod docker;
mod live;
mod logging_in;
mod manners;
mod rules;
mod rules_through_server;
mod scene;
mod setup;
mod start;
mod strangers;
mod terminal;
mod through_server;
mod tokens_through_server;
mod users;
mod wire;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    setup::add_to(&mut suite);
    live::add_to(&mut suite);
    rules::add_to(&mut suite);
    rules_through_server::add_to(&mut suite);
    start::add_to(&mut suite);
    wire::add_to(&mut suite);
    apache::add_to(&mut suite);
    terminal::add_to(&mut suite);
    users::add_to(&mut suite);
    through_server::add_to(&mut suite);
    tokens_through_server::add_to(&mut suite);
    strangers::add_to(&mut suite);
    logging_in::add_to(&mut suite);
    manners::add_to(&mut suite);
    docker::add_to(&mut suite);
    differential::add_to(&mut suite);
    suite.run().exit();
}
