//! The control socket: its place, its mode, and what becomes of it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
};

use wharf_testkit::{Client, ServerBuilder};

use super::{Api, socket_of, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    only_the_owner_may_use_it_and_it_is_gone_after_a_clean_stop,
    what_was_left_by_a_killed_server_is_replaced,
];

wharf_testkit::on_disk![a_store_that_is_only_read_has_none];

mod binary {
    use super::*;

    wharf_testkit::on_disk![
        crate::BINARY;
        a_chosen_socket_of_another_server_is_refused_and_its_owner_named,
        a_directory_with_a_long_name_is_served_without_a_socket,
        passwords_and_hashes_are_in_no_log,
    ];
}

async fn only_the_owner_may_use_it_and_it_is_gone_after_a_clean_stop(builder: ServerBuilder) {
    let mut server = with_socket(builder).start();
    let path = socket_of(&server);
    assert_eq!(
        fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    Client::unix(&path).get("/api/v1/server").await.expect(200);
    server.stop();
    assert!(!path.exists());
}

async fn what_was_left_by_a_killed_server_is_replaced(builder: ServerBuilder) {
    let builder = with_socket(builder);
    let path = match builder.engine() {
        wharf_testkit::Engine::Filesystem => builder.root().join("wharf/control.sock"),
        wharf_testkit::Engine::Inmemory => builder.path("control.sock"),
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let server = builder.start();
    Client::unix(&socket_of(&server))
        .get("/api/v1/whoami")
        .await
        .expect(200);
}

async fn a_store_that_is_only_read_has_none(builder: ServerBuilder) {
    fs::create_dir_all(builder.root().join("docker/registry/v2")).unwrap();
    let server = builder
        .storage("maintenance: {readonly: {enabled: true}}")
        .start();
    server.anonymous().get("/v2/").await.expect(200);
    assert!(!socket_of(&server).exists());
}

async fn a_chosen_socket_of_another_server_is_refused_and_its_owner_named(builder: ServerBuilder) {
    let path = builder.path("chosen.sock").display().to_string();
    let line = format!("admin: {{socket: '{path}'}}");
    let server = builder.config(&line).start();
    assert!(
        !socket_of(&server).exists(),
        "the chosen one is in place of the usual one"
    );
    Client::unix(path.as_ref())
        .get("/api/v1/whoami")
        .await
        .expect(200);
    let (status, log) = server.another().config(&line).output();
    assert!(!status.success());
    let owner = format!("another process, pid {} (wharf), answers there", server.pid());
    assert!(log.contains("`admin.socket`") && log.contains(&owner), "{log}");
}

async fn a_directory_with_a_long_name_is_served_without_a_socket(builder: ServerBuilder) {
    let root = builder.path(&"d".repeat(100)).display().to_string();
    let server = builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root)
        .start();
    server.anonymous().get("/v2/").await.expect(200);
    server.says("there is no control socket").await;
    let log = server.log();
    assert!(
        log.contains("may have 107") && log.contains("`admin.socket` chooses"),
        "{log}"
    );
}

async fn passwords_and_hashes_are_in_no_log(builder: ServerBuilder) {
    let builder = with_users(builder).config("log: {level: debug}");
    let server = builder.start();
    let api = Api::of_operator(&server).await;
    let hash = super::ALICE.trim_end().split_once(':').unwrap().1;
    api.post("/users", r#"{"name":"bob","password":"correct horse","cost":4}"#)
        .await
        .expect(201);
    let generated = api
        .put("/users/password?name=bob", r#"{"cost":4}"#)
        .await
        .expect(200)
        .json();
    api.post("/users", &format!(r#"{{"name":"carol","hash":"{hash}"}}"#))
        .await
        .expect(201);
    api.post("/users", r#"{"name":"dave","cost":"battery staple"}"#)
        .await
        .expect(400);
    server.says("operation=addUser").await;
    let log = server.log();
    let generated = generated["password"].as_str().unwrap();
    for secret in ["correct horse", generated, hash, "battery staple"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    assert!(log.contains("by=\"the operator at the control socket\""), "{log}");
}
