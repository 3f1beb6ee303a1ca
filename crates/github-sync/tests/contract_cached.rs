//! The contract suite on the reader in the same process, through the cache of an edge that follows the same log.

mod setup;

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};

use contract::{Abilities, Harness, HeldLog, Port, ResourceReaderFixture};
use event_flow::follow::{FollowOptions, follow};
use github_sync::RunningSync;
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    limits::DEFAULT_MAX_BYTES,
    metrics::MirrorCacheMetrics,
};
use service_kit::lifecycle::{Lifecycle, OnExit};
use store_memory::InProcessBus;

const HINTS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

struct Cached;

/// A cache that learns what an edge follows.
fn cache(log: &Arc<HeldLog>, running: &RunningSync, lifecycle: &Lifecycle) -> Arc<MirrorCache> {
    let cache = MirrorCache::over(MirrorCacheParts {
        resources: running.reader(),
        mirror: running.mirror_reads(),
        log: log.clone(),
        max_bytes: DEFAULT_MAX_BYTES,
        metrics: MirrorCacheMetrics::default(),
    });
    let followed = Arc::clone(&cache);
    let following = follow(
        log.clone(),
        Arc::new(InProcessBus::new(HINTS)),
        None,
        FollowOptions::default(),
        lifecycle.draining(),
        move |item| followed.apply(&item),
    );
    lifecycle.spawn("edge", OnExit::MayFinish, following);
    cache
}

#[contract::async_trait]
impl Harness for Cached {
    fn backend(&self) -> &'static str {
        "sync-cached"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        (port == Port::ResourceReader).then(Abilities::default)
    }

    async fn resource_reader(&self) -> anyhow::Result<ResourceReaderFixture> {
        let (log, running, lifecycle) = setup::start().await;
        let cache = cache(&log, &running, &lifecycle);
        Ok(ResourceReaderFixture {
            reader: Arc::<MirrorCache>::clone(&cache),
            finder: running.finder(),
            mirror: cache,
            log,
            deadline: setup::DEADLINE,
            guard: Box::new((running, lifecycle)),
        })
    }
}

fn main() -> ExitCode {
    contract::run(Cached)
}
