//! The router: from path and method to an operation of the table.

use http::{HeaderValue, Method, header};

use super::{
    operation::Operation,
    operations::OPERATIONS,
    problem::{Kind, Problem, Result},
};

/// The path of the API below the prefix of the server.
pub(crate) const ROOT: &str = "/api/v1";

/// Where a request leads.
#[derive(Debug)]
pub(crate) enum Found {
    Operation(&'static Operation),
    /// `OPTIONS` of a path, with the methods that it has.
    Options(HeaderValue),
}

/// The operation of `method` at `path`, which lies below the prefix of the server. `HEAD` is `GET` without a body.
pub(crate) fn find(method: &Method, path: &str) -> Result<Found> {
    let below = path.strip_prefix(ROOT).unwrap_or_default();
    let here = || OPERATIONS.iter().filter(|operation| operation.path == below);
    let wanted = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    if let Some(operation) = here().find(|operation| operation.method == *wanted) {
        return Ok(Found::Operation(operation));
    }
    if here().next().is_none() {
        let hint = match here_with_slash(below) {
            Some(known) => format!("write it as `{ROOT}{known}`"),
            None => format!("`{ROOT}/openapi.json` has all paths"),
        };
        return Err(Problem::new(
            Kind::UnknownPath,
            format!("there is no such path; {hint}"),
        ));
    }
    let mut allowed = String::new();
    for operation in here() {
        allowed.push_str(operation.method.as_str());
        allowed.push_str(if operation.method == Method::GET {
            ", HEAD, "
        } else {
            ", "
        });
    }
    allowed.push_str("OPTIONS");
    // Names of methods are header values.
    let allow = HeaderValue::try_from(&allowed).unwrap_or(HeaderValue::from_static("OPTIONS"));
    if *method == Method::OPTIONS {
        return Ok(Found::Options(allow));
    }
    let text = format!("`{method}` is not possible here; these methods are: {allowed}");
    Err(Problem::new(Kind::MethodNotAllowed, text).with_header(header::ALLOW, allow))
}

/// The known path that `below` is but for slashes at its end.
fn here_with_slash(below: &str) -> Option<&'static str> {
    let trimmed = below.trim_end_matches('/');
    let known = OPERATIONS.iter().find(|operation| operation.path == trimmed)?;
    Some(known.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_at_its_place() {
        for operation in &OPERATIONS {
            let path = format!("{ROOT}{}", operation.path);
            let Found::Operation(found) = find(&operation.method, &path).unwrap() else {
                panic!("{operation:?}")
            };
            assert_eq!(found.id, operation.id);
        }
        let Found::Operation(head) = find(&Method::HEAD, "/api/v1/users").unwrap() else {
            panic!("HEAD is GET")
        };
        assert_eq!(head.id, "listUsers");
    }

    #[test]
    fn other_paths_and_methods_are_told_what_there_is() {
        let error = |method, path: &str| find(&method, path).unwrap_err();
        assert!(
            error(Method::GET, "/api/v1/users/")
                .detail()
                .contains("`/api/v1/users`")
        );
        for path in [
            "/api/v1",
            "/api/v1/",
            "/api/v2/users",
            "/api/v1x/users",
            "/api/v1//users",
        ] {
            assert_eq!(error(Method::GET, path).kind(), Kind::UnknownPath, "{path}");
        }
        let error = error(Method::PATCH, "/api/v1/users");
        assert_eq!(error.kind(), Kind::MethodNotAllowed);
        assert!(
            error.detail().contains("GET, HEAD, POST, DELETE, OPTIONS"),
            "{error:?}"
        );
        let Found::Options(allow) = find(&Method::OPTIONS, "/api/v1/users/password").unwrap() else {
            panic!("OPTIONS is no operation")
        };
        assert_eq!(allow, "PUT, OPTIONS");
    }
}
