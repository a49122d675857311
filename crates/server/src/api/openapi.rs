//! The OpenAPI document, made from the table of operations.

use http::StatusCode;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use wharf_activity::Action;
use wharf_registry::Order;

use super::{
    caller::Right,
    operation::{Operation, schema},
    problem::Kind,
    query::{Form, Parameter},
};
use crate::admin::wire;

/// Problems that every operation may have.
const OF_ALL: &[Kind] = &[
    Kind::BadQuery,
    Kind::NeedsTls,
    Kind::CrossSite,
    Kind::ForeignHost,
    Kind::NotThisMachine,
    Kind::NotAuthenticated,
    Kind::TooManyRequests,
    Kind::Failed,
    Kind::Busy,
];

/// Problems of operations that need a right.
const OF_RIGHTS: &[Kind] = &[Kind::Forbidden];

/// Problems of operations that change something.
const OF_WRITES: &[Kind] = &[Kind::BadHeader];

/// Problems of operations that change the store.
const OF_CONTENT: &[Kind] = &[Kind::ReadOnly];

/// Problems of those that notice a repetition.
const OF_KEYS: &[Kind] = &[Kind::KeyInUse, Kind::KeyReused];

/// Problems of operations that take a body.
const OF_BODIES: &[Kind] = &[Kind::BadBody, Kind::TooSlow, Kind::BodyTooLarge, Kind::NotJson];

/// The document of `operations` as JSON.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = schema::<wire::Problem>(&mut generator);
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_ascii_lowercase();
        path[method] = described(operation, &problem.clone().to_value(), &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Administration of wharf",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Answers that are failures are problem details (RFC 9457); programs may rely on their `type`.",
        },
        // Relative to the place of this document, wherever a proxy puts it.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "password": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"password": []}, {"token": []}],
    })
}

fn described(operation: &Operation, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": responses(operation, problem, generator),
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": body(generator)}},
        });
    }
    if operation.right != Right::Any {
        described["x-right"] = json!(operation.right.name());
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut parameters: Vec<Value> = operation.query.iter().map(in_query).collect();
    let header = |name: &str, help: &str| json!({"name": name, "in": "header", "description": help, "schema": {"type": "string"}});
    if operation.takes_key() {
        let help = "A text that is new for each change. A repetition of the request with it is not carried out again, but gets \
                    the same answer, for ten minutes and from the same process";
        parameters.push(header("Idempotency-Key", help));
        if operation.has_version {
            let help = "The `ETag` of what the change was made for; another version is not changed";
            parameters.push(header("If-Match", help));
        }
    }
    parameters
}

fn in_query(parameter: &Parameter) -> Value {
    let schema = match parameter.form {
        Form::Text | Form::Repository | Form::Tag => json!({"type": "string", "minLength": 1}),
        Form::Time => json!({"type": "string", "format": "date-time"}),
        Form::Action => json!({"type": "string", "enum": Action::ALL.map(Action::as_str)}),
        Form::Order => json!({"type": "string", "enum": Order::ALL.map(Order::as_str)}),
        Form::OneOf(words) => json!({"type": "string", "enum": words}),
        Form::UpTo(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.help,
        "required": parameter.is_required,
        "schema": schema,
    })
}

fn responses(operation: &Operation, problem: &Value, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let answer = match operation.answer {
        Some(answer) => answer(generator).to_value(),
        None => json!({"type": "object"}),
    };
    let mut success = json!({
        "description": reason(operation.status),
        "content": {"application/json": {"schema": answer}},
    });
    if operation.has_version {
        success["headers"] = json!({"ETag": {"schema": {"type": "string"}, "description": "Version of what is shown: of a list, or the digest at which a tag points"}});
    }
    let mut responses = Map::new();
    responses.insert(operation.status.to_string(), success);
    let mut kinds = problems(operation);
    kinds.sort_by_key(|kind| kind.status().as_u16());
    for of_status in kinds.chunk_by(|one, other| one.status() == other.status()) {
        let types: Vec<String> = of_status.iter().map(|kind| kind.uri()).collect();
        let titles: Vec<&str> = of_status.iter().map(|kind| kind.title()).collect();
        let of_these = json!({"allOf": [problem, {"properties": {"type": {"enum": types}}}]});
        let failure = json!({
            "description": titles.join("; "),
            "content": {"application/problem+json": {"schema": of_these}},
        });
        responses.insert(of_status[0].status().as_u16().to_string(), failure);
    }
    responses
}

/// The problems that an operation may have.
fn problems(operation: &Operation) -> Vec<Kind> {
    let when = |condition: bool, kinds: &'static [Kind]| if condition { kinds } else { &[] };
    let lists = [
        OF_ALL,
        when(operation.right != Right::Any, OF_RIGHTS),
        when(operation.is_write(), OF_WRITES),
        when(operation.changes_store(), OF_CONTENT),
        when(operation.takes_key(), OF_KEYS),
        when(operation.is_write() && operation.has_version, &[Kind::Changed]),
        when(operation.body.is_some(), OF_BODIES),
        // The name of a user is checked where it stands, in the query or in the body.
        operation.problems,
    ];
    lists.into_iter().flatten().copied().collect()
}

fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::operations::OPERATIONS, *};

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = document(&OPERATIONS);
        let text = document.to_string();
        let references: Vec<&str> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(references.len() > OPERATIONS.len(), "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        assert!(text.contains(&Kind::Failed.uri()));
    }
}
