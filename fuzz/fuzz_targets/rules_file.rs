//! Files of access rules: nothing panics, every problem names a line of the file, and what no rule fits is denied.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_access::{
    Action, Resource, Verb,
    rules::{Asker, Verdict, Weight, read},
};

fuzz_target!(|data: &[u8]| {
    let reading = read(data);
    let lines = 1 + data.iter().filter(|&&byte| byte == b'\n' || byte == b'\r').count();
    for problem in &reading.problems {
        assert!(problem.line <= lines + 1, "{problem}");
        assert!(!problem.to_string().is_empty());
    }
    let has_error = reading.problems.iter().any(|problem| problem.weight == Weight::Error);
    assert_eq!(reading.is_usable(), !has_error);
    let name = "team/app".parse().unwrap();
    for account in [None, Some("alice")] {
        let asker = Asker {
            groups: &[],
            account,
            address: "10.1.2.3".parse().ok(),
        };
        let resource = Resource::Repository(&name);
        let verb = Verb::Push;
        let verdict = reading.rules.decide(asker, Action { resource, verb }, Some("v1"));
        if reading.rules.list().is_empty() {
            assert_eq!(verdict, Verdict::Denied(None));
        }
        let _ = reading.rules.visible(asker).may_have("team/app");
        let _ = reading.rules.administers(asker);
    }
});
