//! Ages as operators write them: `60d`, `2mo`, `2m2d`.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Units with their letters, the longest first. A month has 30 days, a year 365.
const UNITS: [(&[&str], u64); 7] = [
    (&["y"], 365 * DAY),
    (&["mo"], 30 * DAY),
    (&["w"], 7 * DAY),
    (&["d"], DAY),
    (&["h"], HOUR),
    (&["min"], MINUTE),
    (&["s"], 1),
];

/// Why a text is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// `5`, `d5`, `5x`
    #[error(
        "write an age such as `12h`, `30d`, `2w`, `6mo` or `1y`, or several of them in this order: `1y6mo`, `2d12h`"
    )]
    Form,
    /// `2m`
    #[error("`m` may be months or minutes; write `{0}mo`, or `{0}min`")]
    Ambiguous(u64),
    /// More than a thousand years.
    #[error("that is longer than a thousand years")]
    TooLong,
}

/// Reads an age: whole numbers of years (`y`), months of 30 days (`mo`), weeks, days, hours, minutes (`min`) and seconds, the longest
/// unit first. `m` before a shorter unit that is longer than an hour, or after years, is months, as in `2m2d`; otherwise it may be either,
/// and is refused: an age that is taken for minutes deletes almost everything.
///
/// # Errors
///
/// When the text is no age, or an ambiguous one.
pub fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(AgeError::Form)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| AgeError::Form)?;
        parts.push((number, unit));
        rest = tail;
    }
    if parts.is_empty() {
        return Err(AgeError::Form);
    }
    let (mut seconds, mut last) = (0_u64, None);
    for (index, (number, unit)) in parts.iter().enumerate() {
        let unit = match *unit {
            "m" => {
                let is_after_years = index.checked_sub(1).is_some_and(|before| parts[before].1 == "y");
                let is_before_days = parts
                    .get(index + 1)
                    .is_some_and(|(_, unit)| matches!(*unit, "w" | "d"));
                match is_after_years || is_before_days {
                    true => "mo",
                    false => return Err(AgeError::Ambiguous(*number)),
                }
            }
            unit => unit,
        };
        let place = UNITS.iter().position(|(letters, _)| letters.contains(&unit));
        let place = place
            .filter(|place| last.is_none_or(|last| last < *place))
            .ok_or(AgeError::Form)?;
        last = Some(place);
        let part = number.checked_mul(UNITS[place].1).ok_or(AgeError::TooLong)?;
        seconds = seconds.checked_add(part).ok_or(AgeError::TooLong)?;
    }
    match seconds <= 1000 * 365 * DAY {
        true => Ok(Duration::from_secs(seconds)),
        false => Err(AgeError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_in_the_units_of_operators() {
        for (text, seconds) in [
            ("0d", 0),
            ("90s", 90),
            ("30min", 30 * MINUTE),
            ("12h", 12 * HOUR),
            ("30d", 30 * DAY),
            ("2w", 14 * DAY),
            ("2mo", 60 * DAY),
            ("1y", 365 * DAY),
            ("2m2d", 62 * DAY),
            ("1y6m", 545 * DAY),
            ("1y6mo1d", 546 * DAY),
            ("2d12h", 60 * HOUR),
            ("168h", 7 * DAY),
        ] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn months_are_never_taken_for_minutes() {
        assert_eq!(parse_age("2m"), Err(AgeError::Ambiguous(2)));
        assert_eq!(parse_age("1h2m"), Err(AgeError::Ambiguous(2)));
        assert!(parse_age("2m").unwrap_err().to_string().contains("`2mo`"));
    }

    #[test]
    fn what_is_no_age_is_refused() {
        for text in ["", "5", "d", "5x", "1.5d", "-1d", "2d1y", "1d1d", "1 d", "5µs"] {
            assert_eq!(parse_age(text), Err(AgeError::Form), "{text}");
        }
        for text in ["1001y", "99999999999999999y"] {
            assert_eq!(parse_age(text), Err(AgeError::TooLong), "{text}");
        }
    }
}
