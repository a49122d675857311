//! What `wharf copy` brings over, and what it need not.

use serde_json::json;
use tempfile::TempDir;
use wharf_testkit::{
    Content, basic,
    faults::{Fault, FaultProxy, Refusal, Which},
    image,
    peer::{Peer, REGISTRY_2},
    suite::{Part, Suite},
    tool::Bench,
};

use crate::scene::{
    ENGINES, Engine, Signed, assert_holds, builder, get_json, host, path, referrers, registry, status, wharf,
};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "an_image_comes_with_all_that_refers_to_it",
        &[],
        with_all_that_refers_to_it,
    );
    suite.test("no_referrers_leaves_them_out", &[], without_referrers);
    suite.test("one_registry_mounts_and_sends_no_blob", &[], mounts);
    suite.test(
        "blobs_that_are_there_are_not_sent_where_nothing_is_mounted",
        &[],
        without_mounts,
    );
    suite.test(
        "layers_from_elsewhere_are_copied_where_the_source_has_them",
        &[],
        foreign,
    );
    suite.test("an_inventory_goes_on_after_what_cannot_be_read", &[], inventory);
    suite.test("a_second_copy_sends_nothing", &[], twice);
    suite.test("platforms_make_a_new_index_and_say_so", &[], platforms);
    suite.test("all_tags_come_and_a_bad_one_is_named", &[], all_tags);
    suite.test("each_registry_gets_its_own_login", &[], logins);
    suite.test(
        "a_copy_leaves_the_signature_of_the_destination_alone",
        &[],
        signed_elsewhere,
    );
    suite.test("a_digest_comes_without_a_tag", &[], by_digest);
    suite.test(
        "registry_2_gets_its_list_of_referrers_at_a_tag",
        &[Part::Program(REGISTRY_2)],
        into_registry_2,
    );
}

fn with_all_that_refers_to_it() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let (from, to) = (host(&from), host(&to));
        let signed = Signed::new("copied");
        signed.push(&from, "team/app", "1.0");
        let said = wharf(&[
            "copy",
            &format!("{from}/team/app:1.0"),
            &format!("{to}/mirror/app"),
        ]);
        let line = said.good();
        assert_eq!(
            line,
            format!("{to}/mirror/app:1.0@{}\n", signed.index.root().digest)
        );
        signed.assert_held(&to, "mirror/app", "1.0");
    }
}

fn without_referrers() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let signed = Signed::new("bare");
    signed.push(&from, "app", "1");
    let source = format!("{from}/app:1");
    let destination = format!("{to}/app:two");
    let said = wharf(&["copy", "-q", "--no-referrers", &source, &destination]);
    assert_eq!(said.err, "");
    said.good();
    assert_holds(&to, "app", "two", &signed.index);
    assert_eq!(referrers(&to, "app", &signed.index.root().digest), [""; 0]);
    assert_eq!(
        status(&to, &format!("/v2/app/manifests/{}", signed.cosign_tag)),
        404
    );
}

fn mounts() {
    for engine in ENGINES {
        let server = registry(engine);
        let proxy = FaultProxy::start(server.address());
        let authority = proxy.endpoint().replace("http://", "");
        let content = Content::of(image::oci_index("mounted"));
        content.push(&authority, "one", "1");
        proxy.clear();
        wharf(&["copy", &format!("{authority}/one:1"), &format!("{authority}/two")]).good();
        assert_holds(&authority, "two", "1", &content);
        let sent =
            |request: &String| request.starts_with("PUT /v2/two/blobs") || request.starts_with("PATCH");
        let requests = proxy.requests();
        assert!(!requests.iter().any(sent), "{requests:#?}");
    }
}

fn twice() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let proxy = FaultProxy::start(to.address());
    let (from, to) = (host(&from), proxy.endpoint().replace("http://", ""));
    let signed = Signed::new("twice");
    signed.push(&from, "app", "1");
    let arguments = ["copy", &format!("{from}/app:1"), &format!("{to}/app")].map(str::to_owned);
    let arguments = arguments.each_ref().map(String::as_str);
    wharf(&arguments).good();
    proxy.clear();
    wharf(&arguments).good();
    let changes = |request: &&String| !request.starts_with("GET") && !request.starts_with("HEAD");
    let requests = proxy.requests();
    assert_eq!(requests.iter().filter(changes).count(), 0, "{requests:#?}");
}

fn platforms() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::oci_index("platforms"));
    content.push(&from, "app", "1");
    let (source, destination) = (format!("{from}/app:1"), format!("{to}/app"));
    let said = wharf(&["copy", "--platform", "linux/arm64", &source, &destination]);
    assert!(said.err.contains("the index was written anew"), "{said:?}");
    let line = said.good();
    assert!(!line.contains(&content.root().digest), "{line}");
    let index = get_json(&to, "/v2/app/manifests/1");
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "the image and its attestation: {index}");
    assert_eq!(entries[0]["platform"]["architecture"], "arm64");

    let error = wharf(&["copy", "--platform", "linux/s390x", &source, &destination]).bad();
    assert!(error.contains("there are: linux/amd64, linux/arm64"), "{error}");
}

fn all_tags() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to) = (host(&from), host(&to));
    let contents = ["1", "2", "3"].map(|tag| Content::of(image::docker(tag)));
    for (tag, content) in ["1", "2", "3"].iter().zip(&contents) {
        content.push(&from, "app", tag);
    }
    let said = wharf(&["copy", "--all-tags", &format!("{from}/app"), &format!("{to}/app")]);
    assert_eq!(said.good().lines().count(), 3);
    for (tag, content) in ["1", "2", "3"].iter().zip(&contents) {
        assert_holds(&to, "app", tag, content);
    }
    let error = wharf(&[
        "copy",
        "--all-tags",
        &format!("{from}/app:1"),
        &format!("{to}/app"),
    ])
    .bad();
    assert!(error.contains("leave the tags out"), "{error}");
}

fn logins() {
    let bench = Bench::new();
    let start = |user: &str| {
        let line = wharf(&["htpasswd", "-Bbn", user, "secret"]).good();
        let builder = builder(Engine::Filesystem);
        builder.write("users", line.trim_end());
        builder.htpasswd("users").start()
    };
    let (from, to) = (start("reader"), start("writer"));
    let (from, to) = (host(&from), host(&to));
    let layout = path(&bench, "image");
    let content = Content::of(image::oci_index("logins"));
    content.write_layout(&bench.path("image"), "1");
    let encoded = |user: &str| basic(user, "secret").trim_start_matches("Basic ").to_owned();
    let config = json!({"auths": {
        from.as_str(): {"auth": encoded("reader")},
        to.as_str(): {"auth": encoded("writer")},
    }});
    bench.write("docker/config.json", &config.to_string());
    let config = path(&bench, "docker");
    wharf(&["import", "--config", &config, &layout, &format!("{from}/app")]).good();
    wharf(&[
        "copy",
        "--config",
        &config,
        &format!("{from}/app:1"),
        &format!("{to}/app"),
    ])
    .good();
    wharf(&[
        "copy",
        "--config",
        &config,
        &format!("{to}/app:1"),
        &format!("{to}/mounted"),
    ])
    .good();
    let inventory = wharf(&["inventory", "--config", &config, &to]).good();
    assert!(inventory.contains("repository app\n") && inventory.contains("repository mounted\n"));

    let error = wharf(&["copy", &format!("{from}/app:1"), &format!("{to}/app")]).bad();
    assert!(error.contains("requires a login"), "{error}");
}

fn by_digest() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::docker_list("digest"));
    content.push(&from, "app", "1");
    let digest = &content.root().digest;
    wharf(&["copy", &format!("{from}/app@{digest}"), &format!("{to}/app")]).good();
    assert_holds(&to, "app", "", &content);
    let error = wharf(&["copy", &format!("{from}/app:2"), &format!("{to}/app")]).bad();
    assert!(error.contains("has no tag `2`"), "{error}");
}

fn into_registry_2() {
    let from = registry(Engine::Filesystem);
    let root = TempDir::new().unwrap();
    let peer = Peer::start(REGISTRY_2, root.path());
    let (from, to) = (host(&from), peer.authority().to_owned());
    let signed = Signed::new("old");
    signed.push(&from, "app", "1");
    for _ in 0..2 {
        wharf(&["copy", &format!("{from}/app:1"), &format!("{to}/app")]).good();
        assert_holds(&to, "app", "1", &signed.index);
        for (subject, referrer) in &signed.referrers {
            assert_holds(&to, "app", "", referrer);
            let list = get_json(&to, &format!("/v2/app/manifests/{}", subject.replace(':', "-")));
            let listed = list["manifests"].as_array().unwrap();
            assert_eq!(listed.len(), 1, "{list}");
            assert_eq!(listed[0]["digest"], referrer.root().digest.as_str());
        }
    }
    // And back again, out of the registry that has no list.
    let back = registry(Engine::Memory);
    let back = host(&back);
    wharf(&["copy", &format!("{to}/app:1"), &format!("{back}/app")]).good();
    signed.assert_held(&back, "app", "1");
}

fn signed_elsewhere() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let (from, to) = (host(&from), host(&to));
        let signed = Signed::new("elsewhere");
        signed.push(&from, "app", "1");
        let own = Content::of(image::oci("a signature of the destination"));
        own.push(&to, "app", &signed.cosign_tag);
        for arguments in [&[][..], &["--all-tags"]] {
            let tag = if arguments.is_empty() { ":1" } else { "" };
            let (source, destination) = (format!("{from}/app{tag}"), format!("{to}/app"));
            let said = wharf(&[&["copy"][..], arguments, &[&source, &destination]].concat());
            assert!(said.err.contains(&signed.cosign_tag), "{said:?}");
            said.good();
            assert_holds(&to, "app", "1", &signed.index);
            assert_holds(&to, "app", &signed.cosign_tag, &own);
        }
    }
}

fn without_mounts() {
    let server = registry(Engine::Filesystem);
    let proxy = FaultProxy::start(server.address());
    let authority = proxy.endpoint().replace("http://", "");
    let content = Content::of(image::oci_index("unmounted"));
    content.push(&authority, "one", "1");
    let refuse = |containing: &'static str| {
        let refused = Fault::Refuse(Refusal::new(405, "UNSUPPORTED"));
        proxy.inject(Which::next("", containing).times(0), refused);
    };
    refuse("mount=");
    refuse("/two/manifests/1");
    let arguments = [
        "copy".to_owned(),
        format!("{authority}/one:1"),
        format!("{authority}/two"),
    ];
    let arguments = arguments.each_ref().map(String::as_str);
    wharf(&arguments).bad();
    proxy.clear();
    refuse("mount=");
    // The manifests are gone again, and the blobs are there.
    for manifest in &content.manifests {
        let path = format!("/v2/two/manifests/{}?force=true", manifest.digest);
        wharf_testkit::wire::Request::new("DELETE", &path)
            .send(&authority)
            .unwrap();
    }
    wharf(&arguments).good();
    let sent = |request: &&String| request.starts_with("PUT") && request.contains("/blobs/");
    let requests = proxy.requests();
    assert_eq!(requests.iter().filter(sent).count(), 0, "{requests:#?}");
    assert_holds(&authority, "two", "1", &content);
}

fn foreign() {
    let start = |engine: Engine| {
        builder(engine)
            .config("validation: {manifests: {urls: {allow: ['^https://foreign\\.example/']}}}")
            .start()
    };
    for engine in ENGINES {
        let (from, to) = (start(engine), start(engine));
        let (from, to) = (host(&from), host(&to));
        let mut image = image::oci("foreign");
        image.blobs.truncate(1);
        let layer = image::Blob::random(7, 1000)
            .of_type("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        let mut manifest = image.manifest.json();
        manifest["layers"] = json!([layer.descriptor()]);
        manifest["layers"][0]["urls"] = json!(["https://foreign.example/layer"]);
        image.manifest = image::Manifest::new(&image.manifest.media_type, &manifest);
        image.blobs.push(layer.clone());
        let content = Content::of(image);
        content.push(&from, "app", "1");
        wharf(&["copy", "-q", &format!("{from}/app:1"), &format!("{to}/app")]).good();
        assert_holds(&to, "app", "1", &content);
        // Where the source does not have it, it stays out, and that is said also to one that wants it quiet.
        let (without, other) = (start(engine), start(engine));
        let (without, other) = (host(&without), host(&other));
        let mut partial = content.clone();
        partial.blobs.remove(&layer.digest);
        partial.push(&without, "app", "1");
        let said = wharf(&["copy", "-q", &format!("{without}/app:1"), &format!("{other}/app")]);
        assert!(
            said.err
                .contains(&format!("the layer {} stays out", layer.digest)),
            "{said:?}"
        );
        said.good();
        assert_holds(&other, "app", "1", &partial);
    }
}

fn inventory() {
    let server = registry(Engine::Filesystem);
    let proxy = FaultProxy::start(server.address());
    let authority = proxy.endpoint().replace("http://", "");
    let content = Content::of(image::oci("inventory"));
    for name in ["a", "b", "c"] {
        content.push(&authority, name, "1");
    }
    proxy.inject(
        Which::next("GET", "/v2/a/tags").times(0),
        Fault::Refuse(Refusal::new(403, "DENIED")),
    );
    proxy.inject(
        Which::next("GET", "/v2/b/manifests").times(0),
        Fault::Refuse(Refusal::new(404, "MANIFEST_UNKNOWN")),
    );
    let said = wharf(&["inventory", &authority]);
    assert_eq!(said.code, Some(1), "{said:?}");
    for text in [
        "`a` is left out: ",
        "`b:1` is left out: ",
        "2 of 3 repositories could not be read whole",
    ] {
        assert!(said.err.contains(text), "{text}: {said:?}");
    }
    let digest = content.blobs.keys().next().unwrap();
    assert!(
        said.out.contains(&format!("repository c\n{digest}\n")),
        "{said:?}"
    );
}
