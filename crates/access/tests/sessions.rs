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
    sessions::{Lifetimes, MOST_OF_ACCOUNT, Secret, Sessions},
    stamp::Stamp,
};
use wharf_storage::{
    Storage,
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
            .begin(name, self.stamp(name).await, self.now)
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
            secrets.push(sessions.begin("alice", stamp, now).await.unwrap());
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
