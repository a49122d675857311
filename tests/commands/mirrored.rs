//! What `wharf sync` tells and does, between registries of all kinds.

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::{
    Content,
    faults::{Fault, FaultProxy, Refusal, Which},
    image,
    peer::{Peer, REGISTRY_2, REGISTRY_3},
    suite::{Part, Suite},
    tool::Bench,
    wire::Request,
};

use crate::scene::{
    ENGINES, Engine, Said, Signed, assert_holds, get_json, host, path, registry, status, wharf,
};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("a_dry_run_tells_what_an_applied_one_does", &[], dry_and_applied);
    suite.test("a_mirror_takes_repositories_by_pattern", &[], by_pattern);
    suite.test(
        "a_mirror_of_some_platforms_is_equal_the_second_time",
        &[],
        platforms,
    );
    suite.test("a_mirror_gets_new_signatures_of_an_equal_tag", &[], signatures);
    suite.test("a_mirror_goes_on_where_it_was_stopped", &[], interrupted);
    suite.test(
        "nothing_is_deleted_for_a_source_that_is_empty_or_fails",
        &[],
        empty_or_failing,
    );
    suite.test(
        "nothing_is_deleted_for_an_entry_whose_source_lists_nothing",
        &[],
        unlisted,
    );
    suite.test("more_tags_go_than_one_answer_names", &[], many_tags);
    suite.test("a_registry_that_is_down_fails_its_entries_alone", &[], down);
    suite.test("what_the_list_names_must_be_there", &[], missing);
    suite.test(
        "manifests_of_equal_tags_are_not_read_from_the_source",
        &[],
        equal_tags,
    );
    suite.test(
        "entries_that_want_different_images_at_one_tag_are_named",
        &[],
        conflict,
    );
    suite.test("a_list_with_mistakes_is_refused_with_their_lines", &[], mistakes);
    for (name, program) in [("2", REGISTRY_2), ("3", REGISTRY_3)] {
        suite.test(
            &format!("registry_{name}_is_mirrored_to_and_keeps_what_other_tags_need"),
            &[Part::Program(program)],
            move || other_registry(program),
        );
    }
    suite.test(
        "other_programs_find_the_same_digests_in_a_mirror",
        &[
            Part::Program("skopeo"),
            Part::Program("crane"),
            Part::Program("regctl"),
        ],
        other_programs,
    );
}

/// Runs `wharf sync` with a list, and reads what it tells: action, whether it is done, and reason of each destination.
pub(crate) fn sync(list: &str, arguments: &[&str]) -> (Said, BTreeMap<String, (String, bool, String)>) {
    let bench = Bench::new();
    bench.write("mirror.yml", list);
    let file = path(&bench, "mirror.yml");
    let said = wharf(&[&["sync", "--output", "json", &file], arguments].concat());
    let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = rows.iter().map(|row| {
        let is_done = row["done"].as_bool().unwrap();
        (
            text(&row["destination"]),
            (text(&row["action"]), is_done, text(&row["reason"])),
        )
    });
    let rows = rows.collect();
    (said, rows)
}

pub(crate) fn actions(rows: &BTreeMap<String, (String, bool, String)>) -> Vec<(&str, &str)> {
    let tag = |name: &'_ str| name.rsplit(':').next().map(str::len).unwrap_or_default();
    rows.iter()
        .map(|(name, (action, ..))| (&name[name.len() - tag(name)..], action.as_str()))
        .collect()
}

fn dry_and_applied() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let proxy = FaultProxy::start(to.address());
        let (from, to, through) = (host(&from), host(&to), proxy.endpoint().replace("http://", ""));
        let contents = ["1.0", "1.1", "latest", "0.9"].map(|seed| Content::of(image::oci(seed)));
        let [one, two, latest, old] = &contents;
        one.push(&from, "app", "v1.0");
        two.push(&from, "app", "1.1");
        latest.push(&from, "app", "latest");
        latest.push(&from, "app", "other");
        one.push(&to, "mirror", "v1.0");
        one.push(&to, "mirror", "1.1");
        old.push(&to, "mirror", "0.9");
        old.push(&to, "mirror", "own");
        let list =
            format!("sync:\n- from: {from}/app\n  to: {through}/mirror\n  tags: [latest]\n  semver: '<2'\n");
        let expected = [
            ("0.9", "delete"),
            ("1.1", "move"),
            ("latest", "copy"),
            ("v1.0", "equal"),
        ];

        let (said, rows) = sync(&list, &["--delete"]);
        assert_eq!(said.code, Some(10), "{said:?}");
        assert_eq!(actions(&rows), expected);
        assert!(
            said.err
                .contains("1 to copy, 1 to move, 1 to delete, 1 equal; `--apply` does it"),
            "{said:?}"
        );
        assert_holds(&to, "mirror", "1.1", one);
        assert_eq!(status(&to, "/v2/mirror/manifests/latest"), 404);

        let (said, rows) = sync(&list, &["--delete", "--apply"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(actions(&rows), expected);
        assert!(
            rows.iter()
                .all(|(_, (action, is_done, _))| *is_done == (action != "equal")),
            "{rows:?}"
        );
        for (tag, content) in [("1.1", two), ("latest", latest), ("v1.0", one), ("own", old)] {
            assert_holds(&to, "mirror", tag, content);
        }
        assert_eq!(status(&to, "/v2/mirror/manifests/0.9"), 404);
        assert_eq!(status(&to, "/v2/mirror/manifests/other"), 404);

        proxy.clear();
        let (said, rows) = sync(&list, &["--delete", "--apply"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(rows.values().all(|(action, ..)| action == "equal"), "{rows:?}");
        let changes = |request: &&String| !request.starts_with("GET") && !request.starts_with("HEAD");
        let requests = proxy.requests();
        assert_eq!(requests.iter().filter(changes).count(), 0, "{requests:#?}");
    }
}

fn by_pattern() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::oci("pattern"));
    for name in ["team/a", "team/b", "team/old/c", "other"] {
        for tag in ["1", "2", "3"] {
            content.push(&from, name, tag);
        }
    }
    let list = format!(
        "defaults: {{to: '{to}/mirror', newest: 2}}\n\
         sync:\n- from: {from}\n  repositories: [team/**]\n  not_repositories: ['re:.*/old/.*']\n"
    );
    let (said, _) = sync(&list, &["--apply", "-q"]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    let listed = wharf(&["repo", "ls", &to]).good();
    assert_eq!(listed, "mirror/team/a\nmirror/team/b\n");
    let tags = wharf(&["tag", "ls", &format!("{to}/mirror/team/b")]).good();
    assert_eq!(tags, "2\n3\n");
    // A mirror inside of its source is not mirrored once more.
    let inside = format!("sync:\n- from: {to}\n  to: {to}/mirror\n");
    let (said, rows) = sync(&inside, &["--apply"]);
    assert_eq!((said.code, rows.len()), (Some(0), 0), "{said:?}");
}

fn platforms() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to) = (host(&from), host(&to));
    Content::of(image::oci_index("some")).push(&from, "app", "1");
    Content::of(image::oci("single")).push(&from, "app", "single");
    let list = format!("sync:\n- from: {from}/app\n  to: {to}\n  platforms: [linux/arm64, linux/s390x]\n");
    let (said, rows) = sync(&list, &["--apply"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(actions(&rows), [("1", "copy"), ("single", "copy")]);
    let index = get_json(&to, "/v2/app/manifests/1");
    assert_eq!(
        index["manifests"][0]["platform"]["architecture"], "arm64",
        "{index}"
    );
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");
    let (said, rows) = sync(&list, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(actions(&rows), [("1", "equal"), ("single", "equal")]);
}

fn signatures() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let (from, to) = (host(&from), host(&to));
        let signed = Signed::new("mirrored");
        signed.index.push(&from, "app", "1");
        let list = format!("sync:\n- {{from: '{from}/app', to: '{to}'}}\n");
        let (said, _) = sync(&list, &["--apply"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        signed.push(&from, "app", "1");
        let (said, rows) = sync(&list, &[]);
        assert_eq!(
            (said.code, actions(&rows)),
            (Some(10), vec![("1", "copy")]),
            "{said:?}"
        );
        let (said, _) = sync(&list, &["--apply"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        signed.assert_held(&to, "app", "1");
        let (said, rows) = sync(&list, &[]);
        assert_eq!(
            (said.code, actions(&rows)),
            (Some(0), vec![("1", "equal")]),
            "{said:?}"
        );
    }
}

fn interrupted() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Memory));
    let proxy = FaultProxy::start(to.address());
    let (from, to, through) = (host(&from), host(&to), proxy.endpoint().replace("http://", ""));
    let contents = ["1", "2"].map(|tag| Content::of(image::oci_index(tag)));
    for (tag, content) in ["1", "2"].iter().zip(&contents) {
        content.push(&from, "app", tag);
    }
    proxy.inject(
        Which::next("PUT", "/manifests/2").times(0),
        Fault::Refuse(Refusal::new(403, "DENIED")),
    );
    let list = format!("sync:\n- {{from: '{from}/app', to: '{through}'}}\n");
    let (said, rows) = sync(&list, &["--apply", "--delete"]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(1), vec![("1", "copy"), ("2", "failed")]),
        "{said:?}"
    );
    assert_holds(&to, "app", "1", &contents[0]);
    assert_eq!(status(&to, "/v2/app/manifests/2"), 404);
    proxy.clear();
    let (said, rows) = sync(&list, &["--apply"]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(0), vec![("1", "equal"), ("2", "copy")]),
        "{said:?}"
    );
    assert_holds(&to, "app", "2", &contents[1]);
    let sent = |request: &&String| request.starts_with("PUT") && request.contains("/blobs/");
    assert_eq!(
        proxy.requests().iter().filter(sent).count(),
        0,
        "all blobs were there"
    );
}

fn empty_or_failing() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let proxy = FaultProxy::start(from.address());
    let (from, to) = (proxy.endpoint().replace("http://", ""), host(&to));
    let content = Content::of(image::oci("lonely"));
    content.push(&to, "app", "1");
    let list = format!("sync:\n- {{from: '{from}', to: '{to}', repositories: ['app*']}}\n");
    let (said, rows) = sync(&list, &["--apply", "--delete"]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(1), vec![("1", "refused")]),
        "{said:?}"
    );
    assert!(said.out.contains("`--force` deletes nevertheless"), "{said:?}");
    assert_holds(&to, "app", "1", &content);

    // A source that fails is not one that has nothing, whatever is forced.
    proxy.inject(
        Which::next("GET", "/tags/list").times(0),
        Fault::Refuse(Refusal::new(403, "DENIED")),
    );
    let (said, rows) = sync(&list, &["--apply", "--delete", "--force"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(rows.values().all(|(action, ..)| action == "failed"), "{rows:?}");
    assert_holds(&to, "app", "1", &content);

    proxy.clear();
    let (said, rows) = sync(&list, &["--apply", "--delete", "--force"]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(0), vec![("1", "delete")]),
        "{said:?}"
    );
    assert_eq!(status(&to, "/v2/app/manifests/1"), 404);
    let (_, _, reason) = rows.into_values().next().unwrap();
    assert!(reason.contains("wharf trash restore"), "{reason}");
}

fn unlisted() {
    for engine in ENGINES {
        let (old, new, to) = (registry(engine), registry(engine), registry(engine));
        let proxy = FaultProxy::start(old.address());
        let (new, to) = (host(&new), host(&to));
        let (old, through) = (host(&old), proxy.endpoint().replace("http://", ""));
        let contents = ["old", "new"].map(|tag| Content::of(image::oci(tag)));
        contents[0].push(&old, "app", "old");
        contents[1].push(&new, "app", "new");
        let list = format!(
            "defaults: {{to: '{to}'}}\nsync:\n\
             - {{from: '{through}', repositories: ['app*']}}\n- {{from: '{new}', repositories: ['app*']}}\n"
        );
        let (said, _) = sync(&list, &["--apply", "--delete"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        // Something that no source has.
        contents[0].push(&to, "app", "gone");
        proxy.inject(
            Which::next("GET", "/v2/_catalog").times(0),
            Fault::Refuse(Refusal::new(403, "DENIED")),
        );
        let (said, _) = sync(&list, &["--apply", "--delete", "--force"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.out.contains("the entry of line 3 may have images for it"),
            "{said:?}"
        );
        for tag in ["old", "gone"] {
            assert_holds(&to, "app", tag, &contents[0]);
        }
        proxy.clear();
        let (said, _) = sync(&list, &["--apply", "--delete"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_holds(&to, "app", "old", &contents[0]);
        assert_eq!(status(&to, "/v2/app/manifests/gone"), 404);
    }
}

fn many_tags() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::oci("many"));
    content.push(&from, "app", "kept");
    content.push(&to, "app", "kept");
    let root = content.root();
    for tag in 0..1001 {
        let path = format!("/v2/app/manifests/t{tag}");
        let push = Request::new("PUT", &path).header("Content-Type", &root.media_type);
        assert_eq!(push.body(root.bytes.to_vec()).send(&to).unwrap().status, 201);
    }
    let list = format!("sync:\n- {{from: '{from}/app', to: '{to}'}}\n");
    let (said, rows) = sync(&list, &["--apply", "--delete", "-j", "16"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let deleted = rows
        .values()
        .filter(|(action, is_done, _)| action == "delete" && *is_done);
    assert_eq!((rows.len(), deleted.count()), (1002, 1001));
    assert_eq!(
        get_json(&to, "/v2/app/tags/list")["tags"],
        serde_json::json!(["kept"])
    );
}

fn down() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::oci("up"));
    content.push(&from, "app", "1");
    content.push(&to, "other", "1");
    let list = format!(
        "defaults: {{to: '{to}'}}\nsync:\n- from: 127.0.0.1:1/other\n- from: {from}/app\n- from: {from}\n  repositories: ['o*']\n"
    );
    let (said, rows) = sync(&list, &["--apply", "--delete", "--force"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("127.0.0.1:1"), "{said:?}");
    let (action, is_done, _) = &rows[&format!("{to}/app:1")];
    assert_eq!((&**action, *is_done), ("copy", true));
    assert_holds(&to, "app", "1", &content);
    assert_holds(&to, "other", "1", &content);
}

fn missing() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    let content = Content::of(image::oci("named"));
    content.push(&from, "team/app", "1.0.0");
    for (entry, hint) in [
        (format!("from: '{from}/team/ap'"), "did you mean `team/app`?"),
        (
            format!("from: '{from}', repositories: [team/ap]"),
            "did you mean `team/app`?",
        ),
        (
            format!("from: '{from}/team/app', tags: ['1.0.1']"),
            "did you mean `1.0.0`?",
        ),
        (
            format!("from: '{from}', repositories: ['team/*'], tags: [latest, '1.0.0']"),
            "names the tag `latest`",
        ),
    ] {
        let (said, rows) = sync(&format!("sync:\n- {{{entry}, to: '{to}'}}\n"), &[]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let reasons: Vec<_> = rows
            .values()
            .filter(|(action, ..)| action == "failed")
            .map(|(.., reason)| reason)
            .collect();
        assert!(
            matches!(&reasons[..], [reason] if reason.contains(hint)),
            "{hint}: {reasons:?}"
        );
    }
    // A pattern may match nothing.
    let list = format!("sync:\n- {{from: '{from}', repositories: ['o*'], tags: ['2.*'], to: '{to}'}}\n");
    let (said, rows) = sync(&list, &[]);
    assert_eq!((said.code, rows.len()), (Some(0), 0), "{said:?}");
}

fn equal_tags() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let proxy = FaultProxy::start(from.address());
    let (from, to, through) = (host(&from), host(&to), proxy.endpoint().replace("http://", ""));
    let signed = Signed::new("equal");
    signed.push(&from, "app", "1");
    let list = format!("sync:\n- {{from: '{through}/app', to: '{to}'}}\n");
    let (said, _) = sync(&list, &["--apply"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let read = || {
        let requests = proxy.requests().into_iter();
        let read = requests.filter(|request| request.starts_with("GET") && request.contains("/manifests/"));
        read.collect::<Vec<_>>()
    };
    proxy.clear();
    let (said, rows) = sync(&list, &[]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(0), vec![("1", "equal")]),
        "{said:?}"
    );
    assert_eq!(read(), [""; 0]);
    // What is new is read, and nothing else.
    let new = image::artifact(
        "new".to_owned(),
        "application/vnd.example.new",
        signed.index.root(),
    );
    Content::of(new.clone()).push(&from, "app", "");
    proxy.clear();
    let (said, rows) = sync(&list, &[]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(10), vec![("1", "copy")]),
        "{said:?}"
    );
    assert_eq!(read(), [format!("GET /v2/app/manifests/{}", new.manifest.digest)]);
}

fn conflict() {
    let (from, to) = (registry(Engine::Memory), registry(Engine::Memory));
    let (from, to) = (host(&from), host(&to));
    for name in ["a", "b"] {
        Content::of(image::oci(name)).push(&from, name, "1");
    }
    let list =
        format!("sync:\n- {{from: '{from}/a', to: '{to}/all'}}\n- {{from: '{from}/b', to: '{to}/all'}}\n");
    let said = {
        let bench = Bench::new();
        bench.write("mirror.yml", &list);
        wharf(&["sync", "--apply", &path(&bench, "mirror.yml")])
    };
    assert_eq!(said.code, Some(1), "{said:?}");
    let text = "the entries of lines 2 and 3 want different images";
    assert_eq!(said.out.matches(text).count(), 2, "{said:?}");
    assert_eq!(status(&to, "/v2/all/manifests/1"), 404);
}

fn mistakes() {
    let bench = Bench::new();
    bench.write(
        "mirror.yml",
        "sync:\n- from: localhost:1/app\n  target: localhost:1/b\n  smever: '1'\n",
    );
    let file = path(&bench, "mirror.yml");
    let said = wharf(&["sync", &file]);
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{said:?}");
    for text in [
        "line 3: `target`",
        "did you mean `to`?",
        "line 4: `smever`",
        "did you mean `semver`?",
    ] {
        assert!(said.err.contains(text), "{text}: {said:?}");
    }
}

fn other_registry(program: &str) {
    let from = registry(Engine::Filesystem);
    let root = TempDir::new().unwrap();
    let peer = Peer::start(program, root.path());
    let (from, to) = (host(&from), peer.authority().to_owned());
    let signed = Signed::new("mirrored");
    signed.push(&from, "app", "1.0");
    let (old, child) = (
        Content::of(image::oci("old")),
        Content::of(image::oci_index("child")),
    );
    old.push(&to, "app", "0.1");
    old.push(&to, "app", "0.2");
    old.push(&to, "app", "keep");
    child.push(&to, "app", "keep-index");
    let gone = Content::of(image::oci("gone"));
    gone.push(&to, "app", "0.3");
    // It gets a new tag, and so stays.
    let renamed = Content::of(image::docker("renamed"));
    renamed.push(&to, "app", "0.4");
    renamed.push(&from, "app", "1.1");
    // An index that has lost an image needs what it has left.
    let lost = format!("/v2/app/manifests/{}", child.manifests[0].digest);
    assert_eq!(Request::new("DELETE", &lost).send(&to).unwrap().status, 202);
    let list = format!("sync:\n- {{from: '{from}/app', to: '{to}', semver: '>=0.1'}}\n");
    for arguments in [&["--delete"][..], &["--delete", "--apply"]] {
        let (said, rows) = sync(&list, arguments);
        assert_eq!(said.code, Some(1), "{said:?}");
        let expected = [
            ("0.1", "refused"),
            ("0.2", "refused"),
            ("0.3", "delete"),
            ("0.4", "refused"),
            ("1.0", "copy"),
            ("1.1", "copy"),
        ];
        assert_eq!(actions(&rows), expected);
        assert!(said.out.contains("`keep` needs the same one"), "{said:?}");
    }
    assert_holds(&to, "app", "1.0", &signed.index);
    assert_holds(&to, "app", "0.1", &old);
    assert_eq!(status(&to, "/v2/app/manifests/0.3"), 404);
    let (said, rows) = sync(&list, &[]);
    assert_eq!(
        (said.code, actions(&rows)),
        (Some(0), vec![("1.0", "equal"), ("1.1", "equal")]),
        "{said:?}"
    );
    // And out of it.
    let back = registry(Engine::Memory);
    let back = host(&back);
    let list = format!("sync:\n- {{from: '{to}', to: '{back}', repositories: [app], tags: ['1.*']}}\n");
    let (said, _) = sync(&list, &["--apply"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    signed.assert_held(&back, "app", "1.0");
}

fn other_programs() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    Content::of(image::oci_index("same")).push(&from, "app", "1");
    Content::of(image::docker("same")).push(&from, "app", "2");
    let (said, _) = sync(
        &format!("sync:\n- {{from: '{from}/app', to: '{to}'}}\n"),
        &["--apply"],
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    bench.run("regctl", &["registry", "set", "--tls", "disabled", &from]);
    bench.run("regctl", &["registry", "set", "--tls", "disabled", &to]);
    for tag in ["1", "2"] {
        let [source, mirror] = [&from, &to].map(|host| format!("{host}/app:{tag}"));
        let crane = |name: &str| bench.run("crane", &["digest", "--insecure", name]);
        assert_eq!(crane(&source), crane(&mirror));
        let regctl = |name: &str| bench.run("regctl", &["manifest", "head", name]);
        assert_eq!(regctl(&source), regctl(&mirror));
        let skopeo = |name: &str| {
            let name = format!("docker://{name}");
            bench.run("skopeo", &["inspect", "--raw", "--tls-verify=false", &name])
        };
        assert_eq!(skopeo(&source), skopeo(&mirror));
    }
}
