//! The values of which samples are made.

use wharf_message::{Argument, Message, Names};
use wharf_pages::{
    Digest, Lang, Line, Node, Pair, Said, Shown, Sorted, TABLE_LIMIT, Text, Theme, Time, Tone,
};

/// A view, or a part of one, with values of a source.
pub(crate) trait Sample: Sized {
    /// The sample.
    fn sample(from: &mut Source) -> Self;
}

/// Where values come from.
#[derive(Clone)]
pub(crate) struct Source {
    /// Language of the pages.
    pub(crate) lang: Lang,
    /// Texts from outside.
    pub(crate) foreign: Vec<String>,
    /// Texts that the server checks before it stores them, such as names of repositories.
    pub(crate) names: Vec<String>,
    /// How many values a list has; of optional values there is one if it is not 0.
    pub(crate) many: usize,
    /// What is said to questions.
    pub(crate) yes: bool,
    /// How many values were taken.
    pub(crate) taken: usize,
    /// How many nodes of the tree were taken.
    pub(crate) nodes: usize,
}

impl Source {
    /// A source of ordinary words.
    pub(crate) fn plain(lang: Lang) -> Self {
        Self {
            lang,
            foreign: vec!["word".to_owned(), "long ".repeat(5_000), String::new()],
            names: vec!["name".to_owned(), "team/app".to_owned()],
            many: 4,
            yes: true,
            taken: 0,
            nodes: 0,
        }
    }

    /// A source without anything to show.
    pub(crate) fn empty(lang: Lang) -> Self {
        Self {
            foreign: vec![String::new()],
            names: vec![String::new()],
            many: 0,
            yes: false,
            ..Self::plain(lang)
        }
    }

    fn number(&mut self) -> usize {
        self.taken += 1;
        self.taken
    }

    fn foreign(&mut self) -> String {
        let number = self.number();
        self.foreign[number % self.foreign.len()].clone()
    }

    fn foreign_line(&mut self) -> Line {
        self.foreign().into()
    }

    fn name(&mut self) -> String {
        let number = self.number();
        self.names[number % self.names.len()].clone()
    }

    /// A path that the server made; empty where there is nothing to show.
    pub(crate) fn url(&mut self) -> String {
        match self.many {
            0 => String::new(),
            _ => "/ui/image/team/app:1.0?platform=linux%2Famd64&cursor=%22%3E".to_owned(),
        }
    }
}

impl Sample for String {
    fn sample(from: &mut Source) -> Self {
        from.name()
    }
}

impl Sample for Line {
    fn sample(from: &mut Source) -> Self {
        from.foreign_line()
    }
}

impl Sample for Said {
    fn sample(from: &mut Source) -> Self {
        let said = from.foreign();
        match from.number() % 2 {
            0 => Line::from(said).into(),
            _ => {
                let message = Message::new("stays.also-tags");
                let names = Names::from_iter([from.foreign(), from.foreign()]);
                let message = message.with("tags", Argument::texts(&names));
                Said::of(from.lang, &said, &[message])
            }
        }
    }
}

impl Sample for Shown {
    fn sample(from: &mut Source) -> Self {
        Shown::of(from.foreign(), TABLE_LIMIT)
    }
}

impl Sample for Pair {
    fn sample(from: &mut Source) -> Self {
        match from.number() % 3 {
            0 => Pair::of("link", "https://example.com/?a=b&c=d"),
            _ => Pair::of(from.foreign(), from.foreign()),
        }
    }
}

impl Sample for Text {
    fn sample(from: &mut Source) -> Self {
        Text::of(from.lang, "copy.what").arg("text", from.foreign())
    }
}

impl Sample for Digest {
    fn sample(_: &mut Source) -> Self {
        format!("sha256:{}", "0123456789abcdef".repeat(4)).into()
    }
}

impl Sample for Time {
    fn sample(_: &mut Source) -> Self {
        Time::parse("2026-11-30T10:48:00Z").unwrap()
    }
}

impl Sample for jiff::Timestamp {
    fn sample(_: &mut Source) -> Self {
        "2026-11-30T11:00:00Z".parse().unwrap()
    }
}

impl Sample for Lang {
    fn sample(from: &mut Source) -> Self {
        from.lang
    }
}

impl Sample for Theme {
    fn sample(from: &mut Source) -> Self {
        if from.yes { Theme::Dark } else { Theme::Auto }
    }
}

impl Sample for Tone {
    fn sample(from: &mut Source) -> Self {
        [Tone::Plain, Tone::Info, Tone::Good, Tone::Warn, Tone::Bad][from.number() % 5]
    }
}

impl Sample for Sorted {
    fn sample(from: &mut Source) -> Self {
        [Sorted::No, Sorted::Ascending, Sorted::Descending][from.number() % 3]
    }
}

/// A directory with a repository in it, and another one that is a link.
impl Sample for Node {
    fn sample(from: &mut Source) -> Self {
        from.nodes += 1;
        match from.nodes % 4 {
            1 => Node::Open(Sample::sample(from)),
            2 => Node::Repository(Box::new(Sample::sample(from))),
            3 => Node::Close,
            _ => Node::Folded(Sample::sample(from)),
        }
    }
}

/// Words of the program itself: keys of texts, names of icons.
impl Sample for &'static str {
    fn sample(_: &mut Source) -> Self {
        "unknown"
    }
}

impl Sample for bool {
    fn sample(from: &mut Source) -> Self {
        from.yes
    }
}

impl Sample for u64 {
    fn sample(from: &mut Source) -> Self {
        if from.many == 0 {
            0
        } else {
            from.number() as u64 * 1_234_567
        }
    }
}

impl Sample for u16 {
    fn sample(_: &mut Source) -> Self {
        404
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(from: &mut Source) -> Self {
        (from.many > 0).then(|| T::sample(from))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(from: &mut Source) -> Self {
        (0..from.many).map(|_| T::sample(from)).collect()
    }
}
