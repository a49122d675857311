//! The servers that are measured: finding, configuring, starting and stopping them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::bucket::{Bucket, Buckets};
use super::client::Client;
use super::feature::Feature;
use super::process::Cores;
use super::secure::Materials;
use super::seed::{IMAGE_REPOSITORY, Images, blob_path};

/// The longest time that a server may take until its first answer.
const START_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const WHARF: &str = "wharf";
pub(crate) const REGISTRY_2: &str = "registry:2";
pub(crate) const REGISTRY_3: &str = "registry:3";
pub(crate) const NGINX: &str = "nginx";

/// One of the servers that are compared.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Program and arguments; `{config}`, `{port}` and `{root}` are filled in at each start.
    pub(crate) command: Vec<String>,
    /// Version that the server reports.
    pub(crate) version: String,
    /// Configuration of a peer that does not read that of registry:2; `{port}` and `{root}` are filled in.
    pub(crate) template: Option<String>,
}

/// Settings of all starts.
pub(crate) struct Stage {
    /// Directory for configuration files, of this run alone.
    pub(crate) scratch: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) images: Images,
    pub(crate) materials: Option<Materials>,
    /// The store of buckets; `None`: servers keep their data in directories.
    pub(crate) buckets: Option<Buckets>,
}

/// A server that has answered, stopped when dropped.
pub(crate) struct Running {
    child: Child,
    /// The bucket of the server, which ends after it.
    _bucket: Option<Bucket>,
    pub(crate) address: SocketAddr,
    /// From the call that starts the process until its first answer to `GET /v2/`, in seconds.
    pub(crate) first_answer: f64,
}

impl Server {
    /// Starts the server on `root` and waits for its first answer.
    pub(crate) fn start(&self, stage: &Stage, root: &Path, feature: Feature) -> Result<Running> {
        let port = free_port()?;
        let config = stage
            .scratch
            .join(format!("{}-{port}.conf", self.name.replace(':', "-")));
        let bucket = stage.bucket(root)?;
        fs::write(&config, self.config(stage, root, bucket.as_ref(), feature, port)?)?;
        let started = self.spawn_and_wait(stage, root, bucket, feature, (port, &config));
        fs::remove_file(&config)?;
        started.with_context(|| format!("cannot start {} (`{}`)", self.name, self.command.join(" ")))
    }

    /// Runs another command of the server's program to its end on `root`: `words` stand in place of `serve`.
    pub(crate) fn run(&self, stage: &Stage, root: &Path, feature: Feature, words: &[&str]) -> Result<()> {
        ensure!(
            self.command.iter().any(|word| word == "serve"),
            "`{}` has no `serve` to replace",
            self.name
        );
        let own = self.command.iter().flat_map(|word| match word.as_str() {
            "serve" => words.to_vec(),
            word => vec![word],
        });
        let command = Self {
            command: own.map(str::to_owned).collect(),
            ..self.clone()
        };
        let config = stage.scratch.join("command.conf");
        let bucket = stage.bucket(root)?;
        fs::write(&config, self.config(stage, root, bucket.as_ref(), feature, 0)?)?;
        let mut program = command.program(root, 0, &config, feature, stage);
        let output = stage
            .cores
            .on_server_core(|| program.stderr(Stdio::piped()).output())??;
        fs::remove_file(&config)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{}` failed: {}",
            command.command.join(" "),
            last_lines(&said)
        );
        Ok(())
    }

    fn spawn_and_wait(
        &self,
        stage: &Stage,
        root: &Path,
        bucket: Option<Bucket>,
        feature: Feature,
        (port, config): (u16, &Path),
    ) -> Result<Running> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let complaints = stage.scratch.join("stderr");
        let begun = Instant::now();
        let spawn = || {
            self.program(root, port, config, feature, stage)
                .stderr(Stdio::null())
                .spawn()
        };
        let child = stage.cores.on_server_core(spawn)??;
        let mut running = Running {
            child,
            _bucket: bucket,
            address,
            first_answer: 0.0,
        };
        while begun.elapsed() < START_PATIENCE {
            if running.answers(feature, stage) {
                running.first_answer = begun.elapsed().as_secs_f64();
                return Ok(running);
            }
            if let Some(status) = running.child.try_wait()? {
                // Run once more, to get its error output.
                let mut command = self.program(root, port, config, feature, stage);
                let mut again = command.stderr(File::create(&complaints)?).spawn()?;
                thread::sleep(Duration::from_secs(1));
                again.kill().and_then(|()| again.wait())?;
                let said = fs::read_to_string(&complaints).unwrap_or_default();
                bail!(
                    "it ended with {status} before its first answer, saying: {}",
                    last_lines(&said)
                );
            }
            thread::sleep(Duration::from_micros(200));
        }
        bail!("no answer on port {port} within {} s", START_PATIENCE.as_secs())
    }

    fn program(&self, root: &Path, port: u16, config: &Path, feature: Feature, stage: &Stage) -> Command {
        let fill = |text: &String| {
            text.replace("{config}", &config.to_string_lossy())
                .replace("{port}", &port.to_string())
                .replace("{root}", &root.to_string_lossy())
        };
        let mut words = self.command.iter().map(fill);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .current_dir(&stage.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if stage.buckets.is_none() {
            command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root);
        }
        if let (Feature::Tls, Some(materials)) = (feature, &stage.materials) {
            command.env("REGISTRY_HTTP_TLS_CERTIFICATE", &materials.certificate);
            command.env("REGISTRY_HTTP_TLS_KEY", &materials.key);
        }
        command
    }

    fn config(
        &self,
        stage: &Stage,
        root: &Path,
        bucket: Option<&Bucket>,
        feature: Feature,
        port: u16,
    ) -> Result<String> {
        if self.name == NGINX {
            return nginx_config(stage, root, feature, port);
        }
        if let Some(template) = &self.template {
            let root = root.to_str().context("the store's path is not UTF-8")?;
            return Ok(template
                .replace("{port}", &port.to_string())
                .replace("{root}", root));
        }
        // The configuration of the official image of registry:2, with the address and the directory of this run.
        let store = match bucket {
            Some(bucket) => bucket.configuration(),
            None => format!("  filesystem:\n    rootdirectory: {}\n", root.display()),
        };
        let mut config = format!(
            "version: 0.1\n\
             log:\n  level: info\n  fields:\n    service: registry\n\
             storage:\n  cache:\n    blobdescriptor: inmemory\n{store}\
             \x20 delete:\n    enabled: true\n\
             health:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\n\
             http:\n  addr: 127.0.0.1:{port}\n  headers:\n    X-Content-Type-Options: [nosniff]\n"
        );
        if feature != Feature::Plain {
            let materials = stage.materials.as_ref().context("keys were not made")?;
            config.push_str(&materials.registry_config(feature));
        }
        Ok(config)
    }
}

impl Stage {
    /// Opens `root` as a bucket, if servers keep their data in buckets.
    fn bucket(&self, root: &Path) -> Result<Option<Bucket>> {
        self.buckets
            .as_ref()
            .map(|buckets| buckets.open(root))
            .transpose()
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.address).context("cannot connect to the server")
    }

    /// Stops the server with SIGTERM, and kills it if it does not end within a second.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(1) {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn answers(&self, feature: Feature, stage: &Stage) -> bool {
        match (feature, &stage.materials) {
            (Feature::Tls, Some(materials)) => materials.answers_tls(self.address),
            _ => Client::connect(self.address)
                .is_ok_and(|mut client| client.exchange("GET", "/v2/", &[], &[]).is_ok()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is the aim.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn nginx_config(stage: &Stage, root: &Path, feature: Feature, port: u16) -> Result<String> {
    let scratch = stage.scratch.display();
    let mut locations = String::new();
    let mut serve = |path: &str, digest: &str, media_type: &str| {
        locations.push_str(&format!(
            "location = /v2/{IMAGE_REPOSITORY}/{path} {{ default_type {media_type}; alias {}; }}\n",
            root.join(blob_path(digest)).display()
        ));
    };
    serve(
        &format!("blobs/{}", stage.images.big),
        &stage.images.big,
        "application/octet-stream",
    );
    for (tag, image) in &stage.images.small {
        for layer in &image.layers {
            serve(
                &format!("blobs/{}", layer.digest),
                &layer.digest,
                "application/octet-stream",
            );
        }
        serve(
            &format!("manifests/{tag}"),
            &image.manifest.digest,
            super::content::MANIFEST_TYPE,
        );
    }
    let (tls, keys) = match (feature, &stage.materials) {
        (Feature::Plain, _) => ("", String::new()),
        (Feature::Tls, Some(materials)) => (" ssl", materials.nginx_config()),
        _ => bail!("nginx has no part in this row"),
    };
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    Ok(format!(
        "daemon off; {user} worker_processes 1; pid {scratch}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_body_temp_path {scratch}/nginx; proxy_temp_path {scratch}/nginx; fastcgi_temp_path {scratch}/nginx;\n\
         uwsgi_temp_path {scratch}/nginx; scgi_temp_path {scratch}/nginx;\n\
         server {{\nlisten 127.0.0.1:{port}{tls};\n{keys}\
         location = /v2/ {{ default_type application/json; return 200 \"{{}}\"; }}\n\
         {locations}}}\n}}\n"
    ))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim().lines().collect();
    let from = lines.len().saturating_sub(5);
    if lines.is_empty() {
        "(nothing)".to_owned()
    } else {
        lines[from..].join(" | ")
    }
}

/// Finds or builds the servers that this run compares, wharf first.
pub(crate) struct Search<'a> {
    pub(crate) workspace: &'a Path,
    pub(crate) target: &'a Path,
    pub(crate) wharf: Option<&'a Path>,
    pub(crate) registry3: Option<&'a Path>,
}

impl Search<'_> {
    pub(crate) fn wharf(&self) -> Result<Server> {
        let program = match self.wharf {
            Some(program) => program.to_owned(),
            None => self.build_wharf()?,
        };
        ensure!(program.is_file(), "`{}` does not exist", program.display());
        let command = [program.to_string_lossy().as_ref(), "serve", "{config}"]
            .map(str::to_owned)
            .to_vec();
        Ok(Server {
            name: WHARF.to_owned(),
            version: version_of(&program, "--version"),
            command,
            template: None,
        })
    }

    fn build_wharf(&self) -> Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        println!("building wharf (release)");
        let status = Command::new(cargo)
            .args([
                "build",
                "--release",
                "--quiet",
                "--package",
                "wharf",
                "--target-dir",
            ])
            .arg(self.target)
            .current_dir(self.workspace)
            .status()?;
        ensure!(status.success(), "`cargo build --release --package wharf` failed");
        Ok(self.target.join("release/wharf"))
    }

    /// Debian's package `docker-registry`.
    pub(crate) fn registry2(&self) -> Result<Server> {
        let program = in_path("docker-registry")
            .context("`docker-registry` is not in PATH; on Debian `apt-get install docker-registry`")?;
        Ok(registry(REGISTRY_2, &program))
    }

    pub(crate) fn registry3(&self) -> Result<Server> {
        let tools = self.target.join("tools/bin");
        let go_path = output_of(Command::new("go").args(["env", "GOPATH"])).unwrap_or_default();
        let candidates = [
            in_path("registry"),
            Some(Path::new(&go_path).join("bin/registry")),
            Some(tools.join("registry")),
        ];
        let found = match self.registry3 {
            Some(program) => Some(program.to_owned()),
            None => candidates
                .into_iter()
                .flatten()
                .find(|candidate| candidate.is_file()),
        };
        let program = match found {
            Some(program) => program,
            None => install_registry3(&tools)?,
        };
        ensure!(program.is_file(), "`{}` does not exist", program.display());
        Ok(registry(REGISTRY_3, &program))
    }

    pub(crate) fn nginx(&self) -> Result<Server> {
        let program = in_path("nginx")
            .or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|program| program.is_file()))
            .context("`nginx` is not in PATH; on Debian `apt-get install nginx-light`")?;
        let command = [program.to_string_lossy().as_ref(), "-c", "{config}"]
            .map(str::to_owned)
            .to_vec();
        Ok(Server {
            name: NGINX.to_owned(),
            version: version_of(&program, "-v"),
            command,
            template: None,
        })
    }
}

/// A server that the caller names: `NAME=COMMAND`.
pub(crate) fn peer(definition: &str) -> Result<Server> {
    let (name, command) = definition.split_once('=').with_context(|| {
        format!("`--peer {definition}`: expected `NAME=COMMAND`, such as `old=/opt/wharf serve {{config}}`")
    })?;
    let command: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
    ensure!(
        !name.is_empty() && !command.is_empty(),
        "`--peer {definition}`: name and command must not be empty"
    );
    ensure!(
        ![WHARF, REGISTRY_2, REGISTRY_3, NGINX].contains(&name),
        "`--peer {definition}`: the name `{name}` is taken; choose another one"
    );
    Ok(Server {
        name: name.to_owned(),
        version: command.join(" "),
        command,
        template: None,
    })
}

/// Gives a server a configuration of its own: `NAME=PATH`.
pub(crate) fn set_template(servers: &mut [Server], definition: &str) -> Result<()> {
    let (name, path) = definition
        .split_once('=')
        .with_context(|| format!("`--peer-config {definition}`: expected `NAME=PATH`"))?;
    let server = servers
        .iter_mut()
        .find(|server| server.name == name)
        .with_context(|| format!("`--peer-config {definition}`: there is no `--peer {name}=…`"))?;
    let template = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    server.template = Some(template);
    Ok(())
}

fn registry(name: &str, program: &Path) -> Server {
    let command = [program.to_string_lossy().as_ref(), "serve", "{config}"]
        .map(str::to_owned)
        .to_vec();
    Server {
        name: name.to_owned(),
        version: version_of(program, "--version"),
        command,
        template: None,
    }
}

fn install_registry3(tools: &Path) -> Result<PathBuf> {
    const MODULE: &str = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2";
    println!("installing {MODULE} into `{}`", tools.display());
    let installed = Command::new("go")
        .args(["install", MODULE])
        .env("GOBIN", tools)
        .status();
    ensure!(
        installed.is_ok_and(|status| status.success()),
        "registry:3 is not here and `go install {MODULE}` failed; name a binary with `--registry3 PATH`"
    );
    Ok(tools.join("registry"))
}

pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

fn version_of(program: &Path, flag: &str) -> String {
    output_of(Command::new(program).arg(flag)).unwrap_or_default()
}

/// The first line that a command prints, on whichever stream.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
}
