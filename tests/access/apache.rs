//! `wharf htpasswd` compared with Apache's: one table of command lines, run by both.

use std::fs;

use wharf_testkit::suite::Suite;
use wharf_testkit::tool::{Bench, Ran};

use crate::scene::{APACHE, WHARF, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[APACHE],
        [
            htpasswd_says_and_does_what_apaches_does,
            hashes_are_checked_by_each_other
        ]
    );
    tests!(
        suite,
        &[],
        [
            weak_hashes_are_refused,
            bcrypt_is_the_default_and_costs_10,
            long_passwords_are_warned_about
        ]
    );
}

/// Command lines in their order, with what is on standard input. A file `f` lies there with `alice:` and `pw`.
const TABLE: &[(&str, &str)] = &[
    ("-Bb f bob pw", ""),
    ("-Bb f bob pw2", ""),
    ("-bB f bob --dashes", ""),
    ("-B -b f bob pw", ""),
    ("-Bbn carol pw", ""),
    ("-nbB carol pw", ""),
    ("-nbBC 4 carol pw", ""),
    ("-nbBC05 carol pw", ""),
    ("-Bin carol", "pw"),
    ("-Bi f carol", "pw\n"),
    ("-Bi f carol", "pw\r\n"),
    ("-vb f carol pw", ""),
    ("-vi f carol", "pw"),
    ("-vi f carol", "pw\nmore"),
    ("-vb f carol no", ""),
    ("-vb f nobody pw", ""),
    ("-D f carol", ""),
    ("-D f carol", ""),
    ("-D missing carol", ""),
    ("-Bb missing carol pw", ""),
    ("-vb missing carol pw", ""),
    ("-Bcb no/where/f carol pw", ""),
    ("-Bb f a:b pw", ""),
    ("-Bcb g alice pw", ""),
    ("-Bcb f alice pw", ""),
    ("-cbB f alice pw", ""),
    ("-bBi f dave", "pw"),
    ("", ""),
    ("-B", ""),
    ("-Bc f", ""),
    ("-Bbc f alice", ""),
    ("-Bbn a b c", ""),
    ("-x f alice", ""),
    ("-Bncb f a b", ""),
    ("-vDb f a b", ""),
    ("-BbC 3 f alice pw", ""),
    ("-BbC 18 f alice pw", ""),
    ("-BbC x f alice pw", ""),
    ("-BbC", ""),
    ("-Bbn émile pä", ""),
];

async fn htpasswd_says_and_does_what_apaches_does() {
    let (ours, theirs) = (Bench::new(), Bench::new());
    let line = theirs
        .run("htpasswd", &["-Bbn", "alice", "pw"])
        .replace("\n\n", "\n");
    for bench in [&ours, &theirs] {
        bench.write("f", &format!("# people\n{line}\n\nodd:x\n"));
    }
    let mut problems = Vec::new();
    for (words, input) in TABLE {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (our_words, input) = ([&["htpasswd"], words.as_slice()].concat(), input.as_bytes());
        let (our, their) = (
            outcome(&ours, &ours.try_run_with_input(WHARF, &our_words, input)),
            outcome(&theirs, &theirs.try_run_with_input("htpasswd", &words, input)),
        );
        if our != their {
            problems.push(format!("{}:\n  ours   {our}\n  theirs {their}", words.join(" ")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Exit code, output and files of a command, without the random parts.
fn outcome(bench: &Bench, ran: &Ran) -> String {
    let files = ["f", "g"].map(|name| fs::read_to_string(bench.path(name)).unwrap_or_default());
    let said = ran.stderr.split("\nUsage:").next().unwrap_or_default();
    let said = if said.starts_with("Usage:") {
        "usage"
    } else {
        said.trim_end()
    };
    let said = said.strip_prefix("/usr/bin/").unwrap_or(said);
    // The library words the reasons of its errors.
    let said = said.split("bcrypt:").next().unwrap_or_default();
    format!(
        "{:?} {said:?} {:?} {:?}",
        ran.code,
        without_hashes(&ran.stdout),
        files.map(|text| without_hashes(&text))
    )
}

/// The cost differs on purpose, salt and digest by chance.
fn without_hashes(text: &str) -> String {
    let line = |line: &str| match line.split_once(":$2y$") {
        Some((name, hash)) => format!("{name}:(bcrypt, {})", hash.len()),
        None => line.to_owned(),
    };
    // Apache leaves blank lines, and so does wharf.
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

async fn hashes_are_checked_by_each_other() {
    let bench = Bench::new();
    let passwords = ["pw", "a:b:c", "pä 中", " spaces ", "$dollar$", "\"quotes'"];
    for (number, password) in passwords.iter().enumerate() {
        let name = format!("user{number}");
        let flags = if number == 0 { "-cbB" } else { "-bB" };
        bench.run(WHARF, &["htpasswd", flags, "f", &name, password]);
        bench.run("htpasswd", &["-vb", "f", &name, password]);
        bench.run("htpasswd", &["-bB", "f", &name, password]);
        bench.run(WHARF, &["htpasswd", "-vb", "f", &name, password]);
        assert_eq!(
            bench.try_run(WHARF, &["htpasswd", "-vb", "f", &name, "no"]).code,
            Some(3)
        );
    }
}

async fn weak_hashes_are_refused() {
    let bench = Bench::new();
    for flag in ["-m", "-d", "-s", "-p", "-2", "-5"] {
        let ran = bench.try_run(WHARF, &["htpasswd", flag, "-bc", "f", "alice", "pw"]);
        assert_eq!(ran.code, Some(9), "{flag}");
        assert!(
            ran.stderr.contains(flag) && ran.stderr.contains("use `-B`"),
            "{}",
            ran.stderr
        );
        assert!(!bench.path("f").exists(), "{flag}");
    }
}

async fn bcrypt_is_the_default_and_costs_10() {
    let bench = Bench::new();
    let line = bench.run(WHARF, &["htpasswd", "-nb", "alice", "pw"]);
    assert!(
        line.starts_with("alice:$2y$10$") && line.ends_with("\n\n"),
        "D8: {line}"
    );
    assert!(bench.run(WHARF, &["htpasswd", "--help"]).starts_with("Usage:"));
}

async fn long_passwords_are_warned_about() {
    let bench = Bench::new();
    let ran = bench.try_run(WHARF, &["htpasswd", "-nbC", "4", "alice", &"x".repeat(73)]);
    assert!(
        ran.succeeded && ran.stderr.contains("first 72 bytes"),
        "{}",
        ran.stderr
    );
    let ran = bench.try_run(WHARF, &["htpasswd", "-nbC", "4", "alice", &"x".repeat(72)]);
    assert!(ran.succeeded && ran.stderr.is_empty(), "{}", ran.stderr);
    let ran = bench.try_run(WHARF, &["htpasswd", "-nbC", "4", "alice", &"x".repeat(256)]);
    assert_eq!(
        (ran.code, ran.stderr.trim_end()),
        (Some(5), "htpasswd: password too long (>255)")
    );
}
