//! The texts of the pages in each language, and the rules that choose a plural form.

use std::collections::BTreeSet;

use crate::language::Lang;

/// A text of a catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// One text.
    Plain(&'static str),
    /// A text for each plural form of the language.
    Plural(&'static [(Form, &'static str)]),
}

impl Entry {
    /// The text for `form`; of a plural text without that form, the one for all other numbers.
    pub(crate) fn form(&self, form: Form) -> &'static str {
        match self {
            Self::Plain(text) => text,
            Self::Plural(forms) => {
                let find = |wanted: Form| forms.iter().find(|(form, _)| *form == wanted);
                find(form)
                    .or_else(|| find(Form::Other))
                    .map_or("", |(_, text)| text)
            }
        }
    }
}

/// A plural form of CLDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// `one`, as in "1 tag".
    One,
    /// `few`, as in Russian with 2, 3 and 4.
    Few,
    /// `many`, as in Russian with 5 and in Spanish with a million.
    Many,
    /// `other`, for all numbers that have no form of their own.
    Other,
}

include!(concat!(env!("OUT_DIR"), "/catalogues.rs"));

/// All texts of a language, sorted by their keys.
pub(crate) fn all(lang: Lang) -> &'static [(&'static str, Entry)] {
    match lang {
        Lang::En => EN,
        Lang::Ru => RU,
        Lang::Zh => ZH,
        Lang::Es => ES,
    }
}

/// The sentences of services in a language, sorted by their codes. Services write English themselves.
pub(crate) fn sentences(lang: Lang) -> &'static [(&'static str, Entry)] {
    match lang {
        Lang::En => &[],
        Lang::Ru => RU_SENTENCES,
        Lang::Zh => ZH_SENTENCES,
        Lang::Es => ES_SENTENCES,
    }
}

/// The sentences of services that a language has: of each its code, and the names of the places in its text. For tests that compare them
/// with what services say.
pub fn places_of_sentences(lang: Lang) -> impl Iterator<Item = (&'static str, BTreeSet<&'static str>)> {
    sentences(lang).iter().map(|(code, entry)| {
        let texts: Vec<&'static str> = match entry {
            Entry::Plain(text) => vec![*text],
            Entry::Plural(forms) => forms.iter().map(|(_, text)| *text).collect(),
        };
        (*code, texts.into_iter().flat_map(placeholders).collect())
    })
}

/// The names between braces.
fn placeholders(text: &'static str) -> impl Iterator<Item = &'static str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name)
}

/// The text of `key`.
pub(crate) fn find(lang: Lang, key: &str) -> Option<&'static Entry> {
    find_in(all(lang), key)
}

/// The sentence of a service with this code.
pub(crate) fn sentence(lang: Lang, code: &str) -> Option<&'static Entry> {
    find_in(sentences(lang), code)
}

fn find_in(texts: &'static [(&'static str, Entry)], key: &str) -> Option<&'static Entry> {
    let place = texts
        .binary_search_by(|(candidate, _)| (*candidate).cmp(key))
        .ok()?;
    Some(&texts[place].1)
}

/// The form that CLDR's cardinal rules choose for a whole number.
pub(crate) fn form(lang: Lang, number: u64) -> Form {
    let (tens, hundreds) = (number % 10, number % 100);
    match lang {
        Lang::En | Lang::Es if number == 1 => Form::One,
        Lang::Es if number != 0 && number.is_multiple_of(1_000_000) => Form::Many,
        Lang::Ru if tens == 1 && hundreds != 11 => Form::One,
        Lang::Ru if (2..=4).contains(&tens) && !(12..=14).contains(&hundreds) => Form::Few,
        Lang::Ru => Form::Many,
        Lang::En | Lang::Zh | Lang::Es => Form::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn numbers_choose_the_forms_of_cldr() {
        let forms = |lang, numbers: &[u64]| -> Vec<Form> {
            numbers.iter().map(|number| form(lang, *number)).collect()
        };
        assert_eq!(
            forms(Lang::En, &[0, 1, 2, 101]),
            [Form::Other, Form::One, Form::Other, Form::Other]
        );
        assert_eq!(
            forms(Lang::Ru, &[0, 1, 2, 5, 11, 12, 14, 21, 22, 111, 112, 1001]),
            [
                Form::Many,
                Form::One,
                Form::Few,
                Form::Many,
                Form::Many,
                Form::Many,
                Form::Many,
                Form::One,
                Form::Few,
                Form::Many,
                Form::Many,
                Form::One,
            ]
        );
        assert_eq!(
            forms(Lang::Es, &[0, 1, 2, 1_000_000]),
            [Form::Other, Form::One, Form::Other, Form::Many]
        );
        assert_eq!(forms(Lang::Zh, &[0, 1, 2]), [Form::Other; 3]);
    }

    fn texts(entry: &Entry) -> Vec<&'static str> {
        match entry {
            Entry::Plain(text) => vec![*text],
            Entry::Plural(forms) => forms.iter().map(|(_, text)| *text).collect(),
        }
    }

    #[test]
    fn every_text_is_in_every_language_with_the_same_placeholders() {
        let english: BTreeMap<&str, &Entry> =
            all(Lang::En).iter().map(|(key, entry)| (*key, entry)).collect();
        for lang in Lang::ALL {
            let here: BTreeMap<&str, &Entry> = all(lang).iter().map(|(key, entry)| (*key, entry)).collect();
            let (keys, wanted): (BTreeSet<_>, BTreeSet<_>) =
                (here.keys().collect(), english.keys().collect());
            assert_eq!(keys, wanted, "{lang}");
            for (key, entry) in here {
                let is_plural = |entry: &Entry| matches!(entry, Entry::Plural(_));
                assert_eq!(is_plural(entry), is_plural(english[key]), "{lang}: {key}");
                let wanted: BTreeSet<&str> = texts(english[key]).into_iter().flat_map(placeholders).collect();
                for text in texts(entry) {
                    // A form for one number alone may leave the number out.
                    let mut found: BTreeSet<&str> = placeholders(text).collect();
                    assert!(found.is_subset(&wanted), "{lang}: {key}: {found:?}");
                    if is_plural(entry) {
                        found.insert("n");
                    }
                    let mut wanted = wanted.clone();
                    if is_plural(entry) {
                        wanted.insert("n");
                    }
                    assert_eq!(found, wanted, "{lang}: {key}");
                    assert!(!text.trim().is_empty(), "{lang}: {key} is empty");
                }
            }
        }
    }

    #[test]
    fn every_sentence_is_in_every_other_language_with_the_same_places() {
        let of = |lang| places_of_sentences(lang).collect::<BTreeMap<_, _>>();
        let russian = of(Lang::Ru);
        assert!(!russian.is_empty());
        for lang in [Lang::Zh, Lang::Es] {
            let here = of(lang);
            let (keys, wanted): (BTreeSet<_>, BTreeSet<_>) =
                (here.keys().collect(), russian.keys().collect());
            assert_eq!(keys, wanted, "{lang}");
            for (code, places) in here {
                assert_eq!(places, russian[code], "{lang}: {code}");
            }
        }
        for lang in [Lang::Ru, Lang::Zh, Lang::Es] {
            for (code, entry) in sentences(lang) {
                for text in texts(entry) {
                    assert!(!text.trim().is_empty(), "{lang}: {code} is empty");
                    assert_eq!(text.matches('`').count() % 2, 0, "{lang}: {code}: {text}");
                }
            }
        }
    }

    #[test]
    fn plural_texts_have_exactly_the_forms_of_their_language() {
        for lang in Lang::ALL {
            let wanted: &[Form] = match lang {
                Lang::En => &[Form::One, Form::Other],
                Lang::Ru => &[Form::One, Form::Few, Form::Many, Form::Other],
                Lang::Zh => &[Form::Other],
                Lang::Es => &[Form::One, Form::Many, Form::Other],
            };
            for (key, entry) in all(lang).iter().chain(sentences(lang)) {
                if let Entry::Plural(forms) = entry {
                    let mut forms: Vec<Form> = forms.iter().map(|(form, _)| *form).collect();
                    forms.sort_unstable();
                    assert_eq!(forms, wanted, "{lang}: {key}");
                }
            }
        }
    }
}
