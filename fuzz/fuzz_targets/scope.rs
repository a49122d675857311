//! Token scopes: what is read shows as it was written, and no cut makes more of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_access::scope::{SCOPES, SCOPE_ACTIONS, Scope, Scoped};

fuzz_target!(|text: &str| {
    if let Ok(scope) = text.parse::<Scope>() {
        assert_eq!(scope.to_string(), text);
        assert!(scope.actions().count() <= SCOPE_ACTIONS);
        if let Some(Scoped::Repository(name)) = scope.resource() {
            assert_eq!(name.as_str(), scope.name());
        }
        let granted = scope.cut_down(|_| true);
        assert_eq!(granted.to_string().parse::<Scope>().as_ref(), Ok(&granted));
        assert!(granted.actions().all(|action| scope.actions().any(|other| other == action)));
        assert_eq!(scope.cut_down(|_| false).actions().count(), 0);
    }
    if let Ok(scopes) = Scope::list([text]) {
        assert!(scopes.len() <= SCOPES);
    }
});
