//! A server with a password file, and the edits of an operator.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Server, ServerBuilder, eventually, run};

pub(crate) const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

pub(crate) const APACHE: Part = Part::Program("htpasswd");
pub(crate) const CURL: Part = Part::Program("curl");

/// Registers tests that are `async fn()`, all with the same needs.
macro_rules! tests {
    ($suite:ident, $needs:expr, [$($test:ident),+ $(,)?]) => {
        $($crate::scene::add($suite, stringify!($test), $needs, || $test());)+
    };
}
pub(crate) use tests;

pub(crate) fn add<F: Future<Output = ()>>(
    suite: &mut Suite,
    name: &str,
    needs: &[Part],
    test: impl FnOnce() -> F + Send + 'static,
) {
    suite.test(name, needs, move || run(test()));
}

/// A line for a password file, with a hash that is quick to check.
pub(crate) fn entry(name: &str, password: &str) -> String {
    let made = Command::new(WHARF)
        .args(["htpasswd", "-nbC", "4", name, password])
        .stderr(Stdio::inherit())
        .output()
        .expect("our own binary runs");
    assert!(made.status.success());
    let text = String::from_utf8(made.stdout).expect("a line is text");
    format!("{}\n", text.trim_end())
}

/// A server whose password file, `htpasswd` in its directory, has this content.
pub(crate) fn builder_with(content: impl AsRef<[u8]>) -> ServerBuilder {
    let builder = Server::builder(WHARF).inmemory().htpasswd("htpasswd");
    std::fs::write(builder.directory().join("htpasswd"), content).expect("the password file is written");
    builder
}

/// A server on the directory `data` of `bench`.
pub(crate) fn on_data_of(bench: &Bench) -> ServerBuilder {
    Server::builder(WHARF).unchecked().environment(
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
        &bench.path("data").display().to_string(),
    )
}

/// Path of the password file.
pub(crate) fn file_of(server: &Server) -> PathBuf {
    server.directory().join("htpasswd")
}

/// The status of `GET /v2/` for a user.
pub(crate) async fn status_for(server: &Server, name: &str, password: &str) -> u16 {
    server
        .anonymous()
        .as_user(name, password)
        .get("/v2/")
        .await
        .status
        .as_u16()
}

/// Checks which users can log in, each with the password `pw`.
#[track_caller]
pub(crate) fn check<'a>(server: &'a Server, expected: &'a [(&'a str, u16)]) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        for &(name, status) in expected {
            assert_eq!(
                status_for(server, name, "pw").await,
                status,
                "{name}, at {caller}"
            );
            assert_eq!(
                status_for(server, name, "wrong").await,
                401,
                "{name} with a wrong password, at {caller}"
            );
        }
    }
}

/// How often the server's log contains a text.
pub(crate) fn mentions(server: &Server, text: &str) -> usize {
    server.log().matches(text).count()
}

/// Waits until the server's log contains a text this often, and checks that it does not contain it more often. A line
/// of the log arrives a moment after the answer.
pub(crate) async fn says(server: &Server, text: &str, times: usize) {
    eventually(&format!("the server says `{text}`"), || async {
        mentions(server, text) >= times
    })
    .await;
    assert_eq!(mentions(server, text), times, "`{text}` in {}", server.log());
}
