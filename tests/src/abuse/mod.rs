//! The abuse: every surface under its own worst permitted client and its own worst stranger, beside honest
//! streams and deliveries, whose ledger must balance and whose delays are compared with a calm time.
//!
//! | module | content |
//! | --- | --- |
//! | `options` | the options of the command line |
//! | `target` | the running system: addresses, tokens |
//! | `requests` | the requests that honest clients and attackers have in common |
//! | `honest` | the honest streams, on a thread of their own |
//! | `worker` | what an attacker can do, and the count of the answers |
//! | `surfaces` | the attackers, by surface and side |
//! | `stand_in` | a server that does nothing, for the same attackers: the machine's share |
//! | `attack` | runs the attackers of one surface and side, in a process of their own |
//! | `memory`, `bounds` | the memory of the processes, and what the bounds of the product allow |
//! | `counters` | the product's own counts of what it refused |
//! | `latency` | percentiles |
//! | `run`, `report` | the whole run, and its results |
//!
//! The attackers have lower priority than everything else on the machine. In production they have machines of
//! their own; here, what they spend on making requests would be missing where it is measured.

mod attack;
mod bounds;
mod counters;
mod honest;
mod latency;
mod memory;
mod options;
mod report;
mod requests;
mod run;
mod stand_in;
mod surfaces;
mod target;
mod worker;

pub use attack::run_attackers;
pub use options::{AbuseCommand, AbuseOptions};
pub use report::AbuseReport;
pub use run::run;
pub use stand_in::run_stand_in;
