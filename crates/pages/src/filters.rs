//! The filters of the templates.

use askama::filters::HtmlSafeOutput;

use crate::{
    foreign::Line,
    text::{Text, escape},
};

/// A sentence: one of the catalogue as it is; one of a service escaped, isolated, marked as English, and with what stands between backticks
/// as code.
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

impl Prose for Line {
    fn html(&self) -> String {
        sentence(self.as_str())
    }
}

impl<T: Prose + ?Sized> Prose for &T {
    fn html(&self) -> String {
        (**self).html()
    }
}

fn sentence(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 64);
    html.push_str("<bdi lang=\"en\">");
    let mut is_code = false;
    let parts = text.split('`');
    let last = text.matches('`').count();
    for (index, part) in parts.enumerate() {
        // A backtick without a partner is a character.
        if index > 0 && index == last && last % 2 == 1 {
            html.push('`');
        } else if index > 0 {
            html.push_str(if is_code { "</code>" } else { "<code>" });
            is_code = !is_code;
        }
        escape(&mut html, part);
    }
    html.push_str("</bdi>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let html = |text: &str| Line::from(text).html();
        assert_eq!(
            html("push `a:1` or `b`"),
            "<bdi lang=\"en\">push <code>a:1</code> or <code>b</code></bdi>"
        );
        assert_eq!(html("`<b>`"), "<bdi lang=\"en\"><code>&#60;b&#62;</code></bdi>");
        assert_eq!(html("a `b"), "<bdi lang=\"en\">a `b</bdi>");
        assert_eq!(html("`a` b `c"), "<bdi lang=\"en\"><code>a</code> b `c</bdi>");
        assert_eq!(html("\u{202e}"), r#"<bdi lang="en">\u{202e}</bdi>"#);
    }
}
