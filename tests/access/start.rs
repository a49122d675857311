//! The start of a server with users.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::{Server, eventually};

use crate::scene::{WHARF, builder_with, entry, mentions, says, status_for, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            a_missing_file_is_made_safely,
            a_file_that_cannot_be_used_stops_the_start,
            d1_delete_is_on_where_users_log_in,
            s3_02_default_passwords_are_warned_about,
            clear_text_is_warned_about,
        ]
    );
    tests!(suite, &[Part::Root], [a_file_of_somebody_else_stops_the_start]);
}

async fn a_missing_file_is_made_safely() {
    let mut server = Server::builder(WHARF)
        .inmemory()
        .htpasswd("auth/deep/htpasswd")
        .start();
    says(&server, "This is shown once", 1).await;
    let log = server.log();
    let password = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("password  "));
    let password = password.expect(&log).to_owned();
    assert_eq!(log.matches(&password).count(), 1, "it is shown once");
    assert_eq!(status_for(&server, "docker", &password).await, 200);
    assert_eq!(status_for(&server, "docker", "").await, 401);
    let auth = server.directory().join("auth");
    let mode = |path: &str| fs::metadata(auth.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(""), mode("deep"), mode("deep/htpasswd")),
        (0o700, 0o700, 0o600)
    );
    let text = fs::read_to_string(auth.join("deep/htpasswd")).unwrap();
    assert!(
        text.starts_with("docker:$2y$10$") && text.ends_with('\n'),
        "{text}"
    );

    server.restart();
    assert_eq!(status_for(&server, "docker", &password).await, 200);
    assert!(!server.log().contains("There was no password file"));
    assert_eq!(fs::read_to_string(auth.join("deep/htpasswd")).unwrap(), text);
}

async fn a_file_that_cannot_be_used_stops_the_start() {
    let builder = Server::builder(WHARF).inmemory().htpasswd("directory");
    fs::create_dir(builder.directory().join("directory")).unwrap();
    let (status, said) = builder.output();
    assert!(
        !status.success()
            && said.contains("cannot read the password file `directory`: it is not a regular file"),
        "{said}"
    );
    let builder = Server::builder(WHARF).inmemory().htpasswd("file/htpasswd");
    fs::write(builder.directory().join("file"), "").unwrap();
    let (status, said) = builder.output();
    assert!(
        !status.success() && said.contains("password file `file/htpasswd`"),
        "{said}"
    );
    for (auth, expected) in [
        ("auth: token", "`auth.token`"),
        ("auth: htpasswd", "`auth.htpasswd.path` is missing"),
    ] {
        let (status, said) = Server::builder(WHARF).inmemory().config(auth).output();
        assert!(!status.success() && said.contains(expected), "{auth}: {said}");
    }
}

async fn a_file_of_somebody_else_stops_the_start() {
    let builder = builder_with(entry("alice", "pw")).as_user(65_534);
    fs::set_permissions(
        builder.directory().join("htpasswd"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    // The test writes the server's configuration.
    let (status, said) = builder.output();
    assert!(!status.success(), "{said}");
    assert!(
        said.contains("Permission denied") && said.contains("the user that the server runs as"),
        "{said}"
    );
}

async fn d1_delete_is_on_where_users_log_in() {
    let server = builder_with(entry("alice", "pw")).start();
    says(&server, "deleting       on, because users log in", 1).await;
    let server = builder_with(entry("alice", "pw"))
        .storage("delete: {enabled: false}")
        .start();
    says(&server, "deleting       off, as configured", 1).await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let alice = server.anonymous().as_user("alice", "pw");
    alice
        .delete(&format!("/v2/a/manifests/{digest}"))
        .await
        .expect_error(405, "UNSUPPORTED");
}

async fn s3_02_default_passwords_are_warned_about() {
    let users = [
        ("docker-registry", "docker-registry"),
        ("admin", "changeme"),
        ("alice", "Gm3xZ0qTz7"),
        ("bob", ""),
    ];
    let file: String = users
        .iter()
        .map(|(name, password)| entry(name, password))
        .collect();
    let server = builder_with(file).start();
    for weak in ["docker-registry", "admin", "bob"] {
        let warning = format!("the password of user `{weak}` is well known and easy to guess");
        eventually(&warning, || async { mentions(&server, &warning) == 1 }).await;
    }
    for (name, password) in users {
        assert_eq!(status_for(&server, name, password).await, 200, "{name}");
    }
    says(&server, "well known and easy to guess", 3).await;
    assert!(!server.log().contains("changeme"));

    // For a line that was added later, the warning comes at the first login.
    let text = fs::read_to_string(server.directory().join("htpasswd")).unwrap() + &entry("carol", "carol");
    fs::write(server.directory().join("htpasswd"), text).unwrap();
    assert_eq!(status_for(&server, "carol", "carol").await, 200);
    says(
        &server,
        "the password of user `carol` is well known and easy to guess",
        1,
    )
    .await;
}

async fn clear_text_is_warned_about() {
    let warning = "passwords cross the network in clear text";
    let listening = |builder: wharf_testkit::ServerBuilder| {
        builder.environment("REGISTRY_HTTP_ADDR", "0.0.0.0:0").start()
    };
    let server = builder_with(entry("alice", "pw")).start();
    assert_eq!(mentions(&server, warning), 0, "only this machine can connect");
    let server = listening(builder_with(entry("alice", "pw")));
    says(&server, warning, 1).await;
    let server = listening(builder_with(entry("alice", "pw")).http("host: https://registry.example.com"));
    assert_eq!(mentions(&server, warning), 0, "a proxy speaks TLS");
    let server = listening(Server::builder(WHARF).inmemory());
    assert_eq!(mentions(&server, warning), 0, "there are no passwords");
}
