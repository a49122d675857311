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
    fn a_text_is_cut_and_escaped() {
        assert_eq!(cut("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(cut(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
    }
}
