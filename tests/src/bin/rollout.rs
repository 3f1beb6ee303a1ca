//! `make rollout`: rolling restarts under load, behind each balancer. The exit code tells whether every
//! request was answered; see [`tests::rollout`].

use std::process::ExitCode;

use clap::Parser;
use tests::{
    print_report,
    rollout::{RolloutOptions, RolloutReport, run},
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = RolloutOptions::parse();
    print_report(run(&options).await, options.json, RolloutReport::is_good)
}
