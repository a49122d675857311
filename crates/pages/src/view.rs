//! How a view becomes HTML.

use askama::Template;

/// A page, ready to be written.
pub trait View: Template {
    /// The HTML of the whole page. Pages with hundreds of rows take some milliseconds, so they are made on a blocking thread.
    ///
    /// # Errors
    ///
    /// Where a part of the page cannot be written, which no part does today.
    fn html(&self) -> Result<String, NotRendered> {
        self.render().map_err(NotRendered)
    }
}

/// A page could not be written.
#[derive(Debug)]
pub struct NotRendered(askama::Error);

impl std::fmt::Display for NotRendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write a page: {}", self.0)
    }
}

impl std::error::Error for NotRendered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
