//! Compose files and commands that were written for registry:2, with no change but the image's name.

use wharf_testkit::{
    docker::Docker,
    suite::{Part, Suite},
    tls::{Identity, Wanted},
};

use crate::subject::{Container, FULL, NEEDS, authority_of, docker, wait_for};

pub(crate) fn add_to(suite: &mut Suite) {
    let needs = |more: &[&'static str]| {
        let programs = more.iter().map(|program| Part::Program(program));
        NEEDS.iter().copied().chain(programs).collect::<Vec<_>>()
    };
    suite.test(
        "s0_09_run_with_users_from_the_environment",
        &needs(&["curl", "htpasswd"]),
        run_with_users,
    );
    suite.test(
        "s2_07_compose_with_config_users_and_data",
        &needs(&["docker-compose", "curl", "htpasswd"]),
        compose_with_config,
    );
    suite.test(
        "s3_09_compose_with_a_home_made_certificate",
        &needs(&["docker-compose", "curl", "htpasswd", "openssl"]),
        compose_with_home_made_certificate,
    );
    suite.test(
        "s1_08_compose_with_tls_from_an_env_file",
        &needs(&["docker-compose", "curl", "htpasswd"]),
        compose_with_tls,
    );
}

/// A compose project that is taken down when it is dropped.
struct Stack<'a> {
    docker: &'a Docker,
    directory: String,
    project: String,
}

impl<'a> Stack<'a> {
    /// Starts a project that was written for registry:2, after changing the image's name and nothing else.
    fn up(docker: &'a Docker, directory: &str, written_for_registry_2: &str) -> Stack<'a> {
        let ours = written_for_registry_2.replacen("registry:2", FULL, 1);
        assert_ne!(ours, written_for_registry_2);
        docker
            .bench
            .write(&format!("{directory}/docker-compose.yml"), &ours);
        let stack = Stack {
            docker,
            directory: docker.bench.path(directory).display().to_string(),
            project: format!("wharftest{}{directory}", std::process::id()),
        };
        stack.compose(&["up", "-d"]);
        let log = || stack.compose(&["logs", "--no-color"]);
        wait_for(|| log().contains("listening on"), log);
        stack
    }

    fn compose(&self, arguments: &[&str]) -> String {
        let mut all = vec![
            "--project-directory",
            &self.directory,
            "--project-name",
            &self.project,
        ];
        let file = format!("{}/docker-compose.yml", self.directory);
        all.extend(["--file", &file]);
        all.extend(arguments);
        self.docker.bench.run("docker-compose", &all)
    }

    fn container(&self) -> String {
        self.compose(&["ps", "-q"]).trim().to_owned()
    }

    fn authority(&self) -> String {
        authority_of(self.docker, &self.container())
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        let file = format!("{}/docker-compose.yml", self.directory);
        let down = [
            "--project-directory",
            &self.directory,
            "--project-name",
            &self.project,
            "--file",
            &file,
            "down",
            "--volumes",
        ];
        self.docker.bench.try_run("docker-compose", &down);
    }
}

fn curl(docker: &Docker, arguments: &[&str]) -> String {
    let mut all = vec!["--silent", "--show-error"];
    all.extend(arguments);
    docker.bench.run("curl", &all)
}

/// Login, push, remove, pull and run, as `user`.
fn use_it(docker: &Docker, authority: &str, user: &str, password: &str, greeting: &str) {
    let wrong = docker
        .bench
        .try_run("docker", &["login", "-u", user, "-p", "wrong", authority]);
    assert!(
        !wrong.succeeded && wrong.stderr.contains("401"),
        "{}",
        wrong.stderr
    );
    let reference = format!("{authority}/kyo/my-image:1.0");
    docker.build(&reference);
    let refused = docker.bench.try_run("docker", &["push", &reference]);
    assert!(!refused.succeeded, "nobody pushes without a name");
    docker.run(&["login", "-u", user, "-p", password, authority]);
    docker.run(&["push", &reference]);
    docker.run(&["rmi", "--force", &reference]);
    docker.run(&["pull", &reference]);
    assert_eq!(
        docker.run(&["run", "--rm", "--network", "none", &reference]),
        greeting
    );
    docker.run(&["rmi", "--force", &reference]);
    docker.run(&["logout", authority]);
}

fn htpasswd(docker: &Docker, user: &str, password: &str) -> String {
    docker.bench.run("htpasswd", &["-Bbn", user, password])
}

fn run_with_users() {
    let docker = docker("with users");
    docker
        .bench
        .write("auth/htpasswd", &htpasswd(&docker, "alice", "secret"));
    let mount = format!("{}:/auth", docker.bench.path("auth").display());
    let container = Container::run(
        &docker,
        &[
            "--restart=always",
            "-v",
            &mount,
            "-e",
            "REGISTRY_AUTH=htpasswd",
            "-e",
            "REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm",
            "-e",
            "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd",
            FULL,
        ],
    );
    use_it(&docker, &container.authority(), "alice", "secret", "with users");
    let url = format!("http://{}/v2/_catalog", container.authority());
    let head = curl(&docker, &["--include", &url]);
    assert!(
        head.contains("Www-Authenticate: Basic realm=\"Registry Realm\""),
        "{head}"
    );
    assert_eq!(
        curl(&docker, &["--user", "alice:secret", &url]).trim(),
        r#"{"repositories":["kyo/my-image"]}"#
    );
    // S2-10: no restart for a new user.
    docker.bench.write(
        "auth/htpasswd",
        &(htpasswd(&docker, "alice", "secret") + &htpasswd(&docker, "newuser", "newpass")),
    );
    assert!(curl(&docker, &["--user", "newuser:newpass", &url]).contains("kyo/my-image"));
    assert!(!container.log().contains("secret"), "no password is logged");
    // The container restarts by itself, so it is told to go for good when it is dropped.
}

fn compose_with_config() {
    let docker = docker("composed");
    docker.bench.write(
        "s2/registry/auth/htpasswd",
        &htpasswd(&docker, "myuser", "mypassword"),
    );
    docker.bench.write(
        "s2/registry/config.yml",
        "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    \
         rootdirectory: /var/lib/registry\n  delete:\n    enabled: true\nhttp:\n  addr: :5000\n  headers:\n    X-Content-Type-Options: \
         [nosniff]\nauth:\n  htpasswd:\n    realm: basic-realm\n    path: /auth/htpasswd\nhealth:\n  storagedriver:\n    enabled: true\n    \
         interval: 10s\n    threshold: 3\n",
    );
    let stack = Stack::up(
        &docker,
        "s2",
        "version: '3'\nservices:\n  registry:\n    image: registry:2\n    restart: always\n    ports:\n      - \"127.0.0.1:0:5000\"\n    \
         volumes:\n      - ./registry/data:/var/lib/registry\n      - ./registry/auth:/auth\n      - \
         ./registry/config.yml:/etc/docker/registry/config.yml\n",
    );
    use_it(&docker, &stack.authority(), "myuser", "mypassword", "composed");
    let tree = docker
        .bench
        .path("s2/registry/data/docker/registry/v2/repositories/kyo/my-image");
    assert!(tree.is_dir(), "the data lies in the directory that was mounted");
    let warnings = stack.compose(&["logs", "--no-color"]);
    assert!(
        !warnings.contains("no effect"),
        "every key of this file means something: {warnings}"
    );
    stack.compose(&["restart"]);
    let url = || format!("http://{}/v2/kyo/my-image/tags/list", stack.authority());
    let tags = || {
        docker
            .bench
            .try_run("curl", &["--silent", "--user", "myuser:mypassword", &url()])
            .stdout
    };
    wait_for(|| tags().contains("1.0"), tags);
}

fn compose_with_tls() {
    let docker = docker("encrypted");
    docker.bench.write(
        "s1/basic-auth/registry.password",
        &htpasswd(&docker, "alice", "a:ä secret"),
    );
    let Identity { certificate, key } = Wanted::localhost().self_signed();
    docker.bench.write("s1/certs/docker-registry.crt", &certificate);
    docker.bench.write("s1/certs/docker-registry.key", &key);
    let certificate = docker.bench.path("s1/certs/docker-registry.crt");
    let certificate = certificate.display().to_string();
    docker.bench.write(
        "s1/.env.registry",
        "REGISTRY_HTTP_TLS_CERTIFICATE=/certs/docker-registry.crt\nREGISTRY_HTTP_TLS_KEY=/certs/docker-registry.key\nREGISTRY_AUTH=htpasswd\n\
         REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm\nREGISTRY_AUTH_HTPASSWD_PATH=/auth/registry.password\n",
    );
    let stack = Stack::up(
        &docker,
        "s1",
        "version: '3'\nservices:\n  my-private-registry:\n    image: registry:2\n    ports:\n      - \"127.0.0.1:0:5000\"\n    env_file: \
         .env.registry\n    volumes:\n      - my-private-registry:/var/lib/registry\n      - ./certs:/certs\n      - \
         ./basic-auth:/auth\nvolumes:\n  my-private-registry:\n",
    );
    let authority = stack.authority();
    use_it(&docker, &authority, "alice", "a:ä secret", "encrypted");
    let url = format!("https://{authority}/v2/_catalog");
    let user = ["--user", "alice:a:ä secret"];
    // S1-17: its own certificate is all the trust that is needed.
    let catalogue = curl(&docker, &["--cacert", &certificate, user[0], user[1], &url]);
    assert_eq!(catalogue.trim(), r#"{"repositories":["kyo/my-image"]}"#);
    // S1-18: plain HTTP to the TLS port.
    let plain = curl(&docker, &["--include", &format!("http://{authority}/v2/")]);
    assert!(plain.contains(" 400 ") && plain.contains("https://"), "{plain}");
    // S1-09
    let container = stack.container();
    stack.compose(&["stop"]);
    assert_eq!(
        docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &container]),
        "0"
    );
}

/// The certificate is made by the notes' own recipe, without a name that Docker looks at, and the password is the
/// account's name: both work, and both are warned about.
fn compose_with_home_made_certificate() {
    let docker = docker("at home");
    let directory = "s3/etc/registry28";
    let account = htpasswd(&docker, "docker-registry", "docker-registry");
    docker
        .bench
        .write(&format!("{directory}/auth/htpasswd"), &account);
    docker
        .bench
        .write("s3/.env", "COMPOSE_PROJECT_NAME=my-registry\nREGISTRY_PORT=0\n");
    docker.bench.write("s3/data/certs/keep", "");
    let certs = docker.bench.path("s3/data/certs");
    let (key, certificate) = (certs.join("default.key"), certs.join("default.crt"));
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    let recipe = [
        "req",
        "-newkey",
        "rsa:4096",
        "-nodes",
        "-sha256",
        "-keyout",
        &key,
        "-x509",
        "-days",
        "3650",
        "-out",
        &certificate,
        "-subj",
        "/CN=my.registry.com",
    ];
    docker.bench.run("openssl", &recipe);
    docker.bench.write(
        &format!("{directory}/config.yml"),
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n  delete:\n    \
         enabled: true\nauth:\n  htpasswd:\n    realm: basic-realm\n    path: /etc/docker/registry/auth/htpasswd\nhttp:\n  addr: \
         :5000\n  tls:\n    certificate: /certs/default.crt\n    key: /certs/default.key\n",
    );
    let stack = Stack::up(
        &docker,
        "s3",
        "version: '3'\nservices:\n  registry:\n    image: registry:2\n    restart: unless-stopped\n    ports:\n      - \
         \"127.0.0.1:${REGISTRY_PORT}:5000\"\n    volumes:\n      - ./etc/registry28:/etc/docker/registry\n      - \
         ./data/certs:/certs\n      - ./data/registry:/var/lib/registry\n",
    );
    use_it(
        &docker,
        &stack.authority(),
        "docker-registry",
        "docker-registry",
        "at home",
    );
    let log = || stack.compose(&["logs", "--no-color"]);
    assert!(
        log().contains("Docker refuses"),
        "the certificate is warned about: {}",
        log()
    );
    // Trying passwords takes its time, beside the requests.
    wait_for(|| log().contains("password"), log);
    assert!(
        docker
            .bench
            .path("s3/data/registry/docker/registry/v2/repositories/kyo")
            .is_dir()
    );
}
