//! `cargo xtask bench`: wharf compared with the servers it replaces, row by row, in one run on one machine.

mod attack;
mod bucket;
mod client;
mod collect;
mod content;
mod copy;
mod feature;
mod http;
mod load;
mod machine;
mod measure;
mod process;
mod push;
mod report;
mod rows;
mod secure;
mod seed;
mod server;
mod store;

use std::collections::HashMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use bucket::Buckets;
use feature::Feature;
use measure::{Measure, Pushes, Turn};
use process::Cores;
use report::{Measured, Outcome, Report};
use rows::{Goal, ROWS, Row};
use secure::Materials;
use seed::{Images, Seed, Seeds};
use server::{NGINX, Search, Server, Stage, WHARF};

#[derive(Args)]
pub(crate) struct Options {
    /// Measure only this row; may be given several times
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// List the rows, and measure nothing
    #[arg(long)]
    list: bool,
    /// Add a server: `NAME=COMMAND`, where `{config}`, `{port}` and `{root}` are filled in
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    peers: Vec<String>,
    /// Give a peer the configuration in this file, where `{port}` and `{root}` are filled in
    #[arg(long = "peer-config", value_name = "NAME=PATH")]
    peer_configs: Vec<String>,
    /// Start only this server; may be given several times
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// Where the servers keep their data
    #[arg(long, value_enum, default_value_t = Store::Directory)]
    store: Store,
    /// Milliseconds before each request reaches the bucket
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "PATH")]
    wharf: Option<PathBuf>,
    /// The binary of registry:3, when it is neither in PATH nor where Go installs
    #[arg(long, value_name = "PATH")]
    registry3: Option<PathBuf>,
    /// The core of the server
    #[arg(long, value_name = "N")]
    server_core: Option<usize>,
    /// The core of the load generator
    #[arg(long, value_name = "N")]
    client_core: Option<usize>,
}

/// Where the servers keep their data.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    /// In a directory
    Directory,
    /// In a bucket of versitygw, which keeps it in a directory
    S3,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        for row in ROWS {
            println!("{:<22} {}", row.id, row.title);
        }
        return Ok(());
    }
    let rows = select_rows(&options.only)?;
    let target = target_directory()?;
    let servers = find_servers(options, &target)?;
    let cores = Cores::choose(options.server_core, options.client_core)?;
    cores.enter_client()?;

    let results = target.join("bench");
    let scratch = Scratch::make(&results.join("tmp"))?;
    let needs_materials = rows.iter().any(|row| row.needs != Feature::Plain);
    let materials = needs_materials.then(|| Materials::make(&scratch.0)).transpose()?;
    let stage = Stage {
        scratch: scratch.0.clone(),
        cores,
        images: Images::new(),
        materials,
        buckets: buckets(options, &target)?,
    };
    let mut bench = Bench {
        stage,
        seeds: Seeds::new(
            scratch.0.join("stores"),
            options.quick,
            options.store == Store::S3,
        ),
        pushes: Pushes::default(),
        able: HashMap::new(),
        quick: options.quick,
        servers,
    };
    let mut report = Report::new(
        &bench.servers,
        cores,
        options.quick,
        options.store == Store::Directory,
    );
    report.print_opening();
    if rows
        .iter()
        .any(|row| has_machine_goal(row.metrics.iter().flat_map(|metric| metric.goals)))
    {
        report.machine = Some(bench.pushes.machine(&scratch.0)?);
    }
    for row in rows {
        let outcome = bench.row(row)?;
        report.add(row, outcome);
    }
    report.print_tables();
    let path = report.write(&results)?;
    println!("\nall figures of all rounds: {}", path.display());
    Ok(())
}

struct Bench {
    stage: Stage,
    seeds: Seeds,
    pushes: Pushes,
    servers: Vec<Server>,
    /// Whether a server, by its index, has a feature; tested once.
    able: HashMap<(usize, Feature), bool>,
    quick: bool,
}

impl Bench {
    /// Gives every server that can do it its turns at `row`, round by round.
    fn row(&mut self, row: &Row) -> Result<Outcome> {
        if let Measure::Copying = row.measure {
            return self.copies(row);
        }
        let mut measured = Measured::default();
        for place in 0..self.servers.len() {
            if self.servers[place].name == NGINX && !row.nginx {
                continue;
            }
            if self.is_able(place, row.needs)? {
                measured
                    .turns
                    .push((self.servers[place].name.clone(), Vec::new()));
            } else if self.servers[place].name == WHARF {
                return Ok(Outcome::NotYet(row.needs));
            }
        }
        for round in 0..row.rounds[usize::from(self.quick)] {
            progress(&format!("{}, round {}", row.id, round + 1));
            for (name, readings) in &mut measured.turns {
                let server = self
                    .servers
                    .iter()
                    .find(|server| server.name == *name)
                    .context("a server is gone")?;
                let root = self.seeds.root(row.seed)?;
                let reading = turn(&self.stage, &self.pushes, self.quick, server, row, &root)
                    .with_context(|| format!("row `{}`, {name}", row.id));
                self.seeds.give_back(row.seed, &root)?;
                match reading {
                    Ok(reading) => readings.push(reading),
                    // A server that fails is left out of the row; the other servers continue.
                    Err(error) => measured.failures.push((name.clone(), format!("{error:#}"))),
                }
            }
            let failures = &measured.failures;
            measured
                .turns
                .retain(|(name, _)| failures.iter().all(|(failed, _)| failed != name));
        }
        self.seeds.end_row()?;
        progress("");
        Ok(Outcome::Measured(measured))
    }

    /// Gives every program that copies images its turns at `row`, between two registries of wharf.
    fn copies(&self, row: &Row) -> Result<Outcome> {
        let mut measured = Measured::default();
        let Some(server) = self.servers.iter().find(|server| server.name == WHARF) else {
            measured
                .failures
                .push((WHARF.to_owned(), "it takes no part in this run".to_owned()));
            return Ok(Outcome::Measured(measured));
        };
        let (tools, missing) = copy::tools(server, &target_directory()?);
        for name in missing {
            measured
                .failures
                .push((name.to_owned(), "it is not installed".to_owned()));
        }
        let copies = copy::Copies::prepare(&self.stage, server, self.quick)?;
        measured.turns = tools
            .iter()
            .map(|tool| (tool.name.to_owned(), Vec::new()))
            .collect();
        for round in 0..row.rounds[usize::from(self.quick)] {
            progress(&format!("{}, round {}", row.id, round + 1));
            for (tool, (name, readings)) in tools.iter().zip(&mut measured.turns) {
                match copies.turn(tool) {
                    Ok(reading) => readings.push(reading),
                    Err(error) => measured.failures.push((name.clone(), format!("{error:#}"))),
                }
            }
        }
        progress("");
        Ok(Outcome::Measured(measured))
    }

    fn is_able(&mut self, place: usize, feature: Feature) -> Result<bool> {
        if feature == Feature::Plain {
            return Ok(true);
        }
        if let Some(&able) = self.able.get(&(place, feature)) {
            return Ok(able);
        }
        let root = self.seeds.root(Seed::Images)?;
        let able = probe(&self.stage, &self.servers[place], feature, &root)?;
        self.seeds.give_back(Seed::Images, &root)?;
        self.able.insert((place, feature), able);
        Ok(able)
    }
}

/// Shows the progress, on a terminal only, in place of the line before.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{text:<60}\r");
    }
}

fn turn(
    stage: &Stage,
    pushes: &Pushes,
    quick: bool,
    server: &Server,
    row: &Row,
    root: &Path,
) -> Result<measure::Reading> {
    let measure = match row.measure {
        Measure::Serving(measure) => measure,
        Measure::Collecting(measure) => {
            return measure(&store::Store {
                stage,
                server,
                root,
                quick,
            });
        }
        Measure::Copying => bail!("a copy has no turn of a server"),
    };
    let running = server.start(stage, root, row.needs)?;
    let reading = measure(&Turn {
        stage,
        server: &running,
        feature: row.needs,
        quick,
        pushes,
    })?;
    running.stop()?;
    Ok(reading)
}

/// Starts a server with `feature` and tests whether it has it.
fn probe(stage: &Stage, server: &Server, feature: Feature, root: &Path) -> Result<bool> {
    // These two answer any word with their help, and with success.
    let has_help_for_all = [server::REGISTRY_2, server::REGISTRY_3].contains(&server.name.as_str());
    if feature == Feature::OnlineCollection && has_help_for_all {
        return Ok(false);
    }
    if feature == Feature::Collection {
        let words = ["garbage-collect", "--dry-run"];
        return Ok(server.run(stage, root, Feature::Plain, &words).is_ok());
    }
    // A server that does not know the feature may refuse to start, or start without it.
    let Ok(running) = server.start(stage, root, feature) else {
        return Ok(false);
    };
    if feature == Feature::OnlineCollection {
        let able = server.run(stage, root, feature, &collect::ONLINE).is_ok();
        running.stop()?;
        return Ok(able);
    }
    if feature == Feature::Screens {
        let path = format!("/api/v1/tags?repository={}", seed::IMAGE_REPOSITORY);
        let answer = running.client()?.exchange("GET", &path, &[], &[]);
        running.stop()?;
        return Ok(answer.is_ok_and(|answer| answer.status == 200));
    }
    let Some(authorization) = stage.materials.as_ref().and_then(|m| m.authorization(feature)) else {
        running.stop()?;
        return Ok(true);
    };
    let manifest = format!("/v2/{}/manifests/v0", seed::IMAGE_REPOSITORY);
    let mut client = running.client()?;
    let mut status = |headers: &[(&str, &str)]| Ok(client.exchange("GET", &manifest, headers, &[])?.status);
    let accept = ("Accept", content::MANIFEST_TYPE);
    let able = status(&[accept]).and_then(|anonymous: u16| {
        Ok(anonymous == 401 && status(&[accept, ("Authorization", &authorization)])? == 200)
    });
    running.stop()?;
    let able: Result<bool> = able;
    Ok(able.unwrap_or(false))
}

/// The rows that were asked for, with those that their goals refer to.
fn select_rows(only: &[String]) -> Result<Vec<&'static Row>> {
    for id in only {
        ensure!(
            ROWS.iter().any(|row| row.id == *id),
            "there is no row `{id}`; `--list` names them all"
        );
    }
    let asked = |row: &&Row| only.is_empty() || only.iter().any(|id| id == row.id);
    let referred: Vec<_> = ROWS
        .iter()
        .filter(asked)
        .flat_map(|row| row.metrics.iter().flat_map(|metric| metric.goals))
        .filter_map(|goal| {
            if let Goal::TimesOwn(_, id) = goal {
                Some(*id)
            } else {
                None
            }
        })
        .collect();
    Ok(ROWS
        .iter()
        .filter(|row| asked(row) || referred.contains(&row.id))
        .collect())
}

/// The program that serves buckets, when servers keep their data there.
fn buckets(options: &Options, target: &Path) -> Result<Option<Buckets>> {
    let delay = Duration::from_millis(options.delay);
    if options.store == Store::Directory {
        ensure!(delay.is_zero(), "`--delay` needs `--store s3`");
        return Ok(None);
    }
    let program = server::in_path("versitygw").unwrap_or_else(|| target.join("tools/bin/versitygw"));
    ensure!(
        program.is_file(),
        "`versitygw` is not in PATH; `./test.sh` installs it"
    );
    Ok(Some(Buckets { program, delay }))
}

fn has_machine_goal<'a>(mut goals: impl Iterator<Item = &'a Goal>) -> bool {
    goals.any(|goal| matches!(goal, Goal::TimesHash(_) | Goal::TimesDiskImages(_)))
}

/// The servers to compare, wharf first; a server that is not installed is reported and left out.
fn find_servers(options: &Options, target: &Path) -> Result<Vec<Server>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace is gone")?;
    let search = Search {
        workspace,
        target,
        wharf: options.wharf.as_deref(),
        registry3: options.registry3.as_deref(),
    };
    let wanted =
        |name: &str| options.servers.is_empty() || options.servers.iter().any(|wanted| wanted == name);
    let mut servers = Vec::new();
    if wanted(WHARF) {
        servers.push(search.wharf()?);
    }
    let mut add = |name: &str, find: &dyn Fn() -> Result<Server>| {
        if wanted(name) {
            match find() {
                Ok(server) => servers.push(server),
                Err(error) => eprintln!("left out: {name}: {error:#}"),
            }
        }
    };
    let is_directory = options.store == Store::Directory;
    if is_directory {
        add(server::REGISTRY_2, &|| search.registry2());
    }
    add(server::REGISTRY_3, &|| search.registry3());
    if is_directory {
        add(NGINX, &|| search.nginx());
    }
    for definition in &options.peers {
        servers.push(server::peer(definition)?);
    }
    for definition in &options.peer_configs {
        server::set_template(&mut servers, definition)?;
    }
    for name in &options.servers {
        let known = servers.iter().any(|server| server.name == *name);
        ensure!(known, "there is no server `{name}` to start");
    }
    if servers.is_empty() {
        bail!("no server to measure");
    }
    Ok(servers)
}

/// The target directory: this program lies in `target/debug`.
fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program
        .ancestors()
        .nth(2)
        .context("this program does not lie in a target directory")?;
    Ok(target.to_owned())
}

/// A directory for this run alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    /// Creates it; also removes the directories of interrupted runs.
    fn make(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if !Path::new("/proc").join(entry.file_name()).exists() {
                seed::remove_tree(&entry.path())?;
            }
        }
        let path = parent.join(std::process::id().to_string());
        fs::create_dir_all(path.join("stores"))
            .with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = seed::remove_tree(&self.0) {
            eprintln!("{error:#}; remove `{}` by hand", self.0.display());
        }
    }
}
