//! Why retention keeps a tag or lets it go, in words.

use std::fmt;

use wharf_message::{Count, Span, messages};

messages! {
    /// Why a tag stays or goes: a clause without a subject.
    pub enum Reason in "retention" {
        /// A pattern protects it.
        Protected { text pattern: String } = "protected", "protected by `{pattern}`";
        /// No rule selects it.
        NoRule = "no-rule", "no rule is about it";
        /// It is among the newest ones, of which so many stay.
        NewEnough { number place: Rank, number keep: usize } = "new-enough", "{place} of {keep} that stay";
        /// Enough others are newer.
        NewerOnes { number place: Rank, number keep: usize } = "newer-ones", "{place}, and {keep} stay";
        /// It was pushed not long ago.
        Young { seconds age: Span, seconds limit: Span } = "young", "pushed {age} ago, less than {limit}";
        /// It was pushed long ago.
        Old { seconds age: Span, seconds limit: Span } = "old", "pushed {age} ago, at least {limit}";
        /// It was pulled not long ago.
        Pulled { seconds age: Span, seconds limit: Span } = "pulled", "pulled {age} ago, less than {limit}";
        /// It was pulled long ago.
        PulledLongAgo { seconds age: Span, seconds limit: Span } = "pulled-long-ago", "pulled {age} ago, at least {limit}";
        /// It was not pulled, and pushed not long ago.
        Unpulled { seconds age: Span, seconds limit: Span } = "unpulled", "not pulled since it was pushed {age} ago, less than {limit}";
        /// It was not pulled, and pushed long ago.
        UnpulledLong { seconds age: Span, seconds limit: Span } = "unpulled-long", "not pulled since it was pushed {age} ago, at least {limit}";
        /// Pulls are counted since not long ago.
        Uncounted { seconds age: Span, seconds limit: Span } = "uncounted", "not pulled since counting began {age} ago, less than {limit}";
        /// It was not pulled since pulls are counted.
        UncountedLong { seconds age: Span, seconds limit: Span } = "uncounted-long", "not pulled since counting began {age} ago, at least {limit}";
        /// Without counts of pulls nothing goes for want of them.
        NoPulls = "no-pulls", "pulls are not counted";
        /// A repository keeps one tag.
        Last = "last", "the last tag of the repository, which goes only by `keep: 0`";
    }
}

messages! {
    /// Why retention does not delete what it would.
    pub enum RetentionRefusal in "retention-refused" {
        /// Too much of the repository would go in one run.
        TooMany { number going: usize, number total: usize, number most: u8 } = "too-many", "{going} of {total} tags would go, and one run takes {most} % of the tags of a repository at most (`retention.maxdelete`)";
    }
}

/// `newest`, `2nd newest`, `3rd newest`: the place of something in a list, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank(usize);

impl Rank {
    /// The rank of what is at `place` in a list that begins with 0.
    pub(super) fn at(place: usize) -> Self {
        Self(place + 1)
    }
}

impl Count for Rank {
    fn count(&self) -> u64 {
        self.0.count()
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = self.0;
        let ending = match (rank % 10, rank % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        match rank {
            1 => f.write_str("newest"),
            _ => write!(f, "{rank}{ending} newest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_english() {
        let ranks: Vec<String> = [0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 110]
            .into_iter()
            .map(|place| Rank::at(place).to_string())
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
    }
}
