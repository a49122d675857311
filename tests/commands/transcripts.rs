//! What the commands print, word for word: tables, JSON, names and errors. Scripts and people read it, so each change shows as
//! a change of a file in `transcripts/`.
//!
//! `INSTA_UPDATE=always cargo test --workspace --test commands transcript` writes the files anew.

use std::{fmt::Write as _, path::Path};

use regex::Regex;
use wharf_testkit::{Content, Server, suite::Suite};

use crate::{
    images::{base, upper},
    scene::{Engine, Signed, builder, host, wharf},
};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("transcript_of_lists", &[], lists);
    suite.test("transcript_of_one_image", &[], one_image);
    suite.test("transcript_of_files", &[], files);
    suite.test("transcript_of_transfers", &[], transfers);
    suite.test("transcript_of_changes", &[], changes);
    suite.test("transcript_of_operating", &[], operating);
    suite.test("transcript_of_errors", &[], errors);
    suite.test("transcript_of_mirrors", &[], mirrors);
    suite.test("transcript_of_logins", &[], logins);
    suite.test("transcript_of_the_state", &[], state);
}

/// The user that administers the registry.
const ADMINISTRATOR: &str = "--user=ann:pw";

/// Password file with `ann`, hashed at the cost 4.
const USERS: &str = "ann:$2y$04$GGM6RoW8osn7YjJ5LjkGxenr.OcquEAkaBl0/QER35f5AYyyuzLkC\n";

const RULES: &str = "rules:\n- {accounts: [anonymous, '*'], repositories: '**', allow: '*'}\n";

/// What was typed and what was printed.
struct Transcript {
    host: String,
    /// Names of this run, and what stands in their place in the transcript and in commands
    names: Vec<(String, &'static str)>,
    masks: [(Regex, &'static str); 8],
    text: String,
}

impl Transcript {
    fn with(server: &Server) -> Self {
        let masks = [
            // Times since this was written; those in images are of the past.
            (
                r"20(?:2[6-9]|[3-9]\d)(-\d\d){2}T\d\d:\d\d:\d\d(\.\d+)?Z",
                "2026-01-02T03:04:05Z",
            ),
            (
                r"20(?:2[6-9]|[3-9]\d)(-\d\d){2} \d\d:\d\d:\d\d",
                "2026-01-02 03:04:05",
            ),
            (
                r"[0-9.]+ [KMGT]iB of [0-9.]+ [KMGT]iB are free",
                "10.0 GiB of 20.0 GiB are free",
            ),
            (r"(?m)^version .*$", "version       wharf 0.1.0 (0123456789ab)"),
            (r"(?m)^up for .*, since", "up for        2 seconds, since"),
            (r#""capacity": \d+"#, r#""capacity": 20000000000"#),
            (r#""free": \d{8,}"#, r#""free": 10000000000"#),
            (
                r"20\d{6}T\d{6}\.\d{3}-[0-9a-f]{8}-[0-9a-f]{4}",
                "20260102T030405.678-0a1b2c3d-4e5f",
            ),
        ];
        Self {
            host: host(server),
            names: Vec::new(),
            masks: masks.map(|(mask, text)| (Regex::new(mask).unwrap(), text)),
            text: String::new(),
        }
    }

    /// With `DIRECTORY` in commands for the path of `directory`.
    fn beside(server: &Server, directory: &Path) -> Self {
        let path = directory.display().to_string();
        Self {
            names: vec![(path, "DIRECTORY")],
            ..Self::with(server)
        }
    }

    /// Runs a command, in which `HOST` stands for the address of the registry.
    fn run(&mut self, line: &str) -> &mut Self {
        let named = |word: &str| {
            let with_host = word.replace("HOST", &self.host);
            let names = self.names.iter();
            names.fold(with_host, |word, (name, mask)| word.replace(mask, name))
        };
        let words: Vec<String> = line.split(' ').map(named).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = wharf(&words);
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        writeln!(self.text, "$ wharf {line}").unwrap();
        self.text.push_str(&said.out);
        for line in said.err.lines() {
            writeln!(self.text, "! {line}").unwrap();
        }
        if said.code != Some(0) {
            writeln!(self.text, "(exit status {})", said.code.unwrap()).unwrap();
        }
        self
    }

    fn masked(&self) -> String {
        // As many characters, so that columns stay as wide.
        let mut text = self.text.replace(&self.host, "127.0.0.1:50000");
        for (name, mask) in &self.names {
            text = text.replace(name, mask);
        }
        for (mask, with) in &self.masks {
            text = mask.replace_all(&text, *with).into_owned();
        }
        text
    }

    /// Compares it with the file of that name.
    fn is(&self, name: &str) {
        insta::with_settings!({
            snapshot_path => "transcripts",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, self.masked());
        });
    }
}

/// A registry in which every client may pull and push, and `ann` administers; with some repositories.
fn registry() -> Server {
    let server = builder(Engine::Filesystem);
    server.write("htpasswd", USERS);
    server.write("rules.yml", RULES);
    let (users, rules) = (server.path("htpasswd"), server.path("rules.yml"));
    let access = format!("access: {{admins: [ann], rules: '{}'}}", rules.display());
    let server = server
        .htpasswd(&users.display().to_string())
        .config(access)
        .start();
    let at = host(&server);
    for (image, tag) in [(base(), "1.0"), (upper(), "1.1"), (upper(), "latest")] {
        Content::of(image).push(&at, "app", tag);
        // The times of files are as fine as the ticks of the kernel: the order of pushes is to be that of the times.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Signed::new("signed").push(&at, "team/signed", "2.0");
    server
}

fn lists() {
    let server = registry();
    let mut all = Transcript::with(&server);
    for command in [
        "repo ls HOST",
        "repo ls HOST -l",
        "repo ls HOST --match team/* --json",
        "repo du HOST",
        "repo du HOST -l",
        "repo du HOST --json",
        "tag ls HOST/app",
        "tag ls HOST/app -l --sort -name",
        "tag ls HOST/team/signed -l",
        "tag ls HOST/app --match 1.0 --json",
        "search HOST 1.1",
        "search HOST signed -l",
        "search HOST 1.0 --in name --json",
        "search HOST nothing",
    ] {
        all.run(&format!("{command} {ADMINISTRATOR}"));
    }
    all.is("lists");
}

fn one_image() {
    let server = registry();
    let mut all = Transcript::with(&server);
    for command in [
        "inspect HOST/app:1.1",
        "inspect HOST/app:1.1 --json",
        "inspect HOST/app:1.1 --raw",
        "inspect HOST/app:1.1 --dockerfile",
        "inspect HOST/team/signed:2.0",
        "inspect HOST/team/signed:2.0 --platform linux/arm64",
        "inspect HOST/team/signed:2.0 --platform linux/s390x",
    ] {
        all.run(command);
    }
    all.is("one_image");
}

fn files() {
    let server = registry();
    let mut all = Transcript::with(&server);
    for command in [
        "ls HOST/app:1.1",
        "ls HOST/app:1.1 -l -r",
        "ls HOST/app:1.1 etc --json",
        "ls HOST/app:1.1 nothing",
        "cat HOST/app:1.1 etc/os-release",
        "cat HOST/app:1.1 etc",
        "diff HOST/app:1.0 HOST/app:1.1 -j 1",
        "diff HOST/app:1.0 HOST/app:1.1 --json",
        "diff HOST/app:1.1 HOST/app:latest",
    ] {
        all.run(command);
    }
    all.is("files");
}

fn transfers() {
    let server = registry();
    let directory = tempfile::tempdir().unwrap();
    let mut all = Transcript::beside(&server, directory.path());
    for command in [
        "copy HOST/app:1.0 HOST/copied:1.0 -j 1",
        "copy HOST/team/signed HOST/all --all-tags -q",
        "copy HOST/app:none HOST/copied",
        "inventory HOST",
        "export -o DIRECTORY/app.tar HOST/app:1.0 HOST/app:1.1 -j 1",
        "export -o DIRECTORY/app.tar HOST/app:1.0 -q",
        "import DIRECTORY/app.tar HOST/imported -j 1",
        "import DIRECTORY/none.tar HOST/imported",
    ] {
        all.run(command);
    }
    all.is("transfers");
}

fn changes() {
    let server = registry();
    let mut all = Transcript::with(&server);
    for command in [
        "tag cp HOST/app:1.1 stable",
        "tag cp HOST/app:1.0 stable",
        "tag mv HOST/app:stable 2.0",
        "tag history HOST/app:latest",
        "tag history HOST/app:latest --json",
        "tag rm HOST/app:2.0 --dry-run",
        "tag rm HOST/app:2.0 --dry-run --json",
        "tag rm HOST/app:2.0",
        "tag rm HOST/app:2.0 --yes",
        "tag rm HOST/app:none --yes",
        "repo rm HOST/app --if-empty --yes",
        "repo rm HOST/team/signed --yes --json",
        "trash ls --server HOST",
        "referrers HOST/app:1.1",
    ] {
        all.run(&format!("{command} {ADMINISTRATOR}"));
    }
    all.is("changes");
}

fn operating() {
    let server = registry();
    let mut all = Transcript::with(&server);
    let nothing = format!("sha256:{}", "0".repeat(64));
    for command in [
        "referrers HOST/team/signed:2.0",
        "referrers HOST/team/signed:2.0 --json",
        &format!("why {nothing} --server HOST"),
        &format!("why {nothing} --server HOST --json"),
        "prune app --keep 1 --server HOST --json",
        "trash ls --server HOST",
        "trash ls --server HOST --json",
        "trash show 20260102T030405.678-0a1b2c3d-4e5f --server HOST",
    ] {
        all.run(&format!("{command} {ADMINISTRATOR}"));
    }
    all.is("operating");
}

fn mirrors() {
    let server = registry();
    let directory = tempfile::tempdir().unwrap();
    let at = host(&server);
    let file = format!(
        "defaults: {{to: '{at}/mirror'}}\nsync:\n- {{from: '{at}', repositories: [app], semver: '>=1.0', newest: 1}}\n- {{from: '{at}', repositories: ['team/**'], tags: ['*']}}\n"
    );
    std::fs::write(directory.path().join("mirror.yml"), file).unwrap();
    std::fs::write(
        directory.path().join("wrong.yml"),
        "sync:\n- {from: localhost:5000, tag: 1}\n",
    )
    .unwrap();
    std::fs::write(directory.path().join("bill.json"), "{}").unwrap();
    let mut all = Transcript::beside(&server, directory.path());
    for command in [
        "sync DIRECTORY/mirror.yml",
        "sync DIRECTORY/mirror.yml --json",
        "sync DIRECTORY/mirror.yml --apply -q",
        "sync DIRECTORY/mirror.yml",
        "sync DIRECTORY/wrong.yml",
        "sync DIRECTORY/none.yml",
        "attach HOST/app:1.0 DIRECTORY/bill.json:application/json --artifact-type application/vnd.example.bill",
        "attach HOST/app:1.0 DIRECTORY/none.json --artifact-type application/vnd.example.bill",
        "attach HOST/app:none DIRECTORY/bill.json --artifact-type application/vnd.example.bill",
        "referrers HOST/app:1.0",
    ] {
        all.run(command);
    }
    all.is("mirrors");
}

fn logins() {
    let server = registry();
    let directory = tempfile::tempdir().unwrap();
    let mut all = Transcript::beside(&server, directory.path());
    for command in [
        "login HOST --user=ann:wrong --config DIRECTORY",
        "login HOST --user=ann:pw --config DIRECTORY",
        "repo ls HOST --config DIRECTORY",
        "logout HOST --config DIRECTORY",
        "logout HOST --config DIRECTORY",
        "login 127.0.0.1:1 --user=ann:pw --config DIRECTORY",
        "login HOST --config DIRECTORY",
    ] {
        all.run(command);
    }
    all.is("logins");
}

fn state() {
    let server = registry();
    let mut all = Transcript::with(&server);
    all.run(&format!("status HOST {ADMINISTRATOR}"));
    all.run("status HOST");
    all.run("status 127.0.0.1:1");
    all.is("state");
}

fn errors() {
    let server = registry();
    let mut all = Transcript::with(&server);
    for command in [
        "repo ls 127.0.0.1:1",
        "repo ls https://HOST",
        "repo ls HOST --user=ann:wrong",
        "repo du HOST",
        "tag ls HOST/ap",
        "tag ls HOST/app --match re:(",
        "tag ls HOST/app --sort size",
        "inspect HOST/app:1.2",
        "inspect HOST/App",
        "inspect app:1.0",
        "tags ls HOST/app",
        "search HOST",
    ] {
        all.run(command);
    }
    all.is("errors");
}
