//! What a token of this registry is bound to: it ends at the moment at which that ends.

use crate::{robot::Id, stamp::Stamp};

/// What a token ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Nothing but its time: the token of a client without an account
    Time,
    /// A user, with the password that it has
    User(Stamp),
    /// A robot token, with the secret that it has
    Robot(Id, Stamp),
}
