//! What a server is configured for in a row of the benchmark.

/// What a server is asked to be beyond plain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Feature {
    Plain,
    /// HTTPS, TLS 1.3.
    Tls,
    /// HTTP Basic against a bcrypt file.
    Htpasswd,
    /// Bearer tokens signed by another service.
    Token,
    /// A command that removes what nothing refers to.
    Collection,
}
