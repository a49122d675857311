//! The store of a row that collects.

use std::path::Path;

use super::server::{Server, Stage};

/// A server's turn at a row that collects: nothing is started yet.
pub(crate) struct Store<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) server: &'a Server,
    pub(crate) root: &'a Path,
    pub(crate) quick: bool,
}
