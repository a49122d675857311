//! The filters of the templates.

use askama::filters::HtmlSafeOutput;

use crate::{said::Said, text::Text};

/// A sentence, of the catalogue or of a service.
#[askama::filter_fn]
pub(crate) fn prose(sentence: impl Prose, _: &dyn askama::Values) -> askama::Result<HtmlSafeOutput<String>> {
    Ok(HtmlSafeOutput(sentence.html()))
}

/// What [`prose`] writes.
pub(crate) trait Prose {
    /// The HTML of the sentence.
    fn html(&self) -> String;
}

impl Prose for Text {
    fn html(&self) -> String {
        self.to_string()
    }
}

impl Prose for Said {
    fn html(&self) -> String {
        Said::html(self).to_owned()
    }
}

impl<T: Prose + ?Sized> Prose for &T {
    fn html(&self) -> String {
        (**self).html()
    }
}
