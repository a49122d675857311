//! Robot tokens: made, recognised, used, rotated, revoked, and gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_access::{
    Action, Resource, Verb,
    robot::{Robot, RobotError, Robots, Wanted},
    rules::{Pattern, Verbs},
};
use wharf_storage::{Put, Storage, fs::FsStorage, layout, object::ObjectStorage};
use wharf_workers::Worker as _;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::in_memory())
}

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        repositories: vec![Pattern::parse("team/**").unwrap()],
        verbs: Verbs::default().with(Verb::Pull).with(Verb::Push),
        creator: Some("alice".to_owned()),
        lifetime: Some(90 * DAY),
    }
}

fn allows(robot: &Robot, name: &str, verb: Verb) -> bool {
    let name = name.parse().unwrap();
    let resource = Resource::Repository(&name);
    robot.allows(&Action { resource, verb })
}

async fn read(storage: &Arc<dyn Storage>) -> Robots {
    let robots = Robots::new(storage);
    robots.refresh().await.unwrap();
    robots
}

#[tokio::test]
async fn the_tokens_of_one_creator_end_together() {
    let robots = read(&memory()).await;
    let mut secrets = Vec::new();
    for (name, creator) in [
        ("nightly", Some("alice")),
        ("bobs", Some("bob")),
        ("ci", Some("alice")),
        ("operators", None),
    ] {
        let creator = creator.map(str::to_owned);
        let wanted = Wanted {
            creator,
            ..wanted(name)
        };
        secrets.push(robots.create(&wanted, now()).await.unwrap().0);
    }
    assert_eq!(robots.revoke_of("alice").await.unwrap(), ["ci", "nightly"]);
    let is_good = secrets
        .iter()
        .map(|secret| robots.recognise(secret.expose().as_bytes(), now()).is_some());
    assert_eq!(is_good.collect::<Vec<_>>(), [false, true, false, true]);
    assert!(robots.revoke_of("alice").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_allows_what_it_was_made_for() {
    let robots = read(&memory()).await;
    let (secret, listed) = robots.create(&wanted("ci"), now()).await.unwrap();
    assert_eq!(listed.robot.name(), "ci");
    assert_eq!((listed.used, listed.is_expired), (None, false));
    let robot = robots.recognise(secret.expose().as_bytes(), now()).unwrap();
    assert_eq!(robot.creator().map(|name| &**name), Some("alice"));
    for (name, verb, expected) in [
        ("team/app", Verb::Pull, true),
        ("team/app/deep", Verb::Push, true),
        ("team/app", Verb::Delete, false),
        ("team/app", Verb::All, false),
        ("teams/app", Verb::Pull, false),
        ("other", Verb::Pull, false),
    ] {
        assert_eq!(allows(&robot, name, verb), expected, "{name} {verb:?}");
    }
    let catalog = Action {
        resource: Resource::Catalog,
        verb: Verb::All,
    };
    assert!(robot.allows(&catalog));
    // The variable stands for the account that made the token.
    let own = Wanted {
        repositories: vec![Pattern::parse("home/${account}/*").unwrap()],
        ..wanted("own")
    };
    let (_, own) = robots.create(&own, now()).await.unwrap();
    assert!(
        allows(&own.robot, "home/alice/app", Verb::Pull) && !allows(&own.robot, "home/bob/app", Verb::Pull)
    );
}

#[tokio::test]
async fn the_store_has_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
    let robots = read(&storage).await;
    let (secret, _) = robots.create(&wanted("ci"), now()).await.unwrap();
    let stored = storage.read(&layout::robot_tokens(), 10_000).await.unwrap().bytes;
    let stored = String::from_utf8_lossy(&stored);
    assert!(
        stored.contains("\"ci\"") && !stored.contains(&secret.expose()[6..20]),
        "{stored}"
    );
    assert!(!format!("{robots:?}").contains(&secret.expose()[6..20]));
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_here_and_after_the_next_look_elsewhere() {
    let storage = memory();
    let (here, there) = (read(&storage).await, read(&storage).await);
    let (secret, listed) = here.create(&wanted("ci"), now()).await.unwrap();
    let text = secret.expose().as_bytes();
    assert!(there.recognise(text, now()).is_none());
    there.refresh().await.unwrap();
    assert!(there.recognise(text, now()).is_some());
    assert!(there.by_id(listed.robot.id(), now()).is_some());

    // By a process that has not seen it.
    let revoked = read(&storage)
        .await
        .revoke(&listed.robot.id().to_string(), now())
        .await
        .unwrap();
    assert_eq!(revoked.robot.name(), "ci");
    there.refresh().await.unwrap();
    assert!(there.recognise(text, now()).is_none() && there.by_id(listed.robot.id(), now()).is_none());
    let again = here.revoke("ci", now()).await.unwrap_err();
    assert!(matches!(again, RobotError::NotFound(_)), "{again}");

    let (secret, _) = here.create(&wanted("ci"), now()).await.unwrap();
    here.revoke("ci", now()).await.unwrap();
    assert!(here.recognise(secret.expose().as_bytes(), now()).is_none());
}

#[tokio::test]
async fn a_rotation_ends_the_old_secret_and_begins_the_time_anew() {
    let robots = read(&memory()).await;
    let (old, listed) = robots.create(&wanted("ci"), now()).await.unwrap();
    let later = now() + 89 * DAY;
    let (new, rotated) = robots.rotate("ci", None, later).await.unwrap();
    assert_eq!(rotated.robot.id(), listed.robot.id());
    assert!(robots.recognise(old.expose().as_bytes(), later).is_none());
    assert!(
        robots
            .recognise(new.expose().as_bytes(), later + 89 * DAY)
            .is_some()
    );
    let (short, _) = robots.rotate("ci", Some(DAY), later).await.unwrap();
    assert!(robots.recognise(short.expose().as_bytes(), later + DAY).is_none());
    let error = robots.rotate("other", None, later).await.unwrap_err();
    assert!(matches!(error, RobotError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn an_expired_token_is_listed_for_a_month() {
    let robots = read(&memory()).await;
    let (secret, _) = robots.create(&wanted("ci"), now()).await.unwrap();
    let end = now() + 90 * DAY;
    assert!(
        robots
            .recognise(secret.expose().as_bytes(), end - Duration::from_secs(1))
            .is_some()
    );
    assert!(robots.recognise(secret.expose().as_bytes(), end).is_none());
    let [listed] = &robots.list(end)[..] else { panic!() };
    assert!(listed.is_expired);
    let forever = Wanted {
        lifetime: None,
        ..wanted("forever")
    };
    robots.create(&forever, end + 30 * DAY).await.unwrap();
    assert_eq!(robots.list(end).len(), 2);
    let names = |robots: &Robots| {
        let list = robots.list(end).into_iter();
        list.map(|listed| listed.robot.name().to_owned())
            .collect::<Vec<_>>()
    };
    let another = Wanted {
        name: "another".to_owned(),
        ..forever
    };
    robots.create(&another, end + 31 * DAY).await.unwrap();
    assert_eq!(names(&robots), ["another", "forever"]);
}

#[tokio::test]
async fn the_last_use_is_written_in_batches_and_by_each_replica() {
    let storage = memory();
    let (here, there) = (read(&storage).await, read(&storage).await);
    let (secret, _) = here.create(&wanted("ci"), now()).await.unwrap();
    there.refresh().await.unwrap();
    let use_at = |robots: &Robots, seconds| {
        let time = now() + Duration::from_secs(seconds);
        robots.recognise(secret.expose().as_bytes(), time).unwrap();
    };
    use_at(&here, 5);
    use_at(&there, 9);
    use_at(&there, 7);
    assert!(
        storage.stat(&layout::robot_token_uses()).await.is_err(),
        "nothing is written yet"
    );
    there.write_uses().await.unwrap();
    // A server writes when it stops as well.
    here.upkeep().drain().await;
    let used = read(&storage).await.list(now())[0].used;
    assert_eq!(used, Some(1_800_000_009));
    let before = storage
        .read(&layout::robot_token_uses(), 1000)
        .await
        .unwrap()
        .bytes;
    there.write_uses().await.unwrap();
    assert_eq!(
        storage
            .read(&layout::robot_token_uses(), 1000)
            .await
            .unwrap()
            .bytes,
        before
    );
}

#[tokio::test]
async fn what_no_token_can_be_is_refused() {
    let robots = read(&memory()).await;
    let long = "a".repeat(65);
    for name in ["", "Ci", "a b", ".ci", "ci-", "ä", "../ci", "0123456789ab", &long] {
        let error = robots.create(&wanted(name), now()).await.unwrap_err();
        assert!(matches!(error, RobotError::Name(_)), "{name}: {error}");
    }
    let refused = async |change: fn(&mut Wanted)| {
        let mut wanted = wanted("ci");
        change(&mut wanted);
        robots.create(&wanted, now()).await.unwrap_err()
    };
    let error = refused(|wanted| wanted.repositories.clear()).await;
    assert!(matches!(error, RobotError::NoRepository), "{error}");
    let error = refused(|wanted| wanted.verbs = Verbs::default()).await;
    assert!(matches!(error, RobotError::NoAction), "{error}");
    let error = refused(|wanted| wanted.lifetime = Some(Duration::ZERO)).await;
    assert!(matches!(error, RobotError::Lifetime), "{error}");
    let error = refused(|wanted| wanted.repositories = vec![Pattern::parse("a").unwrap(); 33]).await;
    assert!(matches!(error, RobotError::Patterns), "{error}");
    robots.create(&wanted("ci"), now()).await.unwrap();
    let error = robots.create(&wanted("ci"), now()).await.unwrap_err();
    assert!(matches!(error, RobotError::Exists(_)), "{error}");
    for text in [
        "",
        "wharf_",
        "wharf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000000",
    ] {
        assert!(robots.recognise(text.as_bytes(), now()).is_none());
    }
}

#[tokio::test]
async fn tokens_that_cannot_be_read_stay_as_they_were() {
    let storage = memory();
    let robots = read(&storage).await;
    let (secret, _) = robots.create(&wanted("ci"), now()).await.unwrap();
    let good = storage.read(&layout::robot_tokens(), 10_000).await.unwrap().bytes;
    let text = String::from_utf8(good.to_vec()).unwrap();
    for damaged in [
        text.replace("\"pull\"", "\"admin\""),
        text.replace("team/**", "team//"),
        text.replace("\"sha256\": \"", "\"sha256\": \"!"),
        text.replace("\"id\": \"", "\"id\": \"x"),
        text.replace("\"created\"", "\"made\""),
        text.replace("\"version\": 1", "\"version\": 2"),
    ] {
        assert_ne!(damaged, text);
        let put = Put::new(layout::robot_tokens(), damaged.clone());
        storage.publish(&[put]).await.unwrap();
        robots.refresh().await.unwrap_err();
        assert!(robots.problem().is_some());
        assert!(robots.recognise(secret.expose().as_bytes(), now()).is_some());
        let error = robots.create(&wanted("new"), now()).await.unwrap_err();
        assert!(matches!(error, RobotError::State(_)), "{error}");
        let error = robots.revoke("ci", now()).await.unwrap_err();
        assert!(matches!(error, RobotError::State(_)), "{error}");
        assert!(Robots::new(&storage).refresh().await.is_err());
    }
}
