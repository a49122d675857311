//! How values are written in the JSON of the API.

use std::time::SystemTime;

use jiff::Timestamp;
use wharf_message::{ENGLISH, Message, Sentence};

/// A time, as RFC 3339 in UTC with milliseconds.
pub(super) fn time(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    format!("{time:.3}")
}

/// A sentence as text and by codes. What exists in English alone needs none.
pub(crate) fn told(sentence: Sentence) -> (String, Vec<Message>) {
    let (text, mut messages) = sentence.into_parts();
    if messages.iter().all(|message| message.code == ENGLISH) {
        messages.clear();
    }
    (text, messages)
}

/// A sentence that need not be.
pub(super) fn told_if(sentence: Option<Sentence>) -> (Option<String>, Vec<Message>) {
    sentence
        .map(told)
        .map_or_else(Default::default, |(text, messages)| (Some(text), messages))
}

/// Sentences as texts, and each by codes.
pub(super) fn told_each(sentences: impl IntoIterator<Item = Sentence>) -> (Vec<String>, Vec<Vec<Message>>) {
    sentences.into_iter().map(told).unzip()
}
