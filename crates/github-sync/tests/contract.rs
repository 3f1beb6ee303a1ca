//! The contract suite on the reader in the same process.

mod setup;

use std::process::ExitCode;

use contract::{Abilities, Harness, Port, ResourceReaderFixture};

struct InProcess;

#[contract::async_trait]
impl Harness for InProcess {
    fn backend(&self) -> &'static str {
        "sync-in-process"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        (port == Port::ResourceReader).then(Abilities::default)
    }

    async fn resource_reader(&self) -> anyhow::Result<ResourceReaderFixture> {
        let (log, running, lifecycle) = setup::start().await;
        Ok(ResourceReaderFixture {
            reader: running.reader(),
            finder: running.finder(),
            mirror: running.mirror_reads(),
            log,
            deadline: setup::DEADLINE,
            guard: Box::new((running, lifecycle)),
        })
    }
}

fn main() -> ExitCode {
    contract::run(InProcess)
}
