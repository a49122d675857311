//! `wharf ls`, `cat`, `diff` and `inspect --dockerfile`: the files of images, from any registry.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::{
    Content,
    image::{self, Blob, Image, Manifest},
    peer::{Peer, REGISTRY_2, REGISTRY_3},
    suite::{Part, Suite},
};

use crate::scene::{ENGINES, Engine, host, registry, wharf};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("files_are_those_that_the_layers_show", &[], || {
        for engine in ENGINES {
            let server = registry(engine);
            are_those_that_the_layers_show(&host(&server));
        }
    });
    for kind in [REGISTRY_2, REGISTRY_3] {
        suite.test(
            &format!("files_of_{kind}_are_those_that_the_layers_show"),
            &[Part::Program(kind)],
            move || {
                let root = TempDir::with_prefix("wharf-commands-").unwrap();
                let peer = Peer::start(kind, root.path());
                are_those_that_the_layers_show(peer.authority());
            },
        );
    }
    suite.test("an_index_is_read_for_one_platform", &[], an_index);
    suite.test("a_file_that_is_not_there_is_explained", &[], not_there);
    suite.test("a_layer_with_other_bytes_is_no_layer", &[], other_bytes);
    suite.test("what_is_no_image_has_no_files", &[], no_image);
}

fn are_those_that_the_layers_show(authority: &str) {
    let (before, after) = (base(), upper());
    Content::of(before).push(authority, "app", "1");
    Content::of(after).push(authority, "app", "2");
    let (one, two) = (format!("{authority}/app:1"), format!("{authority}/app:2"));

    assert_eq!(wharf(&["ls", &two]).good(), "app/\nbin\netc/\nusr/\n");
    assert_eq!(wharf(&["ls", &two, "/etc"]).good(), "os-release\n");
    assert_eq!(wharf(&["ls", &one, "etc/"]).good(), "os-release\nremoved\n");
    let all = "app/\napp/new\nbin\netc/\netc/os-release\nusr/\nusr/bin/\nusr/bin/tool\n";
    assert_eq!(wharf(&["ls", "-r", &two]).good(), all);
    let long = wharf(&["ls", "-l", &two, "usr/bin/tool"]).good();
    let line = long.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "-rwxr-xr-x",
            "7:8",
            "5",
            "1970-01-01T00:00:09Z",
            "0",
            "usr/bin/tool"
        ]
    );
    let listed: Value = serde_json::from_str(&wharf(&["ls", "--json", &two]).good()).unwrap();
    assert_eq!(
        (&listed[1]["name"], &listed[1]["link"]),
        (&json!("bin"), &json!("usr/bin"))
    );

    assert_eq!(wharf(&["cat", &two, "/bin/tool"]).good(), "tool\n");
    assert_eq!(wharf(&["cat", &two, "etc/os-release"]).good(), "new release\n");
    assert_eq!(wharf(&["cat", &one, "etc/os-release"]).good(), "release\n");

    let same = wharf(&["diff", &one, &one]);
    assert_eq!(same.good(), "the images are the same\n");
    let differ = wharf(&["diff", &one, &two]);
    assert_eq!(differ.code, Some(10), "{differ:?}");
    let lines: Vec<&str> = differ.out.lines().skip(2).collect();
    let [env, layer, shared, files @ ..] = &lines[..] else {
        panic!("{differ:?}")
    };
    assert_eq!(*env, r#"config   config.Env: ["V=1"] -> ["V=2"]"#);
    assert!(layer.starts_with("layer +  sha256:"), "{layer}");
    assert_eq!(*shared, "layers   1 in both");
    assert_eq!(
        files,
        [
            "file +   /app  0 B",
            "file +   /app/new  4 B",
            "file ~   /etc/os-release  8 B -> 12 B (content)",
            "file -   /etc/removed  8 B",
        ]
    );
    let differ = wharf(&["diff", "--json", "--no-files", &one, &two]);
    let found: Value = serde_json::from_str(&differ.out).unwrap();
    assert_eq!(
        (
            &found["files"],
            &found["layers"]["shared"],
            &found["config"]["config.Env"]["after"]
        ),
        (&Value::Null, &json!(1), &json!(["V=2"]))
    );

    let dockerfile = wharf(&["inspect", "--dockerfile", &two]).good();
    assert_eq!(dockerfile, "ADD base.tar /\nRUN make new\n");
}

fn an_index() {
    let server = registry(Engine::Memory);
    let authority = host(&server);
    Content::of(image::oci_index("platforms")).push(&authority, "app", "1");
    let name = format!("{authority}/app:1");
    for platform in ["linux/amd64", "linux/arm64"] {
        let listed = wharf(&["ls", &name, "--platform", platform]).good();
        assert!(!listed.is_empty());
    }
    let error = wharf(&["ls", &name, "--platform", "linux/s390x"]).bad();
    assert!(
        error.contains("there is no image for `linux/s390x`; there are: linux/amd64"),
        "{error}"
    );
}

fn not_there() {
    let server = registry(Engine::Filesystem);
    let authority = host(&server);
    Content::of(upper()).push(&authority, "app", "2");
    let name = format!("{authority}/app:2");
    let error = wharf(&["cat", &name, "etc/removed"]).bad();
    assert!(error.contains("the image has no `etc/removed`"), "{error}");
    let error = wharf(&["ls", &name, "nothing/here"]).bad();
    assert!(error.contains("the image has no `nothing/here`"), "{error}");
    let error = wharf(&["cat", &name, "/etc"]).bad();
    assert!(
        error.contains("`etc` is a directory; `wharf ls` lists it"),
        "{error}"
    );
    let error = wharf(&["cat", &name, "../../etc/passwd"]).bad();
    assert!(error.contains("leads out of the image"), "{error}");
}

/// A registry that gives other bytes than those of the digest.
fn other_bytes() {
    let mut server = registry(Engine::Filesystem);
    server.leave_unchecked();
    let authority = host(&server);
    let content = base();
    let layer = content.blobs[1].digest.clone();
    Content::of(content).push(&authority, "app", "1");
    let path = wharf_testkit::store::blob_path(&server.root(), &layer);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = wharf(&["cat", &format!("{authority}/app:1"), "etc/os-release"]);
    let error = said.bad();
    assert!(error.contains(&layer), "{error}");
}

fn no_image() {
    let server = registry(Engine::Memory);
    let authority = host(&server);
    let subject = Manifest::new(MANIFEST, &json!({"schemaVersion": 2}));
    Content::of(image::artifact("bill", "application/vnd.example.sbom", &subject))
        .push(&authority, "app", "1");
    let error = wharf(&["ls", &format!("{authority}/app:1")]).bad();
    assert!(error.contains("this is no image with files"), "{error}");
}

/// An image of one layer.
pub(crate) fn base() -> Image {
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"Env": ["V=1"]},
        "history": [{"created_by": "/bin/sh -c #(nop) ADD base.tar /"}],
    });
    image::image(
        MANIFEST,
        Blob::new(CONFIG, config.to_string()),
        vec![base_layer()],
    )
}

/// The same with another layer above it.
pub(crate) fn upper() -> Image {
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"Env": ["V=2"]},
        "history": [
            {"created_by": "/bin/sh -c #(nop) ADD base.tar /"},
            {"created_by": "RUN /bin/sh -c make new # buildkit"},
        ],
    });
    let tar = archive(&[
        ("app/", None, 0o755),
        ("app/new", Some("new\n"), 0o644),
        ("etc/", None, 0o755),
        ("etc/.wh.removed", Some(""), 0o644),
        ("etc/os-release", Some("new release\n"), 0o644),
    ]);
    let layers = vec![
        base_layer(),
        Blob::new(ZSTD, zstd::encode_all(&tar[..], 3).unwrap()),
    ];
    image::image(MANIFEST, Blob::new(CONFIG, config.to_string()), layers)
}

fn base_layer() -> Blob {
    let tar = archive(&[
        ("./bin>usr/bin", None, 0o777),
        ("./etc/", None, 0o755),
        ("./etc/os-release", Some("release\n"), 0o644),
        ("./etc/removed", Some("removed\n"), 0o644),
        ("./usr/", None, 0o755),
        ("./usr/bin/", None, 0o755),
        ("./usr/bin/tool", Some("tool\n"), 0o755),
    ]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&tar).unwrap();
    Blob::new(GZIP, encoder.finish().unwrap())
}

/// A tar of files, of directories without content, and of symbolic links `a>b`.
fn archive(entries: &[(&str, Option<&str>, u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content, mode) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        let bytes = content.unwrap_or_default().as_bytes();
        header.set_size(bytes.len() as u64);
        match (name.split_once('>'), content) {
            (Some((link, target)), _) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, link, target).unwrap();
                continue;
            }
            (None, Some(_)) => header.set_entry_type(tar::EntryType::Regular),
            (None, None) => header.set_entry_type(tar::EntryType::Directory),
        }
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.into_inner().unwrap()
}
