//! The administration API: its operations and problems, each answer checked against its own description.

mod activity;
mod browsers;
mod deletions;
mod hidden;
mod image;
mod images;
mod operations;
mod problems;
mod repetitions;
mod retention;
mod rules;
mod services;
mod socket;
mod tags;
mod tokens;
mod traffic;

use std::path::PathBuf;

use wharf_testkit::{Answer, Client, Engine, Method, Server, ServerBuilder, Value};

/// A server with a password file that has the user `alice`, whose password is `pw`, and with a control socket on both engines.
pub(crate) fn with_users(builder: ServerBuilder) -> ServerBuilder {
    builder.write("htpasswd", ALICE);
    let users = builder.path("htpasswd").display().to_string();
    with_socket(builder).htpasswd(&users)
}

/// A line of a password file: `alice` with the password `pw`, hashed at the cost 4.
pub(crate) const ALICE: &str = "alice:$2y$04$GGM6RoW8osn7YjJ5LjkGxenr.OcquEAkaBl0/QER35f5AYyyuzLkC\n";

/// A server with a control socket: a directory has one by itself.
pub(crate) fn with_socket(builder: ServerBuilder) -> ServerBuilder {
    match builder.engine() {
        Engine::Filesystem => builder,
        Engine::Inmemory => {
            let path = builder.path("control.sock");
            builder.config(format!("admin: {{socket: '{}'}}", path.display()))
        }
    }
}

/// Path of the control socket.
pub(crate) fn socket_of(server: &Server) -> PathBuf {
    match server.engine() {
        Engine::Filesystem => server.root().join("wharf/control.sock"),
        Engine::Inmemory => server.path("control.sock"),
    }
}

/// A client of the API that checks each answer against the description of the API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
    description: Value,
    /// Path of the API.
    root: String,
}

impl Api {
    /// The operator at the control socket.
    pub(crate) async fn of_operator(server: &Server) -> Self {
        Self::new(Client::unix(&socket_of(server)), "/api/v1").await
    }

    /// `client`, by the description at `root`.
    pub(crate) async fn new(client: Client, root: &str) -> Self {
        let description = client.get(&format!("{root}/openapi.json")).await.expect(200);
        Self {
            client,
            description: description.json(),
            root: root.to_owned(),
        }
    }

    /// Another client of the same API.
    pub(crate) fn with(&self, client: Client) -> Self {
        Self {
            client,
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], None).await
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.send(Method::POST, target, &[], Some(body)).await
    }

    pub(crate) async fn put(&self, target: &str, body: &str) -> Answer {
        self.send(Method::PUT, target, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.send(Method::DELETE, target, &[], None).await
    }

    /// Sends a request, and checks the form of its answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let path = format!("{}{target}", self.root);
        let mut request = self.client.request(method.clone(), &path);
        if let Some(body) = body {
            let is_typed = headers.iter().any(|(name, _)| *name == "content-type");
            if !is_typed {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body.to_owned());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.await;
        self.check(&method, target, &answer);
        answer
    }

    /// Checks that the API is described to answer so. A path or a method that is none has no description.
    #[track_caller]
    fn check(&self, method: &Method, target: &str, answer: &Answer) {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer}");
        let path = target.split('?').next().unwrap();
        let operation = &self.description["paths"][path][method.as_str().to_ascii_lowercase()];
        let media_type = answer.header("content-type");
        if operation.is_null() {
            assert!([404, 405].contains(&answer.status.as_u16()), "{answer}");
            return self.check_schema(&reference_to("Problem"), answer);
        }
        let described = &operation["responses"][answer.status.as_str()]["content"][media_type]["schema"];
        assert!(!described.is_null(), "an answer that is not described\n{answer}");
        self.check_schema(described, answer);
    }

    #[track_caller]
    fn check_schema(&self, schema: &Value, answer: &Answer) {
        let whole = wharf_testkit::json!({
            "allOf": [schema],
            "components": self.description["components"],
        });
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(&answer.json())
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{}\n{answer}", problems.join("\n"));
    }

    /// The ids of all operations.
    pub(crate) fn operations(&self) -> Vec<String> {
        let paths = self.description["paths"].as_object().unwrap();
        let of_path = paths.values().flat_map(|path| path.as_object().unwrap().values());
        of_path
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn reference_to(name: &str) -> Value {
    wharf_testkit::json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Checks that an answer is a problem of this status and kind.
pub(crate) trait ExpectProblem {
    fn expect_problem(self, status: u16, kind: &str) -> Self;
}

impl ExpectProblem for Answer {
    #[track_caller]
    fn expect_problem(self, status: u16, kind: &str) -> Self {
        let answer = self
            .expect(status)
            .expect_header("content-type", "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:wharf:problem:{kind}"), "{answer}");
        assert_eq!(problem["status"], status, "{answer}");
        answer
    }
}
