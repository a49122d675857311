//! `Location` and `Link` by configuration, through proxies and without; and the client's address in the log.

use wharf_testkit::{Client, Server, ServerBuilder, eventually, image, image::Blob, suite::Suite};

use crate::{complaints, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            s0_10_location_follows_the_proxy_in_front,
            a_stranger_cannot_choose_the_location,
            ignored_headers_of_a_proxy_are_named_once,
            a_proxy_without_a_scheme_is_named_once,
            an_arbitrary_host_leads_nobody_elsewhere,
            http_host_beats_every_header,
            relativeurls_name_no_host,
            prefix_moves_the_api_and_nothing_else,
            prefix_and_relativeurls_go_together,
            http_headers_are_on_every_answer,
            the_access_log_names_the_client_behind_the_proxy,
            the_access_log_does_not_believe_a_stranger,
            http_secret_is_accepted,
        ]
    );
}

/// The `Location` of an upload that is started with these headers.
async fn location(client: &Client, headers: &[(&str, &str)]) -> String {
    let request = client.post("/v2/a/blobs/uploads/");
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    let location = request.await.expect(202).header("location").to_owned();
    let id = location.rsplit('/').next().unwrap().to_owned();
    location.replace(&id, "ID")
}

async fn s0_10_location_follows_the_proxy_in_front(builder: ServerBuilder) {
    let server = builder.start();
    let client = server.anonymous();
    let plain = format!("http://{}/v2/a/blobs/uploads/ID", server.address());
    assert_eq!(location(&client, &[]).await, plain);
    for (headers, expected) in [
        (
            &[("X-Forwarded-Proto", "https"), ("Host", "reg.example")][..],
            "https://reg.example",
        ),
        (
            &[("X-Forwarded-Proto", "https"), ("Host", "reg.example:5443")],
            "https://reg.example:5443",
        ),
        (
            &[
                ("X-Forwarded-Proto", "https"),
                ("Host", "reg.example"),
                ("X-Forwarded-Port", "5443"),
            ],
            "https://reg.example",
        ),
        (
            &[("X-Forwarded-Ssl", "on"), ("Host", "reg.example")],
            "https://reg.example",
        ),
        (
            &[("X-Forwarded-Scheme", "https"), ("Host", "reg.example")],
            "https://reg.example",
        ),
        (
            &[
                ("X-Forwarded-Proto", "https, http"),
                ("X-Forwarded-Host", "reg.example, inner"),
                ("X-Forwarded-Port", "443"),
            ],
            "https://reg.example",
        ),
        (
            &[
                ("Forwarded", "for=192.0.2.1;proto=https;host=reg.example"),
                ("X-Forwarded-Host", "other"),
            ],
            "https://reg.example",
        ),
    ] {
        let expected = format!("{expected}/v2/a/blobs/uploads/ID");
        assert_eq!(location(&client, headers).await, expected, "{headers:?}");
    }
}

const LIES: &[(&str, &str)] = &[
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("Forwarded", "proto=https;host=evil.example"),
];

async fn a_stranger_cannot_choose_the_location(builder: ServerBuilder) {
    for proxies in ["[]", "[192.0.2.1]", "[10.0.0.0/8, '::1']"] {
        let server = builder
            .another()
            .http(format!("trustedproxies: {proxies}"))
            .start();
        let plain = format!("http://{}/v2/a/blobs/uploads/ID", server.address());
        assert_eq!(location(&server.anonymous(), LIES).await, plain, "{proxies}");
    }
    for proxies in ["[127.0.0.1]", "127.0.0.0/8", "10.0.0.0/8,127.0.0.1"] {
        let server = builder
            .another()
            .http(format!("trustedproxies: {proxies}"))
            .start();
        let location = location(&server.anonymous(), LIES).await;
        assert!(
            location.starts_with("https://evil.example/"),
            "{proxies}: {location}"
        );
    }
}

async fn ignored_headers_of_a_proxy_are_named_once(builder: ServerBuilder) {
    let server = builder.another().http("trustedproxies: []").start();
    let client = server.anonymous();
    client.get("/v2/").header("User-Agent", "curl").await.expect(200);
    assert!(complaints(&server.log()).is_empty(), "{}", server.log());
    for _ in 0..2 {
        let request = client.get("/v2/").header("X-Forwarded-For", "192.0.2.1");
        request.header("X-Forwarded-Proto", "https").await.expect(200);
    }
    let warned = || {
        server
            .log()
            .matches("ignored `X-Forwarded-Proto` of 127.0.0.1")
            .count()
    };
    eventually("the header is named", async || warned() > 0).await;
    let log = server.log();
    assert_eq!(complaints(&log).len(), 1, "{log}");
    assert!(log.contains("`http.trustedproxies`"), "{log}");
}

async fn a_proxy_without_a_scheme_is_named_once(builder: ServerBuilder) {
    for (name, value) in [("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 proxy")] {
        let server = builder.another().start();
        let client = server.anonymous();
        location(&client, &[]).await;
        location(&client, &[(name, value), ("X-Forwarded-Proto", "http")]).await;
        location(&client, &[(name, value), ("X-Forwarded-Ssl", "on")]).await;
        assert!(complaints(&server.log()).is_empty(), "{}", server.log());
        for _ in 0..2 {
            location(&client, &[(name, value), ("Host", "reg.example")]).await;
        }
        let said = format!("sends `{name}`, and does not say whether its clients speak TLS");
        eventually("the proxy is named", async || server.log().contains(&said)).await;
        let log = server.log();
        assert_eq!(complaints(&log).len(), 1, "{log}");
        assert!(
            log.contains("`http://reg.example`") && log.contains("`http.host`"),
            "{log}"
        );
    }
}

async fn an_arbitrary_host_leads_nobody_elsewhere(builder: ServerBuilder) {
    let server = builder.start();
    for (host, expected) in [
        ("reg.example", Some("http://reg.example/v2/")),
        ("[::1]:5000", Some("http://[::1]:5000/v2/")),
        ("evil.example/x?", Some("/v2/")),
        ("user@evil.example", Some("/v2/")),
        ("evil.example\\@b", Some("/v2/")),
        ("<script>", Some("/v2/")),
        ("", Some("/v2/")),
    ] {
        let mut raw = server.raw().await;
        raw.send(format!(
            "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await;
        // A head that is no HTTP may be refused altogether.
        if answer.status != 400 {
            let location = answer.header("location").unwrap();
            assert!(location.starts_with(expected.unwrap()), "{host}: {location}");
        }
    }
}

async fn http_host_beats_every_header(builder: ServerBuilder) {
    let server = builder.http("host: https://reg.example:5443/").start();
    let expected = "https://reg.example:5443/v2/a/blobs/uploads/ID";
    assert_eq!(location(&server.anonymous(), &[]).await, expected);
    assert_eq!(location(&server.anonymous(), LIES).await, expected);

    // The configured URL has everything before `/v2/`, as the client sees it; the path of a proxy is not added.
    let below = server
        .another()
        .http("host: https://reg.example/r/")
        .http("prefix: /inside/")
        .start();
    let answer = below
        .anonymous()
        .post("/inside/v2/a/blobs/uploads/")
        .await
        .expect(202);
    assert!(
        answer
            .header("location")
            .starts_with("https://reg.example/r/v2/a/"),
        "{answer}"
    );
}

async fn relativeurls_name_no_host(builder: ServerBuilder) {
    let server = builder.http("relativeurls: true").start();
    assert_eq!(
        location(&server.anonymous(), LIES).await,
        "/v2/a/blobs/uploads/ID"
    );
}

/// Pushes a blob, a manifest and a tag below a prefix by following each `Location`, and reads them again.
async fn push_below(server: &Server, prefix: &str, absolute: &str) {
    let client = server.anonymous();
    let image = image::oci(1);
    for blob in &image.blobs {
        let started = client
            .post(&format!("{prefix}/v2/a/blobs/uploads/"))
            .await
            .expect(202);
        assert!(
            started
                .header("location")
                .starts_with(&format!("{absolute}{prefix}/v2/a/")),
            "{started}"
        );
        let target = format!("{}?digest={}", started.location(), blob.digest);
        let put = client.put(&target).body(blob.bytes.clone()).await.expect(201);
        let blob_path = format!("{prefix}/v2/a/blobs/{}", blob.digest);
        assert_eq!(put.header("location"), format!("{absolute}{blob_path}"));
        client
            .get(&put.location())
            .await
            .expect(200)
            .expect_body(&blob.bytes);
    }
    for tag in ["1", "2", "3"] {
        let put = client
            .put(&format!("{prefix}/v2/a/manifests/{tag}"))
            .header("Content-Type", &image.manifest.media_type)
            .body(image.manifest.bytes.clone())
            .await
            .expect(201);
        let expected = format!("{absolute}{prefix}/v2/a/manifests/{}", image.manifest.digest);
        assert_eq!(put.header("location"), expected);
        client
            .get(&put.location())
            .await
            .expect(200)
            .expect_body(&image.manifest.bytes);
    }
    let tags = client
        .get(&format!("{prefix}/v2/a/tags/list?n=2"))
        .await
        .expect(200);
    assert_eq!(
        tags.header("link"),
        format!("<{prefix}/v2/a/tags/list?last=2&n=2>; rel=\"next\"")
    );
}

async fn prefix_moves_the_api_and_nothing_else(builder: ServerBuilder) {
    for said in ["/r/", "/r", "r", "/r/s/"] {
        let prefix = format!("/{}", said.trim_matches('/'));
        let server = builder.another().http(format!("prefix: {said}")).start();
        let client = server.anonymous();
        client
            .get("/")
            .await
            .expect(200)
            .expect_header("cache-control", "no-cache");
        client
            .get(&format!("{prefix}/v2/"))
            .await
            .expect(200)
            .expect_body("{}");
        let lost = client.get("/v2/").await.expect_error(404, "UNSUPPORTED");
        lost.expect_message(&format!("below `{prefix}/v2/`"));
        client
            .get(&format!("{prefix}v2/"))
            .await
            .expect_error(404, "UNSUPPORTED");
        push_below(&server, &prefix, &format!("http://{}", server.address())).await;
    }
}

async fn prefix_and_relativeurls_go_together(builder: ServerBuilder) {
    let server = builder.http("prefix: /r/").http("relativeurls: true").start();
    push_below(&server, "/r", "").await;
}

async fn http_headers_are_on_every_answer(builder: ServerBuilder) {
    let server = builder
        .http("headers: {X-Content-Type-Options: [nosniff], X-A: [b, c]}")
        .start();
    let client = server.anonymous();
    for (path, status) in [
        ("/", 200),
        ("/v2/", 200),
        ("/v2/a/tags/list", 404),
        ("/nothing", 404),
    ] {
        let answer = client.get(path).await.expect(status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let values: Vec<_> = answer.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["b", "c"], "{answer}");
    }
}

async fn the_access_log_names_the_client_behind_the_proxy(builder: ServerBuilder) {
    let server = builder.start();
    for (path, headers) in [
        (
            "/v2/x-forwarded-for",
            &[("X-Forwarded-For", "1.2.3.4, 203.0.113.9, 10.0.0.1")][..],
        ),
        ("/v2/x-real-ip", &[("X-Real-IP", "203.0.113.9")]),
        ("/v2/forwarded", &[("Forwarded", "for=203.0.113.9")]),
    ] {
        let request = server.anonymous().get(path);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        request.await.expect(404);
        eventually("the log has the line", async || {
            let log = server.log();
            let line = log.lines().find(|line| line.contains(&format!("\"GET {path} ")));
            line.is_some_and(|line| {
                assert!(line.starts_with("203.0.113.9 - - ["), "{line}");
                true
            })
        })
        .await;
    }
}

async fn the_access_log_does_not_believe_a_stranger(builder: ServerBuilder) {
    let server = builder.http("trustedproxies: []").start();
    let request = server
        .anonymous()
        .get("/v2/lies")
        .header("X-Forwarded-For", "1.2.3.4");
    request.header("X-Real-IP", "1.2.3.4").await.expect(404);
    eventually("the log has the line", async || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("\"GET /v2/lies "));
        line.is_some_and(|line| {
            assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
            true
        })
    })
    .await;
}

async fn http_secret_is_accepted(builder: ServerBuilder) {
    let server = builder.http("secret: asecretforlocaldevelopment").start();
    let repository = server.anonymous().repository("a");
    repository.push_blob(&Blob::random(1, 100)).await;
    assert!(complaints(&server.log()).is_empty(), "{}", server.log());
}
