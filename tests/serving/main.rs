//! How the server is reached: TLS, sockets, systemd, proxies in front, prefixes, browsers, and how it stops.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at files behind the server's back"
)]

mod addresses;
mod browsers;
mod buckets;
mod certificates;
mod client_certificates;
mod curl;
mod elsewhere;
mod fronts;
mod locations;
mod nginx;
mod read_only;
mod sharing;
mod stopping;
mod systemd;
mod tls;

use wharf_testkit::{
    Server, ServerBuilder,
    suite::{Part, Suite},
};

fn main() {
    let mut suite = Suite::default();
    addresses::add_to(&mut suite);
    browsers::add_to(&mut suite);
    buckets::add_to(&mut suite);
    certificates::add_to(&mut suite);
    client_certificates::add_to(&mut suite);
    curl::add_to(&mut suite);
    elsewhere::add_to(&mut suite);
    fronts::add_to(&mut suite);
    locations::add_to(&mut suite);
    nginx::add_to(&mut suite);
    read_only::add_to(&mut suite);
    sharing::add_to(&mut suite);
    stopping::add_to(&mut suite);
    systemd::add_to(&mut suite);
    tls::add_to(&mut suite);
    suite.run().exit();
}

/// Adds a test that needs `needs` and configures its own server.
pub(crate) fn add<F: Future<Output = ()> + 'static>(
    suite: &mut Suite,
    name: &str,
    needs: &[Part],
    story: impl FnOnce(ServerBuilder) -> F + Send + 'static,
) {
    let builder = || Server::builder(env!("CARGO_BIN_EXE_wharf"));
    suite.test(name, needs, move || wharf_testkit::run(story(builder())));
}

/// Adds tests under the names of their functions.
#[macro_export]
macro_rules! stories {
    ($suite:expr, $needs:expr, [$($story:ident),+ $(,)?]) => {
        $($crate::add($suite, stringify!($story), $needs, $story);)+
    };
}

/// Checks that a server does not start, and says why in one line.
#[track_caller]
pub(crate) fn refuses_to_start(builder: &ServerBuilder, expected: &str) {
    let (status, said) = builder.output();
    assert!(!status.success(), "it ended well, with {status}:\n{said}");
    assert!(said.contains(expected), "`{expected}` was expected:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    let lines = said.lines().filter(|line| !line.is_empty()).count();
    // A configuration is complained about as a list.
    let is_short = lines == 1 || lines == 2 && said.contains("cannot be used:\n  - ");
    assert!(is_short, "one line was expected:\n{said}");
}

/// The lines of a log that warn or worse.
pub(crate) fn complaints(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains(" level=warning ") || line.contains(" level=error "))
        .collect()
}
