//! The control socket of a running server: a request of the local operator, and its answer.

use std::{
    io,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{AdministrationError, outgoing, problem::Problem, text::printable};

/// Time for a request and its answer: a change of a password file computes a hash, and may wait for others.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of an answer.
const LIMIT: usize = 4 << 20;

/// The path of the API at the socket.
const ROOT: &str = "http://localhost/api/v1";

/// The control socket of a server that runs.
#[derive(Debug)]
pub struct Control {
    socket: PathBuf,
    http: reqwest::Client,
    patience: Duration,
}

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The process may not use the socket.
    #[error(
        "a server runs, or ran, and its control socket `{}` is for {owner} alone; run the command as that user or as root",
        path.display()
    )]
    Denied {
        /// Path of the socket.
        path: PathBuf,
        /// The owner of the socket: `user 1000`.
        owner: String,
    },
    /// The server refuses, in the words of its answer.
    #[error("{}", printable(detail))]
    Refused {
        /// The kind of failure: `unknown-user`.
        kind: String,
        /// What was wrong, and what to do.
        detail: String,
    },
    /// The server does not know the operation.
    #[error(
        "the server at `{}` does not know `{operation}`, because it runs another version; restart it with this one",
        path.display()
    )]
    OtherVersion {
        /// Path of the socket.
        path: PathBuf,
        /// Method and path that the server does not know.
        operation: String,
    },
    /// The answer is not one of this API.
    #[error("what answers at `{}` is no wharf: {reason}", path.display())]
    NotWharf {
        /// Path of the socket.
        path: PathBuf,
        /// Reason why it is none.
        reason: String,
    },
    /// No answer came.
    #[error("the server at `{}` gives no answer: {reason}", path.display())]
    Silent {
        /// Path of the socket.
        path: PathBuf,
        /// Reason why none came.
        reason: String,
    },
    /// The server was asked over the network, and not at its socket.
    #[error(transparent)]
    Remote(#[from] AdministrationError),
}

impl Control {
    /// The server with its control socket at `path`; `None`: no server runs there.
    ///
    /// # Errors
    ///
    /// [`ControlError::Denied`] if this process may not use the socket, and [`ControlError::Silent`] if it cannot be used at all.
    pub fn find(path: &Path) -> Result<Option<Self>, ControlError> {
        let silent = |reason: String| ControlError::Silent {
            path: path.to_owned(),
            reason,
        };
        match UnixStream::connect(path) {
            Ok(_connection) => {}
            Err(error) => match error.kind() {
                // There is no file, the process that made it has ended, or no file can be there.
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput => return Ok(None),
                io::ErrorKind::PermissionDenied => {
                    return Err(ControlError::Denied {
                        path: path.to_owned(),
                        owner: owner_of(path),
                    });
                }
                _ => return Err(silent(error.to_string())),
            },
        }
        let http = outgoing::at_socket(path).map_err(silent)?;
        Ok(Some(Self {
            socket: path.to_owned(),
            http,
            patience: PATIENCE,
        }))
    }

    /// Waits for so long for each answer, in place of a minute.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a request for `path`, which lies below `/api/v1`, with the parameters of `query`, and reads the answer.
    ///
    /// # Errors
    ///
    /// The refusal of the server, or the reason why there is no answer of it.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ControlError> {
        let operation = format!("{method} {path}");
        let mut url = format!("{ROOT}{path}");
        for (place, (name, value)) in query.iter().enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.extend([*name, "="]);
            url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let mut request = self.http.request(method, url).timeout(self.patience);
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body).map_err(|error| self.silent(error.to_string()))?;
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(bytes);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| self.silent(outgoing::reason(&error)))?;
        let status = answer.status();
        let bytes = self.whole(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| self.not_wharf(error.to_string()));
        }
        Err(self.refusal(status, &bytes, operation))
    }

    async fn whole(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, ControlError> {
        let mut whole = Vec::new();
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(|error| self.silent(outgoing::reason(&error)))?
        {
            if whole.len() + bytes.len() > LIMIT {
                return Err(self.not_wharf(format!("its answer has more than {LIMIT} bytes")));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    fn refusal(&self, status: StatusCode, body: &[u8], operation: String) -> ControlError {
        let Some(problem) = Problem::read(body) else {
            return self.not_wharf(format!("it answers with {status}, and not with a problem"));
        };
        match problem.is_unknown_operation() {
            true => ControlError::OtherVersion {
                path: self.socket.clone(),
                operation,
            },
            false => ControlError::Refused {
                kind: problem.kind().to_owned(),
                detail: problem.detail,
            },
        }
    }

    fn silent(&self, reason: String) -> ControlError {
        ControlError::Silent {
            path: self.socket.clone(),
            reason,
        }
    }

    fn not_wharf(&self, reason: String) -> ControlError {
        ControlError::NotWharf {
            path: self.socket.clone(),
            reason,
        }
    }
}

impl ControlError {
    /// Whether the server refuses with a problem of this kind.
    pub fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Refused { kind, .. } => kind == wanted,
            Self::Remote(error) => error.is(wanted),
            _ => false,
        }
    }
}

fn owner_of(path: &Path) -> String {
    match path.symlink_metadata() {
        Ok(found) => format!("user {}", found.uid()),
        // Its directory may not even be looked at.
        Err(_) => "the user of the server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixListener,
        thread,
    };

    use super::*;

    /// A server that gives `answer` to each of two connections: that of the look for it, and the request.
    fn answering(path: &Path, answer: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                if stream.read(&mut head).unwrap() > 0 {
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
    }

    async fn failure(answer: &'static str) -> ControlError {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        answering(&path, answer);
        let control = Control::find(&path).unwrap().unwrap();
        let result =
            control.request::<serde_json::Value>(Method::GET, "/users", &[("name", "a b")], None::<&()>);
        result.await.unwrap_err()
    }

    #[tokio::test]
    async fn each_kind_of_failure_says_what_to_do() {
        let error = failure(
            "HTTP/1.1 404 x\r\nContent-Length: 71\r\n\r\n{\"type\":\"urn:wharf:problem:unknown-path\",\"detail\":\"there is no such\\n\"}  ",
        );
        let text = error.await.to_string();
        assert!(
            text.contains("does not know `GET /users`") && text.contains("restart it"),
            "{text}"
        );
        let error = failure(
            "HTTP/1.1 404 x\r\nContent-Length: 69\r\n\r\n{\"type\":\"urn:wharf:problem:unknown-user\",\"detail\":\"no \\u001b[2Jbob\"}   ",
        );
        let error = error.await;
        assert!(
            error.is("unknown-user") && error.to_string() == "no \\u{1b}[2Jbob",
            "{error}"
        );
        let text = failure("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .await
            .to_string();
        assert!(text.contains("is no wharf"), "{text}");
        let text = failure("HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\nhi")
            .await
            .to_string();
        assert!(text.contains("500") && text.contains("is no wharf"), "{text}");
        let text = failure("").await.to_string();
        assert!(text.contains("gives no answer"), "{text}");
    }

    #[test]
    fn without_a_server_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        assert!(Control::find(&path("nothing")).unwrap().is_none());
        drop(UnixListener::bind(path("dead")).unwrap());
        assert!(Control::find(&path("dead")).unwrap().is_none());
        assert!(Control::find(&path("dead/below")).unwrap().is_none());
        assert!(Control::find(&path(&"x".repeat(200))).unwrap().is_none());
    }
}
