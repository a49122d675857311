//! What was said: a tree of YAML, read key by key, with every complaint collected and each key that nobody read named.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

/// A configuration as it was written, before anything is made of it.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) root: Map<String, Value>,
    /// Which environment variable set a key, by the key's dotted path.
    pub(super) origins: BTreeMap<String, String>,
}

/// What there is to say about a document.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The server must not start.
    pub(super) problems: Vec<String>,
    /// It may.
    pub(super) warnings: Vec<String>,
    origins: BTreeMap<String, String>,
}

/// The keys below one path. What is read is taken out; [`finish`](Self::finish) complains about the rest.
pub(super) struct Section<'a> {
    path: String,
    keys: Map<String, Value>,
    report: &'a RefCell<Report>,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Map<String, Value>, String> {
        match parse_yaml(text)? {
            Value::Null => Ok(Map::new()),
            Value::Object(root) => Ok(root),
            other => Err(format!(
                "a configuration is made of `key: value` lines, not {}",
                kind(&other)
            )),
        }
    }

    /// Splits it into the report to write on and the section to read.
    pub(super) fn into_report(self) -> (RefCell<Report>, Map<String, Value>) {
        (
            RefCell::new(Report {
                origins: self.origins,
                ..Report::default()
            }),
            self.root,
        )
    }
}

/// One YAML value. Spellings of YAML 1.1 count (`yes` is true), as in registry:2.
pub(super) fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        // A password of digits keeps its zeros.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

impl<'a> Section<'a> {
    pub(super) fn root(keys: Map<String, Value>, report: &'a RefCell<Report>) -> Self {
        Self {
            path: String::new(),
            keys,
            report,
        }
    }

    /// The section below `key`; a text there names its only key, as in `storage: inmemory`.
    pub(super) fn section_or_name(&mut self, key: &str) -> Section<'a> {
        if let Some(Value::String(name)) = self.keys.get(key) {
            let section = Map::from_iter([(name.clone(), Value::Null)]);
            self.keys.insert(key.to_owned(), Value::Object(section));
        }
        self.section(key)
    }

    /// The section below `key`; empty when it is not there.
    pub(super) fn section(&mut self, key: &str) -> Section<'a> {
        let keys = match self.keys.remove(key) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(keys)) => keys,
            Some(other) => {
                self.problem(key, &format!("must have keys below it, not {}", kind(&other)));
                Map::new()
            }
        };
        Section {
            path: self.path_of(key),
            keys,
            report: self.report,
        }
    }

    /// Any value.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.keys.remove(key).filter(|value| !value.is_null())
    }

    /// Whether the key stands there, with or without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of the keys that are left.
    pub(super) fn names(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    pub(super) fn string(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            other => {
                self.problem(key, &format!("must be a text, not {}", kind(&other)));
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Value::Bool(truth) => Some(truth),
            other => {
                self.problem(key, &format!("must be `true` or `false`, not {}", shown(&other)));
                None
            }
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        let value = self.take(key)?;
        let number = value.as_i64();
        if number.is_none() {
            self.problem(key, &format!("must be a whole number, not {}", shown(&value)));
        }
        number
    }

    /// As Go writes them: `168h`, `1m30s`, or a number of nanoseconds.
    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        let value = self.take(key)?;
        let duration = match &value {
            Value::Number(number) => number.as_u64().map(Duration::from_nanos),
            Value::String(text) => parse_duration(text),
            _ => None,
        };
        if duration.is_none() {
            self.problem(
                key,
                &format!(
                    "must be a duration such as `168h` or `1m30s`, not {}",
                    shown(&value)
                ),
            );
        }
        duration
    }

    /// A list of texts; a single text counts as a list of one.
    pub(super) fn strings(&mut self, key: &str) -> Vec<String> {
        let values = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
        };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let texts: Option<Vec<String>> = values.iter().map(text).collect();
        texts.unwrap_or_else(|| {
            self.problem(key, "must be a list of texts");
            Vec::new()
        })
    }

    /// Drops keys that ask for nothing that we would do otherwise.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.keys.remove(*key);
        }
    }

    /// Refuses a key: to go on as if it were not there would be dangerous.
    pub(super) fn refuse(&mut self, key: &str, why: &str) {
        if self.take(key).is_some() {
            self.problem(key, why);
        }
    }

    pub(super) fn problem(&self, key: &str, text: &str) {
        let line = format!("{} {text}", self.named(key));
        self.report.borrow_mut().problems.push(line);
    }

    pub(super) fn warning(&self, key: &str, text: &str) {
        let line = format!("{} {text}", self.named(key));
        self.report.borrow_mut().warnings.push(line);
    }

    /// One of a few words, in any case, and what each means.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problem(
                key,
                &format!(
                    "must be one of {}, not `{}`",
                    words.join(", "),
                    text.escape_debug()
                ),
            );
        }
        found.map(|&(_, value)| value)
    }

    /// A problem of the section as a whole.
    pub(super) fn problem_here(&self, text: &str) {
        let line = format!("{} {text}", named(&self.report.borrow().origins, &self.path));
        self.report.borrow_mut().problems.push(line);
    }

    /// A warning about the section as a whole.
    pub(super) fn warning_here(&self, text: &str) {
        let line = format!("{} {text}", named(&self.report.borrow().origins, &self.path));
        self.report.borrow_mut().warnings.push(line);
    }

    /// Names what was not read.
    pub(super) fn finish(self) {
        for (key, value) in &self.keys {
            if !value.is_null() {
                self.warning(key, "is not supported yet and has no effect");
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The key, and who said it if it was not the file.
    fn named(&self, key: &str) -> String {
        named(&self.report.borrow().origins, &self.path_of(key))
    }
}

fn named(origins: &BTreeMap<String, String>, path: &str) -> String {
    match origins.get(path) {
        Some(variable) => format!("`{path}` (from ${variable})"),
        None => format!("`{path}`"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section with keys",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", text.escape_debug()),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::Null | Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
    }
}

/// Go's `time.ParseDuration`, without signs: numbers, with fractions, each with its unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
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
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    (!text.trim().is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let check = |text: &str, seconds: f64| {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        };
        check("168h", 604_800.0);
        check("1m30s", 90.0);
        check("1.5h", 5400.0);
        check("100ms", 0.1);
        check("0", 0.0);
        for bad in ["", "5", "h", "1d", "-1s", "1h x", "1 h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn yaml_is_read_as_registry_2_reads_it() {
        let root = Document::parse("a: yes\nb: off\nc: :5000\nd: 0123\ne: 1_000\nf:\n").unwrap();
        let expected = serde_json::json!({
            "a": true, "b": false, "c": ":5000", "d": "0123", "e": "1_000", "f": null,
        });
        assert_eq!(Value::Object(root), expected);
        assert!(Document::parse("- a\n").unwrap_err().contains("a list"));
        assert_eq!(Document::parse("").unwrap(), Map::new());
    }
}
