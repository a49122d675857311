//! A3: users come and go while the server runs, and no edit locks all users out.

use std::fs::{self, File};

use wharf_testkit::suite::Suite;
use wharf_testkit::tool::Bench;

use crate::scene::{APACHE, WHARF, builder_with, check, entry, file_of, mentions, says, status_for, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[APACHE],
        [s2_10_a_user_is_added_live, a3_an_apr1_user_is_disabled]
    );
    tests!(
        suite,
        &[],
        [
            s2_11_a_deleted_line_ends_its_user_at_once,
            a3_users_are_managed_live,
            a3_garbage_leaves_the_others_alone,
            a3_files_of_windows_are_read,
            a3_an_edit_within_one_time_stamp_is_seen,
            a3_a_file_that_is_away_is_missed_once,
            a3_entries_glued_together_are_named,
            edits_under_load_never_refuse_who_stays,
        ]
    );
}

async fn s2_10_a_user_is_added_live() {
    let server = builder_with(entry("alice", "pw")).start();
    check(&server, &[("alice", 200), ("newuser", 401)]).await;
    let bench = Bench::new();
    let line = bench.run("htpasswd", &["-Bbn", "newuser", "pw"]);
    let text = fs::read_to_string(file_of(&server)).unwrap() + &line;
    fs::write(file_of(&server), text).unwrap();
    check(&server, &[("alice", 200), ("newuser", 200)]).await;
}

async fn s2_11_a_deleted_line_ends_its_user_at_once() {
    let alice = entry("alice", "pw");
    let server = builder_with(alice.clone() + &entry("newuser", "pw")).start();
    let newuser = server.anonymous().as_user("newuser", "pw");
    for _ in 0..3 {
        newuser.get("/v2/").await.expect(200);
    }
    fs::write(file_of(&server), &alice).unwrap();
    newuser.get("/v2/").await.expect(401);
    fs::write(file_of(&server), alice + &entry("newuser", "another")).unwrap();
    newuser.get("/v2/").await.expect(401);
    assert_eq!(status_for(&server, "newuser", "another").await, 200);
}

async fn a3_users_are_managed_live() {
    let server = builder_with(entry("alice", "pw")).start();
    let bench = Bench::new();
    let file = file_of(&server).display().to_string();
    let carol = bench.run(WHARF, &["user", "add", "carol", "--generate", "--file", &file]);
    let carol = carol.trim_end();
    assert_eq!(status_for(&server, "carol", carol).await, 200);
    let list = bench.run(WHARF, &["user", "ls", "--file", &file]);
    assert_eq!(list, "alice  bcrypt, cost 4\ncarol  bcrypt, cost 10\n");
    let arguments = ["user", "passwd", "carol", "--password-stdin", "--file", &file];
    let ran = bench.try_run_with_input(WHARF, &arguments, b"another\n");
    assert!(ran.succeeded, "{}", ran.stderr);
    assert_eq!(status_for(&server, "carol", carol).await, 401);
    assert_eq!(status_for(&server, "carol", "another").await, 200);
    bench.run(WHARF, &["user", "rm", "carol", "--file", &file]);
    assert_eq!(status_for(&server, "carol", "another").await, 401);
    check(&server, &[("alice", 200)]).await;
}

async fn a3_garbage_leaves_the_others_alone() {
    let alice = entry("alice", "pw");
    let server = builder_with(&alice).start();
    fs::write(
        file_of(&server),
        format!("{alice}garbage-without-colon\n{}", entry("bob", "pw")),
    )
    .unwrap();
    check(&server, &[("alice", 200), ("bob", 200)]).await;
    says(&server, "line 2: no `:`", 1).await;
    assert_eq!(
        mentions(&server, "garbage-without-colon"),
        0,
        "it may be a password"
    );
    fs::write(file_of(&server), "nothing\nbut garbage\n").unwrap();
    check(&server, &[("alice", 200), ("bob", 200), ("carol", 401)]).await;
    says(&server, "it is damaged: nothing in it is an entry", 1).await;
}

async fn a3_an_apr1_user_is_disabled() {
    let alice = entry("alice", "pw");
    let server = builder_with(&alice).start();
    let line = Bench::new().run("htpasswd", &["-mbn", "md5", "pw"]);
    fs::write(file_of(&server), alice + &line).unwrap();
    check(&server, &[("alice", 200), ("md5", 401)]).await;
    says(
        &server,
        "user `md5` has an MD5 hash (`$apr1$`), not bcrypt; user disabled",
        1,
    )
    .await;
}

async fn a3_files_of_windows_are_read() {
    let text = entry("alice", "pw").replace('\n', "\r\n") + &entry("win", "pw").replace('\n', "\r\n");
    let server = builder_with("").start();
    let utf16 = |order: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(order)
            .collect::<Vec<u8>>()
    };
    let files = [
        text.clone().into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    for file in files {
        fs::write(file_of(&server), "").unwrap();
        check(&server, &[("alice", 401)]).await;
        fs::write(file_of(&server), file).unwrap();
        check(&server, &[("alice", 200), ("win", 200)]).await;
    }
    says(&server, "the file is UTF-8 with a byte order mark", 1).await;
    says(&server, "the file is UTF-16", 2).await;
}

async fn a3_an_edit_within_one_time_stamp_is_seen() {
    let (alice, carol) = (entry("alice", "pw"), entry("carol", "pw"));
    let server = builder_with(&alice).start();
    for turn in 0..10 {
        let (content, others) = if turn % 2 == 0 {
            (&carol, "alice")
        } else {
            (&alice, "carol")
        };
        let modified = fs::metadata(file_of(&server)).unwrap().modified().unwrap();
        fs::write(file_of(&server), content).unwrap();
        File::options()
            .write(true)
            .open(file_of(&server))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert_eq!(status_for(&server, &content[..5], "pw").await, 200, "turn {turn}");
        assert_eq!(status_for(&server, others, "pw").await, 401, "turn {turn}");
    }
}

async fn a3_a_file_that_is_away_is_missed_once() {
    let server = builder_with(entry("alice", "pw")).start();
    let away = server.directory().join("away");
    fs::rename(file_of(&server), &away).unwrap();
    for _ in 0..5 {
        check(&server, &[("alice", 200), ("bob", 401)]).await;
    }
    says(
        &server,
        "it is gone; the last good list with 1 users stays in force",
        1,
    )
    .await;
    fs::rename(&away, file_of(&server)).unwrap();
    check(&server, &[("alice", 200)]).await;
    says(&server, "stays in force", 1).await;
}

async fn a3_entries_glued_together_are_named() {
    let docker = entry("docker", "pw");
    let server = builder_with(docker.trim_end()).start();
    check(&server, &[("docker", 200)]).await;
    fs::write(
        file_of(&server),
        docker.trim_end().to_owned() + &entry("newuser", "pw"),
    )
    .unwrap();
    check(&server, &[("docker", 200), ("newuser", 200)]).await;
    says(
        &server,
        "line 1: the newline between the entries of `docker` and `newuser` is missing",
        1,
    )
    .await;
    let file = file_of(&server).display().to_string();
    Bench::new().run(WHARF, &["user", "add", "carol", "--generate", "--file", &file]);
    assert_eq!(
        fs::read_to_string(&file).unwrap().lines().count(),
        3,
        "an edit mends the line"
    );
    check(&server, &[("docker", 200), ("newuser", 200)]).await;
}

/// A user that stays in the file is let in through every kind of edit.
async fn edits_under_load_never_refuse_who_stays() {
    let server = builder_with(entry("alice", "pw")).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let file = file_of(&server).display().to_string();
    let edits = tokio::task::spawn_blocking(move || {
        let bench = Bench::new();
        for turn in 0..15 {
            let name = format!("user{turn}");
            bench.run(WHARF, &["htpasswd", "-bC", "4", &file, &name, "pw"]);
            if turn % 3 == 0 {
                bench.run(WHARF, &["user", "rm", &name, "--file", &file]);
            }
        }
    });
    while !edits.is_finished() {
        alice.get("/v2/").await.expect(200);
    }
    edits.await.unwrap();
    check(
        &server,
        &[("user0", 401), ("user1", 200), ("user14", 200), ("alice", 200)],
    )
    .await;
}
