//! Features that a row of the benchmark needs of a server.

/// A feature beyond plain HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Feature {
    Plain,
    /// HTTPS, TLS 1.3.
    Tls,
    /// HTTP Basic against a bcrypt file.
    Htpasswd,
    /// HTTP Basic, and 200 access rules.
    Rules,
    /// Bearer tokens signed by another service.
    Token,
    /// A screen of tags, with what they point at, in one request; and a web page.
    Screens,
    /// A command that removes unreferenced content.
    Collection,
    /// A command that lets the running server remove unreferenced content.
    OnlineCollection,
}
