//! The kernel's figures of a process.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// CPU time of a process since its start, all threads, user and kernel, in microseconds. The kernel
/// counts in ticks of 10 ms, so an interval should contain some hundred of them.
pub(crate) fn cpu_micros(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The second field is a name in parentheses that may contain any characters; fields are counted
    // after it.
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

/// A process and its current children.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let children = children.split_ascii_whitespace().map(str::parse);
    std::iter::once(Ok(pid))
        .chain(children.map(|child| child.context("a child's id")))
        .collect()
}

/// [`cpu_micros`] of several.
pub(crate) fn cpu_micros_of(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| cpu_micros(*pid)).sum()
}

/// [`rss_kib`] of several; pages that they share count for each.
pub(crate) fn rss_kib_of(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| rss_kib(*pid)).sum()
}

/// Time without a change that [`steady_rss_kib`] waits for.
const STEADY: Duration = Duration::from_secs(1);
const STEADY_SAMPLES: usize = 10;

/// Resident memory of several once it has been constant for a second, or after ten seconds in any
/// case.
pub(crate) fn steady_rss_kib(pids: &[u32]) -> Result<u64> {
    let mut last = rss_kib_of(pids)?;
    for _ in 0..STEADY_SAMPLES {
        std::thread::sleep(STEADY);
        let now = rss_kib_of(pids)?;
        if now.abs_diff(last) * 200 <= last {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_its_own_figures() {
        let pid = std::process::id();
        assert!(rss_kib(pid).unwrap() > 100);
        let before = cpu_micros(pid).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        // A busy machine may give the test little CPU: only CPU time that was received counts.
        while cpu_micros(pid).unwrap() <= before {
            assert!(std::time::Instant::now() < deadline);
        }
        let family = family(pid).unwrap();
        assert_eq!(family[0], pid);
    }
}
