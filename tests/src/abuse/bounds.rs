//! What the bounds of the product allow in memory, by role. The places are those of the crates' `limits.rs`; a
//! test compares them.

use testkit::cluster::{SystemKind, SystemNode};

const MIB: u64 = 1 << 20;
/// What an allocator may keep beside what is in use, in per cent.
const SLACK_PERCENT: u64 = 25;

/// A bound on memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryBound {
    /// Its meaning.
    what: &'static str,
    /// The file that defines it, and the text there.
    place: (&'static str, &'static str),
    mebibytes: u64,
}

const fn bound(
    what: &'static str,
    place: (&'static str, &'static str),
    mebibytes: u64,
) -> MemoryBound {
    MemoryBound {
        what,
        place,
        mebibytes,
    }
}

const FANOUT: &str = "crates/fanout/src/limits.rs";
const KIT: &str = "crates/service-kit/src/limits.rs";
const EDGE: &str = "crates/sse-edge/src/limits.rs";
const INGEST: &str = "crates/webhook-ingest/src/limits.rs";
const SYNC: &str = "crates/github-sync/src/limits.rs";

const OF_EDGE: &[MemoryBound] = &[
    bound(
        "the ring of recent events",
        (FANOUT, "RING_BYTES: usize = 64 << 20"),
        64,
    ),
    bound(
        "pages of the log for streams behind the ring",
        (FANOUT, "[`CATCH_UP_BYTES`] = 96 MiB"),
        96,
    ),
    bound(
        "pages of the log for queries",
        (FANOUT, "[`CATCH_UP_READ_BYTES`] = 72 MiB"),
        72,
    ),
    bound(
        "filters of streams",
        (FANOUT, "16 MiB in streams, the same in the index"),
        32,
    ),
    bound(
        "answers, three times as much while they are encoded",
        (EDGE, "ANSWER_BYTES: usize = 256 << 20"),
        768,
    ),
    bound(
        "what calls have loaded and keep of their requests",
        (EDGE, "[`CALL_BYTES`] = 512 MiB"),
        512,
    ),
    bound(
        "what waiting calls keep of their requests",
        (EDGE, "`edge.rates.waiting_calls` = 312 MiB"),
        312,
    ),
    bound("batches", (EDGE, "[`BATCH_BYTES`] = 448 MiB"), 448),
    bound(
        "states of tasks for streams that do not read, twice while they are written",
        (EDGE, "1 MiB × [`LARGE_TASKS`] = 64 MiB"),
        128,
    ),
    bound(
        "bodies",
        (KIT, "BODY_BUDGET_BYTES: usize = 256 * 1024 * 1024"),
        256,
    ),
];

const OF_INGEST: &[MemoryBound] = &[
    bound(
        "bodies",
        (KIT, "BODY_BUDGET_BYTES: usize = 256 * 1024 * 1024"),
        256,
    ),
    bound(
        "signatures of bodies",
        (INGEST, "about 12 MiB when it is full"),
        12,
    ),
];

const OF_SYNC: &[MemoryBound] = &[
    bound(
        "states",
        (SYNC, "MAX_STATE_BYTES: usize = 256 * 1024 * 1024"),
        256,
    ),
    bound(
        "an answer",
        (SYNC, "MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024"),
        32,
    ),
];

fn bounds(kind: SystemKind, node: SystemNode) -> Vec<MemoryBound> {
    let roles: &[&[MemoryBound]] = match (kind, node) {
        (SystemKind::Embedded, _) => &[OF_EDGE, OF_INGEST, OF_SYNC],
        (_, SystemNode::Ingest(_)) => &[OF_INGEST],
        (_, SystemNode::Sync) => &[OF_SYNC],
        _ => &[OF_EDGE],
    };
    roles.concat()
}

/// The memory in KiB that a node's process may take, given what it takes at rest.
pub(crate) fn bound_kib(kind: SystemKind, node: SystemNode, at_rest_kib: u64) -> u64 {
    let bounds = bounds(kind, node).into_iter();
    let mebibytes: u64 = bounds.map(|bound| bound.mebibytes).sum();
    at_rest_kib + mebibytes * MIB / 1024 * (100 + SLACK_PERCENT) / 100
}

/// The parts of the bound, in words.
pub(crate) fn bound_words(kind: SystemKind, node: SystemNode) -> String {
    let bounds = bounds(kind, node).into_iter();
    let words = bounds.map(|bound| {
        let (file, _) = bound.place;
        format!("{} {} ({file})", bound.what, bound.mebibytes)
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use testkit::cluster::workspace;

    use super::*;

    #[test]
    fn every_bound_is_in_its_file() {
        for bound in [OF_EDGE, OF_INGEST, OF_SYNC].concat() {
            let (file, text) = bound.place;
            let content = std::fs::read_to_string(workspace().join(file)).unwrap();
            assert!(
                content.contains(text),
                "{}: not in {file}: {text}",
                bound.what
            );
        }
    }

    #[test]
    fn one_process_may_take_what_its_roles_may() {
        let of = |kind, node| bound_kib(kind, node, 1000) - 1000;
        let cluster = |node| of(SystemKind::Cluster, node);
        let roles = [SystemNode::Edge(0), SystemNode::Ingest(0), SystemNode::Sync];
        let sum: u64 = roles.into_iter().map(cluster).sum();
        assert_eq!(of(SystemKind::Embedded, SystemNode::Edge(0)), sum);
        assert_eq!(cluster(SystemNode::Sync), 288 * 1024 * 125 / 100);
    }
}
