//! Facts about the machine, so that a figure can still be interpreted a year later.

use std::fs;

use serde_json::{Value, json};

/// Processor, cores, memory, kernel.
pub(crate) fn facts() -> Value {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let memory_info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory_info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = memory.and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": model.map(|text| text.trim_start_matches(['\t', ' ', ':'])),
        "memory_mib": kib.map(|kib| kib / 1024),
        "kernel": kernel.trim(),
        "note": "client, server and load share the cores; all traffic is loopback",
    })
}
