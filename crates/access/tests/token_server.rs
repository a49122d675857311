//! Tokens of this registry as a way to log in: what each kind may do, and what ends it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test is the operator, and edits the files"
)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_access::{
    Access, Action, Authorization, Basic, Credentials, Login, Reason, Resource, TokenServer, Verb, Via,
    htpasswd::Htpasswd,
    issuer::{Issuer, Options, Subject},
    password,
    robot::{Robots, Wanted},
    rules::{Configured, Pattern, Verbs},
    scope::Scope,
    token::{Realm, Rejection},
};
use wharf_storage::{Storage, object::ObjectStorage};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Scene {
    directory: tempfile::TempDir,
    access: Access,
    robots: Robots,
    issuer: Issuer,
}

impl Scene {
    /// A registry with these users, each with its own name as its password.
    async fn with_users(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_users(directory.path(), names);
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let options = Options {
            realm: Realm::Fixed("https://hub.example/auth/token".to_owned()),
            service: "wharf".to_owned(),
            issuer: "wharf".to_owned(),
            expiry: DAY,
            refresh_expiry: DAY,
            rotation: DAY,
        };
        let (issuer, robots) = (Issuer::new(&storage, options), Robots::new(&storage));
        issuer.start(SystemTime::now()).await.unwrap();
        robots.refresh().await.unwrap();
        let (users, _) = Htpasswd::open(&directory.path().join("htpasswd")).unwrap();
        let access = Access::with_htpasswd("realm".to_owned(), users);
        let access = access.with_token_server(TokenServer::new(issuer.clone(), robots.clone()));
        Self {
            directory,
            access,
            robots,
            issuer,
        }
    }

    async fn robot(&self, creator: Option<&str>, pattern: &str) -> String {
        let wanted = Wanted {
            name: format!("r-{}", creator.unwrap_or("operator")),
            repositories: vec![Pattern::parse(pattern).unwrap()],
            verbs: Verbs::default().with(Verb::Pull).with(Verb::Push),
            creator: creator.map(str::to_owned),
            lifetime: None,
        };
        let (secret, _) = self.robots.create(&wanted, SystemTime::now()).await.unwrap();
        secret.expose().to_owned()
    }

    fn users_are(&self, names: &[&str]) {
        write_users(self.directory.path(), names);
    }

    async fn login(&self, name: &str, password: &str) -> Result<Login, Reason> {
        let basic = Credentials::Basic(Basic::new(name, password.as_bytes()));
        self.access.log_in(&basic, None).await
    }

    fn token(&self, login: &Login, scope: &str) -> String {
        let scopes = Scope::list([scope]).unwrap();
        let scopes = self.access.cut_down(&login.principal, &scopes, None);
        let subject = Subject {
            account: login.principal.account().map(|name| &**name),
            binding: login.binding,
        };
        self.issuer
            .issue(subject, &scopes, SystemTime::now())
            .unwrap()
            .token
    }

    /// What the bearer of a token may do to a repository: `allowed`, or why not.
    async fn may(&self, token: &str, name: &str, verb: Verb) -> &'static str {
        let credentials = Credentials::Bearer(token.as_bytes());
        let principal = match self.access.authenticate(&credentials, None).await {
            Ok(principal) => principal,
            Err(Reason::BadToken(Rejection::Ended)) => return "ended",
            Err(other) => panic!("{other:?}"),
        };
        let name = name.parse().unwrap();
        let resource = Resource::Repository(&name);
        match self
            .access
            .authorize(&principal, &[Action { resource, verb }], None, None)
        {
            Authorization::Allowed(_) => "allowed",
            Authorization::Forbidden(_) => "forbidden",
            Authorization::Unauthenticated => "unauthenticated",
            Authorization::InsufficientScope => "scope",
        }
    }

    /// A refresh token for a robot token of the operator, which was logged in with.
    fn refresh(&self, login: &Login) -> String {
        let subject = Subject {
            account: None,
            binding: login.binding,
        };
        let refresh = self.issuer.issue_refresh(subject, None, SystemTime::now());
        refresh.unwrap()
    }
}

fn write_users(directory: &Path, names: &[&str]) {
    let line = |name: &&str| format!("{name}:{}\n", password::hash(name.as_bytes(), 4).unwrap());
    let lines: String = names.iter().map(line).collect();
    std::fs::write(directory.join("htpasswd"), lines).unwrap();
}

fn public() -> Configured {
    Configured {
        admins: Vec::new(),
        anonymous: vec![Pattern::parse("public/**").unwrap()],
    }
}

#[tokio::test]
async fn a_robot_ends_with_its_creator_and_with_nothing_else_of_it() {
    let scene = Scene::with_users(&["alice", "bob"]).await;
    let robot = scene.robot(Some("alice"), "team/*").await;
    assert_eq!(scene.may(&robot, "team/app", Verb::Push).await, "allowed");
    assert_eq!(scene.may(&robot, "team/app", Verb::Delete).await, "forbidden");
    assert_eq!(scene.may(&robot, "other", Verb::Pull).await, "forbidden");
    let issued = scene.token(
        &scene.login("x", &robot).await.unwrap(),
        "repository:team/app:pull,delete",
    );
    assert_eq!(scene.may(&issued, "team/app", Verb::Pull).await, "allowed");
    // Narrower than the robot token that it was issued for.
    assert_eq!(scene.may(&issued, "team/app", Verb::Push).await, "scope");
    // The password of its creator is another one: the same user.
    scene.users_are(&["alice", "bob"]);
    assert_eq!(scene.may(&robot, "team/app", Verb::Pull).await, "allowed");
    scene.users_are(&["bob"]);
    assert_eq!(scene.may(&robot, "team/app", Verb::Pull).await, "ended");
    assert_eq!(scene.may(&issued, "team/app", Verb::Pull).await, "ended");
    assert!(scene.login("x", &robot).await.is_err());
}

#[tokio::test]
async fn a_revoked_robot_ends_what_was_issued_for_it() {
    let scene = Scene::with_users(&["alice"]).await;
    let robot = scene.robot(None, "**").await;
    let login = scene.login("x", &robot).await.unwrap();
    assert!(matches!(login.principal.via(), Via::Robot(_)) && login.principal.account().is_none());
    assert_eq!(
        login.principal.actor().map(|name| &**name),
        Some("robot:r-operator")
    );
    let issued = scene.token(&login, "repository:a:pull");
    let refresh = scene.refresh(&login);
    scene.access.redeem(refresh.as_bytes(), None).await.unwrap();
    assert_eq!(scene.may(&issued, "a", Verb::Pull).await, "allowed");
    scene
        .robots
        .revoke("r-operator", SystemTime::now())
        .await
        .unwrap();
    assert_eq!(scene.may(&robot, "a", Verb::Pull).await, "ended");
    assert_eq!(scene.may(&issued, "a", Verb::Pull).await, "ended");
    let redeemed = scene.access.redeem(refresh.as_bytes(), None).await;
    assert_eq!(redeemed.unwrap_err(), Reason::BadToken(Rejection::Ended));
}

/// A secret that leaked is rotated; what was fetched with it must not outlive it.
#[tokio::test]
async fn a_rotated_robot_ends_what_was_fetched_with_its_old_secret() {
    let scene = Scene::with_users(&["alice"]).await;
    let robot = scene.robot(None, "**").await;
    let login = scene.login("x", &robot).await.unwrap();
    let issued = scene.token(&login, "repository:a:pull");
    let refresh = scene.refresh(&login);
    assert_eq!(scene.may(&issued, "a", Verb::Pull).await, "allowed");
    let now = SystemTime::now();
    let (secret, _) = scene.robots.rotate("r-operator", None, now).await.unwrap();
    assert_eq!(scene.may(&issued, "a", Verb::Pull).await, "ended");
    let redeemed = scene.access.redeem(refresh.as_bytes(), None).await;
    assert_eq!(redeemed.unwrap_err(), Reason::BadToken(Rejection::Ended));
    let renewed = scene.login("x", secret.expose()).await.unwrap();
    let issued = scene.token(&renewed, "repository:a:pull");
    assert_eq!(scene.may(&issued, "a", Verb::Pull).await, "allowed");
}

#[tokio::test]
async fn a_robot_is_never_wider_than_its_creator() {
    let mut scene = Scene::with_users(&["alice"]).await;
    let (own, operators) = (
        scene.robot(Some("alice"), "**").await,
        scene.robot(None, "**").await,
    );
    let path = scene.directory.path().join("rules.yml");
    std::fs::write(
        &path,
        "rules: [{accounts: alice, repositories: 'team/**', allow: pull}]\n",
    )
    .unwrap();
    let rules = wharf_access::rules::RulesFile::open(&path, public()).unwrap();
    scene.access = scene.access.with_rules_of(rules);
    assert_eq!(scene.may(&own, "team/app", Verb::Pull).await, "allowed");
    assert_eq!(scene.may(&own, "team/app", Verb::Push).await, "forbidden");
    assert_eq!(scene.may(&own, "other", Verb::Pull).await, "forbidden");
    assert_eq!(scene.may(&operators, "other", Verb::Push).await, "allowed");
    assert_eq!(scene.may(&operators, "other", Verb::Delete).await, "forbidden");
    let login = scene.login("x", &own).await.unwrap();
    let scopes = Scope::list(["repository:team/app:pull,push repository:other:pull"]).unwrap();
    let granted: Vec<String> = scene
        .access
        .cut_down(&login.principal, &scopes, None)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(granted, ["repository:team/app:pull", "repository:other:"]);
}

/// Recognised without a look at anything but memory and the metadata of the password file.
#[tokio::test]
async fn a_token_that_was_seen_is_recognised_at_once() {
    let scene = Scene::with_users(&["alice"]).await;
    let login = scene.login("alice", "alice").await.unwrap();
    let issued = scene.token(&login, "repository:a:pull");
    let credentials = Credentials::Bearer(issued.as_bytes());
    assert!(scene.access.authenticate_at_once(&credentials).is_none());
    // Until the time stamp of the password file is old enough to tell every change, it is read each time.
    let users = scene.access.htpasswd().unwrap();
    while users.stamp_at_once("alice").is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        users.stamp("alice").await;
    }
    scene.access.authenticate(&credentials, None).await.unwrap();
    let principal = scene.access.authenticate_at_once(&credentials).unwrap().unwrap();
    assert_eq!(principal.account().map(|name| &**name), Some("alice"));
    let robot = scene.robot(Some("alice"), "**").await;
    for credentials in [
        Credentials::Bearer(robot.as_bytes()),
        Credentials::Basic(Basic::new("x", robot.as_bytes())),
    ] {
        let principal = scene.access.authenticate_at_once(&credentials).unwrap().unwrap();
        assert!(matches!(principal.via(), Via::Robot(_)));
    }
}
