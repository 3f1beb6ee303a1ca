//! Ports that stay reserved for one cluster, also while the process that listened on one is dead.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Result, bail};

/// Below Linux's default range for outgoing connections (from 32768): no client socket can take the
/// port of a process that was killed and will be started again.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;
/// Ports per cluster; the first is the guard.
const BLOCK: u16 = 60;

/// A block of ports, reserved against other test processes by a guard: a listener on its first
/// port.
#[derive(Debug)]
pub(super) struct PortBlock {
    guard: TcpListener,
    next: u16,
    end: u16,
    by_name: BTreeMap<String, u16>,
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

impl PortBlock {
    /// Reserves a free block.
    pub(super) fn take() -> Result<Self> {
        let blocks = (LAST - FIRST + 1) / BLOCK;
        // Starts anywhere, so that parallel test processes rarely try the same block.
        let start = rand::random_range(0..blocks);
        for at in 0..blocks {
            let first = FIRST + (start + at) % blocks * BLOCK;
            if let Some(guard) = listen(first) {
                let end = first + BLOCK;
                return Ok(Self {
                    guard,
                    next: first + 1,
                    end,
                    by_name: BTreeMap::new(),
                });
            }
        }
        bail!("no free block of {BLOCK} ports between {FIRST} and {LAST} on 127.0.0.1")
    }

    /// The port of this name; a new name gets the next port of the block that is free.
    pub(super) fn of(&mut self, name: &str) -> Result<u16> {
        if let Some(port) = self.by_name.get(name) {
            return Ok(*port);
        }
        while self.next < self.end {
            let port = self.next;
            self.next += 1;
            if listen(port).is_some() {
                self.by_name.insert(name.to_owned(), port);
                return Ok(port);
            }
        }
        let guard = self
            .guard
            .local_addr()
            .map(|a| a.port())
            .unwrap_or_default();
        bail!("the block of {BLOCK} ports after {guard} is used up; {name:?} gets none")
    }

    /// The port of a name, if it already has one.
    pub(super) fn get(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ports_and_clusters_do_not_share() {
        let (mut one, mut two) = (PortBlock::take().unwrap(), PortBlock::take().unwrap());
        let a = one.of("a").unwrap();
        assert_eq!(one.of("a").unwrap(), a);
        assert_ne!(one.of("b").unwrap(), a);
        assert_ne!(two.of("a").unwrap() / BLOCK, 0);
        assert!(
            !one.by_name
                .values()
                .any(|p| two.by_name.values().any(|q| p == q))
        );
        assert_eq!(one.get("c"), None);
        let enough = (0..BLOCK).find(|n| one.of(&format!("n{n}")).is_err());
        assert!(enough.is_some());
    }
}
