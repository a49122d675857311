//! Spans of time and ranks in words.

use std::time::Duration;

/// A span of time in words, in the largest unit of which it has at least two.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("days", 86_400), ("hours", 3600), ("minutes", 60)];
    let unit = units.into_iter().find(|(_, length)| seconds >= 2 * length);
    match unit {
        Some((unit, length)) => format!("{} {unit}", seconds / length),
        None if seconds == 1 => "1 second".to_owned(),
        None => format!("{seconds} seconds"),
    }
}

/// `newest`, `2nd newest`, `3rd newest`: the place of something in a list that begins with 0.
pub(super) fn rank(place: usize) -> String {
    let rank = place + 1;
    let ending = match (rank % 10, rank % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    match rank {
        1 => "newest".to_owned(),
        _ => format!("{rank}{ending} newest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_spans_are_english() {
        let ranks: Vec<String> = [0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 110]
            .into_iter()
            .map(rank)
            .collect();
        let expected = [
            "newest",
            "2nd newest",
            "3rd newest",
            "4th newest",
            "11th newest",
            "12th newest",
            "13th newest",
            "21st newest",
            "22nd newest",
            "23rd newest",
            "111th newest",
        ];
        assert_eq!(ranks, expected);
        let spans =
            [0, 1, 119, 120, 7200, 172_799, 172_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(
            spans,
            [
                "0 seconds",
                "1 second",
                "119 seconds",
                "2 minutes",
                "2 hours",
                "47 hours",
                "2 days"
            ]
        );
    }
}
