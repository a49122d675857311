//! Sessions of browsers: begun with a password, known to every replica, and ended in five ways.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test is the operator, and edits the file"
)]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_access::{
    Access, Basic, Credentials,
    binding::Binding,
    htpasswd::Htpasswd,
    password,
    sessions::{Browser, Lifetimes, MOST_OF_ACCOUNT, Secret, Sessions},
    stamp::Stamp,
};
use wharf_storage::{
    Put, Removal, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

const LIFETIMES: Lifetimes = Lifetimes {
    idle: Duration::from_secs(12 * 60 * 60),
    whole: Duration::from_secs(7 * 24 * 60 * 60),
};

/// A registry with users, on one engine.
struct Scene {
    storage: Arc<dyn Storage>,
    access: Access,
    users: PathBuf,
    now: SystemTime,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// One for each engine.
    async fn all() -> Vec<Self> {
        let directory = tempfile::tempdir().unwrap();
        let fs: Arc<dyn Storage> = Arc::new(FsStorage::open(&directory.path().join("store")).unwrap());
        let bucket: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        vec![
            Self::new(fs, directory).await,
            Self::new(bucket, tempfile::tempdir().unwrap()).await,
        ]
    }

    async fn new(storage: Arc<dyn Storage>, directory: tempfile::TempDir) -> Self {
        let users = directory.path().join("htpasswd");
        std::fs::write(&users, format!("{}{}", line("alice", "pw"), line("bob", "pw"))).unwrap();
        let (htpasswd, _) = Htpasswd::open(&users).unwrap();
        Self {
            storage,
            access: Access::with_htpasswd("r".into(), htpasswd),
            users,
            now: SystemTime::now(),
            _directory: directory,
        }
    }

    /// The sessions as a process sees them that starts now.
    async fn replica(&self) -> Sessions {
        let sessions = Sessions::new(&self.storage, LIFETIMES);
        sessions.refresh().await.unwrap();
        sessions
    }

    async fn stamp(&self, name: &str) -> Stamp {
        let credentials = Credentials::Basic(Basic::new(name, b"pw"));
        match self.access.log_in(&credentials, None).await.unwrap().binding {
            Binding::User(stamp) => stamp,
            other => panic!("{other:?}"),
        }
    }

    async fn sign_in(&self, sessions: &Sessions, name: &str) -> Secret {
        sessions
            .begin((name, self.stamp(name).await), Browser::default(), self.now)
            .await
            .unwrap()
    }

    /// The account that a browser with this secret has, at a time from the start.
    async fn account(&self, sessions: &Sessions, secret: &Secret, after: Duration) -> Option<String> {
        let session = sessions.find(secret, self.now + after).await?;
        let client = self.access.of_session(&session).await?;
        client.account().map(ToString::to_string)
    }
}

fn line(name: &str, password: &str) -> String {
    format!("{name}:{}\n", password::hash(password.as_bytes(), 4).unwrap())
}

#[tokio::test]
async fn a_session_of_one_replica_is_known_to_the_others_at_once() {
    for scene in Scene::all().await {
        let (one, other) = (scene.replica().await, scene.replica().await);
        let secret = scene.sign_in(&one, "alice").await;
        assert_eq!(scene.account(&one, &secret, HOUR).await.as_deref(), Some("alice"));
        assert_eq!(
            scene.account(&other, &secret, HOUR).await.as_deref(),
            Some("alice")
        );
        let later = scene.replica().await;
        assert_eq!(
            scene.account(&later, &secret, HOUR).await.as_deref(),
            Some("alice")
        );
        let made_up = Secret::new().unwrap();
        assert_eq!(scene.account(&other, &made_up, HOUR).await, None);
    }
}

#[tokio::test]
async fn signing_out_ends_a_session_everywhere_and_no_other() {
    for scene in Scene::all().await {
        let (one, other) = (scene.replica().await, scene.replica().await);
        let (alice, bob) = (
            scene.sign_in(&one, "alice").await,
            scene.sign_in(&one, "bob").await,
        );
        assert!(scene.account(&other, &alice, HOUR).await.is_some());
        one.end(&alice).await.unwrap();
        one.end(&alice).await.unwrap();
        assert_eq!(scene.account(&one, &alice, HOUR).await, None);
        other.refresh().await.unwrap();
        assert_eq!(scene.account(&other, &alice, HOUR).await, None);
        assert_eq!(scene.account(&other, &bob, HOUR).await.as_deref(), Some("bob"));
    }
}

#[tokio::test]
async fn another_password_and_the_end_of_the_user_end_its_sessions_at_once() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        let (alice, bob) = (
            scene.sign_in(&sessions, "alice").await,
            scene.sign_in(&sessions, "bob").await,
        );
        let unchanged = std::fs::read_to_string(&scene.users).unwrap();
        let bob_line = unchanged.lines().nth(1).unwrap().to_owned();
        // The same password, with another salt.
        std::fs::write(&scene.users, format!("{}{bob_line}\n", line("alice", "pw"))).unwrap();
        assert_eq!(scene.account(&sessions, &alice, HOUR).await, None);
        assert_eq!(scene.account(&sessions, &bob, HOUR).await.as_deref(), Some("bob"));
        std::fs::write(&scene.users, line("alice", "pw")).unwrap();
        assert_eq!(scene.account(&sessions, &bob, HOUR).await, None);
    }
}

#[tokio::test]
async fn a_session_ends_without_use_and_after_its_whole_time() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        let idle = scene.sign_in(&sessions, "alice").await;
        assert!(scene.account(&sessions, &idle, HOUR).await.is_some());
        assert!(
            scene.account(&sessions, &idle, 12 * HOUR).await.is_some(),
            "it was used after an hour"
        );
        assert!(scene.account(&sessions, &idle, 24 * HOUR).await.is_none());
        let used = scene.sign_in(&sessions, "alice").await;
        for hours in (1..7 * 24).step_by(8) {
            assert!(
                scene.account(&sessions, &used, hours * HOUR).await.is_some(),
                "{hours}"
            );
        }
        assert!(scene.account(&sessions, &used, 7 * 24 * HOUR).await.is_none());
        sessions.tidy(scene.now + 8 * 24 * HOUR).await.unwrap();
        assert_eq!(sessions.count(), 0);
    }
}

#[tokio::test]
async fn use_at_one_replica_keeps_a_session_alive_at_the_others() {
    for scene in Scene::all().await {
        let (one, other) = (scene.replica().await, scene.replica().await);
        let secret = scene.sign_in(&one, "alice").await;
        assert!(scene.account(&other, &secret, Duration::ZERO).await.is_some());
        assert!(scene.account(&one, &secret, 11 * HOUR).await.is_some());
        one.tidy(scene.now + 11 * HOUR).await.unwrap();
        other.refresh().await.unwrap();
        assert!(scene.account(&other, &secret, 20 * HOUR).await.is_some());
    }
}

#[tokio::test]
async fn an_account_has_so_many_sessions_and_the_oldest_makes_room() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        let stamp = scene.stamp("alice").await;
        let bob = scene.sign_in(&sessions, "bob").await;
        let mut secrets = Vec::new();
        for minute in 0..=MOST_OF_ACCOUNT as u64 {
            let now = scene.now + Duration::from_secs(60 * minute);
            let begun = sessions.begin(("alice", stamp), Browser::default(), now).await;
            secrets.push(begun.unwrap());
        }
        assert_eq!(sessions.count(), MOST_OF_ACCOUNT + 1);
        assert!(scene.account(&sessions, &secrets[0], HOUR).await.is_none());
        assert!(scene.account(&sessions, &secrets[1], HOUR).await.is_some());
        assert!(scene.account(&sessions, &bob, HOUR).await.is_some());
    }
}

#[tokio::test]
async fn the_store_has_nothing_that_signs_a_browser_in() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        let secret = scene.sign_in(&sessions, "alice").await;
        let object = scene.storage.read(&layout::sessions(), 1 << 20).await.unwrap();
        let text = String::from_utf8(object.bytes.to_vec()).unwrap();
        assert!(text.contains("alice"), "{text}");
        assert!(!text.contains(&secret.to_cookie()), "{text}");
        let stored = text.split("\"sha256\": \"").nth(1).unwrap();
        let stored: Secret = stored[..43].parse().unwrap();
        assert!(
            scene.account(&sessions, &stored, HOUR).await.is_none(),
            "a hash is no secret"
        );
        assert!(!format!("{sessions:?}").contains(&secret.to_cookie()));
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_written_lets_an_administrator_sign_in_all_the_same() {
    for mut scene in Scene::all().await {
        let faulty = Arc::new(Faulty::new(Arc::clone(&scene.storage)));
        scene.storage = Arc::<Faulty>::clone(&faulty);
        let sessions = scene.replica().await;
        faulty.inject(Fault::disk_full());
        let secret = scene.sign_in(&sessions, "alice").await;
        assert_eq!(
            scene.account(&sessions, &secret, HOUR).await.as_deref(),
            Some("alice")
        );
        sessions.end(&secret).await.unwrap();
        assert!(scene.account(&sessions, &secret, HOUR).await.is_none());
        // No account takes the room of another one.
        let bob = scene.sign_in(&sessions, "bob").await;
        for _ in 0..20 {
            scene.sign_in(&sessions, "alice").await;
        }
        assert!(scene.account(&sessions, &bob, HOUR).await.is_some());
        assert!(sessions.count() < 10);
    }
}

#[tokio::test]
async fn signing_out_counts_also_while_the_store_cannot_be_written() {
    for mut scene in Scene::all().await {
        let faulty = Arc::new(Faulty::new(Arc::clone(&scene.storage)));
        scene.storage = Arc::<Faulty>::clone(&faulty);
        let (sessions, other) = (scene.replica().await, scene.replica().await);
        let secret = scene.sign_in(&sessions, "alice").await;
        faulty.inject(Fault::disk_full());
        assert!(sessions.end(&secret).await.is_err(), "it is told");
        assert!(scene.account(&sessions, &secret, HOUR).await.is_none());
        faulty.heal();
        sessions.tidy(scene.now + HOUR).await.unwrap();
        other.refresh().await.unwrap();
        assert!(scene.account(&other, &secret, HOUR).await.is_none());
    }
}

#[tokio::test]
async fn an_account_lists_its_sessions_of_all_replicas_and_ends_one_or_all() {
    for scene in Scene::all().await {
        let (one, other) = (scene.replica().await, scene.replica().await);
        let stamp = scene.stamp("alice").await;
        let address = Some("192.0.2.7".parse().unwrap());
        let begin = async |sessions: &Sessions, agent: &str, minutes: u32| {
            let now = scene.now + minutes * Duration::from_secs(60);
            let browser = Browser { agent, address };
            sessions.begin(("alice", stamp), browser, now).await.unwrap()
        };
        let long = "x".repeat(10_000);
        let first = begin(&one, "Firefox", 0).await;
        let second = begin(&one, &long, 1).await;
        let third = begin(&other, "Chrome", 2).await;
        let bob = scene.sign_in(&one, "bob").await;
        let listed = one.of_account("alice", scene.now + HOUR).await;
        let agents: Vec<&str> = listed.iter().map(|listed| listed.session.agent()).collect();
        assert_eq!(agents, ["Chrome", &long[..256], "Firefox"]);
        assert!(listed.iter().all(|listed| listed.session.address() == address));
        assert_eq!(listed[2].id, first.id());
        let later = scene.now + 13 * HOUR;
        assert!(one.of_account("alice", later).await.is_empty(), "they have ended");

        // One ends that another replica has begun; none of another account, and none that there is not.
        let bobs = bob.id();
        for (account, id, ended) in [
            ("alice", third.id(), true),
            ("alice", third.id(), false),
            ("alice", bobs, false),
            ("alice", "no identifier".to_owned(), false),
        ] {
            assert_eq!(
                one.end_listed(account, &id, scene.now).await.unwrap(),
                ended,
                "{id}"
            );
        }
        other.refresh().await.unwrap();
        assert!(scene.account(&other, &third, HOUR).await.is_none());
        assert!(scene.account(&other, &first, HOUR).await.is_some());

        assert_eq!(other.end_all("alice", scene.now).await.unwrap(), 2);
        one.refresh().await.unwrap();
        for secret in [&first, &second] {
            for replica in [&one, &other] {
                assert!(scene.account(replica, secret, HOUR).await.is_none());
            }
        }
        assert!(scene.account(&one, &bob, HOUR).await.is_some());
    }
}

#[tokio::test]
async fn use_within_an_hour_writes_nothing() {
    for mut scene in Scene::all().await {
        let faulty = Arc::new(Faulty::new(Arc::clone(&scene.storage)));
        scene.storage = Arc::<Faulty>::clone(&faulty);
        let sessions = scene.replica().await;
        let secret = scene.sign_in(&sessions, "alice").await;
        faulty.inject(Fault::disk_full());
        assert!(scene.account(&sessions, &secret, HOUR).await.is_some());
        sessions.tidy(scene.now + HOUR).await.unwrap();
        assert!(scene.account(&sessions, &secret, 2 * HOUR).await.is_some());
        sessions.tidy(scene.now + 2 * HOUR).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_cookie_lasts_as_long_as_its_session() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        assert_eq!(sessions.first_cookie_age(), 12 * HOUR);
        let secret = scene.sign_in(&sessions, "alice").await;
        let age = async |after: Duration| {
            let session = sessions.find(&secret, scene.now + after).await.unwrap();
            sessions.cookie_age(&session, scene.now + after)
        };
        assert_eq!(
            age(Duration::from_secs(1)).await,
            None,
            "it was told a moment ago"
        );
        assert_eq!(age(HOUR).await, Some(12 * HOUR));
        assert_eq!(age(HOUR).await, None);
        for hours in (12..160).step_by(10) {
            assert!(age(hours * HOUR).await.is_some());
        }
        assert_eq!(
            age(162 * HOUR).await,
            Some(6 * HOUR),
            "the whole time ends earlier"
        );
    }
}

#[tokio::test]
async fn a_damaged_document_signs_all_out_and_is_replaced_when_one_signs_in() {
    for scene in Scene::all().await {
        let running = scene.replica().await;
        let mut before = scene.sign_in(&running, "alice").await;
        for damaged in [
            "",
            "no JSON",
            "[]",
            r#"{"version": 2, "sessions": 7}"#,
            "{\"version\": 1",
        ] {
            let put = Put::new(layout::sessions(), damaged.as_bytes().to_vec());
            scene.storage.publish(&[put]).await.unwrap();
            for _ in 0..2 {
                let error = running.refresh().await.unwrap_err().to_string();
                assert!(error.contains("counts as empty"), "{error}");
            }
            assert!(scene.account(&running, &before, HOUR).await.is_none());
            let started = Sessions::new(&scene.storage, LIFETIMES);
            started.refresh().await.unwrap_err();
            let secret = scene.sign_in(&started, "bob").await;
            running.refresh().await.unwrap();
            for sessions in [&started, &running, &scene.replica().await] {
                assert!(
                    scene.account(sessions, &secret, HOUR).await.is_some(),
                    "{damaged}"
                );
            }
            before = secret;
        }
    }
}

#[tokio::test]
async fn a_document_that_is_gone_keeps_no_user_out() {
    for scene in Scene::all().await {
        let sessions = scene.replica().await;
        let before = scene.sign_in(&sessions, "alice").await;
        let removal = Removal {
            key: layout::sessions(),
            keep: layout::own(),
        };
        scene.storage.remove_many(&[removal]).await.unwrap();
        sessions.refresh().await.unwrap();
        assert!(scene.account(&sessions, &before, HOUR).await.is_none());
        let secret = scene.sign_in(&sessions, "alice").await;
        let other = scene.replica().await;
        assert!(scene.account(&other, &secret, HOUR).await.is_some());
    }
}

#[tokio::test]
async fn a_document_of_a_newer_version_is_left_alone() {
    for scene in Scene::all().await {
        let newer = r#"{"version": 99, "nonce": "", "content": {"new": true}}"#;
        let put = Put::new(layout::sessions(), newer.as_bytes().to_vec());
        scene.storage.publish(&[put]).await.unwrap();
        let sessions = Sessions::new(&scene.storage, LIFETIMES);
        sessions.refresh().await.unwrap_err();
        let secret = scene.sign_in(&sessions, "alice").await;
        assert!(
            scene.account(&sessions, &secret, HOUR).await.is_some(),
            "in memory"
        );
        let object = scene.storage.read(&layout::sessions(), 1 << 20).await.unwrap();
        assert_eq!(object.bytes, newer.as_bytes());
    }
}
