//! The commands of README.md and `docs/`: each block of commands is run as it is typed, in an empty directory, or says why it
//! is not.
//!
//! The words behind the language of a block tell: `run`, or `(not run: REASON)`. A block of another language with
//! `file=NAME` is the file of that name, which the commands of its document find.

#![expect(clippy::disallowed_methods, reason = "reads the documents")]

use std::{fmt::Write as _, net::TcpListener, path::PathBuf};

use wharf_testkit::{
    suite::Suite,
    tool::{self, Bench},
};

/// Languages whose blocks are commands.
const COMMANDS: [&str; 2] = ["sh", "console"];

/// The ports of the documents, which the tests replace by ports that are free: of the server, and of a second one beside it.
const PORTS: [&str; 2] = ["5443", "5444"];

/// Stands for `wharf`: a server goes on beside the commands that follow, as in a second terminal.
const SHIM: &str = r#"#!/bin/sh
if [ "$1" != serve ]; then exec "$WHARF" "$@"; fi
log=serve$(wc -l < servers).log
"$WHARF" "$@" > "$log" 2>&1 &
echo $! >> servers
until grep -q 'listening on' "$log"; do
    kill -0 $! 2> /dev/null || { cat "$log"; exit 1; }
    sleep 0.05
done
"#;

struct Block<'a> {
    language: &'a str,
    /// The words behind the language.
    mark: &'a str,
    text: String,
}

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "commands_of_the_documents_are_run_or_say_why_not",
        &[],
        every_block_is_marked,
    );
    for document in documents() {
        let name = document
            .file_name()
            .expect("a document has a name")
            .to_string_lossy();
        let text = std::fs::read_to_string(&document).expect("a document is text");
        if blocks(&text).iter().any(|block| block.mark == "run") {
            suite.test(&format!("commands_of_{name}_work_as_typed"), &[], move || {
                run(&text);
            });
        }
    }
}

fn documents() -> Vec<PathBuf> {
    let root = tool::root_directory();
    let of = |directory: &str| std::fs::read_dir(root.join(directory)).expect("there are documents");
    let docs = of("docs").chain(of("docs/cli"));
    let mut found: Vec<PathBuf> = docs.map(|entry| entry.expect("it can be read").path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.push(root.join("README.md"));
    found.sort();
    found
}

fn every_block_is_marked() {
    let mut unmarked = String::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document is text");
        for block in blocks(&text) {
            let reason = block
                .mark
                .strip_prefix("(not run: ")
                .and_then(|rest| rest.strip_suffix(')'));
            let is_marked = block.mark == "run" || reason.is_some_and(|reason| reason.len() > 8);
            if COMMANDS.contains(&block.language) && !is_marked {
                let first = block.text.lines().next().unwrap_or_default();
                _ = writeln!(unmarked, "{}: {first}", document.display());
            }
        }
    }
    assert!(
        unmarked.is_empty(),
        "neither `run` nor `(not run: REASON)`:\n{unmarked}"
    );
}

/// Runs the commands of a document, one block after the other.
fn run(document: &str) {
    let bench = Bench::new();
    // Both are taken before either is given back, so they differ.
    let listeners = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let free = listeners.map(|listener| listener.local_addr().expect("it has an address").port());
    let [first, second] = free.map(|port| port.to_string());
    // In one pass: a free port may look like one of the documents.
    let with_ports = |text: &str| {
        let parts = text.split(PORTS[0]);
        let parts: Vec<String> = parts.map(|part| part.replace(PORTS[1], &second)).collect();
        parts.join(&first)
    };
    let mut script =
        String::from("set -eu\nPATH=$PWD/bin:$PATH\ntrap 'xargs -r kill < servers' EXIT\n: > servers\n");
    // A configuration of this machine, such as that of Debian's package of registry:2, is not part of an empty place.
    script.push_str("export REGISTRY_CONFIGURATION_PATH=/dev/null\n");
    _ = writeln!(script, "export WHARF='{}'", env!("CARGO_BIN_EXE_wharf"));
    for block in blocks(document) {
        if let Some(name) = block.mark.strip_prefix("file=") {
            bench.write(name, &with_ports(&block.text));
        } else if block.mark == "run" {
            script.push_str(&with_ports(&block.text));
        }
    }
    bench.write("bin/wharf", SHIM);
    bench.run("chmod", &["755", "bin/wharf"]);
    bench.write("typed.sh", &script);
    bench.run("sh", &["typed.sh"]);
}

/// The fenced blocks of a document in Markdown.
fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut is_open = false;
    for line in document.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(info) => {
                let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                is_open = true;
                found.push(Block {
                    language,
                    mark: mark.trim(),
                    text: String::new(),
                });
            }
            None => {
                if let (true, Some(block)) = (is_open, found.last_mut()) {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
        }
    }
    found
}
