//! `wharf token` beside a server that runs: through its control socket, with the results and the words of a change of the store.

use wharf_testkit::{
    Server,
    suite::Suite,
    tool::{Bench, Ran},
};

use crate::scene::{WHARF, check, entry, on_data_of, says, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            tokens_are_the_same_with_and_without_a_server,
            a_removed_user_takes_its_tokens_along_with_and_without_a_server,
            a_server_that_takes_no_tokens_leaves_them_to_the_command,
            tokens_of_a_user_who_is_removed_while_tokens_are_off_do_not_come_back,
        ]
    );
}

/// A configuration of a directory and of the user `alice`, in a bench.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("htpasswd", &entry("alice", "pw"));
    std::fs::create_dir(bench.path("data")).unwrap();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n\
         auth: {{htpasswd: {{realm: r, path: {}}}}}\naccess: {{tokens: {{enabled: true}}}}\n",
        bench.path("data").display(),
        bench.path("htpasswd").display()
    );
    bench.write("config.yml", &text);
    bench
}

/// A server on the data and the users of `bench`, with `access` as it is given.
fn serving(bench: &Bench, access: &str) -> Server {
    on_data_of(bench)
        .config(access)
        .htpasswd(&bench.path("htpasswd").display().to_string())
        .start()
}

/// Runs `wharf token …` with the configuration of the bench.
fn token(bench: &Bench, words: &[&str]) -> Ran {
    bench.try_run(WHARF, &[&["token"], words, &["--config", "config.yml"]].concat())
}

/// What a command said, without what is random in it, and without times.
fn said(bench: &Bench, ran: &Ran) -> String {
    let directory = bench.path("").display().to_string();
    let text = format!("{:?}\n{}\n{}", ran.code, ran.stdout, ran.stderr).replace(&directory, "");
    let is_of_word = |character: char| character.is_ascii_alphanumeric() || "_:-".contains(character);
    let mut shown = String::new();
    for part in text.split_inclusive(|character| !is_of_word(character)) {
        let word = part.trim_end_matches(|character| !is_of_word(character));
        let is_id = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mask = match word {
            _ if is_id => "ID",
            _ if word.starts_with("wharf_") => "SECRET",
            _ if word.len() == 20 && word.ends_with('Z') => "TIME",
            word => word,
        };
        shown.push_str(mask);
        shown.push_str(&part[word.len()..]);
    }
    shown
}

async fn tokens_are_the_same_with_and_without_a_server() {
    let (alone, beside) = (bench(), bench());
    let server = serving(&beside, "access: {tokens: {enabled: true}}");
    let mut made = String::new();
    for words in [
        &["ls"][..],
        &["create", "ci", "--repo", "team/**", "--allow", "pull,push"],
        &["create", "ci", "--repo", "team/**"],
        &["create", "Ci", "--repo", "team/**"],
        &[
            "create",
            "deploy",
            "--repo",
            "a",
            "--repo",
            "b/*",
            "--expires",
            "never",
            "--json",
        ],
        &["create", "short", "--repo", "a", "--expires", "0s"],
        &["ls"],
        &["ls", "--json"],
        &["rotate", "ci"],
        &["rotate", "ci", "--expires", "1h", "--json"],
        &["rotate", "none"],
        &["revoke", "deploy"],
        &["revoke", "none"],
        &["ls", "--json"],
        &["create", "last", "--repo", "**"],
    ] {
        let (expected, found) = (token(&alone, words), token(&beside, words));
        assert_eq!(said(&beside, &found), said(&alone, &expected), "{words:?}");
        made = found.stdout;
    }
    let client = server.anonymous().as_user("any", made.trim_end());
    client.get("/v2/").await.expect(200);
    says(&server, "administration", 6).await;
    let revoked = token(&beside, &["revoke", "last"]);
    assert!(revoked.succeeded, "{}", revoked.stderr);
    client.get("/v2/").await.expect(401);
    check(&server, &[("alice", 200)]).await;
}

/// Makes a robot token of `alice`, by the API.
async fn of_alice(server: &Server, name: &str) -> String {
    let alice = server.anonymous().as_user("alice", "pw");
    let request = alice.post("/api/v1/tokens");
    let request = request.header("content-type", "application/json");
    let made = request.body(format!(r#"{{"name": "{name}", "repositories": ["**"]}}"#));
    made.await.expect(201).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn a_removed_user_takes_its_tokens_along_with_and_without_a_server() {
    let (alone, beside) = (bench(), bench());
    let mut outcomes = Vec::new();
    for (bench, stays) in [(&alone, false), (&beside, true)] {
        let mut server = serving(bench, "access: {tokens: {enabled: true}}");
        let secrets = [of_alice(&server, "nightly").await, of_alice(&server, "ci").await];
        if !stays {
            server.stop();
        }
        let remove = || {
            let ran = bench.try_run(WHARF, &["user", "rm", "alice", "--config", "config.yml"]);
            said(bench, &ran)
        };
        let mut outcome = vec![remove(), remove()];
        bench.write("htpasswd", &entry("alice", "pw"));
        if !stays {
            server.start_again();
        }
        check(&server, &[("alice", 200)]).await;
        for secret in secrets {
            let client = server.anonymous().as_user("any", &secret);
            client.get("/v2/").await.expect(401);
        }
        // What another program has left.
        of_alice(&server, "late").await;
        bench.write("htpasswd", "");
        if !stays {
            server.stop();
        }
        outcome.push(remove());
        outcomes.push(outcome);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let [removed, again, left] = &outcomes[0][..] else {
        panic!("{outcomes:?}")
    };
    assert!(removed.contains("removed user `alice` from "), "{removed}");
    assert!(
        removed.contains("revoked 2 robot tokens: ci, nightly"),
        "{removed}"
    );
    assert!(again.contains("there is no user `alice`"), "{again}");
    assert!(left.contains("there was no user `alice`"), "{left}");
    assert!(left.contains("revoked 1 robot token: late"), "{left}");
}

async fn a_server_that_takes_no_tokens_leaves_them_to_the_command() {
    let bench = bench();
    let made = token(&bench, &["create", "ci", "--repo", "a"]);
    assert!(made.succeeded, "{}", made.stderr);
    let _server = serving(&bench, "");
    let listed = token(&bench, &["ls"]);
    assert!(listed.stdout.contains("\nci "), "{}", listed.stderr);
    let refused = token(&bench, &["revoke", "ci"]);
    assert!(
        !refused.succeeded && refused.stderr.contains("stop it for a moment"),
        "{}",
        refused.stderr
    );
}

async fn tokens_of_a_user_who_is_removed_while_tokens_are_off_do_not_come_back() {
    for runs in [false, true] {
        let bench = bench();
        let on = "access: {tokens: {enabled: true}}";
        let mut server = serving(&bench, on);
        let secret = of_alice(&server, "ci").await;
        server.stop();
        let config = std::fs::read_to_string(bench.path("config.yml")).unwrap();
        bench.write("config.yml", &config.replace(on, ""));
        let off = runs.then(|| serving(&bench, ""));
        let removed = bench.try_run(WHARF, &["user", "rm", "alice", "--config", "config.yml"]);
        assert!(
            removed.succeeded && removed.stderr.contains("revoked 1 robot token: ci"),
            "{runs} {}",
            removed.stderr
        );
        // Nothing was left for the second removal.
        let again = bench.try_run(WHARF, &["user", "rm", "alice", "--config", "config.yml"]);
        assert!(
            !again.succeeded && again.stderr.contains("there is no user `alice`"),
            "{}",
            again.stderr
        );
        drop(off);
        bench.write("htpasswd", &entry("alice", "pw"));
        let server = serving(&bench, on);
        check(&server, &[("alice", 200)]).await;
        server
            .anonymous()
            .as_user("any", &secret)
            .get("/v2/")
            .await
            .expect(401);
    }
}
