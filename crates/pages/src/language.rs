//! Languages and colour themes, and which of them a browser gets.

use std::fmt;

/// A language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
    /// Chinese, in simplified characters.
    Zh,
    /// Spanish.
    Es,
}

impl Lang {
    /// All languages, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::En, Self::Ru, Self::Zh, Self::Es];

    /// Language tag, as in `lang="ru"`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
            Self::Zh => "zh",
            Self::Es => "es",
        }
    }

    /// Name of the language in the language itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ru => "Русский",
            Self::Zh => "中文",
            Self::Es => "Español",
        }
    }

    /// The language with this tag.
    pub fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.tag() == tag)
    }

    /// The language for a browser: the one of its cookie, otherwise the best one of the header `Accept-Language`, otherwise English.
    ///
    /// A range fits a language by the lookup of RFC 4647: from its end, subtags are taken away until a language is left, so `zh-Hant-TW`
    /// gets Chinese. Ranges are tried by their weights; `*` and ranges with the weight 0 fit nothing.
    pub fn negotiate(accept_language: Option<&str>, cookie: Option<&str>) -> Self {
        if let Some(chosen) = cookie.and_then(Self::parse) {
            return chosen;
        }
        let mut ranges: Vec<(&str, u16)> = accept_language
            .unwrap_or_default()
            .split(',')
            .take(MOST_RANGES)
            .filter_map(range)
            .collect();
        // The sort is stable: of ranges with equal weights the first one counts.
        ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        ranges
            .into_iter()
            .find_map(|(range, _)| Self::lookup(range))
            .unwrap_or_default()
    }

    fn lookup(mut range: &str) -> Option<Self> {
        loop {
            let found = Self::ALL
                .into_iter()
                .find(|lang| lang.tag().eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// How many ranges of a header are read.
const MOST_RANGES: usize = 32;

/// The range of `ru;q=0.8`, with its weight in thousandths; `None` where it is not acceptable or not well formed.
fn range(element: &str) -> Option<(&str, u16)> {
    let (range, parameters) = element.split_once(';').unwrap_or((element, ""));
    let weight = match parameters.trim().strip_prefix("q=") {
        None => 1000,
        Some(weight) => thousandths(weight.trim())?,
    };
    let range = range.trim();
    (weight > 0 && !range.is_empty()).then_some((range, weight))
}

/// `0.85` as 850. Digits after the third one are refused, as the grammar of HTTP does.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let parts: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(parts),
        "1" if parts == 0 => Some(1000),
        _ => None,
    }
}

/// The colours of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Theme {
    /// As the browser is set.
    #[default]
    Auto,
    /// Dark text on a light ground.
    Light,
    /// Light text on a dark ground.
    Dark,
}

impl Theme {
    /// All themes, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The word for it in forms, cookies and keys of texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Templates compare themes with their words.
impl PartialEq<&str> for Theme {
    fn eq(&self, word: &&str) -> bool {
        self.word() == *word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Lang) {
        assert_eq!(Lang::negotiate(Some(accept), None), expected, "{accept}");
    }

    #[test]
    fn the_best_range_of_the_header_decides() {
        check("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", Lang::Ru);
        check("de-DE,de;q=0.9,es;q=0.5,ru;q=0.6", Lang::Ru);
        check("en;q=0.1, zh-TW", Lang::Zh);
        check("ZH-hant-tw", Lang::Zh);
        check("fr", Lang::En);
        check("", Lang::En);
        check("*", Lang::En);
        check("es;q=0, ru;q=0.001", Lang::Ru);
        check("es, ru", Lang::Es);
    }

    #[test]
    fn a_header_that_is_not_well_formed_is_passed_over() {
        check("es;q=2, ru;q=0.5", Lang::Ru);
        check("es;q=0.5555, ru;q=0.1", Lang::Ru);
        check("es;q=x,,;;,-, ru;q=0.1", Lang::Ru);
        check("rus", Lang::En);
        check("e-n", Lang::En);
        check(&"de,".repeat(10_000), Lang::En);
    }

    #[test]
    fn the_cookie_overrules_the_header_if_it_names_a_language() {
        assert_eq!(Lang::negotiate(Some("ru"), Some("es")), Lang::Es);
        assert_eq!(Lang::negotiate(Some("ru"), Some("<script>")), Lang::Ru);
        assert_eq!(Lang::negotiate(None, None), Lang::En);
    }
}
