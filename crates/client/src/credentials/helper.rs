//! Credential helpers: programs `docker-credential-NAME` that hold secrets, by the protocol of docker-credential-helpers.
//! One word as the argument, the question on standard input, the answer on standard output, also that it failed.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::timeout,
};

use super::{CredentialsError, Login, NOT_FOUND, Secret, TOKEN_USER};

/// Time for an answer: a helper may have to ask for the password of a key ring.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer.
const LIMIT: u64 = 1 << 20;

/// A credential helper.
#[derive(Debug)]
pub struct Helper {
    program: PathBuf,
    patience: Duration,
    /// What to do when there is no such program.
    remedy: &'static str,
}

/// What a helper that ended has said.
struct Said {
    succeeded: bool,
    status: String,
    answer: String,
    errors: String,
}

impl Helper {
    /// The helper that configurations call `name`.
    pub(super) fn named(name: &str) -> Result<Self, CredentialsError> {
        let helper = Self {
            program: format!("docker-credential-{name}").into(),
            patience: PATIENCE,
            remedy: "install it, or remove it from `credsStore` and `credHelpers`",
        };
        match name.contains('/') {
            true => Err(helper.failed("its name has a `/`".to_owned())),
            false => Ok(helper),
        }
    }

    /// The helper that is the program `command`, by its path, or by its name in `PATH`.
    pub(crate) fn program_at(command: &str) -> Self {
        Self {
            program: command.into(),
            patience: PATIENCE,
            remedy: "install it, or correct `exec.command`",
        }
    }

    /// Name of the program.
    pub fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// The credentials for `server`; `None`: the helper has none.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Login>, CredentialsError> {
        let said = self.ask("get", &format!("{server}\n")).await?;
        if !said.succeeded {
            return match said.is_not_found() {
                true => Ok(None),
                false => Err(self.failed(said.reason())),
            };
        }
        let answer: Value = serde_json::from_str(&said.answer)
            .map_err(|_| self.failed("it does not answer with JSON".to_owned()))?;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let (user, secret) = (text("Username"), text("Secret"));
        if secret.is_empty() {
            return Ok(None);
        }
        let secret = match user == TOKEN_USER {
            true => Secret::IdentityToken(secret),
            false => Secret::Password(secret),
        };
        Ok(Some(Login { user, secret }))
    }

    /// Gives the credentials for `server` into the keeping of the helper. What it answers is not looked at.
    ///
    /// # Errors
    /// When it fails.
    pub async fn store(&self, server: &str, login: &Login) -> Result<(), CredentialsError> {
        let (user, secret) = match &login.secret {
            Secret::Password(password) => (&*login.user, password),
            Secret::IdentityToken(token) | Secret::RegistryToken(token) => (TOKEN_USER, token),
        };
        let question = json!({"ServerURL": server, "Username": user, "Secret": secret});
        let said = self.ask("store", &question.to_string()).await?;
        match said.succeeded {
            true => Ok(()),
            false => Err(self.failed(said.reason())),
        }
    }

    /// Lets the helper forget the credentials for `server`. That it has none is no failure.
    ///
    /// # Errors
    /// When it fails.
    pub async fn erase(&self, server: &str) -> Result<(), CredentialsError> {
        let said = self.ask("erase", &format!("{server}\n")).await?;
        match said.succeeded || said.is_not_found() {
            true => Ok(()),
            false => Err(self.failed(said.reason())),
        }
    }

    async fn ask(&self, action: &str, question: &str) -> Result<Said, CredentialsError> {
        let mut child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let conversation = async {
            if let Some(mut stdin) = stdin {
                // A helper that does not read its question has answered, or will fail, without it.
                _ = stdin.write_all(question.as_bytes()).await;
            }
            let (answer, errors) = tokio::join!(words(stdout), words(stderr));
            child.wait().await.map(|status| (status, answer, errors))
        };
        let ended = timeout(self.patience, conversation).await.map_err(|_| {
            let seconds = self.patience.as_secs();
            self.failed(format!(
                "it has not answered `{action}` for {seconds} s, and was ended; does it wait for a key ring to be unlocked?"
            ))
        })?;
        let (status, answer, errors) = ended.map_err(|error| self.failed(error.to_string()))?;
        Ok(Said {
            succeeded: status.success(),
            status: status.to_string(),
            answer,
            errors,
        })
    }

    fn not_started(&self, error: &std::io::Error) -> CredentialsError {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                self.failed(format!("there is no such program in `PATH`; {}", self.remedy))
            }
            _ => self.failed(error.to_string()),
        }
    }

    fn failed(&self, reason: String) -> CredentialsError {
        CredentialsError::Helper {
            program: self.program(),
            reason,
        }
    }
}

impl Said {
    fn is_not_found(&self) -> bool {
        self.answer.contains(NOT_FOUND) || self.errors.contains(NOT_FOUND)
    }

    /// The message of a helper that failed: it is meant for people. An answer in JSON may have a secret.
    fn reason(&self) -> String {
        let answer = match self.answer.trim_start().starts_with('{') {
            true => "",
            false => self.answer.trim(),
        };
        let words = [answer, self.errors.trim()].join(" ");
        let words: String = words.trim().chars().take(2000).collect();
        match words.is_empty() {
            true => format!("{}, without a reason", self.status),
            false => format!("{words} ({})", self.status),
        }
    }
}

/// What comes out of a pipe, within a bound.
async fn words(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What came before a failure is all that there is.
        _ = pipe.take(LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    /// A helper that is a script of bash, in a directory of its own.
    #[expect(clippy::disallowed_methods, reason = "plays a user with a helper")]
    fn helper(script: &str) -> (TempDir, Helper) {
        let directory = TempDir::new().unwrap();
        let program = directory.path().join("docker-credential-test");
        std::fs::write(&program, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let helper = Helper::program_at(&program.display().to_string());
        (directory, helper)
    }

    fn login() -> Login {
        Login {
            user: "ann".to_owned(),
            secret: Secret::Password("secret".to_owned()),
        }
    }

    #[tokio::test]
    async fn s4_11_the_toy_helper_works() {
        let (_directory, toy) = helper(r#"read server; echo '{"Username":"usuario","Secret":"contraseña"}'"#);
        let found = toy.get("r.example.com").await.unwrap().unwrap();
        assert_eq!(found.user, "usuario");
        assert!(matches!(found.secret, Secret::Password(secret) if secret == "contraseña"));
        toy.store("r.example.com", &login()).await.unwrap();
        toy.erase("r.example.com").await.unwrap();
    }

    #[tokio::test]
    async fn secrets_go_through_the_standard_input_alone() {
        let (directory, keeper) = helper(r#"echo "$@" > "$0.words"; cat > "$0.question""#);
        keeper.store("h:5000", &login()).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "looks at what the helper got")]
        let read = |name: &str| {
            std::fs::read_to_string(directory.path().join(format!("docker-credential-test.{name}"))).unwrap()
        };
        assert_eq!(read("words"), "store\n");
        let question: Value = serde_json::from_str(&read("question")).unwrap();
        assert_eq!(
            question,
            json!({"ServerURL": "h:5000", "Username": "ann", "Secret": "secret"})
        );
    }

    #[tokio::test]
    async fn a_helper_without_credentials_is_no_failure() {
        let (_directory, empty) = helper(&format!("echo '{NOT_FOUND}'; exit 1"));
        assert!(empty.get("h").await.unwrap().is_none());
        empty.erase("h").await.unwrap();
        let (_directory, token) = helper(r#"echo '{"Username":"<token>","Secret":"t"}'"#);
        let found = token.get("h").await.unwrap().unwrap();
        assert!(matches!(found.secret, Secret::IdentityToken(token) if token == "t"));
    }

    #[tokio::test]
    async fn the_message_of_a_helper_that_fails_is_shown_and_no_secret() {
        let (_directory, locked) = helper("echo 'the key ring is locked'; exit 3");
        let error = locked.get("h").await.unwrap_err().to_string();
        assert!(
            error.contains("the key ring is locked") && error.contains("exit status: 3"),
            "{error}"
        );
        for script in [
            r#"echo '{"Username":"u","Secret":"secret"}'; exit 1"#,
            r#"echo '{"Secret":"secret"'"#,
        ] {
            let (_directory, chatty) = helper(script);
            let error = chatty.get("h").await.unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let missing = Helper::named("wharf-has-no-such-helper").unwrap();
        let error = missing.get("h").await.unwrap_err().to_string();
        assert!(
            error.contains("`PATH`") && error.contains("install it"),
            "{error}"
        );
        assert!(Helper::named("../x").is_err());
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended() {
        let (_directory, mut hanging) = helper("exec cat /dev/stdin /dev/zero >/dev/null");
        hanging.patience = Duration::from_millis(50);
        let error = hanging.get("h").await.unwrap_err().to_string();
        assert!(error.contains("has not answered `get`"), "{error}");
    }
}
