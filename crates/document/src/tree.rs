//! A document as written: a tree of texts, each with the place where it is written.
//!
//! A text gets its type where it is read, from the type of the key: `yes` is a boolean for a switch and a text for a
//! realm, and a password of digits keeps its zeros.

use std::{rc::Rc, time::Duration};

/// The place where a value is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// No place: a default.
    #[default]
    Nowhere,
    /// A line of the file, counted from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(Rc<str>),
}

/// A value and its place: that of its key, or of the value itself in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The place where it is written
    pub place: Place,
    /// What is written there
    pub value: Value,
}

/// What is written at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, a boolean, or nothing
    Scalar(Scalar),
    /// A list
    List(Vec<Node>),
    /// Keys with values
    Map(Map),
}

/// A text, and whether it is without quotes, so that it may be a number, a boolean, or null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes
    pub text: String,
    /// Whether it is without quotes
    pub is_plain: bool,
}

/// Keys in the order in which they were written, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map(Vec<(String, Node)>);

impl Default for Value {
    fn default() -> Self {
        Self::nothing()
    }
}

impl Value {
    /// The value of a key without one.
    pub fn nothing() -> Self {
        Self::Scalar(Scalar {
            text: String::new(),
            is_plain: true,
        })
    }

    /// A text that is nothing but a text.
    pub fn text(text: String) -> Self {
        Self::Scalar(Scalar {
            text,
            is_plain: false,
        })
    }
}

impl Node {
    /// `value`, which is written at `place`.
    pub fn new(place: Place, value: Value) -> Self {
        Self { place, value }
    }

    /// Whether there is no value.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_nothing())
    }

    /// The text of this node, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The keys of this node, if it has some.
    pub fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::List(_) | Value::Scalar(_) => None,
        }
    }

    /// The map of this node. A node that is not a map becomes one, and its text a key of it.
    pub fn make_map(&mut self) -> &mut Map {
        if !matches!(self.value, Value::Map(_)) {
            let mut map = Map::default();
            if let Value::Scalar(scalar) = &self.value
                && !scalar.is_nothing()
            {
                map.set(&scalar.text, Self::new(self.place.clone(), Value::nothing()));
            }
            self.value = Value::Map(map);
        }
        match &mut self.value {
            Value::Map(map) => map,
            Value::List(_) | Value::Scalar(_) => unreachable!("it was just made a map"),
        }
    }

    /// The list of this node. A node that is not a list becomes one, and its text the first element.
    pub fn make_list(&mut self) -> &mut Vec<Self> {
        if !matches!(self.value, Value::List(_)) {
            let alone = std::mem::take(self);
            self.place = alone.place.clone();
            self.value = Value::List(if alone.scalar().is_some() && !alone.is_nothing() {
                vec![alone]
            } else {
                Vec::new()
            });
        }
        match &mut self.value {
            Value::List(list) => list,
            Value::Map(_) | Value::Scalar(_) => unreachable!("it was just made a list"),
        }
    }

    /// Description of the type, for a report.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_nothing() => "nothing",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section with keys",
        }
    }
}

impl Map {
    /// The node of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The node of `key`, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0
            .iter_mut()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// The node of `key`, which is created if it does not exist.
    pub fn entry(&mut self, key: &str) -> &mut Node {
        let index = match self.0.iter().position(|(name, _)| name == key) {
            Some(index) => index,
            None => {
                self.0.push((key.to_owned(), Node::default()));
                self.0.len() - 1
            }
        };
        &mut self.0[index].1
    }

    /// Puts `node` at `key`.
    pub fn set(&mut self, key: &str, node: Node) {
        *self.entry(key) = node;
    }

    /// Takes `key` away, and hands out its node.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(index).1)
    }

    /// All keys with their nodes, as they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(key, node)| (&**key, node))
    }
}

impl Scalar {
    /// YAML 1.1, "null".
    pub fn is_nothing(&self) -> bool {
        self.is_plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// YAML 1.1, "bool", as Go's yaml.v2 spells it; quoted ones count as well, because a switch never takes a text.
    pub fn boolean(&self) -> Option<bool> {
        match &*self.text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                Some(false)
            }
            _ => None,
        }
    }

    /// YAML 1.1, "int", as Go's yaml.v2 reads it: `1_000`, `0x10`, `0b11`, `0o17`, `017`, and `1e3`.
    pub fn integer(&self) -> Option<i64> {
        let text = self.text.replace('_', "");
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text.strip_prefix('+').unwrap_or(&text)),
        };
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let radix = |radix, digits: &str| {
            if digits.starts_with(['-', '+']) {
                return None;
            }
            i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
        };
        match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => radix(16, &digits[2..]),
            [b'0', b'b' | b'B', ..] => radix(2, &digits[2..]),
            [b'0', b'o' | b'O', ..] => radix(8, &digits[2..]),
            [b'0', _, ..] => radix(8, &digits[1..]),
            _ => radix(10, digits).or_else(|| {
                let number = digits.parse::<f64>().ok()?;
                // Above 2^53 a float no longer says which whole number it is.
                (number.fract() == 0.0 && number < 9e15)
                    .then(|| format!("{sign}{number:.0}").parse().ok())
                    .flatten()
            }),
        }
    }

    /// A duration as Go writes it: `168h`, `1m30s`, or a whole number of nanoseconds. `None` if it is negative.
    pub fn duration(&self) -> Option<Duration> {
        parse_duration(&self.text).or_else(|| {
            let nanoseconds = u64::try_from(self.integer()?).ok()?;
            Some(Duration::from_nanos(nanoseconds))
        })
    }
}

/// Go's `time.ParseDuration`, without signs and with days: numbers, with fractions, each with its unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    // Go's durations end at 2^63 nanoseconds, about 292 years.
    (seconds < 9.2e9)
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.to_owned(),
            is_plain: true,
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them_and_in_days() {
        let check = |text: &str, seconds: f64| {
            assert_eq!(
                plain(text).duration(),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        };
        check("168h", 604_800.0);
        check("1h30m", 5400.0);
        check("1m30s", 90.0);
        check("1.5h", 5400.0);
        check("90d", 7_776_000.0);
        check("1d12h", 129_600.0);
        check("100ms", 0.1);
        check("0", 0.0);
        check("5000000000", 5.0);
        for bad in [
            "",
            "h",
            "d",
            "1w",
            "-1s",
            "-5",
            "1h x",
            "1 h",
            "1.5",
            "999999999h",
            "soon",
        ] {
            assert_eq!(plain(bad).duration(), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_read_as_yaml_v2_reads_them() {
        for (text, number) in [
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("1_000", 1000),
            ("0x10", 16),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("1e3", 1000),
            ("5.0", 5),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(plain(text).integer(), Some(number), "{text}");
        }
        for bad in [
            "",
            "-",
            "five",
            "5.5",
            "1e300",
            "0x",
            "08",
            "9223372036854775808",
            "--5",
            "inf",
            "0x-1",
        ] {
            assert_eq!(plain(bad).integer(), None, "{bad}");
        }
    }

    #[test]
    fn truth_has_the_spellings_of_yaml_1_1() {
        for yes in [
            "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE",
        ] {
            assert_eq!(plain(yes).boolean(), Some(true), "{yes}");
        }
        for no in [
            "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE",
        ] {
            assert_eq!(plain(no).boolean(), Some(false), "{no}");
        }
        for neither in ["", "yEs", "oN", "1", "0", "t", "enabled"] {
            assert_eq!(plain(neither).boolean(), None, "{neither}");
        }
    }
}
