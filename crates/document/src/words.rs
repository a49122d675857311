//! Words for reports: the name that was probably meant, and texts of a file made fit to be shown.

/// The edit distance of two names, if it is small enough for a typing error. Letter case, `-` and `_` do not count.
pub fn distance(written: &str, known: &str) -> Option<usize> {
    let fold = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let (written, known) = (fold(written), fold(known));
    let (a, b): (Vec<char>, Vec<char>) = (written.chars().take(64).collect(), known.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &letter) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &other) in b.iter().enumerate() {
            let cost = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    let distance = row[b.len()];
    (distance <= (b.len() / 3).min(2)).then_some(distance)
}

/// The one of `known` names that was probably meant by `written`.
pub fn meant<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known
        .into_iter()
        .filter_map(|known| Some((distance(written, known)?, known)));
    alike.min().map(|(_, known)| known)
}

/// The `most` of `known` names with components that are spelled almost like `written`, or with the same last component: the nearest
/// first.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    fn last(name: &str) -> &str {
        name.rsplit('/').next().unwrap_or(name)
    }
    let alike = known.into_iter().filter_map(|name| {
        let distance =
            distance(written, name).or_else(|| (last(name) == last(written)).then_some(usize::MAX));
        Some((distance?, name))
    });
    let mut alike: Vec<_> = alike.collect();
    alike.sort_unstable();
    alike.into_iter().take(most).map(|(_, name)| name).collect()
}

/// A text for a message: printable, and short.
pub fn cut(text: &str) -> String {
    const MOST: usize = 80;

    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_has_a_name_that_was_meant() {
        assert_eq!(meant("pul", ["push", "pull"]), Some("pull"));
        assert_eq!(
            meant("Re-positories", ["rules", "repositories"]),
            Some("repositories")
        );
        assert_eq!(meant("write", ["push", "pull"]), None);
    }

    #[test]
    fn the_nearest_names_come_first() {
        let nearest = |written| {
            let known = ["team/app", "app-2", "other", "my-image", "kyo/my-image"];
            nearest(written, known, 3)
        };
        assert_eq!(nearest("ap-2"), ["app-2"]);
        assert_eq!(nearest("app"), ["app-2", "team/app"]);
        assert_eq!(nearest("my-imag"), ["my-image"]);
        assert_eq!(nearest("my-image"), ["my-image", "kyo/my-image"]);
        assert!(nearest("unlike").is_empty());
    }

    #[test]
    fn a_text_is_cut_and_escaped() {
        assert_eq!(cut("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(cut(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
    }
}
