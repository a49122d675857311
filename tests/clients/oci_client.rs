//! The `oci-client` crate: push, pull, tags, manifests, referrers, mount.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::slice;

use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OciImageManifest, OciManifest},
    secrets::RegistryAuth,
};
use wharf_testkit::{Content, image, suite::Suite};

use crate::subject::Subject;

const ANONYMOUS: &RegistryAuth = &RegistryAuth::Anonymous;

pub(crate) fn add_to(suite: &mut Suite) {
    add(suite, "oci_client_pushes_and_pulls", pushes_and_pulls);
    add(
        suite,
        "oci_client_reads_what_others_pushed",
        reads_what_others_pushed,
    );
    add(suite, "oci_client_sees_referrers", sees_referrers);
    add(suite, "oci_client_mounts_a_blob", mounts_a_blob);
}

fn add<F: Future<Output = ()> + 'static>(suite: &mut Suite, name: &str, story: fn(Subject, Client) -> F) {
    suite.test(name, &[], move || {
        let client = Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        });
        wharf_testkit::run(story(Subject::start(), client));
    });
}

fn reference(registry: &Subject, name: &str) -> Reference {
    format!("{}/{name}", registry.authority()).parse().unwrap()
}

async fn pushes_and_pulls(registry: Subject, client: Client) {
    let image = reference(&registry, "kyo/my-image:1");
    // The crate sends a layer of this size in chunks.
    let layer = ImageLayer::new(vec![7_u8; 9 << 20], IMAGE_LAYER_MEDIA_TYPE.to_owned(), None);
    let config = Config::new(&b"{}"[..], IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    let manifest = OciImageManifest::build(slice::from_ref(&layer), &config, None);
    client
        .push(&image, slice::from_ref(&layer), config, ANONYMOUS, Some(manifest))
        .await
        .unwrap();
    let pulled = client.pull(&image, ANONYMOUS, vec![IMAGE_LAYER_MEDIA_TYPE]);
    let pulled = pulled.await.unwrap();
    assert_eq!(pulled.layers.len(), 1);
    assert!(pulled.layers[0].data == layer.data, "the layer came back changed");
    assert_eq!(pulled.digest, Some(registry.digest_of("kyo/my-image", "1")));
    let tags = client.list_tags(&image, ANONYMOUS, None, None).await.unwrap();
    assert_eq!(tags.tags, ["1"]);
}

async fn reads_what_others_pushed(registry: Subject, client: Client) {
    let content = Content::of(image::oci_index("oci-client"));
    content.push(registry.authority(), "others/index", "1");
    let index = reference(&registry, "others/index:1");
    let (manifest, digest) = client.pull_manifest(&index, ANONYMOUS).await.unwrap();
    let (root, children) = content.manifests.split_last().unwrap();
    assert_eq!(digest, root.digest);
    let OciManifest::ImageIndex(index) = manifest else {
        panic!("{manifest:?} is no index")
    };
    let listed: Vec<_> = index.manifests.iter().map(|child| &child.digest).collect();
    let pushed: Vec<_> = children.iter().map(|child| &child.digest).collect();
    assert_eq!(listed, pushed);
}

async fn sees_referrers(registry: Subject, client: Client) {
    let image = Content::of(image::oci("referred"));
    image.push(registry.authority(), "app", "1");
    let [wanted, other] = ["note", "other"].map(|name| {
        let artifact_type = format!("application/vnd.example.{name}");
        let artifact = Content::of(image::artifact(name, &artifact_type, image.root()));
        artifact.push(registry.authority(), "app", "");
        artifact.root().digest.clone()
    });
    let subject = reference(&registry, &format!("app@{}", image.root().digest));
    let found = client
        .pull_referrers(&subject, Some("application/vnd.example.note"))
        .await
        .unwrap();
    let found: Vec<_> = found
        .manifests
        .into_iter()
        .map(|referrer| referrer.digest)
        .collect();
    assert_eq!(found, [wanted], "without {other}");
}

async fn mounts_a_blob(registry: Subject, client: Client) {
    let image = Content::of(image::oci("mounted"));
    image.push(registry.authority(), "from/here", "1");
    let (from, to) = (
        reference(&registry, "from/here:1"),
        reference(&registry, "to/there:1"),
    );
    client
        .auth(&to, ANONYMOUS, RegistryOperation::Push)
        .await
        .unwrap();
    let (manifest, _) = client.pull_image_manifest(&from, ANONYMOUS).await.unwrap();
    let layer = &manifest.layers[0].digest;
    client.mount_blob(&to, &from, layer).await.unwrap();
    let answer = registry.get(&format!("/v2/to/there/blobs/{layer}"));
    assert!(
        answer.status == 200 && answer.body == image.blobs[layer],
        "the blob is in the second repository"
    );
}
