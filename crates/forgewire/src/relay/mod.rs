//! `forgewire relay`: GitHub's deliveries for an ingest without a public URL.

mod args;
#[cfg(feature = "relay")]
mod start;

pub(crate) use args::RelayArgs;
#[cfg(feature = "relay")]
pub(crate) use start::run;
