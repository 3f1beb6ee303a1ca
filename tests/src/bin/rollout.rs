//! `make rollout`: rolling restarts under load, behind each balancer. The exit code tells whether every
//! request was answered; see [`tests::rollout`].

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tests::rollout::{RolloutOptions, run};

#[tokio::main]
async fn main() -> ExitCode {
    match rollout(&RolloutOptions::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn rollout(options: &RolloutOptions) -> Result<bool> {
    let report = run(options).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.is_good())
}
