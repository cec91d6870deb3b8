//! What the kernel tells about this machine and its processes, below `/proc`. Elsewhere than on Linux nothing is told.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::process;

/// The machine in a line, as far as it matters: no names of anyone.
pub(super) fn describe(postgres: &str) -> String {
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()?;
        Some(format!("{} GiB", kib.div_ceil(1024 * 1024)))
    });
    let system = process::output(Command::new("uname").arg("-sr")).ok();
    let parts = [Some(format!("{cpus} cores")), model, memory, system, Some(postgres.to_owned())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// CPU time of a process since it began, with that of its children that have ended, in seconds. None once it is gone.
pub(super) fn cpu_seconds(pid: u32) -> Option<f64> {
    let (own, ended) = ticks(pid)?;
    Some((own + ended) / ticks_per_second())
}

/// The same of a process and all that it started and that live.
pub(super) fn cpu_seconds_of_family(pid: u32) -> Option<f64> {
    loop {
        let (own, ended) = ticks(pid)?;
        let living: f64 = children(pid).into_iter().filter_map(cpu_seconds).sum();
        // A child that ended meanwhile may be missing from both, as the one backend of a client that has just left.
        if ticks(pid)?.1 <= ended {
            return Some((own + ended) / ticks_per_second() + living);
        }
    }
}

/// What a process used itself, and what its children did that have ended.
fn ticks(pid: u32) -> Option<(f64, f64)> {
    let fields = stat(pid)?;
    // proc(5): utime, stime, cutime and cstime are fields 14 to 17; `fields` begins with the third.
    let ticks: Vec<f64> = fields.get(11..15)?.iter().filter_map(|field| field.parse().ok()).collect();
    let [user, system, ended_user, ended_system] = ticks[..] else { return None };
    Some((user + system, ended_user + ended_system))
}

/// Resident memory in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// CPU time of everybody on this machine in seconds: worked, and taken by other guests of the same host. Interrupts are
/// left out: they carry our own traffic and belong to no process.
pub(super) fn cpu_seconds_of_all() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    let worked = ticks.get(..3)?.iter().sum::<f64>();
    Some((worked / ticks_per_second(), ticks.get(7)? / ticks_per_second()))
}

fn children(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = pid.to_string();
    // The parent is field 4.
    pids.filter(|pid| stat(*pid).is_some_and(|fields| fields.get(1) == Some(&parent))).collect()
}

/// The fields after the program's name, which may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// What `sysconf(_SC_CLK_TCK)` says on every Linux of today.
fn ticks_per_second() -> f64 {
    100.0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_figures() {
        let own = std::process::id();
        assert!(cpu_seconds(own).is_some());
        assert!(resident_bytes(own).unwrap() > 100_000);
        let (worked, _) = cpu_seconds_of_all().unwrap();
        assert!(worked >= cpu_seconds_of_family(own).unwrap());
    }
}
