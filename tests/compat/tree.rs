//! A tree with a history: pushed, overwritten, deleted from, left unfinished; and all that can be read of it.

use std::collections::BTreeMap;

use wharf_testkit::{Content, image};
use wharf_testkit::{RawAnswer, wire::Request};

use crate::site::{ACCEPT, Site};

/// The pushed content by repository, including deleted content.
pub(crate) struct History {
    pushed: Vec<(&'static str, &'static str, Content)>,
}

/// Headers that describe the content; other headers (dates, the connection) may differ.
const HEADERS: &[&str] = &[
    "Content-Type",
    "Content-Length",
    "Docker-Content-Digest",
    "Docker-Distribution-Api-Version",
    "Etag",
    "Accept-Ranges",
    "Content-Range",
    "Cache-Control",
];

impl History {
    /// Writes the history through `site`, whichever registry that is.
    pub(crate) fn write(site: &Site) -> History {
        let image = Content::of(image::docker("plain"));
        let signature = Content::of(image::artifact(
            "signature",
            "application/vnd.example.signature",
            image.root(),
        ));
        let history = History {
            pushed: vec![
                ("plain", "1", image.clone()),
                ("plain", "latest", image.clone()),
                ("plain", "signature", signature),
                ("shared/with-plain", "1", image),
                ("kyo/my-image", "1.0", Content::of(image::docker_list("list"))),
                (
                    "education/engineer1-6.2.2",
                    "latest",
                    Content::of(image::oci("oci")),
                ),
                ("a/b/c/d/e", "index", Content::of(image::oci_index("index"))),
                ("a", "1", Content::of(image::docker("a"))),
                ("a/b", "1", Content::of(image::zstd("zstd"))),
                ("overwritten", "moving", Content::of(image::docker("first"))),
                ("overwritten", "moving", Content::of(image::docker("second"))),
                ("overwritten", "moving", Content::of(image::docker("third"))),
                ("deleted/manifest", "goes", Content::of(image::docker("goes"))),
                ("deleted/manifest", "goes-too", Content::of(image::docker("goes"))),
                ("deleted/manifest", "stays", Content::of(image::docker("stays"))),
                (
                    "deleted/blob",
                    "broken",
                    Content::of(image::docker("a layer goes")),
                ),
                ("emptied", "only", Content::of(image::docker("only"))),
                ("unfinished", "1", Content::of(image::docker("unfinished"))),
            ],
        };
        for (name, tag, content) in &history.pushed {
            content.push(site.authority(), name, tag);
        }
        // An overwritten manifest that goes leaves its entry in the tag's history behind.
        site.delete(&format!(
            "/v2/overwritten/manifests/{}",
            history.digest("overwritten", 0)
        ));
        site.delete(&format!(
            "/v2/deleted/manifest/manifests/{}",
            history.digest("deleted/manifest", 0)
        ));
        site.delete(&format!("/v2/emptied/manifests/{}", history.digest("emptied", 0)));
        let layer = history.of("deleted/blob")[0]
            .blobs
            .keys()
            .next()
            .expect("an image has blobs");
        // Without `force` wharf keeps a layer that a tag needs (decision D4); the others ignore it.
        site.delete(&format!("/v2/deleted/blob/blobs/{layer}?force=true"));
        site.start_upload("unfinished");
        let location = site.start_upload("unfinished");
        let half = Request::new("PATCH", &location)
            .header("Content-Type", "application/octet-stream")
            .body("half");
        assert_eq!(site.send(&half).status, 202, "half an upload");
        history
    }

    /// Every repository that was ever pushed to, sorted.
    pub(crate) fn repositories(&self) -> Vec<&'static str> {
        let mut names = self.pushed.iter().map(|(name, _, _)| *name).collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn of(&self, name: &str) -> Vec<&Content> {
        self.pushed
            .iter()
            .filter(|(pushed, _, _)| *pushed == name)
            .map(|(_, _, content)| content)
            .collect()
    }

    fn digest(&self, name: &str, nth: usize) -> &str {
        &self.of(name)[nth].root().digest
    }

    /// Everything that can be read, as it is answered now.
    pub(crate) fn read(&self, site: &Site) -> Reading {
        let mut reading = Reading::default();
        reading.ask(site, "GET", "/v2/", &[]);
        reading.ask(site, "GET", "/v2/_catalog", &[]);
        for name in self.repositories() {
            reading.ask(site, "GET", &format!("/v2/{name}/tags/list"), &[]);
        }
        for (name, tag, content) in &self.pushed {
            reading.manifest(site, name, tag);
            for manifest in &content.manifests {
                reading.manifest(site, name, &manifest.digest);
            }
            for digest in content.blobs.keys() {
                reading.blob(site, name, digest);
            }
        }
        reading
    }
}

/// Requests and their answers, in a form that two registries can be compared in.
#[derive(Default)]
pub(crate) struct Reading {
    answers: BTreeMap<String, String>,
}

impl Reading {
    /// Checks that `self`, read from `who`, equals `theirs`.
    pub(crate) fn assert_equals(&self, theirs: &Reading, who: &str) {
        let differing = theirs.answers.iter().filter_map(|(request, expected)| {
            let found = &self.answers[request];
            (found != expected).then(|| format!("{request}\n    expected {expected}\n    {who}: {found}"))
        });
        let differing = differing.collect::<Vec<_>>();
        assert!(
            differing.is_empty(),
            "{} answers differ:\n{}",
            differing.len(),
            differing.join("\n")
        );
    }

    /// As [`Reading::assert_equals`], for the requests whose path starts with `prefix`.
    pub(crate) fn assert_equals_below(&self, theirs: &Reading, prefix: &str) {
        let below = |reading: &Reading| {
            let kept = reading
                .answers
                .iter()
                .filter(|(request, _)| request.contains(&format!(" {prefix}")));
            Reading {
                answers: kept
                    .map(|(request, answer)| (request.clone(), answer.clone()))
                    .collect(),
            }
        };
        below(self).assert_equals(&below(theirs), "after");
    }

    /// How many of the answers had this status.
    pub(crate) fn count(&self, status: u16) -> usize {
        self.answers
            .values()
            .filter(|answer| answer.starts_with(&status.to_string()))
            .count()
    }

    fn manifest(&mut self, site: &Site, name: &str, reference: &str) {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.ask(site, "GET", &path, &[]);
        self.ask(site, "HEAD", &path, &[]);
    }

    fn blob(&mut self, site: &Site, name: &str, digest: &str) {
        let path = format!("/v2/{name}/blobs/{digest}");
        self.ask(site, "GET", &path, &[]);
        self.ask(site, "HEAD", &path, &[]);
        self.ask(site, "GET", &path, &[("Range", "bytes=0-1")]);
        self.ask(site, "GET", &path, &[("If-None-Match", &format!("\"{digest}\""))]);
    }

    fn ask(&mut self, site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut request = Request::new(method, path).header("Accept", ACCEPT);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = site.send(&request);
        self.answers
            .insert(format!("{method} {path} {headers:?}"), describe(path, &answer));
    }
}

/// An answer as text. Errors are compared by status and code: wharf words its own texts.
fn describe(path: &str, answer: &RawAnswer) -> String {
    if answer.status >= 400 {
        return format!("{} {}", answer.status, answer.error_codes());
    }
    let body = if path.ends_with("/tags/list") || path.ends_with("/_catalog") {
        sorted_names(&answer.json())
    } else {
        answer.text()
    };
    let listing = path.ends_with("/tags/list") || path.ends_with("/_catalog");
    let headers = HEADERS.iter().filter_map(|name| {
        // The length of a list follows from its order and its `null`.
        let value = answer
            .header(name)
            .filter(|_| !(listing && *name == "Content-Length"))?;
        // 2.8 adds `; charset=utf-8` to its JSON, 3 does not.
        Some(format!("{name}: {}", value.split(';').next().unwrap_or(value)))
    });
    format!(
        "{} {{{}}} {body}",
        answer.status,
        headers.collect::<Vec<_>>().join(", ")
    )
}

/// The names of a list, sorted: 2.8 answers tags in any order, and `null` for none.
fn sorted_names(list: &serde_json::Value) -> String {
    let names = list["tags"].as_array().or(list["repositories"].as_array());
    let names = names
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(serde_json::Value::as_str);
    // Decision D5: repositories without tags are not in wharf's catalogue. `emptied` is the only one.
    let mut names = names.filter(|name| *name != "emptied").collect::<Vec<_>>();
    names.sort_unstable();
    names.join(",")
}
