//! Servers that play a wharf and mean harm: their words do not act on the terminal, and their lists end.

use serde_json::{Value, json};
use wharf_testkit::{digest, internet::Reply, suite::Suite};

use crate::{
    registries::run,
    shelf::{Shelf, State},
};

/// Clears the screen, colours it, turns the direction of the text, and begins a line of its own.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{202e}gnp\r\nwharf: all is well";

const DELETION: &str = "20261129T101500.123-5e1c09ab-e46f";

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("words_of_a_wharf_do_not_act_on_the_terminal", &[], words);
    suite.test("pages_of_a_wharf_without_an_end", &[], endless);
}

/// A wharf that answers each request of its administration API as `chosen` says.
fn wharf(chosen: impl Fn(&str) -> Option<Value> + Send + Sync + 'static) -> Shelf {
    Shelf::start(move |_: &mut State, call| {
        let (before, operation) = call.split_once("/api/v1/")?;
        let operation = operation.split('?').next().unwrap_or_default();
        let body = match operation {
            "whoami" => json!({"via": "operator", "admin": true}),
            operation => chosen(&format!("{before}{operation}"))?,
        };
        Some(Reply::new(200, body.to_string()).header("Content-Type", "application/json"))
    })
}

fn deleted() -> Value {
    json!({"id": EVIL, "time": EVIL, "expires": EVIL, "actor": EVIL, "surface": EVIL, "kind": EVIL, "repository": EVIL,
           "tags": 1, "manifests": 1, "layers": 1})
}

fn plan() -> Value {
    let bytes =
        json!({"free": 1, "blobs": 1, "shared": 1, "shared_with": [EVIL], "in_trash": 1, "uncertain": EVIL});
    json!({
        "id": EVIL, "repository": EVIL, "kind": EVIL, "tags": [{"tag": EVIL, "digest": EVIL}], "tags_total": 1,
        "manifests": [{"digest": EVIL, "role": EVIL, "tags": [EVIL]}], "manifests_total": 1, "layers": 0,
        "history": [], "history_total": 0, "earlier": [EVIL], "earlier_total": 1,
        "stays": [{"tag": EVIL, "why": EVIL}], "more_stays": 0, "bytes": bytes, "retention": 0, "refused": EVIL,
        "verdicts": [{"tag": EVIL, "digest": EVIL, "kind": EVIL, "pushed": EVIL, "goes": true, "why": EVIL}],
        "verdicts_total": 1
    })
}

fn answer(operation: &str) -> Option<Value> {
    let space = json!({"blobs": 1, "bytes": 1});
    let link = json!({"digest": EVIL, "since": EVIL});
    Some(match operation {
        "GET trash" => json!({"deletions": [deleted()], "damaged": [{"id": EVIL, "problem": EVIL}]}),
        "GET trash/record" => json!({
            "deletion": deleted(), "manifests": [link], "layers": [link],
            "tags": [{"tag": EVIL, "digest": EVIL, "since": EVIL, "history": 0}]
        }),
        "POST trash/restore" => json!({
            "repository": EVIL, "tags": [EVIL], "tags_total": 1, "manifests": 1, "layers": 1, "lost": [EVIL],
            "left_alone": [{"tag": EVIL, "deleted": EVIL, "current": EVIL}]
        }),
        "GET why" => json!({
            "digest": EVIL, "size": 1, "young": false,
            "kept": [{"repository": EVIL, "by": "tag", "name": EVIL, "path": [EVIL, "x"]},
                     {"repository": EVIL, "by": "unreadable", "name": EVIL, "path": []}]
        }),
        "GET tags/history" => json!({
            "repository": EVIL, "tag": EVIL, "total": 2,
            "entries": [{"digest": EVIL, "since": EVIL, "current": true, "available": true}]
        }),
        "POST tags/restore" => json!({"repository": EVIL, "tag": EVIL, "digest": EVIL}),
        "POST collections" => json!({"server": EVIL, "number": 1}),
        "GET collections" => json!({"server": EVIL, "last": {
            "number": 1, "started": EVIL, "ended": EVIL, "repositories": 1, "needed": 1, "removed": space,
            "waiting": space, "expired": 0, "given_up": 1, "deletions": 1, "findings": [EVIL]
        }}),
        "POST plans" => plan(),
        "POST plans/apply" => json!({
            "repository": EVIL, "deletion": EVIL, "expires": EVIL, "tags": [EVIL], "tags_total": 1,
            "manifests": [EVIL], "manifests_total": 1, "layers": 0, "earlier": 1, "stayed": [{"tag": EVIL, "why": EVIL}]
        }),
        "POST retention/plans" => json!({
            "plans": [plan()], "bytes": plan()["bytes"], "unread": [{"repository": EVIL, "problem": EVIL}]
        }),
        _ => return None,
    })
}

fn words() {
    let shelf = wharf(answer);
    let (image, past) = (
        shelf.at("app:1"),
        shelf.at(&format!("app:1@{}", digest::unknown(1))),
    );
    let (digest, url) = (digest::unknown(2), shelf.url());
    for words in [
        &["trash", "ls", "--server", &url][..],
        &["trash", "show", DELETION, "--server", &url],
        &["trash", "restore", DELETION, "--server", &url],
        &["why", &digest, "--server", &url],
        &["tag", "history", &image],
        &["tag", "restore", &past],
        &["gc", "--server", &url],
        &["tag", "rm", "--dry-run", &image],
        &["tag", "rm", "--yes", "--now", &image],
        &["prune", "--all", "--keep", "1", "--server", &url],
    ] {
        let said = run(words);
        let text = said.out.clone() + &said.err;
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(acts), "{words:?}: {said:?}");
        assert!(
            text.lines().all(|line| !line.starts_with("wharf: all is well")),
            "{words:?}: {said:?}"
        );
        assert!(said.out.contains("\\u{1b}[2J"), "{words:?}: {said:?}");
    }
}

fn endless() {
    let shelf = wharf(|operation| {
        let next = "again";
        Some(match operation {
            "GET trash" => json!({"deletions": [], "damaged": [], "next": next}),
            "GET activity" => json!({"entries": [], "unreadable": 0, "next": next}),
            "POST retention/plans" => {
                let bytes = plan()["bytes"].clone();
                json!({"plans": [], "bytes": bytes, "unread": [], "next": next})
            }
            _ => return None,
        })
    });
    for words in [
        &["trash", "ls"][..],
        &["activity", "-n", "0"],
        &["prune", "--all", "--keep", "1"],
    ] {
        let said = run(&[words, &["--server", &shelf.url()]].concat()).bad();
        assert!(said.contains("does not end"), "{words:?}: {said}");
    }
}
