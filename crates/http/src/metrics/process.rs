//! The standard metrics of a process in Prometheus, read from `/proc`.
#![expect(
    clippy::disallowed_methods,
    reason = "`/proc` is the kernel's answer, not a file of the store"
)]

use std::fs;

use super::{
    table::{
        PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_START, PROCESS_VIRTUAL,
    },
    text::{Exposition, Source, number},
};

/// Unit in which `/proc` counts the time of processes: fixed for programs since Linux 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics of the process. Metrics that cannot be read are left out.
#[derive(Debug, Clone, Copy)]
pub struct ProcessMetrics;

impl Source for ProcessMetrics {
    fn write(&self, page: &mut Exposition) {
        write(page);
    }
}

fn write(page: &mut Exposition) {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    if let Some(stat) = stat.as_deref().and_then(Stat::parse) {
        page.family(&PROCESS_CPU)
            .value(&[], number(stat.cpu_ticks) / TICKS_PER_SECOND);
        page.family(&PROCESS_VIRTUAL)
            .value(&[], number(stat.virtual_bytes));
        let page_size = number(rustix::param::page_size() as u64);
        page.family(&PROCESS_RESIDENT)
            .value(&[], number(stat.resident_pages) * page_size);
        if let Some(boot) = boot_time() {
            let start = number(boot) + number(stat.start_ticks) / TICKS_PER_SECOND;
            page.family(&PROCESS_START).value(&[], start);
        }
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        let open = descriptors.count().saturating_sub(1);
        page.family(&PROCESS_OPEN_FDS).value(&[], number(open as u64));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    page.family(&PROCESS_MAX_FDS)
        .value(&[], limit.map_or(f64::INFINITY, number));
}

/// Some of proc_pid_stat(5).
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The second field is a name in parentheses, which may contain anything.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Seconds since the epoch.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let line = "4711 (a b) c) S 1 2 3 4 5 6 7 8 9 10 120 30 16 17 18 19 20 21 8000 4096000 77 more";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            (
                stat.cpu_ticks,
                stat.start_ticks,
                stat.virtual_bytes,
                stat.resident_pages
            ),
            (150, 8000, 4_096_000, 77)
        );
    }

    #[test]
    fn this_process_has_all_of_them() {
        let mut page = Exposition::default();
        write(&mut page);
        let page = page.finish();
        for metric in [
            &PROCESS_CPU,
            &PROCESS_MAX_FDS,
            &PROCESS_OPEN_FDS,
            &PROCESS_RESIDENT,
            &PROCESS_START,
            &PROCESS_VIRTUAL,
        ] {
            assert!(page.contains(&format!("\n{} ", metric.name)), "{page}");
        }
    }
}
