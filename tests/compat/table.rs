//! The table: each row is a request, or a short exchange, with its intended difference and the reason.
//!
//! A row without a difference must be answered alike. A row with one must be answered by wharf as the row
//! says, and otherwise by the other registry: a difference that has gone fails as well, so the table stays true.

use wharf_testkit::{Content, digest::sha256, image, push_blob};
use wharf_testkit::{RawAnswer, wire::Request};

use crate::site::Site;

/// The content of every site before the first row, pushed by the same requests.
pub(crate) struct Fixture {
    pub(crate) image: Content,
    pub(crate) list: Content,
    pub(crate) oci: Content,
    pub(crate) index: Content,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture {
            image: Content::of(image::docker("table")),
            list: Content::of(image::docker_list("table")),
            oci: Content::of(image::oci("table")),
            index: Content::of(image::oci_index("table")),
        }
    }

    /// Pushes everything; rows that change something use repositories of their own.
    pub(crate) fn push(&self, site: &Site) {
        for name in ["app", "deleting", "deleting/config", "deleting/siblings"] {
            self.image.push(site.authority(), name, "1");
            self.image.push(site.authority(), name, "2");
        }
        self.list.push(site.authority(), "list", "1");
        self.list.push(site.authority(), "deleting/child", "1");
        self.oci.push(site.authority(), "oci", "1");
        self.index.push(site.authority(), "index", "1");
        self.image.push(site.authority(), "blobs", "1");
        push_blob(site.authority(), "blobs", &sha256(BLOB), BLOB);
    }

    fn layer(&self) -> &str {
        self.image.blobs.keys().next().expect("an image has blobs")
    }
}

/// The registries that a difference is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// Only 2.8.
    Two,
    /// Only 3.
    Three,
    /// Both alike.
    Both,
}

/// One deliberate difference.
pub(crate) struct Difference {
    pub(crate) with: With,
    /// Answer of wharf: the status, and the error codes if there are any.
    pub(crate) ours: &'static str,
    pub(crate) reason: &'static str,
}

/// The requests of one row.
pub(crate) type Script = fn(&Site, &Fixture) -> RawAnswer;

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) differences: &'static [Difference],
}

const fn same(name: &'static str, script: Script) -> Row {
    Row {
        name,
        script,
        differences: &[],
    }
}

const fn differs(name: &'static str, script: Script, differences: &'static [Difference]) -> Row {
    Row {
        name,
        script,
        differences,
    }
}

/// A blob that is a layer of nothing.
const BLOB: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UNKNOWN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const SHORT: &str = "sha256:0123456789abcdef";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const ANY_ACCEPT: &str = "D2: the stored manifest and its true digest, whatever Accept says";
const TEACHES: &str = "errors teach: what is wrong with a name or a digest is said, in JSON";
const TAG_DELETE: &str = "deleting one tag is what people want";
const CHUNKS: &str = "chunks out of order are refused: a mixture must not be stored";
const HELD: &str = "OCI, end-5: the answer says what we hold, so that the client can go on";
const ONE_FORM: &str = "one form of error, JSON, everywhere";
const NO_STATE: &str = "the upload's URL carries no state that a client could lose";
const SPECIFICATION: &str = "the distribution specification says so";

const fn both(ours: &'static str, reason: &'static str) -> Difference {
    Difference {
        with: With::Both,
        ours,
        reason,
    }
}

const fn two(ours: &'static str, reason: &'static str) -> Difference {
    Difference {
        with: With::Two,
        ours,
        reason,
    }
}

const fn three(ours: &'static str, reason: &'static str) -> Difference {
    Difference {
        with: With::Three,
        ours,
        reason,
    }
}

fn get(site: &Site, path: &str) -> RawAnswer {
    site.ask("GET", path)
}

fn with(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> RawAnswer {
    let request = Request::new(method, path);
    site.send(
        &headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value)),
    )
}

fn put_manifest(site: &Site, reference: &str, media_type: &str, body: &[u8]) -> RawAnswer {
    let request = Request::new("PUT", &format!("/v2/{reference}"));
    site.send(&request.header("Content-Type", media_type).body(body))
}

fn patch(site: &Site, location: &str, range: Option<&str>, body: &[u8]) -> RawAnswer {
    let request = Request::new("PATCH", location).header("Content-Type", "application/octet-stream");
    let request = match range {
        Some(range) => request.header("Content-Range", range),
        None => request,
    };
    site.send(&request.body(body))
}

fn location(answer: &RawAnswer) -> String {
    answer
        .header("Location")
        .expect("an upload has a location")
        .to_owned()
}

/// `location` with one more parameter.
fn plus(location: &str, parameter: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}{parameter}")
}

/// Every row, in the order of the specification's endpoints.
pub(crate) const TABLE: &[&[Row]] = &[BASE, LISTS, MANIFESTS, MANIFEST_PUSHES, BLOBS, UPLOADS, DELETES];

const BASE: &[Row] = &[
    same("version check", |site, _| get(site, "/v2/")),
    same("version check, HEAD", |site, _| site.ask("HEAD", "/v2/")),
    differs(
        "outside of the API",
        |site, _| get(site, "/v1/search?q=app"),
        &[both("404 UNSUPPORTED", ONE_FORM)],
    ),
    differs(
        "unknown path below /v2/",
        |site, _| get(site, "/v2/app/unknown"),
        &[both("404 UNSUPPORTED", ONE_FORM)],
    ),
    differs(
        "wrong method",
        |site, _| site.ask("POST", "/v2/app/manifests/1"),
        &[both("405 UNSUPPORTED", ONE_FORM)],
    ),
    same("an encoded slash in a name", |site, _| {
        get(site, "/v2/deleting%2Fsiblings/tags/list")
    }),
    same("a doubled slash", |site, _| get(site, "/v2//_catalog?n=1")),
    differs(
        "a slash at the end",
        |site, _| get(site, "/v2/app/tags/list/?n=1"),
        &[both("301", "the same Location, without a page for people")],
    ),
    differs(
        "a write to a doubled slash",
        |site, _| site.ask("DELETE", "/v2/app//manifests/unknown"),
        &[both(
            "404 UNSUPPORTED",
            "a client that follows would change its method",
        )],
    ),
    differs(
        "upper case in a name",
        |site, _| get(site, "/v2/App/tags/list"),
        &[both("400 NAME_INVALID", TEACHES)],
    ),
    differs(
        "a name that starts with a dash",
        |site, _| get(site, "/v2/-app/tags/list"),
        &[both("400 NAME_INVALID", TEACHES)],
    ),
];

const LISTS: &[Row] = &[
    same("catalogue", |site, _| get(site, "/v2/_catalog")),
    same("catalogue, first page", |site, _| get(site, "/v2/_catalog?n=2")),
    same("catalogue, next page", |site, _| {
        get(site, "/v2/_catalog?n=2&last=app")
    }),
    same("catalogue after the last", |site, _| {
        get(site, "/v2/_catalog?last=zzz")
    }),
    differs(
        "catalogue, n is no number",
        |site, _| get(site, "/v2/_catalog?n=many"),
        &[two(
            "400 PAGINATION_NUMBER_INVALID",
            "as registry:3: a mistake is said",
        )],
    ),
    differs(
        "catalogue, n is negative",
        |site, _| get(site, "/v2/_catalog?n=-1"),
        &[two(
            "400 PAGINATION_NUMBER_INVALID",
            "as registry:3: a mistake is said",
        )],
    ),
    differs(
        "catalogue, n above the maximum",
        |site, _| get(site, "/v2/_catalog?n=100000"),
        &[both("200", "D3: clamped, and a Link to the next page")],
    ),
    same("tags", |site, _| get(site, "/v2/app/tags/list")),
    differs(
        "tags, first page",
        |site, _| get(site, "/v2/app/tags/list?n=1"),
        &[two("200", SPECIFICATION)],
    ),
    differs(
        "tags, next page",
        |site, _| get(site, "/v2/app/tags/list?n=1&last=1"),
        &[
            two("200", SPECIFICATION),
            three("200", "the last page has no Link to an empty one"),
        ],
    ),
    differs(
        "tags, none",
        |site, _| get(site, "/v2/app/tags/list?n=0"),
        &[two("200", SPECIFICATION)],
    ),
    differs(
        "tags, n is no number",
        |site, _| get(site, "/v2/app/tags/list?n=many"),
        &[two(
            "400 PAGINATION_NUMBER_INVALID",
            "as registry:3: a mistake is said",
        )],
    ),
    same("tags of an unknown repository", |site, _| {
        get(site, "/v2/nobody/tags/list")
    }),
];

const MANIFESTS: &[Row] = &[
    same("manifest by tag", |site, _| get(site, "/v2/app/manifests/1")),
    same("manifest by digest", |site, fixture| {
        get(
            site,
            &format!("/v2/app/manifests/{}", fixture.image.root().digest),
        )
    }),
    same("manifest, HEAD", |site, _| {
        site.ask("HEAD", "/v2/app/manifests/1")
    }),
    same("OCI manifest", |site, _| get(site, "/v2/oci/manifests/1")),
    same("OCI index", |site, _| get(site, "/v2/index/manifests/1")),
    same("list", |site, _| get(site, "/v2/list/manifests/1")),
    same("unknown tag", |site, _| get(site, "/v2/app/manifests/unknown")),
    same("unknown digest", |site, _| {
        get(site, &format!("/v2/app/manifests/{UNKNOWN}"))
    }),
    same("unknown repository", |site, _| {
        get(site, "/v2/nobody/manifests/1")
    }),
    same("manifest of another repository", |site, fixture| {
        get(site, &format!("/v2/app/manifests/{}", fixture.oci.root().digest))
    }),
    differs(
        "manifest not modified",
        |site, fixture| {
            let etag = format!("\"{}\"", fixture.image.root().digest);
            with(
                site,
                "GET",
                "/v2/app/manifests/1",
                &[("Accept", MANIFEST), ("If-None-Match", &etag)],
            )
        },
        &[both("304", "RFC 9110: a 304 carries the Etag that a 200 would")],
    ),
    differs(
        "manifest by a digest that was cut off",
        |site, _| get(site, &format!("/v2/app/manifests/{SHORT}")),
        &[two("400 DIGEST_INVALID", TEACHES)],
    ),
    differs(
        "Docker manifest, no Accept",
        |site, _| with(site, "GET", "/v2/app/manifests/1", &[]),
        &[two("200", ANY_ACCEPT)],
    ),
    differs(
        "OCI manifest, no Accept",
        |site, _| with(site, "GET", "/v2/oci/manifests/1", &[]),
        &[both("200", ANY_ACCEPT)],
    ),
    differs(
        "OCI manifest, any type accepted",
        |site, _| with(site, "GET", "/v2/oci/manifests/1", &[("Accept", "*/*")]),
        &[both("200", ANY_ACCEPT)],
    ),
    differs(
        "OCI manifest, only Docker's accepted",
        |site, _| with(site, "GET", "/v2/oci/manifests/1", &[("Accept", MANIFEST)]),
        &[both("200", ANY_ACCEPT)],
    ),
    differs(
        "OCI index, no Accept",
        |site, _| with(site, "GET", "/v2/index/manifests/1", &[]),
        &[two("200", ANY_ACCEPT)],
    ),
    differs(
        "list, only an image accepted",
        |site, _| with(site, "GET", "/v2/list/manifests/1", &[("Accept", MANIFEST)]),
        &[both("200", ANY_ACCEPT)],
    ),
    differs(
        "referrers of nothing",
        |site, _| get(site, &format!("/v2/app/referrers/{UNKNOWN}")),
        &[both("200", "OCI 1.1: an index, empty if need be")],
    ),
];

const MANIFEST_PUSHES: &[Row] = &[
    differs(
        "push a tag that exists, to create it only",
        |site, fixture| {
            let request = Request::new("PUT", "/v2/app/manifests/1").header("Content-Type", MANIFEST);
            let request = request.header("If-None-Match", "*");
            site.send(&request.body(fixture.image.root().bytes.clone()))
        },
        &[both("412 DENIED", "RFC 9110, 13.1.2")],
    ),
    same("push by tag", |site, fixture| {
        put_manifest(site, "app/manifests/again", MANIFEST, &fixture.image.root().bytes)
    }),
    same("push by digest", |site, fixture| {
        let reference = format!("app/manifests/{}", fixture.image.root().digest);
        put_manifest(site, &reference, MANIFEST, &fixture.image.root().bytes)
    }),
    same("push by a digest that it has not", |site, fixture| {
        put_manifest(
            site,
            &format!("app/manifests/{UNKNOWN}"),
            MANIFEST,
            &fixture.image.root().bytes,
        )
    }),
    same("push what is not JSON", |site, _| {
        put_manifest(site, "app/manifests/x", MANIFEST, b"not json")
    }),
    same("push an empty body", |site, _| {
        put_manifest(site, "app/manifests/x", MANIFEST, b"")
    }),
    differs(
        "push without a type",
        |site, fixture| {
            site.send(&Request::new("PUT", "/v2/app/manifests/x").body(fixture.image.root().bytes.clone()))
        },
        &[both("201", "the manifest says by itself what it is")],
    ),
    same("push with another type than its own", |site, fixture| {
        put_manifest(site, "app/manifests/x", OCI, &fixture.image.root().bytes)
    }),
    same("push an image whose blobs are missing", |site, fixture| {
        put_manifest(site, "nowhere/manifests/x", MANIFEST, &fixture.image.root().bytes)
    }),
    same("push a list whose children are missing", |site, fixture| {
        put_manifest(site, "nowhere/manifests/x", LIST, &fixture.list.root().bytes)
    }),
    same("push an index whose children are missing", |site, fixture| {
        put_manifest(site, "nowhere/manifests/x", INDEX, &fixture.index.root().bytes)
    }),
    differs(
        "push more than 4 MiB",
        |site, _| put_manifest(site, "app/manifests/x", MANIFEST, &vec![b' '; (4 << 20) + 1]),
        &[both("413 MANIFEST_INVALID", SPECIFICATION)],
    ),
    differs(
        "push to a bad tag",
        |site, fixture| put_manifest(site, "app/manifests/.x", MANIFEST, &fixture.image.root().bytes),
        &[both("400 TAG_INVALID", TEACHES)],
    ),
    differs(
        "push what has a subject",
        |site, fixture| {
            let artifact = Content::of(image::artifact(
                "subject",
                "application/vnd.example.note",
                fixture.oci.root(),
            ));
            for (digest, bytes) in &artifact.blobs {
                push_blob(site.authority(), "oci", digest, bytes);
            }
            put_manifest(site, "oci/manifests/note", OCI, &artifact.root().bytes)
        },
        &[both(
            "201",
            "OCI 1.1: OCI-Subject says that the referrers API has it",
        )],
    ),
];

const BLOBS: &[Row] = &[
    same("blob", |site, _| {
        get(site, &format!("/v2/blobs/blobs/{}", sha256(BLOB)))
    }),
    same("blob, HEAD", |site, _| {
        site.ask("HEAD", &format!("/v2/blobs/blobs/{}", sha256(BLOB)))
    }),
    same("blob, range", |site, _| range(site, "bytes=5-9")),
    same("blob, open range", |site, _| range(site, "bytes=30-")),
    same("blob, last bytes", |site, _| range(site, "bytes=-4")),
    same("blob, more than there is", |site, _| range(site, "bytes=30-9999")),
    differs(
        "blob, range behind its end",
        |site, _| range(site, "bytes=36-40"),
        &[both("416 RANGE_INVALID", ONE_FORM)],
    ),
    same("blob not modified", |site, _| {
        let digest = sha256(BLOB);
        let etag = format!("\"{digest}\"");
        with(
            site,
            "GET",
            &format!("/v2/blobs/blobs/{digest}"),
            &[("If-None-Match", &etag)],
        )
    }),
    same("unknown blob", |site, _| {
        get(site, &format!("/v2/app/blobs/{UNKNOWN}"))
    }),
    same("blob of another repository", |site, _| {
        get(site, &format!("/v2/app/blobs/{}", sha256(BLOB)))
    }),
    same("blob of an unknown repository", |site, _| {
        get(site, &format!("/v2/nobody/blobs/{}", sha256(BLOB)))
    }),
    same("a manifest as a blob", |site, fixture| {
        get(site, &format!("/v2/app/blobs/{}", fixture.image.root().digest))
    }),
    same("blob by a digest that was cut off", |site, _| {
        get(site, &format!("/v2/app/blobs/{SHORT}"))
    }),
    differs(
        "blob by no digest",
        |site, _| get(site, "/v2/app/blobs/latest"),
        &[both("400 DIGEST_INVALID", TEACHES)],
    ),
];

fn range(site: &Site, range: &str) -> RawAnswer {
    with(
        site,
        "GET",
        &format!("/v2/blobs/blobs/{}", sha256(BLOB)),
        &[("Range", range)],
    )
}

const UPLOADS: &[Row] = &[
    same("start", |site, _| site.ask("POST", "/v2/up/blobs/uploads/")),
    same("stream", |site, _| {
        patch(site, &site.start_upload("up"), None, b"hello")
    }),
    same("finish with the body", |site, _| {
        let finish = plus(&site.start_upload("up"), &format!("digest={}", sha256(b"whole")));
        site.send(
            &Request::new("PUT", &finish)
                .header("Content-Type", "application/octet-stream")
                .body("whole"),
        )
    }),
    same("finish after a stream", |site, _| {
        let next = location(&patch(site, &site.start_upload("up"), None, b"streamed"));
        site.send(&Request::new(
            "PUT",
            &plus(&next, &format!("digest={}", sha256(b"streamed"))),
        ))
    }),
    same("chunks in order", |site, _| {
        let next = location(&patch(site, &site.start_upload("up"), Some("0-4"), b"hello"));
        patch(site, &next, Some("5-9"), b"world")
    }),
    differs(
        "a chunk that leaves a gap",
        |site, _| {
            let next = location(&patch(site, &site.start_upload("up"), Some("0-4"), b"hello"));
            patch(site, &next, Some("7-11"), b"world")
        },
        &[two("416 RANGE_INVALID", CHUNKS), three("416 RANGE_INVALID", HELD)],
    ),
    differs(
        "a chunk again",
        |site, _| {
            let next = location(&patch(site, &site.start_upload("up"), Some("0-4"), b"hello"));
            patch(site, &next, Some("0-4"), b"hello")
        },
        &[two("416 RANGE_INVALID", CHUNKS), three("416 RANGE_INVALID", HELD)],
    ),
    differs(
        "a chunk with the unit named",
        |site, _| patch(site, &site.start_upload("up"), Some("bytes 0-4/5"), b"hello"),
        &[three("202", "both dialects of Content-Range are in use")],
    ),
    differs(
        "a chunk with the unit and an equals sign",
        |site, _| patch(site, &site.start_upload("up"), Some("bytes=0-4"), b"hello"),
        &[three(
            "202",
            "a range that can be understood is no reason to refuse bytes",
        )],
    ),
    differs(
        "a chunk with its total",
        |site, _| patch(site, &site.start_upload("up"), Some("0-4/5"), b"hello"),
        &[three(
            "202",
            "a range that can be understood is no reason to refuse bytes",
        )],
    ),
    differs(
        "a chunk of no bytes",
        |site, _| patch(site, &site.start_upload("up"), Some("0--1"), b""),
        &[three("202", "it adds nothing, in the right place")],
    ),
    same("finish with another digest", |site, _| {
        let finish = plus(&site.start_upload("up"), &format!("digest={UNKNOWN}"));
        site.send(&Request::new("PUT", &finish).body("something else"))
    }),
    differs(
        "go on after another digest",
        |site, _| {
            let location = site.start_upload("up");
            site.send(
                &Request::new("PUT", &plus(&location, &format!("digest={UNKNOWN}"))).body("something else"),
            );
            get(site, &location)
        },
        &[both(
            "404 BLOB_UPLOAD_UNKNOWN",
            "what nobody will finish must not fill the disk",
        )],
    ),
    same("finish without a digest", |site, _| {
        site.send(&Request::new("PUT", &site.start_upload("up")))
    }),
    differs(
        "ask for an upload that never was",
        |site, _| get(site, "/v2/up/blobs/uploads/00000000-0000-0000-0000-000000000000"),
        &[two("404 BLOB_UPLOAD_UNKNOWN", NO_STATE)],
    ),
    same("status", |site, _| {
        let next = location(&patch(site, &site.start_upload("up"), None, b"hello"));
        get(site, &next)
    }),
    differs(
        "status without the state",
        |site, _| {
            let next = location(&patch(site, &site.start_upload("up"), None, b"hello"));
            get(site, next.split('?').next().unwrap_or(&next))
        },
        &[two("204", NO_STATE)],
    ),
    same("cancel", |site, _| site.ask("DELETE", &site.start_upload("up"))),
    same("status of a cancelled upload", |site, _| {
        let location = site.start_upload("up");
        site.ask("DELETE", &location);
        get(site, &location)
    }),
    same("mount", |site, fixture| {
        site.ask(
            "POST",
            &format!("/v2/mounted/blobs/uploads/?mount={}&from=app", fixture.layer()),
        )
    }),
    same("mount what is not there", |site, _| {
        site.ask(
            "POST",
            &format!("/v2/mounted/blobs/uploads/?mount={UNKNOWN}&from=app"),
        )
    }),
    same("mount from where it is not", |site, fixture| {
        site.ask(
            "POST",
            &format!(
                "/v2/mounted2/blobs/uploads/?mount={}&from=nobody",
                fixture.layer()
            ),
        )
    }),
    differs(
        "mount without from",
        |site, fixture| {
            site.ask(
                "POST",
                &format!("/v2/mounted3/blobs/uploads/?mount={}", fixture.layer()),
            )
        },
        &[both("201", "OCI, end-11: anonymous mount")],
    ),
    differs(
        "everything in the POST",
        |site, _| {
            let target = format!("/v2/up/blobs/uploads/?digest={}", sha256(b"at once"));
            let request = Request::new("POST", &target).header("Content-Type", "application/octet-stream");
            site.send(&request.body("at once"))
        },
        &[both("201", "OCI, end-4b: monolithic POST")],
    ),
];

const DELETES: &[Row] = &[
    same("delete an unknown digest", |site, _| {
        site.ask("DELETE", &format!("/v2/app/manifests/{UNKNOWN}"))
    }),
    same("delete an unknown blob", |site, _| {
        site.ask("DELETE", &format!("/v2/app/blobs/{UNKNOWN}"))
    }),
    differs(
        "delete a tag",
        |site, _| site.ask("DELETE", "/v2/deleting/siblings/manifests/1"),
        &[two("202", TAG_DELETE)],
    ),
    differs(
        "delete an unknown tag",
        |site, _| site.ask("DELETE", "/v2/deleting/siblings/manifests/unknown"),
        &[two("404 MANIFEST_UNKNOWN", TAG_DELETE)],
    ),
    same("the sibling of a deleted tag", |site, _| {
        get(site, "/v2/deleting/siblings/manifests/2")
    }),
    differs(
        "delete the digest of a config as a manifest",
        |site, fixture| {
            let config = fixture.image.root().json();
            let config = config["config"]["digest"].as_str().expect("a config").to_owned();
            site.ask("DELETE", &format!("/v2/deleting/config/manifests/{config}"))
        },
        &[two(
            "404 MANIFEST_UNKNOWN",
            "the blob would be gone and the image broken",
        )],
    ),
    differs(
        "delete the config of a tagged image",
        |site, fixture| {
            let config = fixture.image.root().json();
            let config = config["config"]["digest"].as_str().expect("a config").to_owned();
            site.ask("DELETE", &format!("/v2/deleting/config/blobs/{config}"))
        },
        &[both("409 DENIED", "D4: the image would be broken")],
    ),
    differs(
        "delete a child of a tagged list",
        |site, fixture| {
            let child = &fixture.list.manifests[0].digest;
            site.ask("DELETE", &format!("/v2/deleting/child/manifests/{child}"))
        },
        &[both("409 DENIED", "D4: the list would be broken")],
    ),
    same("delete by digest", |site, fixture| {
        site.ask(
            "DELETE",
            &format!("/v2/deleting/manifests/{}", fixture.image.root().digest),
        )
    }),
    same("the tag of a deleted manifest", |site, _| {
        get(site, "/v2/deleting/manifests/1")
    }),
    same("delete by digest again", |site, fixture| {
        site.ask(
            "DELETE",
            &format!("/v2/deleting/manifests/{}", fixture.image.root().digest),
        )
    }),
    differs(
        "catalogue, a repository without tags",
        |site, _| get(site, "/v2/_catalog"),
        &[both("200", "D5: what is empty is not shown")],
    ),
    same("delete a blob", |site, _| {
        site.ask("DELETE", &format!("/v2/blobs/blobs/{}", sha256(BLOB)))
    }),
    same("a deleted blob", |site, _| {
        get(site, &format!("/v2/blobs/blobs/{}", sha256(BLOB)))
    }),
];
