//! The stamp of a user: it changes with the password, and ends with the user.
#![expect(
    clippy::disallowed_methods,
    reason = "the test is the operator, and edits the file"
)]

use wharf_access::{
    htpasswd::{FileChanged, Htpasswd},
    password,
};

#[tokio::test]
async fn a_stamp_follows_the_password_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    let line =
        |name: &str, password: &str| format!("{name}:{}\n", password::hash(password.as_bytes(), 4).unwrap());
    let (alice, bob) = (line("alice", "one"), line("bob", "one"));
    std::fs::write(&path, format!("{alice}{bob}")).unwrap();
    let (users, _) = Htpasswd::open(&path).unwrap();
    let first = users.stamp("alice").await.unwrap();
    assert_ne!(Some(first), users.stamp("bob").await);
    assert_eq!(users.stamp("carol").await, None);

    // Another line of another user, and another order, change nothing.
    std::fs::write(&path, format!("{}{alice}", line("bob", "two"))).unwrap();
    assert_eq!(users.stamp_at_once("alice"), Err(FileChanged));
    assert_eq!(users.stamp("alice").await, Some(first));

    // The same password is another one: its hash has another salt.
    std::fs::write(&path, line("alice", "one")).unwrap();
    let second = users.stamp("alice").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(users.stamp("bob").await, None);
    let (elsewhere, _) = Htpasswd::open(&path).unwrap();
    assert_eq!(elsewhere.stamp("alice").await, Some(second));

    // A line that disables its user.
    std::fs::write(&path, "alice:{SHA}abc\n").unwrap();
    assert_eq!(users.stamp("alice").await, None);
}
