//! A sentence on its way to a reader.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Deref};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Argument;

/// The code of what exists in English only; its argument `text` is the whole.
pub const ENGLISH: &str = "english";

/// What a sentence says, for programs and for other languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// What is said. A code keeps its meaning when the English wording changes; `english` is that of texts without a code of their own.
    pub code: Cow<'static, str>,
    /// The values in the sentence, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<Cow<'static, str>, Argument>,
}

impl Message {
    /// A message without arguments.
    pub fn new(code: &'static str) -> Self {
        Self {
            code: Cow::Borrowed(code),
            arguments: BTreeMap::new(),
        }
    }

    /// The message with an argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, argument: Argument) -> Self {
        self.arguments.insert(Cow::Borrowed(name), argument);
        self
    }
}

/// An English text, with the messages of which it consists. It can be used as that text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sentence {
    text: String,
    messages: Vec<Message>,
}

impl Sentence {
    /// A text that says one thing.
    pub fn new(text: String, message: Message) -> Self {
        Self {
            text,
            messages: vec![message],
        }
    }

    /// A text that says what these messages say.
    pub fn of(text: String, messages: Vec<Message>) -> Self {
        Self { text, messages }
    }

    /// The same sentence, followed by another one behind a semicolon.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        self.followed("; ", other.into())
    }

    /// The same sentence, followed by what explains it behind a colon.
    #[must_use]
    pub fn explained(self, by: impl Into<Self>) -> Self {
        self.followed(": ", by.into())
    }

    fn followed(mut self, between: &str, other: Self) -> Self {
        if !self.text.is_empty() {
            self.text.push_str(between);
        }
        self.text.push_str(&other.text);
        self.messages.extend(other.messages);
        self
    }

    /// The English text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it says, part by part.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The English text, and what it says.
    pub fn into_parts(self) -> (String, Vec<Message>) {
        (self.text, self.messages)
    }
}

impl Deref for Sentence {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that exists in English only.
impl From<String> for Sentence {
    fn from(text: String) -> Self {
        let message = Message::new(ENGLISH).with("text", Argument::English(text.clone()));
        Self::new(text, message)
    }
}

/// A text that exists in English only.
impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// A text that exists in English only.
impl From<Cow<'_, str>> for Sentence {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(text.into_owned())
    }
}

impl From<Sentence> for String {
    fn from(sentence: Sentence) -> Self {
        sentence.text
    }
}

impl PartialEq<str> for Sentence {
    fn eq(&self, text: &str) -> bool {
        self.text == text
    }
}

impl PartialEq<&str> for Sentence {
    fn eq(&self, text: &&str) -> bool {
        self.text == *text
    }
}
