//! Kernel memory used by connections. The kernel counts for the whole machine, so the figures
//! contain both ends of each connection, and all other activity at that time.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The kernel's page size, in KiB.
fn page_kib() -> u64 {
    rustix::param::page_size() as u64 / 1024
}

/// Kernel memory at one moment.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// Slab caches in KiB: by name from /proc/slabinfo (readable by root), otherwise `Slab` of
    /// /proc/meminfo.
    slabs: BTreeMap<String, u64>,
    /// Socket buffers in KiB: TCP `mem` of /proc/net/sockstat.
    buffers: u64,
}

impl Kernel {
    /// The current values.
    pub(crate) fn now() -> Result<Self> {
        let slabs = match fs::read_to_string("/proc/slabinfo") {
            Ok(text) => slab_caches(&text),
            Err(_) => {
                let path = "/proc/meminfo";
                let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
                BTreeMap::from([("Slab of /proc/meminfo".to_owned(), slab_total(&text)?)])
            }
        };
        let path = "/proc/net/sockstat";
        let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        Ok(Self {
            slabs,
            buffers: tcp_pages(&text).context("TCP mem is missing")? * page_kib(),
        })
    }

    /// KiB added since `before`; a cache that shrank counts as zero.
    pub(crate) fn since(&self, before: &Self) -> u64 {
        self.growth(before).map(|(_, kib)| kib).sum::<u64>() + self.buffers_since(before)
    }

    /// The breakdown: the largest caches, and the buffers.
    pub(crate) fn detail(&self, before: &Self) -> Value {
        let mut growth: Vec<_> = self.growth(before).filter(|(_, kib)| *kib > 0).collect();
        growth.sort_by_key(|(_, kib)| std::cmp::Reverse(*kib));
        let largest: Vec<_> = growth
            .into_iter()
            .take(8)
            .map(|(name, kib)| json!({ "cache": name, "kib": kib }))
            .collect();
        json!({ "slabs": largest, "socket_buffers_kib": self.buffers_since(before) })
    }

    fn growth<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, u64)> {
        self.slabs.iter().map(|(name, kib)| {
            let old = before.slabs.get(name).copied().unwrap_or(0);
            (name.as_str(), kib.saturating_sub(old))
        })
    }

    fn buffers_since(&self, before: &Self) -> u64 {
        self.buffers.saturating_sub(before.buffers)
    }
}

/// Caches used by connections and by the entries that wait on them. Other caches grow with disk
/// activity.
fn is_of_connections(cache: &str) -> bool {
    let begins = [
        "TCP",
        "sock",
        "filp",
        "eventpoll",
        "skbuff",
        "kmalloc",
        "dentry",
        "tw_",
        "request_",
        "inode",
    ];
    begins.iter().any(|name| cache.starts_with(name))
}

/// KiB by cache. The columns are: name, active objects, objects, bytes of one, objects and pages of
/// a slab, …
fn slab_caches(text: &str) -> BTreeMap<String, u64> {
    let cache = |line: &str| {
        let (numbers, slabs) = line.split_once(": slabdata")?;
        let mut fields = numbers.split_ascii_whitespace();
        let name = fields.next()?.to_owned();
        let pages_of_one: u64 = fields.nth(4)?.parse().ok()?;
        let count: u64 = slabs.split_ascii_whitespace().nth(1)?.parse().ok()?;
        is_of_connections(&name).then_some((name, count * pages_of_one * page_kib()))
    };
    text.lines().filter_map(cache).collect()
}

fn slab_total(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.context("Slab is missing")?.parse()?)
}

fn tcp_pages(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut fields = line.split_ascii_whitespace();
    fields.find(|field| *field == "mem")?;
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_and_buffers_are_read() {
        let text = "slabinfo - version: 2.1\n\
            # name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : …\n\
            TCP   26  26  2496  13  8 : tunables 0 0 0 : slabdata 2 3 0\n\
            xfs_inode 9 9 960 17 4 : tunables 0 0 0 : slabdata 1 1 0\n";
        let pages = 8 * 3 * page_kib();
        assert_eq!(
            slab_caches(text),
            BTreeMap::from([("TCP".to_owned(), pages)])
        );
        let sockstat =
            "sockets: used 18\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\nUDP: inuse 0 mem 3\n";
        assert_eq!(tcp_pages(sockstat), Some(7));
        assert_eq!(
            slab_total("MemFree: 1 kB\nSlab:   1114604 kB\n").unwrap(),
            1_114_604
        );
        let (before, mut after) = (Kernel::now().unwrap(), Kernel::now().unwrap());
        after.buffers = before.buffers + 8;
        assert!(after.since(&before) >= 8);
    }
}
