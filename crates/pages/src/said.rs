//! A sentence of a service, in the language of the page.

use wharf_message::{Argument, ENGLISH, Message, Span};

use crate::{
    catalogue::{self, Form},
    figures,
    foreign::Line,
    language::Lang,
    text::{Text, escape},
};

/// A sentence that a service says, or none.
///
/// In English it is what the service writes. In another language it is made of its [`Message`]s by the catalogue of sentences; what has
/// no text there stands in English, and is marked as such.
#[derive(Debug, Clone, Default)]
pub struct Said {
    html: String,
    plain: String,
}

impl Said {
    /// The sentence `english`, which says `messages`.
    pub fn of(lang: Lang, english: &str, messages: &[Message]) -> Self {
        let translated: Option<Vec<Self>> = match lang {
            Lang::En => None,
            _ if english.is_empty() || messages.is_empty() => None,
            _ => messages.iter().map(|message| spoken(lang, message)).collect(),
        };
        let Some(parts) = translated else {
            return Self::from(Line::from(english));
        };
        Self::joined(lang, parts)
    }

    /// Sentences, one after the other.
    pub fn joined(lang: Lang, parts: impl IntoIterator<Item = Self>) -> Self {
        let mut said = Self::default();
        for part in parts {
            let between = match said.plain.chars().last() {
                None => "",
                Some(':' | '：') => " ",
                Some(_) if lang == Lang::Zh => "；",
                Some(_) => "; ",
            };
            for (whole, part) in [(&mut said.html, part.html), (&mut said.plain, part.plain)] {
                whole.push_str(between);
                whole.push_str(&part);
            }
        }
        said
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// The sentence for attributes and programs: without markup.
    pub fn plain(&self) -> &str {
        &self.plain
    }

    /// The text with the sentence in the place of `{name}`.
    pub fn put_into(self, text: Text, name: &'static str) -> Text {
        text.marked(name, self.html, self.plain)
    }

    /// The HTML of the sentence.
    pub(crate) fn html(&self) -> &str {
        &self.html
    }

    fn push(&mut self, text: &str) {
        escape(&mut self.html, text);
        self.plain.push_str(text);
    }

    /// Adds a value, isolated from what stands around it.
    fn push_foreign(&mut self, text: &str, open: &str, close: &str) {
        let text = Line::from(text);
        self.html.push_str(open);
        escape(&mut self.html, text.as_str());
        self.html.push_str(close);
        self.plain.push('\u{2068}');
        self.plain.push_str(text.as_str());
        self.plain.push('\u{2069}');
    }
}

/// A text that exists in English only: isolated, marked, and with what stands between backticks as code.
impl From<Line> for Said {
    fn from(text: Line) -> Self {
        match text.is_empty() {
            true => Self::default(),
            false => Self {
                html: format!("<bdi lang=\"en\">{}</bdi>", with_code(text.as_str())),
                plain: text.to_string(),
            },
        }
    }
}

/// A text of the catalogue.
impl From<Text> for Said {
    fn from(text: Text) -> Self {
        Self {
            html: text.to_string(),
            plain: text.attr(),
        }
    }
}

/// What `message` says in a language; `None` where its catalogue has no text for it.
fn spoken(lang: Lang, message: &Message) -> Option<Said> {
    if message.code == ENGLISH {
        return match message.arguments.get("text") {
            Some(Argument::English(text)) => Some(Said::from(Line::from(text))),
            _ => None,
        };
    }
    let entry = catalogue::sentence(lang, &message.code)?;
    let form = match message.arguments.get("n") {
        Some(Argument::Number(count)) => catalogue::form(lang, *count),
        _ => Form::Other,
    };
    let mut said = Said::default();
    let mut is_code = false;
    let mut rest = entry.form(form);
    while let Some(place) = rest.find(['{', '`']) {
        let (before, found) = rest.split_at(place);
        said.push(before);
        if let Some(after) = found.strip_prefix('`') {
            said.html.push_str(if is_code { "</code>" } else { "<code>" });
            is_code = !is_code;
            rest = after;
            continue;
        }
        let end = found.find('}').map_or(found.len(), |end| end + 1);
        let (name, after) = found.split_at(end);
        let argument = message.arguments.get(name.trim_matches(['{', '}']))?;
        push_argument(&mut said, lang, argument);
        rest = after;
    }
    said.push(rest);
    if is_code {
        said.html.push_str("</code>");
    }
    Some(said)
}

fn push_argument(said: &mut Said, lang: Lang, argument: &Argument) {
    match argument {
        Argument::Text(text) => said.push_foreign(text, "<bdi>", "</bdi>"),
        Argument::Texts(texts) => {
            for (place, text) in texts.iter().enumerate() {
                match lang {
                    _ if place == 0 => {}
                    Lang::Zh => said.push("、"),
                    Lang::En | Lang::Ru | Lang::Es => said.push(", "),
                }
                said.push_foreign(text, "<code><bdi>", "</bdi></code>");
            }
        }
        Argument::Number(number) => said.push(&figures::number(lang, *number)),
        Argument::Seconds(seconds) => said.push(&span(lang, *seconds).attr()),
        Argument::Bytes(bytes) => said.push(&figures::size(lang, *bytes)),
        Argument::English(text) => said.push_foreign(text, "<bdi lang=\"en\">", "</bdi>"),
    }
}

/// A span of time.
fn span(lang: Lang, seconds: u64) -> Text {
    let (unit, number) = Span::in_largest_unit(seconds);
    Text::of(lang, format!("duration.{unit}")).n(number)
}

/// An English text with what stands between backticks as code.
fn with_code(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 64);
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
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let html = |text: &str| Said::from(Line::from(text)).html;
        assert_eq!(
            html("push `a:1` or `b`"),
            "<bdi lang=\"en\">push <code>a:1</code> or <code>b</code></bdi>"
        );
        assert_eq!(html("`<b>`"), "<bdi lang=\"en\"><code>&#60;b&#62;</code></bdi>");
        assert_eq!(html("a `b"), "<bdi lang=\"en\">a `b</bdi>");
        assert_eq!(html("`a` b `c"), "<bdi lang=\"en\"><code>a</code> b `c</bdi>");
        assert_eq!(html("\u{202e}"), r#"<bdi lang="en">\u{202e}</bdi>"#);
    }

    fn stays(code: &'static str) -> Message {
        Message::new(code)
    }

    #[test]
    fn a_sentence_is_in_the_language_of_the_page_with_its_values_isolated() {
        let tag = stays("stays.also-tag").with("tag", Argument::Text("<1.0>\u{202e}".to_owned()));
        let said = Said::of(
            Lang::Ru,
            "it also has the tag `<1.0>`",
            std::slice::from_ref(&tag),
        );
        assert_eq!(
            said.html,
            r"у него есть ещё тег <code><bdi>&#60;1.0&#62;\u{202e}</bdi></code>"
        );
        assert_eq!(said.plain, "у него есть ещё тег \u{2068}<1.0>\\u{202e}\u{2069}");
        let english = Said::of(Lang::En, "it also has the tag `1.0`", &[tag]);
        assert_eq!(
            english.html,
            "<bdi lang=\"en\">it also has the tag <code>1.0</code></bdi>"
        );
    }

    #[test]
    fn parts_follow_each_other_as_the_language_joins_them() {
        let young = stays("stays.young");
        let why = stays(ENGLISH).with("text", Argument::English("broken pipe".to_owned()));
        let both = [young, why];
        assert_eq!(
            Said::of(Lang::Zh, "…", &both).html,
            "还太新；<bdi lang=\"en\">broken pipe</bdi>"
        );
        assert!(Said::of(Lang::Es, "…", &both).html.contains("; <bdi"));
        let named = stays("at.repository").with("repository", Argument::Text("app".to_owned()));
        let both = [named, stays("stays.young")];
        assert!(Said::of(Lang::Ru, "…", &both).plain.contains(": "));
    }

    #[test]
    fn a_sentence_without_a_text_stays_english() {
        let unknown = [stays("stays.young"), stays("no.such")];
        assert_eq!(
            Said::of(Lang::Ru, "it is too young; new", &unknown).html,
            "<bdi lang=\"en\">it is too young; new</bdi>"
        );
        assert!(Said::of(Lang::Ru, "", &unknown).is_empty());
        // An argument that is not there is no reason to show a place.
        assert_eq!(
            Said::of(Lang::Ru, "it also has a tag", &[stays("stays.also-tag")]).html,
            "<bdi lang=\"en\">it also has a tag</bdi>"
        );
    }

    #[test]
    fn spans_and_numbers_are_those_of_the_language() {
        let old = stays("retention.old")
            .with("age", Argument::Seconds(22 * 86_400))
            .with("limit", Argument::Seconds(14 * 86_400));
        let said = Said::of(Lang::Ru, "…", &[old]);
        assert!(
            said.plain.contains("22\u{a0}дня") || said.plain.contains("22 дня"),
            "{said:?}"
        );
        assert!(said.plain.contains("14"), "{said:?}");
    }
}
