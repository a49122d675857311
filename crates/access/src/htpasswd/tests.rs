//! The file changes, is damaged, goes and comes back.

#![expect(clippy::disallowed_methods, reason = "plays the operator who edits the file")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    thread,
};

use tempfile::TempDir;

use super::*;

struct Scene {
    directory: TempDir,
    file: PathBuf,
    users: Htpasswd,
}

fn entry(name: &str, password: &str) -> String {
    format!(
        "{name}:{}\n",
        password::hash(password.as_bytes(), password::MIN_COST).unwrap()
    )
}

impl Scene {
    fn with(content: impl AsRef<[u8]>) -> Self {
        let directory = TempDir::with_prefix("wharf-access-").unwrap();
        let file = directory.path().join("htpasswd");
        fs::write(&file, content).unwrap();
        let (users, provisioned) = Htpasswd::open(&file).unwrap();
        assert!(provisioned.is_none());
        Self {
            directory,
            file,
            users,
        }
    }

    fn write(&self, content: impl AsRef<[u8]>) {
        fs::write(&self.file, content).unwrap();
    }

    async fn lets_in(&self, name: &str, password: &str) -> bool {
        let basic = Basic::new(name, password.as_bytes());
        if let Some(user) = self.users.recognise(&basic) {
            assert_eq!(&*user, name);
            return true;
        }
        match self.users.authenticate(&basic, None).await {
            Ok(user) => {
                assert_eq!(&*user, name);
                true
            }
            Err(reason) => {
                assert_eq!(reason, Reason::WrongCredentials);
                false
            }
        }
    }

    async fn check(&self, expected: &[(&str, bool)]) {
        for &(name, is_in) in expected {
            assert_eq!(
                self.lets_in(name, "pw").await,
                is_in,
                "{name}: {:?}",
                self.users.status()
            );
            assert!(!self.lets_in(name, "wrong").await, "{name} with a wrong password");
        }
    }

    fn findings(&self) -> String {
        let status = self.users.status();
        assert_eq!(status.problem, None);
        status.findings.join("\n")
    }
}

#[tokio::test]
async fn a_change_is_in_force_for_the_next_request() {
    let scene = Scene::with(entry("alice", "pw"));
    scene.check(&[("alice", true), ("bob", false)]).await;
    scene.write(entry("alice", "pw") + &entry("bob", "pw"));
    scene.check(&[("alice", true), ("bob", true)]).await;
    scene.write(entry("bob", "pw"));
    scene.check(&[("alice", false), ("bob", true)]).await;
    scene.write("");
    scene.check(&[("alice", false), ("bob", false)]).await;
    scene.write(entry("alice", "pw"));
    scene.check(&[("alice", true)]).await;
}

#[tokio::test]
async fn an_edit_that_keeps_size_inode_and_modification_time_is_seen() {
    let (alice, carol) = (entry("alice", "pw"), entry("carol", "pw"));
    let scene = Scene::with(&alice);
    scene.check(&[("alice", true), ("carol", false)]).await;
    for content in [&carol, &alice, &carol] {
        let before = fs::metadata(&scene.file).unwrap();
        scene.write(content);
        fs::File::options()
            .append(true)
            .open(&scene.file)
            .unwrap()
            .set_modified(before.modified().unwrap())
            .unwrap();
        let after = fs::metadata(&scene.file).unwrap();
        assert_eq!(
            (before.ino(), before.len(), before.mtime_nsec()),
            (after.ino(), after.len(), after.mtime_nsec())
        );
        let is_alice = content == &alice;
        scene.check(&[("alice", is_alice), ("carol", !is_alice)]).await;
    }
}

#[tokio::test]
async fn the_last_good_list_stays_while_the_file_is_away_or_unreadable() {
    let good = entry("alice", "pw");
    let scene = Scene::with(&good);
    let away = scene.directory.path().join("away");
    fs::rename(&scene.file, &away).unwrap();
    scene.check(&[("alice", true), ("bob", false)]).await;
    assert!(scene.users.status().problem.unwrap().contains("gone"));
    fs::create_dir(&scene.file).unwrap();
    scene.check(&[("alice", true)]).await;
    assert!(
        scene
            .users
            .status()
            .problem
            .unwrap()
            .contains("not a regular file")
    );
    fs::remove_dir(&scene.file).unwrap();
    fs::rename(&away, &scene.file).unwrap();
    scene.check(&[("alice", true)]).await;
    assert_eq!(scene.users.status().problem, None);
    for damage in [
        b"garbage\nmore garbage\n".as_slice(),
        b"alice:\0\0",
        b"\xff\xfea",
        b"\xff\xfe\0\xd8\0\xd8",
    ] {
        scene.write(damage);
        scene.check(&[("alice", true), ("bob", false)]).await;
        assert!(
            scene.users.status().problem.unwrap().contains("damaged"),
            "{damage:?}"
        );
    }
    fs::write(&scene.file, vec![b'#'; usize::try_from(SIZE_LIMIT).unwrap() + 1]).unwrap();
    scene.check(&[("alice", true)]).await;
    assert!(scene.users.status().problem.unwrap().contains("more than"));
    scene.write(entry("bob", "pw"));
    scene.check(&[("alice", false), ("bob", true)]).await;
    assert_eq!(scene.users.status().problem, None);
}

#[tokio::test]
async fn a_bad_line_disables_its_own_user_alone() {
    let good = entry("alice", "pw");
    let bob = entry("bob", "pw");
    let cases = [
        ("garbage-without-colon\n".to_owned(), "line 2: no `:`"),
        (
            bob.replace("$2y$04$", "$apr1$"),
            "MD5 hash (`$apr1$`), not bcrypt; user disabled",
        ),
        ("bob:{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=\n".to_owned(), "SHA-1"),
        (bob.replace("$2y$", "$2x$"), "`$2x$`, not bcrypt; user disabled"),
        (bob.replace("$04$", "$31$"), "cost 31"),
        (bob.replace("$2y$", "!$2y$"), "not bcrypt; user disabled"),
        ("bob:\n".to_owned(), "no hash, not bcrypt"),
        (bob[..50].to_owned(), "damaged bcrypt hash"),
        (
            format!("{}:comment\n", bob.trim_end()),
            "behind the hash of user `bob`",
        ),
        (
            format!("{} pw\n", bob.trim_end()),
            "behind the hash of user `bob`",
        ),
        (entry("", "pw"), "no name"),
    ];
    let scene = Scene::with(&good);
    for (line, expected) in cases {
        scene.write(format!("{good}{line}"));
        scene.check(&[("alice", true), ("bob", false)]).await;
        assert!(
            scene.findings().contains(expected),
            "{line}: {}",
            scene.findings()
        );
        assert!(
            !scene.findings().contains(&bob[20..40]),
            "no part of a hash is shown: {}",
            scene.findings()
        );
        assert!(!scene.lets_in("", "pw").await);
    }
    scene.write([good.as_bytes(), b"b\xf6b:x\n"].concat());
    scene.check(&[("alice", true)]).await;
    assert!(scene.findings().contains("not UTF-8"));
}

#[tokio::test]
async fn files_of_windows_are_read() {
    let text =
        "# von Hand\r\n\r\n".to_owned() + &entry("alice", "pw").replace('\n', "\r\n") + &entry("bøb", "pw");
    let wide = |order: fn(u16) -> [u8; 2]| {
        ("\u{feff}".to_owned() + &text)
            .encode_utf16()
            .flat_map(order)
            .collect::<Vec<u8>>()
    };
    let scene = Scene::with("");
    for (content, is_mentioned) in [
        (text.clone().into_bytes(), false),
        (("\u{feff}".to_owned() + &text).into_bytes(), true),
        (wide(u16::to_le_bytes), true),
        (wide(u16::to_be_bytes), true),
    ] {
        scene.write(content);
        scene
            .check(&[("alice", true), ("bøb", true), ("# von Hand", false)])
            .await;
        assert_eq!(
            scene.findings().contains("the file is UTF-"),
            is_mentioned,
            "{}",
            scene.findings()
        );
    }
}

#[tokio::test]
async fn entries_glued_together_are_told_apart() {
    let glued = format!("{}{}", entry("docker", "pw").trim_end(), entry("newuser", "pw"));
    let scene = Scene::with(&glued);
    scene.check(&[("docker", true), ("newuser", true)]).await;
    assert!(
        scene.findings().contains("`docker` and `newuser`"),
        "{}",
        scene.findings()
    );
    // A user that is commented out stays disabled, also when the comment lost its newline.
    let commented = format!("{}#{}", entry("docker", "pw").trim_end(), entry("newuser", "pw"));
    scene.write(commented);
    scene
        .check(&[("docker", true), ("newuser", false), ("#newuser", false)])
        .await;
    // Anything else behind a hash makes the whole line suspect.
    scene.write(format!("{}{}", glued.trim_end(), "x:y"));
    scene.check(&[("docker", false), ("newuser", false)]).await;
}

#[tokio::test]
async fn of_a_repeated_name_the_last_line_counts() {
    let scene = Scene::with(entry("alice", "first") + &entry("alice", "pw"));
    scene.check(&[("alice", true)]).await;
    assert!(!scene.lets_in("alice", "first").await);
    assert!(
        scene
            .findings()
            .contains("line 2: user `alice` stood on line 1 already")
    );
    scene.write(entry("alice", "pw") + "alice:!locked\n");
    scene.check(&[("alice", false)]).await;
}

#[tokio::test]
async fn names_and_passwords_may_hold_what_they_may() {
    let scene = Scene::with(entry("émile w", "a:b:ü:") + " spaced:" + &entry("", "x")[1..]);
    assert!(scene.lets_in("émile w", "a:b:ü:").await && !scene.lets_in("émile w", "a").await);
    // Composed and decomposed are different bytes, as in registry:2.
    assert!(!scene.lets_in("e\u{301}mile w", "a:b:ü:").await);
    assert!(
        scene.lets_in("spaced", "x").await,
        "space around a line does not count"
    );
}

#[test]
fn a_missing_file_is_made_for_its_owner_alone() {
    let directory = TempDir::with_prefix("wharf-access-").unwrap();
    let file = directory.path().join("a/b/htpasswd");
    let (users, provisioned) = Htpasswd::open(&file).unwrap();
    let provisioned = provisioned.unwrap();
    assert_eq!(
        (provisioned.user, provisioned.password.len(), users.status().users),
        ("docker", 43, 1)
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (
            mode(&file),
            mode(&directory.path().join("a/b")),
            mode(&directory.path().join("a"))
        ),
        (0o600, 0o700, 0o700)
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("docker:$2y$10$") && text.ends_with('\n') && text.lines().count() == 1,
        "{text}"
    );
    assert_eq!(
        fs::read_dir(directory.path().join("a/b")).unwrap().count(),
        1,
        "nothing is left over"
    );
    assert!(!format!("{provisioned:?}").contains(&provisioned.password));
    let (_, again) = Htpasswd::open(&file).unwrap();
    assert!(again.is_none());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn of_many_that_make_the_file_one_wins() {
    let directory = TempDir::with_prefix("wharf-access-").unwrap();
    let file = directory.path().join("auth/htpasswd");
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| provision(&file).unwrap()))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(made.len(), 1);
    let users = list_users(&file).unwrap();
    assert_eq!(users.len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_refused_at_the_start() {
    let directory = TempDir::with_prefix("wharf-access-").unwrap();
    let error = Htpasswd::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let below_a_file = directory.path().join("file/htpasswd");
    fs::write(directory.path().join("file"), "").unwrap();
    assert!(Htpasswd::open(&below_a_file).is_err());
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(
        Htpasswd::open(&pipe).is_err(),
        "and does not wait for its other end"
    );
}

#[test]
fn edits_keep_everything_else() {
    let scene =
        Scene::with("# people\n".to_owned() + &entry("alice", "pw") + "\nodd line\n" + &entry("bob", "pw"));
    fs::set_permissions(&scene.file, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read_to_string(&scene.file).unwrap();
    let hash = password::hash(b"new", 4).unwrap();
    assert_eq!(set(&scene.file, "carol", &hash).unwrap(), Edited::Added);
    assert_eq!(
        fs::read_to_string(&scene.file).unwrap(),
        format!("{before}carol:{hash}\n")
    );
    assert_eq!(set(&scene.file, "alice", &hash).unwrap(), Edited::Updated);
    let text = fs::read_to_string(&scene.file).unwrap();
    assert!(
        text.starts_with(&format!("# people\nalice:{hash}\n\nodd line\nbob:")),
        "{text}"
    );
    assert_eq!(remove(&scene.file, "carol").unwrap(), Edited::Removed);
    assert_eq!(remove(&scene.file, "carol").unwrap(), Edited::NotFound);
    assert!(matches!(
        add(&scene.file, "bob", &hash),
        Err(EditError::Exists(_))
    ));
    assert_eq!(
        fs::metadata(&scene.file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    for name in ["", "a:b", "#a", " a", "a\nb", &"x".repeat(256)] {
        assert!(
            matches!(set(&scene.file, name, &hash), Err(EditError::Name(..))),
            "{name:?}"
        );
    }
}

#[test]
fn edits_mend_missing_newlines_and_repetitions() {
    let hash = password::hash(b"pw", 4).unwrap();
    let scene = Scene::with(format!("docker:{hash}newuser:{hash}\nbob:x\nalice:{hash}\nbob:y"));
    assert_eq!(set(&scene.file, "bob", &hash).unwrap(), Edited::Updated);
    let expected = ["docker", "newuser", "bob", "alice"]
        .map(|name| format!("{name}:{hash}\n"))
        .concat();
    assert_eq!(fs::read_to_string(&scene.file).unwrap(), expected);
    scene.write("garbage\n");
    assert!(matches!(
        set(&scene.file, "bob", &hash),
        Err(EditError::Damaged { .. })
    ));
    assert_eq!(fs::read_to_string(&scene.file).unwrap(), "garbage\n");
}

#[test]
fn edits_at_the_same_time_all_count() {
    let scene = Scene::with("");
    let link = scene.directory.path().join("link");
    std::os::unix::fs::symlink("htpasswd", &link).unwrap();
    let hash = password::hash(b"pw", 4).unwrap();
    thread::scope(|scope| {
        for number in 0..8 {
            let path = if number % 2 == 0 { &scene.file } else { &link };
            let hash = &hash;
            scope.spawn(move || {
                for turn in 0..5 {
                    add(path, &format!("user{number}-{turn}"), hash).unwrap();
                }
            });
        }
    });
    assert_eq!(list_users(&scene.file).unwrap().len(), 40);
    assert!(
        fs::symlink_metadata(&link).unwrap().is_symlink(),
        "the link stays"
    );
    assert_eq!(
        fs::read_dir(scene.directory.path()).unwrap().count(),
        2,
        "nothing is left over"
    );
}

#[test]
fn a_change_for_one_version_of_the_file_is_made_to_that_version_alone() {
    let hash = password::hash(b"pw", 4).unwrap();
    let scene = Scene::with(format!("alice:{hash}\n"));
    let read = listing(&scene.file).unwrap().version;
    let bob = Change::Add("bob", &hash);
    let (edited, then) = apply(&scene.file, bob, Some(&read)).unwrap();
    assert_eq!(
        (edited, listing(&scene.file).unwrap().version),
        (Edited::Added, then.clone())
    );
    for late in [
        Change::Add("carol", &hash),
        Change::SetPassword("bob", &hash),
        Change::Remove("alice"),
    ] {
        assert!(matches!(
            apply(&scene.file, late, Some(&read)),
            Err(EditError::Changed { .. })
        ));
    }
    assert_eq!(
        listing(&scene.file).unwrap().version,
        Version::named(then.as_str())
    );
    let missing = Change::SetPassword("carol", &hash);
    assert_eq!(
        apply(&scene.file, missing, None).unwrap(),
        (Edited::NotFound, then)
    );
    let nowhere = scene.directory.path().join("nowhere");
    let error = apply(&nowhere, bob, Some(&read)).unwrap_err();
    assert!(
        matches!(error, EditError::Changed { .. }) && !nowhere.exists(),
        "{error}"
    );
}

#[test]
fn what_is_no_hash_never_becomes_a_line() {
    let hash = password::hash(b"pw", 4).unwrap();
    let scene = Scene::with(format!("alice:{hash}\n"));
    let before = fs::read_to_string(&scene.file).unwrap();
    for bad in [
        "",
        "pw",
        &format!("{hash}\nmallory:{hash}"),
        &hash.replace("$2y$", "$2x$"),
        &hash[..59],
    ] {
        for change in [Change::Add("bob", bad), Change::SetPassword("alice", bad)] {
            assert!(
                matches!(apply(&scene.file, change, None), Err(EditError::Hash(_))),
                "{bad}"
            );
        }
    }
    assert_eq!(fs::read_to_string(&scene.file).unwrap(), before);
}

#[test]
fn users_are_listed_with_what_is_wrong() {
    let hash = password::hash(b"pw", 4).unwrap();
    let scene = Scene::with(format!("alice:{hash}\nbob:$apr1$x\nno\ncarol:{hash}:x\n"));
    let lines: Vec<String> = list_users(&scene.file)
        .unwrap()
        .iter()
        .map(User::to_string)
        .collect();
    assert_eq!(lines[0], "alice\tbcrypt, cost 4");
    assert!(
        lines[1].starts_with("bob\thas an MD5 hash") && lines[2].starts_with("carol\thas something behind"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
}

/// Pieces from which files are put together, whole lines and what may go wrong between them.
const PIECES: [&str; 18] = [
    "alice:$2y$05$C6EvN/6yM3afE0WBgWe6buXQcXS0w/SRk.dev6TgStfNyxpJevHpu",
    "bob:$2b$04$C6EvN/6yM3afE0WBgWe6buXQcXS0w/SRk.dev6TgStfNyxpJevHpu",
    "$2y$05$C6EvN/6yM3afE0WBgWe6buXQcXS0w/SRk.dev6TgStfNyxpJevHp",
    "carol:",
    ":",
    "é",
    "€uro:$2y$05$",
    "$apr1$x$y",
    "\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "#",
    "\0",
    "\u{feff}",
    "u",
    "\u{85}",
];

proptest::proptest! {
    /// Nothing that may stand in a file stops the server or an edit, and an edit of one user leaves the other users.
    #[test]
    fn no_file_is_a_reason_to_panic(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..12),
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..8),
        prefix in 0..4_usize,
    ) {
        let mut content = [&b""[..], b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"][prefix].to_vec();
        for piece in pieces {
            content.extend_from_slice(PIECES[piece].as_bytes());
        }
        content.extend_from_slice(&bytes);
        let names = |bytes: &[u8]| match Users::read(bytes, &Users::default()) {
            Ok((users, findings)) => {
                findings.iter().for_each(|finding| drop(finding.to_string()));
                let names: std::collections::BTreeSet<String> = users.iter().map(|user| user.name().to_string()).collect();
                Some(names)
            }
            Err(_) => None,
        };
        let before = names(&content);
        let directory = TempDir::with_prefix("wharf-access-").unwrap();
        let file = directory.path().join("f");
        fs::write(&file, &content).unwrap();
        drop(list_users(&file));
        let hash = "$2y$05$C6EvN/6yM3afE0WBgWe6buXQcXS0w/SRk.dev6TgStfNyxpJevHpu";
        match set(&file, "zoe", hash) {
            Ok(_) => {
                let mut expected = before.unwrap();
                expected.insert("zoe".to_owned());
                proptest::prop_assert_eq!(names(&fs::read(&file).unwrap()), Some(expected));
            }
            Err(error) => {
                drop(error.to_string());
                proptest::prop_assert_eq!(fs::read(&file).unwrap(), content);
            }
        }
    }
}
