//! What is read in manifests, and which are refused.

use serde_json::{Value, json};
use wharf_oci::{
    Algorithm, Descriptor, Digest, MAX_DEPTH, ManifestError, ManifestKind, ManifestView, Platform,
    is_referrers_tag, media_type, referrers_subject, referrers_tag,
};

fn digest(number: u8) -> Digest {
    Digest::sha256_of(&[number])
}

/// The JSON of a descriptor.
fn content(media_type: &str, number: u8) -> Value {
    json!({"mediaType": media_type, "digest": digest(number), "size": number})
}

/// What is read of [`content`].
fn read(media_type: &str, number: u8) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest(number),
        size: number.into(),
        artifact_type: None,
        annotations: None,
        urls: Vec::new(),
        platform: None,
    }
}

fn oci_image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": content(media_type::OCI_CONFIG, 1),
        "layers": [content(media_type::OCI_LAYER_GZIP, 2), content(media_type::OCI_LAYER_ZSTD, 3)],
    })
}

fn oci_index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": [content(media_type::OCI_MANIFEST, 4), content(media_type::OCI_INDEX, 5)],
    })
}

/// `base` with some fields replaced, or removed where the value is null.
fn with(mut base: Value, changes: Value) -> Value {
    let (Value::Object(fields), Value::Object(changes)) = (&mut base, changes) else {
        panic!("two objects expected")
    };
    for (key, value) in changes {
        if value.is_null() {
            fields.remove(&key);
        } else {
            fields.insert(key, value);
        }
    }
    base
}

fn push(content_type: &str, manifest: &Value) -> Result<ManifestView, ManifestError> {
    push_text(content_type, &manifest.to_string())
}

fn push_text(content_type: &str, manifest: &str) -> Result<ManifestView, ManifestError> {
    ManifestView::parse_pushed(Some(content_type), manifest.as_bytes())
}

fn stored(manifest: &Value) -> ManifestView {
    ManifestView::parse_stored(manifest.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{manifest}: {error}"))
}

/// The message for a manifest that is refused.
fn refusal(content_type: &str, manifest: &Value) -> String {
    match push(content_type, manifest) {
        Ok(view) => panic!("{manifest} was accepted: {view:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_image_is_read() {
    let docker = json!({
        "schemaVersion": 2,
        "mediaType": media_type::DOCKER_MANIFEST,
        "config": content(media_type::DOCKER_CONFIG, 1),
        "layers": [content(media_type::DOCKER_LAYER, 2)],
    });
    let view = push(media_type::DOCKER_MANIFEST, &docker).unwrap();
    assert_eq!(view.kind, ManifestKind::Image);
    assert_eq!(view.media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(view.config, Some(read(media_type::DOCKER_CONFIG, 1)));
    assert_eq!(view.layers, [read(media_type::DOCKER_LAYER, 2)]);
    assert_eq!((view.manifests.len(), view.subject.as_ref()), (0, None));
    assert_eq!(view.blobs().map(|blob| blob.size).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(stored(&docker), view);

    let view = push(media_type::OCI_MANIFEST, &oci_image()).unwrap();
    assert_eq!(view.kind, ManifestKind::Image);
    assert_eq!(view.blobs().map(|blob| blob.size).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(stored(&oci_image()), view);
}

#[test]
fn an_index_is_read() {
    for (media_type, manifest) in [
        (media_type::OCI_INDEX, oci_index()),
        (
            media_type::DOCKER_MANIFEST_LIST,
            with(
                oci_index(),
                json!({"mediaType": media_type::DOCKER_MANIFEST_LIST}),
            ),
        ),
    ] {
        let view = push(media_type, &manifest).unwrap();
        assert_eq!(view.kind, ManifestKind::Index);
        assert_eq!(view.media_type, media_type);
        assert_eq!(
            view.manifests,
            [read(media_type::OCI_MANIFEST, 4), read(media_type::OCI_INDEX, 5)]
        );
        assert_eq!(view.blobs().count(), 0);
        assert_eq!(stored(&manifest), view);
    }
}

#[test]
fn an_artifact_has_its_blobs_as_layers() {
    let manifest = json!({
        "mediaType": media_type::OCI_ARTIFACT,
        "artifactType": "application/vnd.example",
        "blobs": [content("text/plain", 1)],
        "subject": content(media_type::OCI_MANIFEST, 2),
    });
    let view = push(media_type::OCI_ARTIFACT, &manifest).unwrap();
    assert_eq!(view.kind, ManifestKind::Artifact);
    assert_eq!(view.layers, [read("text/plain", 1)]);
    assert_eq!(view.subject, Some(read(media_type::OCI_MANIFEST, 2)));
    assert_eq!(view.effective_artifact_type(), Some("application/vnd.example"));
    assert_eq!(stored(&manifest), view);
    let without_type = with(manifest, json!({"mediaType": null}));
    assert_eq!(
        refusal(media_type::OCI_ARTIFACT, &without_type),
        format!(
            "`mediaType` is missing in the manifest; a `{}` must name its type itself",
            media_type::OCI_ARTIFACT
        )
    );
}

#[test]
fn everything_in_a_descriptor_is_read() {
    let child = json!({
        "mediaType": media_type::OCI_MANIFEST,
        "digest": digest(1),
        "size": 9_223_372_036_854_775_807_u64,
        "artifactType": "application/vnd.example",
        "annotations": {"b": "2", "a": "1", "": ""},
        "urls": ["https://example.com/x"],
        "platform": {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "features": ["x"]},
        "data": "e30=",
        "whatever": {"Digest": [1, 2, {}]},
    });
    let manifest = with(oci_index(), json!({"manifests": [child]}));
    let view = push(media_type::OCI_INDEX, &manifest).unwrap();
    let expected = Descriptor {
        media_type: media_type::OCI_MANIFEST.into(),
        digest: digest(1),
        size: i64::MAX.unsigned_abs(),
        artifact_type: Some("application/vnd.example".into()),
        annotations: Some(
            [("", ""), ("a", "1"), ("b", "2")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        ),
        urls: vec!["https://example.com/x".into()],
        platform: Some(Platform {
            architecture: "arm".into(),
            os: "linux".into(),
            variant: Some("v7".into()),
        }),
    };
    assert_eq!(view.manifests, std::slice::from_ref(&expected));
    assert_eq!(stored(&manifest), view);
    // What is written is what is read again.
    let json = serde_json::to_string(&expected).unwrap();
    assert_eq!(serde_json::from_str::<Descriptor>(&json).unwrap(), expected);
    assert_eq!(
        serde_json::to_string(&read("text/plain", 1)).unwrap(),
        format!(
            r#"{{"mediaType":"text/plain","digest":"{}","size":1}}"#,
            digest(1)
        )
    );
}

#[test]
fn sha512_digests_are_read_and_others_refused() {
    let sha512 = Digest::of(Algorithm::Sha512, b"x");
    let manifest = with(
        oci_image(),
        json!({"layers": [{"mediaType": "text/plain", "digest": sha512, "size": 1}]}),
    );
    assert_eq!(
        push(media_type::OCI_MANIFEST, &manifest).unwrap().layers[0].digest,
        sha512
    );
    let text = manifest.to_string().replace("sha512:", "sha384:");
    assert_eq!(
        push_text(media_type::OCI_MANIFEST, &text)
            .unwrap_err()
            .to_string(),
        "`layers[0].digest` in the manifest: unknown digest algorithm `sha384`; supported are `sha256` and `sha512`"
    );
}

#[test]
fn null_and_missing_and_empty_are_the_same() {
    // So Go writes a nil slice, a nil map and a nil pointer.
    let text = with(oci_image(), json!({"layers": null})).to_string();
    let nulls = text.replacen(
        '{',
        r#"{"layers": null, "annotations": null, "subject": null, "artifactType": null, "manifests": null, "fsLayers": null, "#,
        1,
    );
    let view = push_text(media_type::OCI_MANIFEST, &nulls).unwrap();
    assert_eq!(view, push_text(media_type::OCI_MANIFEST, &text).unwrap());
    assert_eq!(
        view,
        push(
            media_type::OCI_MANIFEST,
            &with(oci_image(), json!({"layers": []}))
        )
        .unwrap()
    );
    let index = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": null, "config": null, "layers": null}"#;
    assert_eq!(push_text(media_type::OCI_INDEX, index).unwrap().manifests, []);
}

#[test]
fn header_and_field_together_say_what_it_is() {
    let oci = media_type::OCI_MANIFEST;
    let bare = with(oci_image(), json!({"mediaType": null}));
    let accepted = [
        (Some(oci), &oci_image()),
        (
            Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
            &oci_image(),
        ),
        (
            Some(" application/vnd.oci.image.manifest.v1+json ;x"),
            &oci_image(),
        ),
        (Some("Application/Vnd.OCI.image.manifest.v1+JSON"), &oci_image()),
        (None, &oci_image()),
        (Some(""), &oci_image()),
        (Some("application/json"), &oci_image()),
        (Some("application/octet-stream"), &oci_image()),
        (Some("application/json; charset=utf-8"), &oci_image()),
        // The structure says the same as the header, and will go on saying so.
        (Some(oci), &bare),
        (Some("Application/Vnd.OCI.image.manifest.v1+JSON"), &bare),
        (Some(oci), &with(oci_image(), json!({"mediaType": ""}))),
    ];
    for (content_type, manifest) in accepted {
        let bytes = manifest.to_string();
        let view = ManifestView::parse_pushed(content_type, bytes.as_bytes());
        let view = view.unwrap_or_else(|error| panic!("{content_type:?} {manifest}: {error}"));
        assert_eq!((view.kind, view.media_type.as_str()), (ManifestKind::Image, oci));
    }
    let bare_index = with(oci_index(), json!({"mediaType": null}));
    assert_eq!(
        push(media_type::OCI_INDEX, &bare_index).unwrap(),
        stored(&bare_index)
    );
}

#[test]
fn header_and_field_that_do_not_agree_are_refused() {
    let (oci, docker) = (media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST);
    let bare = with(oci_image(), json!({"mediaType": null}));
    assert_eq!(
        refusal(docker, &oci_image()),
        format!(
            "the `Content-Type` `{docker}` of the request and the `mediaType` `{oci}` in the manifest differ; make them equal"
        )
    );
    let nothing = "neither the `Content-Type` of the request nor `mediaType` in the manifest says what it is; \
                   set one, such as `application/vnd.oci.image.manifest.v1+json`";
    for content_type in [
        "",
        " ",
        "application/json",
        "application/octet-stream",
        ";",
        "; charset=utf-8",
    ] {
        assert_eq!(refusal(content_type, &bare), nothing, "{content_type:?}");
    }
    assert_eq!(
        ManifestView::parse_pushed(None, bare.to_string().as_bytes()),
        Err(ManifestError::NoMediaType)
    );
    assert_eq!(refusal("", &json!({"mediaType": "application/json"})), nothing);
    assert_eq!(
        refusal("application/x-www-form-urlencoded", &oci_image()),
        format!(
            "the `Content-Type` `application/x-www-form-urlencoded` of the request and the `mediaType` `{oci}` in the manifest differ; make them equal"
        )
    );
    assert_eq!(
        refusal("json", &bare),
        format!("`json` is not a media type; write one such as `{oci}`")
    );
    assert_eq!(
        refusal("", &json!({"mediaType": "text/html\r\nX: y"})),
        format!("`text/html\\r\\nX: y` is not a media type; write one such as `{oci}`")
    );
    // What the tree would give back as an OCI type later must say itself that it is none.
    for media_type in [docker, media_type::DOCKER_MANIFEST_LIST] {
        assert_eq!(
            refusal(media_type, &bare),
            format!("`mediaType` is missing in the manifest; a `{media_type}` must name its type itself")
        );
    }
    assert_eq!(
        refusal(media_type::OCI_INDEX, &json!({"schemaVersion": 2})),
        "`manifests` is missing in the manifest"
    );
    assert_eq!(
        refusal(oci, &with(oci_image(), json!({"mediaType": 5}))),
        "`mediaType` in the manifest must be a string, not a number"
    );
}

#[test]
fn other_media_types_are_accepted_unread() {
    let manifest = json!({
        "mediaType": "application/vnd.example.thing+json",
        "schemaVersion": "seven",
        "config": "none", "Config": "some", "layers": 5, "manifests": {"a": 1}, "blobs": [1],
        "subject": content(media_type::OCI_MANIFEST, 1),
        "artifactType": "application/vnd.example.kind",
        "annotations": {"a": "b"},
    });
    for content_type in ["application/vnd.example.thing+json", "", "application/json"] {
        let view = push(content_type, &manifest).unwrap();
        assert_eq!(view.kind, ManifestKind::Unknown);
        assert_eq!(view.media_type, "application/vnd.example.thing+json");
        assert_eq!(
            (view.config.as_ref(), view.layers.len(), view.manifests.len()),
            (None, 0, 0)
        );
        assert_eq!(view.subject, Some(read(media_type::OCI_MANIFEST, 1)));
        assert_eq!(
            view.effective_artifact_type(),
            Some("application/vnd.example.kind")
        );
        assert_eq!(view.annotations["a"], "b");
        assert_eq!(stored(&manifest), view);
    }
    let view = push("application/vnd.example.Other", &json!({})).unwrap();
    assert_eq!(
        (view.kind, view.media_type.as_str()),
        (ManifestKind::Unknown, "application/vnd.example.other")
    );
    // What is ours in it counts if it is well-formed, and is theirs otherwise.
    for subject in [
        json!("x"),
        json!({}),
        json!({"digest": digest(1)}),
        json!([]),
        json!({"mediaType": "a/b", "digest": "x", "size": 1}),
    ] {
        let manifest = with(
            manifest.clone(),
            json!({"subject": subject, "annotations": [], "artifactType": 1}),
        );
        let view = push("", &manifest).unwrap();
        assert_eq!(
            (
                view.subject.as_ref(),
                view.annotations.len(),
                view.artifact_type.as_ref()
            ),
            (None, 0, None)
        );
        assert_eq!(stored(&manifest), view);
    }
    assert_eq!(
        push_text(
            "",
            r#"{"mediaType": "application/vnd.a", "mediaType": "application/vnd.b"}"#
        ),
        Err(ManifestError::DuplicateKey {
            path: "mediaType".into()
        })
    );
    assert_eq!(
        refusal("application/vnd.x", &json!([])),
        "a manifest is a JSON object, not an array"
    );
}

#[test]
fn schema_1_is_refused() {
    let message = "schema 1 is not accepted any more; push with a Docker newer than 2017";
    let manifest =
        json!({"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": [], "signatures": []});
    for content_type in [
        media_type::DOCKER_SCHEMA1,
        media_type::DOCKER_SCHEMA1_SIGNED,
        "application/json",
        "",
    ] {
        assert_eq!(refusal(content_type, &manifest), message, "{content_type}");
    }
    assert_eq!(
        refusal(
            "",
            &with(manifest, json!({"mediaType": media_type::DOCKER_SCHEMA1}))
        ),
        message
    );
    assert_eq!(
        refusal(
            media_type::OCI_MANIFEST,
            &with(oci_image(), json!({"schemaVersion": 1}))
        ),
        message
    );
    assert_eq!(
        refusal(
            media_type::OCI_INDEX,
            &with(oci_index(), json!({"schemaVersion": 1}))
        ),
        message
    );
}

#[test]
fn what_could_be_read_as_two_kinds_is_refused() {
    // CVE-2021-41190
    let children = oci_index()["manifests"].clone();
    let layers = oci_image()["layers"].clone();
    let config = oci_image()["config"].clone();
    for image in [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST] {
        for (key, value) in [
            ("manifests", &children),
            ("manifests", &json!([])),
            ("fsLayers", &json!([])),
        ] {
            let manifest = with(oci_image(), json!({"mediaType": image, key: value}));
            let expected = ManifestError::MixedKinds {
                media_type: image.to_owned(),
                key,
            };
            assert_eq!(push(image, &manifest), Err(expected));
        }
    }
    for index in [media_type::OCI_INDEX, media_type::DOCKER_MANIFEST_LIST] {
        for (key, value) in [
            ("config", &config),
            ("layers", &layers),
            ("layers", &json!([])),
            ("fsLayers", &json!([])),
        ] {
            let manifest = with(oci_index(), json!({"mediaType": index, key: value}));
            let expected = ManifestError::MixedKinds {
                media_type: index.to_owned(),
                key,
            };
            assert_eq!(push(index, &manifest), Err(expected));
        }
    }
    assert_eq!(
        refusal(media_type::OCI_INDEX, &with(oci_index(), json!({"layers": []}))),
        "the manifest is a `application/vnd.oci.image.index.v1+json` and cannot have `layers`; \
         programs disagree on what such a manifest is, so remove one or the other"
    );
}

#[test]
fn keys_that_we_read_are_written_once() {
    let image = oci_image().to_string();
    let first_layer = content(media_type::OCI_LAYER_GZIP, 2).to_string();
    for key in [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "blobs",
        "subject",
        "annotations",
        "fsLayers",
        "signatures",
    ] {
        let twice = image.replacen('{', &format!(r#"{{"{key}": null, "{key}": null, "#), 1);
        assert_eq!(
            push_text(media_type::OCI_MANIFEST, &twice)
                .unwrap_err()
                .to_string(),
            format!(
                "`{key}` occurs twice in the manifest; programs disagree on which one counts, so write it once"
            )
        );
    }
    for key in [
        "mediaType",
        "digest",
        "size",
        "artifactType",
        "annotations",
        "urls",
        "platform",
    ] {
        let layer = first_layer.replacen('{', &format!(r#"{{"{key}": null, "{key}": null, "#), 1);
        let error = push_text(media_type::OCI_MANIFEST, &image.replace(&first_layer, &layer));
        assert_eq!(
            error,
            Err(ManifestError::DuplicateKey {
                path: format!("layers[0].{key}")
            })
        );
    }
    let more = [
        // An escape does not hide a key.
        (r#""annotations": {}, "annotation\u0073": {},"#, "annotations"),
        (r#""annotations": {"a": "1", "a": "1"},"#, "annotations.a"),
        (
            r#""annotations": {"a.b": "1", "a\u002eb": "2"},"#,
            "annotations.a.b",
        ),
        (r#""annotations": {"\n": "1", "\n": "2"},"#, "annotations.\\n"),
        (
            r#""subject": {"mediaType": "a/b", "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "size": 1, "platform": {"os": "a", "os": "b"}},"#,
            "subject.platform.os",
        ),
    ];
    for (insert, path) in more {
        let error = push_text(
            media_type::OCI_MANIFEST,
            &image.replacen('{', &format!("{{{insert}"), 1),
        );
        assert_eq!(
            error,
            Err(ManifestError::DuplicateKey { path: path.into() }),
            "{insert}"
        );
    }
    // Unknown keys are not checked.
    let other = image.replacen(
        '{',
        r#"{"x": 1, "x": 2, "X": 3, "y": {"layers": 1, "layers": 2},"#,
        1,
    );
    assert!(push_text(media_type::OCI_MANIFEST, &other).is_ok());
}

#[test]
fn keys_in_another_letter_case_are_refused() {
    let image = oci_image().to_string();
    let table = [
        (r#""Layers": [],"#, "Layers", "layers"),
        (r#""LAYERS": null,"#, "LAYERS", "layers"),
        (r#""MediaType": "x","#, "MediaType", "mediaType"),
        (r#""mediatype": "x","#, "mediatype", "mediaType"),
        (r#""schemaversion": 2,"#, "schemaversion", "schemaVersion"),
        (r#""Manifests": [],"#, "Manifests", "manifests"),
        // Go folds the long s to s, in whatever way it is written.
        (r#""layerſ": [],"#, "layerſ", "layers"),
        (r#""\u017fubject": {},"#, "ſubject", "subject"),
        (r#""subject": {"Digest": "x"},"#, "subject.Digest", "digest"),
        (
            r#""subject": {"mediaType": "a/b", "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "size": 1, "platform": {"OS": "x"}},"#,
            "subject.platform.OS",
            "os",
        ),
    ];
    for (insert, path, known) in table {
        let error = push_text(
            media_type::OCI_MANIFEST,
            &image.replacen('{', &format!("{{{insert}"), 1),
        );
        assert_eq!(
            error,
            Err(ManifestError::KeyInOtherCase {
                path: path.into(),
                known
            }),
            "{insert}"
        );
    }
    let error = push(
        media_type::OCI_MANIFEST,
        &with(oci_image(), json!({"Layers": []})),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`Layers` in the manifest differs from `layers` only in letter case; some programs would read it as that, \
         so write `layers` or rename it"
    );
    // The keys of annotations are the pusher's own.
    let annotated = with(
        oci_image(),
        json!({"annotations": {"a": "1", "A": "2", "Layers": "3", "digest": "4"}}),
    );
    assert_eq!(
        push(media_type::OCI_MANIFEST, &annotated)
            .unwrap()
            .annotations
            .len(),
        4
    );
}

#[test]
fn descriptors_may_leave_out_media_type_and_size() {
    let layer = |changes: Value| with(content(media_type::OCI_LAYER_GZIP, 2), changes);
    let table = [
        (json!({}), "nothing", media_type::OCI_LAYER_GZIP, 2),
        (
            json!({"size": null}),
            "layers[0].size",
            media_type::OCI_LAYER_GZIP,
            0,
        ),
        (json!({"mediaType": null}), "layers[0].mediaType", "", 2),
        (json!({"mediaType": ""}), "layers[0].mediaType", "", 2),
        (
            json!({"mediaType": null, "size": null}),
            "layers[0].mediaType and 1 more",
            "",
            0,
        ),
    ];
    for (changes, omissions, media_type, size) in table {
        let manifest = with(oci_image(), json!({ "layers": [layer(changes.clone())] }));
        let view =
            push(media_type::OCI_MANIFEST, &manifest).unwrap_or_else(|error| panic!("{changes}: {error}"));
        assert_eq!(view.omissions.to_string(), omissions, "{changes}");
        assert_eq!(view.omissions.is_empty(), omissions == "nothing");
        assert_eq!(
            (&*view.layers[0].media_type, view.layers[0].size),
            (media_type, size)
        );
        assert_eq!(stored(&manifest), view);
    }
    let bare = with(
        oci_image(),
        json!({ "config": { "digest": digest(1) }, "layers": [{ "digest": digest(2) }] }),
    );
    let view = push(media_type::OCI_MANIFEST, &bare).unwrap();
    assert_eq!(view.omissions.to_string(), "config.mediaType and 3 more");
    let entry = json!({ "manifests": [{ "digest": digest(3) }], "subject": { "digest": digest(4) } });
    let view = push(media_type::OCI_INDEX, &with(oci_index(), entry)).unwrap();
    assert_eq!(view.omissions.to_string(), "subject.mediaType and 3 more");
    assert_eq!(view.children().count(), 1);
}

#[test]
fn what_is_wrong_in_an_image_is_said() {
    let layer = |changes: Value| json!({"layers": [content("text/plain", 2), with(content("text/plain", 3), changes)]});
    let size = "in the manifest must be a whole number of bytes from 0 to 2^63 - 1, not";
    let table = [
        (json!({"schemaVersion": null}), "`schemaVersion` is missing in the manifest".to_owned()),
        (json!({"schemaVersion": 3}), "`schemaVersion` of a manifest must be 2, not `3`".into()),
        (json!({"schemaVersion": "2"}), "`schemaVersion` of a manifest must be 2, not `\"2\"`".into()),
        (json!({"schemaVersion": 2.5}), "`schemaVersion` of a manifest must be 2, not `2.5`".into()),
        (json!({"config": null}), "`config` is missing in the manifest".into()),
        (json!({"config": "x"}), "`config` in the manifest must be an object, not a string".into()),
        (json!({"config": {}}), "`config.digest` is missing in the manifest".into()),
        (json!({"layers": {}}), "`layers` in the manifest must be an array, not an object".into()),
        (json!({"layers": true}), "`layers` in the manifest must be an array, not a boolean".into()),
        (json!({"layers": [[]]}), "`layers[0]` in the manifest must be an object, not an array".into()),
        (json!({"layers": [null]}), "`layers[0]` in the manifest must be an object, not null".into()),
        (layer(json!({"mediaType": 1})), "`layers[1].mediaType` in the manifest must be a string, not a number".into()),
        (layer(json!({"digest": null})), "`layers[1].digest` is missing in the manifest".into()),
        (layer(json!({"digest": 5})), "`layers[1].digest` in the manifest must be a string, not a number".into()),
        (
            layer(json!({"digest": "sha256:abc"})),
            "`layers[1].digest` in the manifest: 64 hex digits expected after `sha256:`, got 3; the digest was cut off".into(),
        ),
        (layer(json!({"size": -1})), format!("`layers[1].size` {size} `-1`")),
        (layer(json!({"size": 1.5})), format!("`layers[1].size` {size} `1.5`")),
        (layer(json!({"size": "7"})), format!("`layers[1].size` {size} `\"7\"`")),
        (layer(json!({"size": 9_223_372_036_854_775_808_u64})), format!("`layers[1].size` {size} `9223372036854775808`")),
        (layer(json!({"urls": "x"})), "`layers[1].urls` in the manifest must be an array, not a string".into()),
        (layer(json!({"urls": ["x", 5]})), "`layers[1].urls[1]` in the manifest must be a string, not a number".into()),
        (layer(json!({"platform": 5})), "`layers[1].platform` in the manifest must be an object, not a number".into()),
        (layer(json!({"platform": {"os": 5}})), "`layers[1].platform.os` in the manifest must be a string, not a number".into()),
        (layer(json!({"annotations": {"a": 5}})), "`layers[1].annotations.a` in the manifest must be a string, not a number".into()),
        (json!({"annotations": []}), "`annotations` in the manifest must be an object, not an array".into()),
        (json!({"annotations": {"a": {}}}), "`annotations.a` in the manifest must be a string, not an object".into()),
        (json!({"artifactType": 5}), "`artifactType` in the manifest must be a string, not a number".into()),
        (json!({"subject": []}), "`subject` in the manifest must be an object, not an array".into()),
        (json!({"subject": {"mediaType": "a/b", "size": 1}}), "`subject.digest` is missing in the manifest".into()),
    ];
    for (changes, message) in table {
        assert_eq!(
            refusal(media_type::OCI_MANIFEST, &with(oci_image(), changes.clone())),
            message,
            "{changes}"
        );
    }
    let null_annotation = oci_image()
        .to_string()
        .replacen('{', r#"{"annotations": {"a": null},"#, 1);
    assert_eq!(
        push_text(media_type::OCI_MANIFEST, &null_annotation)
            .unwrap_err()
            .to_string(),
        "`annotations.a` in the manifest must be a string, not null"
    );
    // Numbers that no machine word holds, and numbers in other clothes.
    let sized = with(oci_image(), layer(json!({"size": 77_777}))).to_string();
    for text in [
        "18446744073709551616",
        "99999999999999999999999999999",
        "1e3",
        "7.0",
        "-0",
        "1E400",
    ] {
        let error = push_text(media_type::OCI_MANIFEST, &sized.replace("77777", text)).unwrap_err();
        assert_eq!(
            error,
            ManifestError::Size {
                path: "layers[1].size".into(),
                got: text.into()
            }
        );
    }
}

#[test]
fn what_is_no_json_is_said_with_its_place() {
    let table = [
        ("", "the manifest is empty; send it as the body of the request"),
        (
            "  ",
            "the manifest is not JSON: EOF while parsing a value at line 1 column 2",
        ),
        (
            "{",
            "the manifest is not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "{\n  \"a\": x}",
            "the manifest is not JSON: expected value at line 2 column 8",
        ),
        (
            "{} {}",
            "the manifest is not JSON: trailing characters at line 1 column 4",
        ),
        (
            "{}\0",
            "the manifest is not JSON: trailing characters at line 1 column 3",
        ),
        (
            "\u{feff}{}",
            "the manifest is not JSON: expected value at line 1 column 1",
        ),
        (
            "{'a': 1}",
            "the manifest is not JSON: key must be a string at line 1 column 2",
        ),
        (
            "<html>",
            "the manifest is not JSON: expected value at line 1 column 1",
        ),
        (
            "{\"a\": 1,}",
            "the manifest is not JSON: key must be a string at line 1 column 9",
        ),
        (
            "{\"a\": \"\n\"}",
            "the manifest is not JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7",
        ),
        ("[]", "a manifest is a JSON object, not an array"),
        ("null", "a manifest is a JSON object, not null"),
        ("  \"x\"", "a manifest is a JSON object, not a string"),
        ("5", "a manifest is a JSON object, not a number"),
        ("-5.5", "a manifest is a JSON object, not a number"),
        ("false", "a manifest is a JSON object, not a boolean"),
    ];
    for (text, message) in table {
        assert_eq!(
            push_text(media_type::OCI_MANIFEST, text).unwrap_err().to_string(),
            message,
            "{text:?}"
        );
    }
    assert_eq!(
        ManifestView::parse_pushed(None, b"{\"a\": \"\xff\"}")
            .unwrap_err()
            .to_string(),
        "the manifest is not JSON: byte 7 is not UTF-8"
    );
    // White space around it is JSON, and stays in the stored bytes.
    assert!(push_text(media_type::OCI_MANIFEST, &format!("\r\n\t {} \n", oci_image())).is_ok());
}

#[test]
fn half_a_surrogate_pair_is_read_as_go_reads_it() {
    let image = oci_image().to_string();
    let broken = image.replacen(
        '{',
        r#"{"artifactType": "a\ud800", "annotations": {"\udc00x": "\ud800y"}, "\ud800": 1, "#,
        1,
    );
    let view = push_text(media_type::OCI_MANIFEST, &broken).unwrap();
    assert_eq!(
        view.artifact_type
            .as_deref()
            .map(|text| text.starts_with("a\u{fffd}")),
        Some(true)
    );
    assert_eq!(view.annotations.len(), 1);
    assert_eq!(view.layers.len(), 2);
    assert_eq!(ManifestView::parse_stored(broken.as_bytes()), Ok(view));
    // A whole pair is a character.
    let whole = image.replacen('{', r#"{"artifactType": "\ud83d\ude00", "#, 1);
    assert_eq!(
        push_text(media_type::OCI_MANIFEST, &whole)
            .unwrap()
            .artifact_type
            .as_deref(),
        Some("\u{1f600}")
    );
    // It hides no key, and is no escape of something shorter.
    let twice = image.replacen('{', r#"{"annotations": {"\ud800": "1", "\ud801": "2"}, "#, 1);
    assert!(matches!(
        push_text(media_type::OCI_MANIFEST, &twice),
        Err(ManifestError::DuplicateKey { .. })
    ));
    let cut = image.replacen('{', r#"{"artifactType": "\ud8", "#, 1);
    assert!(matches!(
        push_text(media_type::OCI_MANIFEST, &cut),
        Err(ManifestError::NotJson { .. })
    ));
}

#[test]
fn deep_nesting_is_refused() {
    let image = oci_image().to_string();
    let nested = |open: &str, close: &str, depth: usize| {
        image.replacen(
            '{',
            &format!(r#"{{"x": {}1{},"#, open.repeat(depth), close.repeat(depth)),
            1,
        )
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        assert!(push_text(media_type::OCI_MANIFEST, &nested(open, close, MAX_DEPTH - 1)).is_ok());
        for depth in [MAX_DEPTH, 10_000, 400_000] {
            let error = push_text(media_type::OCI_MANIFEST, &nested(open, close, depth)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the manifest is nested more than 128 levels deep"
            );
        }
        // What an older registry took is readable, without a stack frame for each level.
        assert_eq!(
            ManifestView::parse_stored(nested(open, close, 400_000).as_bytes()).unwrap(),
            stored(&oci_image())
        );
    }
    // Brackets in texts are no nesting, however they are escaped.
    let brackets = with(oci_image(), json!({"x": format!("\"\\{}", "[{".repeat(10_000))}));
    assert!(push(media_type::OCI_MANIFEST, &brackets).is_ok());
    let unclosed = "[".repeat(1_000_000);
    assert_eq!(
        push_text("", &unclosed),
        Err(ManifestError::TooDeep { limit: MAX_DEPTH })
    );
    assert!(matches!(
        ManifestView::parse_stored(unclosed.as_bytes()),
        Err(ManifestError::NotJson { .. })
    ));
}

#[test]
fn large_manifests_are_read() {
    let layers: Vec<Value> = (0..20_000).map(|_| content(media_type::OCI_LAYER, 9)).collect();
    let manifest = with(oci_image(), json!({"layers": layers}));
    assert_eq!(
        push(media_type::OCI_MANIFEST, &manifest).unwrap().layers.len(),
        20_000
    );
}

#[test]
fn stored_media_types_are_derived() {
    let table = [
        (
            json!({"mediaType": "application/vnd.example"}),
            "application/vnd.example",
            ManifestKind::Unknown,
        ),
        (
            json!({"mediaType": media_type::DOCKER_MANIFEST, "manifests": []}),
            media_type::DOCKER_MANIFEST,
            ManifestKind::Image,
        ),
        (json!({}), media_type::OCI_MANIFEST, ManifestKind::Image),
        (
            json!({"schemaVersion": 2, "layers": []}),
            media_type::OCI_MANIFEST,
            ManifestKind::Image,
        ),
        (
            json!({"manifests": []}),
            media_type::OCI_INDEX,
            ManifestKind::Index,
        ),
        (
            json!({"manifests": [], "schemaVersion": 1}),
            media_type::OCI_INDEX,
            ManifestKind::Index,
        ),
        (
            json!({"mediaType": "", "manifests": []}),
            media_type::OCI_INDEX,
            ManifestKind::Index,
        ),
        (
            json!({"schemaVersion": 1}),
            media_type::DOCKER_SCHEMA1,
            ManifestKind::Schema1,
        ),
        (
            json!({"schemaVersion": 1, "signatures": []}),
            media_type::DOCKER_SCHEMA1_SIGNED,
            ManifestKind::Schema1,
        ),
        // What is no media type cannot stand in a header.
        (
            json!({"mediaType": "a\r\nb/c", "manifests": []}),
            media_type::OCI_INDEX,
            ManifestKind::Index,
        ),
        (
            json!({"mediaType": 5}),
            media_type::OCI_MANIFEST,
            ManifestKind::Image,
        ),
    ];
    for (manifest, media_type, kind) in table {
        let view = stored(&manifest);
        assert_eq!(
            (view.media_type.as_str(), view.kind),
            (media_type, kind),
            "{manifest}"
        );
    }
    let null = ManifestView::parse_stored(br#"{"manifests": null, "mediaType": null}"#).unwrap();
    assert_eq!(null.media_type, media_type::OCI_MANIFEST);
}

#[test]
fn stored_manifests_are_read_as_far_as_they_go() {
    let manifest = json!({
        "schemaVersion": "x",
        "mediaType": media_type::OCI_MANIFEST,
        "config": {"digest": digest(1), "size": -5, "mediaType": 7},
        "layers": [content("text/plain", 2), {"digest": "sha256:abc"}, 5, null, {"digest": digest(3)}],
        "manifests": [content(media_type::OCI_MANIFEST, 4)],
        "blobs": [content("text/plain", 5)],
        "subject": "x",
        "annotations": {"a": "b", "c": 5},
        "artifactType": {},
    });
    let view = stored(&manifest);
    let config = view.config.as_ref().unwrap();
    assert_eq!(
        (config.digest, config.size, config.media_type.as_str()),
        (digest(1), 0, "")
    );
    // All that may be a reference is kept.
    assert_eq!(
        view.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>(),
        [digest(2), digest(3), digest(5)]
    );
    assert_eq!(view.manifests, [read(media_type::OCI_MANIFEST, 4)]);
    assert_eq!(view.subject, None);
    assert_eq!(view.annotations.len(), 1);
    assert_eq!(view.effective_artifact_type(), None);
    for wrong in [json!(5), json!("x"), json!({})] {
        let manifest = json!({"layers": wrong, "annotations": [wrong], "manifests": "x", "config": [wrong]});
        assert_eq!(stored(&manifest).blobs().count(), 0);
    }
    // Of several, the last counts, as in Go.
    let twice =
        ManifestView::parse_stored(br#"{"artifactType": "a", "artifactType": "b", "ArtifactType": "c"}"#)
            .unwrap();
    assert_eq!(twice.artifact_type.as_deref(), Some("b"));
    // Go takes bytes that are no UTF-8.
    let latin =
        ManifestView::parse_stored(b"{\"mediaType\": \"a/b\", \"x\": \"\xe9\", \"artifactType\": \"\xe9\"}")
            .unwrap();
    assert_eq!(
        (latin.media_type.as_str(), latin.artifact_type.as_deref()),
        ("a/b", Some("\u{fffd}"))
    );
    for bytes in [&b""[..], b"x", b"[]", b"{", b"{}x"] {
        assert!(ManifestView::parse_stored(bytes).is_err());
    }
}

#[test]
fn stored_schema_1_manifests_name_their_layers() {
    let manifest = json!({
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": digest(1)}, {"blobSum": "x"}, {}, {"blobSum": digest(2)}],
        "signatures": [],
    });
    let view = stored(&manifest);
    assert_eq!(view.kind, ManifestKind::Schema1);
    assert_eq!(
        view.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>(),
        [digest(1), digest(2)]
    );
}

#[test]
fn the_artifact_type_follows_the_rule_of_referrers() {
    let image = |own: Value| {
        push(
            media_type::OCI_MANIFEST,
            &with(oci_image(), json!({"artifactType": own})),
        )
        .unwrap()
    };
    assert_eq!(image(json!("a/b")).effective_artifact_type(), Some("a/b"));
    assert_eq!(
        image(json!("")).effective_artifact_type(),
        Some(media_type::OCI_CONFIG)
    );
    assert_eq!(
        image(json!(null)).effective_artifact_type(),
        Some(media_type::OCI_CONFIG)
    );
    let index = |own: Value| {
        push(
            media_type::OCI_INDEX,
            &with(oci_index(), json!({"artifactType": own})),
        )
        .unwrap()
    };
    assert_eq!(index(json!("a/b")).effective_artifact_type(), Some("a/b"));
    assert_eq!(index(json!("")).effective_artifact_type(), None);
    assert_eq!(index(json!(null)).effective_artifact_type(), None);
}

#[test]
fn the_entry_of_a_referrers_list_is_made() {
    let manifest = with(
        oci_image(),
        json!({"annotations": {"a": "b"}, "subject": content(media_type::OCI_MANIFEST, 7)}),
    );
    let view = push(media_type::OCI_MANIFEST, &manifest).unwrap();
    let entry = view.descriptor(digest(8), 1234);
    assert_eq!(
        serde_json::to_value(&entry).unwrap(),
        json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": digest(8), "size": 1234,
            "artifactType": media_type::OCI_CONFIG, "annotations": {"a": "b"},
        })
    );
    let plain = push(media_type::OCI_INDEX, &oci_index())
        .unwrap()
        .descriptor(digest(9), 9);
    assert_eq!(
        serde_json::to_value(&plain).unwrap(),
        content(media_type::OCI_INDEX, 9)
    );
}

#[test]
fn the_tag_of_referrers_is_cut() {
    let sha256 = Digest::sha256_of(b"");
    assert_eq!(
        referrers_tag(&sha256).as_str(),
        format!("sha256-{}", sha256.hex())
    );
    let sha512 = Digest::of(Algorithm::Sha512, b"");
    assert_eq!(
        referrers_tag(&sha512).as_str(),
        format!("sha512-{}", &sha512.hex().as_str()[..64])
    );
}

#[test]
fn the_tag_of_referrers_is_known_by_its_form() {
    let sha256 = Digest::sha256_of(b"");
    let sha512 = Digest::of(Algorithm::Sha512, b"");
    for (digest, subject) in [(sha256, Some(sha256)), (sha512, None)] {
        let tag = referrers_tag(&digest);
        assert!(is_referrers_tag(tag.as_str()), "{tag}");
        assert_eq!(referrers_subject(&tag), subject);
    }
    let hex = sha256.hex();
    for other in [
        format!("sha256-{hex}.sig"),
        format!("sha256-{}", &hex.as_str()[1..]),
        format!("sha256-{}", hex.as_str().to_uppercase()),
        format!("md5-{hex}"),
        hex.as_str().to_owned(),
        "v1-alpine".to_owned(),
    ] {
        assert!(!is_referrers_tag(&other), "{other}");
        assert_eq!(referrers_subject(&other.parse().unwrap()), None);
    }
}

#[test]
fn foreign_content_is_known_by_its_type_or_its_urls() {
    let table = [
        (media_type::DOCKER_FOREIGN_LAYER, true),
        (media_type::DOCKER_FOREIGN_LAYER_TAR, true),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", true),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            true,
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            true,
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tarball",
            false,
        ),
        (media_type::DOCKER_LAYER, false),
        (media_type::OCI_LAYER, false),
        (media_type::OCI_LAYER_ZSTD, false),
        ("", false),
    ];
    for (media_type, foreign) in table {
        assert_eq!(read(media_type, 1).is_foreign(), foreign, "{media_type}");
        let elsewhere = Descriptor {
            urls: vec!["https://example.com".into()],
            ..read(media_type, 1)
        };
        assert!(elsewhere.is_foreign());
    }
}

#[test]
fn media_types_are_checked() {
    for valid in [
        "a/b",
        media_type::OCI_LAYER_GZIP,
        "application/x-www-form-urlencoded",
        "A/B.c+d-e_f!g#h$i&j^k",
    ] {
        assert!(media_type::is_valid(valid), "{valid}");
    }
    let long = format!("a/{}", "b".repeat(128));
    for invalid in [
        "",
        "/",
        "a",
        "a/",
        "/b",
        "a/b/c",
        "a b/c",
        "a/b;c",
        "*/*",
        "a/b\n",
        "a/\u{e9}",
        ".a/b",
        "a/+b",
        long.as_str(),
    ] {
        assert!(!media_type::is_valid(invalid), "{invalid}");
    }
    assert_eq!(media_type::essence(" a/b\t; charset=utf-8; x"), "a/b");
    for known in media_type::MANIFESTS {
        assert!(media_type::is_valid(known));
        assert!(!matches!(
            ManifestKind::of(known),
            ManifestKind::Unknown | ManifestKind::Schema1
        ));
    }
}

#[test]
fn a_media_type_is_that_of_a_manifest_or_of_a_blob() {
    let schema1 = [media_type::DOCKER_SCHEMA1, media_type::DOCKER_SCHEMA1_SIGNED];
    for known in media_type::MANIFESTS.iter().chain(&schema1) {
        assert!(!read(known, 1).is_blob(), "{known}");
        assert!(!read(&known.to_ascii_uppercase(), 1).is_blob(), "{known}");
        assert_ne!(ManifestKind::of(known), ManifestKind::Unknown);
    }
    for other in [
        media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER,
        media_type::OCI_CONFIG,
        "application/vnd.buildkit.cacheconfig.v0",
        "application/vnd.example+json",
    ] {
        assert!(read(other, 1).is_blob(), "{other}");
        assert_eq!(ManifestKind::of(other), ManifestKind::Unknown);
    }
    assert!(!read("", 1).is_blob(), "it does not say what it is");
}

#[test]
fn the_entries_of_an_index_are_manifests_and_blobs() {
    let cache = "application/vnd.buildkit.cacheconfig.v0";
    let entries = json!([
        content(media_type::OCI_LAYER_GZIP, 1),
        content(media_type::OCI_MANIFEST, 2),
        content(cache, 3),
    ]);
    let index = with(oci_index(), json!({ "manifests": entries }));
    for view in [push(media_type::OCI_INDEX, &index).unwrap(), stored(&index)] {
        assert_eq!(view.manifests.len(), 3);
        assert_eq!(view.children().map(|child| child.size).collect::<Vec<_>>(), [2]);
        assert_eq!(view.blobs().map(|blob| blob.size).collect::<Vec<_>>(), [1, 3]);
    }
}
