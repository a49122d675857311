//! Addresses at which the server listens: unix sockets, ports that are taken, and invalid addresses.

use wharf_testkit::{RawConnection, ServerBuilder, image, suite::Suite};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            net_unix_serves_on_a_socket,
            net_unix_carries_passwords_without_a_warning,
            net_unix_replaces_a_socket_that_nobody_answers_on,
            net_unix_leaves_alone_what_is_not_its_own,
            net_unix_has_the_mode_and_the_group_that_were_asked_for,
            s1_02_a_port_that_is_taken_names_its_owner,
            addresses_that_are_none_are_named,
        ]
    );
}

async fn net_unix_serves_on_a_socket(builder: ServerBuilder) {
    let mut server = builder.unix().start();
    let client = server.on_socket();
    let repository = client.repository("a");
    repository.push_image("1", &image::oci(1)).await;
    repository.pull_image("1", &image::oci(1)).await;
    // The peer of a unix socket is a proxy of this machine: its headers are trusted.
    let upload = client
        .post(&repository.uploads_path())
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "reg.example")
        .await
        .expect(202);
    assert!(
        upload.header("location").starts_with("https://reg.example/v2/a/"),
        "{upload}"
    );
    let mut raw = RawConnection::open_unix(server.socket()).await;
    raw.send([0x16, 3, 1, 2, 0]).await;
    assert!(raw.closed().await.starts_with(b"HTTP/1.1 400 "));
    let mut http2 = RawConnection::open_unix(server.socket()).await;
    http2
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
        .await;
    assert!(http2.stirs_within(wharf_testkit::PATIENCE).await);

    let path = server.socket().to_owned();
    assert!(path.exists());
    server.stop();
    assert!(!path.exists(), "the socket is gone with its server");
}

async fn net_unix_carries_passwords_without_a_warning(builder: ServerBuilder) {
    let builder = builder.unix().htpasswd("users");
    builder.write("users", "# nobody yet\n");
    let server = builder.start();
    server.on_socket().get("/v2/").await.expect(401);
    let log = server.log();
    let of_clear_text: Vec<_> = complaints(&log)
        .into_iter()
        .filter(|line| line.contains("clear"))
        .collect();
    assert!(of_clear_text.is_empty(), "{log}");
}

async fn net_unix_replaces_a_socket_that_nobody_answers_on(builder: ServerBuilder) {
    let mut server = builder.unix().start();
    server.kill9();
    assert!(server.path("socket").exists());
    server.start_again();
    server.on_socket().get("/v2/").await.expect(200);
}

async fn net_unix_leaves_alone_what_is_not_its_own(builder: ServerBuilder) {
    let file = builder.another().unix();
    file.write("socket", "precious");
    refuses_to_start(&file, "the file there is not a socket");
    assert_eq!(std::fs::read(file.path("socket")).unwrap(), b"precious");

    let server = builder.unix().start();
    let path = server.socket().display().to_string();
    let second = server.another().unix().environment("REGISTRY_HTTP_ADDR", &path);
    refuses_to_start(&second, "(wharf), answers there");
    server.on_socket().get("/v2/").await.expect(200);
}

async fn net_unix_has_the_mode_and_the_group_that_were_asked_for(builder: ServerBuilder) {
    use std::os::unix::fs::MetadataExt as _;

    let group = rustix::process::getgid().as_raw().to_string();
    for (mode, group, expected) in [
        ("0660", None, 0o660),
        ("777", None, 0o777),
        ("0600", Some(group.as_str()), 0o600),
        ("", Some(&group), 0o660),
    ] {
        let mut asks = builder.another().unix();
        if !mode.is_empty() {
            asks = asks.http(format!("socketmode: '{mode}'"));
        }
        if let Some(group) = group {
            asks = asks.http(format!("socketgroup: '{group}'"));
        }
        let server = asks.start();
        let found = std::fs::metadata(server.socket()).unwrap();
        assert_eq!(found.mode() & 0o777, expected, "{mode}, {group:?}");
        assert!(group.is_none_or(|group| group == found.gid().to_string()));
        server.on_socket().get("/v2/").await.expect(200);
    }
    let unknown = builder.unix().http("socketgroup: no-such-group");
    refuses_to_start(&unknown, "there is no group `no-such-group` on this machine");
    assert!(!unknown.path("socket").exists());
}

async fn s1_02_a_port_that_is_taken_names_its_owner(builder: ServerBuilder) {
    let server = builder.start();
    let address = server.address().to_string();
    let second = server.another().environment("REGISTRY_HTTP_ADDR", &address);
    let owner = format!("the port is in use by pid {} (wharf)", server.pid());
    refuses_to_start(&second, &owner);
}

async fn addresses_that_are_none_are_named(builder: ServerBuilder) {
    for (name, value, expected) in [
        (
            "REGISTRY_HTTP_ADDR",
            "5000",
            "`5000` is not an address to listen on",
        ),
        (
            "REGISTRY_HTTP_ADDR",
            ":port",
            "its port is no number from 0 to 65535",
        ),
        (
            "REGISTRY_HTTP_ADDR",
            "tcp://127.0.0.1:5000",
            "it is a URL, and no scheme belongs there; write `127.0.0.1:5000`",
        ),
        (
            "REGISTRY_HTTP_ADDR",
            "192.0.2.1:5000",
            "cannot listen on 192.0.2.1:5000: Cannot assign requested address (os error 99)\n",
        ),
        (
            "REGISTRY_HTTP_SOCKETMODE",
            "rw-rw----",
            "must be permissions in octal, such as `0660`, not `rw-rw----`",
        ),
        ("REGISTRY_HTTP_NET", "udp", "must be `tcp` or `unix`, not `udp`"),
        (
            "REGISTRY_HTTP_PREFIX",
            "/a?b/",
            "must be a path such as `/registry/`",
        ),
        (
            "REGISTRY_HTTP_PREFIX",
            "/a/../b",
            "must be a path such as `/registry/`",
        ),
        (
            "REGISTRY_HTTP_HOST",
            "registry.example",
            "must be a URL such as `https://registry.example.com`",
        ),
        (
            "REGISTRY_HTTP_HOST",
            "https://a b",
            "must be a URL such as `https://registry.example.com`",
        ),
        (
            "REGISTRY_HTTP_TRUSTEDPROXIES",
            "10.0.0.0/40",
            "`10.0.0.0/40` is neither an address nor a network",
        ),
        (
            "REGISTRY_HTTP_TRUSTEDPROXIES",
            "[10.0.0.1, proxy]",
            "`proxy` is neither an address nor a network",
        ),
    ] {
        refuses_to_start(&builder.another().environment(name, value), expected);
    }
}
