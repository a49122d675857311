//! Pull-through mirrors: what clients get through them, what the registry behind them is asked, and what its failures do.

mod failures;
mod forwarder;
mod kept;
mod loops;
mod names;
mod pulls;
mod reading;
mod rights;
mod shared;
mod strangers;
mod streams;
mod tags;
mod whole;

use wharf_testkit::{
    Answer, Repository, Server, ServerBuilder,
    image::{self, Blob, Image},
    store,
    upstream::Upstream,
};

/// A server with one mirror, below `hub`, of `upstream`. Each pull of a tag asks the upstream where it points.
fn mirroring(builder: ServerBuilder, upstream: &Upstream) -> ServerBuilder {
    mirroring_with(builder, upstream, "fresh: 0s")
}

/// As [`mirroring`], with these further keys of the mirror.
fn mirroring_with(builder: ServerBuilder, upstream: &Upstream, keys: &str) -> ServerBuilder {
    mirrors(builder, &[below("hub", upstream, keys)])
}

/// A server with these mirrors.
fn mirrors(builder: ServerBuilder, mirrors: &[String]) -> ServerBuilder {
    sparse(builder).config(format!("mirrors: [{}]", mirrors.join(", ")))
}

/// One of the mirrors of a configuration.
fn below(prefix: &str, upstream: &Upstream, keys: &str) -> String {
    format!("{{prefix: {prefix}, remoteurl: '{}', {keys}}}", upstream.url())
}

/// A server that is a mirror as a whole.
fn whole(builder: ServerBuilder, upstream: &Upstream, keys: &str) -> ServerBuilder {
    sparse(builder).config(format!("proxy: {{remoteurl: '{}'{keys}}}", upstream.url()))
}

/// A mirror holds what was asked for: manifests whose blobs are not there are no damage.
fn sparse(builder: ServerBuilder) -> ServerBuilder {
    builder.rules(store::Rules {
        dangling_references: true,
    })
}

/// An anonymous client's view of a repository.
fn repository(server: &Server, name: &str) -> Repository {
    server.anonymous().repository(name)
}

/// An image with one layer of so many bytes that do not compress.
fn large(seed: u64, length: usize) -> Image {
    let layer = Blob::random(seed, length).of_type("application/vnd.oci.image.layer.v1.tar");
    let config = Blob::new(
        image::OCI_CONFIG,
        format!("{{\"architecture\":\"amd64\",\"seed\":{seed}}}"),
    );
    image::image(image::OCI_MANIFEST, config, vec![layer])
}

/// Checks that an answer is an error in the registry's form that names the upstream.
#[track_caller]
fn expect_failed(answer: Answer, status: u16, upstream: &Upstream) -> Answer {
    let answer = answer.expect(status).expect_message(&upstream.authority());
    for error in answer.errors() {
        assert!(error["code"].is_string(), "{answer}");
    }
    answer
}

/// Checks that an answer came from the store because the upstream failed.
#[track_caller]
fn expect_stored_instead(answer: Answer) -> Answer {
    let answer = answer.expect(200);
    assert!(answer.header("warning").starts_with("110 "), "{answer}");
    answer
}
