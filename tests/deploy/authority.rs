//! A store whose certificate is signed by an authority of the operator's own.

use wharf_testkit::{
    Client,
    bucket::{BucketStore, VERSITYGW},
    image, nginx,
    proxy::Proxy,
    suite::{Part, Suite},
    tls::{Identity, Wanted},
};

use crate::replica::on_bucket;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "store_with_a_certificate_of_its_own_is_trusted_by_aws_ca_bundle",
        &[Part::Program("nginx"), Part::Program(VERSITYGW)],
        || wharf_testkit::run(trusted()),
    );
}

/// The store behind nginx, which speaks TLS and passes `Host` unchanged.
fn encrypted(store: &BucketStore, identity: &Identity) -> Proxy {
    let address = store.endpoint().replace("http://", "");
    nginx::start("HTTPS", &[("127.0.0.1:5000", &address)], identity)
}

async fn trusted() {
    let store = BucketStore::start();
    let identity = Wanted::localhost().self_signed();
    let front = encrypted(&store, &identity);
    let endpoint = format!("https://localhost:{}", front.address().port());

    let (status, said) = on_bucket(&endpoint).output();
    assert!(!status.success(), "{said}");
    assert!(said.contains("name its authority in `AWS_CA_BUNDLE`"), "{said}");

    let missing = on_bucket(&endpoint).environment("AWS_CA_BUNDLE", "there-is-none.pem");
    let (status, said) = missing.output();
    assert!(!status.success(), "{said}");
    assert!(
        said.contains("cannot read `there-is-none.pem`, which AWS_CA_BUNDLE names"),
        "{said}"
    );

    let trusting = on_bucket(&endpoint).environment("AWS_CA_BUNDLE", "authority.pem");
    trusting.write("authority.pem", &identity.certificate);
    let server = trusting.start();
    let repository = Client::http1(server.address()).repository("app");
    repository.push_image("1", &image::oci(1)).await;
    repository.pull_image("1", &image::oci(1)).await;
}
