//! One table of credentials, sent to registry:2 and to wharf over the same password file.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wharf_testkit::peer::REGISTRY_2;
use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::{self, Bench};
use wharf_testkit::{RawAnswer, wire::Request};
use wharf_testkit::{Server, basic};

use crate::scene::{APACHE, WHARF, entry, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[Part::Program(REGISTRY_2), APACHE],
        [
            credentials_are_judged_as_by_registry_2,
            live_edits_are_seen_as_by_registry_2
        ]
    );
}

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The other registry; killed when dropped.
struct Other {
    child: Child,
    authority: String,
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts registry:2 with this password file.
fn registry_2(bench: &Bench, file: &str) -> Other {
    bench.write(
        "two.yml",
        &format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\nstorage: {{inmemory: {{}}, delete: {{enabled: true}}}}\n\
             http: {{addr: 127.0.0.1:0, secret: x}}\nauth: {{htpasswd: {{realm: 'The \"Realm\" é', path: {file}}}}}\n"
        ),
    );
    let log = fs::File::create(bench.path("two.log")).unwrap();
    let child = Command::new(tool::find(REGISTRY_2).unwrap())
        .arg("serve")
        .arg(bench.path("two.yml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut other = Other {
        child,
        authority: String::new(),
    };
    let started = Instant::now();
    while other.authority.is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "registry:2 does not listen: {}",
            bench.read("two.log")
        );
        let mut text = String::new();
        fs::File::open(bench.path("two.log"))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        if let Some((_, rest)) = text.split_once("listening on ") {
            let end = rest.find(|character: char| !matches!(character, '0'..='9' | '.' | ':'));
            other.authority = end.map(|end| rest[..end].to_owned()).unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    other
}

fn wharf(file: &str) -> Server {
    Server::builder(WHARF)
        .inmemory()
        .storage("delete: {enabled: true}")
        .config(format!(
            "auth: {{htpasswd: {{realm: 'The \"Realm\" é', path: {file}}}}}"
        ))
        .start()
}

/// The compared parts of an answer, without the texts of errors.
fn outcome(answer: &RawAnswer) -> String {
    let mut json = answer.json();
    if let Some(errors) = json["errors"].as_array_mut() {
        errors
            .iter_mut()
            .for_each(|error| drop(error.as_object_mut().and_then(|error| error.remove("message"))));
    }
    let headers = [
        "Www-Authenticate",
        "Content-Type",
        "Docker-Distribution-Api-Version",
    ];
    let headers = headers.map(|name| {
        answer
            .headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    });
    format!("{} {headers:?} {json}", answer.status)
}

async fn credentials_are_judged_as_by_registry_2() {
    let bench = Bench::new();
    let long = "a".repeat(72);
    let mut file = String::from("# people\n\n");
    for (name, password) in [
        ("alice", "pw"),
        ("dup", "first"),
        ("dup", "second"),
        ("colon", "a:b:c"),
        ("émile", "pä"),
        ("nopw", ""),
        ("long", &long),
        ("Upper", "Case"),
    ] {
        file.push_str(&entry(name, password));
    }
    file.push_str(&bench.run("htpasswd", &["-mbn", "md5", "pw"]));
    file.push_str("  ");
    file.push_str(&entry("spaced", "pw"));
    file.push_str(&entry("b", "pw").replace("$2y$", "$2b$"));
    file.push_str(&entry("a", "pw").replace("$2y$", "$2a$"));
    file.push_str(&entry("crlf", "pw").replace('\n', "\r\n"));
    bench.write("htpasswd", &file);
    let path = bench.path("htpasswd").display().to_string();
    let (other, server) = (registry_2(&bench, &path), wharf(&path));
    let ours = server.address().to_string();

    let pair = |name: &str, password: &str| Some(basic(name, password));
    let plain = basic("alice", "pw");
    let value = |value: &str| Some(value.to_owned());
    let credentials = [
        None,
        pair("alice", "pw"),
        pair("alice", "no"),
        pair("alice", ""),
        pair("nobody", "pw"),
        pair("dup", "first"),
        pair("dup", "second"),
        pair("colon", "a:b:c"),
        pair("colon", "a"),
        pair("émile", "pä"),
        pair("e\u{301}mile", "pä"),
        pair("nopw", ""),
        pair("nopw", "x"),
        pair("long", &long),
        pair("long", &format!("{long}more")),
        pair("long", &long[1..]),
        pair("Upper", "Case"),
        pair("upper", "Case"),
        pair("Upper", "case"),
        pair("md5", "pw"),
        pair("spaced", "pw"),
        pair("  spaced", "pw"),
        pair("b", "pw"),
        pair("a", "pw"),
        pair("crlf", "pw"),
        pair("# people", ""),
        pair("", ""),
        pair("alice ", "pw"),
        pair("alice", "pw "),
        pair("alice", "pw\0"),
        pair("alice\0", "pw"),
        value(""),
        value("Basic"),
        value("Basic "),
        value("Basic !!!!"),
        value("Bearer xyz"),
        value("Digest x"),
        value("alice:pw"),
        value(&plain.replace("Basic", "basic")),
        value(&plain.replace("Basic ", "Basic  ")),
        value(&plain.replace("Basic ", "Basic")),
        value(plain.trim_end_matches('=')),
        value(&format!("{plain}=")),
        value(&format!("{plain} x")),
        value(&format!("{plain}, {plain}")),
        value("Basic YWxpY2U="),
        value("Basic YWxpY2U6cH="),
        value("Basic YWxpY2U6cHd="),
    ];
    let mut requests = Vec::new();
    for credentials in &credentials {
        requests.push(("GET".to_owned(), "/v2/".to_owned(), credentials.clone()));
    }
    for (method, path) in [
        ("HEAD", "/v2/"),
        ("OPTIONS", "/v2/"),
        ("DELETE", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/a/b/tags/list"),
        ("HEAD", "/v2/a/manifests/x"),
        ("PUT", "/v2/a/manifests/x"),
        ("DELETE", &format!("/v2/a/manifests/{DIGEST}")),
        ("GET", &format!("/v2/a/blobs/{DIGEST}")),
        ("DELETE", &format!("/v2/a/blobs/{DIGEST}")),
        ("POST", "/v2/a/blobs/uploads/"),
        ("POST", &format!("/v2/a/blobs/uploads/?mount={DIGEST}&from=b/c")),
        (
            "PATCH",
            "/v2/a/blobs/uploads/0b7a2c0e-1d52-4a4f-8d6c-7f0b0c3b2a11",
        ),
        (
            "DELETE",
            "/v2/a/blobs/uploads/0b7a2c0e-1d52-4a4f-8d6c-7f0b0c3b2a11",
        ),
        ("OPTIONS", "/v2/a/tags/list"),
        ("PATCH", "/v2/a/tags/list"),
    ] {
        for credentials in [None, pair("alice", "no")] {
            requests.push((method.to_owned(), path.to_owned(), credentials));
        }
    }
    requests.push(("GET".to_owned(), "/v2/_catalog".to_owned(), pair("alice", "pw")));

    let mut problems = Vec::new();
    for (method, path, credentials) in requests {
        let mut request = Request::new(&method, &path);
        if let Some(value) = &credentials {
            request = request.header("Authorization", value);
        }
        let [our, their] =
            [&ours, &other.authority].map(|authority| outcome(&request.send(authority).unwrap()));
        if our != their {
            problems.push(format!(
                "{method} {path} with {credentials:?}:\n  ours   {our}\n  theirs {their}"
            ));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn live_edits_are_seen_as_by_registry_2() {
    let bench = Bench::new();
    let (alice, bob) = (entry("alice", "pw"), entry("bob", "pw"));
    bench.write("htpasswd", &alice);
    let path = bench.path("htpasswd").display().to_string();
    let (other, server) = (registry_2(&bench, &path), wharf(&path));
    let ours = server.address().to_string();
    let mut modified = std::time::SystemTime::now() - Duration::from_secs(100);
    for content in [&alice, &format!("{alice}{bob}"), &bob, "", &alice] {
        bench.write("htpasswd", content);
        // registry:2 does not notice a change that keeps the modification time.
        modified += Duration::from_secs(2);
        fs::File::options()
            .write(true)
            .open(bench.path("htpasswd"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        for name in ["alice", "bob"] {
            let request = Request::new("GET", "/v2/").header("Authorization", &basic(name, "pw"));
            let [our, their] =
                [&ours, &other.authority].map(|authority| request.send(authority).unwrap().status);
            assert_eq!(our, their, "{name} in {content:?}");
            assert_eq!(
                our,
                if content.contains(name) { 200 } else { 401 },
                "{name} in {content:?}"
            );
        }
    }
}
