//! Whatever the registry stores is text in every page.

use std::collections::BTreeSet;

use wharf_pages::{Lang, Page, Said, TagRow, Tags, View as _};

use crate::{
    html::Html,
    samples::pages,
    source::{Sample as _, Source},
};

/// Values that become more than text where they are not escaped.
fn markup() -> Vec<String> {
    let corpus = [
        "<script>alert(document.domain)</script>",
        "</script><script src=//example.com/x.js></script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "\" onfocus=\"alert(1)\" autofocus=\"",
        "<svg/onload=alert(1)>",
        "<iframe srcdoc=\"&lt;script&gt;alert(1)&lt;/script&gt;\">",
        "</bdi></code></td></tr></table></title></textarea><h1>",
        "<style>*{display:none}</style>",
        "<!-- <![CDATA[ ]]> -->",
        "&lt;script&gt;&#60;script&#62;",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "{{ page.csrf }}{% include \"/etc/passwd\" %}${7*7}",
        "`<b>`` `</b>",
        "<a href=javascript:alert(1)>",
        "<base href=//example.com/>",
        "<meta http-equiv=refresh content=0;url=//example.com>",
    ];
    corpus.map(str::to_owned).to_vec()
}

/// Values that reorder the text around them, or are not seen.
fn unseen() -> Vec<String> {
    let corpus = [
        "\u{202e}gnp.exe\u{2066}\u{2067}",
        "\0\u{1b}[31m\u{7f}\u{85}\u{200b}\u{2028}\u{feff}",
        "\u{2069}\u{2069}\u{2068}",
    ];
    corpus.map(str::to_owned).to_vec()
}

/// Values that fill a page.
fn long() -> Vec<String> {
    let corpus = ["<b>", "\u{202e}", "a\u{301}", "\"", "`"];
    corpus.map(|part| part.repeat(100_000 / part.len())).to_vec()
}

fn hostile(foreign: Vec<String>, taken: usize, yes: bool) -> Source {
    Source {
        foreign,
        names: markup(),
        taken,
        yes,
        ..Source::plain(Lang::Ru)
    }
}

/// The pages of several sources: each begins with another value, so every field gets every value of the corpus.
fn all(count: usize, source: impl Fn(usize, bool) -> Source) -> impl Iterator<Item = (&'static str, String)> {
    let each = (0..count).flat_map(|taken| [(taken, true), (taken, false)]);
    each.flat_map(move |(taken, yes)| pages(&source(taken, yes)))
}

#[test]
fn foreign_values_make_no_element_and_no_attribute() {
    let plain = all(3, |taken, yes| Source {
        taken,
        yes,
        ..Source::plain(Lang::En)
    });
    let mut known = BTreeSet::new();
    for (name, page) in plain {
        known.extend(Html::read(name, &page).shapes());
    }
    for (name, page) in all(markup().len(), |taken, yes| hostile(markup(), taken, yes)) {
        let html = Html::read(name, &page);
        let made: Vec<_> = html.shapes().difference(&known).cloned().collect();
        assert!(made.is_empty(), "{name}: {made:?}");
        for tag in &html.tags {
            for (attribute, value) in &tag.attributes {
                assert!(!attribute.starts_with("on"), "{name}: {tag:?}");
                let leads = ["href", "src", "action", "data-root"].contains(&attribute.as_str());
                let is_ours = ["/", "#", "https://example.com/"]
                    .iter()
                    .any(|start| value.starts_with(start));
                assert!(!leads || is_ours, "{name}: {tag:?}");
            }
        }
    }
}

#[test]
fn no_page_has_a_character_that_is_not_seen_or_reorders_others() {
    for (name, page) in all(unseen().len(), |taken, yes| hostile(unseen(), taken, yes)) {
        // Texts for attributes isolate their values by a pair of characters.
        let (opened, closed) = (page.matches('\u{2068}').count(), page.matches('\u{2069}').count());
        assert_eq!(opened, closed, "{name}");
        let found = page.chars().find(|character| {
            matches!(character,
                '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2067}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        });
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn values_of_100_kb_are_cut() {
    for (name, page) in all(1, |taken, yes| hostile(long(), taken, yes)) {
        let longest = page.split('<').map(str::len).max().unwrap();
        // 16 KiB of a value, each character of which may be escaped.
        assert!(longest < 100 * 1024, "{name}: {longest}");
    }
}

#[test]
fn every_view_renders_in_every_language_with_and_without_values() {
    for lang in Lang::ALL {
        for source in [Source::plain(lang), Source::empty(lang)] {
            for (name, page) in pages(&source) {
                let html = Html::read(name, &page);
                let root = &html.tags[0];
                let tagged = root
                    .attributes
                    .iter()
                    .any(|(name, value)| name == "lang" && value == lang.tag());
                assert!(root.name == "html" && tagged, "{name}: {root:?}");
                let headings = html.tags.iter().filter(|tag| tag.name == "h1").count();
                assert_eq!(headings, 1, "{name}");
            }
        }
    }
}

#[test]
fn a_page_of_100_tags_is_below_40_kb_compressed() {
    use std::io::Write as _;
    let mut source = Source::plain(Lang::Ru);
    let mut tags = Tags::sample(&mut source.clone());
    tags.page = Page::sample(&mut source);
    tags.page.banners.clear();
    tags.rows = (0..100u64)
        .map(|number| TagRow {
            tag: format!("1.{number}.{}", number * 7 % 13),
            reference: format!("1.{number}.{}", number * 7 % 13),
            path: format!("team/app:1.{number}"),
            pull: format!("docker pull registry.example.com/team/app:1.{number}"),
            problem: Said::default(),
            // Digits that do not compress, as those of digests do not.
            digest: Some(format!("sha256:{}", digits(number)).into()),
            ..TagRow::sample(&mut source)
        })
        .collect();
    let page = tags.html().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(page.as_bytes()).unwrap();
    let size = encoder.finish().unwrap().len();
    assert!(
        page.matches("<tr").count() > 100 && size < 40 * 1024,
        "{size} of {}",
        page.len()
    );
}

fn digits(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut digits = String::new();
    while digits.len() < 64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        digits.push_str(&format!("{state:016x}"));
    }
    digits.truncate(64);
    digits
}
