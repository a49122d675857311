//! Entries of docker_auth's `acl`: nothing panics, and a condition never makes an entry fit more than one without it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_access::{
    Action, Resource, Verb,
    rules::{Asker, Verdict, read},
};

fuzz_target!(|conditions: (&str, &str, &str)| {
    let (account, name, label) = conditions;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''").replace(['\n', '\r'], " "));
    let text = format!(
        "users: {{alice: {{labels: {{group: [dev, {label}]}}}}}}\nacl:\n- match: {{account: {account}, name: {name}}}\n  actions: ['*']\n",
        account = quoted(account),
        name = quoted(name),
        label = quoted(label),
    );
    let reading = read(text.as_bytes());
    let repository = "team/app".parse().unwrap();
    for account in [None, Some("alice"), Some("bob")] {
        let asker = Asker { account, groups: &[], address: None };
        let resource = Resource::Repository(&repository);
        let verb = Verb::Pull;
        let verdict = reading.rules.decide(asker, Action { resource, verb }, None);
        if name.is_empty() {
            assert!(matches!(verdict, Verdict::Denied(_)), "no repository has an empty name: {text}");
        }
        assert!(matches!(reading.rules.administers(asker), Verdict::Denied(_)));
    }
});
