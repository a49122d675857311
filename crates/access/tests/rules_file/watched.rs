//! A file of rules that changes while it is in use.

#![expect(clippy::disallowed_methods, reason = "plays the operator who edits the file")]

use std::{fs, os::unix::fs::symlink, path::PathBuf, sync::Arc, thread, time::Duration};

use tempfile::TempDir;
use wharf_access::{
    Verb,
    rules::{Configured, OpenError, Pattern, Rules, RulesFile},
};

use crate::allows;

struct Scene {
    file: RulesFile,
    path: PathBuf,
    _directory: TempDir,
}

fn rule(account: &str) -> String {
    format!("rules:\n- {{accounts: {account}, repositories: a, allow: pull}}\n")
}

impl Scene {
    fn new(text: &str) -> Self {
        let directory = TempDir::with_prefix("wharf-rules-").unwrap();
        let path = directory.path().join("rules.yml");
        fs::write(&path, text).unwrap();
        Self {
            file: RulesFile::open(&path, Configured::default()).unwrap(),
            path,
            _directory: directory,
        }
    }

    async fn lets(&self, account: &str) -> bool {
        let rules = self.file.refresh().await;
        allows(&rules, Some(account), Verb::Pull, "a")
    }
}

/// Kubernetes mounts files in this way, and swaps the link.
#[tokio::test]
async fn a_link_to_a_directory_that_is_swapped_is_noticed_within_a_millisecond() {
    let directory = TempDir::with_prefix("wharf-rules-").unwrap();
    let root = directory.path().to_owned();
    let at = |name: &str| root.join(name);
    for account in ["alice", "bob"] {
        fs::create_dir(at(account)).unwrap();
        fs::write(at(account).join("rules"), rule(account)).unwrap();
    }
    symlink("alice", at("now")).unwrap();
    let scene = Scene {
        file: RulesFile::open(&at("now/rules"), Configured::default()).unwrap(),
        path: at("now/rules"),
        _directory: directory,
    };
    // Until its stamps are old the file is compared by content, and not by what is open.
    thread::sleep(Duration::from_millis(2_200));
    assert!(scene.lets("alice").await && !scene.lets("bob").await);
    symlink("bob", at("next")).unwrap();
    fs::rename(at("next"), at("now")).unwrap();
    // The path itself is looked at once in a millisecond.
    thread::sleep(Duration::from_millis(2));
    assert!(scene.lets("bob").await && !scene.lets("alice").await);
}

#[tokio::test]
async fn a_change_is_in_force_for_the_next_request() {
    let scene = Scene::new(&rule("alice"));
    for account in ["bob", "carol", "alice"] {
        fs::write(&scene.path, rule(account)).unwrap();
        for other in ["alice", "bob", "carol"] {
            assert_eq!(
                scene.lets(other).await,
                other == account,
                "{other} after {account}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_did_not_change_is_not_read_again() {
    let scene = Scene::new(&rule("alice"));
    let old = fs::File::options().append(true).open(&scene.path).unwrap();
    let before = scene.file.refresh().await;
    // Only the inode's own time stamps change, which no content does.
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let after = scene.file.refresh().await;
    assert!(Arc::ptr_eq(&before, &after), "the same content is the same list");
}

#[tokio::test]
async fn the_last_good_list_stays_in_force_and_the_reason_is_told() {
    let scene = Scene::new(&rule("alice"));
    for (text, reason) in [
        (
            "rules:\n- {accounts: bob, repositories: a, allow: pul}\n",
            "it has errors: line 2: `pul` is no action; did you mean `pull`?",
        ),
        (
            "rules:\n- {accounts: bob, repositories: a, al",
            "it has errors: line 2: this is not YAML",
        ),
        ("", "the file is empty"),
        (
            "acl:\n- match: {service: x}\n  actions: ['*']\n",
            "line 2: an entry for one service cannot be read",
        ),
    ] {
        fs::write(&scene.path, text).unwrap();
        assert!(scene.lets("alice").await && !scene.lets("bob").await, "{text}");
        let problem = scene.file.status().problem.unwrap();
        assert!(
            problem.contains(reason) && problem.contains("rules.yml"),
            "{problem}"
        );
    }
    fs::write(&scene.path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(scene.lets("alice").await);
    assert!(scene.file.status().problem.unwrap().contains("more than"));
    fs::remove_file(&scene.path).unwrap();
    assert!(scene.lets("alice").await);
    assert!(scene.file.status().problem.unwrap().contains("it is gone"));
    fs::write(&scene.path, rule("bob")).unwrap();
    assert!(!scene.lets("alice").await && scene.lets("bob").await);
    assert_eq!(scene.file.status().problem, None);
}

#[tokio::test]
async fn a_rule_that_does_nothing_is_told_and_the_others_are_used() {
    let scene = Scene::new(&rule("alice"));
    let text = format!(
        "{}- {{accounts: alice, repositories: a, allow: pull}}\n",
        rule("alice")
    );
    fs::write(&scene.path, text).unwrap();
    assert!(scene.lets("alice").await);
    let status = scene.file.status();
    assert_eq!(status.problem, None);
    assert!(
        status.findings[0].contains("line 3: this rule never decides"),
        "{status:?}"
    );
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_look() {
    let scene = Scene::new(&rule("alice"));
    fs::write(&scene.path, rule("bob")).unwrap();
    let looks = (0..16).map(|_| {
        let file = scene.file.clone();
        tokio::spawn(async move { file.refresh().await })
    });
    let looks: Vec<_> = looks.collect();
    for look in looks {
        assert!(allows(&look.await.unwrap(), Some("bob"), Verb::Pull, "a"));
    }
}

#[test]
fn a_start_needs_a_file_without_errors() {
    let directory = TempDir::with_prefix("wharf-rules-").unwrap();
    let path = directory.path().join("rules.yml");
    let open = || RulesFile::open(&path, Configured::default());
    let error = open().unwrap_err();
    assert!(
        matches!(error, OpenError::Read { .. }) && error.to_string().contains("create it, or remove"),
        "{error}"
    );
    fs::write(
        &path,
        "rules:\n- {accounts: a, repositories: A/b, allow: [pul, pus]}\n",
    )
    .unwrap();
    let error = open().unwrap_err().to_string();
    for part in [
        "rules.yml` cannot be used",
        "`pul` is no action",
        "`pus` is no action",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(
        !error.contains("matches no name"),
        "warnings are no reason: {error}"
    );
    assert!(RulesFile::open(directory.path(), Configured::default()).is_err());
}

#[test]
fn the_configuration_stands_around_the_file() {
    let directory = TempDir::with_prefix("wharf-rules-").unwrap();
    let path = directory.path().join("rules.yml");
    fs::write(
        &path,
        "rules:\n- {accounts: '*', repositories: '**', deny: delete}\n",
    )
    .unwrap();
    let configured = Configured {
        admins: vec!["root".to_owned()],
        anonymous: vec![Pattern::parse("public/**").unwrap()],
    };
    let file = RulesFile::open(&path, configured.clone()).unwrap();
    let rules = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(file.refresh());
    assert_eq!(
        rules
            .list()
            .iter()
            .map(|rule| rule.origin.to_string())
            .collect::<Vec<_>>(),
        [
            "`access.admins` of the configuration",
            "line 2",
            "`access.anonymous` of the configuration"
        ]
    );
    assert!(allows(&rules, Some("root"), Verb::Delete, "x"));
    assert!(!allows(&rules, Some("alice"), Verb::Delete, "x"));
    assert!(allows(&rules, None, Verb::Pull, "public/x"));
    assert!(!allows(&rules, None, Verb::Push, "public/x"));
    let without = Rules::effective(None, &configured);
    assert!(allows(&without, Some("alice"), Verb::Delete, "x"));
    assert!(!allows(&without, None, Verb::Pull, "x"));
}
