//! `wharf ls` and `wharf cat` of layers that can be read in parts (eStargz).

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use wharf_oci::Digest;
use wharf_testkit::{
    Content,
    image::{self, Blob, Image, Manifest, OCI_CONFIG, OCI_MANIFEST},
    store,
    suite::Suite,
};

use crate::{
    registries::{ALL, Registry, on_each, run},
    scene::{Engine, host, registry},
};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const TABLE_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// Bytes of a piece of a file.
const PIECE: usize = 1000;

/// Bytes of a block of a tar.
const BLOCK: usize = 512;

pub(crate) fn add_to(suite: &mut Suite) {
    on_each(
        suite,
        &ALL,
        "files_of_a_layer_in_parts_are_listed_and_printed_at",
        same,
    );
    suite.test("of_a_layer_in_parts_only_what_is_needed_is_read", &[], parts);
    suite.test("a_layer_whose_table_is_another_is_no_layer", &[], other_table);
    suite.test(
        "a_layer_without_a_table_where_one_is_named_is_read_whole",
        &[],
        no_table,
    );
}

/// A layer of these files, each in members of the gzip of their own, and the annotations of its descriptor.
struct Layer {
    blob: Blob,
    annotations: Value,
    /// Where the pieces of the files begin in the layer, by the name of the file
    places: Vec<(String, usize)>,
}

fn layer(files: &[(&str, String)]) -> Layer {
    let (mut bytes, mut entries, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_mode(0o640);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        member(&mut bytes, header.as_bytes());
        let pieces: Vec<&[u8]> = content.as_bytes().chunks(PIECE).collect();
        let of_file = json!({"size": content.len(), "mode": 0o100_640, "uid": 7, "gid": 8, "modtime": "1970-01-01T00:00:09Z"});
        let add = |entry: &mut Value| {
            let more = of_file.as_object().unwrap().clone();
            entry.as_object_mut().unwrap().extend(more);
        };
        if pieces.is_empty() {
            let mut entry = json!({"name": name, "type": "reg"});
            add(&mut entry);
            entries.push(entry);
        }
        for (number, piece) in pieces.iter().enumerate() {
            let is_last = number + 1 == pieces.len();
            places.push(((*name).to_owned(), bytes.len()));
            let mut entry = json!({
                "name": name, "type": if number == 0 { "reg" } else { "chunk" }, "offset": bytes.len(),
                "chunkOffset": number * PIECE, "chunkSize": if is_last { 0 } else { PIECE },
                "chunkDigest": Digest::sha256_of(piece).to_string(),
            });
            if number == 0 {
                add(&mut entry);
            }
            entries.push(entry);
            let mut stored = piece.to_vec();
            if is_last {
                stored.resize(stored.len() + (BLOCK - content.len() % BLOCK) % BLOCK, 0);
            }
            member(&mut bytes, &stored);
        }
    }
    let table = json!({"version": 1, "entries": entries}).to_string();
    let begin = bytes.len();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(table.len() as u64);
    header.set_mode(0o444);
    tar.append_data(&mut header, "stargz.index.json", table.as_bytes())
        .unwrap();
    member(&mut bytes, &tar.into_inner().unwrap());
    bytes.extend([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, b'S', b'G', 22, 0]);
    bytes.extend(format!("{begin:016x}STARGZ").bytes());
    bytes.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    Layer {
        blob: Blob::new(GZIP, bytes),
        annotations: json!({TABLE_DIGEST: Digest::sha256_of(table.as_bytes()).to_string()}),
        places,
    }
}

fn member(bytes: &mut Vec<u8>, content: &[u8]) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(content).unwrap();
    bytes.extend(gzip.finish().unwrap());
}

/// Some files: one in several pieces, one in a single piece, an empty one.
fn files() -> Vec<(&'static str, String)> {
    let long = (0..700).map(|number| format!("line {number}\n")).collect();
    vec![
        ("etc/long", long),
        ("etc/empty", String::new()),
        ("etc/short", "short\n".to_owned()),
    ]
}

/// An image of the layer, with these annotations of the layer.
fn image_of(layer: &Layer, annotations: &Value) -> Image {
    let config = Blob::new(
        OCI_CONFIG,
        json!({"os": "linux", "architecture": "amd64", "config": {}}).to_string(),
    );
    let mut image = image::image(OCI_MANIFEST, config, vec![layer.blob.clone()]);
    let mut manifest = image.manifest.json();
    manifest["layers"][0]["annotations"] = annotations.clone();
    image.manifest = Manifest::new(OCI_MANIFEST, &manifest);
    image
}

fn same(registry: &Registry) {
    let layer = layer(&files());
    for (tag, annotations) in [("parts", layer.annotations.clone()), ("whole", json!({}))] {
        Content::of(image_of(&layer, &annotations)).push(&registry.host, "app", tag);
    }
    let at = |tag: &str| registry.at(&format!("app:{tag}"));
    let listed = ["parts", "whole"].map(|tag| run(&["ls", "-r", &at(tag)]).good());
    assert_eq!(listed[0], "etc/empty\netc/long\netc/short\nstargz.index.json\n");
    assert_eq!(listed[0], listed[1]);
    let long = ["parts", "whole"].map(|tag| run(&["ls", "-l", &at(tag), "etc"]).good());
    assert_eq!(long[0], long[1]);
    for (name, content) in files() {
        for tag in ["parts", "whole"] {
            assert_eq!(run(&["cat", &at(tag), name]).good(), content, "{name} {tag}");
        }
    }
    // The table is a file of the layer as well.
    let tables = ["parts", "whole"].map(|tag| run(&["cat", &at(tag), "stargz.index.json"]).good());
    assert_eq!(tables[0], tables[1]);
    run(&["cat", &at("parts"), "etc/nothing"]).bad();
}

/// What is damaged and not needed does no harm; what is needed is compared.
fn parts() {
    let mut server = registry(Engine::Filesystem);
    server.leave_unchecked();
    let authority = host(&server);
    let layer = layer(&files());
    Content::of(image_of(&layer, &layer.annotations)).push(&authority, "app", "1");
    let image = format!("{authority}/app:1");
    let path = store::blob_path(&server.root(), &layer.blob.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = layer
        .places
        .iter()
        .filter(|(name, _)| name == "etc/long")
        .map(|(_, place)| *place)
        .collect();
    // In the middle of the second piece.
    bytes[usize::midpoint(places[1], places[2])] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(run(&["ls", &image, "etc"]).good(), "empty\nlong\nshort\n");
    assert_eq!(run(&["cat", &image, "etc/short"]).good(), "short\n");
    let error = run(&["cat", &image, "etc/long"]).bad();
    assert!(error.contains(&layer.blob.digest), "{error}");
}

fn other_table() {
    let server = registry(Engine::Memory);
    let authority = host(&server);
    let layer = layer(&files());
    let annotations = json!({TABLE_DIGEST: Digest::sha256_of(b"another").to_string()});
    Content::of(image_of(&layer, &annotations)).push(&authority, "app", "1");
    let error = run(&["ls", &format!("{authority}/app:1")]).bad();
    assert!(error.contains("its table of contents has the digest"), "{error}");
}

fn no_table() {
    let server = registry(Engine::Memory);
    let authority = host(&server);
    let mut layer = layer(&files());
    // Without its footer.
    let bytes = layer.blob.bytes.slice(..layer.blob.bytes.len() - 51);
    layer.blob = Blob::new(GZIP, bytes);
    Content::of(image_of(&layer, &layer.annotations)).push(&authority, "app", "1");
    let image = format!("{authority}/app:1");
    assert_eq!(run(&["cat", &image, "etc/short"]).good(), "short\n");
}
