//! Registries that are busy, stop half-way, or change meanwhile: nothing goes that was not shown, and what went is said.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use wharf_testkit::{
    image::{self, Manifest, OCI_INDEX, OCI_MANIFEST},
    internet::Reply,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{
    registries::run,
    scene::{Said, command, path},
    shelf::{Shelf, State},
};

pub(crate) fn add_to(suite: &mut Suite) {
    for (name, test) in [
        ("a_wharf_that_is_busy_is_no_other_registry", busy as fn()),
        (
            "a_wharf_without_users_is_asked_by_the_standard_api",
            without_users,
        ),
        ("a_tag_that_moves_before_its_deletion_stays", moves),
        ("a_deletion_that_is_answered_with_404_is_none", not_deleted),
        ("what_went_before_a_failure_is_said", half_way),
        ("tags_and_indexes_go_before_what_they_need", order),
        ("what_is_not_there_is_not_deleted_by_its_digest", missing_digest),
        ("what_is_at_the_tag_of_referrers_stays", foreign_list),
        ("a_lost_entry_of_referrers_is_written_again", lost_entry),
        ("a_list_that_breaks_off_is_an_error", part_of_a_list),
        ("a_registry_that_refuses_everything_is_not_well", refuses_all),
        ("a_request_that_is_under_way_is_waited_for", under_way),
    ] {
        suite.test(name, &[], test);
    }
    suite.test(
        "what_changes_while_the_question_stands_is_not_deleted",
        &[Part::Program("script")],
        while_asked,
    );
}

fn manifest(seed: &str) -> Manifest {
    image::oci(seed).manifest
}

fn index_of(children: &[&Manifest], more: &Value) -> Manifest {
    let children: Vec<Value> = children.iter().map(|child| child.descriptor()).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
    Manifest::new(OCI_INDEX, &index).with(more)
}

fn at_once(status: u16, body: &str) -> Reply {
    Reply::new(status, body).header("Retry-After", "0")
}

fn problem(kind: &str, status: u16, detail: &str) -> String {
    let kind = format!("urn:wharf:problem:{kind}");
    json!({"type": kind, "title": "t", "status": status, "detail": detail}).to_string()
}

/// A failure with one reason, which follows what the command says about pauses.
fn failed(said: &Said) -> &str {
    assert_eq!(said.code, Some(1), "{said:?}");
    said.err.lines().last().unwrap()
}

fn busy() {
    for (status, body) in [
        (429, "{}".to_owned()),
        (503, "oops".to_owned()),
        (500, problem("internal", 500, "the store does not answer")),
    ] {
        let shelf = Shelf::start(move |_, call| {
            call.starts_with("GET /api/v1/").then(|| match status {
                500 => Reply::new(status, body.clone()),
                _ => at_once(status, &body),
            })
        });
        shelf.with(|state| state.push(&manifest("busy"), "1"));
        let said = run(&["tag", "rm", "--yes", "--force", &shelf.at("app:1")]);
        assert!(failed(&said).contains("cannot find out whether"), "{said:?}");
        assert_eq!(shelf.calls("DELETE"), [""; 0], "{status}");
        let said = run(&["status", &shelf.url()]);
        failed(&said);
        assert!(!said.out.contains("all is well"), "{said:?}");
        if status == 500 {
            assert!(said.err.contains("the store does not answer"), "{said:?}");
        }
    }
    // What has no such API may also say so.
    let strange = Shelf::start(|_, call| call.starts_with("GET /api/v1/").then(|| Reply::new(501, "{}")));
    strange.with(|state| state.push(&manifest("strange"), "1"));
    run(&["tag", "rm", "--yes", &strange.at("app:1")]).good();
}

fn without_users() {
    for kind in ["not-this-machine", "foreign-host"] {
        let shelf = Shelf::start(move |_, call| {
            let refused = || Reply::new(403, problem(kind, 403, "users do not log in here"));
            call.starts_with("GET /api/v1/").then(refused)
        });
        shelf.with(|state| state.push(&manifest("open"), "1"));
        let said = run(&["tag", "rm", "--yes", &shelf.at("app:1")]).good();
        assert!(said.contains("users do not log in here"), "{said}");
        assert!(!said.contains("has no trash"), "{said}");
        assert!(shelf.with(|state| state.manifest("1").is_none()));
        let said = run(&["status", &shelf.url()]).good();
        assert!(said.contains("users do not log in here"), "{said}");
        // What only a wharf can do is refused with the same reason.
        let said = run(&["trash", "ls", "--server", &shelf.url()]).bad();
        assert!(said.contains("users do not log in here"), "{said}");
    }
}

fn moves() {
    let shelf = Shelf::start(|state, call| {
        if call == "HEAD /v2/app/manifests/1" && state.count(call) == 2 {
            state.push(&manifest("new"), "1");
        }
        None
    });
    shelf.with(|state| {
        state.deletes_tags = true;
        state.push(&manifest("old"), "1");
    });
    let said = run(&["tag", "rm", "--yes", &shelf.at("app:1")]).bad();
    assert!(
        said.contains("`app:1` was pushed meanwhile, so it stays"),
        "{said}"
    );
    assert!(said.contains("nothing was deleted"), "{said}");
    shelf.with(|state| assert_eq!(state.manifest("1"), Some(&manifest("new"))));
}

/// Runs wharf on a terminal, on which `keys` are typed.
fn on_terminal(words: &str, keys: &str) -> Output {
    let wharf = command(&[]);
    let line = format!("'{}' {words}", wharf.get_program().display());
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("DOCKER_CONFIG", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It stays open: the end of it would be typed as well.
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(keys.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    output
}

fn while_asked() {
    let another_tag = |state: &mut State, call: &str| {
        if call.starts_with("GET /v2/app/tags/list") && state.count("GET /v2/app/tags/list") == 2 {
            state.push(&manifest("same"), "stable");
        }
        None
    };
    let pushed_anew = |state: &mut State, call: &str| {
        if call == "HEAD /v2/app/manifests/1" && state.count(call) == 2 {
            state.push(&manifest("new"), "1");
        }
        None
    };
    for (shelf, deletes_tags) in [
        (Shelf::start(another_tag), false),
        (Shelf::start(pushed_anew), true),
    ] {
        shelf.with(|state| {
            state.deletes_tags = deletes_tags;
            state.push(&manifest("same"), "1");
        });
        let output = on_terminal(&format!("tag rm {}", shelf.at("app:1")), "y\n");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(
            shown.contains("the repository has changed since this was shown"),
            "{shown}"
        );
        assert!(shelf.with(|state| state.manifest("1").is_some()), "{shown}");
    }
    let shelf = Shelf::good();
    shelf.with(|state| state.push(&manifest("same"), "1"));
    let output = on_terminal(&format!("tag rm {}", shelf.at("app:1")), "y\n");
    assert!(output.status.success(), "{output:?}");
    assert!(shelf.with(|state| state.manifest("1").is_none()));
}

fn not_deleted() {
    for deletes_tags in [true, false] {
        // Without such a deletion, it answers so to all of them.
        let shelf = Shelf::start(|_, call| call.starts_with("DELETE ").then(|| Reply::new(404, "{}")));
        shelf.with(|state| {
            state.deletes_tags = deletes_tags;
            state.push(&manifest("stays"), "1");
        });
        for words in [
            &["tag", "rm", "--yes", &shelf.at("app:1")][..],
            &["repo", "rm", "--yes", &shelf.at("app")],
            &["tag", "mv", &shelf.at("app:1"), "2"],
        ] {
            let said = run(words).bad();
            assert!(said.contains("does not delete") && said.contains("404"), "{said}");
        }
        assert!(shelf.with(|state| state.manifest("1").is_some()));
    }
}

fn half_way() {
    let refuses_b =
        |_: &mut State, call: &str| (call == "DELETE /v2/app/manifests/b").then(|| Reply::new(403, "{}"));
    let shelf = || {
        let shelf = Shelf::start(refuses_b);
        shelf.with(|state| {
            state.deletes_tags = true;
            for tag in ["a", "b", "c"] {
                state.push(&manifest(tag), tag);
            }
        });
        shelf
    };
    let remove = |shelf: &Shelf, form: &str| {
        let names = ["a", "b", "c"].map(|tag| shelf.at(&format!("app:{tag}")));
        let said = run(&["tag", "rm", "--yes", "-o", form, &names[0], &names[1], &names[2]]);
        assert!(
            failed(&said).contains("1 of 3 tags and manifests are gone: "),
            "{said:?}"
        );
        said.out
    };
    let told: Value = serde_json::from_str(&remove(&shelf(), "json")).unwrap();
    assert_eq!(
        told,
        json!([{"repository": "app", "tags": ["a"], "manifests": [], "problems": []}])
    );
    assert_eq!(remove(&shelf(), "name"), "app:a\n");
    let told = remove(&shelf(), "table");
    assert!(
        told.ends_with("deleted from app: 1 tag(s), 0 manifest(s)\n"),
        "{told}"
    );
}

/// Google's registries: what has a tag, or is in an index, is not deleted.
fn in_use(state: &mut State, call: &str) -> Option<Reply> {
    let digest = call
        .strip_prefix("DELETE /v2/app/manifests/")
        .filter(|reference| reference.starts_with("sha256:"))?;
    state.manifest(digest)?;
    let is_needed = |name: &str| {
        let manifest = state.manifest(name).unwrap();
        manifest.digest != digest && String::from_utf8_lossy(&manifest.bytes).contains(digest)
    };
    let is_in_use = state.is_tagged(digest) || state.names().iter().any(|name| is_needed(name));
    is_in_use.then(|| Reply::new(400, r#"{"errors":[{"code":"GOOGLE_MANIFEST_DANGLING_TAG"}]}"#))
}

fn order() {
    let children = [manifest("one"), manifest("two")];
    let index = index_of(&[&children[0], &children[1]], &json!({}));
    let outer = index_of(&[&index, &children[1]], &json!({}));
    let filled = || {
        let shelf = Shelf::start(in_use);
        shelf.with(|state| {
            state.deletes_tags = true;
            state.push(&children[0], "a");
            state.push(&children[1], "");
            state.push(&index, "b");
            state.push(&outer, "z");
        });
        shelf
    };
    let shelf = filled();
    let told = run(&["repo", "rm", "--yes", "--json", &shelf.at("app")]).good();
    let told: Value = serde_json::from_str(&told).unwrap();
    let place = |digest: &str| {
        let manifests = told[0]["manifests"].as_array().unwrap();
        manifests
            .iter()
            .position(|known| *known == json!(digest))
            .unwrap()
    };
    assert_eq!((place(&outer.digest), place(&index.digest)), (0, 1), "{told}");
    assert_eq!(told[0]["tags"], json!(["a", "b", "z"]));
    assert!(shelf.with(|state| state.names().is_empty()));

    let shelf = filled();
    let names = [&index, &outer].map(|manifest| shelf.at(&format!("app@{}", manifest.digest)));
    let said = run(&["tag", "rm", "--yes", &names[0], &names[1]]).bad();
    assert!(said.contains("of `app` would go as well with sha256:"), "{said}");
    assert!(!said.contains("only deletes by digest"), "{said}");
    run(&["tag", "rm", "--yes", "--force", &names[0], &names[1]]).good();
    shelf.with(|state| {
        assert!(state.manifest("b").is_none() && state.manifest(&outer.digest).is_none());
        assert!(state.manifest("a").is_some());
    });
}

fn missing_digest() {
    let shelf = Shelf::good();
    shelf.with(|state| state.push(&manifest("there"), "1"));
    let name = shelf.at(&format!("app@{}", manifest("elsewhere").digest));
    run(&["tag", "rm", "--yes", &name]).bad();
    assert_eq!(shelf.calls("DELETE"), [""; 0]);
}

/// Attaches a file to `app:1`.
fn attach(shelf: &Shelf) -> Said {
    let bench = Bench::new();
    bench.write("notes", "to be read\n");
    run(&["attach", &shelf.at("app:1"), &path(&bench, "notes"), "--json"])
}

fn foreign_list() {
    let subject = manifest("subject");
    let tag = subject.fallback_tag();
    let filled = |list: &Manifest| {
        let shelf = Shelf::good();
        shelf.with(|state| {
            state.push(&subject, "1");
            state.push(list, &tag);
        });
        shelf
    };
    for foreign in [
        manifest("of another client"),
        Manifest::from_bytes(OCI_INDEX, "no JSON"),
        Manifest::from_bytes(OCI_MANIFEST, r#"{"manifests":[]}"#),
    ] {
        let shelf = filled(&foreign);
        let said = attach(&shelf);
        let reason = failed(&said);
        assert!(
            reason.contains(&tag) && reason.contains("something else is at that tag"),
            "{reason}"
        );
        shelf.with(|state| assert_eq!(state.manifest(&tag), Some(&foreign)));
    }

    let other = manifest("other referrer");
    let mut list = index_of(&[&other], &json!({"annotations": {"kept": "yes"}, "unheard": 1})).json();
    list["manifests"][0]["unheard"] = json!({"of": [2]});
    let shelf = filled(&Manifest::new(OCI_INDEX, &list));
    let attached: Value = serde_json::from_str(&attach(&shelf).good()).unwrap();
    let mut now = shelf.with(|state| state.manifest(&tag).unwrap().json());
    let added = now["manifests"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(added["digest"], attached["digest"]);
    assert_eq!(now, list);
}

fn lost_entry() {
    let subject = manifest("subject");
    let tag = subject.fallback_tag();
    let put = format!("PUT /v2/app/manifests/{tag}");
    let losing = |times: usize| {
        let put = put.clone();
        // Another client has read the list before, and writes it afterwards.
        let shelf = Shelf::start(move |state, call| {
            (call == put && state.count(&put) <= times).then(|| Reply::new(201, ""))
        });
        shelf.with(|state| state.push(&subject, "1"));
        shelf
    };
    let shelf = losing(2);
    let attached: Value = serde_json::from_str(&attach(&shelf).good()).unwrap();
    shelf.with(|state| {
        let list = state.manifest(&tag).unwrap().json();
        assert_eq!(list["manifests"][0]["digest"], attached["digest"]);
    });
    let said = attach(&losing(usize::MAX));
    assert!(failed(&said).contains("does not stay"), "{said:?}");
}

fn part_of_a_list() {
    let names: Vec<String> = (0..1000).map(|number| format!("t{number:04}")).collect();
    let page = json!({"name": "app", "tags": names}).to_string();
    for (status, is_whole) in [(404, true), (503, false), (429, false), (403, false)] {
        let page = page.clone();
        let shelf = Shelf::start(move |_, call| {
            let is_next = call.contains("last=");
            let answer = || {
                if is_next {
                    at_once(status, "{}")
                } else {
                    Reply::new(200, page.clone())
                }
            };
            call.starts_with("GET /v2/app/tags/list").then(answer)
        });
        let said = run(&["tag", "ls", &shelf.at("app")]);
        match is_whole {
            true => assert_eq!(said.good().lines().count(), 1000),
            false => assert!(failed(&said).contains(&status.to_string()), "{said:?}"),
        }
    }
}

fn refuses_all() {
    let shelf = Shelf::start(|_, _| Some(Reply::new(403, "{}")));
    let said = run(&["status", &shelf.url()]);
    assert!(failed(&said).contains("403"), "{said:?}");
    assert!(!said.out.contains("all is well"), "{said:?}");
    let failing = Shelf::start(|_, call| call.contains("/referrers/").then(|| at_once(503, "{}")));
    failing.with(|state| state.push(&manifest("m"), "1"));
    let said = run(&["status", &failing.url()]);
    assert!(failed(&said).contains("503"), "{said:?}");
}

fn under_way() {
    let whoami = r#"{"via":"operator","admin":true}"#;
    let answered = move |first: Reply, times: usize| {
        Shelf::start(move |state, call| match call.split_once("/api/v1/")?.1 {
            "whoami" => Some(Reply::new(200, whoami)),
            rest if rest.starts_with("trash/empty") => {
                Some(match state.count("POST /api/v1/trash/empty") <= times {
                    true => first.clone(),
                    false => Reply::new(200, r#"{"removed":7}"#),
                })
            }
            _ => None,
        })
    };
    let empty = |shelf: &Shelf| run(&["trash", "empty", "--yes", "--server", &shelf.url()]);
    let shelf = answered(at_once(409, &problem("key-in-use", 409, "still being done")), 3);
    let said = empty(&shelf).good();
    assert!(said.contains("gave up 7 deletion(s)"), "{said}");
    let shelf = answered(
        at_once(503, &problem("storage", 503, "the store is full")),
        usize::MAX,
    );
    let said = empty(&shelf);
    assert!(failed(&said).contains("the store is full"), "{said:?}");
}
