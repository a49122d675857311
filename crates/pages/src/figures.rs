//! Numbers and sizes in each language.

use crate::language::Lang;

/// A whole number in groups of three digits.
pub(crate) fn number(lang: Lang, number: u64) -> String {
    grouped(lang, &number.to_string())
}

fn grouped(lang: Lang, digits: &str) -> String {
    let between = match lang {
        Lang::En | Lang::Zh => ',',
        Lang::Ru | Lang::Es => '\u{a0}',
    };
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(between);
        }
        text.push(digit);
    }
    text
}

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A size such as `12.3 MiB`, in binary units in all languages, because clients print those.
pub(crate) fn size(lang: Lang, bytes: u64) -> String {
    let mut unit = 0;
    let mut scale = 1u64;
    while bytes / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    let decimal = decimal(lang);
    // In tenths, so that a value such as 1023.96 KiB does not become `1,024.0 KiB`.
    let tenths = u64::try_from(u128::from(bytes) * 10 / u128::from(scale)).unwrap_or(u64::MAX);
    match unit == 0 || tenths >= 1000 {
        true => format!("{}\u{a0}{}", number(lang, tenths / 10), UNITS[unit]),
        false => format!("{}{decimal}{}\u{a0}{}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

/// The share of `part` in `whole`, in percent.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    match (part, share) {
        (0, _) => "0\u{a0}%".to_owned(),
        (_, 0) => "<1\u{a0}%".to_owned(),
        (_, share) => format!("{share}\u{a0}%"),
    }
}

/// Seconds with one decimal: `3.4 s`, and `3,4 s` in Russian and Spanish.
pub(crate) fn seconds(lang: Lang, milliseconds: u64) -> String {
    let tenths = milliseconds.saturating_add(50) / 100;
    format!(
        "{}{}{}\u{a0}s",
        number(lang, tenths / 10),
        decimal(lang),
        tenths % 10
    )
}

/// What stands before the decimals.
fn decimal(lang: Lang) -> char {
    match lang {
        Lang::En | Lang::Zh => '.',
        Lang::Ru | Lang::Es => ',',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!(number(Lang::En, 0), "0");
        assert_eq!(number(Lang::En, 999), "999");
        assert_eq!(number(Lang::En, 12_480), "12,480");
        assert_eq!(number(Lang::Zh, 1_234_567), "1,234,567");
        assert_eq!(number(Lang::Ru, 1_234_567), "1\u{a0}234\u{a0}567");
    }

    #[test]
    fn sizes_have_one_decimal_below_a_hundred() {
        assert_eq!(size(Lang::En, 0), "0\u{a0}B");
        assert_eq!(size(Lang::En, 1023), "1,023\u{a0}B");
        assert_eq!(size(Lang::En, 1024), "1.0\u{a0}KiB");
        assert_eq!(size(Lang::Ru, 12_897_484), "12,2\u{a0}MiB");
        assert_eq!(size(Lang::En, 150 * 1024), "150\u{a0}KiB");
        assert_eq!(size(Lang::En, 1024 * 1024 - 1), "1,023\u{a0}KiB");
        assert_eq!(size(Lang::Es, u64::MAX), "15,9\u{a0}EiB");
    }

    #[test]
    fn seconds_have_the_decimal_sign_of_the_language() {
        assert_eq!(seconds(Lang::En, 3_449), "3.4\u{a0}s");
        assert_eq!(seconds(Lang::Es, 49), "0,0\u{a0}s");
    }

    #[test]
    fn a_share_that_is_not_nothing_does_not_look_like_nothing() {
        assert_eq!(percent(0, 10), "0\u{a0}%");
        assert_eq!(percent(1, 1000), "<1\u{a0}%");
        assert_eq!(percent(1, 3), "33\u{a0}%");
        assert_eq!(percent(0, 0), "0\u{a0}%");
    }
}
