//! The curl commands of operators' notes, against a server with TLS.

use wharf_testkit::{
    Server, ServerBuilder, image,
    suite::{Part, Suite},
    tls::Wanted,
    tool::Bench,
};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[Part::Program("curl")],
        [
            a1_s1_17_curl_speaks_http2_with_the_certificate_as_its_own_authority,
            curl_sees_the_status_of_an_upload_that_is_refused_early_over_http2,
            s1_18_curl_without_a_scheme_is_told_what_to_type,
            s1_22_the_digest_is_found_by_sed,
            s4_28_curl_goes_by_address,
        ]
    );
}

/// A server with one image, and curl beside its certificate.
async fn server_with_image(builder: ServerBuilder) -> (Server, Bench) {
    let identity = Wanted::localhost().self_signed();
    let server = builder.tls(&identity).start();
    let trust = wharf_testkit::tls::Trust::in_certificate(&identity.certificate);
    let repository = server.over_tls(&trust).repository("greet-python");
    repository.push_image("0.1", &image::docker(1)).await;
    let bench = Bench::new();
    bench.write("crt", &identity.certificate);
    (server, bench)
}

async fn a1_s1_17_curl_speaks_http2_with_the_certificate_as_its_own_authority(builder: ServerBuilder) {
    let (server, bench) = server_with_image(builder).await;
    let url = format!("https://localhost:{}/v2/_catalog", server.address().port());
    let said = bench.run("curl", &["-sS", "-i", "--http2", "--cacert", "crt", &url]);
    assert!(said.starts_with("HTTP/2 200"), "{said}");
    assert!(
        said.ends_with("{\"repositories\":[\"greet-python\"]}\n"),
        "{said}"
    );
    let said = bench.run("curl", &["-sS", "-i", "--http1.1", "--cacert", "crt", &url]);
    assert!(
        said.contains("\nDocker-Distribution-Api-Version: registry/2.0"),
        "{said}"
    );
}

async fn curl_sees_the_status_of_an_upload_that_is_refused_early_over_http2(builder: ServerBuilder) {
    let (server, bench) = server_with_image(builder).await;
    bench.write("body", &"7".repeat(3 << 20));
    let url = format!(
        "https://localhost:{}/v2/no/blobs/uploads/11111111-1111-1111-1111-111111111111",
        server.address().port()
    );
    let said = bench.run(
        "curl",
        &[
            "-sS",
            "-i",
            "--http2",
            "--cacert",
            "crt",
            "-X",
            "PATCH",
            "--data-binary",
            "@body",
            &url,
        ],
    );
    assert!(said.starts_with("HTTP/2 404"), "{said}");
}

async fn s1_18_curl_without_a_scheme_is_told_what_to_type(builder: ServerBuilder) {
    let (server, bench) = server_with_image(builder).await;
    let address = format!(
        "localhost:{}/v2/greet-python/manifests/0.1",
        server.address().port()
    );
    let said = bench.run(
        "curl",
        &["-i", "-sS", "-u", "a:b", "-X", "GET", "--cacert", "crt", &address],
    );
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(said.contains(&format!("https://{address} ")), "{said}");
    let url = format!("https://{address}");
    bench.run("curl", &["-fsS", "--cacert", "crt", &url]);
}

async fn s1_22_the_digest_is_found_by_sed(builder: ServerBuilder) {
    let (server, bench) = server_with_image(builder).await;
    let url = format!(
        "https://localhost:{}/v2/greet-python/manifests/0.1",
        server.address().port()
    );
    let types = [
        "Accept: application/vnd.docker.distribution.manifest.v2+json",
        "Accept: application/vnd.docker.distribution.manifest.list.v2+json",
    ];
    let said = bench.run(
        "curl",
        &[
            "--cacert", "crt", "-H", types[0], "-H", types[1], "-I", "-s", &url,
        ],
    );
    // `sed -e '/docker-content-digest/!d; s/docker-content-digest: //; s/\r//'`
    let digest = said
        .lines()
        .find_map(|line| line.strip_prefix("docker-content-digest: "));
    assert_eq!(
        digest.map(str::trim),
        Some(&*image::docker(1).manifest.digest),
        "{said}"
    );
}

async fn s4_28_curl_goes_by_address(builder: ServerBuilder) {
    let (server, bench) = server_with_image(builder).await;
    let url = format!("https://{}/v2/_catalog?n=100", server.address());
    bench.run("curl", &["-fsS", "-k", &url]);
    bench.run("curl", &["-fsS", "--cacert", "crt", &url]);
}
