//! Completions: the names that a registry lists, through the script of bash and through the program itself.

use std::process::{Command, Stdio};

use wharf_testkit::{
    Content, image,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{
    registries::{ALL, Registry, on_each},
    scene::{Said, command, path, wharf},
};

pub(crate) fn add_to(suite: &mut Suite) {
    on_each(suite, &ALL, "names_are_completed_at", names);
    suite.test(
        "bash_completes_names_with_colons",
        &[Part::Program("bash")],
        in_bash,
    );
    suite.test("what_does_not_answer_completes_nothing", &[], silence);
    suite.test("each_shell_has_a_script", &[], scripts);
}

/// What the program offers for the last of `words`.
fn offered(words: &[&str]) -> Said {
    let mut command = command(&[&["--"], words].concat());
    command
        .env("WHARF_COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .stdin(Stdio::null());
    Said::of(command.output().unwrap())
}

fn names(registry: &Registry) {
    let content = Content::of(image::oci("names"));
    for (repository, tag) in [("team/app", "1.0"), ("team/app", "1.1"), ("team/other", "2")] {
        content.push(&registry.host, repository, tag);
    }
    let complete = |words: &[&str], name: &str| {
        let said = offered(&[&["wharf"], words, &[&registry.at(name)]].concat());
        assert!(said.err.is_empty(), "{said:?}");
        let names = said.good();
        names
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let at = |names: &[&str]| names.iter().map(|name| registry.at(name)).collect::<Vec<_>>();
    assert_eq!(complete(&["tag", "ls"], "team/"), at(&["team/app", "team/other"]));
    assert_eq!(complete(&["tag", "ls"], "team/a"), at(&["team/app"]));
    let tags = at(&["team/app:1.0", "team/app:1.1"]);
    for words in [
        &["inspect"][..],
        &["tag", "rm", "--yes"],
        &["referrers"],
        &["tag", "cp"],
        &["copy"],
        &["export", "-o", "images.tar"],
    ] {
        assert_eq!(complete(words, "team/app"), tags, "{words:?}");
        assert_eq!(complete(words, "team/app:1"), tags, "{words:?}");
    }
    assert_eq!(complete(&["inspect"], "nothing"), Vec::<String>::new());
    assert_eq!(complete(&["inspect"], "team/app:x"), Vec::<String>::new());
}

fn in_bash() {
    let registry = Registry::start(crate::registries::Kind::Memory);
    Content::of(image::oci("bash")).push(&registry.host, "team/app", "1.0");
    let bench = Bench::new();
    bench.write("script", &wharf(&["completion", "bash"]).good());
    bench.run("mkdir", &["bin"]);
    bench.run("ln", &["-s", env!("CARGO_BIN_EXE_wharf"), "bin/wharf"]);
    let (host, port) = registry.host.split_once(':').unwrap();
    let reply = |words: &str, index: usize, current: &str| {
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={index}; COMP_TYPE=9; \
             _clap_complete_wharf wharf '{current}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path(&bench, "script")
        );
        let mut command = Command::new("bash");
        command
            .args(["--norc", "-c", &script])
            .env("PATH", format!("{}:/usr/bin:/bin", path(&bench, "bin")))
            .env("HOME", "/nonexistent")
            .env("DOCKER_CONFIG", "/nonexistent");
        Said::of(command.output().unwrap()).good()
    };
    // As bash splits the words, with colons by themselves.
    let ls = format!("wharf tag ls {host} : {port}/te");
    assert_eq!(
        reply(&ls, 5, &format!("{port}/te")).trim_end(),
        format!("{port}/team/app")
    );
    let tag = format!("wharf inspect {host} : {port}/team/app : 1");
    assert_eq!(reply(&tag, 6, "1").trim_end(), "1.0");
    let all = format!("wharf inspect {host} : {port}/team/app :");
    assert_eq!(reply(&all, 5, "").trim_end(), "1.0");
    // Within quotes, a colon ends no word.
    for quote in ['"', '\''] {
        let name = registry.at("team/app");
        let words = format!("wharf inspect \\{quote}{name}");
        let names = reply(&words, 2, &name);
        assert_eq!(names.trim_end(), registry.at("team/app:1.0"), "{quote}");
    }
    let commands = reply("wharf tag hi", 2, "hi");
    assert_eq!(commands.trim_end(), "history");
}

fn silence() {
    let said = offered(&["wharf", "inspect", "localhost:1/a"]);
    assert_eq!((said.code, &*said.out, &*said.err), (Some(0), "", ""), "{said:?}");
}

fn scripts() {
    for (shell, part) in [
        ("bash", "complete -o nospace"),
        ("zsh", "#compdef wharf"),
        ("fish", "complete "),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = wharf(&["completion", shell]).good();
        assert!(
            script.contains(part) && script.contains("WHARF_COMPLETE"),
            "{shell}: {script}"
        );
    }
}
