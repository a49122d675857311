//! TLS: versions and protocols, and the answers to clients that speak something else.

use wharf_testkit::{
    RawConnection, ServerBuilder, eventually,
    image::{self, Blob},
    suite::Suite,
    tls::{Trust, Wanted},
};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            a1_http2_and_http1_are_spoken_over_tls,
            s1_18_plain_http_on_the_tls_port_is_told_the_https_url,
            s1_18_nothing_but_a_host_gets_into_that_url,
            s2_08_a_tls_client_on_a_plain_port_is_refused_at_once,
            large_blobs_pass_over_tls,
            http2_can_be_disabled,
            http2_without_tls_is_spoken_unless_it_is_disabled,
            minimumtls_turns_older_clients_away,
            ciphersuites_are_those_of_tls_1_2,
            sessions_are_resumed,
            a_handshake_that_does_not_end_is_ended,
        ]
    );
}

async fn a1_http2_and_http1_are_spoken_over_tls(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).start();
    assert!(complaints(&server.log()).is_empty(), "{}", server.log());
    let trust = Trust::in_certificate(&identity.certificate);
    let alpn = async |offered: &[&'static str]| {
        let trust = trust.clone().speaking(offered);
        trust.shake_hands(server.address()).await.unwrap().alpn
    };
    assert_eq!(alpn(&["http/1.1", "h2"]).await.as_deref(), Some("h2"));
    assert_eq!(alpn(&["http/1.1"]).await.as_deref(), Some("http/1.1"));
    assert_eq!(alpn(&[]).await, None);

    for (name, offered) in [("two", &["h2"][..]), ("one", &["http/1.1"]), ("none", &[])] {
        let client = server.over_tls(&trust.clone().speaking(offered));
        let repository = client.repository(name);
        repository.push_image("1", &image::oci(1)).await;
        repository.pull_image("1", &image::oci(1)).await;
        let upload = client.post(&repository.uploads_path()).await.expect(202);
        let expected = format!("https://localhost:{}/v2/{name}/blobs/", server.address().port());
        assert!(upload.header("location").starts_with(&expected), "{upload}");
    }
}

async fn s1_18_plain_http_on_the_tls_port_is_told_the_https_url(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).start();
    for request in [
        "GET /v2/a/manifests/1?x=y HTTP/1.1\r\nHost: reg.example:5443\r\nAuthorization: Basic YTpi\r\n\r\n",
        "GET /v2/a/manifests/1?x=y HTTP/1.0\r\nHost: reg.example:5443\r\n\r\n",
        "PUT /v2/a/manifests/1?x=y HTTP/1.1\r\nHost: reg.example:5443\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let mut raw = server.raw().await;
        raw.send(request).await;
        let answer = raw.answer().await.expect(400);
        let text = answer.text();
        assert!(
            text.contains("https://reg.example:5443/v2/a/manifests/1?x=y "),
            "{text}"
        );
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(raw.closed().await.is_empty());
    }
    let mut http2 = server.raw().await;
    http2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    http2.closed().await;
    let trust = Trust::in_certificate(&identity.certificate);
    server.over_tls(&trust).get("/v2/").await.expect(200);
}

async fn s1_18_nothing_but_a_host_gets_into_that_url(builder: ServerBuilder) {
    let server = builder.tls(&Wanted::localhost().self_signed()).start();
    for head in ["HTTP/1.1\r\nHost: evil.example/x?", "HTTP/1.0\r\nX-None: a"] {
        let mut raw = server.raw().await;
        raw.send(format!("GET /v2/ {head}\r\n\r\n")).await;
        let text = raw.answer().await.expect(400).text();
        assert!(text.contains("Use https://") && !text.contains("evil"), "{text}");
    }
}

async fn s2_08_a_tls_client_on_a_plain_port_is_refused_at_once(builder: ServerBuilder) {
    let server = builder.start();
    let mut raw = server.raw().await;
    raw.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await;
    // Ends only when the server closes; what it says first is how docker knows that this is HTTP.
    let said = String::from_utf8(raw.closed().await).unwrap();
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    let trust = Trust::in_certificate(&Wanted::localhost().self_signed().certificate);
    trust.shake_hands(server.address()).await.unwrap_err();
}

async fn large_blobs_pass_over_tls(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).start();
    let trust = Trust::in_certificate(&identity.certificate);
    for (seed, offered) in [(1, "h2"), (2, "http/1.1")] {
        let client = server.over_tls(&trust.clone().speaking(&[offered]));
        let repository = client.repository("large");
        let blob = Blob::random(seed, 12 << 20);
        repository.push_blob(&blob).await;
        repository.expect_blob(&blob).await;
        let streamed = Blob::random(seed + 2, 5 << 20);
        let location = repository.start_upload().await;
        let patch = client.patch(&location).streamed(&streamed.bytes, 100_000);
        let location = patch.await.expect(202).location();
        repository
            .finish(&location, &streamed.digest, "")
            .await
            .expect(201);
        repository.expect_blob(&streamed).await;
    }
}

async fn http2_can_be_disabled(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).http("http2: {disabled: true}").start();
    let trust = Trust::in_certificate(&identity.certificate);
    let handshake = trust.shake_hands(server.address()).await.unwrap();
    assert_eq!(handshake.alpn.as_deref(), Some("http/1.1"));
    let only = trust.clone().speaking(&["h2"]);
    only.shake_hands(server.address()).await.unwrap_err();
}

async fn http2_without_tls_is_spoken_unless_it_is_disabled(builder: ServerBuilder) {
    for (line, is_spoken) in [
        ("h2c: {enabled: true}", true),
        ("relativeurls: false", true),
        ("h2c: {enabled: false}", false),
        ("http2: {disabled: true}", false),
    ] {
        let server = builder.another().http(line).start();
        let answer = server.anonymous_http2().get("/v2/").try_send().await;
        assert_eq!(answer.is_ok(), is_spoken, "{line}: {answer:?}");
        server.anonymous().get("/v2/").await.expect(200);
    }
}

async fn minimumtls_turns_older_clients_away(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let trust = Trust::in_certificate(&identity.certificate);
    for (minimum, takes_12, warnings) in [
        ("", true, 0),
        ("tls1.0", true, 1),
        ("tls1.2", true, 0),
        ("tls1.3", false, 0),
    ] {
        let mut builder = builder.another().tls(&identity);
        if !minimum.is_empty() {
            builder = builder.environment("REGISTRY_HTTP_TLS_MINIMUMTLS", minimum);
        }
        let server = builder.start();
        trust.shake_hands(server.address()).await.unwrap();
        let old = trust.clone().tls12().shake_hands(server.address()).await;
        assert_eq!(old.is_ok(), takes_12, "{minimum}: {old:?}");
        assert_eq!(complaints(&server.log()).len(), warnings, "{}", server.log());
    }
    let builder = builder
        .tls(&identity)
        .environment("REGISTRY_HTTP_TLS_MINIMUMTLS", "ssl3");
    refuses_to_start(
        &builder,
        "must be one of `tls1.0`, `tls1.1`, `tls1.2`, `tls1.3`, not `ssl3`",
    );
}

async fn ciphersuites_are_those_of_tls_1_2(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let with = |suites: &str| {
        let builder = builder.another().tls(&identity);
        builder.environment("REGISTRY_HTTP_TLS_CIPHERSUITES", suites)
    };
    let trust = Trust::in_certificate(&identity.certificate);
    let server = with("[TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]").start();
    let log = server.log();
    let warnings = complaints(&log);
    assert!(
        warnings.len() == 1 && warnings[0].contains("`TLS_RSA_WITH_AES_128_CBC_SHA`"),
        "{log}"
    );
    let old = trust.clone().tls12();
    let handshake = old.shake_hands(server.address()).await.unwrap();
    assert_eq!(handshake.suite, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    let other = old.suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    other.shake_hands(server.address()).await.unwrap_err();
    for suite in ["TLS13_AES_128_GCM_SHA256", "TLS13_CHACHA20_POLY1305_SHA256"] {
        trust
            .clone()
            .suite(suite)
            .shake_hands(server.address())
            .await
            .unwrap();
    }

    refuses_to_start(&with("[AES128-SHA]"), "`AES128-SHA`, which is no cipher suite");
    refuses_to_start(
        &with("[TLS_RSA_WITH_RC4_128_SHA]"),
        "lists none that can be offered",
    );
}

async fn sessions_are_resumed(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).start();
    for trust in [
        Trust::in_certificate(&identity.certificate),
        Trust::in_certificate(&identity.certificate).tls12(),
    ] {
        assert!(!trust.shake_hands(server.address()).await.unwrap().is_resumed);
        assert!(trust.shake_hands(server.address()).await.unwrap().is_resumed);
    }
}

async fn a_handshake_that_does_not_end_is_ended(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).http("timeouts: {header: 300ms}").start();
    let trust = Trust::in_certificate(&identity.certificate);
    let mut hanging = Vec::new();
    for beginning in [&[][..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]].repeat(20) {
        let mut raw = server.raw().await;
        raw.send(beginning).await;
        hanging.push(raw);
    }
    // They delay no other client.
    server.over_tls(&trust).get("/v2/").await.expect(200);
    for raw in hanging {
        // Gives up after a minute by itself.
        raw.closed().await;
    }
    // A request that does not come to its end over TLS is ended as well.
    let mut slow = RawConnection::open_tls(server.address(), &trust.clone().speaking(&["http/1.1"])).await;
    slow.send("GET /v2/ HTTP/1.1\r\nHost: x\r\n").await;
    slow.closed().await;
    eventually("the server serves", async || {
        server.over_tls(&trust).get("/v2/").await.status == 200
    })
    .await;
}
