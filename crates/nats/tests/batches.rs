//! The contract suite on an event log that stores concurrent appends as batches of the server, which takes
//! nats-server 2.12: the first one in the path counts.

mod harness;

use std::process::ExitCode;

use harness::Nats;
use nats::BatchUse;
use testkit::servers::NatsServer;

const BACKEND: &str = "nats-batches";

fn main() -> ExitCode {
    match takes_batches() {
        Ok(true) => contract::run(Nats {
            name: BACKEND,
            batches: BatchUse::Always,
        }),
        Ok(false) => contract::ignore(BACKEND, "this nats-server has no atomic batch publish"),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn takes_batches() -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new()?;
    let server = NatsServer::start()?;
    let client = runtime.block_on(async_nats::connect(server.url()))?;
    Ok(client.is_server_compatible(2, 12, 0))
}
