//! YAML as JSON values, for files that other programs read: Kubernetes and Compose.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use wharf_testkit::{Value, serde_json::Map};

/// The documents of a text that are not empty.
#[track_caller]
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let mut events = Parser::new_from_str(text).map(|event| {
        event
            .unwrap_or_else(|error| panic!("this is not YAML: {error}\n{text}"))
            .0
    });
    let mut anchors = HashMap::new();
    let mut documents = Vec::new();
    while let Some(event) = events.next() {
        match event {
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                documents.push(value(event, &mut events, &mut anchors));
            }
            _ => {}
        }
    }
    documents.retain(|document| !document.is_null());
    documents
}

/// The only document of a text.
#[track_caller]
pub(crate) fn document(text: &str) -> Value {
    let mut documents = documents(text);
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn value<'a>(
    event: Event<'a>,
    events: &mut dyn Iterator<Item = Event<'a>>,
    anchors: &mut HashMap<usize, Value>,
) -> Value {
    let (anchor, value) = match event {
        Event::Scalar(text, ScalarStyle::Plain, anchor, None) => (anchor, plain(&text)),
        Event::Scalar(text, _, anchor, _) => (anchor, Value::String(text.into_owned())),
        Event::SequenceStart(_, anchor, _) => {
            let mut list = Vec::new();
            while let Some(event) = events.next().filter(|event| !matches!(event, Event::SequenceEnd)) {
                list.push(value(event, events, anchors));
            }
            (anchor, Value::Array(list))
        }
        Event::MappingStart(_, anchor, _) => {
            let mut map = Map::new();
            while let Some(event) = events.next().filter(|event| !matches!(event, Event::MappingEnd)) {
                let key = match value(event, events, anchors) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                let event = events.next().expect("a key has a value");
                let under = value(event, events, anchors);
                if key == "<<" {
                    let merged = under.as_object().expect("what is merged is a map");
                    for (key, value) in merged {
                        map.entry(key).or_insert_with(|| value.clone());
                    }
                } else {
                    assert!(!map.contains_key(&key), "`{key}` is written twice");
                    map.insert(key, under);
                }
            }
            (anchor, Value::Object(map))
        }
        Event::Alias(anchor) => return anchors[&anchor].clone(),
        other => panic!("a value was expected, not {other:?}"),
    };
    if anchor != 0 {
        anchors.insert(anchor, value.clone());
    }
    value
}

/// A scalar without quotes.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}
