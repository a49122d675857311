//! What a token may have at most, so that none costs more than its signature.

/// The longest token that is looked at, in bytes. Longer ones do not fit into the headers of most servers either.
pub const TOKEN_LIMIT: usize = 16 << 10;

/// The most certificates in a chain, the first included. The paths through `n` others may be `n!`, and each that ends
/// at the name of a root costs a signature.
pub(super) const CERTIFICATES: usize = 4;

/// The most resources in a token.
pub(super) const RESOURCES: usize = 256;

/// The most actions on one resource.
pub(super) const ACTIONS: usize = 32;

/// The longest account name, in bytes.
pub(super) const ACCOUNT: usize = 255;
