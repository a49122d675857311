//! A1: from nothing to a registry with users, by the commands of operators' notes.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use wharf_testkit::Server;
use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;

use crate::scene::{APACHE, CURL, WHARF, mentions, says, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    let openssl = Part::Program("openssl");
    tests!(suite, &[APACHE, CURL, openssl], [a1_setup_with_users]);
    tests!(suite, &[openssl], [s3_06_certificates_are_made]);
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

    std::fs::create_dir(bench.path("certs")).unwrap();
    bench.run(
        WHARF,
        &[
            "cert",
            "new",
            "localhost",
            "--ip",
            "127.0.0.1",
            "--out",
            "certs/domain",
        ],
    );
    let mode = std::fs::metadata(bench.path("certs/domain.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = bench.run(
        "openssl",
        &[
            "x509",
            "-in",
            "certs/domain.crt",
            "-noout",
            "-ext",
            "subjectAltName",
        ],
    );
    assert!(names.contains("DNS:localhost, IP Address:127.0.0.1"), "{names}");

    let path = |name: &str| bench.path(name).display().to_string();
    let server = Server::builder(WHARF)
        .inmemory()
        .environment("REGISTRY_AUTH", "htpasswd")
        .environment("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm")
        .environment("REGISTRY_AUTH_HTPASSWD_PATH", &path("auth/htpasswd"))
        .environment("REGISTRY_HTTP_TLS_CERTIFICATE", &path("certs/domain.crt"))
        .environment("REGISTRY_HTTP_TLS_KEY", &path("certs/domain.key"))
        .start();
    says(&server, "deleting       on, because users log in", 1).await;
    assert_eq!(mentions(&server, "WARN"), 0, "{}", server.log());
    let credentials = format!("alice:{password}");
    for host in ["localhost", "127.0.0.1"] {
        let catalog = format!("https://{host}:{}/v2/_catalog", server.address().port());
        let body = bench.run(
            "curl",
            &["-s", "--cacert", "certs/domain.crt", "-u", &credentials, &catalog],
        );
        assert_eq!(body, "{\"repositories\":[]}\n", "S1-14, S1-17, S4-28");
        let answer = bench.run("curl", &["-s", "-i", "--cacert", "certs/domain.crt", &catalog]);
        assert!(answer.starts_with("HTTP/2 401"), "{answer}");
        assert!(
            answer.contains("www-authenticate: Basic realm=\"Registry Realm\""),
            "{answer}"
        );
    }
    let plain = format!("http://localhost:{}/v2/", server.address().port());
    let answer = bench.run("curl", &["-s", "-i", "-u", "a:b", &plain]);
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("https://localhost:"),
        "{answer}"
    );
    assert!(!server.log().contains(password));
}

/// S3-06: strict checkers accept the certificates, of both kinds, and no file is overwritten.
async fn s3_06_certificates_are_made() {
    let bench = Bench::new();
    for (prefix, flag) in [("ec", None), ("rsa", Some("--rsa"))] {
        let arguments = [
            "cert",
            "new",
            "my.registry.com",
            "*.example.com",
            "::1",
            "--days",
            "30",
            "--out",
            prefix,
        ];
        let arguments: Vec<&str> = arguments.into_iter().chain(flag).collect();
        bench.run(WHARF, &arguments);
        let certificate = format!("{prefix}.crt");
        bench.run(
            "openssl",
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                &certificate,
                "-verify_hostname",
                "a.example.com",
                &certificate,
            ],
        );
        let text = bench.run("openssl", &["x509", "-in", &certificate, "-noout", "-text"]);
        for expected in [
            "DNS:my.registry.com, DNS:*.example.com, IP Address:0:0:0:0:0:0:0:1",
            "CA:FALSE",
            "TLS Web Server Authentication",
            "CN = my.registry.com",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        bench.run(
            "openssl",
            &[
                "x509",
                "-in",
                &certificate,
                "-noout",
                "-checkend",
                &(29 * 86_400).to_string(),
            ],
        );
        let late = (31 * 86_400).to_string();
        assert!(
            !bench
                .try_run(
                    "openssl",
                    &["x509", "-in", &certificate, "-noout", "-checkend", &late]
                )
                .succeeded
        );
        let before = bench.read(&format!("{prefix}.key"));
        let again = bench.try_run(WHARF, &arguments);
        assert!(
            !again.succeeded && again.stderr.contains("cannot create"),
            "{}",
            again.stderr
        );
        assert_eq!(bench.read(&format!("{prefix}.key")), before);
    }
    bench.write("half.crt", "");
    let ran = bench.try_run(WHARF, &["cert", "new", "localhost", "--out", "half"]);
    assert!(
        !ran.succeeded && !bench.path("half.key").exists(),
        "no key without its certificate: {}",
        ran.stderr
    );
    let ran = bench.try_run(WHARF, &["cert", "new", "my.registry.com:5000"]);
    assert!(
        !ran.succeeded && ran.stderr.contains("has a port"),
        "{}",
        ran.stderr
    );
    let steps = bench.run(
        WHARF,
        &["cert", "trust", "my.registry.com:5000", "--ca", "ec.crt"],
    );
    assert!(
        steps.contains("/etc/docker/certs.d/my.registry.com:5000/ca.crt"),
        "S3-07: {steps}"
    );
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
