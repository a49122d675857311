//! The files that `wharf init` writes, and the instructions that it ends with.

use std::fmt::Write as _;

use serde_json::json;

/// A registry that is about to be made.
#[derive(Debug)]
pub(super) struct Site {
    /// The absolute path of its directory
    pub(super) directory: String,
    /// Name of the first user
    pub(super) user: String,
    /// Name under which clients reach it, without the port
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether it speaks TLS
    pub(super) has_tls: bool,
    /// User and group that own the files: `1000:1000`
    pub(super) owner: String,
}

/// What happened to the password of the first user.
pub(super) enum Password<'a> {
    /// It is shown here, and nowhere else
    Shown(&'a str),
    /// It is in this file
    Written(&'a str),
    /// The operator has chosen it
    Given,
}

impl Site {
    /// `host:port`, as clients write it. Docker leaves port 443 out.
    pub(super) fn registry(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port {
            443 if self.has_tls => host,
            port => format!("{host}:{port}"),
        }
    }

    /// The text of `config.yml`.
    pub(super) fn configuration(&self) -> String {
        let path = |name: &str| quoted(&self.path(name));
        let mut text = format!(
            "\
# The configuration of this registry, made by `wharf init`. Every key: docs/configuration.md, or `wharf config keys`.
# After a change: wharf doctor {config}
# The paths are the same on this machine and in the container of docker-compose.yml, so each command works in both. After the
# directory has moved, replace them here and in docker-compose.yml.
version: 0.1

storage:
  filesystem:
    # Images. The only directory that grows, and the one to back up.
    rootdirectory: {data}

http:
",
            config = shell(&self.path("config.yml")),
            data = path("data"),
        );
        if self.has_tls {
            _ = write!(
                text,
                "  \
  # All addresses of this machine.
  addr: :{port}
  tls:
    # Read again as soon as they change. A certificate of a public authority may take their place.
    certificate: {certificate}
    key: {key}
",
                port = self.port,
                certificate = path("certs/domain.crt"),
                key = path("certs/domain.key"),
            );
        } else {
            _ = write!(
                text,
                "  \
  # This machine only, because passwords would cross the network in clear text: a proxy in front speaks TLS.
  addr: 127.0.0.1:{port}
  # The URL at which the proxy takes requests, if it does not hand on `Host` and `X-Forwarded-Proto`:
  # host: https://registry.example.com
",
                port = self.port,
            );
        }
        _ = write!(
            text,
            "
auth:
  htpasswd:
    # The name that browsers show when they ask for a password.
    realm: Registry Realm
    # Users: `wharf user add NAME --file {users}`. Read again as soon as it changes.
    path: {htpasswd}

access:
  # Accounts that may do everything, also administer the registry.
  admins: [{user}]
  # Rights of the other users: without rules each may pull, push and delete everything. docs/access.md
  # rules: {rules}
  # Repositories from which clients pull without an account:
  # anonymous: ['public/**']

health:
  storagedriver:
    # Answer 503 while the disk does not work, so that `docker ps` and load balancers see it.
    enabled: true
    interval: 10s
    threshold: 3
",
            users = shell(&self.path("auth/htpasswd")),
            htpasswd = path("auth/htpasswd"),
            user = quoted(&self.user),
            rules = path("auth/rules.yml"),
        );
        text
    }

    /// The text of `.env`.
    pub(super) fn environment(&self) -> String {
        format!(
            "\
# Read by `docker compose`, for docker-compose.yml.
COMPOSE_PROJECT_NAME={project}
REGISTRY_IMAGE=wharf:latest
# Port of this machine at which clients reach the registry.
REGISTRY_PORT={port}
# User and group of the container: the owner of the files here, which other users cannot read. With rootless podman or
# Docker: 0:0, which is you.
REGISTRY_USER={owner}
",
            project = self.project(),
            port = self.port,
            owner = self.owner,
        )
    }

    /// The text of `docker-compose.yml`.
    pub(super) fn compose(&self) -> String {
        let target = |name: &str| compose_quoted(&self.path(name));
        let mut volumes = format!(
            "      # In the container everything is at the path that it has outside.
      - {{type: bind, source: ./data, target: {data}}}
      - {{type: bind, source: ./auth, target: {auth}}}
      - {{type: bind, source: ./config.yml, target: {config}, read_only: true}}
",
            data = target("data"),
            auth = target("auth"),
            config = target("config.yml"),
        );
        let (mut address, mut environment) = ("", String::new());
        if self.has_tls {
            _ = writeln!(
                volumes,
                "      - {{type: bind, source: ./certs, target: {}, read_only: true}}",
                target("certs")
            );
        } else {
            address = "127.0.0.1:";
            environment = format!(
                "    environment:\n      # All addresses of the container; `ports` lets this machine alone connect.\n      \
                 REGISTRY_HTTP_ADDR: \":{}\"\n",
                self.port
            );
        }
        format!(
            "\
# Made by `wharf init`; the values of its variables are in .env. Build the image first: cargo xtask image
services:
  registry:
    image: ${{REGISTRY_IMAGE:-wharf:latest}}
    restart: unless-stopped
    user: \"${{REGISTRY_USER}}\"
    command: [serve, {config}]
    ports:
      - \"{address}${{REGISTRY_PORT}}:{port}\"
{environment}    volumes:
{volumes}    # It writes to the volumes alone, and needs no privilege.
    read_only: true
    cap_drop: [ALL]
    security_opt: [\"no-new-privileges:true\"]
    healthcheck:
      test: [CMD, /bin/registry, healthcheck, {config}]
      interval: 30s
      timeout: 5s
      start_period: 5s
",
            config = target("config.yml"),
            port = self.port,
        )
    }

    /// What to do next.
    pub(super) fn instructions(&self, password: &Password<'_>) -> String {
        let (directory, registry) = (shell(&self.directory), self.registry());
        let config = shell(&self.path("config.yml"));
        let mut text = format!("made a registry in {}\n\n", self.directory);
        _ = match password {
            Password::Shown(password) => writeln!(
                text,
                "user      {}\npassword  {password}\n          shown once, and kept nowhere",
                self.user
            ),
            Password::Written(path) => writeln!(
                text,
                "user      {}\npassword  in the file {path}, which only you can read",
                self.user
            ),
            Password::Given => writeln!(text, "user      {}, with the password that you gave", self.user),
        };
        _ = write!(
            text,
            "
start it, in a container or on this machine
  cd {directory} && docker compose up -d
  wharf serve {config}
"
        );
        if self.has_tls {
            text.push_str(&self.trust());
        }
        let address = match self.has_tls {
            true => registry,
            false => format!("localhost:{}", self.port),
        };
        _ = write!(
            text,
            "
log in
  docker login -u {user} {address}

when something does not work
  wharf doctor {config}
",
            user = shell(&self.user),
        );
        text
    }

    /// The steps by which clients come to trust the certificate.
    fn trust(&self) -> String {
        let registry = self.registry();
        let certificate = shell(&self.path("certs/domain.crt"));
        let target = |place: &str| shell(&format!("{place}/certs.d/{registry}/ca.crt"));
        format!(
            "
make clients trust its certificate: on each machine, with a copy of certs/domain.crt
  docker       sudo install -D -m 644 {certificate} {docker}
  podman       sudo install -D -m 644 {certificate} {podman}
  containerd   sudo install -D -m 644 {certificate} {containerd}
               (`config_path` in its config.toml is /etc/containerd/certs.d)
  all others   wharf cert trust {host} --ca {certificate}
",
            docker = target("/etc/docker"),
            podman = target("/etc/containers"),
            containerd = target("/etc/containerd"),
            host = shell(&registry),
        )
    }

    fn path(&self, name: &str) -> String {
        match self.directory.as_str() {
            "/" => format!("/{name}"),
            directory => format!("{directory}/{name}"),
        }
    }

    /// A name that Compose takes for a project: lower case letters, digits, `-` and `_`, the first of them a letter or digit.
    fn project(&self) -> String {
        let name = self.directory.rsplit('/').next().unwrap_or_default();
        let name: String = name
            .to_ascii_lowercase()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .collect();
        match name.trim_start_matches(['-', '_']) {
            "" => "registry".to_owned(),
            name => name.to_owned(),
        }
    }
}

/// A text in YAML: every JSON text is one.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    match text.chars().all(is_plain) && text.starts_with('/') {
        true => text.to_owned(),
        false => json!(text).to_string(),
    }
}

/// A text in a file of Compose, which replaces `$NAME`.
fn compose_quoted(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// A word of a command line.
fn shell(word: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | ':' | '[' | ']' | '@');
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(directory: &str) -> Site {
        Site {
            directory: directory.to_owned(),
            user: "admin".to_owned(),
            host: "registry.example.com".to_owned(),
            port: 5443,
            has_tls: true,
            owner: "1000:1000".to_owned(),
        }
    }

    #[test]
    fn projects_have_names_that_compose_takes() {
        for (directory, project) in [
            ("/srv/registry", "registry"),
            ("/srv/My Registry.2", "myregistry2"),
            ("/srv/_-x", "x"),
            ("/srv/ü", "registry"),
            ("/", "registry"),
        ] {
            assert_eq!(site(directory).project(), project);
        }
    }

    #[test]
    fn paths_are_quoted_where_they_must_be() {
        assert_eq!(quoted("/srv/registry"), "/srv/registry");
        assert_eq!(quoted("/srv/a: #b\"c"), r#""/srv/a: #b\"c""#);
        assert_eq!(quoted("true"), "\"true\"");
        assert_eq!(compose_quoted("/srv/$HOME"), "\"/srv/$$HOME\"");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell("/srv/registry"), "/srv/registry");
    }

    #[test]
    fn registries_are_named_as_clients_write_them() {
        assert_eq!(site("/srv").registry(), "registry.example.com:5443");
        let other = |host: &str, port| {
            let host = host.to_owned();
            Site {
                host,
                port,
                ..site("/srv")
            }
            .registry()
        };
        assert_eq!(other("::1", 5000), "[::1]:5000");
        assert_eq!(other("registry.example.com", 443), "registry.example.com");
    }
}
