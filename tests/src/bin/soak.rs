//! `make soak`: a long run of streams under churn, faults and abuse. The exit code tells whether
//! every promise held; see [`tests::soak`].

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tests::soak::{SoakOptions, run};

#[tokio::main]
async fn main() -> ExitCode {
    match soak(&SoakOptions::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(options: &SoakOptions) -> Result<bool> {
    let report = run(options).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.is_good())
}
