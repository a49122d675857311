//! A1: from nothing to a registry with users, as the operators' notes type it.

use std::os::unix::fs::symlink;

use wharf_testkit::Server;
use wharf_testkit::outside::suite::Suite;
use wharf_testkit::outside::tool::Bench;

use crate::scene::{APACHE, CURL, WHARF, says, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(suite, &[APACHE, CURL], [a1_setup_with_users]);
    tests!(suite, &[], [s1_06_pwgen]);
}

async fn a1_setup_with_users() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("auth")).unwrap();
    let password = bench.run(WHARF, &["pwgen", "12", "1"]);
    let password = password.trim_end_matches('\n');
    assert_eq!(password.len(), 12);
    bench.write(".pass-alice", password);

    let arguments = ["htpasswd", "-B", "-i", "-c", "auth/htpasswd", "alice"];
    let ran = bench.try_run_with_input(WHARF, &arguments, password.as_bytes());
    assert_eq!(
        (ran.code, ran.stderr.trim_end()),
        (Some(0), "Adding password for user alice"),
        "S1-07"
    );
    assert!(bench.read("auth/htpasswd").starts_with("alice:$2y$"));
    symlink(WHARF, bench.path("our-htpasswd")).unwrap();
    std::fs::create_dir(bench.path("bin")).unwrap();
    symlink(WHARF, bench.path("bin/htpasswd")).unwrap();
    let applet = bench.path("bin/htpasswd").display().to_string();
    let ran = bench.try_run(&applet, &["-Bb", "auth/htpasswd", "bob", "pw"]);
    assert_eq!(
        (ran.code, ran.stderr.trim_end()),
        (Some(0), "Adding password for user bob"),
        "S0-07"
    );
    let ran = bench.try_run("htpasswd", &["-vb", "auth/htpasswd", "alice", password]);
    assert_eq!(
        ran.code,
        Some(0),
        "Apache's own tool accepts our hash: {}",
        ran.stderr
    );

    let server = Server::builder(WHARF)
        .inmemory()
        .environment("REGISTRY_AUTH", "htpasswd")
        .environment("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm")
        .environment(
            "REGISTRY_AUTH_HTPASSWD_PATH",
            &bench.path("auth/htpasswd").display().to_string(),
        )
        .start();
    let catalog = format!("http://{}/v2/_catalog", server.address());
    let credentials = format!("alice:{password}");
    let body = bench.run("curl", &["-s", "-u", &credentials, &catalog]);
    assert_eq!(body, "{\"repositories\":[]}\n", "S1-14");
    let answer = bench.run("curl", &["-s", "-i", &catalog]);
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nWww-Authenticate: Basic realm=\"Registry Realm\"\r\n"),
        "{answer}"
    );
    says(&server, "deleting       on, because users log in", 1).await;
    assert!(!server.log().contains(password));
}

async fn s1_06_pwgen() {
    let bench = Bench::new();
    let lines = |arguments: &[&str]| {
        bench
            .run(WHARF, arguments)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (one, two) = (lines(&["pwgen", "12", "1"]), lines(&["pwgen", "12"]));
    assert_ne!(one, two);
    assert_eq!((one.len(), one[0].len(), two.len()), (1, 12, 1));
    let many = lines(&["pwgen", "30", "5"]);
    assert!(
        many.len() == 5
            && many
                .iter()
                .all(|line| line.len() == 30 && line.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    );
    assert_eq!(lines(&["pwgen"])[0].len(), 20);
    assert_eq!(bench.try_run(WHARF, &["pwgen", "0"]).code, Some(2));
}
