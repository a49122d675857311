//! What a client can do after its credentials were refused, the same on all surfaces.

use std::{borrow::Cow, time::Duration};

use wharf_access::Reason;

/// What a client can do after its credentials were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Send other ones; the text says why. It never tells whether the name or the password was wrong.
    Authenticate(Cow<'static, str>),
    /// Send the same request after so many seconds.
    Wait(u64, Cow<'static, str>),
    /// Nothing: the check failed because of a bug.
    Nothing,
}

impl Remedy {
    /// The remedy for `reason`; `wrong_scheme` says which scheme the surface takes.
    pub(crate) fn of(reason: &Reason, wrong_scheme: &'static str) -> Self {
        Self::Authenticate(match reason {
            Reason::WrongCredentials => WRONG.into(),
            Reason::WrongScheme => wrong_scheme.into(),
            Reason::BadToken(rejection) => rejection.to_string().into(),
            Reason::Malformed(what) => (*what).into(),
            Reason::Guessing(wait) => {
                let seconds = seconds(*wait);
                let text = format!("{GUESSING}; the next one is looked at in {seconds} s");
                return Self::Wait(seconds, text.into());
            }
            Reason::Busy => {
                let text = "too many passwords are being checked; the same request will succeed in a moment";
                return Self::Wait(1, text.into());
            }
            Reason::Failed => return Self::Nothing,
        })
    }
}

/// The refusal of a name or a password.
pub(crate) const WRONG: &str = "the user name or password is wrong";

/// The refusal of a client that guesses passwords. It never tells whether the account exists.
pub(crate) const GUESSING: &str = "too many wrong passwords came from this address, or for this user name";

/// The whole seconds after which a wait is over for sure.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}
