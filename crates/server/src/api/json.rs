//! The body of a request as JSON. Messages never repeat its values, which may be passwords.

use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem, Result};

/// Reads a body as a `T`.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.is_empty() {
        return Err(Problem::new(
            Kind::BadBody,
            "the request has no body; send a JSON object, such as `{}`",
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let problem = Problem::new(Kind::BadBody, without_values(&text));
        match field(&text) {
            Some(field) => problem.with_field(field),
            None => problem,
        }
    })
}

/// The message without the value that was found: of ``invalid type: string "x", expected u8`` what was expected.
fn without_values(text: &str) -> String {
    if field(text).is_some() {
        return text.to_owned();
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a value has the wrong form: expected {expected}"),
        None if text.starts_with("invalid ") => "a value has the wrong form".to_owned(),
        None => format!("the body is not JSON: {text}"),
    }
}

/// The field that is unknown, missing or repeated.
fn field(text: &str) -> Option<String> {
    let rest = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| text.strip_prefix(start))?;
    Some(rest.split('`').next()?.chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::wire::NewUser;

    fn message(body: &str) -> String {
        read::<NewUser>(body.as_bytes()).unwrap_err().detail().to_string()
    }

    #[test]
    fn a_wrong_body_is_told_what_is_wrong_without_its_values() {
        for (body, expected) in [
            ("", "no body"),
            ("{", "not JSON"),
            ("[]", "expected struct"),
            (
                r#"{"nme":"a"}"#,
                "unknown field `nme`, expected one of `name`, `password`",
            ),
            (r#"{"name":"a","name":"b"}"#, "duplicate field `name`"),
            (r#"{"password":"x"}"#, "missing field `name`"),
            (r#"{"name":"a","cost":"hunter2"}"#, "expected u8 at line 1"),
            (r#"{"name":"a","cost":12345}"#, "expected u8"),
            (r#"{"name":"a","password":{"hunter2":1}}"#, "expected a string"),
        ] {
            let message = message(body);
            assert!(message.contains(expected), "{body}: {message}");
            assert!(
                !message.contains("hunter2") && !message.contains("12345"),
                "{message}"
            );
        }
    }
}
