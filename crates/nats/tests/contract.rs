//! The contract suite on the bus and the event log.

mod harness;

use std::process::ExitCode;

use harness::Nats;
use nats::BatchUse;

fn main() -> ExitCode {
    contract::run(Nats {
        name: "nats",
        batches: BatchUse::Measured,
    })
}
