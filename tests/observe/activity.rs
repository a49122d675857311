//! The activity log of the real server, and the command that reads it.

use std::{path::Path, process::Command};

use wharf_testkit::{Server, Value, eventually, image, json, run};

use crate::{builder, value, watched, watcher};

/// Runs `wharf activity` with the configuration of `server`; the exit status, and what it says on both channels.
fn activity(server: &Server, words: &[&str]) -> (bool, String, String) {
    read(&server.path("config.yml"), words)
}

fn read(config: &Path, words: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .arg("activity")
        .arg("--config")
        .arg(config)
        .args(words)
        .output()
        .unwrap();
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), said, complained)
}

fn entries(server: &Server, words: &[&str]) -> Vec<Value> {
    let (is_ok, said, complained) = activity(server, &[words, &["--json"]].concat());
    assert!(is_ok, "{complained}");
    said.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn who_did_what_is_known_after_a_clean_stop() {
    run(async {
        let mut server = builder().storage("delete: {enabled: true}").start();
        let (client, image) = (server.anonymous(), image::docker(1));
        let repository = client.repository("team/app");
        repository.push_image("1.0", &image).await;
        for _ in 0..3 {
            repository.get_manifest("1.0").await.expect(200);
        }
        client.head(&repository.manifest_path("1.0")).await.expect(200);
        repository.get_blob(&image.blobs[0].digest).await.expect(200);
        client.delete(&repository.manifest_path("1.0")).await.expect(202);
        server.stop();

        let found = entries(&server, &[]);
        let shown: Vec<String> = found
            .iter()
            .map(|entry| format!("{} {} {}", entry["action"], entry["count"], entry["result"]))
            .collect();
        let blobs = image.blobs.len();
        assert_eq!(shown.len(), blobs + 3, "{shown:?}");
        assert!(
            shown[..=blobs].iter().all(|push| push == "\"push\" 1 \"ok\""),
            "{shown:?}"
        );
        assert_eq!(shown[blobs + 1..], ["\"pull\" 3 \"ok\"", "\"delete\" 1 \"ok\""]);
        let pull = &found[blobs + 1];
        assert_eq!(pull["target"]["digest"], *image.manifest.digest);
        assert_eq!(pull["target"]["tag"], "1.0");
        assert_eq!(pull["request"]["addr"], "127.0.0.1");
        assert_eq!(pull["request"]["id"].as_str().unwrap().len(), 36);
        assert_eq!(
            found[blobs + 2]["target"],
            json!({"repository": "team/app", "tag": "1.0"})
        );

        assert_eq!(entries(&server, &["--action", "pull", "--since", "1h"]).len(), 1);
        assert_eq!(entries(&server, &["--repository", "team/*", "-n", "2"]).len(), 2);
        assert!(entries(&server, &["--repository", "other/**"]).is_empty());
        assert!(entries(&server, &["--account", "alice"]).is_empty());
        assert!(entries(&server, &["--until", "2020-01-01"]).is_empty());
        let (_, lines, _) = activity(&server, &["--action", "delete"]);
        let columns: Vec<&str> = lines.trim_end().split('\t').collect();
        assert_eq!(columns.len(), 8, "{lines}");
        assert_eq!((columns[1], columns[6]), ("delete", "team/app:1.0"));
        let (is_ok, _, complained) = activity(&server, &["--since", "yesterday"]);
        assert!(!is_ok && complained.contains("`2h`"), "{complained}");
    });
}

/// Who guesses at passwords, and what a token is used for, is in the log; a password never is.
#[test]
fn failed_logins_are_in_the_log_with_the_name_that_was_tried() {
    run(async {
        let users = builder();
        users.write(
            "htpasswd",
            "alice:$2y$04$KQlVPV7oebzne.IOGT3eAONmm5hGHB1wtnxLDUdOMyabu50rBKuzq\n",
        );
        let path = users.path("htpasswd").display().to_string();
        let mut server = users
            .htpasswd(&path)
            .config("access: {tokens: {enabled: true}}")
            .start();
        let client = |name: &str, password: &str| server.anonymous().as_user(name, password);
        client("alice", "pw").get("/v2/").await.expect(200);
        for _ in 0..3 {
            client("alice", "hunter2").get("/v2/").await.expect(401);
        }
        client("mallory", "hunter2")
            .get("/auth/token?service=wharf")
            .await
            .expect(401);
        client("alice", "pw")
            .get("/auth/token?service=wharf")
            .await
            .expect(200);
        server.anonymous().get("/v2/").await.expect(401);
        server.stop();
        let of = |entry: &Value| {
            (
                entry["actor"]["name"].clone(),
                entry["count"].clone(),
                entry["detail"].clone(),
            )
        };
        let mut failures: Vec<_> = entries(&server, &["--action", "login_failure"])
            .iter()
            .map(of)
            .collect();
        failures.sort_by_key(|(name, ..)| name.to_string());
        let why = "wrong name or password";
        assert_eq!(
            failures,
            [
                (json!("alice"), json!(3), json!(why)),
                (json!("mallory"), json!(1), json!(why))
            ]
        );
        let uses: Vec<_> = entries(&server, &["--action", "token_use"])
            .iter()
            .map(of)
            .collect();
        assert_eq!(
            uses,
            [(json!("alice"), json!(1), json!("a token for a password"))]
        );
        let (_, all, _) = activity(&server, &["--json"]);
        assert!(!all.contains("hunter2") && !server.log().contains("hunter2"));
    });
}

#[test]
fn the_log_is_read_beside_the_server_and_has_the_id_of_the_request() {
    run(async {
        let server = watched().config("log: {level: debug, formatter: json}").start();
        let (client, image) = (server.anonymous(), image::oci(1));
        client.repository("app").push_image("1.0", &image).await;
        let pushes = image.blobs.len() + 1;
        eventually("the push is in the log", async || {
            entries(&server, &["--action", "push"]).len() >= pushes
        })
        .await;
        let found = entries(&server, &["--action", "push"]);
        let id = found[0]["request"]["id"].as_str().unwrap();
        let line = format!("\"http.request.id\":\"{id}\"");
        server.says(&line).await;
        let page = watcher(&server).await.get("/metrics").await.text();
        let of = |line| value(&page, line);
        assert_eq!(of("wharf_activity_total{action=\"push\"}"), Some(pushes as f64));
        assert_eq!(of("wharf_activity_unrecorded_total{action=\"push\"}"), Some(0.0));
        assert_eq!(of("wharf_activity_write_failures_total"), Some(0.0));
    });
}

/// A clean end, a kill in the middle of a line, and a start: nothing that was written is lost, and nothing is glued together.
#[test]
fn a_line_that_a_kill_has_torn_is_passed_over() {
    run(async {
        let mut server = builder().start();
        let (client, image) = (server.anonymous(), image::oci(1));
        client.repository("app").push_image("1.0", &image).await;
        server.stop();
        let directory = server.root().join("wharf/activity");
        let segment = std::fs::read_dir(&directory)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut content = std::fs::read_to_string(&segment).unwrap();
        content.push_str("{\"timestamp\":\"2026-11-29T15:04");
        std::fs::write(&segment, content).unwrap();
        server.start_again();
        server
            .anonymous()
            .repository("app")
            .get_manifest("1.0")
            .await
            .expect(200);
        server.stop();
        let found = entries(&server, &[]);
        let pulls = found.iter().filter(|entry| entry["action"] == "pull").count();
        assert_eq!((found.len(), pulls), (image.blobs.len() + 2, 1), "{found:?}");
    });
}

#[test]
fn without_a_log_nothing_is_written() {
    run(async {
        let mut server = builder().config("activity: {disabled: true}").start();
        server
            .anonymous()
            .repository("app")
            .push_image("1.0", &image::oci(1))
            .await;
        server.stop();
        for directory in ["wharf/activity", "wharf/pulls"] {
            assert!(!server.root().join(directory).exists(), "{directory}");
        }
        assert!(entries(&server, &[]).is_empty());
    });
}
