//! `wharf status`: how a registry is, and the exit status when it is not well.

use serde_json::{Value, json};
use wharf_testkit::{
    Content, image,
    suite::{Part, Suite},
    tls::Wanted,
    tool::Bench,
};

use crate::registries::{Kind, PASSWORD, Registry, on_each, on_each_with_users, run, run_as};

pub(crate) fn add_to(suite: &mut Suite) {
    on_each_with_users(suite, "an_administrator_is_told_how_it_is_by", an_administrator);
    on_each_with_users(suite, "a_user_is_told_less_by", a_user);
    on_each(
        suite,
        &[Kind::Two, Kind::Three],
        "what_it_can_do_is_found_out_of",
        another,
    );
    suite.test(
        "what_requires_a_login_says_so",
        &[Part::Program(wharf_testkit::peer::REGISTRY_2)],
        behind_a_login,
    );
    suite.test("the_server_of_this_machine_is_told_of", &[], here);
    suite.test("what_does_not_answer_is_not_well", &[], silent);
    suite.test("a_certificate_that_ends_needs_attention", &[], certificate);
}

fn an_administrator(registry: &Registry) {
    let status = |words: &[&str]| run_as("root", &registry.host, &[&["status"], words].concat());
    let screen = status(&[&registry.host]).good();
    for part in [
        "version",
        "engine",
        "up for",
        "healthy",
        "collection",
        "retention",
        "all is well",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    let state: Value = serde_json::from_str(&status(&["--json", "--server", &registry.host]).good()).unwrap();
    assert_eq!((&state["kind"], &state["well"]), (&json!("wharf"), &json!(true)));
    let engine = match registry.kind {
        Kind::Directory => "filesystem",
        Kind::Memory => "inmemory",
        _ => "s3aws",
    };
    assert_eq!(state["server"]["engine"], json!(engine));
    let replicas = state["server"]["replicas"].as_array().map(Vec::len);
    assert_eq!(replicas, (registry.kind == Kind::Bucket).then_some(1));
}

fn a_user(registry: &Registry) {
    let said = run_as("alice", &registry.host, &["status", "--json", &registry.host]);
    let state: Value = serde_json::from_str(&said.good()).unwrap();
    assert_eq!(state["server"], Value::Null);
    assert!(state["note"].as_str().unwrap().contains("`admin`"), "{state}");
}

fn another(registry: &Registry) {
    let first = run(&["status", &registry.host]).good();
    assert!(first.contains("there is no repository to ask about"), "{first}");
    Content::of(image::oci("s")).push(&registry.host, "app", "1");
    let state: Value = serde_json::from_str(&run(&["status", "--json", &registry.host]).good()).unwrap();
    assert_eq!(state["kind"], json!("registry"));
    assert_eq!(
        state["abilities"],
        json!({
            "api": "registry/2.0",
            "login": "none",
            "lists_repositories": true,
            "lists_referrers": false,
            "deletes": true,
        })
    );
}

fn behind_a_login() {
    let bench = Bench::new();
    let line = run(&["htpasswd", "-nbB", "-C", "4", "alice", PASSWORD]).good();
    bench.write("htpasswd", line.trim_end());
    let path = bench.path("htpasswd").display().to_string();
    let users = [
        ("REGISTRY_AUTH_HTPASSWD_REALM", "r"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", &*path),
    ];
    let registry = Registry::start_with(Kind::Two, &users, |builder| builder);
    let unknown = run(&["status", "--json", &registry.host]).good();
    let unknown: Value = serde_json::from_str(&unknown).unwrap();
    assert_eq!(unknown["abilities"]["login"], json!("basic"));
    assert_eq!(unknown["abilities"]["lists_repositories"], Value::Null);
    let known = run_as("alice", &registry.host, &["status", &registry.host]).good();
    assert!(known.contains("lists its repositories"), "{known}");
    let wrong = run(&["status", "-u", "alice:wrong", &registry.host]).bad();
    assert!(
        wrong.contains("does not accept the password of `alice`"),
        "{wrong}"
    );
}

fn here() {
    let registry = Registry::start(Kind::Directory);
    let config = registry.server().path("config.yml").display().to_string();
    let screen = run(&["status", "--config", &config]).good();
    assert!(
        screen.contains("this machine") && screen.contains("all is well"),
        "{screen}"
    );
}

fn certificate() {
    let told = |last: i32| {
        let identity = Wanted::localhost().valid(2020, last).self_signed();
        let registry = Registry::start_with(Kind::Directory, &[], |builder| builder.tls(&identity));
        let config = registry.server().path("config.yml").display().to_string();
        run(&["status", "--config", &config])
    };
    let good = told(2099);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.contains("ends on 2099-12-31"), "{good:?}");
    let ended = told(2021);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .out
            .contains("ATTENTION     the certificate ends on 2021-12-31"),
        "{ended:?}"
    );
}

fn silent() {
    let error = run(&["status", "localhost:1"]).bad();
    assert!(error.contains("connection refused"), "{error}");
    let registry = Registry::start(Kind::Directory);
    let config = registry.server().path("config.yml").display().to_string();
    let moved = std::fs::read_to_string(&config).unwrap();
    registry.server().write(
        "other.yml",
        moved
            .replace("data", "nothing")
            .replace(&registry.host, "localhost:1"),
    );
    let other = registry.server().path("other.yml").display().to_string();
    let said = run(&["status", "--config", &other]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("ATTENTION"), "{said:?}");
}
