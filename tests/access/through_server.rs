//! `wharf user` beside a server that runs: through its control socket, with the results and the words of an edit of the file.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use wharf_testkit::{
    Server,
    suite::{Part, Suite},
    tool::{Bench, Ran},
};

use crate::scene::{WHARF, check, entry, on_data_of, says, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            commands_say_and_do_the_same_with_and_without_a_server,
            a_server_without_users_leaves_the_file_to_the_command,
            a_server_that_has_ended_is_none,
        ]
    );
    tests!(
        suite,
        &[Part::Root, Part::Program("setpriv")],
        [a_socket_of_another_user_is_refused_with_the_remedy]
    );
}

/// A configuration of a directory and a password file, in a bench.
fn bench(with_users: bool) -> Bench {
    let bench = Bench::new();
    let auth = match with_users {
        true => format!(
            "auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
            bench.path("htpasswd").display()
        ),
        false => String::new(),
    };
    let data = bench.path("data");
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{auth}",
        data.display()
    );
    bench.write("config.yml", &text);
    bench
}

/// A server on the data and the users of `bench`.
fn serving(bench: &Bench, with_users: bool) -> Server {
    let builder = on_data_of(bench);
    let builder = match with_users {
        true => builder.htpasswd(&bench.path("htpasswd").display().to_string()),
        false => builder,
    };
    builder.start()
}

/// Runs `wharf user …` with the configuration of the bench.
fn user(bench: &Bench, words: &[&str], input: &str) -> Ran {
    let arguments = [&["user"], words, &["--config", "config.yml"]].concat();
    bench.try_run_with_input(WHARF, &arguments, input.as_bytes())
}

/// What a command said, without the directory of its bench.
fn said(bench: &Bench, ran: &Ran) -> String {
    let directory = bench.path("").display().to_string();
    format!("{:?}\n{}\n{}", ran.code, ran.stdout, ran.stderr).replace(&directory, "")
}

async fn commands_say_and_do_the_same_with_and_without_a_server() {
    let (alone, beside) = (bench(true), bench(true));
    for bench in [&alone, &beside] {
        bench.write("htpasswd", &entry("alice", "pw"));
    }
    let server = serving(&beside, true);
    let long = "x".repeat(80);
    for (words, input) in [
        (&["add", "bob", "--password-stdin", "--cost", "4"][..], "pw\n"),
        (&["add", "bob", "--password-stdin"], "pw\n"),
        (&["add", "a:b", "--password-stdin", "--cost", "4"], "pw\n"),
        (&["add", "#c", "--password-stdin", "--cost", "4"], "pw\n"),
        (
            &["add", "käthe smith", "--password-stdin", "--cost", "4"],
            long.as_str(),
        ),
        (&["add", "carol", "--password-stdin"], "\n"),
        (
            &["add", "carol", "--generate", "--cost", "5", "--out", "pass"],
            "",
        ),
        (&["ls"], ""),
        (&["ls", "-q"], ""),
        (&["passwd", "alice", "--password-stdin", "--cost", "4"], "other\n"),
        (&["passwd", "nobody", "--password-stdin"], "pw\n"),
        (&["rm", "käthe smith"], ""),
        (&["rm", "nobody"], ""),
        (&["ls"], ""),
    ] {
        let (expected, found) = (user(&alone, words, input), user(&beside, words, input));
        assert_eq!(said(&beside, &found), said(&alone, &expected), "{words:?}");
    }
    let names = |bench: &Bench| -> Vec<String> {
        let file = bench.read("htpasswd");
        file.lines()
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&beside), ["alice", "bob", "carol"]);
    assert_eq!(names(&beside), names(&alone));
    check(&server, &[("bob", 200), ("alice", 401)]).await;
    let password = beside.read("pass");
    let carol = server.anonymous().as_user("carol", &password);
    carol.get("/v2/").await.expect(200);
    says(&server, "administration", 5).await;
    // The file that an option names is changed by the command itself, as ever.
    let file = beside.path("htpasswd").display().to_string();
    beside.run(WHARF, &["user", "rm", "bob", "--file", &file]);
    assert_eq!(
        server.log().matches("administration").count(),
        5,
        "{}",
        server.log()
    );
    check(&server, &[("bob", 401)]).await;
}

async fn a_server_without_users_leaves_the_file_to_the_command() {
    let bench = bench(true);
    let _server = serving(&bench, false);
    let added = user(
        &bench,
        &["add", "alice", "--password-stdin", "--cost", "4"],
        "pw\n",
    );
    assert!(added.succeeded, "{}", added.stderr);
    assert!(bench.read("htpasswd").starts_with("alice:$2y$04$"));
    let (none, other) = (self::bench(false), bench.path("config.yml"));
    fs::copy(none.path("config.yml"), other).unwrap();
    let ran = user(&bench, &["ls"], "");
    assert!(
        ran.stderr.contains("no password file is configured"),
        "{}",
        ran.stderr
    );
}

async fn a_server_that_has_ended_is_none() {
    let bench = bench(true);
    bench.write("htpasswd", &entry("alice", "pw"));
    let mut server = serving(&bench, true);
    server.kill9();
    assert!(bench.path("data/wharf/control.sock").exists());
    assert_eq!(user(&bench, &["ls", "-q"], "").stdout, "alice\n");
}

async fn a_socket_of_another_user_is_refused_with_the_remedy() {
    let bench = bench(true);
    bench.write("htpasswd", &entry("alice", "pw"));
    let _server = serving(&bench, true);
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for path in ["", "data", "data/wharf"] {
        open(&bench.path(path), 0o755);
    }
    bench.copy_in(WHARF.as_ref(), "wharf");
    open(&bench.path("htpasswd"), 0o644);
    let program = bench.path("wharf").display().to_string();
    let as_other = ["--reuid", "65534", "--clear-groups", &program, "user", "ls"];
    let denied = bench.try_run("setpriv", &[&as_other[..], &["--config", "config.yml"]].concat());
    assert!(!denied.succeeded, "{}", denied.stdout);
    for expected in [
        "data/wharf/control.sock` is for user 0 alone",
        "as root",
        "`--file`",
    ] {
        assert!(denied.stderr.contains(expected), "{expected}: {}", denied.stderr);
    }
    let by_file = bench.try_run("setpriv", &[&as_other[..], &["--file", "htpasswd"]].concat());
    assert!(
        by_file.succeeded && by_file.stdout.starts_with("alice"),
        "{}",
        by_file.stderr
    );
}
