//! What the kernel says of a process.

use std::fs;

use anyhow::{Context, Result};

/// CPU time that a process has used since it started, all threads, user and kernel, in microseconds.
/// The kernel counts in ticks of 10 ms, so an interval should hold some hundred of them.
pub(crate) fn cpu_micros(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The second field is a name in parentheses that may hold anything; fields are counted after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>);
    let user = ticks.next().context("utime is missing")??;
    let system = ticks.next().context("stime is missing")??;
    Ok((user + system) * 1_000_000 / rustix::param::clock_ticks_per_second())
}

/// Resident memory of a process in KiB.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.context("VmRSS is missing")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_its_own_figures() {
        let pid = std::process::id();
        assert!(rss_kib(pid).unwrap() > 100);
        let before = cpu_micros(pid).unwrap();
        let end = crate::clock::now_nanos() + 60_000_000;
        while crate::clock::now_nanos() < end {}
        assert!(cpu_micros(pid).unwrap() > before);
    }
}
