//! What `wharf sync` does when a registry tells one thing and then another: it deletes nothing that it is not sure of.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::runtime::Runtime;
use wharf_testkit::{
    Content, image,
    internet::{Asked, Internet, Reply},
    suite::Suite,
};

use crate::{
    mirrored::{actions, sync},
    scene::{ENGINES, assert_holds, host, registry},
};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "a_tag_that_the_source_has_stays_whatever_its_list_says",
        &[],
        cut_list,
    );
    suite.test(
        "a_tag_that_is_new_at_the_destination_keeps_its_image",
        &[],
        changed_meanwhile,
    );
    suite.test(
        "a_repository_that_only_a_pusher_may_ask_for_is_mirrored_to",
        &[],
        asked_by_pushers,
    );
}

/// A registry that answers as `answer` says, to a method and a path.
struct Played {
    internet: Internet,
    _runtime: Runtime,
}

impl Played {
    fn start(answer: impl Fn(&Asked, &str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let internet = runtime.block_on(Internet::start(&[], move |asked| {
            let method = asked.head.split(' ').next().unwrap_or_default();
            let path = asked.url.splitn(4, '/').nth(3).unwrap_or_default();
            match path {
                "v2/" => Reply::new(200, "{}"),
                path => answer(asked, method, path),
            }
        }));
        Self {
            internet,
            _runtime: runtime,
        }
    }

    fn host(&self) -> String {
        self.internet.local()
    }

    /// How many requests had this method.
    fn count(&self, method: &str) -> usize {
        let asked = self.internet.asked();
        asked
            .iter()
            .filter(|asked| asked.head.starts_with(method))
            .count()
    }
}

fn tags(tags: &[&str]) -> Reply {
    Reply::new(200, json!({ "tags": tags }).to_string()).header("Content-Type", "application/json")
}

/// An answer about the manifest of an image; `HEAD` leaves out its body.
fn manifest(method: &str, content: &Content) -> Reply {
    let root = content.root();
    let body = match method {
        "HEAD" => String::new(),
        _ => String::from_utf8(root.bytes.to_vec()).unwrap(),
    };
    Reply::new(200, body)
        .header("Content-Type", &root.media_type)
        .header("Docker-Content-Digest", &root.digest)
}

fn cut_list() {
    for engine in ENGINES {
        let to = registry(engine);
        let to = host(&to);
        let [old, new] = ["old", "new"].map(|seed| Content::of(image::oci(seed)));
        let gone = Content::of(image::oci("gone"));
        for (tag, content) in [("0.9", &old), ("1.0", &new), ("0.8", &gone)] {
            content.push(&to, "app", tag);
        }
        let (kept, listed) = (old.clone(), new.clone());
        let from = Played::start(move |_, method, path| match path {
            "v2/app/manifests/0.9" => manifest(method, &kept),
            "v2/app/manifests/1.0" => manifest(method, &listed),
            path if path.starts_with("v2/app/tags/list") => tags(&["1.0"]),
            _ => Reply::new(404, ""),
        });
        let list = format!(
            "sync:\n- {{from: '{}/app', to: '{to}', referrers: false}}\n",
            from.host()
        );
        let (said, rows) = sync(&list, &["--apply", "--delete"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_eq!(
            actions(&rows),
            [("0.8", "delete"), ("0.9", "refused"), ("1.0", "equal")]
        );
        assert!(
            said.out.contains("although its list of tags did not name it"),
            "{said:?}"
        );
        assert_holds(&to, "app", "0.9", &old);
    }
}

fn changed_meanwhile() {
    let [old, new] = ["old", "new"].map(|seed| Content::of(image::oci(seed)));
    let lists = AtomicUsize::new(0);
    let played = Played::start(move |_, method, path| {
        let is = |content: &Content| path.ends_with(&format!("/manifests/{}", content.root().digest));
        match path {
            path if method == "DELETE" && !is(&new) => Reply::new(202, path),
            path if path.starts_with("v2/source/tags/list") => tags(&["1.0"]),
            path if path.starts_with("v2/mirror/tags/list") => match lists.fetch_add(1, Ordering::SeqCst) {
                0 => tags(&["0.9", "1.0"]),
                _ => tags(&["0.9", "1.0", "stable"]),
            },
            "v2/source/manifests/1.0" | "v2/mirror/manifests/1.0" => manifest(method, &new),
            "v2/mirror/manifests/0.9" | "v2/mirror/manifests/stable" => manifest(method, &old),
            _ if is(&new) => manifest(method, &new),
            _ if is(&old) => manifest(method, &old),
            _ => Reply::new(404, ""),
        }
    });
    let at = played.host();
    let list =
        format!("sync:\n- {{from: '{at}/source', to: '{at}/mirror', semver: '>=0.1', referrers: false}}\n");
    let (said, rows) = sync(&list, &["--apply", "--delete"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(actions(&rows), [("0.9", "refused"), ("1.0", "equal")]);
    assert!(said.out.contains("`stable`, which is new there"), "{said:?}");
    assert_eq!(played.count("DELETE"), 0);
    // Now it is known, and nothing changes any more.
    let (said, rows) = sync(&list, &["--apply", "--delete"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(actions(&rows), [("0.9", "refused"), ("1.0", "equal")]);
    assert!(said.out.contains("`stable` needs the same one"), "{said:?}");
}

/// As at Docker Hub: a client that may only pull is not told that there is no such repository yet.
fn asked_by_pushers() {
    let content = Arc::new(Content::of(image::oci("new")));
    let source = Arc::clone(&content);
    let played = Played::start(move |asked, method, path| {
        let server: String = asked.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        if path.starts_with("token") {
            let token = if path.contains("push") { "pusher" } else { "puller" };
            return Reply::new(200, json!({ "token": token }).to_string());
        }
        match (path, asked.header("authorization")) {
            (path, _) if path.starts_with("v2/source/tags/list") => tags(&["1.0"]),
            ("v2/source/manifests/1.0", _) => manifest(method, &source),
            (path, Some("Bearer pusher")) if path.starts_with("v2/new/") => Reply::new(404, ""),
            (path, _) if path.starts_with("v2/new/") => Reply::new(401, "").header(
                "WWW-Authenticate",
                &format!(r#"Bearer realm="{server}/token",service="played""#),
            ),
            _ => Reply::new(404, ""),
        }
    });
    let at = played.host();
    let list = format!("sync:\n- {{from: '{at}/source', to: '{at}/new', referrers: false}}\n");
    let (said, rows) = sync(&list, &["--delete"]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(10), vec![("1.0", "copy")]),
        "{said:?}"
    );
}
