//! The rollout: all ingests and edges are restarted, one after the other, round after round, while
//! deliveries and requests come in through a balancer over kept-alive connections. Wanted: each is
//! answered with 2xx, without a retry, and each acknowledged event arrives once.
//!
//! | module | content |
//! | --- | --- |
//! | `options` | the options of the command line |
//! | `connection` | a kept-alive connection to the balancer; nothing is sent twice |
//! | `load` | deliveries and requests at a pace, over many connections |
//! | `tally` | the answers, counted |
//! | `run`, `report` | the whole run, and its results |

mod connection;
mod load;
mod options;
mod report;
mod run;
mod tally;

pub use options::RolloutOptions;
pub use report::RolloutReport;
pub use run::run;
