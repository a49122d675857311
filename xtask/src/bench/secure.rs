//! Keys, passwords and tokens for the rows that need them, made by openssl, spoken by curl.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::feature::Feature;
use super::seed::IMAGE_REPOSITORY;

/// `bench:bench-password`, bcrypt at cost 10.
const HTPASSWD: &str = "bench:$2y$10$abcdefghijklmnopqrstuu5rhE8xjcfdvrsFKo7VUotU4ZZ7fEC/O\n";
/// User and password in Base64, for HTTP Basic.
const BASIC: &str = "Basic YmVuY2g6YmVuY2gtcGFzc3dvcmQ=";

/// Files that servers are configured with, and the credentials of the client.
pub(crate) struct Materials {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    htpasswd: PathBuf,
    rules: PathBuf,
    token: String,
}

impl Materials {
    /// Makes all files below `directory`, with a key that lives for a day.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=127.0.0.1",
            ])
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        run(&mut openssl)?;
        let htpasswd = directory.join("htpasswd");
        fs::write(&htpasswd, HTPASSWD)?;
        let rules = directory.join("rules.yml");
        fs::write(&rules, access_rules())?;
        let token = sign_token(&certificate, &key, directory)?;
        Ok(Self {
            certificate,
            key,
            htpasswd,
            rules,
            token,
        })
    }

    /// The part of a registry's configuration that asks for `feature`.
    pub(crate) fn registry_config(&self, feature: Feature) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match feature {
            Feature::Plain | Feature::Screens | Feature::Collection => String::new(),
            // What is garbage goes at once, and no collection begins by itself.
            Feature::OnlineCollection => "collect:\n  enabled: false\n  grace: 0s\n".to_owned(),
            Feature::Tls => format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"),
            Feature::Htpasswd => self.password_file(),
            Feature::Rules => format!(
                "{}access:\n  rules: {}\n",
                self.password_file(),
                self.rules.display()
            ),
            Feature::Token => format!(
                "auth:\n  token:\n    realm: http://127.0.0.1:1/token\n    service: bench\n    issuer: bench\n    \
                 rootcertbundle: {certificate}\n"
            ),
        }
    }

    fn password_file(&self) -> String {
        format!(
            "auth:\n  htpasswd:\n    realm: bench\n    path: {}\n",
            self.htpasswd.display()
        )
    }

    pub(crate) fn nginx_config(&self) -> String {
        format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;\n",
            self.certificate.display(),
            self.key.display()
        )
    }

    /// The value of `Authorization` for a server with `feature`.
    pub(crate) fn authorization(&self, feature: Feature) -> Option<String> {
        match feature {
            Feature::Plain
            | Feature::Tls
            | Feature::Screens
            | Feature::Collection
            | Feature::OnlineCollection => None,
            Feature::Htpasswd | Feature::Rules => Some(BASIC.to_owned()),
            Feature::Token => Some(format!("Bearer {}", self.token)),
        }
    }

    pub(crate) fn answers_tls(&self, address: SocketAddr) -> bool {
        let mut curl = self.curl();
        curl.args(["--output", "/dev/null", "--max-time", "2"])
            .arg(format!("https://{address}/v2/"));
        curl.stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Fetches `path` `times` times over one TLS 1.3 connection.
    pub(crate) fn get_by_tls(&self, address: SocketAddr, path: &str, times: usize) -> Result<()> {
        let mut curl = self.curl();
        for _ in 0..times {
            curl.args(["--output", "/dev/null"])
                .arg(format!("https://{address}{path}"));
        }
        run(&mut curl)?;
        Ok(())
    }

    fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--http1.1",
            "--tlsv1.3",
            "--cacert",
        ])
        .arg(&self.certificate);
        curl
    }
}

/// 200 rules, of which the last is about the client.
fn access_rules() -> String {
    let mut rules = String::from("rules:\n");
    for number in 1..200 {
        rules +=
            &format!("- {{accounts: user{number}, repositories: 'team{number}/**', allow: [pull, push]}}\n");
    }
    rules + "- {accounts: bench, repositories: '**', allow: '*'}\n"
}

/// A token as registry:2 and registry:3 take it: RS256, with the certificate itself in `x5c`.
fn sign_token(certificate: &Path, key: &Path, directory: &Path) -> Result<String> {
    let der = run(Command::new("openssl")
        .args(["x509", "-outform", "DER", "-in"])
        .arg(certificate))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [base64(&der, STANDARD, true)] });
    let claims = json!({
        "iss": "bench", "sub": "bench", "aud": "bench", "jti": "bench",
        "iat": now - 10, "nbf": now - 10, "exp": now + 24 * 60 * 60,
        "access": [{ "type": "repository", "name": IMAGE_REPOSITORY, "actions": ["pull"] }],
    });
    let encode = |value: &Value| base64(value.to_string().as_bytes(), URL_SAFE, false);
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let input = directory.join("token");
    fs::write(&input, &signed)?;
    let signature = run(Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .arg(&input))?;
    Ok(format!("{signed}.{}", base64(&signature, URL_SAFE, false)))
}

/// Runs a helper to its end and returns its output.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{program}`; on Debian `apt-get install {program}`"))?;
    ensure!(
        output.status.success(),
        "`{program}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], alphabet: &[u8; 64], padded: bool) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, n| {
            (word << 8) | usize::from(group.get(n).copied().unwrap_or(0))
        });
        for n in 0..4 {
            if n <= group.len() {
                text.push(char::from(alphabet[(word >> (18 - 6 * n)) & 63]));
            } else if padded {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        assert_eq!(
            base64(b"bench:bench-password", STANDARD, true),
            BASIC.trim_start_matches("Basic ")
        );
        assert_eq!(base64(b"\xff\xef", URL_SAFE, false), "_-8");
    }
}
