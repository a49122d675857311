//! Figures of the kernel about a process: its processor time, its memory, and the cores it may use.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the server and the core of the load, when there is more than one to share out.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: Option<usize>,
    pub(crate) client: Option<usize>,
}

impl Cores {
    /// The two first cores that this process may use; on a machine with one core, no pinning at all.
    pub(crate) fn choose(server: Option<usize>, client: Option<usize>) -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot ask which cores may be used")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (first, second) = (usable.next(), usable.next());
        for wanted in [server, client].into_iter().flatten() {
            ensure!(
                wanted < CpuSet::MAX_CPU && allowed.is_set(wanted),
                "core {wanted} may not be used by this process"
            );
        }
        if second.is_none() {
            return Ok(Self {
                server: None,
                client: None,
            });
        }
        Ok(Self {
            server: server.or(first),
            client: client.or(second),
        })
    }

    /// Puts this thread, and all that it starts from now on, on the client's core.
    pub(crate) fn enter_client(self) -> Result<()> {
        pin(self.client)
    }

    /// Runs `start` on the server's core, so that the process that it starts stays there.
    pub(crate) fn on_server_core<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        pin(self.server)?;
        let started = start();
        pin(self.client)?;
        Ok(started)
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.server, self.client) {
            (Some(server), Some(client)) => {
                write!(
                    f,
                    "server on core {server}, client on core {client} (sched_setaffinity)"
                )
            }
            _ => write!(f, "not pinned: this machine has one core"),
        }
    }
}

fn pin(core: Option<usize>) -> Result<()> {
    let Some(core) = core else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {core}"))
}

/// Measures a span of work: wall time, and the processor time of each process.
pub(crate) struct Meter {
    server: u32,
    started: Instant,
    server_cpu: f64,
    client_cpu: f64,
    machine_cpu: f64,
}

/// The result of a `Meter`, in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) wall: f64,
    pub(crate) server_cpu: f64,
    pub(crate) client_cpu: f64,
    /// Processor time of all other processes on the machine, kernel threads included.
    pub(crate) foreign_cpu: f64,
}

impl Meter {
    pub(crate) fn start(server: u32) -> Result<Self> {
        Ok(Self {
            server,
            server_cpu: cpu_seconds(server)?,
            client_cpu: cpu_seconds(std::process::id())? - cpu_seconds(server)?,
            machine_cpu: machine_cpu_seconds()?,
            started: Instant::now(),
        })
    }

    pub(crate) fn stop(&self) -> Result<Span> {
        let wall = self.started.elapsed().as_secs_f64();
        let server = cpu_seconds(self.server)?;
        let server_cpu = server - self.server_cpu;
        let client_cpu = cpu_seconds(std::process::id())? - server - self.client_cpu;
        let machine_cpu = machine_cpu_seconds()? - self.machine_cpu;
        Ok(Span {
            wall,
            server_cpu,
            client_cpu,
            foreign_cpu: (machine_cpu - server_cpu - client_cpu).max(0.0),
        })
    }
}

/// Processor seconds that `pid`, its threads (ended ones too) and its living descendants have used.
/// For ourselves also the reaped helpers, such as curl.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut ticks = 0;
    for member in tree(pid) {
        let path = format!("/proc/{member}/stat");
        let Ok(stat) = fs::read_to_string(&path) else {
            continue;
        };
        // The name in parentheses may contain anything; the fields are counted after it.
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| {
                rest.split_whitespace()
                    .map(|field| field.parse().unwrap_or(0))
                    .collect()
            })
            .unwrap_or_default();
        let user_and_system = 11..if member == std::process::id() { 15 } else { 13 };
        ticks += fields
            .get(user_and_system)
            .with_context(|| format!("`{path}` is cut short"))?
            .iter()
            .sum::<u64>();
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A line of `/proc/PID/status` in KiB, such as `VmRSS` or `VmHWM`, summed over the process and its descendants.
pub(crate) fn memory_kib(pid: u32, line: &str) -> Result<u64> {
    let mut sum = 0;
    for member in tree(pid) {
        let path = format!("/proc/{member}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let value = status
            .lines()
            .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let value = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
        sum += value.with_context(|| format!("`{path}` has no `{line}`"))?;
    }
    Ok(sum)
}

/// `pid` and all its living descendants.
fn tree(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            members.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
    }
    members
}

/// Processor seconds that the whole machine has spent on anything but idling.
fn machine_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read `/proc/stat`")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    ensure!(ticks.len() >= 8, "`/proc/stat` has an unknown form");
    // user, nice, system, (idle, iowait), irq, softirq, steal
    let busy = ticks[..3].iter().chain(&ticks[5..8]).sum::<u64>();
    Ok(busy as f64 / rustix::param::clock_ticks_per_second() as f64)
}
