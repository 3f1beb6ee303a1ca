//! `make soak`: a long run of streams under churn, faults and abuse. The exit code tells whether
//! every promise held; see [`tests::soak`].

use std::process::ExitCode;

use clap::Parser;
use tests::{
    print_report,
    soak::{SoakOptions, SoakReport, run},
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = SoakOptions::parse();
    print_report(run(&options).await, options.json, SoakReport::is_good)
}
