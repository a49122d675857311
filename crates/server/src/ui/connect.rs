//! How programs log in to this registry, and trust its certificate.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, header};
use wharf_pages::{Client, ClientStep, Connect};

use super::{
    answer::Answer,
    call::Call,
    commands,
    failure::{Failure, Result},
};
use crate::location;

/// The steps for each program, with the name by which the browser has reached this registry.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let authority = call.shared.app.services.admin.upkeep.authority().await;
        let page = call.page();
        let base = location::base_for(&call.shared.app.options, call.context, call.parts);
        let host = commands::host(call);
        let account = call.visitor.caller.account().filter(|name| is_plain(name));
        let has_ca = authority.certificate.is_some() && page.secure;
        let facts = Facts {
            host: &host,
            login: call
                .shared
                .app
                .services
                .access
                .is_some()
                .then(|| account.unwrap_or("NAME")),
            ca: has_ca.then(|| format!("{base}/ui/ca.crt")),
            scheme: if page.secure { "https" } else { "http" },
        };
        Ok(Answer::page(Connect {
            host: host.clone(),
            has_ca,
            plain: !page.secure,
            clients: facts.clients(),
            page,
        }))
    }
    .boxed()
}

/// The certificate that clients have to trust.
pub(super) fn authority(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let authority = call.shared.app.services.admin.upkeep.authority().await;
        let Some(certificate) = authority.certificate else {
            return Err(Failure::no_page());
        };
        let answer = Answer::download_bytes("ca.crt", certificate);
        let pem = HeaderValue::from_static("application/x-pem-file");
        Ok(answer.with(header::CONTENT_TYPE, pem))
    }
    .boxed()
}

/// What the lines are made of: parts that a shell takes as they are.
struct Facts<'a> {
    host: &'a str,
    /// The name to log in with; `None`: users do not log in.
    login: Option<&'a str>,
    /// Where the certificate is that clients have to trust.
    ca: Option<String>,
    scheme: &'static str,
}

impl Facts<'_> {
    fn clients(&self) -> Vec<Client> {
        let host = self.host;
        let client = |id, name, steps: Vec<Option<ClientStep>>| Client {
            id,
            name,
            steps: steps.into_iter().flatten().collect(),
        };
        let push = |program: &str| {
            step(
                "connect.push",
                [
                    format!("{program} tag app {host}/team/app:1.0"),
                    format!("{program} push {host}/team/app:1.0"),
                ],
            )
        };
        vec![
            client(
                "docker",
                "Docker",
                vec![
                    self.trust(&format!("/etc/docker/certs.d/{host}/ca.crt")),
                    self.logs_in("docker login"),
                    Some(push("docker")),
                ],
            ),
            client(
                "podman",
                "Podman",
                vec![
                    self.trust(&format!("/etc/containers/certs.d/{host}/ca.crt")),
                    self.logs_in("podman login"),
                    Some(push("podman")),
                ],
            ),
            client(
                "containerd",
                "containerd",
                vec![Some(self.hosts()), Some(self.pull())],
            ),
            client("kubernetes", "Kubernetes", vec![self.secret(), Some(self.pod())]),
            client(
                "helm",
                "Helm",
                vec![
                    self.logs_in("helm registry login"),
                    Some(step(
                        "connect.push",
                        [format!("helm push app-0.1.0.tgz oci://{host}/charts")],
                    )),
                ],
            ),
            client(
                "wharf",
                "wharf",
                vec![
                    self.logs_in("wharf login"),
                    Some(step(
                        "connect.copy",
                        [format!(
                            "wharf copy docker.io/library/debian:12 {host}/base/debian:12"
                        )],
                    )),
                ],
            ),
        ]
    }

    /// How a machine comes to trust the certificate, which a program looks for at `path`.
    fn trust(&self, path: &str) -> Option<ClientStep> {
        let ca = self.ca.as_ref()?;
        Some(step(
            "connect.trust",
            [
                format!("curl -fko ca.crt {ca}"),
                "openssl x509 -in ca.crt -noout -fingerprint -sha256".to_owned(),
                format!("sudo install -D -m 644 ca.crt {path}"),
            ],
        ))
    }

    fn logs_in(&self, program: &str) -> Option<ClientStep> {
        let name = self.login?;
        Some(step(
            "connect.login",
            [format!("{program} -u {name} {}", self.host)],
        ))
    }

    fn hosts(&self) -> ClientStep {
        let (host, scheme) = (self.host, self.scheme);
        let ca = match self.ca {
            Some(_) => format!("\n  ca = \"/etc/containerd/certs.d/{host}/ca.crt\""),
            None => String::new(),
        };
        ClientStep {
            label: "connect.trust",
            lines: Vec::new(),
            block: format!(
                "server = \"{scheme}://{host}\"\n\n[host.\"{scheme}://{host}\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]{ca}"
            ),
            file: format!("/etc/containerd/certs.d/{host}/hosts.toml"),
        }
    }

    fn pull(&self) -> ClientStep {
        let user = self.login.map_or_else(String::new, |name| format!("-u {name} "));
        step(
            "connect.pull",
            [format!(
                "ctr image pull --hosts-dir /etc/containerd/certs.d {user}{}/team/app:1.0",
                self.host
            )],
        )
    }

    fn secret(&self) -> Option<ClientStep> {
        self.login?;
        Some(step(
            "connect.secret",
            [format!(
                "kubectl create secret docker-registry wharf --docker-server={} --docker-username=TOKEN --docker-password=SECRET",
                self.host
            )],
        ))
    }

    fn pod(&self) -> ClientStep {
        let secret = match self.login {
            Some(_) => "\n  imagePullSecrets: [{name: wharf}]",
            None => "",
        };
        ClientStep {
            label: "connect.use",
            lines: Vec::new(),
            block: format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\nspec:{secret}\n  containers:\n    - {{name: app, image: {}/team/app:1.0}}",
                self.host
            ),
            file: String::new(),
        }
    }
}

fn step(label: &'static str, lines: impl IntoIterator<Item = String>) -> ClientStep {
    ClientStep {
        label,
        lines: lines.into_iter().collect(),
        ..ClientStep::default()
    }
}

/// Whether a shell takes a name as it is.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_read_are_no_part_of_a_line() {
        for name in ["alice", "a.b-c_d@example.com"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "-h", "a b", "$(id)", "a;b", "`x`", "é", "a'b"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn steps_are_those_that_the_registry_needs() {
        let mut facts = Facts {
            host: "r.example:5000",
            login: None,
            ca: None,
            scheme: "http",
        };
        let labels = |facts: &Facts<'_>| -> Vec<&str> {
            let clients = facts.clients();
            let docker = clients.into_iter().find(|client| client.id == "docker").unwrap();
            docker.steps.iter().map(|step| step.label).collect()
        };
        assert_eq!(labels(&facts), ["connect.push"]);
        facts.login = Some("alice");
        facts.ca = Some("https://r.example:5000/ui/ca.crt".to_owned());
        assert_eq!(labels(&facts), ["connect.trust", "connect.login", "connect.push"]);
    }
}
