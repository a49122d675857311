//! What nearly every request does: a password that was right lately, and a rule among many.

#![expect(clippy::disallowed_methods, reason = "plays the operator who makes the files")]

use std::{fs, net::IpAddr, thread, time::Duration};

use tempfile::TempDir;
use wharf_access::{
    Access, Action, Authorization, Credentials, Resource, Verb,
    htpasswd::Htpasswd,
    rules::{Configured, RulesFile},
};
use wharf_oci::RepoName;
use wharf_testkit::allocations::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `alice:pw`, at the lowest cost.
const ALICE: &str = "alice:$2y$04$A36aGQb/1SNZUdysIYEbK..c6i7u.silee0qGDv/4kYu2oV3.ZtFG\n";

#[tokio::test]
async fn a_decision_allocates_nothing() {
    let directory = TempDir::with_prefix("wharf-decisions-").unwrap();
    let (users, rules) = (
        directory.path().join("htpasswd"),
        directory.path().join("rules.yml"),
    );
    fs::write(&users, ALICE).unwrap();
    let others = (0..200).map(|number| {
        format!("- {{accounts: [user{number}, '@ci'], repositories: 'team{number}/**', from: 10.0.0.0/8, allow: pull}}\n")
    });
    let text: String = others.collect();
    let text = format!(
        "groups: {{ci: [robot]}}\nrules:\n{text}- {{accounts: alice, repositories: '**/a?p', tags: 'v*', allow: pull}}\n"
    );
    fs::write(&rules, text).unwrap();
    // Until its stamps are old a file is compared by its content.
    thread::sleep(Duration::from_millis(2_200));
    let access = Access::with_htpasswd("registry".to_owned(), Htpasswd::open(&users).unwrap().0)
        .with_rules_of(RulesFile::open(&rules, Configured::default()).unwrap());
    let name: RepoName = "one/two/app".parse().unwrap();
    let pull = [Action {
        resource: Resource::Repository(&name),
        verb: Verb::Pull,
    }];
    let address: IpAddr = "10.1.2.3".parse().unwrap();
    let credentials = || Credentials::of_headers([b"Basic YWxpY2U6cHc=".as_slice()].into_iter());
    access.authenticate(&credentials(), Some(address)).await.unwrap();
    let decide = || {
        let principal = access.authenticate_at_once(&credentials()).unwrap().unwrap();
        let decision = access.authorize(&principal, &pull, Some("v1"), Some(address));
        assert!(matches!(decision, Authorization::Allowed(_)), "{decision:?}");
    };
    decide();
    assert_eq!(allocations(|| (0..100).for_each(|_| decide())), 0);
}
