//! A2, the part without a daemon: `docker login` in all its forms.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Server, basic};

use crate::scene::{builder_with, entry, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[Part::Program("docker")],
        [a2_docker_login, a2_docker_reads_an_image_with_its_login]
    );
}

fn server() -> (Server, String) {
    let server = builder_with(entry("alice", "a:b c") + &entry("bob", "pw") + &entry("émile", "pä")).start();
    let authority = server.address().to_string();
    (server, authority)
}

async fn a2_docker_login() {
    let (_server, authority) = server();
    let bench = Bench::new();
    // Without the credential store of the machine.
    bench.write("config.json", "{\"auths\":{}}");
    let login = |name: &str, password: &str, host: &str| {
        bench.try_run_with_input(
            "docker",
            &["login", "--username", name, "--password-stdin", host],
            password.as_bytes(),
        )
    };
    for (name, password) in [("alice", "a:b c"), ("alice", "a:b c\n"), ("émile", "pä")] {
        let ran = login(name, password, &authority);
        assert!(
            ran.succeeded && ran.stdout.contains("Login Succeeded"),
            "{name}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let ran = login("alice", "wrong", &authority);
    assert!(
        !ran.succeeded && ran.stderr.contains("401 Unauthorized"),
        "{}",
        ran.stderr
    );
    let ran = bench.try_run(
        "docker",
        &["--config", "cfg", "login", "-u", "bob", "-p", "pw", &authority],
    );
    assert!(ran.succeeded, "{}", ran.stderr);
    let config: wharf_testkit::Value = serde_json::from_str(&bench.read("cfg/config.json")).unwrap();
    let stored = config["auths"][&authority]["auth"]
        .as_str()
        .expect("the login is stored");
    assert_eq!(format!("Basic {stored}"), basic("bob", "pw"));
    bench.run("docker", &["--config", "cfg", "logout", &authority]);
    assert!(!bench.read("cfg/config.json").contains(stored));
}

async fn a2_docker_reads_an_image_with_its_login() {
    let (server, authority) = server();
    let repository = server.anonymous().as_user("bob", "pw").repository("kyo/my-image");
    repository
        .push_image("1.0", &wharf_testkit::image::docker(2))
        .await;
    let bench = Bench::new();
    bench.write("config.json", "{\"auths\":{}}");
    let image = format!("{authority}/kyo/my-image:1.0");
    let inspect = ["manifest", "inspect", "--insecure", &image];
    let ran = bench.try_run("docker", &inspect);
    assert!(!ran.succeeded, "not without a login: {}", ran.stdout);
    bench.run("docker", &["login", "-u", "bob", "-p", "pw", &authority]);
    assert!(bench.run("docker", &inspect).contains("\"schemaVersion\": 2"));
}
