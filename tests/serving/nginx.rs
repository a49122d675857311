//! nginx in front, by the recipes of `docs/nginx.md`: pushes and pulls pass, of any size, and lead back to nginx.

use wharf_testkit::{
    Client, Content, Server, ServerBuilder, eventually,
    image::{self, Blob},
    nginx,
    proxy::Proxy,
    suite::{Part, Suite},
    tls::{Identity, Trust, Wanted},
    tool::Bench,
};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[Part::Program("nginx")],
        [
            s2_01_nginx_with_tls,
            s2_01_nginx_without_tls,
            s2_01_nginx_on_a_unix_socket
        ]
    );
    stories!(
        suite,
        &[Part::Program("nginx"), Part::Program("curl")],
        [s2_01_curl_pushes_through_nginx]
    );
    stories!(
        suite,
        &[Part::Program("nginx"), Part::Program("crane")],
        [s2_01_crane_pushes_through_nginx]
    );
}

fn with_tls(server: &Server, identity: &Identity) -> Proxy {
    let upstream = server.address().to_string();
    nginx::start("HTTPS", &[("127.0.0.1:5000", &upstream)], identity)
}

/// Pushes and pulls content that nginx would refuse or change without the recipe.
pub(crate) async fn works(client: &Client, base: &str) {
    let repository = client.repository("through/nginx");
    repository.push_image("1", &image::oci(1)).await;
    repository.pull_image("1", &image::oci(1)).await;

    // nginx takes 1 MiB unless told otherwise.
    let blob = Blob::random(1, 9 << 20);
    let started = client.post(&repository.uploads_path()).await.expect(202);
    let expected = format!("{base}/v2/through/nginx/blobs/uploads/");
    assert!(started.header("location").starts_with(&expected), "{started}");
    let patch = client
        .patch(&started.location())
        .streamed(&blob.bytes, 300_000)
        .await
        .expect(202);
    assert!(patch.header("location").starts_with(&expected), "{patch}");
    let put = repository
        .finish(&patch.location(), &blob.digest, "")
        .await
        .expect(201);
    assert_eq!(
        put.header("location"),
        format!("{base}{}", repository.blob_path(&blob.digest))
    );
    repository.expect_blob(&blob).await;
}

/// A client cannot lead others elsewhere by headers that are the proxy's.
pub(crate) async fn is_not_misled(client: &Client, base: &str) {
    let lies = client
        .post("/v2/a/blobs/uploads/")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "http")
        .header("Forwarded", "host=evil.example");
    let lies = lies.await.expect(202);
    assert!(lies.header("location").starts_with(base), "{lies}");
}

async fn s2_01_nginx_with_tls(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.start();
    let nginx = with_tls(&server, &identity);
    let base = format!("https://localhost:{}", nginx.address().port());
    let trust = Trust::in_certificate(&identity.certificate);
    for offered in ["h2", "http/1.1"] {
        let client = Client::tls(nginx.address(), &trust.clone().speaking(&[offered]));
        works(&client, &base).await;
        is_not_misled(&client, &base).await;
    }
    let client = Client::tls(nginx.address(), &trust);
    client
        .get("/v2/who-asks")
        .header("X-Forwarded-For", "203.0.113.9")
        .await
        .expect(404);
    eventually("the access log names the client", async || {
        let log = server.log();
        log.lines()
            .any(|line| line.starts_with("203.0.113.9 - - [") && line.contains("/v2/who-asks "))
    })
    .await;
}

async fn s2_01_nginx_without_tls(builder: ServerBuilder) {
    let server = builder.start();
    let upstream = server.address().to_string();
    let identity = Wanted::localhost().self_signed();
    let nginx = nginx::start("Plain HTTP", &[("127.0.0.1:5000", &upstream)], &identity);
    let base = format!("http://{}", nginx.address());
    works(&Client::http1(nginx.address()), &base).await;
}

async fn s2_01_nginx_on_a_unix_socket(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.unix().start();
    let socket = server.socket().display().to_string();
    let nginx = nginx::start("A unix socket", &[("/run/wharf/socket", &socket)], &identity);
    let base = format!("https://localhost:{}", nginx.address().port());
    let trust = Trust::in_certificate(&identity.certificate);
    works(&Client::tls(nginx.address(), &trust), &base).await;
    let client = Client::tls(nginx.address(), &trust);
    client.get("/v2/who-asks").await.expect(404);
    eventually("the access log names the client", async || {
        let log = server.log();
        log.lines()
            .any(|line| line.starts_with("127.0.0.1 - - [") && line.contains("/v2/who-asks "))
    })
    .await;
}

async fn s2_01_curl_pushes_through_nginx(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.start();
    let nginx = with_tls(&server, &identity);
    let base = format!("https://localhost:{}", nginx.address().port());
    let bench = Bench::new();
    bench.write("crt", &identity.certificate);
    let blob = Blob::random(1, 3 << 20);
    let curl = |words: &[&str], input: &[u8]| {
        let words = [&["-sS", "-D", "-", "-o", "body", "--cacert", "crt"], words].concat();
        let ran = bench.try_run_with_input("curl", &words, input);
        assert!(ran.succeeded, "{}: {}", ran.line, ran.stderr);
        ran.stdout
    };
    let location = |said: &str| {
        let line = said
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("location:"));
        line.unwrap_or_else(|| panic!("{said}"))[9..].trim().to_owned()
    };
    let started = curl(&["-X", "POST", &format!("{base}/v2/a/blobs/uploads/")], b"");
    // Without a length: in chunks over HTTP/1.1.
    let target = location(&started);
    assert!(target.starts_with(&base), "{started}");
    let sent = curl(&["--http1.1", "-X", "PATCH", "-T", "-", &target], &blob.bytes);
    let target = format!("{}?digest={}", location(&sent), blob.digest);
    let finished = curl(&["-X", "PUT", &target], b"");
    assert!(finished.contains("201"), "{finished}");
    curl(&[&location(&finished)], b"");
    assert!(
        bench.read_bytes("body") == blob.bytes,
        "the blob is as it was pushed"
    );
}

async fn s2_01_crane_pushes_through_nginx(builder: ServerBuilder) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.start();
    let nginx = with_tls(&server, &identity);
    let bench = Bench::new();
    bench.write("crt", &identity.certificate);
    let bench_path = bench.path("crt").display().to_string();
    let bench = bench.environment("SSL_CERT_FILE", bench_path);
    let content = Content::of(image::docker_list("through nginx"));
    let layout = bench.path("image");
    content.write_layout(&layout, "1");
    let reference = format!("localhost:{}/crane/app:1", nginx.address().port());
    let said = bench.run("crane", &["push", &layout.display().to_string(), &reference]);
    assert!(said.trim_end().ends_with(&content.root().digest), "{said}");
    assert_eq!(
        bench.run("crane", &["digest", &reference]).trim_end(),
        content.root().digest
    );
    bench.run("crane", &["validate", "--remote", &reference]);
}
